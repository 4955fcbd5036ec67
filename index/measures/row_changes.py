"""How far rows moved from one matrix to another of the same width, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.geometry.blocks import Matrix
from index.measures.lattice import narrow_dtype, step_numbers

_BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class RowChanges:
    """What became of n rows."""

    identical: np.ndarray  # (n,) bool: the same numbers, bit for bit where both are of one dtype
    angles: np.ndarray  # (n,) degrees between row and row; NaN where one is zero
    changes: np.ndarray  # (n,) |b - a| / max(|a|, |b|); 0 where both are zero
    steps: np.ndarray | None  # (n,) the most in any coordinate; None unless both hold numbers of one 16-bit format
    coordinates: np.ndarray | None  # (n,) how many differ


def row_changes(a: Matrix, a_rows: np.ndarray, b: Matrix, b_rows: np.ndarray) -> RowChanges:
    """Compare rows of a, (V, D), with rows of b, (W, D), pair by pair, (n,) each, in float64."""
    n = len(a_rows)
    narrow = narrow_dtype(a)
    narrow = narrow if narrow is not None and narrow == narrow_dtype(b) else None
    identical, angles, changes = np.empty(n, bool), np.empty(n), np.empty(n)
    steps, coordinates = np.zeros((2, n), dtype=np.int64)
    for start in range(0, n, _BLOCK_ROWS):
        where = slice(start, start + _BLOCK_ROWS)
        first, second = a[a_rows[where]], b[b_rows[where]]
        x, y = first.astype(np.float64), second.astype(np.float64)
        identical[where] = (_bits(first) == _bits(second) if first.dtype == second.dtype else x == y).all(axis=1)
        angles[where], changes[where] = _angles(x, y), _changes(x, y)
        if narrow is not None:
            apart = np.abs(step_numbers(_narrow(first, narrow)) - step_numbers(_narrow(second, narrow)))
            steps[where], coordinates[where] = apart.max(axis=1), (apart > 0).sum(axis=1)
    return RowChanges(
        identical, angles, changes, None if narrow is None else steps, None if narrow is None else coordinates
    )


def _bits(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows).view(f"u{rows.dtype.itemsize}")


def _narrow(rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.ascontiguousarray(rows.astype(dtype))


def _changes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    largest = np.maximum(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    found: np.ndarray = np.linalg.norm(y - x, axis=1) / np.where(largest > 0, largest, 1)
    return found


def _angles(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the angles in degrees; of two directions u, v by 2 atan2(|u - v|, |u + v|), which small ones need."""
    with np.errstate(invalid="ignore", divide="ignore"):
        u, v = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    angles = 2 * np.arctan2(np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1))
    found: np.ndarray = np.degrees(angles)
    return found
