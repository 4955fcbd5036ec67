"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from index.measures.density import Rule

Index = Annotated[
    Path | None,
    typer.Option("--index", metavar="DIR", help="The bundle's folder.", show_default="the one under data/indexes"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, with exact texts.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, with exact texts.")]
Svg = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the table as a picture of a terminal, instead of printing it."),
]
Top = Annotated[int | None, typer.Option(help="Length of the neighbor lists.", show_default="30, or all")]
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
