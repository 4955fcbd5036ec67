"""Questions about the vocabulary as a whole."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from index.cli.asking import answering, open_index, two_geometries, whole_numbers
from index.cli.options import Csv, DensityK, DensityRule, Geometries, Index, Json
from index.cli.output import print_answer
from index.errors import ParameterError
from index.measures.density import Rule

app = typer.Typer()


@app.command(epilog="Example: uv run query.py overlap --top 30 --geometry cosine,causal-cosine")
def overlap(
    index: Index = None,
    top: Annotated[
        str | None,
        typer.Option(metavar="K,...", help="Lengths of the lists compared.", show_default="10,30,100 up to those kept"),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(help="How many tokens that agree most, and least, to list.", show_default="10, or all")
    ] = None,
    geometry: Geometries = "causal,cosine",
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """How far the neighbors of all tokens agree between two geometries. CSV: one line for each length of lists."""
    with answering():
        from index import census_report, census_tables
        from index.questions import census

        tops = None if top is None else whole_numbers("--top", top)
        found = census.overlap(open_index(index), tops=tops, listed=tokens, geometries=two_geometries(geometry))
        print_answer(
            found,
            census_report.overlap_json,
            census_report.overlap_csv,
            census_tables.overlap_report,
            as_json=as_json,
            as_csv=as_csv,
        )


@app.command(epilog="Example: uv run query.py duplicates --within 0.5")
def duplicates(
    index: Index = None,
    within: Annotated[
        float | None,
        typer.Option(metavar="EPS", help="Also near-twins: connect tokens no further apart, in logometers."),
    ] = None,
    top: Annotated[int, typer.Option(help="Groups shown in the table; JSON and CSV have them all.")] = 30,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Groups of tokens with the same vector; with --within, groups that chains of near-twins connect, exactly."""
    with answering():
        from index import census_report, census_tables
        from index.questions import census

        if top < 1:
            raise ParameterError(f"--top must be 1 or more, got: {top}")
        found = census.duplicates(open_index(index), within=within)
        print_answer(
            found,
            census_report.duplicates_json,
            census_report.duplicates_csv,
            partial(census_tables.duplicates_report, top=top),
            as_json=as_json,
            as_csv=as_csv,
        )


@app.command(epilog="Example: uv run query.py extremes hubness --top 5")
def extremes(
    what: Annotated[str, typer.Argument(metavar="norm|density|overlap|hubness", help="What to order tokens by.")],
    index: Index = None,
    top: Annotated[int | None, typer.Option(help="Tokens listed at each end.", show_default="10, or all")] = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    overlap_k: Annotated[
        int | None,
        typer.Option(help="Length of the lists compared in an overlap.", show_default="30, or all kept"),
    ] = None,
    geometry: Geometries = "causal,cosine",
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The tokens at either end. Hubness: in how many others' --density-k nearest a token is. Norms are uncentered."""
    with answering():
        from index import census_report, census_tables
        from index.questions import extremes as ends

        found = ends.extremes(
            open_index(index),
            ends.measure_named(what),
            top=top,
            density_k=density_k,
            rule=rule,
            overlap_k=overlap_k,
            geometries=two_geometries(geometry),
        )
        print_answer(
            found,
            census_report.extremes_json,
            census_report.extremes_csv,
            census_tables.extremes_report,
            as_json=as_json,
            as_csv=as_csv,
        )


@app.command(epilog="Example: uv run query.py metric --pairs 100000")
def metric(
    index: Index = None,
    pairs: Annotated[int, typer.Option(help="Random pairs whose distances are measured.")] = 20_000,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The spectrum of Cov(gamma) and M, what the ridge changed, and norms and distances beside what they must be."""
    with answering():
        from index import census_report, census_tables
        from index.questions import metric as spectrum

        found = spectrum.metric(open_index(index), pairs=pairs)
        print_answer(
            found,
            census_report.metric_json,
            census_report.metric_csv,
            census_tables.metric_report,
            as_json=as_json,
            as_csv=as_csv,
        )
