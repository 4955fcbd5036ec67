"""The causal metric: the covariance of gamma, M, and its factor.

Park, Choe and Veitch, "The Linear Representation Hypothesis and the Geometry of Large Language Models" (ICML 2024):
M = Cov(gamma)^-1, here of Cov(gamma) + ridge * I.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from index.errors import MetricError, parameter
from index.geometry.blocks import row_blocks

WORST_CONDITION = 2.0**31
"""Of the largest to the smallest eigenvalue of the covariance. An inverse in float64 is in error by 2^-53 times that
(Higham, "Accuracy and Stability of Numerical Algorithms", chapter 14), which must not exceed the resolution's 2^-22."""

ASYMMETRY = 1e-3
"""How far a given M may differ from its transpose, relative to its largest entry: float32 pipelines reach 2e-6."""


@dataclass(frozen=True, eq=False)
class Metric:
    """The causal metric of a vocabulary, in float64."""

    mean: np.ndarray  # (D,) the mean row of gamma: it changes no distance, and is kept for centered angles
    matrix: np.ndarray  # (D, D) M, symmetric and positive definite
    factor: np.ndarray  # (D, D) L with M = L L^T: rows times L are points
    eigenvalues: np.ndarray  # (D,) of Cov(gamma), ascending; for a given M those of M^-1
    ridge: float | None  # added to the diagonal of Cov(gamma); None for a given M
    origin: str  # where M comes from, in words

    @cached_property
    def mean_point(self) -> np.ndarray:
        """mean @ L, (D,), read-only: what a causal point lacks to its row times L."""
        product: np.ndarray = self.mean @ self.factor
        product.flags.writeable = False
        return product

    @property
    def dimensions_lost(self) -> float | None:
        """Return ridge tr M, what is missing to D of the variance of points, in logometers^2; None for a given M."""
        return None if self.ridge is None else float((self.ridge / (self.eigenvalues + self.ridge)).sum())


def large_ridge(ridge: float, lost: float, D: int) -> str | None:
    """Say what a ridge removes that takes `lost` of D dimensions off the variance of points; None below a tenth."""
    if lost <= D / 10:
        return None
    return (
        f"the ridge of {ridge:g} takes {lost:.4g} of {D:,} dimensions off the variance of points: what differs along "
        "directions of less variance than the ridge hardly counts"
    )


def covariance(gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean row (D,) and the population covariance (D, D), divided by V, of gamma (V, D), both float64.

    Two passes, so that a large mean costs no digits.
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


def require_finite(cov: np.ndarray) -> None:
    """Raise MetricError unless a covariance (D, D) is finite."""
    if not np.isfinite(cov).all():
        raise MetricError("Cov(gamma) overflows float64: gamma's entries are too large; divide them all by one number")


def metric_from_covariance(mean: np.ndarray, cov: np.ndarray, ridge: float) -> Metric:
    """Return the metric M = (cov + ridge * I)^-1 of a mean row (D,) and a covariance (D, D).

    `ridge` is in squared units of gamma's entries, 0 or more.

    Raises
    ------
    MetricError
        When cov is not finite, or cov + ridge * I is singular, or too close to it, for distances in float32.
    """
    D = len(cov)
    if not (np.isfinite(ridge) and ridge >= 0):
        raise MetricError(f"ridge must be 0 or more, got: {ridge:g}")
    require_finite(cov)
    eigenvalues, vectors = np.linalg.eigh(cov)
    regularized = eigenvalues + ridge
    smallest, largest = regularized[0], regularized[-1]
    if smallest <= D * np.finfo(np.float64).eps * largest:
        raise MetricError(
            f"Cov(gamma) + {ridge:g} I is singular: eigenvalues from {smallest:.3g} to {largest:.3g} over {D} "
            f"dimensions; pass a larger {parameter('ridge')} (fewer tokens than dimensions always need one)"
        )
    if largest > WORST_CONDITION * smallest:
        raise MetricError(
            f"Cov(gamma) + {ridge:g} I is too close to singular for distances in float32: eigenvalues from "
            f"{smallest:.3g} to {largest:.3g}, a factor of {largest / smallest:.3g} where {WORST_CONDITION:.3g} is the "
            f"most; pass {parameter('ridge', f'{1.1 * largest / WORST_CONDITION:.2g}')} or more"
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
    """Return the metric of a given M (D, D), symmetrized.

    `mean`, (D,), is the mean row of the gamma it is for; `origin` says where M was read, for messages and the bundle.

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


@dataclass(frozen=True, eq=False)
class Axis:
    """An eigenvector of Cov(gamma), and of M; for a given M, of M and its inverse."""

    rank: int  # from 1, that of the largest eigenvalue of Cov(gamma)
    vector: np.ndarray  # (D,) of length 1; its coordinate of largest magnitude is positive
    eigenvalue: float  # of Cov(gamma): the variance along it
    share: float  # of the sum of all eigenvalues; NaN where that is 0
    of_m: float  # of M: 1 / (eigenvalue + ridge)
    alike: tuple[int, int]  # the first and the last rank whose eigenvalues cannot be told from this, in a chain


def axes_of(metric: Metric, V: int, rank: int) -> Axis:
    """Return the axis of a rank from 1 to D; eigenvalues of V rows are apart by more than sqrt(2 / V) of themselves.

    North and others (1982), as `axes` says. The factor's columns are the eigenvectors, times roots of M's eigenvalues.
    """
    of_m = np.linalg.norm(metric.factor, axis=0) ** 2
    column = int(np.argsort(of_m, kind="stable")[rank - 1])
    vector = metric.factor[:, column] / np.sqrt(of_m[column])
    vector = vector * np.sign(vector[np.argmax(np.abs(vector))])
    descending = metric.eigenvalues[::-1]
    close = descending[:-1] - descending[1:] <= np.sqrt(2 / V) * descending[:-1]
    first = last = rank
    while first > 1 and close[first - 2]:
        first -= 1
    while last < len(descending) and close[last - 1]:
        last += 1
    total, value = float(descending.sum()), float(descending[rank - 1])
    share = value / total if total > 0 else float("nan")
    return Axis(rank, vector, value, share, 1 / (value + (metric.ridge or 0.0)), (first, last))
