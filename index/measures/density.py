"""k-NN density: how close a token's nearest others are, under three rules for zeros.

Density is 1 / mean distance to the k nearest neighbors. Real vocabularies hold twins, tokens with the same vector, and
what becomes of their zero distances decides who is densest:

- `notebook`: the reference's rule. The k + 1 smallest values of the row with self's zero among them, zeros dropped, at
  most k averaged; none left: density 0.
- `distinct`: twins collapse to one vector; the k nearest distinct vectors; none at all: density 0.
- `multiset`: the k nearest, twins' zeros counted; all zero: infinite.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np


class Rule(StrEnum):
    """What a density does with the zero distances of twins."""

    NOTEBOOK = "notebook"
    DISTINCT = "distinct"
    MULTISET = "multiset"


def mean_distances(distances: np.ndarray, distinct_distances: np.ndarray, rule: Rule, k: int) -> np.ndarray:
    """Return each token's mean distance to its k nearest neighbors.

    Parameters
    ----------
    distances : ndarray of shape (V, K)
        Of a k-NN graph, self removed, ascending, K >= k.
    distinct_distances : ndarray of shape (V, K)
        The same with twins collapsed; infinite where there are no more vectors.
    rule : Rule
    k : int

    Returns
    -------
    ndarray of shape (V,), float64
        In the unit of the distances; NaN where the rule leaves nothing to average.
    """
    source = distinct_distances if rule is Rule.DISTINCT else distances
    nearest = source[:, :k].astype(np.float64)
    kept = np.isfinite(nearest)
    if rule is Rule.NOTEBOOK:
        kept &= nearest > 0
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(kept, nearest, 0).sum(axis=1) / kept.sum(axis=1))


def density(mean_distance: np.ndarray) -> np.ndarray:
    """Return 1 / mean distance: infinite for 0, and 0 where there is no mean (NaN).

    Parameters
    ----------
    mean_distance : ndarray of shape (V,), float64
        In logometers; densities are in 1/logometers.
    """
    with np.errstate(divide="ignore"):
        return np.where(np.isnan(mean_distance), 0.0, 1.0 / mean_distance)


def tied_for_densest(mean_distance: np.ndarray, resolution: float) -> np.ndarray:
    """Return the rows whose mean distance lies within `resolution` of the smallest, ascending."""
    if np.isnan(mean_distance).all():
        return np.arange(len(mean_distance))
    return np.flatnonzero(mean_distance <= np.nanmin(mean_distance) + resolution)


def hubness(ids: np.ndarray, k: int) -> np.ndarray:
    """Return how many tokens have each token among their k nearest: the k-occurrence N_k, whose mean is k.

    Radovanović, Nanopoulos and Ivanović, "Hubs in Space: Popular Nearest Neighbors in High-Dimensional Data" (JMLR
    2010), section 2.

    Parameters
    ----------
    ids : ndarray of shape (V, K)
        Rows of the nearest neighbors, nearest first, self left out; -1 where there are no more.
    k : int
        At most K.

    Returns
    -------
    ndarray of shape (V,), int32
    """
    nearest = ids[:, :k]
    return np.bincount(nearest[nearest >= 0], minlength=len(ids)).astype(np.int32)
