"""The points nearest to a vector that need not be a point itself, exactly.

`search` measures every point, in float64, from differences. A `Finder` reads a sketch of the points, through FAISS, and
measures only those that the sketch's bounds do not exclude: the same answer from a tenth of the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from index.errors import ParameterError
from index.geometry.blocks import Matrix
from index.geometry.maps import distances_to
from index.search.graph import check_points
from index.search.sketch import Sketch
from index.search.swept import Bounder, flat_bounds

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.integer]
Answer = tuple[NDArray[np.int32], NDArray[np.float64]]
FEW_ROWS = 256
"""So few are measured themselves: to read a sketch takes longer."""
ROUNDING = 1e-6
"""More than rounding distances, and sums of them, to float32 moves them, as a share of them: a few times 6e-8."""
MOST_OPEN = 1 / 16
"""The share of the points that is measured itself; of more a flat index bounds the distances first, which is faster."""
FEW_OPEN = 32
"""So few of them are measured themselves where a flat index is quick, too."""
_BLOCK = 64
_SPARE = 8  # points beyond those asked for that are measured at once: seldom do more tie


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
    """Answers queries on the same points, (V, D) float32, each exactly; of most points it reads the sketch alone.

    `bounder` bounds the distances from a query to all of them; by default a sketch is made, and the points are checked.
    `finer` makes what bounds them closer, for where that leaves many open.
    `excluded` rows are in no answer: those that have no point, as zero rows have no direction. Where the points are
    `directions`, a query that is zero is refused, too: it is as far from all.
    """

    def __init__(
        self,
        points: Matrix,
        *,
        bounder: Bounder | None = None,
        finer: Callable[[], Bounder] | None = None,
        excluded: Collection[int] = (),
        directions: bool = False,
        threads: int | None = None,
    ) -> None:
        self._points = points if bounder is not None else check_points(points[:])
        self._directions = directions
        self._excluded = np.array(sorted({*_those_of(len(points), excluded).tolist()}), np.int64)
        self._count = len(points) - len(self._excluded)
        if self._count == 0:
            raise ParameterError(f"none of {len(points)} rows has a point: there is nothing to find")
        self._bounder = bounder or Sketch.of(points, threads=threads)
        self._finer_one: Bounder | None = None
        self._make_finer = finer or (lambda: flat_bounds(self._points, threads=threads))

    def search(self, queries: Floats, *, k: int, exclude: Sequence[Collection[int]] | None = None) -> Answer:
        """Return the rows of the k points nearest to each query, and their distances, exactly: (Q, k) both.

        Nearest first, equal distances by row. Queries, (Q, D), are rounded to float32. `exclude` leaves rows out for
        each query: its own, and those that are no answer.

        Raises
        ------
        ParameterError
            When fewer than k points are left for a query, or points and queries do not fit together; for a query
            without direction where points are directions.
        """
        queries = _checked(queries, self._points.shape[1])
        if self._directions and not (there := queries.any(axis=1)).all():
            raise ParameterError(
                f"query {int(np.argmin(there))} is zero and has no direction: nothing is nearest to it"
            )
        if not 1 <= k <= self._count:
            raise ParameterError(f"k must be from 1 to {self._count}, the points there are, got: {k}")
        if exclude is not None and len(exclude) != len(queries):
            raise ParameterError(f"exclude must have one entry for each of {len(queries)} queries, got: {len(exclude)}")
        ids, distances = np.empty((len(queries), k), np.int32), np.empty((len(queries), k))
        for n, query in enumerate(queries):
            found = _Ranking(self, query, exclude[n] if exclude is not None else (), None)
            if k > found.count:
                raise ParameterError(
                    f"k must be from 1 to {found.count}, the points that are left for query {n}, got: {k}"
                )
            ids[n], distances[n] = found.nearest(k)
        return ids, distances

    def search_with_ties(
        self,
        query: np.ndarray,
        top: int,
        resolution: float,
        *,
        exclude: Collection[int] = (),
        rows: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what the function `search_with_ties` does of one query, bit for bit."""
        if rows is not None and len(rows) < FEW_ROWS:
            kept = rows[~np.isin(rows, self._excluded)]
            return search_with_ties(self._points, query, top, resolution, exclude=exclude, rows=kept)
        ranking = _Ranking(self, query, exclude, rows)
        k = min(top + _SPARE, ranking.count)
        while True:
            ids, exact = ranking.within(k)
            distances = exact.astype(np.float32)
            n = _with_ties(distances, top, resolution)
            if k == ranking.count or n <= len(ids):
                return ids[:n], distances[:n]
            k = min(2 * k, ranking.count)

    def within(
        self, query: np.ndarray, radius: float, *, exclude: Collection[int] = ()
    ) -> tuple[NDArray[np.int32], Doubles]:
        """Return all points no farther from one query than a radius: rows and distances, nearest first."""
        return _Ranking(self, query, exclude, None).up_to(radius)

    def around(
        self, query: np.ndarray, nearest: float, farthest: float, *, then: np.ndarray | None = None
    ) -> tuple[Rows, Rows]:
        """Return the rows that may be from `nearest` to `farthest` away from one query, and those certainly nearer.

        `then` are queries, (Q, D), that will be asked next: they share what is read of all points for this one.
        """
        asked = query[np.newaxis] if then is None else np.concatenate([query[np.newaxis], then])
        self._bounder.ask(asked)
        lower, upper = self._bounder.bounds(query.astype(np.float64))
        nearer, there = upper < nearest, lower <= farthest
        nearer[self._excluded] = there[self._excluded] = False
        doubtful = np.flatnonzero(there & ~nearer)
        if len(doubtful) > self._most_open():
            lower, upper = self._finer.bounds(query.astype(np.float64), doubtful)
            nearer[doubtful[upper < nearest]] = True
            doubtful = doubtful[(upper >= nearest) & (lower <= farthest)]
        return doubtful, np.flatnonzero(nearer)

    def _most_open(self) -> float:
        """Return how many points are measured themselves, at most."""
        return FEW_OPEN if self._bounder.quick else MOST_OPEN * len(self._points)

    @property
    def _finer(self) -> Bounder:
        if self._finer_one is None:
            self._finer_one = self._make_finer()
        return self._finer_one


