"""What every search asks of the points it is given."""

import os

import numpy as np
from numpy.typing import NDArray

from index.errors import ParameterError

CHECKED_ROWS = 4096


def check_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return points as a plain, read-only, row-by-row matrix, whatever they are mapped from.

    Raises
    ------
    ParameterError
        Unless they are a finite float32 matrix.
    """
    if points.ndim != 2 or points.dtype != np.float32 or not points.size:
        raise ParameterError(
            f"points must be a float32 matrix of shape (V, D), got: {points.dtype} of shape {points.shape}"
        )
    for start in range(0, len(points), CHECKED_ROWS):
        finite = np.isfinite(points[start : start + CHECKED_ROWS]).all(axis=1)
        if not finite.all():
            raise ParameterError(
                f"points must be finite, but row {start + int(np.argmin(finite))} is not; leave such rows out"
            )
    return as_plain(points)


def as_plain(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a read-only ndarray: one type for the compiled kernels, mapped or not."""
    plain = np.ascontiguousarray(points).view(np.ndarray)[:]
    plain.flags.writeable = False
    return plain


def check_k(k: int, V: int) -> None:
    """Raise ParameterError unless every one of V points has k others."""
    if k < 1:
        raise ParameterError(f"k must be 1 or more, got: {k}")
    if V == 1:
        raise ParameterError(f"k={k} needs at least {k + 1} tokens, but there is 1, which has no neighbors; index more")
    if k > V - 1:
        raise ParameterError(
            f"k={k} needs at least {k + 1} tokens, but there are {V}; pass --neighbors {V - 1} or less"
        )


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
