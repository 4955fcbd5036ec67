"""What pictures draw beside a bundle's own series: those of another bundle, mostly of a control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle
from index.geometry.maps import Geometry
from index.pictures.numbers.densities import Densities, all_densities
from index.questions.asking.among import Subset
from index.questions.asking.beside import beside
from index.questions.asking.reading import Pair
from index.questions.overlap.overlap import OverlapCensus, overlap

_MOST_BINS = 1000


@dataclass(frozen=True, eq=False)
class SeriesBeside:
    """What the charts show of another bundle: of all of its points, for none of them is the one asked about."""

    name: str  # what its curves are called
    bundle: str
    sentences: tuple[str, ...]  # what it is
    notes: tuple[str, ...]  # what keeps it from being a control of the first
    census: OverlapCensus  # its overlaps, at the lengths asked for by default
    ranks: dict[Geometry, np.ndarray]  # (n,) float64 each: the mean distance from a point to its 1st to n-th nearest
    edges: np.ndarray  # (B + 1,) float64: bins as wide as those of the first one's densities; or (0,)
    counts: np.ndarray  # (B,) int64: points in each
    covariance: np.ndarray  # (D,) float64: eigenvalues of its covariance, descending

    @property
    def short(self) -> str:
        """What a figure calls its curves, whose line below the title names it."""
        return "beside" if self.notes else "control"

    def means(self, longest: int) -> tuple[np.ndarray, np.ndarray]:
        """Return lengths of lists up to the longest, (n,), and the mean overlap at each, a share: (n,)."""
        tops = [top for top in self.census.tops if top <= longest]
        return np.array(tops, np.int64), np.array([self.census.tops[top].mean for top in tops], np.float64)


def series_beside(
    bundle: Bundle, other: Bundle | None, geometries: Pair, densities: Densities, among: Subset | None = None
) -> SeriesBeside | None:
    """Return what stands beside a bundle's densities and lists, of those `among` them; None without another bundle.

    ParameterError where its figures could not stand there.
    """
    found = beside(
        bundle,
        other,
        lambda given: overlap(given, geometries=geometries, among=among),
        k=densities.k,
        geometries=geometries,
        among=among,
    )
    if other is None or found is None:
        return None
    values = all_densities(other, densities.geometry, densities.rule, densities.k).values
    edges, counts = _binned(values, densities.edges)
    return SeriesBeside(
        found.other,
        other.name,
        tuple(found.sentences),
        found.notes,
        found.answer,
        # Stored lists are of all points; those of some are longer.
        {} if among is not None else {geometry: _mean_distances(other, geometry) for geometry in geometries},
        edges,
        counts,
        other.metric.eigenvalues[::-1],
    )


def _mean_distances(other: Bundle, geometry: Geometry) -> np.ndarray:
    """Return the mean distance to the nearest at each rank, (n,), as far as every list goes."""
    distances = other.spaces[geometry].distances.whole
    listed = distances[np.isfinite(distances[:, 0])]
    means = listed.mean(axis=0, dtype=np.float64)
    return np.asarray(means[np.isfinite(means)])


def _binned(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return edges, (B + 1,), that go on with the same step as far as the values do, and how many are in each, (B,)."""
    values = values[np.isfinite(values) & (values > 0)]
    if len(edges) == 0 or len(values) == 0:
        return np.empty(0), np.empty(0, np.int64)
    step = np.log(edges[-1] / edges[0]) / (len(edges) - 1)
    ends = np.log(edges[0] / values.min()), np.log(values.max() / edges[-1])
    below, above = (min(_MOST_BINS, max(0, int(np.ceil(end / step)))) for end in ends)
    lower, upper = (
        edges[0] * np.exp(-step * np.arange(below, 0, -1)),
        edges[-1] * np.exp(step * np.arange(1, above + 1)),
    )
    wide = np.concatenate([lower, edges, upper])
    wide[0], wide[-1] = min(wide[0], values.min()), max(wide[-1], values.max())
    return wide, np.histogram(values, wide)[0]
