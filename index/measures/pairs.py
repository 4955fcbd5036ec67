"""Random pairs of rows, for what is not measured over all V (V - 1)."""

from __future__ import annotations

import numpy as np


def random_pairs(draw: np.random.Generator, V: int, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two different rows of V for each of some ordered pairs, (pairs,) each."""
    left = draw.integers(V, size=pairs)
    return left, (left + draw.integers(1, V, size=pairs)) % V
