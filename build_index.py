"""Build a bundle: both geometries of a model's vocabulary, indexed once. `uv run build_index.py --help` says how."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from index.errors import LogoscopeError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from index.settings import Settings
    from index.space_build import Progress

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
progress_console = Console(stderr=True, highlight=False)

EXAMPLES = """
Examples:

  uv run build_index.py                                 the bundled SmolLM2-135M-Instruct

  uv run build_index.py Qwen/Qwen3-0.6B                 a model of the Hugging Face Hub

  uv run build_index.py ~/models/gemma --ridge 0        a local folder, no ridge

  uv run build_index.py gamma.npy --tokenizer ~/models/gemma

  uv run build_index.py --index-factory IVF256,Flat     an approximate index beside the exact one, with its recall
"""


@app.command(epilog=EXAMPLES)
def build_index(
    source: Annotated[
        str | None,
        typer.Argument(
            help="Hugging Face id, model folder, or .gguf, .safetensors, .npy, .pt file. None: the bundled model.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The bundle's own folder.", show_default="data/indexes/NAME")] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="Where a bare matrix's texts come from: a folder, Hub id, tokenizer.json or .gguf."),
    ] = None,
    metric_tensor: Annotated[
        Path | None, typer.Option(help="A given M (.pt, .safetensors, .npy) instead of the inverse covariance.")
    ] = None,
    ridge: Annotated[float, typer.Option(help="Added to the diagonal of Cov(gamma) before it is inverted.")] = 1e-6,
    sample: Annotated[
        str | None, typer.Option(metavar="N|FILE", help="Index N random tokens, or those a .pt or .npy lists.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random sample.")] = 42,
    distances: Annotated[
        Path | None, typer.Option(help="A stored distance matrix (.npy, .pt) to check the result against.")
    ] = None,
    neighbors: Annotated[int, typer.Option(help="Neighbors kept for each token, in each geometry.")] = 100,
    density_k: Annotated[int, typer.Option(help="Neighbors averaged in a density.")] = 20,
    centered: Annotated[
        bool, typer.Option("--centered", help="Take causal cosines at the mean row, instead of at zero.")
    ] = False,
    index_factory: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STRING", help="Also build this approximate FAISS index, and state its recall; may be repeated."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="For everything that runs in parallel.", show_default="all cores")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the densest-token report as JSON.")] = False,
) -> None:
    """Index every token of a language model's vocabulary in cosine similarity and in the causal metric.

    Ends by printing the densest token and its neighbors in both. Exit codes: 0 done, 1 the stored distances disagree,
    2 wrong use or bad input.
    """
    from index.settings import Settings

    settings = Settings(
        source=source,
        tokenizer=tokenizer,
        out=out,
        metric_tensor=metric_tensor,
        ridge=ridge,
        sample=sample,
        seed=seed,
        distances=distances,
        neighbors=neighbors,
        density_k=density_k,
        centered=centered,
        index_factories=tuple(index_factory or ()),
        device=device,
        threads=threads,
        overwrite=overwrite,
    )
    try:
        agreed = _build_and_report(settings, as_json=as_json)
    except LogoscopeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        print("stopped: nothing was left behind", file=sys.stderr)
        raise typer.Exit(130) from None
    if not agreed:
        raise typer.Exit(1)


def _build_and_report(settings: Settings, *, as_json: bool) -> bool:
    """Build, say what was built, print the densest token; return whether the stored distances agreed."""
    from index.build import build
    from index.bundle import open_bundle
    from index.questions import densest
    from index.report import densest_json, to_json
    from index.tables import densest_report

    with _Bar() if progress_console.is_terminal else nullcontext(_silent) as progress:
        built = build(settings, progress)
    bundle = open_bundle(built.folder)
    V, D, K = (bundle.manifest[name] for name in "VDK")
    notes = [
        f"built {built.folder}: {V:,} tokens x {D:,}, {K} neighbors in each geometry, "
        f"{built.bytes / 1e6:,.0f} MB, {built.seconds:.1f} s"
    ]
    if built.orphans:
        notes.append(f"{built.orphans:,} of the {V:,} rows are orphans: no token of the tokenizer, no text")
    if built.zero_ids:
        listed = ", ".join(f"#{token_id}" for token_id in built.zero_ids[:10])
        more = f" and {len(built.zero_ids) - 10} more" if len(built.zero_ids) > 10 else ""
        notes.append(f"zero rows have no direction and no cosine neighbors: {listed}{more}")
    if built.crosscheck_passed is not None:
        outcome = (
            "agree" if built.crosscheck_passed else f"DISAGREE: {bundle.manifest['crosscheck']['matrix']['cause']}"
        )
        notes.append(f"the stored distances {outcome} (query.py crosscheck says more)")
    for note in notes:
        print(note, file=sys.stderr)
    top = min(30, V - 1)
    found = densest(bundle, top=top)
    if as_json:
        print(to_json(densest_json(found)))
    else:
        Console(highlight=False, soft_wrap=False).print(densest_report(found, name=bundle.name, facts=bundle.manifest))
    return built.crosscheck_passed is not False


def _silent(step: str, done: int, total: int) -> None:
    """Report nothing: standard error is no terminal."""


class _Bar:
    """A progress bar on standard error: one line per step, with rate and time left."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._steps: dict[str, TaskID] = {}
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rate]}", justify="right"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=progress_console,
        )

    def __enter__(self) -> Progress:
        self._bar.start()
        return self._report

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _report(self, step: str, done: int, total: int) -> None:
        if step not in self._steps:
            self._steps[step] = self._bar.add_task(step, total=total, rate="")
        task_id = self._steps[step]
        elapsed = self._bar.tasks[task_id].elapsed
        rate = f"{done / elapsed:,.0f}/s" if total > 1 and elapsed else ""
        self._bar.update(task_id, completed=done, rate=rate)


if __name__ == "__main__":
    app()
