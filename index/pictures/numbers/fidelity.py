"""How true a map of the vocabulary is: what it keeps of each token's neighborhood, and of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle
from index.geometry.maps import Geometry
from index.measures.layout import kept_shares, nearest_places, neighborhood_scores
from index.search.ranks import plane_ranks, ranks_of

NEIGHBORS = (15, 100)
"""How many are looked at, where there are so many."""

DRAWN = 4096
"""Tokens whose neighbors are ranked among all others: a share of the quadratic cost of ranking those of all."""

_SEED = 42


@dataclass(frozen=True)
class Fidelity:
    """What a map keeps of neighborhoods, in one geometry."""

    geometry: str
    k: int
    kept: float  # share of the k nearest that are among the k nearest on the map, the mean of all tokens
    trustworthiness: float  # as scikit-learn defines it, of `ranked` tokens among all
    trustworthiness_error: float  # one standard error, of drawing these; 0 where they are all
    continuity: float
    continuity_error: float
    ranked: int


def fidelity(bundle: Bundle, places: np.ndarray, geometry: Geometry) -> dict[int, tuple[np.ndarray, Fidelity]]:
    """Return what places in the plane, (V, 2) with NaN for none, keep of neighborhoods at each of `NEIGHBORS`.

    Of each k: the kept share of every token, (V,) float64 with NaN where it has no place, and the figures of all.
    Tokens with the same point are one. Where the vocabulary has fewer than k others, k is left out; where a token with
    a point has no place, all are.
    """
    space = bundle.spaces[geometry]
    first = space.groups.first
    placed = ~np.isnan(places).any(axis=1)
    chosen = (first == np.arange(len(bundle))) & placed
    chosen[list(space.excluded)] = False
    rows = np.flatnonzero(chosen)
    row_of = np.full(len(bundle), -1, dtype=np.int64)
    row_of[rows] = np.arange(len(rows))
    U = len(rows)
    sizes = [k for k in NEIGHBORS if k <= space.distinct_ids.shape[1] and k < U - 1]
    if not sizes:
        return {}
    true = row_of[space.distinct_ids[rows][:, : sizes[-1]]]
    if (true < 0).any():
        return {}  # some have a point and no place: what is kept of their neighborhoods cannot be said
    near = nearest_places(places[rows], sizes[-1])
    drawn = np.sort(np.random.default_rng(_SEED).permutation(U)[:DRAWN])
    found = {}
    in_truth = ranks_of(np.asarray(space.points[rows]), drawn, near[drawn])
    on_map = plane_ranks(places[rows], drawn, true[drawn])
    for k in sizes:
        shares = kept_shares(true[:, :k], near[:, :k])
        kept = np.full(len(bundle), np.nan)
        kept[rows] = shares
        kept = np.where(placed, kept[first], np.nan)
        kept[list(space.excluded)] = np.nan
        scores = [neighborhood_scores(ranks[:, :k], U) for ranks in (in_truth, on_map)]
        (trust, trust_error), (continuity, continuity_error) = (_mean(each, U) for each in scores)
        figures = (float(shares.mean()), trust, trust_error, continuity, continuity_error)
        found[k] = kept, Fidelity(geometry.label, k, *figures, len(drawn))
    return found


def _mean(scores: np.ndarray, U: int) -> tuple[float, float]:
    """Return the mean of scores drawn from U without putting back, and its standard error."""
    left = 1 - len(scores) / U
    return float(scores.mean()), float(scores.std() * np.sqrt(left / len(scores)))
