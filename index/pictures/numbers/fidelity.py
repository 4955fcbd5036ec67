"""How true a map of the vocabulary is: what it keeps of each token's neighborhood, and of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle
from index.export.layout import laid_out
from index.geometry.maps import Geometry
from index.measures.layout import kept_shares, nearest_places, neighborhood_scores
from index.search.queries import nearest_points
from index.search.ranks import plane_ranks, ranks_of
from index.search.subset import lists_within

NEIGHBORS = (15, 100)
"""How many are looked at, where there are so many."""

DRAWN = 2048
"""Tokens whose neighbors are ranked among all others: a share of the quadratic cost of ranking those of all."""

_SEED = 42


@dataclass(frozen=True)
class Fidelity:
    """What a map keeps of neighborhoods, in the geometry that it is of; of tokens that are laid out, among these."""

    geometry: str
    k: int
    kept: float  # share of the k nearest that are among the k nearest on the map, the mean of `ranked` tokens
    trustworthiness: float  # as scikit-learn defines it, of `ranked` tokens among all
    trustworthiness_error: float  # one standard error, of drawing these; 0 where they are all
    continuity: float
    continuity_error: float
    ranked: int


def kept_neighbors(bundle: Bundle, places: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the share of each token's 15 nearest that are among its 15 nearest on a map, (V,) float64.

    `places` are of all tokens, (V, 2). Tokens with one point are one. NaN for tokens that are not laid out, and for all
    where there are no more than 15.
    """
    space = bundle.spaces[geometry]
    rows = laid_out(bundle, space)
    kept = np.full(len(bundle), np.nan)
    k = NEIGHBORS[0]
    if len(rows) - 1 > k:
        true = lists_within(space.lists, space.points, rows, k).distinct_ids[:, :k]
        kept[rows] = kept_shares(np.asarray(true), nearest_places(places[rows], k))
    shares: np.ndarray = kept[space.groups.first]
    shares[list(space.excluded)] = np.nan
    return shares


def fidelity(bundle: Bundle, places: np.ndarray, geometry: Geometry) -> list[Fidelity]:
    """Return the figures of a map, (V, 2) places of all tokens, at each of `NEIGHBORS` that there are.

    Of `DRAWN` tokens among all that are laid out; their nearest are searched for, because of the stored ones many may
    be untrained.
    """
    space = bundle.spaces[geometry]
    rows = laid_out(bundle, space)
    U = len(rows)
    sizes = [k for k in NEIGHBORS if k < U - 1 and 3 * k + 1 < 2 * U]  # else there is nothing to normalize by
    if not sizes:
        return []
    points, on_map = np.asarray(space.points[rows]), places[rows]
    drawn = np.sort(np.random.default_rng(_SEED).permutation(U)[:DRAWN])
    true = nearest_points(points, np.arange(U), points[drawn], sizes[-1] + 1)[0][:, 1:]  # the nearest is itself
    near = nearest_places(on_map, sizes[-1])[drawn]
    in_truth, in_plane = ranks_of(points, drawn, near), plane_ranks(on_map, drawn, true)
    found = []
    for k in sizes:
        shares = kept_shares(true[:, :k], near[:, :k])
        trust, continuity = (_mean(neighborhood_scores(ranks[:, :k], U), U) for ranks in (in_truth, in_plane))
        found.append(Fidelity(geometry.label, k, float(shares.mean()), *trust, *continuity, len(drawn)))
    return found


def _mean(scores: np.ndarray, U: int) -> tuple[float, float]:
    """Return the mean of scores drawn from U without putting back, and its standard error."""
    left = 1 - len(scores) / U
    return float(scores.mean()), float(scores.std() * np.sqrt(left / len(scores)))
