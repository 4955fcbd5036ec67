"""`report`: an answer as one HTML file that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from index.answers.answer import Answer, Row
from index.answers.page import Block, Sentence
from index.bundle.bundle import Bundle
from index.errors import one_line
from index.measures.density import Rule
from index.questions.densest import densest
from index.questions.neighbors import neighbors
from index.questions.parameters import (
    CAUSAL_AND_COSINE,
    Among,
    DensityK,
    DensityRule,
    Geometries,
    Overwrite,
    Top,
    list_length,
)
from index.questions.question import Doc

DENSEST = "densest"
"""What a report can be of, besides a token."""


@dataclass(frozen=True)
class Reported(Answer):
    """What was written."""

    path: Path

    columns: ClassVar = {"path": str, "bytes": int}

    def rows(self) -> list[Row]:
        """Return one record."""
        return [{"path": str(self.path), "bytes": self.path.stat().st_size}]

    def json(self) -> dict[str, Any]:
        """Return the file and its size."""
        return self.rows()[0]

    def page(self) -> list[Block]:
        """Return the file's name."""
        return [Sentence(one_line(str(self.path)))]


def report(
    bundle: Bundle,
    asked: Annotated[
        list[str] | None,
        Doc(
            "The densest token, the default, or tokens as in `neighbors`; one called 'densest' by its #id.",
            metavar="[densest|TOKEN...]",
        ),
    ] = None,
    *,
    out: Annotated[Path, Doc("The HTML file to write.", metavar="FILE")],
    top: Top = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometries: Geometries = CAUSAL_AND_COSINE,
    among: Among = None,
    overwrite: Overwrite = False,
) -> Reported:
    """Write an answer as one HTML file that needs no network: verdict, tables, charts. Needs the extra `report`.

    Example: uv run --extra report query.py report planet --out planet.html

    The same bundle and question give the same file, byte for byte.
    """
    from index.pictures.page.html import write_html_report

    settings: dict[str, Any] = {
        "top": top,
        "density_k": density_k,
        "rule": rule,
        "geometries": geometries,
        "among": among,
    }
    answers = [
        densest(bundle, **settings) if question == DENSEST else neighbors(bundle, question, **settings)
        for question in asked or [DENSEST]
    ]
    write_html_report(bundle, answers, out, top=list_length(bundle, top), overwrite=overwrite)
    return Reported(out)
