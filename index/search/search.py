"""Exact nearest points of a vector: distances to all of them, or to some, in float64 from differences."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from index.bundle.stored import Matrix

_BLOCK_ELEMENTS = 1 << 18
"""Elements of a float64 block: 2 MB, so that it stays in the processor's cache."""


def distances_to(points: Matrix, queries: np.ndarray, *, rows: np.ndarray | None = None) -> np.ndarray:
    """Return the Euclidean distances from some vectors to points, each point read once.

    Parameters
    ----------
    points : ndarray or StoredArray of shape (V, D), float32
        Memory-mapped or not.
    queries : ndarray of shape (Q, D)
    rows : ndarray of shape (n,), optional
        The points to measure to, in this order; all V by default.

    Returns
    -------
    ndarray of shape (Q, n), float64
    """
    count, D = len(points) if rows is None else len(rows), points.shape[1]
    height = max(1, _BLOCK_ELEMENTS // D)
    distances = np.empty((len(queries), count))
    block, differences = np.empty((height, D)), np.empty((height, D))
    for start in range(0, count, height):
        where = slice(start, min(start + height, count))
        here, gaps = block[: where.stop - start], differences[: where.stop - start]
        np.copyto(here, points[where] if rows is None else points[rows[where]])
        for query, found in zip(queries, distances, strict=True):
            np.subtract(here, query, out=gaps)
            np.einsum("ij,ij->i", gaps, gaps, out=found[where])
    return np.sqrt(distances, out=distances)


def search(
    points: Matrix, query: np.ndarray, *, k: int, exclude: Collection[int] = (), rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and distances of the k points nearest to one query, exactly.

    Parameters
    ----------
    points : ndarray or StoredArray of shape (V, D), float32
        Memory-mapped or not.
    query : ndarray of shape (D,)
    k : int
        Fewer are returned where there are fewer points.
    exclude : collection of int
        Rows to leave out: the query's own, and those that have no point.
    rows : ndarray of shape (n,), int32, optional
        The only rows to look among; all V by default.

    Returns
    -------
    ids : ndarray of shape (k,), int32
    distances : ndarray of shape (k,), float64
        Ascending, equal ones by row.
    """
    among = np.arange(len(points), dtype=np.int32) if rows is None else rows
    kept = ~np.isin(among, np.fromiter(exclude, np.int32, len(exclude)))
    ids, distances = among[kept], distances_to(points, query[np.newaxis], rows=rows)[0][kept]
    order = np.lexsort((ids, distances))[:k]
    return ids[order], distances[order]


def search_with_ties(
    points: Matrix,
    query: np.ndarray,
    top: int,
    resolution: float,
    *,
    exclude: Collection[int] = (),
    rows: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points nearest to one query: `top` of them, and on to the first that does not tie with the last.

    Parameters
    ----------
    points, query, exclude, rows
        As in `search`.
    top : int
        From 1.
    resolution : float
        Distances no further apart than this are tied.

    Returns
    -------
    ids : ndarray of shape (n,), int32
        Nearest first; n is less than `top` only where there are fewer points.
    distances : ndarray of shape (n,), float32
    """
    ids, exact = search(points, query, k=len(points), exclude=exclude, rows=rows)
    distances = exact.astype(np.float32)
    if len(ids) == 0:
        return ids, distances
    border = distances[min(top, len(ids)) - 1] + resolution
    n = max(top, int(np.searchsorted(distances, border, side="right"))) + 1
    return ids[:n], distances[:n]
