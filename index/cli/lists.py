"""Questions about one token, or a few: who is near, and how near."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from index.cli.asking import answering, geometry_named, open_index, subset_of, two_geometries
from index.cli.options import Among, Csv, DensityK, DensityRule, Geometries, Index, Json, Svg, Token, Top
from index.cli.output import one_form, print_answer, print_table, print_text
from index.errors import LogoscopeError, ParameterError, one_line
from index.measures.density import Rule

if TYPE_CHECKING:
    from rich.console import RenderableType

    from index.questions.neighbors import Neighborhood

app = typer.Typer()


@app.command(epilog="Example: uv run query.py densest --top 10 --rule distinct")
def densest(
    index: Index = None,
    top: Top = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometry: Geometries = "causal,cosine",
    among: Among = None,
    as_json: Json = False,
    as_csv: Csv = False,
    svg: Svg = None,
) -> None:
    """The token at the densest point, and its neighbors in both geometries."""
    with answering():
        from index import report, tables
        from index.questions import neighbors as questions

        one_form(json=as_json, csv=as_csv, svg=svg)
        bundle = open_index(index)
        geometries = two_geometries(geometry)
        found = questions.densest(
            bundle, top=top, density_k=density_k, rule=rule, geometries=geometries, among=subset_of(bundle, among)
        )
        as_table = partial(tables.densest_report, name=bundle.name, facts=bundle.manifest)
        if svg is not None:
            from index.answers.terminal import write_terminal_svg

            write_terminal_svg(as_table(found), svg, title=f"the densest token in {bundle.name}")
            return
        print_answer(
            found,
            report.densest_json,
            lambda answer: report.to_csv([answer.neighborhood]),
            as_table,
            as_json=as_json,
            as_csv=as_csv,
        )


@app.command(epilog="Example: uv run query.py neighbors planet '#9966' --top 10")
def neighbors(
    tokens: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOKEN...", help="#id, an exact text, a piece, or a text without its space; - for standard input."
        ),
    ] = None,
    index: Index = None,
    file: Annotated[
        Path | None, typer.Option(help="Tokens to ask for, one on each line; answers come as they are done.")
    ] = None,
    top: Top = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometry: Geometries = "causal,cosine",
    among: Among = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; of many tokens, one line for each.")] = False,
    as_csv: Csv = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the lists to a Parquet file.")] = None,
    svg: Svg = None,
) -> None:
    """The nearest tokens in both geometries, and how far the two lists agree."""
    with answering():
        from index import report
        from index.questions import neighbors as questions

        one_form(json=as_json, csv=as_csv, parquet=parquet, svg=svg)
        if bool(tokens) is (file is not None):
            raise ParameterError("name tokens, or a --file with one on each line, or - for standard input")
        bundle = open_index(index)
        ask = partial(
            questions.neighbors,
            bundle,
            top=top,
            density_k=density_k,
            rule=rule,
            geometries=two_geometries(geometry),
            among=subset_of(bundle, among),
        )
        many = file is not None or tokens == ["-"]
        if many and svg is not None:
            raise ParameterError("--svg is of tokens named on the command line; leave --file and - out")
        if many:
            _answer_lines(file or Path("-"), ask, as_json, as_csv, parquet)
        else:
            found = [ask(token) for token in tokens or ()]
            if parquet is not None:
                from index.cli.many import write_parquet

                write_parquet(found, parquet)
            elif svg is not None:
                _draw_all(found, svg, bundle.name)
            else:
                print_answer(found, _all_as_json, report.to_csv, _all_as_tables, as_json=as_json, as_csv=as_csv)


def _all_as_json(found: list[Neighborhood]) -> list[Any]:
    from index.report import neighborhood_json

    return [neighborhood_json(each) for each in found]


def _all_as_tables(found: list[Neighborhood]) -> RenderableType:
    from rich.console import Group

    from index.tables import neighborhood_report

    return Group(*map(neighborhood_report, found))


def _draw_all(found: list[Neighborhood], path: Path, name: str) -> None:
    from index.answers.terminal import write_terminal_svg
    from index.tables import shown

    named = ", ".join(shown(each.token) for each in found)
    write_terminal_svg(_all_as_tables(found), path, title=f"nearest tokens of {named} in {name}")


def _answer_lines(
    path: Path, ask: Callable[[str], Neighborhood], as_json: bool, as_csv: bool, parquet: Path | None
) -> None:
    """Answer the token on each line of a file, `-` for standard input. Exit code 2: some do not resolve."""
    from index.cli import many as batch

    name = "standard input" if str(path) == "-" else str(path)
    refused = 0

    def refuse(number: int, error: LogoscopeError) -> None:
        nonlocal refused
        refused += 1
        print(f"error: {one_line(name)}, line {number}: {error}", file=sys.stderr)

    with batch.open_lines(path) as lines:
        found = batch.answers(batch.numbered_tokens(lines), ask, refuse)
        if as_json or as_csv:
            for text in batch.json_lines(found) if as_json else batch.csv_lines(found):
                print_text(text)
        elif parquet is not None:
            batch.write_parquet(found, parquet)
        else:
            for each in found:
                print_table(_all_as_tables([each]))
    if refused:
        raise typer.Exit(2)


@app.command(
    epilog='Example: uv run query.py analogy "vier - four + planet"',
    context_settings={"ignore_unknown_options": True},  # a sum may begin with a minus
)
def analogy(
    expression: Annotated[
        str,
        typer.Argument(
            metavar="TERMS",
            help="Tokens with + or - between them; texts with spaces or signs in quotes: \"vier - ' four' + #7\".",
        ),
    ],
    index: Index = None,
    top: Annotated[int | None, typer.Option(help="Tokens listed.", show_default="10, or all")] = None,
    include_terms: Annotated[bool, typer.Option("--include-terms", help="List the terms, too.")] = False,
    among: Among = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The tokens nearest to a signed sum of tokens, in every geometry."""
    with answering():
        from index import reach_report, reach_tables
        from index.questions import reach

        bundle = open_index(index)
        found = reach.analogy(bundle, expression, top=top, include_terms=include_terms, among=subset_of(bundle, among))
        print_answer(
            found,
            reach_report.analogy_json,
            reach_report.analogy_csv,
            reach_tables.analogy_report,
            as_json=as_json,
            as_csv=as_csv,
        )


