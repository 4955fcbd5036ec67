"""How far an entry of a stored distance matrix may be off, from the precision that its values were born in.

A pipeline that expands d^2 = |x|^2 + |y|^2 - 2 <x, y> errs in the square, so that the error of a distance d is
1 / (2 d) of that: millionths at an ordinary distance, and as much as the distance itself near zero. One number for all
entries would be that of the smallest. Three terms are allowed here, each to the entry it belongs to::

    |d - D| <= rtol d  +  atol  +  e / (d + D),    e = expansion (|x|^2 + |y|^2) + floor

and the last is |d^2 - D^2| <= e, because d^2 - D^2 = (d - D) (d + D).

rtol
    What rounding the value does: twice the unit u of its precision, for the value and for its square or its mirror
    image; 2^-22 at least, four units of the float32 that the points of a bundle are rounded to.
atol
    What rounding points to float32 does, here and in the pipeline: a point x moves by 2^-24 |x|, a distance by
    2^-24 (|x| + |y|), both together by 2^-22 R at most, with R the largest norm.
expansion
    c u with c = 2 sqrt(n). A sum of products errs by at most u times the sum of the sizes of its partial sums (Higham,
    Accuracy and Stability of Numerical Algorithms, 2002, section 3.3), each of which is |x| |y| at most; roundings that
    are independent add up as their squares do, to sqrt(n) u |x| |y| over n additions (Higham and Mary, A New Approach
    to Probabilistic Rounding Error Analysis, 2019, theorem 2.4 with lambda = 1). Two norms and twice a product make
    sqrt(n) u (|x|^2 + |y|^2 + 2 |x| |y|) <= 2 sqrt(n) u (|x|^2 + |y|^2). A rounding is 0.41 u in the root mean square,
    and a sum that grows evenly has 0.58 of the partial sums of one that is there at once: c is 4 to 7 standard
    deviations, where the certain bound, n in place of sqrt(n), would hide distances of 0.2. n is the longest chain of
    additions: BLAS adds up some 256 products and then such blocks, NumPy and torch sum by lanes or in pairs, so
    n = b + D / b with b the smaller of D and 256 (Blanchard, Higham and Mary, A Class of Fast and Accurate Summation
    Algorithms, 2020). On points of 32 to 4,096 dimensions, equal but for 1e-4 or unlike, NumPy, torch and
    `torch.cdist` erred by 0.85 of it at most. u is that of float32, but for values that only float64 holds: half
    precision is what matrices are stored in, not what they are summed in.
floor
    2^-25 for float16, whose smallest squares are multiples of 2^-24.

Norms are those of uncentered rows, which a pipeline multiplies, or of the bundle's points where these are longer.
"""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

UNITS = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}
_BLOCK = 256


@dataclass(frozen=True)
class Allowance:
    """By how much an entry D may differ from the distance d of two points x and y; see this module's docstring."""

    born: str  # bfloat16, float16, float32 or float64
    rtol: float
    atol: float  # logometers
    expansion: float  # of |x|^2 + |y|^2, in the square of a distance
    floor: float  # logometers squared, in the square of a distance
    largest_norm: float

    @classmethod
    def of(cls, born: str, D: int, largest_norm: float) -> Allowance:
        """Return what is allowed to a matrix of points of width D, `born` as `birth_precision` names it."""
        unit, point = UNITS[born], 2.0**-22
        block = min(D, _BLOCK)
        summed = unit if born == "float64" else UNITS["float32"]
        expansion = 2 * float(np.sqrt(block + D / block)) * summed
        floor = 2.0**-25 if born == "float16" else 0.0
        return cls(born, max(2 * unit, point), point * largest_norm, expansion, floor, largest_norm)

    @property
    def at_zero(self) -> float:
        """What it comes to where two of the longest points are the same, in logometers."""
        return float(self.at(np.zeros(1), np.full(1, 2 * self.largest_norm**2))[0])

    def at(self, distances: np.ndarray, squared_norms: np.ndarray) -> np.ndarray:
        """Return how far at most D may be from each distance d; `squared_norms` are |x|^2 + |y|^2, of the same shape.

        An entry is furthest off below d, where D^2 = d'^2 - e with d' = d less the first two terms; or at sqrt(e) or
        less, where that is below zero.
        """
        first = self.rtol * distances + self.atol
        squares = self.expansion * squared_norms + self.floor
        shortened = np.maximum(distances - first, 0)
        rest = np.sqrt(np.maximum(shortened**2 - squares, 0))
        divisor = np.where(rest > 0, shortened + rest, np.sqrt(squares))
        allowed: np.ndarray = first + squares / np.where(divisor > 0, divisor, 1)
        return allowed

    def hides(self, distances: np.ndarray, squared_norms: np.ndarray) -> np.ndarray:
        """Return whether 0 would be let pass in place of each distance."""
        squares = self.expansion * squared_norms + self.floor
        hidden: np.ndarray = distances**2 <= (self.rtol * distances + self.atol) * distances + squares
        return hidden


def birth_precision(values: np.ndarray) -> str:
    """Return the narrowest of bfloat16, float16, float32 and float64 that holds every finite value exactly."""
    values = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        for dtype in (ml_dtypes.bfloat16, np.float16, np.float32):
            if np.array_equal(values.astype(dtype).astype(values.dtype), values):
                return np.dtype(dtype).name
    return "float64"
