"""Whose nearest a stored matrix names as the points do, and in which rows it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.checks.precision import Allowance
from index.checks.stored_matrix import StoredMatrix
from index.geometry.blocks import row_slices
from index.geometry.maps import row_distances

_ROWS_PER_BLOCK = 256
_NEAR = 1e-6
"""Below this share of the squared norms, a squared distance is taken from differences."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A stored matrix, and what it is held against. Row i of all is the same token."""

    matrix: StoredMatrix
    points: np.ndarray  # (N, D) float32
    squared_norms: np.ndarray  # (N,) float64, by which a pipeline's sums may err
    allowance: Allowance
    resolution: float  # distances of points that are closer than this are tied

    def stored(self, row: int) -> np.ndarray:
        """Return a row of the matrix, (N,) float64."""
        return self.matrix.row(row).astype(np.float64)

    def distances(self, rows: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
        """Return the distances of some points to some, or to all: (n, N) float64."""
        center = self.points.mean(axis=0, dtype=np.float64)  # taken off, distances stay, and rounding shrinks
        left = self.points[rows] - center
        others = self.points if columns is None else self.points[columns]
        distances = np.empty((len(rows), len(others)))
        for where in row_slices(others.shape):
            right = others[where] - center
            norms = np.einsum("ij,ij->i", left, left)[:, None] + np.einsum("ij,ij->i", right, right)
            squared = norms - 2 * left @ right.T
            a, b = np.nonzero(squared < _NEAR * norms)
            differences = row_distances(self.points[rows[a]], others[where][b])
            squared[a, b] = differences**2
            distances[:, where] = np.sqrt(squared)
        return distances

    def allowed(self, rows: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """Return how far the stored distances of some rows may be from theirs to all, (n, N)."""
        return self.allowance.at(distances, self.squared_norms[rows, None] + self.squared_norms)


def judge_lists(compared: Compared, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row, (n,), whether its k nearest agree up to ties, and whether the matrix can tell them."""
    agrees, fit = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    for start in range(0, len(rows), _ROWS_PER_BLOCK):
        block = rows[start : start + _ROWS_PER_BLOCK]
        computed = compared.distances(block)
        allowed = compared.allowed(block, computed)
        hidden = compared.allowance.hides(computed, compared.squared_norms[block, None] + compared.squared_norms)
        for at, row in enumerate(block):
            computed[at, row] = np.inf
            near = np.argpartition(computed[at], k - 1)[:k]
            furthest = float((computed[at] + allowed[at])[near].max())  # that the k-th nearest by the matrix may be
            agrees[start + at] = _same_nearest(compared.stored(row), computed[at], allowed[at], row, k, furthest)
            tied = int((computed[at] <= computed[at][near].max() + compared.resolution).sum())
            possible = int((computed[at] - allowed[at] <= furthest).sum())
            blind = int((hidden[at][near] & (computed[at][near] > compared.resolution)).sum())
            fit[start + at] = possible <= 2 * tied and 2 * blind <= k
    return agrees, fit


def _same_nearest(
    stored: np.ndarray, computed: np.ndarray, allowed: np.ndarray, own: int, k: int, furthest: float
) -> bool:
    """Whether the k nearest by the stored row are the k nearest by the computed one, up to what is allowed."""
    if np.isnan(stored).any():
        return False
    stored = stored.copy()
    stored[own] = np.inf
    listed = np.argpartition(stored, k - 1)[:k]
    nearest = float(np.partition(computed - allowed, k - 1)[k - 1])  # that the k-th nearest by the matrix may be
    certain = np.flatnonzero(computed + allowed < nearest)
    return bool((computed[listed] - allowed[listed] <= furthest).all()) and bool(np.isin(certain, listed).all())
