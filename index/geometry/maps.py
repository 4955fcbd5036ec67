"""The geometries as maps of rows, after which plain Euclidean search is the metric."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from index.geometry.blocks import row_blocks
from index.geometry.metric import Metric


class Geometry(StrEnum):
    """What nearness means."""

    CAUSAL = "causal"
    COSINE = "cosine"
    CAUSAL_COSINE = "causal_cosine"

    @property
    def angular(self) -> bool:
        """Whether points are directions: distances are chords |x - y|, and 1 - |x - y|^2 / 2 is the similarity."""
        return self is not Geometry.CAUSAL

    @property
    def label(self) -> str:
        """The geometry as a column's name and as a command line spells it."""
        return self.value.replace("_", "-")

    @property
    def words(self) -> str:
        """The geometry in words."""
        if self is Geometry.CAUSAL:
            return "the causal metric"
        return "cosine similarity" if self is Geometry.COSINE else "causal cosine"


def causal_points(gamma: np.ndarray, metric: Metric, *, out: np.ndarray | None = None) -> np.ndarray:
    """Map rows so that Euclidean distance is causal distance: gamma @ L.

    Parameters
    ----------
    gamma : ndarray of shape (V, D)
        Uncentered rows.
    metric : Metric
    out : ndarray of shape (V, D), float32, optional
        Where to put them.

    Returns
    -------
    ndarray of shape (V, D), float32
        In logometers; multiplied in float64 and rounded once.
    """
    points = np.empty(gamma.shape, dtype=np.float32) if out is None else out
    for where, block in row_blocks(gamma):
        points[where] = block @ metric.factor
    return points


def cosine_points(gamma: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Map rows so that their inner product is cosine similarity: gamma / |gamma|, uncentered.

    Parameters
    ----------
    gamma : ndarray of shape (V, D)
    out : ndarray of shape (V, D), float32, optional
        Where to put them.

    Returns
    -------
    ndarray of shape (V, D), float32
        Rows of norm 1, normalized in float64 and rounded once. A zero row has no direction and stays zero: find it with
        `zero_rows` and leave it out of searches.
    """
    points = np.empty(gamma.shape, dtype=np.float32) if out is None else out
    for where, block in row_blocks(gamma):
        points[where] = _directions(block)
    return points


def causal_cosine_points(
    gamma: np.ndarray, metric: Metric, *, centered: bool = False, out: np.ndarray | None = None
) -> np.ndarray:
    """Map rows so that their inner product is the cosine of their angle in the causal metric.

    Parameters
    ----------
    gamma : ndarray of shape (V, D)
    metric : Metric
    centered : bool
        Whether angles are taken at the mean row instead of at zero.
    out : ndarray of shape (V, D), float32, optional
        Where to put them.

    Returns
    -------
    ndarray of shape (V, D), float32
        gamma @ L with rows of norm 1, rounded once; zero for a row that has no direction.
    """
    points = np.empty(gamma.shape, dtype=np.float32) if out is None else out
    for where, block in row_blocks(gamma):
        if centered:
            block -= metric.mean
        points[where] = _directions(block @ metric.factor)
    return points


def zero_rows(points: np.ndarray) -> np.ndarray:
    """Return the rows of `points` (V, D) that are zero in every entry, ascending."""
    return np.flatnonzero(~points.any(axis=1))


def norms(rows: np.ndarray) -> np.ndarray:
    """Return the Euclidean norm of each row of (V, D), float64 of shape (V,)."""
    lengths = np.empty(len(rows))
    for where, block in row_blocks(rows):
        lengths[where] = np.linalg.norm(block, axis=1)
    return lengths


def resolution(largest_norm: float) -> float:
    """Return how far apart two distances of a space must be for their order to be certain.

    A coordinate rounded to float32 moves by at most 2^-24 of itself, so a point x by 2^-24 |x| and a distance by
    2^-24 (|x| + |y|) <= 2^-23 R, with R the largest norm. Two distances are in certain order when they differ by more
    than twice that: 2^-22 R. It is a bound on the error of each distance, and on the error of their difference.

    Parameters
    ----------
    largest_norm : float
        R, the largest norm among the points, in the space's unit.
    """
    return float(2.0**-22 * largest_norm)


def _directions(rows: np.ndarray) -> np.ndarray:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest > 0, largest, 1)  # so that squares neither overflow nor vanish
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: np.ndarray = rows / np.where(lengths > 0, lengths, 1)
    return directions
