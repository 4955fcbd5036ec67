"""Build a bundle: both geometries of a model's vocabulary, indexed once. `uv run build_index.py --help` says how."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from index.answers.page import counted
from index.cli import build_options as given
from index.cli.ask import answering, as_option, print_json, print_page, settle_encoding
from index.cli.usage import OneLineCommand
from index.errors import ParameterError, one_line, parameter

if TYPE_CHECKING:
    from index.build.build import Built
    from index.build.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

EXAMPLES = """
Examples:

  uv run build_index.py                                 the bundled SmolLM2-135M-Instruct

  uv run build_index.py Qwen/Qwen3-0.6B                 a model of the Hugging Face Hub

  uv run build_index.py ~/models/gemma --ridge 0        a local folder, no ridge

  uv run build_index.py gamma.npy --tokenizer ~/models/gemma

  uv run build_index.py --sweep EleutherAI/pythia-70m@step* --out data/sweeps/pythia     a bundle of each checkpoint

  uv run build_index.py --index-factory IVF256,Flat     an approximate index beside the exact one, with its recall

  uv run build_index.py --control covariance            what structureless points would give
"""


@app.command(cls=OneLineCommand, epilog=EXAMPLES)
def build_index(
    source: given.SourceName = None,
    out: given.Out = None,
    sweep: given.SweepList = None,
    workers: given.Workers = None,
    scheduler: given.Scheduler = None,
    bits: given.Bits = None,
    tokenizer: given.Tokenizer = None,
    metric_tensor: given.MetricTensor = None,
    ridge: given.Ridge = 1e-6,
    sample: given.Sample = None,
    seed: given.Seed = 42,
    control: given.Control = None,
    distances: given.Distances = None,
    neighbors: given.Neighbors = 100,
    density_k: given.DensityK = 20,
    centered: given.Centered = False,
    index_factory: given.IndexFactories = None,
    cache: given.Cache = Path("data/cache"),
    with_map: given.WithMap = False,
    device: given.Device = "auto",
    threads: given.Threads = None,
    overwrite: given.Overwrite = False,
    as_json: given.AsJson = False,
) -> None:
    """Index every token of a language model's vocabulary in cosine similarity and in the causal metric.

    Ends by printing the densest token and its neighbors in both; a sweep, what became of each step. Exit codes:
    0 done, 1 the cross-check failed, or steps of a sweep did, 2 wrong use or bad input.
    """
    settle_encoding()
    # Arrow's own allocator maps a gibibyte before it needs any, which counts against a limit on memory.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from index.build.settings import Settings

    settings = Settings(
        source=source,
        tokenizer=tokenizer,
        out=out,
        metric_tensor=metric_tensor,
        ridge=ridge,
        sample=sample,
        seed=seed,
        control=control,
        distances=distances,
        neighbors=neighbors,
        density_k=density_k,
        centered=centered,
        index_factories=tuple(index_factory or ()),
        cache=cache,
        device=device,
        threads=threads,
        overwrite=overwrite,
    )
    try:
        with answering():
            if sweep is None:
                done = _build_and_report(settings, bits, workers, scheduler, with_map=with_map, as_json=as_json)
            else:
                from index.cli.sweep import sweep_and_report

                done = sweep_and_report(sweep, settings, bits, workers, scheduler, with_map=with_map, as_json=as_json)
    except KeyboardInterrupt as stop:
        print(f"stopped: {_left_behind(stop)}", file=sys.stderr)
        raise typer.Exit(130) from None
    if not done:
        raise typer.Exit(1)


def _build_and_report(
    settings: Settings, bits: str | None, workers: int | None, scheduler: str | None, *, with_map: bool, as_json: bool
) -> bool:
    """Build, say what was built, print the densest token; return whether the stored distances agreed."""
    if bits is not None:
        raise ParameterError(f"{parameter('as', bits)} goes with {parameter('sweep')}; leave it out")
    from index.answers.answer import json_of, page_of
    from index.build.build import build
    from index.bundle.bundle import open_bundle
    from index.cli.progress import progress_bar
    from index.export.layout import require_layout
    from index.pictures.explore.map import default_path, make_map
    from index.questions.densest import densest

    if with_map:
        require_layout("--map", program="build_index.py")
    with progress_bar() as progress:
        built = build(settings, progress, workers=workers, scheduler=scheduler)
    bundle = open_bundle(built.folder)
    V, D, K = bundle.manifest.V, bundle.manifest.D, bundle.manifest.K
    notes = [
        f"built {built.folder}: {V:,} tokens x {D:,}, {counted(K, 'neighbor')} in each geometry, "
        f"{built.bytes / 1e6:,.0f} MB, {built.seconds:.1f} s",
        *noticed(built, V),
    ]
    if built.crosscheck is not None:
        outcome = built.crosscheck.refusal or "the stored distances agree"
        notes.append(f"{outcome} (query.py crosscheck says more)")
    for note in notes:
        print(one_line(note), file=sys.stderr)
    if with_map:
        with progress_bar() as progress:
            make_map(bundle, default_path(bundle.folder), progress)
    found = densest(bundle)
    found.about(bundle.manifest.control)
    if as_json:
        print_json(json_of(found))
    else:
        print_page(page_of(found))
    return built.crosscheck is None or built.crosscheck.ok


def noticed(built: Built, V: int) -> list[str]:
    """Return what to know of a bundle that was built, a line each."""
    notes = []
    if built.reused:
        names = ", ".join(geometry.label for geometry in built.reused)
        notes.append(f"kept from a build that did not end: {names}")
    if built.orphans == V:
        notes.append(
            f"no row has a text: tokens are named by their ids, unless {as_option('tokenizer', None)} gives them theirs"
        )
    elif built.orphans:
        notes.append(f"{built.orphans:,} of the {V:,} rows are orphans: no token of the tokenizer, no text")
    if built.left_out:
        notes.append(f"the tokenizer has {counted(built.left_out, 'added token')} beyond the rows: left out")
    if built.zero_ids:
        listed = ", ".join(f"#{token_id}" for token_id in built.zero_ids[:10])
        more = f" and {len(built.zero_ids) - 10} more" if len(built.zero_ids) > 10 else ""
        notes.append(f"zero rows have no direction and no cosine neighbors: {listed}{more}")
    return [*notes, *built.notes]


def _left_behind(stop: KeyboardInterrupt) -> str:
    """Say what a build that was stopped has left for the next run."""
    from index.build.place import Stopped
    from index.geometry.maps import Geometry
    from index.sources.one_tensor import Interrupted

    if isinstance(stop, Interrupted):
        return f"what has come is kept for the next run, in {stop.path}"
    if not isinstance(stop, Stopped) or not (stop.kept or stop.tiles):
        return "nothing was left behind"
    tiles = ", and tiles of the next," if stop.tiles else ""
    kept = f"{len(stop.kept)} of {len(Geometry)} spaces {'is' if len(stop.kept) == 1 else 'are'} kept{tiles}"
    return f"{kept} for the next run, in {stop.folder}"
