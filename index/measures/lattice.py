"""Rows of 16-bit floats as points of a lattice: one step leads from each number that the format has to the next.

Distances are the largest number of steps in any coordinate (the maximum norm), so that what lies within one step is the
point's own cell and the cells around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from index.geometry.blocks import Matrix, row_slices

NARROW: tuple[np.dtype[Any], ...] = (np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16))
"""The formats that steps are counted in."""
MOST_PAIRS = 4_000_000
_SAMPLE_ROWS = 2048
_COORDINATES = 64
_MOST_WHOLE = 1 << 15
"""So many rows are parted by all their coordinates."""
_EMPTY_PAIRS = np.empty((0, 2), dtype=np.int64)
_FIRST, _PAIRS_TOGETHER = 64, 1 << 12


@dataclass(frozen=True, eq=False)
class Lattice:
    """The points of V rows, and the pairs of them that lie within some steps."""

    points: np.ndarray  # (V,) the first row at the same point; rows that differ in the sign of a zero are at one
    a: np.ndarray  # (n,) the first rows of two different points, ascending
    b: np.ndarray  # (n,) the later one
    steps: np.ndarray  # (n,) the most in any coordinate
    coordinates: np.ndarray  # (n,) how many differ
    total: np.ndarray  # (n,) the steps in all of them together


def narrow_dtype(gamma: Matrix) -> np.dtype | None:
    """Return the format whose numbers are all that gamma, (V, D), holds; None for neither bfloat16 nor float16.

    Wider floats that hold only such, as a matrix that was cast has them, count as these.
    """
    left = list(NARROW)
    for where in row_slices(gamma.shape):
        block = gamma[where]
        if block.dtype in NARROW:
            return NARROW[NARROW.index(block.dtype)]
        with np.errstate(over="ignore"):
            left = [each for each in left if np.array_equal(block.astype(each).astype(block.dtype), block)]
        if not left:
            return None
    return left[0]


def step_numbers(rows: np.ndarray) -> np.ndarray:
    """Return numbers of a 16-bit format as int32 that counts the steps from zero: both zeros are 0, the least -32,767.

    Bits without the sign count upward with the magnitude, so a negative number is less that; the bits themselves would
    put 32,768 between the two sides of zero.
    """
    bits = rows.view(np.uint16)
    magnitudes = (bits & 0x7FFF).astype(np.int32)
    numbers: np.ndarray = np.where(bits >> 15, -magnitudes, magnitudes)
    return numbers


class NearPairs:
    """Finds all pairs of rows within some steps, exactly.

    Two rows are within N steps only if they are in every coordinate. Sorted by one, they are then in one run without a
    jump of more than N; sorted within the runs by the next, in one run again. Most rows are soon alone, for each
    coordinate parts what is above zero from what is below. Of the rows left together all pairs are measured.
    """

    def __init__(self, gamma: Matrix, dtype: np.dtype, twins: np.ndarray) -> None:
        """Take rows of gamma (V, D), of a format in `NARROW`; `twins`, (V,): the first row equal to each."""
        self.gamma, self.dtype, self.twins = gamma, dtype, twins
        V, D = gamma.shape
        self._firsts = np.unique(twins)
        sample = self._numbers(self._firsts[:: max(1, len(self._firsts) // _SAMPLE_ROWS)])
        distinct = 1 + (np.diff(np.sort(sample, axis=0), axis=0) > 0).sum(axis=0)
        chosen = np.argsort(-distinct, kind="stable")[:_COORDINATES]
        keys = np.empty((V, len(chosen)), dtype=np.int32)
        for where in row_slices((V, D)):
            keys[where] = step_numbers(np.ascontiguousarray(gamma[where].astype(dtype)[:, chosen]))
        self._keys = keys[self._firsts]
        self._found: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def candidates(self, steps: int) -> int:
        """Return how many pairs would be measured."""
        _, sizes = np.unique(self._runs(steps)[1], return_counts=True)
        return int((sizes * (sizes - 1) // 2).sum())

    def find(self, steps: int) -> Lattice:
        """Return the points, and all pairs of them within so many steps."""
        rows, runs = self._runs(steps)
        together = np.split(rows, np.flatnonzero(np.diff(runs)) + 1)
        pairs = np.concatenate(
            [_EMPTY_PAIRS, *(each[np.column_stack(np.triu_indices(len(each), 1))] for each in together)]
        )
        pairs = np.sort(pairs, axis=1)
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        blocks = (pairs[start : start + _PAIRS_TOGETHER] for start in range(0, len(pairs), _PAIRS_TOGETHER))
        measured = [self._measured(block, steps) for block in blocks]
        found = np.concatenate([np.empty((0, 5), dtype=np.int64), *measured])
        same = found[:, 2] == 0  # zeros of either sign
        points = self.twins.astype(np.int64)
        for a, b in found[same, :2]:  # ascending, so that `a` is at its first row already
            points[points == b] = points[a]
        found = found[~same]
        found[:, :2] = np.sort(points[found[:, :2]], axis=1)
        found = np.unique(found, axis=0)
        return Lattice(points, *found.T)

    def _runs(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that are not alone, (n,), and their runs, ascending, (n,)."""
        if steps not in self._found:
            places, runs = _parted(self._keys, steps)
            rows = self._firsts[places]
            if 0 < len(rows) <= _MOST_WHOLE:
                numbers = self._numbers(rows)
                order, runs = _parted(numbers, steps, runs)
                rows = rows[order]
            self._found[steps] = rows, runs
        return self._found[steps]

    def _measured(self, pairs: np.ndarray, steps: int) -> np.ndarray:
        """Return pairs (n, 2) that are within the steps, with the most, the coordinates and the total: (m, 5)."""
        rows, places = np.unique(pairs, return_inverse=True)
        numbers, places = self._numbers(rows), places.reshape(pairs.shape)
        for stop in (_FIRST, numbers.shape[1]):  # nearly all that are too far show it early
            apart = np.abs(numbers[places[:, 0], :stop] - numbers[places[:, 1], :stop])
            near = apart.max(axis=1) <= steps
            pairs, places, apart = pairs[near], places[near], apart[near]
        measures = (apart.max(axis=1, initial=0), (apart > 0).sum(axis=1), apart.sum(axis=1, dtype=np.int64))
        return np.column_stack([pairs, *measures])

    def _numbers(self, rows: np.ndarray) -> np.ndarray:
        return step_numbers(np.ascontiguousarray(self.gamma[rows].astype(self.dtype)))


