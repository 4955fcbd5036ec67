"""Distances from queries to rows that are read from one end to the other, as bounds: by FAISS, or by compiled loops.

FAISS measures in float32, so its number s is not quite |q - x|^2. With u = 2^-24: differences, squares and their sum,
of D terms in any order, give

    s = |q - x|^2 (1 + t), |t| <= g, g = (D + 8) u / (1 - (D + 8) u)                                            (1)

by Higham, Accuracy and Stability of Numerical Algorithms, section 3.1, where D + 2 would do, and squares below 2^-126
may vanish: D 2^-126 of s. As sqrt(1 + t) and its inverse are within 1 -+ g of 1 while g <= 1/2, for r = sqrt(s) and
h = sqrt(D) 2^-63

    r (1 - g) - h  <=  |q - x|  <=  r (1 + g) + h.                                                              (2)

Where s overflows, or g is more than 1/2, the bounds are 0 and infinity. FAISS is asked for all of a part in their
order, which is most of its work, and decodes what is in codes anew: a process that goes on asking has its own loops
compiled, in float64, where (1) holds with u = 2^-53 and (2) with h = sqrt(D) 2^-511. There the bounds are compared with
distances that `maps.distances_to` sums up as precisely, and (2) holds of those, too: a root has half the error of its
square, so (2) has room for (D + 2) u / 2 of either, and for five roundings more.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index import process
from index.geometry.blocks import Matrix, mapped
from index.search.graph import core_count

Doubles = NDArray[np.float64]
Bounds = tuple[Doubles, Doubles]
"""The lower and the upper bounds of distances to points, (n,) each."""

Reader = Callable[[slice], np.ndarray]
"""Returns consecutive rows, until it is called again."""

CHUNK_BYTES = 1 << 20
"""Of rows that FAISS searches at once: they come from the checksum, and are still in the processor's cache."""
PART_BYTES = 1 << 24
"""So few are read by one thread: to have another begin takes as long."""
SCATTERED_BYTES = 1 << 20
"""Of rows that lie apart, whose memory is waited for."""
ALONE_BYTES = 1 << 16
"""To read one row takes as long as so many bytes one after the other."""
KEPT_SWEEPS = 4


class Bounder(Protocol):
    """What bounds the distances from a query to all points."""

    def bounds(self, query: np.ndarray, rows: np.ndarray | None = None) -> Bounds:
        """Return the bounds for a query, (D,) float64; with `rows`, (n,) ascending, of those alone, in their order."""

    def ask(self, queries: np.ndarray) -> None:
        """Prepare bounds for several queries, (Q, D), at once."""

    @property
    def quick(self) -> bool:
        """Whether to bound some rows takes little more than reading them."""


class Sweep(NamedTuple):
    """What was found of one query."""

    query: np.ndarray  # (D,) the query that was asked: float32 by FAISS
    least: Doubles  # (n,) bounds of its distances to the rows
    most: Doubles


def unknown(n: int) -> Bounds:
    """Return bounds that say nothing."""
    return np.zeros(n), np.full(n, np.inf)


