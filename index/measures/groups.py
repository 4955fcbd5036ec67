"""Connected groups of points: two are in one group when a chain of links no longer than a bound joins them."""

from __future__ import annotations

import numpy as np

from index.geometry.maps import pair_distances

_BLOCK_ROWS = 1024
_GRAPH_ROWS = 1 << 14


def connected_groups(
    points: np.ndarray, ids: np.ndarray, distances: np.ndarray, twins: np.ndarray, bound: float
) -> np.ndarray:
    """Return the connected components of the graph of all pairs no further apart than `bound`, exactly.

    Parameters
    ----------
    points : ndarray of shape (V, D), float32
        Memory-mapped or not; read only where the lists do not decide.
    ids, distances : ndarrays of shape (V, K)
        The exact k-NN graph of the points, nearest first, -1 and infinity where there are no more.
    twins : ndarray of shape (V,)
        The first row with the same vector, for each row: always linked.
    bound : float
        In the unit of the distances, 0 or more.

    Returns
    -------
    ndarray of shape (V,), int64
        The first row of each row's group; a row alone has its own number.

    Notes
    -----
    A pair within the bound is missing from both lists only where both lists end within the bound. So only such rows
    are searched further: one of each group of twins, against the others that are in another group still.
    """
    V, K = ids.shape
    bound = np.float64(min(bound, float(np.finfo(np.float32).max)))  # compared in float64; no distance is larger
    groups = np.arange(V)
    _link(groups, groups.copy(), twins)
    for start in range(0, V, _GRAPH_ROWS):
        rows, places = np.nonzero(distances[start : start + _GRAPH_ROWS] <= bound)
        rows += start
        _link(groups, rows, ids[rows, places])
    if K < V - 1:
        _search_further(points, np.unique(twins[distances[:, -1] <= bound]), groups, bound)
    return groups


def _link(groups: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Unite the groups of each pair of rows (a[i], b[i]), in place."""
    while True:
        first, second = groups[a], groups[b]
        apart = first != second
        if not apart.any():
            return
        a, b, first, second = a[apart], b[apart], first[apart], second[apart]
        np.minimum.at(groups, np.maximum(first, second), np.minimum(first, second))
        while not np.array_equal(further := groups[groups], groups):
            groups[:] = further


def _search_further(points: np.ndarray, rows: np.ndarray, groups: np.ndarray, bound: float) -> None:
    """Unite the groups of all pairs of `rows` within the bound, in place.

    The expansion |x|^2 + |y|^2 - 2 <x, y>, in float64, is off by at most 2^-52 (D + 8) (2 R)^2, with R the largest
    norm (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1). Pairs closer to the bound than that,
    and than the rounding of a distance to float32, are measured by their differences.
    """
    labels, sizes = np.unique(groups[rows], return_counts=True)
    if len(labels) < 2:
        return
    square = bound**2
    squares = np.concatenate([np.square(points[rows[at]], dtype=np.float64).sum(axis=1) for at in _blocks(len(rows))])
    doubt = 2.0**-52 * (points.shape[1] + 8) * 4 * squares.max() + 2.0**-22 * square
    # Every pair of two groups has an end outside the largest.
    rest = np.flatnonzero(groups[rows] != labels[sizes.argmax()])
    for where in _blocks(len(rows)):
        others, theirs = rows[where], points[rows[where]].astype(np.float64)
        for at in np.split(rest, range(_BLOCK_ROWS, len(rest), _BLOCK_ROWS)):
            here = rows[at]
            excess = squares[at, None] + squares[where] - 2 * (points[here].astype(np.float64) @ theirs.T) - square
            apart = groups[here, None] != groups[others]
            i, j = np.nonzero(apart & (excess < -doubt))
            _link(groups, here[i], others[j])
            i, j = np.nonzero(apart & (np.abs(excess) <= doubt) & (groups[here, None] != groups[others]))
            linked = pair_distances(points, here[i], others[j]).astype(np.float32) <= bound
            _link(groups, here[i[linked]], others[j[linked]])


def _blocks(count: int) -> list[slice]:
    return [slice(start, start + _BLOCK_ROWS) for start in range(0, count, _BLOCK_ROWS)]