def _parted(numbers: np.ndarray, steps: int, runs: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Part n rows, (n, C), at the jumps of each coordinate: the places of those not alone, and their runs, ascending.

    `runs`, (n,) ascending, are such as they are parted into already.
    """
    places = np.arange(len(numbers))
    runs = np.zeros(len(numbers), dtype=np.int64) if runs is None else runs
    for column in numbers.T:
        values = column[places]
        order = np.lexsort((values, runs))
        places, values, runs = places[order], values[order], runs[order]
        jumps = (np.diff(runs) > 0) | (np.diff(values) > steps)
        runs = np.concatenate([[0], np.cumsum(jumps)])[: len(places)]
        kept = np.bincount(runs, minlength=1)[runs] > 1
        places, runs = places[kept], runs[kept]
        if len(places) == 0:
            break
    return places, runs


def linked(lattice: Lattice, steps: int) -> np.ndarray:
    """Return the groups that chains of links of at most so many steps make: (V,) the first row of each row's."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    V = len(lattice.points)
    near = lattice.steps <= steps
    a = np.concatenate([lattice.a[near], np.arange(V)])
    b = np.concatenate([lattice.b[near], lattice.points])
    _, labels = connected_components(coo_array((np.ones(len(a), np.int8), (a, b)), shape=(V, V)), directed=False)
    _, firsts = np.unique(labels, return_index=True)
    groups: np.ndarray = firsts[labels]
    return groups
