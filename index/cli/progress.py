"""A progress bar on standard error: a line for each step, with rate and time left; nothing where it is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from index.progress import Progress, silent

if TYPE_CHECKING:
    from rich.progress import TaskID

    from index.questions.asking.question import Question


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show the steps of a long answer while the block runs."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield silent
        return
    from rich import progress as bars
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    steps: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]}", justify="right"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console) as bar:

        def report(step: str, done: float, total: float = 1.0, /) -> None:
            if step not in steps:
                steps[step] = bar.add_task(step, total=total, rate="")
            elapsed = bar.tasks[steps[step]].elapsed
            rate = f"{done / elapsed:,.0f}/s" if total > 1 and elapsed else ""
            bar.update(steps[step], completed=done, rate=rate)

        yield report


@contextmanager
def progress_of(question: Question[Any, Any]) -> Iterator[dict[str, Any]]:
    """Give what a question that takes long is to be asked with, so that its steps are shown; nothing for the others."""
    if not question.reports_progress:
        yield {}
        return
    with progress_bar() as report:
        yield {"progress": report}
