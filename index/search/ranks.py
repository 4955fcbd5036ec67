"""The rank of one point in another's list of all: how many are nearer."""

from __future__ import annotations

from typing import Any

import numpy as np

from index.search.compiled import compiled

_BLOCK = 256


def ranks_of(points: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the ranks, from 1, of some points, (Q, m), by their distance from Q of all U points (U, D): (Q, m) int32.

    Distances are compared in float32, and a rank is off by the points that these do not tell apart. One that is as far
    is not nearer.
    """
    centered = np.ascontiguousarray(points - points.mean(axis=0), dtype=np.float32)
    halves = (centered.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
    ranks = np.empty(others.shape, dtype=np.int32)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        scores = halves - centered[rows[block]] @ centered.T  # half the squared distance, less what is the row's own
        ranks[block] = _count_nearer(scores, others[block], rows[block])
    return ranks


def plane_ranks(places: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the same for places in the plane, (U, 2), by float64 differences."""
    ranks: np.ndarray = _count_in_plane(places.astype(np.float64), rows, others)
    return ranks


@compiled()
def _count_nearer(scores: Any, others: Any, own: Any) -> Any:
    ranks = np.empty(others.shape, dtype=np.int32)
    for row in range(len(others)):
        ranks[row] = _ranks_in(scores[row], others[row], own[row])
    return ranks


@compiled()
def _count_in_plane(places: Any, rows: Any, others: Any) -> Any:
    ranks = np.empty(others.shape, dtype=np.int32)
    scores = np.empty(len(places))
    for query in range(len(rows)):
        for place in range(len(places)):
            across = places[place, 0] - places[rows[query], 0]
            up = places[place, 1] - places[rows[query], 1]
            scores[place] = across * across + up * up
        ranks[query] = _ranks_in(scores, others[query], rows[query])
    return ranks


@compiled()
def _ranks_in(scores: Any, others: Any, own: Any) -> Any:
    """Count the scores below each of some, without the row's own: those are sorted, and each score is looked up."""
    limits = scores[others]
    order = np.argsort(limits)
    limits = limits[order]
    between = np.zeros(len(limits) + 1, dtype=np.int64)
    farthest = limits[-1]
    for place in range(len(scores)):
        if place != own and scores[place] < farthest:
            low, high = 0, len(limits)
            while low < high:  # the first limit that is above the score
                middle = (low + high) // 2
                if limits[middle] > scores[place]:
                    high = middle
                else:
                    low = middle + 1
            between[low] += 1
    ranks = np.empty(len(limits), dtype=np.int32)
    nearer = 0
    for place in range(len(limits)):
        nearer += between[place]
        ranks[order[place]] = nearer + 1
    return ranks