@app.command(epilog="Example: uv run query.py within planet --radius 27")
def within(
    token: Token,
    index: Index = None,
    radius: Annotated[float | None, typer.Option(help="In the causal metric, in logometers.")] = None,
    similarity: Annotated[float | None, typer.Option(help="The least cosine, from -1 to 1.")] = None,
    geometry: Annotated[
        str | None,
        typer.Option(help="causal, cosine or causal-cosine.", show_default="causal; with --similarity cosine"),
    ] = None,
    top: Annotated[int | None, typer.Option(help="Tokens listed.", show_default="30; in JSON and CSV all")] = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """All tokens within a causal radius of a token, or within a cone around it: how many, and which."""
    with answering():
        from index import reach_report, reach_tables
        from index.questions import reach

        found = reach.within(
            open_index(index),
            token,
            radius=radius,
            similarity=similarity,
            geometry=None if geometry is None else geometry_named(geometry),
            top=30 if top is None and not (as_json or as_csv) else top,
        )
        print_answer(
            found,
            reach_report.within_json,
            reach_report.within_csv,
            reach_tables.within_report,
            as_json=as_json,
            as_csv=as_csv,
        )


@app.command(epilog="Example: uv run query.py distance planet star")
def distance(a: Token, b: Token, index: Index = None, as_json: Json = False, as_csv: Csv = False) -> None:
    """How far two tokens are apart, in every geometry."""
    with answering():
        from index import reach_report, reach_tables
        from index.questions import pairs

        found = pairs.distance(open_index(index), a, b)
        print_answer(
            found,
            reach_report.distance_json,
            reach_report.distance_csv,
            reach_tables.distance_report,
            as_json=as_json,
            as_csv=as_csv,
        )


@app.command(epilog="Example: uv run query.py rank planet star")
def rank(a: Token, b: Token, index: Index = None, as_json: Json = False, as_csv: Csv = False) -> None:
    """The place of each of two tokens in the other's list of all tokens, nearest first, in every geometry."""
    with answering():
        from index import reach_report, reach_tables
        from index.questions import pairs

        found = pairs.rank(open_index(index), a, b)
        print_answer(
            found,
            reach_report.rank_json,
            reach_report.rank_csv,
            reach_tables.rank_report,
            as_json=as_json,
            as_csv=as_csv,
        )
