"""The built points against what they must equal: a stored distance matrix, and the quadratic form itself.

Nothing here uses the spaces: distances come from differences of stored points, the quadratic form from gamma and M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.bundle.bundle import Bundle
from index.checks.matrix import MatrixCheck, check_matrix
from index.errors import ParameterError

_PAIRS_PER_BLOCK = 4096
_SEED = 42
MOST_PAIRS = 10_000_000
"""They are drawn, and held, all at once."""


@dataclass(frozen=True)
class PairCheck:
    """Points against the quadratic form, over some pairs: the worst difference, in logometers, and where."""

    pairs: int
    worst_error: float
    worst_ids: tuple[int, int]


@dataclass(frozen=True)
class QuadraticForm:
    """Distances between points against sqrt((x - y)^T M (x - y)), both in float64.

    Attributes
    ----------
    random, nearest : PairCheck
        Pairs of random tokens; pairs of a random token and one of its neighbors.
    tolerance : float
        The resolution of the causal space, in logometers.
    """

    random: PairCheck
    nearest: PairCheck
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether no pair differs by more than the tolerance."""
        return max(self.random.worst_error, self.nearest.worst_error) <= self.tolerance


@dataclass(frozen=True)
class CrossCheck:
    """What a cross-check found."""

    matrix: MatrixCheck | None
    quadratic_form: QuadraticForm

    @property
    def passed(self) -> bool:
        """Whether both parts passed."""
        return self.quadratic_form.passed and (self.matrix is None or self.matrix.passed)


def crosscheck(
    bundle: Bundle,
    *,
    distances: Path | None = None,
    pairs: int = 100_000,
    progress: Callable[[float], None] | None = None,
) -> CrossCheck:
    """Check a bundle's causal points.

    Parameters
    ----------
    bundle : Bundle
    distances : Path, optional
        A stored matrix (`index.checks.stored_matrix.open_matrix`).
    pairs : int
        Random pairs, and nearest pairs, for the quadratic form.
    progress : callable, optional
        Called with the share of the matrix done, from 0 to 1.

    Raises
    ------
    DistancesError
        When `distances` is no distance matrix.
    ParameterError
        When `pairs` is out of range.
    """
    check_pairs(pairs)
    matrix = None if distances is None else check_matrix(bundle, distances, progress)
    return CrossCheck(matrix, check_quadratic_form(bundle, pairs))


def check_pairs(pairs: int, *, least: int = 1) -> None:
    """Raise ParameterError unless so many random pairs can be drawn."""
    if not least <= pairs <= MOST_PAIRS:
        raise ParameterError(f"--pairs must be from {least} to {MOST_PAIRS:,}, got: {pairs}")


def check_quadratic_form(bundle: Bundle, pairs: int) -> QuadraticForm:
    """Compare distances between points with the quadratic form, over random and over nearest pairs."""
    V, K = bundle.causal.ids.shape
    draw = np.random.default_rng(_SEED)
    left = draw.integers(V, size=pairs)
    random = (left, (left + draw.integers(1, V, size=pairs)) % V)
    left = draw.integers(V, size=pairs)
    nearest = (left, bundle.causal.ids[left, draw.integers(K, size=pairs)].astype(np.int64))
    return QuadraticForm(_check_pairs(bundle, *random), _check_pairs(bundle, *nearest), bundle.causal.resolution)


def _check_pairs(bundle: Bundle, left: np.ndarray, right: np.ndarray) -> PairCheck:
    gamma, points, M = bundle.gamma, bundle.causal.points, bundle.metric.matrix
    errors = np.empty(len(left))
    for start in range(0, len(left), _PAIRS_PER_BLOCK):
        a, b = left[start : start + _PAIRS_PER_BLOCK], right[start : start + _PAIRS_PER_BLOCK]
        difference = gamma[a].astype(np.float64) - gamma[b].astype(np.float64)
        squares = np.einsum("ij,ij->i", difference @ M, difference)
        step = points[a].astype(np.float64) - points[b].astype(np.float64)
        errors[start : start + len(a)] = np.abs(np.linalg.norm(step, axis=1) - np.sqrt(np.maximum(squares, 0)))
    worst = int(np.argmax(errors))
    ids = bundle.vocabulary.token_ids
    return PairCheck(len(left), float(errors[worst]), (int(ids[left[worst]]), int(ids[right[worst]])))
