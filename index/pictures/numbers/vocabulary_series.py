"""The arrays behind the charts of a whole vocabulary. Nothing here draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.pictures.numbers.beside import SeriesBeside, series_beside
from index.pictures.numbers.densities import Densities, all_densities, ends
from index.questions.asking.parameters import CAUSAL_AND_COSINE, density_k_of
from index.questions.overlap.overlap import OverlapCensus, overlap

NORM_BINS = 60


@dataclass(frozen=True, eq=False)
class NormSeries:
    """How many tokens have each norm and density, in N by B bins."""

    unit: str  # of the norms, which are of uncentered rows: "logometers" or "Euclidean"
    norm_edges: np.ndarray  # (N + 1,) float64
    density_edges: np.ndarray  # (B + 1,) float64, as in `Densities`
    counts: np.ndarray  # (N, B) int64


@dataclass(frozen=True, eq=False)
class EigenvalueSeries:
    """The spectrum of the metric, the direction of most variance first."""

    covariance: np.ndarray  # (D,) float64: of Cov(gamma), descending; for a given M, of its inverse
    metric: np.ndarray  # (D,) float64: of M in the same directions, 1 / (covariance + ridge), ascending
    ridge: float | None  # None for a given M


@dataclass(frozen=True, eq=False)
class VocabularySeries:
    """What the charts of a whole vocabulary show."""

    densities: Densities
    norms: NormSeries
    overlap: OverlapCensus | None  # None where no token has neighbors in both geometries
    spectrum: EigenvalueSeries
    beside: SeriesBeside | None = None  # another bundle's


def vocabulary_series(
    bundle: Bundle,
    *,
    density_k: int | None = None,
    rule: Rule = Rule.DISTINCT,
    geometries: tuple[Geometry, Geometry] = CAUSAL_AND_COSINE,
    beside: Bundle | None = None,
) -> VocabularySeries:
    """Return what the charts of a whole vocabulary show: densities and norms in the first geometry, overlaps of both.

    What another bundle shows stands `beside`. The deciles of an overlap are of the rule 'distinct' at the build's own
    k, whatever is asked.
    """
    densities = all_densities(bundle, geometries[0], rule, density_k_of(bundle, density_k))
    metric = bundle.metric
    descending = metric.eigenvalues[::-1]
    return VocabularySeries(
        densities,
        _norm_series(bundle, densities),
        overlap_census(bundle, geometries),
        EigenvalueSeries(descending, 1 / (descending + (metric.ridge or 0.0)), metric.ridge),
        series_beside(bundle, beside, geometries, densities),
    )


def overlap_census(bundle: Bundle, geometries: tuple[Geometry, Geometry]) -> OverlapCensus | None:
    """Return how far two geometries agree over a vocabulary; None where no token has neighbors in both."""
    left_out = [set(bundle.spaces[geometry].excluded) for geometry in geometries]
    alone = any(len(bundle) - len(rows) < 2 for rows in left_out)
    if alone or len(set.union(*left_out)) == len(bundle):
        return None
    return overlap(bundle, geometries=geometries)


def _norm_series(bundle: Bundle, densities: Densities) -> NormSeries:
    euclidean = densities.geometry is Geometry.COSINE
    column = "euclidean_norm" if euclidean else "causal_norm"
    norms = np.from_dlpack(bundle.columns(column)[column].combine_chunks())
    binned = np.isfinite(densities.values) & (densities.values > 0)
    norm_edges = np.linspace(*(ends(norms[binned]) if binned.any() else (0.0, 1.0)), NORM_BINS + 1)
    counts = np.zeros((NORM_BINS, len(densities.counts)), np.int64)
    if binned.any():
        counts = np.histogram2d(norms[binned], densities.values[binned], (norm_edges, densities.edges))[0]
    return NormSeries("Euclidean" if euclidean else "logometers", norm_edges, densities.edges, counts.astype(np.int64))
