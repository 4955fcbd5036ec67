"""Points in one byte a coordinate, which bound all distances from a query: what need not be read in full.

A sketch holds each point x as FAISS's 8-bit scalar quantizer keeps it, x', and the length of what that loses,
e = |x - x'|. By the triangle inequality, for a query q,

    |q - x'| - e  <=  |q - x|  <=  |q - x'| + e.                                                                (1)

x' is vmin + vdiff (code + 1/2) / 255, by coordinates. FAISS reads it so in float32, four operations, each off by at
most u = 2^-24 of terms that are at most |vmin| + |vdiff|, and e was measured with another such reading: |q - x'| is off
by at most d = 8 u | |vmin| + |vdiff| | from what e is an error of. FAISS's bounds of |q - x'| are those of `swept`.

Loops of our own count codes from the middle, k = code - 128, so that with b = vdiff / 255 and p = q - vmin - 128.5 b

    |q - x'|^2 = |p|^2 - 2 sum w k + sum (b k)^2,   w = p b,                                                    (2)

whose last sum is the row's own, kept in float64 once it is found. w is rounded to integers W times one step c, which
makes of the middle sum one of 8 by 16 bits, in integers of 32. The step is such that |W| is below 2^15 and sum |W| at
most (2^31 - 1) / 128, so this sum is exact: |sum W k| <= 128 sum |W|. What rounding w costs is measured,

    |sum w k - c sum W k|  <=  128 sum |w - c W|,                                                               (3)

and float64 sums of D terms, a few operations behind each, err by less than (2 D + 16) 2^-53 of |p|^2 + sum (b k)^2,
which no part of (2) is more than twice of; four times that is allowed for.

All that is not excluded by its lower bound is measured, in float64, from the points themselves: so a sketch decides
how much is read, and never what is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.geometry.blocks import Matrix, mapped, row_blocks, row_slices
from index.search.swept import Bounds, Doubles, Reader, Swept, unknown

if TYPE_CHECKING:
    import faiss

SPREAD = 5.0
"""In standard deviations of a coordinate: what lies beyond saturates, and its row has the larger error."""
MIDDLE = 128
MOST_WEIGHT = 2**15 - 1
MOST_WEIGHTS = (2**31 - 1) // MIDDLE
"""What the weights of all coordinates may sum up to, without their signs."""
_U = 2.0**-24


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


class Sketch(Swept):
    """Points, (V, D), as FAISS's 8-bit quantizer keeps them: `codes`, (V, D) uint8; each has lost `errors`, (V,)."""

    def __init__(
        self,
        quantizer: Any,
        codes: Matrix,
        errors: np.ndarray,
        *,
        reader: Callable[[], Reader] | None = None,
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
        super().__init__(index, codes, errors.astype(np.float64) + decoding, reader=reader, threads=threads)
        low, reach = trained.astype(np.float64).reshape(2, -1)
        self._steps = reach / 255  # (D,) b of (2)
        self._middle = low + (MIDDLE + 0.5) * self._steps  # (D,) where k is 0
        self._squared: Doubles | None = None  # (V,) the last sum of (2)

    @classmethod
    def of(cls, points: Matrix, *, threads: int | None = None) -> Sketch:
        """Make a sketch in memory."""
        quantizer = new_quantizer(points)
        parts = [encode(quantizer, points[where]) for where in row_slices(points.shape)]
        codes, errors = (np.concatenate(each) for each in zip(*parts, strict=True))
        return cls(quantizer, codes, errors, threads=threads)

    def _by_loops(self, query: np.ndarray, rows: np.ndarray) -> Bounds:
        """Return the bounds of |q - x'| by (2) and (3)."""
        from index.search.code_kernels import bound_sums, squared_lengths, weigh

        codes, D = mapped(self._rows, self._all), self.shape[1]
        if self._squared is None:
            squared = np.empty(len(codes))
            self._in_parts(len(codes), lambda part: squared_lengths(codes, self._all[part], self._steps, squared[part]))
            self._squared = squared
        with np.errstate(over="ignore", invalid="ignore"):
            p = query - self._middle
            integers, step, lost = _weights(p * self._steps)
            own = float(p @ p)
        if not np.isfinite(lost):
            return unknown(len(rows))
        less = np.int32(MIDDLE * int(integers.sum(dtype=np.int64)))
        squared = self._squared if rows is self._all else self._squared[rows]
        vanished = np.sqrt(D) * 2.0**-511  # squares and products that do, as in `swept`; and roots are rounded, too
        off = 2 * MIDDLE * lost, (8 * D + 64) * 2.0**-53, vanished
        sums, least, most = np.empty(len(rows), np.int32), np.empty(len(rows)), np.empty(len(rows))

        def measure(part: slice) -> None:
            weigh(codes, rows[part], integers, less, sums[part])
            bound_sums(sums[part], squared[part], own, step, *off, least[part], most[part])

        self._in_parts(len(rows), measure)
        return least, most


def _weights(w: Doubles) -> tuple[NDArray[np.int16], float, float]:
    """Return integers W, (D,), their step c, and what (3) sums up, a little more than sum |w - c W|."""
    sizes = np.abs(w)
    room = max(MOST_WEIGHTS - len(w), 0.5)  # half a step of each may be added by rounding
    step = float(max(sizes.max() / MOST_WEIGHT, sizes.sum() / room)) * (1 + 1e-9)
    if not (np.isfinite(step) and step > 1e-290):  # no integers, and all is lost: the bound still holds
        return np.zeros(len(w), np.int16), 0.0, float(sizes.sum()) * (1 + 1e-9)
    integers = np.rint(w / step)
    lost = float(np.abs(w - step * integers).sum() + 1e-15 * sizes.sum()) * (1 + 1e-9)
    return integers.astype(np.int16), step, lost
