"""Bounds of all distances from a query, from points in one byte a coordinate: what need not be read in full.

A sketch holds each point x as FAISS's 8-bit scalar quantizer keeps it, x', and the length of what that loses,
e = |x - x'|. FAISS measures |q - x'| for a query q, and by the triangle inequality

    |q - x'| - e  <=  |q - x|  <=  |q - x'| + e.                                                                (1)

FAISS works in float32, so its number s is not quite |q - x'|^2. With u = 2^-24:

    x' is read as vmin + vdiff (code + 1/2) / 255, four operations, each off by at most u of terms that are at most
    |vmin| + |vdiff|. e was measured with another reading of x', so both: at most d = 8 u | |vmin| + |vdiff| |   (2)
    differences, squares and their sum, of D terms in any order: s = |q - x'|^2 (1 + t), |t| <= g,
    g = (D + 4) u / (1 - (D + 4) u)  (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1)     (3)
    squares below 2^-126 may vanish: D 2^-126 of s                                                             (4)

and as sqrt(1 + t) and its inverse are within 1 -+ g of 1 while g <= 1/2, for r = sqrt(s) and h = sqrt(D) 2^-63

    r (1 - g) - h - d - e  <=  |q - x|  <=  r (1 + g) + h + d + e                                               (5)

with |q - q'| added to either side for a query q' that float32 holds, in place of q. Where s overflows, or g is more
than 1/2, the bounds are 0 and infinity. All that is not excluded by its lower bound is measured, in float64, from the
points themselves: so a sketch decides how much is read, and never what is answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index.geometry.blocks import Matrix, row_blocks, row_slices
from index.search.graph import core_count

if TYPE_CHECKING:
    import faiss

Doubles = NDArray[np.float64]
Bounds = tuple[Doubles, Doubles]
"""The lower and the upper bounds of the distances to all points, (V,) each."""

CHUNK_BYTES = 1 << 19
"""Of codes that FAISS searches at once: they come from the checksum, and are still in the processor's cache."""
SPREAD = 5.0
"""In standard deviations of a coordinate: what lies beyond saturates, and its row has the larger error."""
KEPT_SWEEPS = 4
_U = 2.0**-24


class Bounder(Protocol):
    """What bounds the distances from a query to all points."""

    def bounds(self, query: np.ndarray, rows: np.ndarray | None = None) -> Bounds:
        """Return the bounds for a query, (D,) float64; with `rows`, ascending, only theirs need be any good."""

    def ask(self, queries: np.ndarray) -> None:
        """Prepare bounds for several queries, (Q, D), at once."""


def new_quantizer(points: Matrix) -> faiss.IndexScalarQuantizer:
    """Return FAISS's 8-bit quantizer of squared L2 with ranges for points, (V, D) float32, and none of them in it.

    A coordinate's range is what it reaches, or SPREAD standard deviations to either side of its mean where that is
    less: a range for the farthest rows would cost all others digits.
    """
    import faiss

    V, D = points.shape
    total, squares = np.zeros(D), np.zeros(D)
    low, high = np.full(D, np.inf), np.full(D, -np.inf)
    for _, block in row_blocks(points):
        total += block.sum(axis=0)
        np.minimum(low, block.min(axis=0), out=low)
        np.maximum(high, block.max(axis=0), out=high)
    mean = total / V
    for _, block in row_blocks(points):
        squares += ((block - mean) ** 2).sum(axis=0)
    reach = SPREAD * np.sqrt(squares / V)
    low, high = np.maximum(low, mean - reach), np.minimum(high, mean + reach)
    quantizer = faiss.IndexScalarQuantizer(D, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_L2)
    trained = np.concatenate([low, np.maximum(high - low, 0)]).astype(np.float32)
    faiss.copy_array_to_vector(trained, quantizer.sq.trained)
    quantizer.is_trained = True
    return quantizer


