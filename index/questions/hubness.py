"""`hubness`: how unevenly neighbor lists are filled: whose places they are, and who is in none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from index.answers.answer import Answer, Row
from index.answers.page import Block, Heading, Sentence, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.measures.hubness import hubness as hubness_of
from index.questions.parameters import KEPT
from index.questions.question import Doc
from index.questions.reading import Some

USUAL_LENGTH = 30
PERCENTS = ("0.1", "0.5", "1")


@dataclass(frozen=True)
class Unevenness:
    """How the places of all lists of one geometry are shared out."""

    k: int  # length of the lists
    skewness: float  # of the number of lists that each token is in: 0 where it lies evenly about its mean, k
    share: dict[str, float]  # of all places, from 0 to 1, held by so many percent of the tokens, those in most lists
    in_no_list: int  # tokens


@dataclass(frozen=True)
class Hubness(Answer):
    """How unevenly neighbor lists are filled."""

    geometries: dict[Geometry, Unevenness]

    columns: ClassVar = {
        "geometry": str,
        "k": int,
        "skewness": float,
        **{f"share_{percent}": float for percent in PERCENTS},
        "in_no_list": int,
    }

    def rows(self) -> list[Row]:
        """Return one record for each geometry."""
        return [
            {
                "geometry": geometry.label,
                "k": found.k,
                "skewness": found.skewness,
                **{f"share_{percent}": share for percent, share in found.share.items()},
                "in_no_list": found.in_no_list,
            }
            for geometry, found in self.geometries.items()
        ]

    def json(self) -> dict[str, object]:
        """Return the figures under the names of their geometries; shares from 0 to 1."""
        return {
            geometry.value: {
                "k": found.k,
                "skewness": found.skewness,
                "share": found.share,
                "in_no_list": found.in_no_list,
            }
            for geometry, found in self.geometries.items()
        }

    def page(self) -> list[Block]:
        """Return a line for each geometry, shares in percent."""
        columns = ("geometry", "skewness", *(f"top {percent} %" for percent in PERCENTS), "in no list")
        lines = (
            (
                geometry.label,
                f"{found.skewness:.2f}",
                *(f"{100 * share:.1f}" for share in found.share.values()),
                f"{found.in_no_list:,}",
            )
            for geometry, found in self.geometries.items()
        )
        k = next(iter(self.geometries.values())).k
        said = "If lists were filled evenly, the top 1 % of the tokens would hold little more than 1 % of the places."
        return [
            Heading(f"Places in lists of {k}, in percent, held by the tokens that are in most lists"),
            table(columns, lines),
            Sentence(said, aside=True),
        ]


def hubness(
    bundle: Bundle,
    *,
    top: Annotated[int | None, Doc("Length of the neighbor lists.", default="30, or all kept"), KEPT] = None,
    geometries: Annotated[
        Some, Doc("Those to measure, of causal, cosine and causal-cosine.", metavar="A,...", option="--geometry")
    ] = tuple(Geometry),
) -> Hubness:
    """How unevenly neighbor lists are filled: the places that few tokens hold, and the tokens in no list.

    Example: uv run query.py hubness --top 10

    Tokens that tie for the last places of a list share them.
    """
    k = min(USUAL_LENGTH, bundle.manifest.K) if top is None else top
    return Hubness({geometry: _unevenness(bundle, geometry, k) for geometry in geometries})


def _unevenness(bundle: Bundle, geometry: Geometry, k: int) -> Unevenness:
    space = bundle.spaces[geometry]
    counts = np.delete(hubness_of(space.lists, k), space.excluded)
    total = counts.sum()
    if total == 0:
        raise ParameterError(f"no token of {bundle.name} has a neighbor by {geometry.label}")
    downward = np.sort(counts)[::-1].cumsum()
    spread = counts.std()
    skewness = 0.0 if spread == 0 else float((((counts - counts.mean()) / spread) ** 3).mean())
    held = (max(1, round(len(counts) * float(percent) / 100)) for percent in PERCENTS)
    share = {percent: float(downward[n - 1] / total) for percent, n in zip(PERCENTS, held, strict=True)}
    return Unevenness(k, skewness, share, int((counts == 0).sum()))
