"""Answers on standard output: as a table, as JSON or as CSV."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from index.errors import LogoscopeError, ParameterError
from index.files import brief

if TYPE_CHECKING:
    from rich.console import RenderableType

    from index.bundle.manifest import CrossCheckFacts
    from index.checks.crosscheck import CrossCheck

Answer = TypeVar("Answer")


def settle_encoding() -> None:
    """Have exact texts leave as UTF-8, and a terminal show an escape for a character that it has not."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = None if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def flush_answer() -> None:
    """Write out what was printed, so that it fails here and not in the interpreter's own flush at its end.

    Raises
    ------
    BrokenPipeError
        When nobody reads standard output any more.
    LogoscopeError
        When it cannot be written.
    """
    if sys.stdout is None:  # closed by whoever started this
        return
    try:
        with _standard_output():
            sys.stdout.flush()
    except (BrokenPipeError, LogoscopeError):
        # What is left in the buffer goes nowhere ("Note on SIGPIPE" in the documentation of Python's `signal`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


@contextmanager
def _standard_output() -> Iterator[None]:
    """Say of what fails in the block, but for a closed pipe, that it was standard output."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LogoscopeError(
            f"standard output cannot be written: {brief(error.strerror or error)}; write the answer elsewhere"
        ) from error


def one_form(**forms: object) -> None:
    """Refuse two forms at once, before the work: `one_form(json=as_json, csv=as_csv)`."""
    if sum(map(bool, forms.values())) > 1:
        *others, last = (f"--{name}" for name in forms)
        raise ParameterError(f"{', '.join(others)} and {last} exclude each other; pass one")


def print_answer(
    found: Answer,
    json: Callable[[Answer], Any],
    csv: Callable[[Answer], str],
    table: Callable[[Answer], RenderableType],
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Print an answer in the one form asked for; only that one is made."""
    one_form(json=as_json, csv=as_csv)
    if as_json:
        print_json(json(found))
    elif as_csv:
        print_text(csv(found))
    else:
        print_table(table(found))


def print_json(answer: Any) -> None:
    """Print strict JSON."""
    from index.report import to_json

    print_text(to_json(answer) + "\n")


def print_text(text: str) -> None:
    """Print a text as it is, at once."""
    with _standard_output():
        print(text, end="", flush=True)


def print_table(report: RenderableType) -> None:
    """Print a table, in color only on a terminal."""
    from rich.console import Console

    class Printer(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to `answering`; rich would exit with code 1."""
            raise BrokenPipeError

    with _standard_output():
        Printer(highlight=False).print(report)


def crosscheck_cause(found: CrossCheck | CrossCheckFacts | None) -> str:
    """Return what differs where a cross-check failed."""
    matrix = None if found is None else found.matrix
    return matrix.cause if matrix is not None and matrix.cause else "the quadratic form differs"
