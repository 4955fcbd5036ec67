"""Ask a built bundle. `uv run query.py --help` lists the questions; none of them loads a model."""

import typer

from index.cli import bundles, lists, pictures, whole
from index.cli.output import settle_encoding

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich", help=__doc__
)
for group in (lists, whole, pictures, bundles):
    app.add_typer(group.app)

app.callback()(settle_encoding)
