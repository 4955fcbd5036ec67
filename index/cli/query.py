"""The program that asks: a command for every question of an open bundle."""

import typer

from index.api import QUESTIONS
from index.cli.ask import settle_encoding
from index.cli.command import add_command
from index.cli.explore import app as explore
from index.cli.timeline import app as timeline
from index.cli.usage import OneLineGroup

app = typer.Typer(
    cls=OneLineGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Ask a built bundle. None of these questions loads a model.",
)
for question in QUESTIONS.values():
    add_command(app, question)
app.add_typer(explore)
app.add_typer(timeline)

app.callback()(settle_encoding)
