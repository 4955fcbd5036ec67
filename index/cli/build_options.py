"""What `build_index.py` is given: of each argument and option its type and its help, for the signature there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SourceName = Annotated[
    str | None,
    typer.Argument(
        help="Hugging Face id, model folder, or .gguf, .safetensors, .npy, .pt file. None: the bundled model.",
        show_default=False,
    ),
]

Out = Annotated[Path | None, typer.Option(help="The bundle's own folder.", show_default="data/indexes/NAME")]

SweepList = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Build a bundle under --out of each source that a file lists, of each branch OWNER/NAME@step* on the "
        "Hub, or of each matrix in a stack (.safetensors, .npy, .h5).",
    ),
]

Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Make the graphs, or the steps of a sweep, by so many processes. Needs the extra `cluster`.",
    ),
]

Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="tcp://HOST:PORT",
        help="Have the workers of a Dask scheduler make the graphs, or the steps of a sweep.",
    ),
]

Bits = Annotated[str | None, typer.Option("--as", metavar="bf16", help="What the uint16 of a stack are the bits of.")]

Tokenizer = Annotated[
    str | None,
    typer.Option(help="Where a bare matrix's texts come from: a folder, Hub id, tokenizer.json or .gguf."),
]

MetricTensor = Annotated[
    Path | None, typer.Option(help="A given M (.pt, .safetensors, .npy) instead of the inverse covariance.")
]

Ridge = Annotated[float, typer.Option(help="Added to the diagonal of Cov(gamma) before it is inverted.")]

Sample = Annotated[
    str | None, typer.Option(metavar="N|FILE", help="Index N random tokens, or those a .pt or .npy lists.")
]

Seed = Annotated[int, typer.Option(help="Of the random sample, and of a control.")]

Control = Annotated[
    str | None,
    typer.Option(
        metavar="gaussian|covariance|shuffle",
        help="Index points without structure instead: of the mean length of the rows, of their mean and "
        "covariance, or each column shuffled by itself.",
    ),
]

Distances = Annotated[
    Path | None, typer.Option(help="A stored distance matrix (.npy, .pt) to check the result against.")
]

Neighbors = Annotated[int, typer.Option(help="Neighbors kept for each token, in each geometry.")]

DensityK = Annotated[int, typer.Option(help="Neighbors averaged in a density.")]

Centered = Annotated[bool, typer.Option("--centered", help="Take causal cosines at the mean row, instead of at zero.")]

IndexFactories = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STRING", help="Also build this approximate FAISS index, and state its recall; may be repeated."
    ),
]

Cache = Annotated[Path, typer.Option(metavar="DIR", help="Where what is fetched of a file on the Hub is kept.")]

WithMap = Annotated[
    bool, typer.Option("--map", help="Also lay out the maps that `explore` shows. Needs the extra `map`.")
]

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]

Threads = Annotated[int | None, typer.Option(help="For everything that runs in parallel.", show_default="all cores")]

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")]

AsJson = Annotated[
    bool, typer.Option("--json", help="Print the densest-token report, or what became of a sweep, as JSON.")
]
