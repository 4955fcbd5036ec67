"""Questions answered with a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from index.cli.asking import answering, open_index, subset_of, two_geometries
from index.cli.options import Among, DensityK, DensityRule, Geometries, Index, Top
from index.errors import ParameterError, one_line
from index.measures.density import Rule

app = typer.Typer()

DENSEST, VOCABULARY = "densest", "vocabulary"
"""What a picture can be of, besides a token."""

LISTED = 8
"""How many characters a note names before it counts the rest."""


@app.command(epilog="Example: uv run --extra plot query.py plot planet --out planet.png")
def plot(
    asked: Annotated[
        list[str],
        typer.Argument(
            metavar="densest|vocabulary|TOKEN...",
            help="The densest token, the whole vocabulary, or tokens as in `neighbors`; one called 'densest' or "
            "'vocabulary' by its #id.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help=".png, .svg or .pdf. Of several tokens, a .pdf has several pages, and words.png becomes words-ID.png.",
        ),
    ],
    index: Index = None,
    top: Annotated[
        int | None, typer.Option(help="Length of the neighbor lists; not of the vocabulary.", show_default="30, or all")
    ] = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometry: Geometries = "causal,cosine",
    among: Among = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Draw a token's neighborhood, or the vocabulary, as one figure of four panels. Needs the extra `plot`.

    Scripts that matplotlib's own font lacks need fonts of the system: on Debian fonts-noto-core, fonts-noto-cjk and
    fonts-symbola.
    """
    with answering():
        from index.files import require

        require("matplotlib", extra="plot", command="plot")
        from index.pictures.numbers.vocabulary_series import vocabulary_series
        from index.pictures.plot import plot as plots
        from index.questions import neighbors as questions

        plots.check_format(out)
        if VOCABULARY in asked and (top is not None or among is not None):
            raise ParameterError("plot vocabulary is of all tokens and has no lists; leave --top and --among out")
        bundle = open_index(index)
        settings: dict[str, Any] = {"density_k": density_k, "rule": rule, "geometries": two_geometries(geometry)}
        lists = {**settings, "top": top, "among": subset_of(bundle, among)}
        answers = [
            vocabulary_series(bundle, **settings)
            if question == VOCABULARY
            else questions.densest(bundle, **lists).neighborhood
            if question == DENSEST
            else questions.neighbors(bundle, question, **lists)
            for question in asked
        ]
        plotted = plots.plot(bundle, answers, out, overwrite=overwrite)
        for path in plotted.paths:
            print(one_line(str(path)))
        if plotted.missing:
            print(_missing(plotted.missing), file=sys.stderr)


@app.command(epilog="Example: uv run --extra report query.py report planet --out planet.html")
def report(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The HTML file to write.")],
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[densest|TOKEN...]",
            help="The densest token, the default, or tokens as in `neighbors`; one called 'densest' by its #id.",
        ),
    ] = None,
    index: Index = None,
    top: Top = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometry: Geometries = "causal,cosine",
    among: Among = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Write an answer as one HTML file that needs no network: verdict, tables, charts. Needs the extra `report`."""
    with answering():
        from index.pictures.page.report import write_html_report
        from index.questions import neighbors as questions
        from index.questions.lists import checked_top

        bundle = open_index(index)
        top = checked_top(bundle, top)
        settings: dict[str, Any] = {
            "top": top,
            "density_k": density_k,
            "rule": rule,
            "geometries": two_geometries(geometry),
            "among": subset_of(bundle, among),
        }
        answers = [
            questions.densest(bundle, **settings)
            if question == DENSEST
            else questions.neighbors(bundle, question, **settings)
            for question in asked or [DENSEST]
        ]
        write_html_report(bundle, answers, out, top=top, overwrite=overwrite)
        print(one_line(str(out)))


@app.command(epilog="Example: uv run --extra explore query.py explore --port 0 --no-browser")
def explore(
    index: Index = None,
    port: Annotated[int, typer.Option(help="Of 127.0.0.1; 0 for any that is free.")] = 8765,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    with_map: Annotated[
        bool, typer.Option("--map", help="Make a map of the vocabulary first, if there is none. Needs the extra `map`.")
    ] = False,
    map_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the map is kept.", show_default="NAME.map.parquet beside the bundle"),
    ] = None,
) -> None:
    """Walk through the vocabulary in a browser, on this machine alone; Ctrl-C ends it. Needs the extra `explore`."""
    with answering():
        from threading import Thread
        from webbrowser import open as open_browser

        from index.pictures.explore import map as explore_map
        from index.pictures.explore import server as explore_server

        explore_server.require_libraries()
        bundle = open_index(index)
        map_path = map_file or explore_map.default_path(bundle.folder)
        if explore_map.read_map(map_path, bundle) is None:
            if with_map:
                print(f"making a map of {len(bundle):,} tokens ...", file=sys.stderr)
                explore_map.make_map(bundle, map_path)
            elif map_file is not None:
                raise ParameterError(f"{map_file} is no map of {bundle.name}; pass --map to make it")
        with explore_server.listen(port) as listening:
            address = explore_server.address_of(listening)
            print(address, flush=True)
            if not no_browser:
                # In a thread, because a browser for terminals returns only when it is left.
                Thread(target=open_browser, args=(address,), daemon=True).start()
            explore_server.serve(bundle.folder, map_path, listening)


def _missing(characters: frozenset[str]) -> str:
    """Say which characters are drawn as escapes, and what to install."""
    from index.pictures.plot.fonts import PACKAGES

    listed = ", ".join(f"U+{ord(character):04X}" for character in sorted(characters)[:LISTED])
    more = f" and {len(characters) - LISTED} more" if len(characters) > LISTED else ""
    return (
        f"note: no font here has {listed}{more}; they are drawn as escapes. "
        f"Fonts that have most characters are in the Debian packages {', '.join(PACKAGES)}"
    )
