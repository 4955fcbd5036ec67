"""Answers on standard output: as a table, as JSON or as CSV."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from index.errors import ParameterError

if TYPE_CHECKING:
    from rich.console import RenderableType

Answer = TypeVar("Answer")


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
        sys.stdout.write(csv(found))
    else:
        print_table(table(found))


def print_json(answer: Any) -> None:
    """Print strict JSON."""
    from index.report import to_json

    print(to_json(answer))


def print_table(report: RenderableType) -> None:
    """Print a table, in color only on a terminal."""
    from rich.console import Console

    Console(highlight=False).print(report)
