"""Ask a built bundle. `uv run query.py --help` lists the questions; none of them loads a model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from index.density import Rule
from index.errors import BundleError, LogoscopeError, ParameterError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from index.among import Subset
    from index.bundle import Bundle, Geometry
    from index.questions import Neighborhood

ROOT = Path("data/indexes")

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich", help=__doc__
)

Index = Annotated[
    Path | None,
    typer.Option("--index", metavar="DIR", help="The bundle's folder.", show_default="the one under data/indexes"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, with exact texts.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, with exact texts.")]
Top = Annotated[int, typer.Option(help="Length of the neighbor lists.")]
DensityK = Annotated[
    int | None, typer.Option(help="Neighbors averaged in a density.", show_default="the build's own, 20")
]
Geometries = Annotated[
    str,
    typer.Option(
        "--geometry",
        metavar="A,B",
        help="The two to compare, of causal, cosine and causal-cosine; densities are taken in the first.",
    ),
]
Token = Annotated[
    str, typer.Argument(metavar="TOKEN", help="#id, an exact text, a piece, or a text without its space.")
]
Among = Annotated[
    str | None,
    typer.Option(metavar="SUBSET", help="Only tokens of a FILE of ids (text, .npy, .pt), kind=word or script=Thai."),
]
DensityRule = Annotated[Rule, typer.Option(help="What the zero distances of twins do in a density.")]


@app.command(epilog="Example: uv run query.py densest --top 10 --rule distinct")
def densest(
    index: Index = None,
    top: Top = 30,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometry: Geometries = "causal,cosine",
    among: Among = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The token at the densest point, and its neighbors in both geometries."""
    with _answering():
        from index import questions

        bundle = _open(index)
        geometries = _geometries(geometry)
        found = questions.densest(
            bundle, top=top, density_k=density_k, rule=rule, geometries=geometries, among=_subset(bundle, among)
        )
        _print_lists(
            [found.neighborhood], as_json, as_csv, lambda: _densest_json(found), lambda: _densest_table(found, bundle)
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
    top: Top = 30,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometry: Geometries = "causal,cosine",
    among: Among = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; of many tokens, one line for each.")] = False,
    as_csv: Csv = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the lists to a Parquet file.")] = None,
) -> None:
    """The nearest tokens in both geometries, and how far the two lists agree."""
    with _answering():
        from index import questions

        if as_json + as_csv + (parquet is not None) > 1:
            raise ParameterError("--json, --csv and --parquet exclude each other; pass one")
        if bool(tokens) is (file is not None):
            raise ParameterError("name tokens, or a --file with one on each line, or - for standard input")
        bundle = _open(index)
        ask = partial(
            questions.neighbors,
            bundle,
            top=top,
            density_k=density_k,
            rule=rule,
            geometries=_geometries(geometry),
            among=_subset(bundle, among),
        )
        if file is not None or tokens == ["-"]:
            _answer_lines(file or Path("-"), ask, as_json, as_csv, parquet)
        else:
            found = [ask(token) for token in tokens or ()]
            if parquet is not None:
                from index.batch import write_parquet

                write_parquet(found, parquet)
            else:
                _print_lists(found, as_json, as_csv, lambda: _neighbors_json(found), lambda: _neighbors_table(found))


@app.command(epilog="Example: uv run query.py crosscheck --distances distances_causal_32000.pt")
def crosscheck(
    index: Index = None,
    distances: Annotated[
        Path | None, typer.Option(help="A stored distance matrix: .npy (full), .pt (compressed).")
    ] = None,
    pairs: Annotated[int, typer.Option(help="Random, and nearest, pairs for the quadratic form.")] = 100_000,
    as_json: Json = False,
) -> None:
    """Check the causal distances against (x - y)^T M (x - y), and against a stored matrix. Exit code 1: they differ."""
    with _answering():
        from index.crosscheck import crosscheck as check
        from index.report import crosscheck_json

        found = check(_open(index), distances=distances, pairs=pairs)
        if as_json:
            _print_json(crosscheck_json(found))
        else:
            from index.tables import crosscheck_report

            _print_table(crosscheck_report(found))
        if not found.passed:
            cause = (
                found.matrix.cause if found.matrix is not None and found.matrix.cause else "the quadratic form differs"
            )
            print(f"the cross-check failed: {cause}", file=sys.stderr)
            raise typer.Exit(1)


