"""The points nearest to a vector that need not be a point itself, exactly.

`search` measures every point, in float64, from differences: right for one query in a new process. A `Finder` answers
many queries of one process: it keeps a bfloat16 copy of the points, reads that, half the bytes, and measures only the
points that the bound of `filter` leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from index.errors import ParameterError
from index.geometry.blocks import Matrix
from index.geometry.maps import distances_to
from index.search.graph import as_plain, check_points, core_count

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Answer = tuple[NDArray[np.int32], NDArray[np.float64]]
SUMS = 1e-12
"""By how much, of themselves, distances from float64 sums in another order differ at most, for any D in use."""

Measured = tuple[Rows, NDArray[np.float64]]  # rows and their squared distances


def search(
    points: Matrix, query: np.ndarray, *, k: int, exclude: Collection[int] = (), rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows, int32, and distances, float64, of the k points nearest to one query, (D,), exactly.

    Ascending, equal distances by row; fewer than k where there are fewer points. Points are (V, D) float32. `exclude`
    leaves rows out: the query's own, and those that have no point. With `rows`, (n,) int32, only those are looked at.
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

    As `search`, but of distances in float32; those no further apart than `resolution` are tied. Fewer than `top` are
    returned only where there are fewer points.
    """
    ids, exact = search(points, query, k=len(points), exclude=exclude, rows=rows)
    distances = exact.astype(np.float32)
    n = _with_ties(distances, top, resolution)
    return ids[:n], distances[:n]


def _with_ties(distances: np.ndarray, top: int, resolution: float) -> int:
    """Return how many of the ascending distances, (n,), go to the first that does not tie with the one at `top`."""
    if len(distances) == 0:
        return 0
    border = distances[min(top, len(distances)) - 1] + resolution
    return max(top, int(np.searchsorted(distances, border, side="right"))) + 1


