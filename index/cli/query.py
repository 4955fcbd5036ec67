"""The program that asks: a command for every question of an open bundle."""

from __future__ import annotations

import gc
from collections import UserDict
from typing import Any

import typer

from index.api import QUESTIONS
from index.cli.ask import settle_encoding
from index.cli.command import command_of
from index.cli.explore import app as explore
from index.cli.timeline import app as timeline
from index.cli.usage import OneLineGroup


class _Commands(UserDict[str, Any]):
    """Makes the command of a question when it is taken, so that no other question is loaded."""

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            self.data[name] = command_of(QUESTIONS[name])
        return self.data[name]


class _Group(OneLineGroup):
    def __init__(self, *, commands: dict[str, Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(dict.fromkeys(QUESTIONS) | commands)


app = typer.Typer(
    cls=_Group,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Ask a built bundle. None of these questions loads a model.",
)
app.add_typer(explore)
app.add_typer(timeline)
app.callback()(settle_encoding)

gc.freeze()  # what is loaded by now stays: to look for garbage in it takes a tenth of a short command