@app.command(epilog="Example: uv run query.py info --json")
def info(index: Index = None, as_json: Json = False) -> None:
    """What a bundle holds, from what, with which settings and versions."""
    with _answering():
        bundle = _open(index)
        if as_json:
            _print_json(bundle.manifest)
        else:
            from index.tables import info_report

            _print_table(info_report(bundle.manifest, str(bundle.folder)))


@app.command(epilog="Example: uv run query.py overlap --top 30 --geometry cosine,causal-cosine")
def overlap(
    index: Index = None,
    top: Annotated[
        str | None,
        typer.Option(metavar="K,...", help="Lengths of the lists compared.", show_default="10,30,100 up to those kept"),
    ] = None,
    tokens: Annotated[int, typer.Option(help="How many tokens that agree most, and least, to list.")] = 10,
    geometry: Geometries = "causal,cosine",
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """How far the neighbors of all tokens agree between two geometries. CSV: one line for each length of lists."""
    with _answering():
        from index import census, census_report, census_tables

        tops = None if top is None else _whole_numbers("--top", top)
        found = census.overlap(_open(index), tops=tops, listed=tokens, geometries=_geometries(geometry))
        _print_answer(
            as_json,
            as_csv,
            lambda: census_report.overlap_json(found),
            lambda: census_report.overlap_csv(found),
            lambda: census_tables.overlap_report(found),
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
    with _answering():
        from index import census, census_report, census_tables

        if top < 1:
            raise ParameterError(f"--top must be 1 or more, got: {top}")
        found = census.duplicates(_open(index), within=within)
        _print_answer(
            as_json,
            as_csv,
            lambda: census_report.duplicates_json(found),
            lambda: census_report.duplicates_csv(found),
            lambda: census_tables.duplicates_report(found, top),
        )


@app.command(epilog="Example: uv run query.py extremes hubness --top 5")
def extremes(
    what: Annotated[str, typer.Argument(metavar="norm|density|overlap|hubness", help="What to order tokens by.")],
    index: Index = None,
    top: Annotated[int, typer.Option(help="Tokens listed at each end.")] = 10,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    overlap_k: Annotated[int, typer.Option(help="Length of the lists compared in an overlap.")] = 30,
    geometry: Geometries = "causal,cosine",
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The tokens at either end. Hubness: in how many others' --density-k nearest a token is. Norms are uncentered."""
    with _answering():
        from index import census_report, census_tables
        from index import extremes as ends

        found = ends.extremes(
            _open(index),
            ends.measure_named(what),
            top=top,
            density_k=density_k,
            rule=rule,
            overlap_k=overlap_k,
            geometries=_geometries(geometry),
        )
        _print_answer(
            as_json,
            as_csv,
            lambda: census_report.extremes_json(found),
            lambda: census_report.extremes_csv(found),
            lambda: census_tables.extremes_report(found),
        )


@app.command(epilog="Example: uv run query.py metric --pairs 100000")
def metric(
    index: Index = None,
    pairs: Annotated[int, typer.Option(help="Random pairs whose distances are measured.")] = 20_000,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The spectrum of Cov(gamma) and M, what the ridge changed, and norms and distances beside what they must be."""
    with _answering():
        from index import census_report, census_tables, spectrum

        found = spectrum.metric(_open(index), pairs=pairs)
        _print_answer(
            as_json,
            as_csv,
            lambda: census_report.metric_json(found),
            lambda: census_report.metric_csv(found),
            lambda: census_tables.metric_report(found),
        )


@app.command(epilog="Example: uv run query.py find planet")
def find(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Any text; it need not be a token.")],
    index: Index = None,
    top: Annotated[int, typer.Option(help="Tokens named in each way; all are counted.")] = 10,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Which tokens a text can mean, and how the tokenizer splits it. Exit code 1: none."""
    with _answering():
        from index import census_report, census_tables
        from index import find as finder
        from index.vocabulary import display

        found = finder.find(_open(index), text, top=top)
        _print_answer(
            as_json,
            as_csv,
            lambda: census_report.find_json(found),
            lambda: census_report.find_csv(found),
            lambda: census_tables.find_report(found),
        )
        if not found.any:
            print(f"no token can be meant by '{display(text[:60])}'", file=sys.stderr)
            raise typer.Exit(1)


@app.command(epilog="Example: uv run query.py export umap --out knn.npz --geometry cosine")
def export(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="knn-csr (scikit-learn), umap, edges (igraph, NetworkX), atlas (embedding-atlas), "
            "projector (TensorBoard), word2vec (gensim), distances (crosscheck --distances).",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="The file; projector: the folder; distances: a .pt and a .npy.")
    ],
    index: Index = None,
    geometry: Annotated[
        str | None,
        typer.Option(
            metavar="G",
            help="causal, cosine or causal-cosine, for neighbors and vectors.",
            show_default="causal; projector, word2vec: the model's own rows",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(help="Neighbors per token, in graphs.", show_default="all that are kept; atlas: 14"),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="projector: the first N tokens. It shows at most 100,000.", show_default="all"),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(help="distances: of N tokens drawn at random; more than 40,000 need --force.", show_default="all"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of --sample, drawn as build_index.py draws.")] = 42,
    force: Annotated[bool, typer.Option("--force", help="distances: of any number of tokens.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Write the exact graph, the vectors or the distances for another tool. atlas needs the extra `map`."""
    with _answering():
        from index import export as exports
        from index import export_report

        if as_json and as_csv:  # before anything is written
            raise ParameterError("--json and --csv exclude each other; pass one")
        selection = exports.Selection(
            geometry=None if geometry is None else exports.geometry_named(geometry),
            top=top,
            limit=limit,
            sample=sample,
            seed=seed,
            force=force,
        )
        found = exports.export(_open(index), exports.format_named(form), out, selection=selection, overwrite=overwrite)
        _print_answer(
            as_json,
            as_csv,
            lambda: export_report.export_json(found),
            lambda: export_report.export_csv(found),
            lambda: export_report.export_report(found),
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
    with _answering():
        from index import reach, reach_report, reach_tables

        found = reach.within(
            _open(index),
            token,
            radius=radius,
            similarity=similarity,
            geometry=None if geometry is None else _geometry(geometry),
            top=30 if top is None and not (as_json or as_csv) else top,
        )
        _print_answer(
            as_json,
            as_csv,
            lambda: reach_report.within_json(found),
            lambda: reach_report.within_csv(found),
            lambda: reach_tables.within_report(found),
        )


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
    top: Top = 10,
    include_terms: Annotated[bool, typer.Option("--include-terms", help="List the terms, too.")] = False,
    among: Among = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The tokens nearest to a signed sum of tokens, in every geometry."""
    with _answering():
        from index import reach, reach_report, reach_tables

        bundle = _open(index)
        found = reach.analogy(bundle, expression, top=top, include_terms=include_terms, among=_subset(bundle, among))
        _print_answer(
            as_json,
            as_csv,
            lambda: reach_report.analogy_json(found),
            lambda: reach_report.analogy_csv(found),
            lambda: reach_tables.analogy_report(found),
        )


@app.command(epilog="Example: uv run query.py distance planet star")
def distance(a: Token, b: Token, index: Index = None, as_json: Json = False, as_csv: Csv = False) -> None:
    """How far two tokens are apart, in every geometry."""
    with _answering():
        from index import pairs, reach_report, reach_tables

        found = pairs.distance(_open(index), a, b)
        _print_answer(
            as_json,
            as_csv,
            lambda: reach_report.distance_json(found),
            lambda: reach_report.distance_csv(found),
            lambda: reach_tables.distance_report(found),
        )


@app.command(epilog="Example: uv run query.py rank planet star")
def rank(a: Token, b: Token, index: Index = None, as_json: Json = False, as_csv: Csv = False) -> None:
    """The place of each of two tokens in the other's list of all tokens, nearest first, in every geometry."""
    with _answering():
        from index import pairs, reach_report, reach_tables

        found = pairs.rank(_open(index), a, b)
        _print_answer(
            as_json,
            as_csv,
            lambda: reach_report.rank_json(found),
            lambda: reach_report.rank_csv(found),
            lambda: reach_tables.rank_report(found),
        )


@contextmanager
def _answering() -> Iterator[None]:
    """Turn what a user can cause into one line on standard error and exit code 2."""
    try:
        yield
    except LogoscopeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _open(path: Path | None) -> Bundle:
    from index.bundle import MANIFEST, open_bundle

    if path is not None:
        return open_bundle(path)
    found = sorted(manifest.parent for manifest in ROOT.glob(f"[!.]*/{MANIFEST}"))
    if not found:
        raise BundleError(
            f"no bundle under {ROOT}; build one with `uv run build_index.py`, or name one with --index DIR"
        )
    if len(found) > 1:
        raise BundleError(f"{len(found)} bundles under {ROOT}: name one with --index ({', '.join(map(str, found))})")
    return open_bundle(found[0])


def _geometries(names: str) -> tuple[Geometry, Geometry]:
    """Read `causal,cosine` as two geometries."""
    from index.bundle import Geometry

    known = {geometry.label: geometry for geometry in Geometry}
    listed = [name.strip().replace("_", "-") for name in names.split(",")]
    if len(listed) != 2 or not set(listed) <= set(known):
        raise ParameterError(f"--geometry must name two of {', '.join(known)}, as in causal,cosine; got: {names[:60]}")
    return known[listed[0]], known[listed[1]]


def _geometry(name: str) -> Geometry:
    from index.bundle import Geometry

    known = {geometry.label: geometry for geometry in Geometry}
    wanted = known.get(name.strip().replace("_", "-"))
    if wanted is None:
        raise ParameterError(f"--geometry must be one of {', '.join(known)}, got: {name[:60]}")
    return wanted


def _subset(bundle: Bundle, wanted: str | None) -> Subset | None:
    from index.among import subset

    return None if wanted is None else subset(bundle, wanted)


def _answer_lines(
    path: Path, ask: Callable[[str], Neighborhood], as_json: bool, as_csv: bool, parquet: Path | None
) -> None:
    """Answer the token on each line of a file, `-` for standard input. Exit code 2: some do not resolve."""
    from index import batch

    name = "standard input" if str(path) == "-" else str(path)
    refused = 0

    def refuse(number: int, error: LogoscopeError) -> None:
        nonlocal refused
        refused += 1
        print(f"error: {name}, line {number}: {error}", file=sys.stderr)

    with batch.open_lines(path) as lines:
        found = batch.answers(batch.numbered_tokens(lines), ask, refuse)
        if as_json:
            batch.write_json_lines(found, sys.stdout)
        elif as_csv:
            batch.write_csv(found, sys.stdout)
        elif parquet is not None:
            batch.write_parquet(found, parquet)
        else:
            for each in found:
                _print_table(_neighbors_table([each]))
    if refused:
        raise typer.Exit(2)


def _print_lists(
    found: list[Neighborhood], as_json: bool, as_csv: bool, json: Callable[[], Any], table: Callable[[], RenderableType]
) -> None:
    if as_json and as_csv:
        raise ParameterError("--json and --csv exclude each other; pass one")
    if as_json:
        _print_json(json())
    elif as_csv:
        from index.report import to_csv

        sys.stdout.write(to_csv(found))
    else:
        _print_table(table())


def _print_answer(
    as_json: bool,
    as_csv: bool,
    json: Callable[[], Any],
    csv: Callable[[], str],
    table: Callable[[], RenderableType],
) -> None:
    """Print an answer in the one form asked for; only that one is made."""
    if as_json and as_csv:
        raise ParameterError("--json and --csv exclude each other; pass one")
    if as_json:
        _print_json(json())
    elif as_csv:
        sys.stdout.write(csv())
    else:
        _print_table(table())


def _whole_numbers(option: str, typed: str) -> list[int]:
    """Read `10,30,100` as numbers."""
    parts = [part.strip() for part in typed.split(",")]
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise ParameterError(f"{option} must be whole numbers with commas between, as in 10,30,100; got: {typed[:60]}")
    return [int(part) for part in parts]


def _densest_json(found: Any) -> Any:
    from index.report import densest_json

    return densest_json(found)


def _densest_table(found: Any, bundle: Bundle) -> RenderableType:
    from index.tables import densest_report

    return densest_report(found, name=bundle.name, facts=bundle.manifest)


def _neighbors_json(found: list[Neighborhood]) -> Any:
    from index.report import neighborhood_json

    return [neighborhood_json(each) for each in found]


def _neighbors_table(found: list[Neighborhood]) -> RenderableType:
    from rich.console import Group

    from index.tables import neighborhood_report

    return Group(*map(neighborhood_report, found))


def _print_json(answer: Any) -> None:
    from index.report import to_json

    print(to_json(answer))


def _print_table(report: RenderableType) -> None:
    from rich.console import Console

    Console(highlight=False).print(report)


if __name__ == "__main__":
    app()
