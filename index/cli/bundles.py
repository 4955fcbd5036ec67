"""Questions about the bundle itself: what it holds, what a text means in it, whether it is right; and copies of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from index.cli.asking import answering, open_index
from index.cli.options import Csv, Index, Json
from index.cli.output import crosscheck_cause, one_form, print_answer, print_json, print_table
from index.errors import one_line

app = typer.Typer()


@app.command(epilog="Example: uv run query.py info --json")
def info(index: Index = None, as_json: Json = False) -> None:
    """What a bundle holds, from what, with which settings and versions."""
    with answering():
        bundle = open_index(index)
        if as_json:
            print_json(msgspec.to_builtins(bundle.manifest))
        else:
            from index.tables import info_report

            print_table(info_report(bundle.manifest, str(bundle.folder)))


@app.command(epilog="Example: uv run query.py find planet")
def find(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Any text; it need not be a token.")],
    index: Index = None,
    top: Annotated[int, typer.Option(help="Tokens named in each way; all are counted.")] = 10,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Which tokens a text can mean, and how the tokenizer splits it. Exit code 1: none."""
    with answering():
        from index import census_report, census_tables
        from index.questions import find as finder
        from index.tokens.display import display

        found = finder.find(open_index(index), text, top=top)
        print_answer(
            found,
            census_report.find_json,
            census_report.find_csv,
            census_tables.find_report,
            as_json=as_json,
            as_csv=as_csv,
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
    with answering():
        from index import export_report
        from index.export import export as exports

        one_form(json=as_json, csv=as_csv)
        selection = exports.Selection(
            geometry=None if geometry is None else exports.geometry_named(geometry),
            top=top,
            limit=limit,
            sample=sample,
            seed=seed,
            force=force,
        )
        found = exports.export(
            open_index(index), exports.format_named(form), out, selection=selection, overwrite=overwrite
        )
        print_answer(
            found,
            export_report.export_json,
            export_report.export_csv,
            export_report.export_report,
            as_json=as_json,
            as_csv=as_csv,
        )


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
    with answering():
        from index.checks.crosscheck import crosscheck as check

        found = check(open_index(index), distances=distances, pairs=pairs)
        if as_json:
            print_json(found.json())
        else:
            from index.tables import crosscheck_report

            print_table(crosscheck_report(found))
        if not found.passed:
            print(f"the cross-check failed: {one_line(crosscheck_cause(found))}", file=sys.stderr)
            raise typer.Exit(1)


@app.command(epilog="Example: uv run query.py verify --deep")
def verify(
    index: Index = None,
    rows: Annotated[int, typer.Option(help="Random tokens whose lists are found again in float64.")] = 100,
    pairs: Annotated[int, typer.Option(help="Random, and nearest, pairs for the quadratic form.")] = 20_000,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also against float64 brute force over the model's own rows, and M anew.")
    ] = False,
    deep_rows: Annotated[int, typer.Option(help="Random tokens for --deep.")] = 1000,
    as_json: Json = False,
) -> None:
    """Check a bundle: every byte, a sample of its graphs in float64, the quadratic form. Exit code 1: it is wrong."""
    with answering():
        from index.checks.verify import verify as check
        from index.cli.progress import progress_bar
        from index.verify_report import verify_report

        with progress_bar() as report:
            found = check(
                open_index(index),
                rows=rows,
                pairs=pairs,
                deep=deep,
                deep_rows=deep_rows,
                progress=lambda step, share: report(step, round(1000 * share), 1000),
            )
        if as_json:
            print_json(found.json())
        else:
            print_table(verify_report(found))
        if not found.passed:
            print("the bundle is wrong: build it again", file=sys.stderr)
            raise typer.Exit(1)
