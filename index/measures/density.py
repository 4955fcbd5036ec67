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
    """Return each token's mean distance to its k nearest neighbors, (V,) float64.

    `distances`, (V, K >= k), are those of a k-NN graph, self removed, ascending; `distinct_distances` the same with
    twins collapsed, infinite where there are no more vectors. The mean is NaN where the rule leaves nothing to average.
    """
    nearest = (distinct_distances if rule is Rule.DISTINCT else distances)[:, :k].astype(np.float64)
    kept = _kept(nearest, rule)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(kept, nearest, 0).sum(axis=1) / kept.sum(axis=1))


def averaged(distances: np.ndarray, distinct_distances: np.ndarray, rule: Rule, k: int) -> np.ndarray:
    """Return how many distances each of those means is of, (V,): fewer than k where zeros were dropped or none are."""
    nearest = (distinct_distances if rule is Rule.DISTINCT else distances)[:, :k]
    return np.asarray(_kept(nearest, rule).sum(axis=1))


def _kept(nearest: np.ndarray, rule: Rule) -> np.ndarray:
    kept = np.isfinite(nearest)
    return np.asarray(kept & (nearest > 0) if rule is Rule.NOTEBOOK else kept)


def density(mean_distance: np.ndarray) -> np.ndarray:
    """Return 1 / mean distance, in 1/logometers: infinite for 0, and 0 where there is no mean (NaN)."""
    with np.errstate(divide="ignore"):
        return np.where(np.isnan(mean_distance), 0.0, 1.0 / mean_distance)


def tied_with(values: np.ndarray, value: float, resolution: float = 0.0) -> np.ndarray:
    """Return the places of what cannot be told from one of some values, (n,): no further than `resolution` from it.

    Densities are told apart by their mean distances, which a rounding moves no further than each distance averaged: by
    the resolution of the space. NaN, where there is nothing to average, ties with NaN alone.
    """
    if np.isnan(value):
        return np.flatnonzero(np.isnan(values))
    with np.errstate(invalid="ignore"):
        return np.flatnonzero((np.abs(values - value) <= resolution) | (values == value))
