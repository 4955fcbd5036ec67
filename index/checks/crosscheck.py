"""The built points against what they must equal: a stored distance matrix, and the quadratic form itself.

Nothing here uses the spaces: distances come from differences of stored points, the quadratic form from gamma and M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.bundle.bundle import Bundle
from index.checks.matrix import MatrixCheck, check_matrix
from index.measures.pairs import check_pairs, random_pairs

_PAIRS_PER_BLOCK = 4096
_SEED = 42


@dataclass(frozen=True)
class PairCheck:
    """Points against the quadratic form, over some pairs."""

    pairs: int
    worst_error: float  # in logometers
    worst_ids: tuple[int, int]  # the two tokens it stands between


@dataclass(frozen=True)
class QuadraticForm:
    """Distances between points against sqrt((x - y)^T M (x - y)), both in float64."""

    random: PairCheck  # pairs of random tokens
    nearest: PairCheck  # pairs of a random token and one of its neighbors
    tolerance: float  # the resolution of the causal space, in logometers

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

    def json(self) -> dict[str, Any]:
        """Return the check as `crosscheck` prints it and a bundle's manifest keeps it."""
        form = self.quadratic_form
        return {
            "passed": self.passed,
            "matrix": None if self.matrix is None else {"passed": self.matrix.passed, **asdict(self.matrix)},
            "quadratic_form": {
                "passed": form.passed,
                "tolerance": form.tolerance,
                "random": asdict(form.random),
                "nearest": asdict(form.nearest),
            },
        }


def crosscheck(
    bundle: Bundle,
    *,
    distances: Path | None = None,
    pairs: int = 100_000,
    progress: Callable[[float], None] | None = None,
) -> CrossCheck:
    """Check a bundle's causal points.

    Against a stored matrix, if `distances` names one (`index.checks.stored_matrix.open_matrix`), and against the
    quadratic form over `pairs` random pairs and as many nearest ones. `progress` is called with the share of the matrix
    done, from 0 to 1.

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


def check_quadratic_form(bundle: Bundle, pairs: int) -> QuadraticForm:
    """Compare distances between points with the quadratic form, over random and over nearest pairs."""
    V, K = bundle.causal.ids.shape
    draw = np.random.default_rng(_SEED)
    random = random_pairs(draw, V, pairs)
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
