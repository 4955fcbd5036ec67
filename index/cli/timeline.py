"""The command that follows a sweep, which is of many bundles and not of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from index.cli.ask import answering, show
from index.cli.form import Form
from index.cli.progress import progress_bar
from index.cli.usage import OneLineCommand
from index.errors import ParameterError, parameter

app = typer.Typer()


@app.command(cls=OneLineCommand, epilog="Example: uv run query.py timeline data/sweeps/pythia --csv")
def timeline(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `build_index.py --sweep` had as --out.")],
    top: Annotated[int, typer.Option(help="Length of the lists that are compared.")] = 10,
    evaluate: Annotated[
        bool,
        typer.Option("--evaluate", help="Also evaluate each step on the sets of judgments that gensim carries."),
    ] = False,
    judgments: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Evaluate on this file instead; may be repeated.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw it: .png, .svg or .pdf. Needs the extra `plot`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with exact texts.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with exact texts: a line for each step.")] = False,
    parquet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what CSV holds to a Parquet file.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the tables as a picture of a terminal.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """What becomes of a vocabulary over the steps of a sweep: rows, twins, densities, lists, against the step before.

    The rows of all steps are the same tokens. Each step has its own metric, and densities of two steps differ in unit.
    """
    with answering():
        from index.questions.timeline.timeline import timeline as ask

        form = Form(as_json, csv, parquet, svg, None, overwrite)
        if plot is None:
            form.require_use()
        form.require_free()
        if plot is not None:
            from index.pictures.plot.timeline import require_drawable

            require_drawable(plot, overwrite=overwrite)
        if judgments and not evaluate:
            raise ParameterError(f"{parameter('judgments')} goes with {parameter('evaluate')}; pass both")
        with progress_bar() as report:
            found = ask(
                folder,
                top=top,
                judgments=(judgments or ()) if evaluate else None,
                progress=report,
            )
        if plot is not None:
            from index.pictures.plot.timeline import draw_timeline

            draw_timeline(found, plot, overwrite=overwrite)
        show(found, form, f"timeline of {folder.name}")
