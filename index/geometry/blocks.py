"""Matrices that are read block by block, wherever they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

BLOCK_BYTES = 1 << 26
"""Size of one float64 block of rows while a matrix is streamed."""


class Matrix(Protocol):
    """What can be read row by row: an array in memory, mapped, or in a bundle, where what is read is checked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


def mapped(matrix: Matrix, rows: np.ndarray) -> np.ndarray:
    """Return the whole of a matrix, of which some rows, (n,), may be read: where it is mapped, if it is in one file."""
    of_rows = getattr(matrix, "mapped", None)
    whole: np.ndarray = matrix[:] if of_rows is None else of_rows(rows)
    return whole


def row_slices(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices of consecutive rows, together all of a matrix of some shape (V, D)."""
    height = max(1, BLOCK_BYTES // (8 * shape[1]))
    for start in range(0, shape[0], height):
        yield slice(start, start + height)


def row_blocks(rows: Matrix) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield consecutive blocks of `rows` (V, D) of any float type as float64, with the slice each stands for."""
    for where in row_slices(rows.shape):
        yield where, rows[where].astype(np.float64)