def encode(quantizer: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of points, (n, D) uint8, and the lengths of what they lose, (n,) float32, rounded up."""
    codes = quantizer.sa_encode(np.ascontiguousarray(points))
    lost = points.astype(np.float64) - quantizer.sa_decode(codes)
    errors = np.sqrt(np.einsum("ij,ij->i", lost, lost)) * (1 + 1e-12)
    return codes, np.nextafter(errors.astype(np.float32), np.float32(np.inf))


class Swept:
    """Rows that FAISS measures the distances to, (V, D): all of them, some of them, by all cores.

    `errors`, (V,), are what each row has lost of its point. `forget` is told which rows were read, and may take them
    out of memory.
    """

    def __init__(
        self,
        index: Callable[[], Any],
        rows: Matrix,
        errors: np.ndarray | float,
        *,
        forget: Callable[[slice], None] | None = None,
        threads: int | None = None,
    ) -> None:
        self._index, self._rows, self._errors, self._forget = index, rows, errors, forget
        self._threads = threads or core_count()
        self._height = max(1, CHUNK_BYTES // rows[:1].nbytes)
        self.shape = rows.shape
        self.recent: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=KEPT_SWEEPS)  # queries, squared distances

    def bounds(self, query: np.ndarray, rows: np.ndarray | None = None, *, near: float = 0.0) -> Bounds:
        """Return the bounds (5) for a query, (D,) float64.

        With `rows`, only those are measured, and others are bounded by 0 and infinity. Distances from a query no
        further than `near` from this one are taken again, where there are any.
        """
        with np.errstate(over="ignore"):
            rounded = np.ascontiguousarray(query, np.float32)
        found = self._measured_before(query, near) if rows is None else None
        if found is None:
            found = rounded, self._squared_distances([rounded], rows)[0]
            if rows is None:
                self.recent.append(found)
        asked, squared = found
        D = self.shape[1]
        g = (D + 4) * _U / (1 - (D + 4) * _U)
        apart = float(np.linalg.norm(query - asked.astype(np.float64)))
        if not (g <= 0.5 and np.isfinite(apart)):
            return np.zeros(len(squared)), np.full(len(squared), np.inf)
        lengths = np.sqrt(squared, dtype=np.float64)
        off = self._errors + (np.sqrt(D) * 2.0**-63 + apart)
        lower = np.maximum(lengths * (1 - g) - off, 0)
        upper = lengths * (1 + g) + off
        lower[~np.isfinite(squared)] = 0
        return lower, upper

    def ask(self, queries: np.ndarray) -> None:
        """Measure the distances from several queries, (Q, D), in one sweep, for `bounds` to take."""
        with np.errstate(over="ignore"):
            rounded = list(np.ascontiguousarray(queries, np.float32))
        new = [query for query in rounded if self._measured_before(query.astype(np.float64), 0.0) is None]
        if new:
            self.recent.extend(zip(new, self._squared_distances(new, None), strict=True))

    def _measured_before(self, query: np.ndarray, near: float) -> tuple[np.ndarray, np.ndarray] | None:
        for asked, squared in tuple(self.recent):
            if np.linalg.norm(query - asked.astype(np.float64)) <= near:
                return asked, squared
        return None

    def _squared_distances(self, queries: list[np.ndarray], rows: np.ndarray | None) -> list[np.ndarray]:
        """Return what FAISS measures from float32 queries, (V,) float32 each: infinite where it is not asked."""
        V = self.shape[0]
        found = [np.full(V, np.inf, np.float32) for _ in queries]
        asked = [each for each in zip(queries, found, strict=True) if np.isfinite(each[0]).all()]
        edges = np.linspace(0, V, self._threads + 1).astype(int).tolist()

        def sweep(start: int, stop: int) -> None:
            part = _Part(self._index())
            for at in range(start, stop, self._height):
                where = slice(at, min(at + self._height, stop))
                inside = None if rows is None else rows[np.searchsorted(rows, at) : np.searchsorted(rows, where.stop)]
                if inside is None or len(inside):
                    block = self._rows[where]
                    for query, squared in asked:
                        part.measure(block, query, squared[where], None if inside is None else inside - at)
                    if self._forget is not None:
                        self._forget(where)

        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(sweep, edges[:-1], edges[1:]))
        return found


class Sketch(Swept):
    """Points, (V, D), as FAISS's 8-bit quantizer keeps them: `codes`, (V, D) uint8, and what each lost, `errors`, (V,).

    Its pages are forgotten the first time they are read: most processes ask once.
    """

    def __init__(
        self,
        quantizer: Any,
        codes: Matrix,
        errors: np.ndarray,
        *,
        forget: Callable[[slice], None] | None = None,
        threads: int | None = None,
    ) -> None:
        import faiss

        def index() -> Any:
            made = faiss.IndexScalarQuantizer(quantizer.d, quantizer.sq.qtype, faiss.METRIC_L2)
            made.sq, made.is_trained = quantizer.sq, True
            return made

        trained = faiss.vector_to_array(quantizer.sq.trained)
        ranges = np.abs(trained.astype(np.float64)).reshape(2, -1).sum(axis=0)
        decoding = 8 * _U * float(np.linalg.norm(ranges))
        super().__init__(index, codes, errors.astype(np.float64) + decoding, forget=forget, threads=threads)

    @classmethod
    def of(cls, points: Matrix, *, threads: int | None = None) -> Sketch:
        """Make a sketch in memory."""
        quantizer = new_quantizer(points)
        parts = [encode(quantizer, points[where]) for where in row_slices(points.shape)]
        codes, errors = (np.concatenate(each) for each in zip(*parts, strict=True))
        return cls(quantizer, codes, errors, threads=threads)

    def _squared_distances(self, queries: list[np.ndarray], rows: np.ndarray | None) -> list[np.ndarray]:
        found = super()._squared_distances(queries, rows)
        self._forget = None
        return found


def flat_bounds(points: Matrix, *, forget: Callable[[slice], None] | None = None, threads: int | None = None) -> Swept:
    """Return bounds by FAISS's flat index over points, (V, D) float32: nothing is lost, and (3) alone is their width.

    It reads four times what a sketch does, for where a sketch leaves too much open.
    """
    import faiss

    return Swept(lambda: faiss.IndexFlatL2(points.shape[1]), points, 0.0, forget=forget, threads=threads)


class _Part:
    """FAISS's index over some rows, which stay where they are."""

    def __init__(self, index: Any) -> None:
        import faiss

        self._faiss: Any = faiss
        self._index, self._empty = index, _read_in_place()

    def measure(self, rows: np.ndarray, query: np.ndarray, squared: np.ndarray, some: np.ndarray | None) -> None:
        """Fill in the squared distances from a query to rows, or to some of them."""
        content, count = rows.view(np.uint8), len(rows) if some is None else len(some)
        owner = self._empty.codes.owner
        view = self._faiss.MaybeOwnedVectorUInt8.create_view(self._faiss.swig_ptr(content), content.size, owner)
        self._index.codes, self._index.ntotal = view, len(rows)
        parameters = None
        if some is not None:
            chosen = np.zeros(len(rows), bool)
            chosen[some] = True
            selector = self._faiss.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))
            parameters = self._faiss.SearchParameters(sel=selector)
        distances, ids = self._index.search(query[np.newaxis], count, params=parameters)
        found = ids[0] >= 0
        squared[ids[0][found]] = distances[0][found]


def _read_in_place() -> Any:
    """Return an index that FAISS read where it lies: its owner stands for memory of others, while it lives."""
    import faiss as module

    faiss: Any = module
    empty = faiss.serialize_index(faiss.IndexScalarQuantizer(1, faiss.ScalarQuantizer.QT_8bit))
    return faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(empty), empty.size))
