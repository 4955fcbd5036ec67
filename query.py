"""Ask a built bundle. `uv run query.py --help` lists the questions; none of them loads a model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from index.density import Rule
from index.errors import BundleError, LogoscopeError, ParameterError

if TYPE_CHECKING:
    from rich.console import RenderableType

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
DensityRule = Annotated[Rule, typer.Option(help="What the zero distances of twins do in a density.")]


@app.command(epilog="Example: uv run query.py densest --top 10 --rule distinct")
def densest(
    index: Index = None,
    top: Top = 30,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometry: Geometries = "causal,cosine",
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The token at the densest point, and its neighbors in both geometries."""
    with _answering():
        from index import questions

        bundle = _open(index)
        geometries = _geometries(geometry)
        found = questions.densest(bundle, top=top, density_k=density_k, rule=rule, geometries=geometries)
        _print_lists(
            [found.neighborhood], as_json, as_csv, lambda: _densest_json(found), lambda: _densest_table(found, bundle)
        )


@app.command(epilog="Example: uv run query.py neighbors planet '#9966' --top 10")
def neighbors(
    tokens: Annotated[
        list[str], typer.Argument(metavar="TOKEN...", help="#id, an exact text, a piece, or a text without its space.")
    ],
    index: Index = None,
    top: Top = 30,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometry: Geometries = "causal,cosine",
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The nearest tokens in both geometries, and how far the two lists agree."""
    with _answering():
        from index import questions

        bundle = _open(index)
        geometries = _geometries(geometry)
        found = [
            questions.neighbors(bundle, token, top=top, density_k=density_k, rule=rule, geometries=geometries)
            for token in tokens
        ]
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
