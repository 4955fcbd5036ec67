"""Random pairs of rows, for what is not measured over all V (V - 1)."""

from __future__ import annotations

import numpy as np

from index.errors import ParameterError, parameter

MOST_PAIRS = 10_000_000
"""They are drawn, and held, all at once."""


def check_pairs(pairs: int, *, least: int = 1) -> None:
    """Raise ParameterError unless so many random pairs can be drawn."""
    if not least <= pairs <= MOST_PAIRS:
        raise ParameterError(f"{parameter('pairs')} must be from {least} to {MOST_PAIRS:,}, got: {pairs}")


def random_pairs(draw: np.random.Generator, V: int, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two different rows of V for each of some ordered pairs, (pairs,) each."""
    left = draw.integers(V, size=pairs)
    return left, (left + draw.integers(1, V, size=pairs)) % V
