"""A progress bar on standard error: a line for each step, with rate and time left; nothing where it is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import TaskID

    from index.questions.asking.question import Question

Report = Callable[[str, int, int], None]
"""Called with the step in words, how many of its items are done, and how many there are."""


@contextmanager
def progress_bar() -> Iterator[Report]:
    """Show the steps of a long answer while the block runs."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda step, done, total: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    steps: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]}", justify="right"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:

        def report(step: str, done: int, total: int) -> None:
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
        yield {"progress": lambda step, share: report(step, round(1000 * share), 1000)}
