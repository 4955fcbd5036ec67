"""Controls: matrices with a model's shape and some of its moments, and no other structure.

What neighbor lists say of such points is what they say of no language at all. The numbers come of one stream of NumPy's
PCG64 in a fixed order, block by block, so that a seed gives the same rows however they are cut into blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import numpy as np

from index.geometry.blocks import BLOCK_BYTES, row_slices
from index.geometry.maps import norms
from index.geometry.metric import covariance, require_finite


class ControlKind(StrEnum):
    """What a control keeps of a model."""

    GAUSSIAN = "gaussian"
    COVARIANCE = "covariance"
    SHUFFLE = "shuffle"

    @property
    def words(self) -> str:
        """What its points are, before the name of the model."""
        return {
            ControlKind.GAUSSIAN: "random points with the mean length of the rows of",
            ControlKind.COVARIANCE: "random points with the mean and the covariance of",
            ControlKind.SHUFFLE: "the numbers of each column, in an order of its own, of",
        }[self]


def gaussian_rows(gamma: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of rows, float64, together (V, D): Gaussian about zero, alike in all directions.

    Their mean Euclidean norm is that of gamma's rows, exactly but for rounding.
    """
    V, D = gamma.shape
    drawn = sum(float(np.linalg.norm(block, axis=1).sum()) for block in _normal(V, D, seed))
    scale = norms(gamma).sum() / drawn
    for block in _normal(V, D, seed):
        yield scale * block


def covariance_rows(gamma: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of rows, float64, together (V, D): Gaussian draws, moved and turned to the moments of gamma's rows.

    Their own mean row and population covariance are gamma's, exactly but for rounding, not only those they were drawn
    from. MetricError where gamma has no finite covariance.
    """
    V, D = gamma.shape
    mean, cov = covariance(gamma)
    require_finite(cov)
    eigenvalues, vectors = np.linalg.eigh(cov)
    # V rows about their mean span V - 1 dimensions at most, and so do gamma's.
    spanned = np.flatnonzero(eigenvalues > D * np.finfo(np.float64).eps * eigenvalues[-1])[-(V - 1) :]
    half = vectors[:, spanned] * np.sqrt(eigenvalues[spanned])
    total, squares = np.zeros(len(spanned)), np.zeros((len(spanned), len(spanned)))
    for block in _normal(V, len(spanned), seed):
        total += block.sum(axis=0)
        squares += block.T @ block
    center = total / V
    drawn = np.linalg.cholesky(squares / V - np.outer(center, center))
    turn = np.linalg.solve(drawn.T, half.T)
    for block in _normal(V, len(spanned), seed):
        yield (block - center) @ turn + mean


def shuffled_columns(gamma: np.ndarray, seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield blocks of columns of gamma (V, D), each column in a random order of its own, with the slice of each."""
    V, D = gamma.shape
    rng = np.random.default_rng(seed)
    width = max(1, BLOCK_BYTES // (8 * V))
    for start in range(0, D, width):
        where = slice(start, min(start + width, D))
        block = np.ascontiguousarray(gamma[:, where].T)
        for column in block:
            column[:] = column[rng.permutation(V)]
        yield where, block.T


def _normal(V: int, width: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of standard normal draws, together (V, width): the same whenever they are asked for."""
    rng = np.random.default_rng(seed)
    for where in row_slices((V, max(1, width))):
        yield rng.standard_normal((min(where.stop, V) - where.start, width))