class Finder:
    """Answers many queries on the same points, (V, D) float32, finite, mapped or not; each exactly.

    A bfloat16 copy of the points is kept beside them. `excluded` rows are in no answer: those that have no point, as
    zero rows have no direction. `threads` are all cores this process may use, by default.
    """

    def __init__(self, points: Floats, *, excluded: Collection[int] = (), threads: int | None = None) -> None:
        from index.search.filter import build_filter
        from index.search.scores import BFLOAT16

        self._points = check_points(points)
        self._rows = np.setdiff1d(np.arange(len(points)), np.fromiter(excluded, np.int64, len(excluded)))
        if len(self._rows) == 0:
            raise ParameterError(f"none of {len(points)} rows has a point: there is nothing to find")
        self._pool = ThreadPoolExecutor(threads or core_count())
        self._filter = build_filter(self._points, self._rows, BFLOAT16, self._pool)
        self._residuals = self._filter.residuals(0, len(self._rows), self._pool)

    def search(self, queries: Floats, *, k: int, exclude: Sequence[Collection[int]] | None = None) -> Answer:
        """Return the rows of the k points nearest to each query, and their distances, exactly: (Q, k) both.

        Nearest first, equal distances by row. Queries, (Q, D), are rounded to float32. `exclude` leaves rows out for
        each query: its own, and those that are no answer.

        Raises
        ------
        ParameterError
            When fewer than k points are left for a query, or points and queries do not fit together.
        """
        from index.search.kernels import measure_rows

        spare = max(map(len, exclude), default=0) if exclude is not None else 0

        def measure(query: Floats) -> Measured:
            rows = self._within_bounds(query, k + spare)
            squared = np.empty(len(rows))
            measure_rows(self._points, query, rows, 0, len(rows), squared)
            return rows, squared

        return _answer(measure, (len(self._rows), self._points.shape[1]), queries, k, exclude)

    def search_with_ties(
        self, query: Floats, top: int, resolution: float, *, exclude: Collection[int] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what the function `search_with_ties` does of one float32 query, bit for bit."""
        left = len(self._points) - len(set(exclude))
        k = top
        while True:
            k = min(2 * k + 2, left)
            if 4 * k > left:  # reading all is as fast
                return search_with_ties(self._points, query, top, resolution, exclude=exclude)
            found, measured = self.search(query[np.newaxis], k=k, exclude=[exclude])
            rows = np.sort(found[0])
            exact = distances_to(self._points, query[np.newaxis], rows=rows)[0]
            # The last ones, and what was not found, may stand in another order by sums that round otherwise.
            sure = exact < measured[0, -1] * (1 - SUMS)
            rows, exact = rows[sure], exact[sure]
            order = np.lexsort((rows, exact))
            distances = exact[order].astype(np.float32)
            if len(rows) > top and (n := _with_ties(distances, top, resolution)) <= len(rows):
                return rows[order][:n], distances[:n]

    def around(self, query: Floats, nearest: float, farthest: float) -> tuple[Rows, Rows]:
        """Return the rows that may be from `nearest` to `farthest` away from one query, and those certainly nearer."""
        bounded = self._bounded(query)
        if bounded is None:
            return self._rows, np.empty(0, np.int64)
        lower, upper = bounded
        nearer = upper < (nearest * self._filter.scale) ** 2 / 2
        rows = self._filter.bounds.rows
        return np.sort(rows[~nearer & (lower <= (farthest * self._filter.scale) ** 2 / 2)]), rows[nearer]

    def _within_bounds(self, query: Floats, k: int) -> Rows:
        """Return the rows whose lower bound is within the k-th smallest upper bound."""
        bounded = self._bounded(query)
        if bounded is None:
            return self._rows
        lower, upper = bounded
        limit = np.partition(upper, k - 1)[k - 1] if k <= len(self._rows) else np.inf
        rows: Rows = self._filter.bounds.rows[lower <= limit]
        return rows

    def _bounded(self, query: Floats) -> tuple[Floats, Floats] | None:
        """Return bounds of half the squared scaled distances, (n,) each of n points, by position; None for none."""
        from index.search.filter import bound_query

        n = len(self._rows)
        bounds, starts = self._filter.bounds, self._filter.group_starts
        lower, upper = np.empty(n, np.float32), np.empty(n, np.float32)
        tasks: list[tuple[int, int, int, Floats, float]] = []
        for g, center in enumerate(self._filter.centers):
            v = (query - center) * self._filter.scale
            squared_norm = float(v @ v)
            if not squared_norm < 1e30:  # float32 could overflow: no bound
                return None
            for start, stop in zip(*_shares(starts[g], starts[g + 1], self._pool), strict=True):
                tasks.append((start, stop, g, v.astype(np.float32), squared_norm))

        def bound(task: tuple[int, int, int, Floats, float]) -> None:
            start, stop, g, v, squared_norm = task
            bound_query(start, stop, g, v, squared_norm, self._residuals, bounds, lower, upper)

        list(self._pool.map(bound, tasks))
        return lower, upper


def _shares(start: int, stop: int, pool: ThreadPoolExecutor) -> tuple[list[int], list[int]]:
    """Return the starts and the stops of one share for each thread."""
    edges = np.linspace(start, stop, pool._max_workers + 1).astype(int).tolist()
    return edges[:-1], edges[1:]


def _checked(queries: Floats, D: int) -> Floats:
    """Return queries (Q, D) as float32; ParameterError where they are of another shape or not finite."""
    if np.ndim(queries) != 2 or np.shape(queries)[1] != D:
        raise ParameterError(f"queries must be of shape (Q, {D}) like the points, got: {np.shape(queries)}")
    with np.errstate(over="ignore"):
        rounded: Floats = np.ascontiguousarray(queries, np.float32)
    finite = np.isfinite(rounded).all(axis=1)
    if not finite.all():
        raise ParameterError(f"queries must be finite as float32, but query {int(np.argmin(finite))} is not")
    return rounded


def _answer(
    measure: Callable[[Floats], Measured],
    shape: tuple[int, ...],
    queries: Floats,
    k: int,
    exclude: Sequence[Collection[int]] | None,
) -> Answer:
    queries = _checked(queries, shape[1])
    count = shape[0]
    if not 1 <= k <= count:
        raise ParameterError(f"k must be from 1 to {count}, the points there are, got: {k}")
    if exclude is not None and len(exclude) != len(queries):
        raise ParameterError(f"exclude must have one entry for each of {len(queries)} queries, got: {len(exclude)}")
    ids, distances = np.empty((len(queries), k), np.int32), np.empty((len(queries), k))
    for n, query in enumerate(queries):
        left_out = list(exclude[n]) if exclude is not None else []
        rows, squared = measure(as_plain(query))
        if left_out:
            kept = ~np.isin(rows, left_out)
            rows, squared = rows[kept], squared[kept]
        if k > len(rows):
            raise ParameterError(f"k must be from 1 to {len(rows)}, the points that are left for query {n}, got: {k}")
        near = np.flatnonzero(squared <= np.partition(squared, k - 1)[k - 1])
        order = near[np.lexsort((rows[near], squared[near]))][:k]
        ids[n], distances[n] = rows[order], np.sqrt(squared[order])
    return ids, distances
