"""The geometries as maps of rows, after which plain Euclidean search is the metric.

The causal metric is that of Park, Choe and Veitch, "The Linear Representation Hypothesis and the Geometry of Large
Language Models" (ICML 2024): M = Cov(gamma)^-1, here of Cov(gamma) + ridge * I.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from index.bundle.stored import Matrix
from index.errors import MetricError

BLOCK_BYTES = 1 << 26
"""Size of one float64 block of rows while a matrix is streamed."""

WORST_CONDITION = 2.0**31
"""Of the largest to the smallest eigenvalue of the covariance. An inverse in float64 is in error by 2^-53 times that
(Higham, "Accuracy and Stability of Numerical Algorithms", chapter 14), which must not exceed the resolution's 2^-22."""

ASYMMETRY = 1e-3
"""How far a given M may differ from its transpose, relative to its largest entry: float32 pipelines reach 2e-6."""


@dataclass(frozen=True, eq=False)
class Metric:
    """The causal metric of a vocabulary, in float64.

    Attributes
    ----------
    mean : ndarray of shape (D,)
        The mean row of gamma. It changes no distance; it is kept for centered norms.
    matrix : ndarray of shape (D, D)
        M, symmetric and positive definite.
    factor : ndarray of shape (D, D)
        L with M = L L^T: rows times L are points.
    eigenvalues : ndarray of shape (D,)
        Of Cov(gamma), ascending. For a given M those of M^-1.
    ridge : float or None
        What was added to the diagonal of Cov(gamma); None for a given M.
    origin : str
        Where M comes from, in words.
    """

    mean: np.ndarray
    matrix: np.ndarray
    factor: np.ndarray
    eigenvalues: np.ndarray
    ridge: float | None
    origin: str


def row_blocks(rows: Matrix) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield consecutive blocks of `rows` (V, D) of any float type as float64, with the slice each stands for."""
    height = max(1, BLOCK_BYTES // (8 * rows.shape[1]))
    for start in range(0, len(rows), height):
        where = slice(start, start + height)
        yield where, rows[where].astype(np.float64)


def covariance(gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean row and the population covariance of gamma.

    Parameters
    ----------
    gamma : ndarray of shape (V, D)
        Any float type, memory-mapped or not.

    Returns
    -------
    mean : ndarray of shape (D,), float64
    covariance : ndarray of shape (D, D), float64
        Divided by V. Two passes, so that a large mean costs no digits.
    """
    V, D = gamma.shape
    mean = np.zeros(D)
    for _, block in row_blocks(gamma):
        mean += block.sum(axis=0)
    mean /= V
    total = np.zeros((D, D))
    for _, block in row_blocks(gamma):
        block -= mean
        total += block.T @ block
    return mean, total / V


def metric_from_covariance(mean: np.ndarray, cov: np.ndarray, ridge: float) -> Metric:
    """Return the metric M = (cov + ridge * I)^-1.

    Parameters
    ----------
    mean : ndarray of shape (D,)
    cov : ndarray of shape (D, D)
    ridge : float
        In units of squared gamma entries, 0 or more.

    Raises
    ------
    MetricError
        When cov is not finite, or cov + ridge * I is singular, or too close to it, for distances in float32.
    """
    D = len(cov)
    if not (np.isfinite(ridge) and ridge >= 0):
        raise MetricError(f"ridge must be 0 or more, got: {ridge:g}")
    if not np.isfinite(cov).all():
        raise MetricError("Cov(gamma) overflows float64: gamma's entries are too large; divide them all by one number")
    eigenvalues, vectors = np.linalg.eigh(cov)
    regularized = eigenvalues + ridge
    smallest, largest = regularized[0], regularized[-1]
    if smallest <= D * np.finfo(np.float64).eps * largest:
        raise MetricError(
            f"Cov(gamma) + {ridge:g} I is singular: eigenvalues from {smallest:.3g} to {largest:.3g} over {D} "
            "dimensions; pass a larger --ridge (fewer tokens than dimensions always need one)"
        )
    if largest > WORST_CONDITION * smallest:
        raise MetricError(
            f"Cov(gamma) + {ridge:g} I is too close to singular for distances in float32: eigenvalues from "
            f"{smallest:.3g} to {largest:.3g}, a factor of {largest / smallest:.3g} where {WORST_CONDITION:.3g} is the "
            f"most; pass --ridge {1.1 * largest / WORST_CONDITION:.2g} or more"
        )
    inverse = np.linalg.inv(cov + ridge * np.eye(D))
    return Metric(
        mean,
        (inverse + inverse.T) / 2,
        vectors / np.sqrt(regularized),
        eigenvalues,
        ridge,
        f"inverse of Cov(gamma) + {ridge:g} I",
    )


def metric_from_matrix(matrix: np.ndarray, mean: np.ndarray, *, origin: str) -> Metric:
    """Return the metric of a given M, symmetrized.

    Parameters
    ----------
    matrix : ndarray of shape (D, D)
        M, any float type.
    mean : ndarray of shape (D,)
        The mean row of the gamma it is for.
    origin : str
        Where M was read, for messages and the bundle.

    Raises
    ------
    MetricError
        When M has another shape, is not finite, not symmetric or not positive definite.
    """
    D = len(mean)
    if matrix.shape != (D, D):
        raise MetricError(f"{origin}: M has shape {matrix.shape}, but gamma has width {D}: wanted ({D}, {D})")
    matrix = np.asarray(matrix, dtype=np.float64)
    broken = int((~np.isfinite(matrix)).sum())
    if broken:
        raise MetricError(f"{origin}: {broken} of M's {D * D} entries are not finite")
    scale, asymmetry = np.abs(matrix).max(), np.abs(matrix - matrix.T).max()
    if asymmetry > ASYMMETRY * scale:
        raise MetricError(
            f"{origin}: M is not symmetric: it differs from its transpose by {asymmetry:.3g} "
            f"where its entries reach {scale:.3g}"
        )
    matrix = matrix / 2 + matrix.T / 2  # the sum alone may overflow
    eigenvalues, vectors = np.linalg.eigh(matrix)
    if eigenvalues[0] <= 0:
        raise MetricError(
            f"{origin}: M is not positive definite: its smallest eigenvalue is {eigenvalues[0]:.3g}, "
            f"{int((eigenvalues <= 0).sum())} of {D} are not above 0"
        )
    return Metric(mean, matrix, vectors * np.sqrt(eigenvalues), 1 / eigenvalues[::-1], None, f"given: {origin}")


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


def twin_groups(gamma: np.ndarray) -> np.ndarray:
    """Return for each row of gamma the first row that is bit-identical to it.

    Parameters
    ----------
    gamma : ndarray of shape (V, D)

    Returns
    -------
    ndarray of shape (V,), int32
        Equal numbers mark twins; a row without twins has its own number.
    """
    first: dict[bytes, int] = {}
    height = max(1, BLOCK_BYTES // (gamma.dtype.itemsize * gamma.shape[1]))
    groups = np.empty(len(gamma), dtype=np.int32)
    for start in range(0, len(gamma), height):
        for offset, row in enumerate(np.ascontiguousarray(gamma[start : start + height])):
            groups[start + offset] = first.setdefault(blake2b(row.tobytes(), digest_size=32).digest(), start + offset)
    return groups


def _directions(rows: np.ndarray) -> np.ndarray:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest > 0, largest, 1)  # so that squares neither overflow nor vanish
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: np.ndarray = rows / np.where(lengths > 0, lengths, 1)
    return directions
