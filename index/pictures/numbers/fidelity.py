"""How true a map of the vocabulary is: what it keeps of each token's neighborhood, and of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle
from index.export.layout import laid_out
from index.geometry.maps import Geometry
from index.measures.layout import kept_shares, nearest_places, neighborhood_scores
from index.progress import Share
from index.search.queries import nearest_points
from index.search.ranks import plane_ranks, ranks_of
from index.search.subset import lists_within

NEIGHBORS = (15, 100)
"""How many are looked at, where there are so many."""

MOST_RANKED = 65_536
"""Of so many points, or fewer, the neighbors of all are ranked among all others, which costs their square."""

DRAWN = 2048
"""Of more, those of so many."""

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


def fidelity(
    bundle: Bundle, places: np.ndarray, geometry: Geometry, progress: Share = lambda share: None
) -> tuple[list[Fidelity], np.ndarray]:
    """Return the figures of a map, (V, 2) places of all tokens, at each of `NEIGHBORS` that there are.

    And the share of each token's 15 nearest that are among its 15 nearest on the map, (V,) float64: tokens with one
    point are one; NaN for tokens that are not laid out, and for all where there are no more than 15.
    """
    space = bundle.spaces[geometry]
    rows = laid_out(bundle, space)
    U, k = len(rows), NEIGHBORS[0]
    kept = np.full(len(bundle), np.nan)
    if k >= U - 1:
        return [], kept
    sizes = [k for k in NEIGHBORS if k < U - 1 and 3 * k + 1 < 2 * U]  # else there is nothing to normalize by
    longest = sizes[-1] if sizes and U <= MOST_RANKED else k
    true = np.asarray(lists_within(space.lists, space.points, rows, longest).distinct_ids[:, :longest])
    near = nearest_places(places[rows], longest)
    kept[rows] = kept_shares(true[:, :k], near[:, :k])
    shares: np.ndarray = kept[space.groups.first]
    shares[list(space.excluded)] = np.nan
    figures = _figures(np.asarray(space.points[rows]), places[rows], true, near, sizes, progress) if sizes else []
    return [Fidelity(geometry.label, *each) for each in figures], shares


def _figures(
    points: np.ndarray, places: np.ndarray, true: np.ndarray, near: np.ndarray, sizes: list[int], progress: Share
) -> list[tuple[int, float, float, float, float, float, int]]:
    """Return what `Fidelity` holds but for the geometry, of U points, (U, D), and their places, (U, 2), for each size.

    Their nearest, (U, k), are ranked where they are as many as the largest size; else those of `DRAWN` of them.
    """
    U, ranked = len(points), np.arange(len(points))
    if true.shape[1] < sizes[-1]:
        ranked = np.sort(np.random.default_rng(_SEED).permutation(U)[:DRAWN])
        true = nearest_points(points, np.arange(U), points[ranked], sizes[-1] + 1)[0][:, 1:]  # the nearest is itself
        near = nearest_places(places, sizes[-1])[ranked]
    in_truth = ranks_of(points, ranked, near, lambda share: progress(share / 2))
    on_map = plane_ranks(places, ranked, true, lambda share: progress((1 + share) / 2))
    found = []
    for k in sizes:
        shares = kept_shares(true[:, :k], near[:, :k])
        trust, continuity = (_mean(neighborhood_scores(ranks[:, :k], U), U) for ranks in (in_truth, on_map))
        found.append((k, float(shares.mean()), *trust, *continuity, len(ranked)))
    return found


def _mean(scores: np.ndarray, U: int) -> tuple[float, float]:
    """Return the mean of scores drawn from U without putting back, and its standard error."""
    left = 1 - len(scores) / U
    return float(scores.mean()), float(scores.std() * np.sqrt(left / len(scores)))
