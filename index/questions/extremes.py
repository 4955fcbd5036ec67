"""The tokens at either end of a measure: norm, density, overlap, hubness."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from index.answers.answer import Tabular
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.measures import density
from index.measures.density import Rule, hubness
from index.measures.overlap import overlap_shares
from index.questions.census import check_length, checked_listed
from index.questions.lists import token_at
from index.questions.neighbors import DEFAULT_GEOMETRIES, check_two, checked_density_k
from index.tokens.vocabulary import Token

OVERLAP_K = 30
PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)

_NORMS = {
    Geometry.CAUSAL: ("causal_norm", "logometers"),
    Geometry.COSINE: ("euclidean_norm", "Euclidean"),
    Geometry.CAUSAL_COSINE: ("causal_norm", "logometers"),
}


class Measure(StrEnum):
    """What tokens are ordered by in `extremes`."""

    NORM = "norm"
    DENSITY = "density"
    OVERLAP = "overlap"
    HUBNESS = "hubness"


@dataclass(frozen=True)
class Placed:
    """A token, its value, and the percentile it stands at: the share of tokens below, and half of those level."""

    token: Token
    value: float
    percentile: float


@dataclass(frozen=True)
class Extremes(Tabular):
    """The tokens at either end of a measure.

    Attributes
    ----------
    measure : Measure
    geometries : tuple of Geometry
        The one it is taken in; for an overlap, the two.
    k : int or None
        Neighbors looked at; None for a norm.
    unit : str
    tokens : int
        Those that have a value.
    percentiles : dict of int to float
        The least value that so many percent of the tokens do not exceed.
    highest, lowest : tuple of Placed
        From the end inward, ties by row.
    level : pair of int
        How many tokens share the highest value, and the lowest.
    """

    measure: Measure
    geometries: tuple[Geometry, ...]
    k: int | None
    unit: str
    tokens: int
    percentiles: dict[int, float]
    highest: tuple[Placed, ...]
    lowest: tuple[Placed, ...]
    level: tuple[int, int]


def measure_named(name: str) -> Measure:
    """Return the measure of a name; ParameterError when there is none."""
    if name not in tuple(Measure):
        raise ParameterError(f"tokens are ordered by {', '.join(Measure)}; got: {name[:60]}")
    return Measure(name)


def extremes(
    bundle: Bundle,
    measure: Measure,
    *,
    top: int | None = None,
    density_k: int | None = None,
    rule: Rule = Rule.NOTEBOOK,
    overlap_k: int | None = None,
    geometries: tuple[Geometry, Geometry] = DEFAULT_GEOMETRIES,
) -> Extremes:
    """Find the tokens of the highest and the lowest norm, density, overlap or hubness.

    Parameters
    ----------
    bundle : Bundle
    measure : Measure
        Hubness is how many tokens have a token among their `density_k` nearest.
    top : int, optional
        How many tokens at each end: 10 by default, or all where they are fewer.
    density_k, rule
        As in `questions.densest`.
    overlap_k : int, optional
        Length of the lists whose overlap is taken: 30 by default, at most the K of the bundle.
    geometries : pair of Geometry
        An overlap is of both; everything else is taken in the first. Norms are of uncentered rows: Euclidean for
        cosine, causal for the other two.

    Raises
    ------
    ParameterError
        When a number or `geometries` is out of range.
    """
    top = checked_listed("--top", top, len(bundle))
    k = checked_density_k(bundle, density_k)
    if measure is Measure.OVERLAP:
        overlap_k = min(OVERLAP_K, bundle.manifest.K) if overlap_k is None else overlap_k
        check_length("--overlap-k", overlap_k, bundle)
        check_two(geometries)
        a, b = (bundle.spaces[geometry] for geometry in geometries)
        shares = overlap_shares(a.ids.whole, b.ids.whole, overlap_k)
        return _ends(bundle, shares, top, measure, geometries, overlap_k, "share")
    space = bundle.spaces[geometries[0]]
    if measure is Measure.NORM:
        column, unit = _NORMS[space.geometry]
        norms = np.from_dlpack(bundle.columns(column)[column].combine_chunks())
        return _ends(bundle, norms, top, measure, geometries[:1], None, unit)
    if measure is Measure.DENSITY:
        values = density.density(density.mean_distances(space.distances.whole, space.distinct_distances.whole, rule, k))
        unit = "1/chord" if space.geometry.angular else "1/logometers"
    else:
        values, unit = hubness(space.ids.whole, k).astype(np.float64), "lists"
    values[list(space.excluded)] = np.nan
    return _ends(bundle, values, top, measure, geometries[:1], k, unit)


def _ends(
    bundle: Bundle,
    values: np.ndarray,
    top: int,
    measure: Measure,
    geometries: tuple[Geometry, ...],
    k: int | None,
    unit: str,
) -> Extremes:
    """Take both ends of one value per token, (V,) float64; NaN for a token without one."""
    rows = np.flatnonzero(~np.isnan(values))
    if len(rows) == 0:
        raise ParameterError(f"no token of {bundle.name} has this {measure.value}")
    ascending = np.sort(values[rows])
    n = len(rows)

    def placed(order: np.ndarray) -> tuple[Placed, ...]:
        found = values[rows[order[:top]]]
        below, not_above = (np.searchsorted(ascending, found, side=side) for side in ("left", "right"))
        percentiles = 50 * (below + not_above) / n
        return tuple(
            Placed(token_at(bundle, int(row)), float(value), float(percentile))
            for row, value, percentile in zip(rows[order[:top]], found, percentiles, strict=True)
        )

    return Extremes(
        measure,
        geometries,
        k,
        unit,
        n,
        {p: float(np.percentile(ascending, p, method="inverted_cdf")) for p in PERCENTILES},
        placed(np.argsort(-values[rows], kind="stable")),
        placed(np.argsort(values[rows], kind="stable")),
        (int((ascending == ascending[-1]).sum()), int((ascending == ascending[0]).sum())),
    )