class Swept:
    """Rows that distances are measured to, (V, D): all of them, some of them, by all cores.

    `errors`, (V,), are what each row has lost of its point. `reader` makes functions that read rows, one after the
    other, for FAISS; by default they are taken as they are.
    """

    def __init__(
        self,
        index: Callable[[], Any],
        rows: Matrix,
        errors: np.ndarray | float,
        *,
        reader: Callable[[], Reader] | None = None,
        threads: int | None = None,
    ) -> None:
        self._index, self._rows = index, rows
        self._reader = reader or (lambda: rows.__getitem__)
        self._errors = np.full(rows.shape[:1], errors, np.float64)  # rows of one error, or each of its own
        self._lossy = bool(self._errors.any())
        self._threads = threads or core_count()
        self._height = max(1, CHUNK_BYTES // rows[:1].nbytes)
        self._row_bytes = rows[:1].nbytes
        self.shape = rows.shape
        self.recent: deque[Sweep] = deque(maxlen=KEPT_SWEEPS)

    def bounds(self, query: np.ndarray, rows: np.ndarray | None = None, *, near: float = 0.0) -> Bounds:
        """Return the bounds for a query, (D,) float64; with `rows`, (n,) ascending, of those alone, in their order.

        Distances to all from a query no further than `near` from this one are taken again, where there are any.
        """
        found = self._swept_before(query, near) if rows is None else None
        if found is None:
            found = self._sweep([query], rows)[0]
            if rows is None:
                self.recent.append(found)
        with np.errstate(over="ignore"):
            apart = 0.0 if found.query is query else float(np.linalg.norm(query - found.query.astype(np.float64)))
        if not np.isfinite(apart):
            return unknown(len(found.least))
        if rows is not None and apart == 0 and not self._lossy:
            return np.maximum(found.least, 0, out=found.least), found.most
        errors = self._errors if rows is None else self._errors[rows]
        if self.quick:
            from index.search.code_kernels import widen

            lower, upper = np.empty_like(found.least), np.empty_like(found.most)
            widen(found.least, found.most, errors, apart, lower, upper)
            return lower, upper
        off = apart + errors
        least = found.least - off
        return np.maximum(least, 0, out=least), found.most + off

    def ask(self, queries: np.ndarray) -> None:
        """Measure the distances from several queries, (Q, D), in one sweep, for `bounds` to take."""
        new = [query for query in queries.astype(np.float64) if self._swept_before(query, 0.0) is None]
        if new:
            self.recent.extend(self._sweep(new, None))

    @property
    def quick(self) -> bool:
        """Whether compiled loops are there by now."""
        return process.goes_on()

    def _swept_before(self, query: np.ndarray, near: float) -> Sweep | None:
        for sweep in tuple(self.recent):
            if near == 0:
                same = np.array_equal(query, sweep.query)
            else:
                same = bool(np.linalg.norm(query - sweep.query.astype(np.float64)) <= near)
            if same:
                return sweep
        return None

    def _sweep(self, queries: list[np.ndarray], rows: np.ndarray | None) -> list[Sweep]:
        """Measure the distances from queries, (D,) float64 each, to the rows, or to some of them."""
        process.note_sweep()
        if not self.quick:
            with np.errstate(over="ignore"):
                rounded = [np.ascontiguousarray(query, np.float32) for query in queries]
            squared = self._ask_faiss(rounded, rows)
            return [Sweep(query, *self._by_faiss(each)) for query, each in zip(rounded, squared, strict=True)]
        wanted = self._all if rows is None else np.ascontiguousarray(rows, np.int64)
        return [Sweep(query, *self._by_loops(query, wanted)) for query in queries]

    @cached_property
    def _all(self) -> np.ndarray:
        return np.arange(self.shape[0])

    def _by_faiss(self, squared: NDArray[np.float32]) -> Bounds:
        """Return the bounds (2) of what FAISS measured, (n,)."""
        return between(squared, self.shape[1], 2.0**-24, 2.0**-63)

    def _by_loops(self, query: np.ndarray, rows: np.ndarray) -> Bounds:
        """Return the bounds of some rows' distances from a query, (D,) float64, in their order."""
        from index.search.code_kernels import squared_distances

        if not np.isfinite(query).all():
            return unknown(len(rows))
        squared = np.empty(len(rows))

        points = mapped(self._rows, rows)
        part_bytes = PART_BYTES if rows is self._all else SCATTERED_BYTES
        self._in_parts(len(rows), lambda part: squared_distances(points, rows[part], query, squared[part]), part_bytes)
        return between(squared, self.shape[1], 2.0**-53, 2.0**-511)

    def _in_parts(self, count: int, work: Callable[[slice], None], part_bytes: int = PART_BYTES) -> None:
        """Do some work on `count` rows, on as many threads as pay."""
        parts = min(self._threads, 1 + count * self._row_bytes // part_bytes)
        slices = [slice(*edge) for edge in pairwise(count * part // parts for part in range(parts + 1))]
        others = [_threads_of(os.getpid(), self._threads).submit(work, part) for part in slices[1:]]
        work(slices[0])
        for other in others:
            other.result()

    def _next(self, rows: np.ndarray | None, start: int, stop: int, read: Reader) -> tuple[slice, np.ndarray]:
        """Return where the next of all rows, or of some, stand among these, and what is in them."""
        where = slice(start, min(start + self._height, stop))
        if rows is None:
            return where, read(where)
        if len(rows) * ALONE_BYTES < self.shape[0] * self._row_bytes:
            return where, self._rows[rows[where]]
        first = int(rows[start])  # and those near it, with what lies between
        where = slice(start, start + int(np.searchsorted(rows[where], first + self._height)))
        some = rows[where]
        return where, read(slice(first, int(some[-1]) + 1))[some - first]

    def _ask_faiss(self, queries: list[np.ndarray], rows: np.ndarray | None) -> list[NDArray[np.float32]]:
        """Return what FAISS measures from float32 queries to all or some rows, (n,) float32 each."""
        count = self.shape[0] if rows is None else len(rows)
        found = [np.full(count, np.inf, np.float32) for _ in queries]
        asked = [each for each in zip(queries, found, strict=True) if np.isfinite(each[0]).all()]
        edges = np.linspace(0, count, self._threads + 1).astype(int).tolist()

        def sweep(start: int, stop: int) -> None:
            part, read = _Part(self._index()), self._reader()
            while start < stop:
                where, block = self._next(rows, start, stop, read)
                for query, squared in asked:
                    part.measure(block, query, squared[where])
                start = where.stop

        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(sweep, edges[:-1], edges[1:]))
        return found


@cache
def _threads_of(_process: int, count: int) -> ThreadPoolExecutor:
    """Return threads that stay: to start some takes as long as a sweep. A forked process has none of its parent's."""
    return ThreadPoolExecutor(count)


def between(squared: np.ndarray, D: int, unit_roundoff: float, least_root: float) -> Bounds:
    """Return the bounds (2) of distances whose squares were summed up in D terms of some precision."""
    g = (D + 8) * unit_roundoff / (1 - (D + 8) * unit_roundoff)
    if not 0 <= g <= 0.5:
        return unknown(len(squared))
    lengths = np.sqrt(squared, dtype=np.float64)
    lost = np.sqrt(D) * least_root
    least, most = lengths * (1 - g) - lost, lengths * (1 + g) + lost
    open_ones = ~np.isfinite(squared)
    least[open_ones], most[open_ones] = 0, np.inf
    return least, most


def flat_bounds(points: Matrix, *, reader: Callable[[], Reader] | None = None, threads: int | None = None) -> Swept:
    """Return bounds by FAISS's flat index over points, (V, D) float32: nothing is lost, and (1) alone is their width.

    It reads four times what a sketch does, for where a sketch leaves too much open.
    """
    import faiss

    return Swept(lambda: faiss.IndexFlatL2(points.shape[1]), points, 0.0, reader=reader, threads=threads)


class _Part:
    """FAISS's index over some rows, which stay where they are, for the thread that makes it."""

    def __init__(self, index: Any) -> None:
        import faiss

        self._faiss: Any = faiss
        # Of this thread alone. Others would wait for each of its searches, of one query, in loops that take a core.
        self._faiss.omp_set_num_threads(1)
        self._index, self._empty = index, _read_in_place()

    def measure(self, rows: np.ndarray, query: np.ndarray, squared: np.ndarray) -> None:
        """Fill in the squared distances from a query to rows."""
        content = rows.view(np.uint8)
        owner = self._empty.codes.owner
        view = self._faiss.MaybeOwnedVectorUInt8.create_view(self._faiss.swig_ptr(content), content.size, owner)
        self._index.codes, self._index.ntotal = view, len(rows)
        distances, ids = self._index.search(query[np.newaxis], len(rows))
        found = ids[0] >= 0
        squared[ids[0][found]] = distances[0][found]


def _read_in_place() -> Any:
    """Return an index that FAISS read where it lies: its owner stands for memory of others, while it lives."""
    import faiss as module

    faiss: Any = module
    empty = faiss.serialize_index(faiss.IndexScalarQuantizer(1, faiss.ScalarQuantizer.QT_8bit))
    return faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(empty), empty.size))
