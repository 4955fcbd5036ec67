"""Exact k nearest neighbors, by Euclidean distance between points.

A float32 matrix product finds candidates; distances are then taken in float64 from differences, which keep the digits
that |x|^2 + |y|^2 - 2 <x, y> loses between near-identical points. A row whose candidates cannot be proven complete is
searched by brute force.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from index.errors import ParameterError
from index.spaces import twin_groups

BLOCK_ROWS = 1024
SPARE_CANDIDATES = 64
"""How many more than k the product picks: the room in which its rounding may reorder."""


@dataclass(frozen=True, eq=False)
class KnnGraph:
    """The k nearest neighbors of each of V points.

    Attributes
    ----------
    ids : ndarray of shape (V, k), int32
        Rows, nearest first, equal distances by row; never the point's own row.
    distances : ndarray of shape (V, k), float32
        Euclidean.
    distinct_distances : ndarray of shape (V, k), float32
        To the k nearest distinct points other than the point's own; infinite where there are no more.
    """

    ids: np.ndarray
    distances: np.ndarray
    distinct_distances: np.ndarray


def knn_graph(
    points: np.ndarray,
    *,
    k: int,
    threads: int | None = None,
    device: str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> KnnGraph:
    """Return the exact k-nearest-neighbor graph of all points.

    Parameters
    ----------
    points : ndarray of shape (V, D), float32
    k : int
        From 1 to V - 1.
    threads : int, optional
        All cores by default.
    device : str
        Where torch multiplies.
    progress : callable, optional
        Called with the share done, from 0 to 1.

    Raises
    ------
    ParameterError
        When k is out of range.
    """
    check_k(k, len(points))
    representatives, inverse = np.unique(twin_groups(points), return_inverse=True)
    distinct = points if len(representatives) == len(points) else points[representatives]
    ids, distances = _graph_of_distinct(distinct, min(k, len(distinct) - 1), threads, device, progress)
    return _expand(ids, distances, inverse, k)


def _graph_of_distinct(
    points: np.ndarray, k: int, threads: int | None, device: str, progress: Callable[[float], None] | None
) -> tuple[np.ndarray, np.ndarray]:
    import torch

    V, D = points.shape
    if threads is not None:
        torch.set_num_threads(threads)
    on_device = torch.from_numpy(points).to(device)
    squares = (on_device * on_device).sum(dim=1)
    # Worst-case rounding of a float32 sum of D products (Higham, Accuracy and Stability, eq. 3.5), and of the squares.
    bound = 4 * D * 2.0**-24 * float(squares.max())
    picked = min(V, k + 1 + SPARE_CANDIDATES)
    ids = np.empty((V, k), dtype=np.int32)
    distances = np.empty((V, k), dtype=np.float64)
    for start in range(0, V if k else 0, BLOCK_ROWS):
        block = slice(start, min(start + BLOCK_ROWS, V))
        scores = torch.addmm(squares, on_device[block], on_device.T, beta=1, alpha=-2)
        scores += squares[block, None]
        least = torch.topk(scores, picked, dim=1, largest=False)
        candidates = least.indices.cpu().numpy()
        beyond = least.values[:, -1].cpu().numpy() if picked < V else np.full(len(candidates), np.inf)
        for row in range(block.start, block.stop):
            found, exact = _rank(points, points[row], candidates[row - start], k, exclude=(row,))
            if exact[-1] ** 2 + bound >= beyond[row - start]:
                found, exact = _rank(points, points[row], np.arange(V), k, exclude=(row,))
            ids[row], distances[row] = found, exact
        if progress is not None:
            progress(block.stop / V)
    return ids, distances


def _expand(ids: np.ndarray, distances: np.ndarray, inverse: np.ndarray, k: int) -> KnnGraph:
    """Turn the graph of distinct points into that of all: every twin of a neighbor is a neighbor."""
    V = len(inverse)
    by_point = np.argsort(inverse, kind="stable")
    members = np.split(by_point, np.flatnonzero(np.diff(inverse[by_point])) + 1)
    all_ids = np.empty((V, k), dtype=np.int32)
    all_distances = np.empty((V, k), dtype=np.float32)
    distinct_distances = np.full((V, k), np.inf, dtype=np.float32)
    distinct_distances[:, : ids.shape[1]] = distances[inverse]
    for row, point in enumerate(inverse):
        near = [members[point], *(members[neighbor] for neighbor in ids[point])]
        candidates = np.concatenate(near)
        exact = np.repeat(np.concatenate([[0.0], distances[point]]), [len(group) for group in near])
        others = candidates != row
        candidates, exact = candidates[others], exact[others]
        order = np.lexsort((candidates, exact))[:k]
        all_ids[row], all_distances[row] = candidates[order], exact[order]
    return KnnGraph(all_ids, all_distances, distinct_distances)


def search(
    points: np.ndarray, query: np.ndarray, *, k: int, exclude: Collection[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and distances of the k points nearest to one query, exactly.

    Parameters
    ----------
    points : ndarray of shape (V, D), float32
        Memory-mapped or not.
    query : ndarray of shape (D,)
    k : int
    exclude : collection of int
        Rows to leave out: the query's own, and those that have no point.

    Returns
    -------
    ids : ndarray of shape (k,), int32
    distances : ndarray of shape (k,), float64
        Ascending, equal ones by row.
    """
    return _rank(points, query, np.arange(len(points)), k, exclude=exclude)


def check_k(k: int, V: int) -> None:
    """Raise ParameterError unless every one of V points has k others."""
    if k < 1:
        raise ParameterError(f"k must be 1 or more, got: {k}")
    if k > V - 1:
        raise ParameterError(
            f"k={k} needs at least {k + 1} tokens, but there are {V}; pass --neighbors {V - 1} or less"
        )


def exact_distances(points: np.ndarray, query: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances from `query` (D,) to `points[candidates]`, float64, from differences."""
    distances = np.empty(len(candidates))
    height = max(1, (1 << 24) // points.shape[1])
    for start in range(0, len(candidates), height):
        differences = points[candidates[start : start + height]].astype(np.float64) - query
        distances[start : start + height] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return distances


def _rank(
    points: np.ndarray, query: np.ndarray, candidates: np.ndarray, k: int, *, exclude: Collection[int]
) -> tuple[np.ndarray, np.ndarray]:
    candidates = candidates[~np.isin(candidates, list(exclude))]
    distances = exact_distances(points, query, candidates)
    order = np.lexsort((candidates, distances))[:k]
    return candidates[order].astype(np.int32), distances[order]
