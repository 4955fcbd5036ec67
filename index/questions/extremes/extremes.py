"""`extremes`: the tokens at either end of a measure: norm, density, overlap, hubness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Row, json_number
from index.answers.page import TEXT, Block, Column, Heading, Table, counted, facts, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.measures.density import Rule, tied_with
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import (
    CAUSAL_AND_COSINE,
    KEPT,
    TOKENS,
    Among,
    DensityK,
    DensityRule,
    Without,
    density_k_of,
)
from index.questions.asking.question import Doc
from index.questions.asking.reading import Some
from index.questions.extremes.measured import Measure, Measured, density_of, hubness_of, norm_of, overlap_of
from index.questions.extremes.placed import Placed
from index.questions.lists.lists import PIECE, TOKEN_COLUMNS, among_facts, among_json

LISTED = 10
PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


@dataclass(frozen=True)
class Extremes(AmongSome):
    """The tokens at either end of a measure."""

    measure: Measure
    geometries: tuple[Geometry, ...]  # the one it is taken in; for an overlap, the two
    k: int | None  # neighbors looked at; None for a norm
    unit: str
    tokens: int  # those that have a value
    undefined: int  # those that have no density by the rule 'notebook', with twins alone around them
    zero_rows: int  # those that have no direction, and so no neighbors in an angular geometry
    percentiles: dict[int, float]  # the least value that so many percent of the tokens do not exceed
    highest: tuple[Placed, ...]  # from the end inward, ties by row
    lowest: tuple[Placed, ...]
    level: tuple[int, int]  # how many tokens tie for the highest value, and for the lowest; densities as in `densest`
    among: Subset | None = None  # the tokens that are ranked

    columns: ClassVar = {
        "end": str,
        "rank": int,
        **TOKEN_COLUMNS,
        **dict.fromkeys(("value", "percentile", "lowest", "highest"), float),
        **PIECE,
    }

    def rows(self) -> list[Row]:
        """Return one record for each token at either end."""
        return [
            {"end": end, **placed.record(rank)}
            for end, listed in (("highest", self.highest), ("lowest", self.lowest))
            for rank, placed in enumerate(listed, 1)
        ]

    def json(self) -> dict[str, Any]:
        """Return what was measured, percentiles and both ends."""
        return {
            "measure": self.measure.value,
            "geometries": [geometry.value for geometry in self.geometries],
            "k": self.k,
            "unit": self.unit,
            "tokens": self.tokens,
            "undefined": self.undefined,
            "zero_rows": self.zero_rows,
            "percentiles": {str(p): json_number(value) for p, value in self.percentiles.items()},
            "level": dict(zip(("highest", "lowest"), self.level, strict=True)),
            "highest": [placed.json(rank) for rank, placed in enumerate(self.highest, 1)],
            "lowest": [placed.json(rank) for rank, placed in enumerate(self.lowest, 1)],
            **among_json(self.among),
        }

    def page(self) -> list[Block]:
        """Return what was measured, percentiles and both ends."""
        return [
            facts(
                [
                    (self.measure.value, self._explained()),
                    *among_facts(self.among),
                    ("tokens", f"{self.tokens:,}"),
                    *self._left_out(),
                ]
            ),
            Heading("Percentiles"),
            facts((f"{p} %", self._value(value)) for p, value in self.percentiles.items()),
            Heading(f"Highest{self._level(self.level[0], len(self.highest))}"),
            self._end(self.highest),
            Heading(f"Lowest{self._level(self.level[1], len(self.lowest))}"),
            self._end(self.lowest),
        ]

    def _level(self, count: int, listed: int) -> str:
        if count <= listed:
            return ""
        if self.measure is Measure.DENSITY:
            return f" ({count:,} tokens tie for this, within the resolution of their mean distance)"
        return f" ({count:,} tokens share this value: those of the lowest rows)"

    def _explained(self) -> str:
        words = " and ".join(geometry.words for geometry in self.geometries)
        if self.measure is Measure.NORM:
            kind = "Euclidean" if self.geometries == (Geometry.COSINE,) else "causal"
            return f"{kind} length of the row, uncentered"
        if self.measure is Measure.DENSITY:
            return f"1 / mean distance to {self.k} neighbors by {words}, in {self.unit}"
        if self.measure is Measure.HUBNESS:
            return (
                f"in how many tokens' {self.k} nearest by {words} a token is; the mean is {self.k}; "
                "tokens that tie for the last places of a list share them"
            )
        return f"percent of the {self.k} nearest that {words} share (and what other orders of ties would give)"

    def _left_out(self) -> list[tuple[str, str]]:
        lines = []
        if self.undefined:
            why = "have no density by the rule 'notebook': all their nearest are twins, and dropped"
            lines.append(("left out", f"{counted(self.undefined, 'token')} {why}"))
        if self.zero_rows:
            lines.append(("left out", f"{counted(self.zero_rows, 'zero row')}, without direction and cosine neighbors"))
        return lines

    def _value(self, value: float) -> str:
        if self.measure is Measure.HUBNESS:
            return f"{value:,.1f}".removesuffix(".0")
        return f"{100 * value:.1f}" if self.measure is Measure.OVERLAP else f"{value:.7g}"

    def _with_range(self, each: Placed) -> str:
        lowest, highest = each.bounds or (each.value, each.value)
        beside = f" ({self._value(lowest)}-{self._value(highest)})" if lowest < highest else ""
        return self._value(each.value) + beside

    def _end(self, listed: Sequence[Placed]) -> Table:
        lines = (
            (str(rank), str(each.token.id), self._with_range(each), f"{each.percentile:.3f}", each.token)
            for rank, each in enumerate(listed, 1)
        )
        return table(("rank", "id", Column(self.measure.value, 10), "percentile", TEXT), lines)


def extremes(
    bundle: Bundle,
    measure: Annotated[Measure, Doc("What to order tokens by: norm, density, overlap or hubness.", metavar="MEASURE")],
    *,
    top: Annotated[int | None, Doc("Tokens listed at each end.", default="10, or all"), TOKENS] = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.DISTINCT,
    overlap_k: Annotated[
        int | None, Doc("Length of the lists compared in an overlap.", default="30, or all kept"), KEPT
    ] = None,
    geometries: Annotated[
        Some,
        Doc(
            "The one it is taken in, the first of several; for an overlap, the two to compare.",
            metavar="A,...",
            option="--geometry",
        ),
    ] = CAUSAL_AND_COSINE,
    among: Among = None,
    without: Without = None,
) -> Extremes:
    """The tokens at either end. Hubness: in how many others' nearest (density_k of them) a token is.

    Example: uv run query.py extremes hubness --top 5

    An overlap is of both geometries; everything else is taken in the first. Norms are of uncentered rows: Euclidean for
    cosine, causal for the other two. `among` some tokens, or `without` some, only these are ranked, and percentiles
    are of them: by an overlap or a hubness of lists that hold these tokens alone, by a density in the whole vocabulary.
    """
    count, k, some = LISTED if top is None else top, density_k_of(bundle, density_k), kept(bundle, among, without)
    if measure is Measure.OVERLAP:
        return _ends(bundle, measure, overlap_of(bundle, geometries, overlap_k, some), count, some)
    space = bundle.spaces[geometries[0]]
    if measure is Measure.NORM:
        return _ends(bundle, measure, norm_of(bundle, space, some), count, some)
    if measure is Measure.HUBNESS:
        return _ends(bundle, measure, hubness_of(bundle, space, k, some), count, some)
    return _ends(bundle, measure, density_of(bundle, space, k, rule, some), count, some)


def _ends(bundle: Bundle, measure: Measure, taken: Measured, count: int, some: Subset | None) -> Extremes:
    """Take both ends, of so many tokens each."""
    values, bounds, told_by = taken.values, taken.bounds, taken.told_by
    rows = np.flatnonzero(~np.isnan(values))
    if len(rows) == 0:
        whose = bundle.name if some is None else some.name
        raise ParameterError(f"no token of {whose} has this {measure.value}")
    ascending = np.sort(values[rows])
    n = len(rows)
    pointless = {
        row for each in taken.geometries for row in bundle.spaces[each].excluded if measure is not Measure.NORM
    }
    zeros = len(pointless if some is None else pointless.intersection(some.rows.tolist()))

    def placed(order: np.ndarray) -> tuple[Placed, ...]:
        found = values[rows[order[:count]]]
        below, not_above = (np.searchsorted(ascending, found, side=side) for side in ("left", "right"))
        percentiles = 50 * (below + not_above) / n
        return tuple(
            Placed(
                bundle.vocabulary.token(row),
                float(value),
                float(percentile),
                None if bounds is None else (float(bounds[0][row]), float(bounds[1][row])),
            )
            for row, value, percentile in zip(rows[order[:count]], found, percentiles, strict=True)
        )

    downward, upward = np.argsort(-values[rows], kind="stable"), np.argsort(values[rows], kind="stable")
    apart, resolution = (values, 0.0) if told_by is None else told_by
    highest, lowest = (len(tied_with(apart[rows], apart[rows[order[0]]], resolution)) for order in (downward, upward))
    return Extremes(
        measure,
        taken.geometries,
        taken.k,
        taken.unit,
        n,
        0 if told_by is None else int(np.isnan(told_by[0] if some is None else told_by[0][some.rows]).sum()) - zeros,
        zeros,
        {p: float(np.percentile(ascending, p, method="inverted_cdf")) for p in PERCENTILES},
        placed(downward),
        placed(upward),
        (highest, lowest),
        some,
    )
