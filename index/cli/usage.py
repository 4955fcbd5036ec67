"""Wrong use, and help that cannot be printed, end like all errors: in one line on standard error, exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from index.cli.ask import answering, standard_output
from index.errors import ParameterError

_WRONG_USE: Any = typer.BadParameter.__base__
"""click's UsageError, which typer keeps in a module of its own choosing."""

_WANTED = {"is not a valid int": "is no whole number", "is not a valid float": "is no number"}


@contextmanager
def one_line(path: str) -> Iterator[None]:
    """Turn wrong use of the command at `path` into one line and exit code 2; so, too, help that cannot be printed."""
    with answering(), standard_output():
        try:
            yield
        except _WRONG_USE as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # typer has printed the help, and would print nothing more
                raise typer.Exit(error.exit_code) from None
            raise ParameterError(f"{said(error)}; {path} --help says how") from None


def said(error: Any) -> str:
    """Return what click says of wrong use, in the words of the other errors."""
    text: str = error.format_message().rstrip(".")
    for theirs, ours in _WANTED.items():
        text = text.replace(theirs, ours)
    return text[:1].lower() + text[1:]


class OneLineCommand(TyperCommand):
    """A command whose wrong use is one line."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the arguments."""
        with one_line(f"{parent.command_path} {info_name}" if parent else f"{info_name}"):
            return super().make_context(info_name, args, parent, **extra)


class OneLineGroup(TyperGroup):
    """Commands of which one that is not there is one line, too."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the arguments before the command's name."""
        with one_line(f"{info_name}"):
            return super().make_context(info_name, args, parent, **extra)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command."""
        with one_line(ctx.command_path):
            return super().resolve_command(ctx, args)