class _Ranking:
    """The points nearest to one query, as many as are asked for: all that a bound does not exclude are measured."""

    def __init__(self, finder: Finder, query: np.ndarray, exclude: Collection[int], rows: np.ndarray | None) -> None:
        self._points, self._query, self._finder = finder._points, query.astype(np.float64), finder
        V, out = len(finder._points), np.concatenate([finder._excluded, _those_of(len(finder._points), exclude)])
        if rows is not None:
            among = np.zeros(V, bool)
            among[rows] = True
            among[out] = False
            rows, out = np.flatnonzero(among), out[:0]
        self._rows = rows  # those that the bounds are of, ascending; None: all
        self._lower, self._upper = finder._bounder.bounds(self._query, rows)
        self._lower[out], self._upper[out] = np.nan, np.inf  # no border reaches what is left out
        self.count = len(self._lower) - len({*out.tolist()})
        self._done = np.zeros(len(self._lower), bool)
        self._measured, self._exact = np.empty(0, np.int64), np.empty(0)  # those done, and their distances

    def within(self, k: int) -> tuple[NDArray[np.int32], Doubles]:
        """Return all points that are no farther than the k-th nearest, of `count` at most: rows and distances."""
        if k == 0:
            return np.empty(0, np.int32), np.empty(0)
        likely = _least(self._upper, k)
        if np.isnan(self._lower[likely]).any():  # as little is known of others
            there = np.flatnonzero(~np.isnan(self._lower))
            likely = there[_least(self._upper[there], k)]
        if self._finder._bounder.quick:
            likely = np.sort(likely)
            self._lower[likely], upper = self._finder._finer.bounds(self._query, self._rows_at(likely))
            return self.up_to(float(upper.max()), k)
        self._measure(likely)
        return self.up_to(float(np.partition(self._exact, k - 1)[k - 1]), k)

    def up_to(self, border: float, k: int | None = None) -> tuple[NDArray[np.int32], Doubles]:
        """Return all points no farther than a border: rows and distances, nearest first.

        With `k` that many are known to be: then only those no farther than the k-th nearest.
        """
        left = np.flatnonzero((self._lower <= border) & ~self._done)
        if len(left) > self._finder._most_open():
            self._lower[left], upper = self._finder._finer.bounds(self._query, self._rows_at(left))
            if k is not None and k <= len(left):
                border = min(border, float(np.partition(upper, k - 1)[k - 1]))
            left = left[self._lower[left] <= border]
        self._measure(left)
        if k is not None:
            border = min(border, float(np.partition(self._exact, k - 1)[k - 1]))
        found = self._exact <= border
        rows, distances = self._rows_at(self._measured[found]), self._exact[found]
        order = np.lexsort((rows, distances))
        return rows[order].astype(np.int32), distances[order]

    def nearest(self, k: int) -> tuple[NDArray[np.int32], Doubles]:
        """Return the k nearest, equal distances by row."""
        rows, distances = self.within(k)
        return rows[:k], distances[:k]

    def _rows_at(self, places: Rows) -> Rows:
        return places if self._rows is None else self._rows[places]

    def _measure(self, places: Rows) -> None:
        wanted = np.sort(places[~self._done[places]])
        if len(wanted) == 0:
            return
        rows = self._rows_at(wanted)
        measured = distances_to(self._points, self._query[np.newaxis], rows=rows)[0]
        if not (finite := np.isfinite(measured)).all():
            raise ParameterError(f"points must be finite, but row {rows[~finite][0]} is not")
        self._done[wanted] = True
        self._measured = np.concatenate([self._measured, wanted])
        self._exact = np.concatenate([self._exact, measured])


def _least(values: Doubles, k: int) -> Rows:
    """Return the places of the k least of some values, (n,) with n >= k; which of those that tie is not said."""
    blocks = len(values) // _BLOCK
    if k > blocks:
        return np.argpartition(values, k - 1)[:k] if k < len(values) else np.arange(k)
    # k blocks whose least values are the lowest hold k values that are no higher than the last of these.
    lowest = values[: blocks * _BLOCK].reshape(blocks, _BLOCK).min(axis=1)
    some = np.flatnonzero(values <= np.partition(lowest, k - 1)[k - 1])
    chosen: Rows = some[np.argpartition(values[some], k - 1)[:k]]
    return chosen


def _those_of(V: int, rows: Collection[int]) -> Rows:
    """Return those of some rows that are among V."""
    given = np.fromiter(rows, np.int64, len(rows))
    return given[(given >= 0) & (given < V)]


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
