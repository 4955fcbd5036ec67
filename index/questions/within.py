"""`within`: all tokens inside a causal radius, or a cone of similarity, around a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Row
from index.answers.page import Block, Heading, Sentence, Words, counted, facts
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry, chord_of
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import OTHERS, Among, TokenText, Without
from index.questions.asking.question import Doc, Limit
from index.questions.lists.lists import (
    PIECE,
    PLACE_COLUMNS,
    Neighbor,
    among_facts,
    among_json,
    legends,
    neighbor_list,
    neighbors_table,
)
from index.search.finder import ROUNDING
from index.tokens.vocabulary import Token

SHOWN = 30
"""How many neighbors a page lists where no number is asked for."""


@dataclass(frozen=True)
class Within(AmongSome):
    """All tokens within a radius or a cone around a token."""

    token: Token
    geometry: Geometry
    threshold: float  # the radius in logometers, or in an angular geometry the least similarity
    count: int  # tokens no further away than that, the token itself aside
    lowest: int  # the range of `count` when the tokens at the border, within the resolution,
    highest: int  # are all out or all in; twins are certain
    neighbors: tuple[Neighbor, ...]  # the nearest of them, as many as were asked for
    twins: frozenset[int]  # rows with the same vector as the token
    has_direction: bool  # False for a zero row in an angular geometry: nothing is within reach of it
    listed: int  # how many neighbors a page shows
    among: Subset | None = None  # what is counted and listed

    columns: ClassVar = {"token_id": int, "token": str, "geometry": str, **PLACE_COLUMNS, "twin": bool, **PIECE}

    def rows(self) -> list[Row]:
        """Return one record for each neighbor."""
        around = {"token_id": self.token.id, "token": self.token.text, "geometry": self.geometry.label}
        return [{**around, **each.record(), "twin": each.token.row in self.twins} for each in self.neighbors]

    def json(self) -> dict[str, Any]:
        """Return the token, the count, the neighbors."""
        return {
            "token": self.token.json(),
            "geometry": self.geometry.value,
            "threshold": self.threshold,
            "count": self.count,
            "lowest": self.lowest,
            "highest": self.highest,
            "neighbors": [{**each.json(), "twin": each.token.row in self.twins} for each in self.neighbors],
            **among_json(self.among),
        }

    def page(self) -> list[Block]:
        """Return the count and the nearest; twins are marked."""
        shown = self.neighbors[: self.listed]
        blocks: list[Block] = [Heading(self.token), facts(self._facts())]
        if shown:
            blocks.append(neighbors_table(self.geometry, shown))
        left = self.count - len(shown)
        if left:
            said = f"and {left:,} more, further away: a larger top, JSON or CSV lists them"
            blocks.append(Sentence(said, aside=True))
        return [*blocks, *legends(shown)] if shown else blocks

    def _facts(self) -> list[tuple[str, Words]]:
        if self.geometry is Geometry.CAUSAL:
            reach = f"{self.threshold:g} logometers in the causal metric"
        else:
            reach = f"{self.geometry.words} {self.threshold:g} or more"
        if not self.has_direction:
            return [("within", reach), ("count", "none: this token's row is zero and has no direction")]
        counted_tokens = counted(self.count, "token")
        rows: list[tuple[str, Words]] = [("within", reach), *among_facts(self.among), ("count", counted_tokens)]
        if self.twins:
            rows.append(("twins", f"{len(self.twins):,}, at no distance"))
        if self.lowest < self.highest:
            border = f"{self.highest - self.lowest:,} tokens within the resolution of it"
            rows.append(("border", f"{border}: the count could be {self.lowest:,} to {self.highest:,}"))
        return rows


def within(
    bundle: Bundle,
    token: TokenText,
    *,
    radius: Annotated[float | None, Doc("In the causal metric, in logometers."), Limit(0, unit="logometers")] = None,
    similarity: Annotated[float | None, Doc("The least cosine, from -1 to 1."), Limit(-1, 1)] = None,
    geometry: Annotated[
        Geometry | None, Doc("causal, cosine or causal-cosine.", default="causal; with a similarity cosine")
    ] = None,
    top: Annotated[int | None, Doc("Tokens listed.", default="all; 30 in a table"), OTHERS] = None,
    among: Among = None,
    without: Without = None,
) -> Within:
    """All tokens within a causal radius of a token, or within a cone around it: how many, and which.

    Example: uv run query.py within planet --radius 27

    One of `radius` and `similarity` must be given. The count is of all, however many are listed; of those `among` some
    tokens, or `without` some, where that is asked.

    >>> index.open("data/indexes/smollm2-135m").within("planet", radius=22).count
    3
    """
    geometry, threshold = _threshold(radius, similarity, geometry)
    row = bundle.vocabulary.resolve(token)
    space = bundle.spaces[geometry]
    # NumPy would round a plain float to the float32 of the distances.
    limit = np.float64(chord_of(threshold) if geometry.angular else threshold)
    ids, distances = _within_distance(space, row, limit + space.resolution)
    twins, some = bundle.twins.others(row), kept(bundle, among, without)
    if some is not None:
        here = np.isin(ids, some.rows)
        ids, distances, twins = ids[here], distances[here], twins[np.isin(twins, some.rows)]
    count = int((distances <= limit).sum())
    return Within(
        bundle.vocabulary.token(row),
        geometry,
        threshold,
        count,
        int(((distances < limit - space.resolution) | np.isin(ids, twins)).sum()),
        len(distances),
        neighbor_list(bundle, space, ids, distances, count if top is None else min(top, count), twins),
        frozenset(twins.tolist()),
        row not in space.excluded,
        SHOWN if top is None else top,
        some,
    )


def _threshold(radius: float | None, similarity: float | None, geometry: Geometry | None) -> tuple[Geometry, float]:
    if radius is not None and similarity is None:
        if geometry is not None and geometry.angular:
            raise ParameterError(
                f"{parameter('radius')} is in logometers and causal; {geometry.label} takes a {parameter('similarity')}"
            )
        return Geometry.CAUSAL, radius
    if similarity is not None and radius is None:
        if geometry is Geometry.CAUSAL:
            raise ParameterError(
                f"{parameter('similarity')} is of cosine or causal-cosine; the causal geometry takes a "
                f"{parameter('radius')}"
            )
        return geometry or Geometry.COSINE, similarity
    raise ParameterError(
        f"one threshold is needed: {parameter('radius')} in logometers, or {parameter('similarity')} from -1 to 1"
    )


def _within_distance(space: Space, row: int, limit: np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Return the other tokens no further from a stored one than `limit`: (n,) int32 and float32, nearest first."""
    if row in space.excluded:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    ids, distances = space.ids[row], space.distances[row]
    if distances[-1] <= limit:  # the stored list may end too early
        ids, exact = space.finder.within(space.points[row], float(limit) * (1 + ROUNDING), exclude=(row,))
        distances = exact.astype(np.float32)
    n = int((distances <= limit).sum())
    return ids[:n], distances[:n]
