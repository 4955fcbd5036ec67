"""Exact nearest points of one query: distances to all of them, in float64 from differences."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

_BLOCK_ELEMENTS = 1 << 22


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
        Fewer are returned where there are fewer points.
    exclude : collection of int
        Rows to leave out: the query's own, and those that have no point.

    Returns
    -------
    ids : ndarray of shape (k,), int32
    distances : ndarray of shape (k,), float64
        Ascending, equal ones by row.
    """
    distances = np.empty(len(points))
    height = max(1, _BLOCK_ELEMENTS // points.shape[1])
    for start in range(0, len(points), height):
        differences = points[start : start + height].astype(np.float64) - query
        distances[start : start + height] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    kept = np.delete(np.arange(len(points), dtype=np.int32), list(exclude))
    nearest = kept[np.lexsort((kept, distances[kept]))[:k]]
    return nearest, distances[nearest]
