"""The nearest points by float64 brute force, for what is checked against it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from index.geometry.blocks import Matrix, row_blocks
from index.geometry.maps import row_distances

_QUERIES_PER_BLOCK = 64


def nearest_points(
    points: Matrix, rows: np.ndarray, k: int, excluded: Collection[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each of some rows the ids and the distances of its k nearest other points, (n,), nearest first.

    Equal distances stand by row; n is less than k where there are fewer points, and 0 for an excluded row. Every point
    is looked at: a block of rows shares each read. Its squared distance is expanded, |x|^2 + |y|^2 - 2 <x, y>, and
    taken from the difference of the two wherever the expansion leaves open whether the point is among the nearest: it
    errs by at most 2 D u / (1 - D u) of |x|^2 + |y|^2 (Higham, Accuracy and Stability, eq. 3.5).
    """
    V, D = points.shape
    unit = D * 2.0**-53
    share = 2 * unit / (1 - unit)
    left_out = np.fromiter(excluded, np.int64, len(excluded))
    for start in range(0, len(rows), _QUERIES_PER_BLOCK):
        block = rows[start : start + _QUERIES_PER_BLOCK]
        queries = points[block].astype(np.float64)
        own = np.einsum("ij,ij->i", queries, queries)
        squared, largest = np.empty((len(block), V)), 0.0
        for where, others in row_blocks(points):
            squares = np.einsum("ij,ij->i", others, others)
            largest = max(largest, float(squares.max()))
            np.matmul(queries, others.T, out=squared[:, where])
            squared[:, where] *= -2
            squared[:, where] += squares
        squared += own[:, None]
        squared[:, left_out] = np.inf
        squared[np.arange(len(block)), block] = np.inf
        for row, query, square, found in zip(block.tolist(), queries, own, squared, strict=True):
            if row in excluded:
                yield np.empty(0, np.int64), np.empty(0)
                continue
            limit = np.partition(found, k - 1)[k - 1] + 2 * share * (square + largest)
            ids = np.flatnonzero((found <= limit) & np.isfinite(found))
            distances = row_distances(points[ids], query)
            order = np.lexsort((ids, distances))[:k]
            yield ids[order], distances[order]
