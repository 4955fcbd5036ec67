"""Matrices read block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from index.bundle.stored import Matrix

BLOCK_BYTES = 1 << 26
"""Size of one float64 block of rows while a matrix is streamed."""


def row_blocks(rows: Matrix) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield consecutive blocks of `rows` (V, D) of any float type as float64, with the slice each stands for."""
    height = max(1, BLOCK_BYTES // (8 * rows.shape[1]))
    for start in range(0, len(rows), height):
        where = slice(start, start + height)
        yield where, rows[where].astype(np.float64)
