"""The rank of one point in another's list of all: how many are nearer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from index.compiled import compiled
from index.progress import Share
from index.search.graph import core_count, one_torch_thread_each

_BLOCK = 128
"""Rows whose scores of all points are in memory together, for each thread."""

_TILE = 4096
"""Scores of a row that stay in the processor's cache while they are compared with each limit."""


def ranks_of(
    points: np.ndarray, rows: np.ndarray, others: np.ndarray, progress: Share = lambda share: None
) -> np.ndarray:
    """Return the ranks, from 1, of some points, (Q, m), by their distance from Q of all U points (U, D): (Q, m) int32.

    Distances are compared in float32, and a rank is off by the points that these do not tell apart. One that is as far
    is not nearer.
    """
    import torch

    centered = np.ascontiguousarray(points - points.mean(axis=0), dtype=np.float32)
    halves = (centered.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
    transposed = torch.from_numpy(centered).T

    def rank(block: slice) -> np.ndarray:
        products = torch.mm(torch.from_numpy(centered[rows[block]]), transposed).numpy()
        ranks: np.ndarray = _rank_by_products(products, halves, rows[block], others[block])
        return ranks

    return _of_all(rank, others, progress)


def plane_ranks(
    places: np.ndarray, rows: np.ndarray, others: np.ndarray, progress: Share = lambda share: None
) -> np.ndarray:
    """Return the same for places in the plane, (U, 2), by float64 differences."""
    x, y = np.ascontiguousarray(places.T, dtype=np.float64)

    def rank(block: slice) -> np.ndarray:
        ranks: np.ndarray = _rank_in_plane(x, y, rows[block], others[block])
        return ranks

    return _of_all(rank, others, progress)


def _of_all(rank: Callable[[slice], np.ndarray], others: np.ndarray, progress: Share) -> np.ndarray:
    """Rank block by block, by all cores."""
    ranks = np.empty(others.shape, dtype=np.int32)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(others), _BLOCK)]
    with one_torch_thread_each(), ThreadPoolExecutor(core_count()) as pool:
        for number, (block, found) in enumerate(zip(blocks, pool.map(rank, blocks), strict=True), 1):
            ranks[block] = found
            progress(number / len(blocks))
    return ranks


@compiled()
def _rank_by_products(products: Any, halves: Any, rows: Any, others: Any) -> Any:
    ranks = np.empty(others.shape, dtype=np.int32)
    for query in range(len(rows)):
        scores = halves - products[query]  # half the squared distance, less what is the row's own
        ranks[query] = _ranks_in(scores, others[query], rows[query])
    return ranks


@compiled()
def _rank_in_plane(x: Any, y: Any, rows: Any, others: Any) -> Any:
    ranks = np.empty(others.shape, dtype=np.int32)
    for query in range(len(rows)):
        across, up = x - x[rows[query]], y - y[rows[query]]
        ranks[query] = _ranks_in(across * across + up * up, others[query], rows[query])
    return ranks


@compiled()
def _ranks_in(scores: Any, others: Any, own: Any) -> Any:
    """Count the scores below each of some, without the row's own: all by all, which processors do many at a time."""
    limits = scores[others]
    scores[own] = np.inf
    ranks = np.ones(len(limits), dtype=np.int32)
    for start in range(0, len(scores), _TILE):
        tile = scores[start : start + _TILE]
        for place in range(len(limits)):
            limit, nearer = limits[place], np.int32(0)
            for score in range(len(tile)):
                nearer += np.int32(tile[score] < limit)
            ranks[place] += nearer
    return ranks
