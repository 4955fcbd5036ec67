"""What tokens are ordered by in `extremes`: a value for each token, taken in one geometry, or in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from index.answers.page import counted
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry
from index.measures import density
from index.measures.density import Rule
from index.measures.hubness import hubness
from index.measures.overlaps import overlaps
from index.questions.asking.among import Subset
from index.questions.asking.reading import two_geometries
from index.questions.lists.lists import lists_among

OVERLAP_K = 30

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


@dataclass(frozen=True, eq=False)
class Measured:
    """A value for each of V tokens."""

    values: np.ndarray  # (V,) float64; NaN for a token without one
    geometries: tuple[Geometry, ...]
    k: int | None  # length of the lists it is of
    unit: str
    bounds: tuple[np.ndarray, np.ndarray] | None = None  # (V,) each: the range of each value
    # What tells values apart where they do not do so themselves, (V,), and how far apart it must be.
    told_by: tuple[np.ndarray, float] | None = None


def overlap_of(bundle: Bundle, geometries: Sequence[Geometry], overlap_k: int | None, some: Subset | None) -> Measured:
    """Return the share of each token's neighbors that both lists hold, with the range that ties allow."""
    length = min(OVERLAP_K, bundle.manifest.K) if overlap_k is None else overlap_k
    pair = two_geometries("geometries", geometries, bundle)
    a, b = (bundle.spaces[geometry] for geometry in pair)
    found = overlaps(lists_among(a, some, length), lists_among(b, some, length), length)
    if np.isnan(found.counts).all():
        whose = bundle.name if some is None else some.name
        advice = f"; lower {parameter('overlap_k')}" if length > 1 else ""
        neighbors = counted(length, "neighbor")
        raise ParameterError(f"no token of {whose} has {neighbors} in both geometries{advice}")
    shares, *bounds = (_of_all(bundle, some, values / length) for values in (found.counts, found.lowest, found.highest))
    return Measured(shares, pair, length, "share", bounds=(bounds[0], bounds[1]))


def norm_of(bundle: Bundle, space: Space, some: Subset | None) -> Measured:
    """Return the norm of each uncentered row: Euclidean for cosine, causal for the others."""
    column, unit = _NORMS[space.geometry]
    norms = np.from_dlpack(bundle.columns(column)[column].combine_chunks())
    return Measured(_kept(bundle, some, norms), (space.geometry,), None, unit)


def hubness_of(bundle: Bundle, space: Space, k: int, some: Subset | None) -> Measured:
    """Return in how many lists of k each token is."""
    counts = _of_all(bundle, some, hubness(lists_among(space, some, k), k))
    counts[list(space.excluded)] = np.nan
    return Measured(counts, (space.geometry,), k, "lists")


def density_of(bundle: Bundle, space: Space, k: int, rule: Rule, some: Subset | None) -> Measured:
    """Return the density of each token in the whole vocabulary."""
    means = density.mean_distances(space.distances.whole, space.distinct_distances.whole, rule, k)
    values = density.density(means)
    if rule is Rule.NOTEBOOK:
        values[np.isnan(means)] = np.nan  # with twins alone around it a token is not sparse
    values[list(space.excluded)] = np.nan
    unit = "1/chord" if space.geometry.angular else "1/logometers"
    kept = _kept(bundle, some, values)
    return Measured(kept, (space.geometry,), k, unit, told_by=(means, space.resolution))


def _kept(bundle: Bundle, some: Subset | None, values: np.ndarray) -> np.ndarray:
    """Return values of all tokens, (V,), without those of tokens that are left out."""
    return values if some is None else _of_all(bundle, some, values[some.rows])


def _of_all(bundle: Bundle, some: Subset | None, values: np.ndarray) -> np.ndarray:
    """Return the values of some tokens, (n,), as those of all, (V,): NaN for the others."""
    if some is None:
        return values
    spread = np.full(len(bundle), np.nan)
    spread[some.rows] = values
    return spread
