"""Ask a built bundle. `uv run query.py --help` lists the questions; none of them loads a model."""

import typer

from commands import bundles, lists, pictures, whole

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich", help=__doc__
)
for group in (lists, whole, pictures, bundles):
    app.add_typer(group.app)

if __name__ == "__main__":
    app()
