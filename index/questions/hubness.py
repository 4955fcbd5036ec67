"""`hubness`: how unevenly neighbor lists are filled: whose places they are, and who is in none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from index.answers.answer import Answer, Row
from index.answers.page import Block, Heading, Sentence, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.measures.hubness import hubness as hubness_of
from index.questions.beside import MORE_COLUMNS, Beside, BesideBundle, beside_json, beside_rows
from index.questions.beside import beside as asked_beside
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
    beside: Beside[Hubness] | None = None  # another bundle's

    columns: ClassVar = {
        "geometry": str,
        "k": int,
        "skewness": float,
        **{f"share_{percent}": float for percent in PERCENTS},
        "in_no_list": int,
    }

    @property
    def more_columns(self) -> Mapping[str, type]:
        """Whose line it is, where another bundle stands beside."""
        return {} if self.beside is None else MORE_COLUMNS

    def rows(self) -> list[Row]:
        """Return one record for each geometry."""
        rows: list[Row] = [
            {
                "geometry": geometry.label,
                "k": found.k,
                "skewness": found.skewness,
                **{f"share_{percent}": share for percent, share in found.share.items()},
                "in_no_list": found.in_no_list,
            }
            for geometry, found in self.geometries.items()
        ]
        return beside_rows(rows, self.beside)

    def json(self) -> dict[str, object]:
        """Return the figures under the names of their geometries; shares from 0 to 1."""
        own: dict[str, object] = {
            geometry.value: {
                "k": found.k,
                "skewness": found.skewness,
                "share": found.share,
                "in_no_list": found.in_no_list,
            }
            for geometry, found in self.geometries.items()
        }
        return own | beside_json(self.beside)

    def page(self) -> list[Block]:
        """Return a line for each geometry, shares in percent."""
        columns = ("skewness", *(f"top {percent} %" for percent in PERCENTS), "in no list")

        def figures(found: Unevenness) -> tuple[str, ...]:
            shares = (f"{100 * share:.1f}" for share in found.share.values())
            return (f"{found.skewness:.2f}", *shares, f"{found.in_no_list:,}")

        lines: list[tuple[str, ...]] = []
        for geometry, found in self.geometries.items():
            lines.append((geometry.label, *figures(found)))
            if self.beside is not None:
                lines.append((f"  {self.beside.other}", *figures(self.beside.answer.geometries[geometry])))
        k = next(iter(self.geometries.values())).k
        said = "If lists were filled evenly, the top 1 % of the tokens would hold little more than 1 % of the places."
        return [
            Heading(f"Places in lists of {k}, in percent, held by the tokens that are in most lists"),
            table(("geometry", *columns), lines),
            *([] if self.beside is None else self.beside.blocks()),
            Sentence(said, aside=True),
        ]


def hubness(
    bundle: Bundle,
    *,
    top: Annotated[int | None, Doc("Length of the neighbor lists.", default="30, or all kept"), KEPT] = None,
    geometries: Annotated[
        Some, Doc("Those to measure, of causal, cosine and causal-cosine.", metavar="A,...", option="--geometry")
    ] = tuple(Geometry),
    beside: BesideBundle = None,
) -> Hubness:
    """How unevenly neighbor lists are filled: the places that few tokens hold, and the tokens in no list.

    Example: uv run query.py hubness --top 10

    Tokens that tie for the last places of a list share them.
    """
    k = min(USUAL_LENGTH, bundle.manifest.K) if top is None else top
    found = {geometry: _unevenness(bundle, geometry, k) for geometry in geometries}
    other = asked_beside(
        bundle, beside, lambda other: hubness(other, top=k, geometries=geometries), k=k, geometries=geometries
    )
    return Hubness(found, other)


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
