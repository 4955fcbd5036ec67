"""Numbers as bfloat16 holds them."""

from __future__ import annotations

import numpy as np

_DIGITS = 8  # of a significand, the leading one among them
_LEAST_EXPONENT = -133  # of the smallest step between subnormal numbers
_LARGEST = float.fromhex("0x1.fep127")


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Return the nearest numbers of bfloat16 as float64, ties to even; beyond its range infinite.

    Rounded once: by way of float32 some would be rounded twice.
    """
    _, exponents = np.frexp(values)
    exponents = np.maximum(exponents - _DIGITS, _LEAST_EXPONENT)
    rounded = np.ldexp(np.rint(np.ldexp(values, -exponents)), exponents)
    found: np.ndarray = np.where(np.abs(rounded) > _LARGEST, np.copysign(np.inf, values), rounded)
    return found


def least_rounding_to(value: float) -> float:
    """Return a number that all that rounds to the same number of bfloat16 as a value, or to a higher one, reaches.

    It is half a step below that number: below a power of two, where steps are shorter, it is lower than it need be.
    """
    rounded = float(to_bfloat16(np.array(value)))
    if np.isinf(rounded):
        return _LARGEST if rounded > 0 else -np.inf
    exponent = max(int(np.frexp(rounded)[1]) - _DIGITS, _LEAST_EXPONENT)
    return rounded - float(np.ldexp(0.5, exponent))
