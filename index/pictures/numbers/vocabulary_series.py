"""The arrays behind the charts of a whole vocabulary. Nothing here draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.pictures.numbers.densities import Densities, all_densities, ends
from index.questions.overlap import OverlapCensus, overlap
from index.questions.parameters import CAUSAL_AND_COSINE, density_k_of

NORM_BINS = 60


@dataclass(frozen=True, eq=False)
class NormSeries:
    """How many tokens have each norm and density, binned.

    Attributes
    ----------
    unit : str
        Of the norms, which are of uncentered rows: "logometers" or "Euclidean".
    norm_edges : ndarray of shape (N + 1,), float64
    density_edges : ndarray of shape (B + 1,), float64
        As in `Densities`.
    counts : ndarray of shape (N, B), int64
    """

    unit: str
    norm_edges: np.ndarray
    density_edges: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class EigenvalueSeries:
    """The spectrum of the metric, (D,) float64 each, the direction of most variance first.

    Attributes
    ----------
    covariance : ndarray
        Eigenvalues of Cov(gamma), descending; for a given M, of its inverse.
    metric : ndarray
        Of M in the same directions: 1 / (covariance + ridge), ascending.
    ridge : float or None
        None for a given M.
    """

    covariance: np.ndarray
    metric: np.ndarray
    ridge: float | None


@dataclass(frozen=True, eq=False)
class VocabularySeries:
    """What the charts of a whole vocabulary show.

    Attributes
    ----------
    densities : Densities
    norms : NormSeries
    overlap : OverlapCensus or None
        Its deciles are of the rule 'notebook' at the build's own k. None where no token has neighbors in both
        geometries.
    spectrum : EigenvalueSeries
    """

    densities: Densities
    norms: NormSeries
    overlap: OverlapCensus | None
    spectrum: EigenvalueSeries


def vocabulary_series(
    bundle: Bundle,
    *,
    density_k: int | None = None,
    rule: Rule = Rule.NOTEBOOK,
    geometries: tuple[Geometry, Geometry] = CAUSAL_AND_COSINE,
) -> VocabularySeries:
    """Return what the charts of a whole vocabulary show.

    Parameters
    ----------
    bundle : Bundle
    density_k, rule, geometries
        As in `questions.densest`; densities and norms are of the first geometry, overlaps of both.
    """
    densities = all_densities(bundle, geometries[0], rule, density_k_of(bundle, density_k))
    metric = bundle.metric
    descending = metric.eigenvalues[::-1]
    return VocabularySeries(
        densities,
        _norm_series(bundle, densities),
        overlap_census(bundle, geometries),
        EigenvalueSeries(descending, 1 / (descending + (metric.ridge or 0.0)), metric.ridge),
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
