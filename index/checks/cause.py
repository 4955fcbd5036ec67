"""Why a stored distance matrix disagrees, where the file itself shows it: its order, its metric, its rounding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from index.bundle.bundle import Bundle
from index.checks.nearest import Compared
from index.checks.precision import UNITS

_ROWS = 400
_LIKE = 0.99
"""Share of entries that must fit another explanation before it is named."""
_BETTER = 10
"""By how much nearer than causal distances another explanation must be, at the median."""
_ITS_OWN = 0.9
"""Correlation with the causal distances of the same pairs, above which the rows are in their order."""
_FINGERPRINTS = 40
_CANDIDATES = 20
_CANDIDATES_PER_BLOCK = 100
_DTYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32, "float64": np.float64}


def name_cause(
    bundle: Bundle,
    compared: Compared,
    rows: np.ndarray,
    *,
    stored_means: np.ndarray,
    computed_means: np.ndarray,
    nan: int,
    differing: int,
    zeroed: int,
    farthest_zero: float,
    diagonal: float,
) -> str:
    """Say in one line why a matrix does not hold the causal distances of its tokens.

    `rows`, (N,), are the bundle's for each row of the matrix; the means, (N,), are of each of its rows, and of the
    distances it should hold. `nan`, `differing` and `zeroed` count entries: no numbers, those that do not agree, those
    of them that are 0, where tokens are up to `farthest_zero` apart. `diagonal` is the largest there, if it is wrong.
    """
    if nan:
        return f"{nan} entries of the matrix are NaN"
    if zeroed == differing > 0:
        return (
            f"{zeroed:,} entries are 0 where tokens are up to {farthest_zero:.3g} logometers apart: "
            "small distances were set to 0"
        )
    sampled = _Sampled.of(compared)
    entries = compared.matrix.N * (compared.matrix.N - 1)
    if differing > 2 * entries / np.sqrt(compared.matrix.N):  # no small damage: look for another matrix altogether
        other = _another_matrix(bundle, compared, rows, sampled, stored_means, computed_means)
        if other is not None:
            return other
    if sampled.is_lopsided:
        return "the matrix is not symmetric: entries differ from their mirror images"
    if diagonal:
        return f"the diagonal of the matrix is not zero: it reaches {diagonal:.4g}"
    if sampled.follows or differing < entries / 2:
        return f"{differing:,} of {entries:,} entries differ, and nothing in the file shows why"
    return "the matrix is of another sample, another model or another metric: no known explanation fits"


@dataclass(frozen=True, eq=False)
class _Sampled:
    """Some rows of the matrix, and the same columns, beside what should stand there."""

    compared: Compared
    rows: np.ndarray  # (n,), ascending
    stored: np.ndarray  # (n, n) float64
    causal: np.ndarray  # (n, n) float64, the distances of the same pairs
    apart: np.ndarray  # (n, n) bool, all but the diagonal

    @classmethod
    def of(cls, compared: Compared) -> _Sampled:
        """Draw the rows."""
        matrix = compared.matrix
        rows = np.sort(np.random.default_rng(0).permutation(matrix.N)[:_ROWS])
        stored = np.stack([matrix.row(int(row))[rows] for row in rows]).astype(np.float64)
        return cls(compared, rows, stored, compared.distances(rows, rows), ~np.eye(len(rows), dtype=bool))

    @property
    def follows(self) -> bool:
        """Whether what is stored grows and falls with the causal distances of the same pairs."""
        return _correlation(self.stored[self.apart], self.causal[self.apart]) >= _ITS_OWN

    @property
    def is_lopsided(self) -> bool:
        """Whether entries differ from their mirror images by more than they are allowed to."""
        squares = self.compared.squared_norms[self.rows]
        allowed = self.compared.allowance.at(self.causal, squares[:, None] + squares)
        return bool((np.abs(self.stored - self.stored.T) > 2 * allowed).any())

    def holds(self, other: np.ndarray) -> bool:
        """Whether what is stored is something else, (n, n), and much nearer to it than to causal distances."""
        error, otherwise = (np.median(np.abs(self.stored - each)[self.apart]) for each in (self.causal, other))
        return _fits(self.stored, other, self.compared) and bool(error > _BETTER * otherwise)


def _another_matrix(
    bundle: Bundle,
    compared: Compared,
    rows: np.ndarray,
    sampled: _Sampled,
    stored_means: np.ndarray,
    computed_means: np.ndarray,
) -> str | None:
    """Say what the matrix is in place of one of causal distances; None where nothing known fits."""
    for name, other in _other_metrics(bundle, rows[sampled.rows]):
        if sampled.holds(other):
            return f"the matrix holds {name}, not causal distances"
    if not sampled.follows and _same_rows_elsewhere(compared, sampled.rows, stored_means, computed_means):
        return "the rows of the matrix are in another order than its tokens"
    decimals = _decimals(sampled.stored[sampled.apart], sampled.causal[sampled.apart], compared)
    if decimals is None:
        return None
    half, places = 0.5 * 10.0**-decimals, "1 decimal" if decimals == 1 else f"{decimals} decimals"
    return f"all values are rounded to {places}: they say distances to {half:g} logometers only"


def _correlation(stored: np.ndarray, causal: np.ndarray) -> float:
    finite = np.isfinite(stored)
    stored, causal = stored[finite], causal[finite]
    if len(stored) < 2 or not stored.std() > 0 or not causal.std() > 0:
        return 0.0
    return float(np.corrcoef(stored, causal)[0, 1])


def _same_rows_elsewhere(
    compared: Compared, chosen: np.ndarray, stored_means: np.ndarray, computed_means: np.ndarray
) -> bool:
    """Whether nearly every row of the matrix holds the distances of some token, in some order."""
    some = np.random.default_rng(0).permutation(chosen)[:_FINGERPRINTS]
    order = np.argsort(computed_means)
    width = min(_CANDIDATES, len(order))
    firsts = np.searchsorted(computed_means[order], stored_means[some]) - width // 2
    places = np.clip(firsts, 0, len(order) - width)[:, None] + np.arange(width)
    candidates = order[places]
    found = 0
    largest = np.full(len(order), 2 * compared.allowance.largest_norm**2)
    step = max(1, _CANDIDATES_PER_BLOCK // width)
    for start in range(0, len(some), step):
        each = candidates[start : start + step]
        profiles = np.sort(compared.distances(each.ravel()), axis=1).reshape(*each.shape, -1)
        for row, theirs in zip(some[start : start + step].tolist(), profiles, strict=True):
            own = np.sort(compared.stored(row))
            near = np.abs(own - theirs) <= compared.allowance.at(theirs, np.broadcast_to(largest, theirs.shape))
            found += bool((near.mean(axis=1) >= _LIKE).any())
    return found >= _LIKE * len(some)


def _decimals(stored: np.ndarray, causal: np.ndarray, compared: Compared) -> int | None:
    """Return to how many decimals the entries are rounded; None where they are not, or by no more than their type."""
    born = compared.allowance.born
    if not np.isfinite(stored).all():
        return None
    for decimals in range(4):
        half = 0.5 * 10.0**-decimals
        if half <= 8 * UNITS[born] * np.median(stored):
            return None
        if (np.round(stored, decimals).astype(_DTYPES[born]) == stored).all():
            allowed = half + compared.allowance.at_zero
            return decimals if (np.abs(stored - causal) <= allowed).mean() >= _LIKE else None
    return None


def _other_metrics(bundle: Bundle, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the names and the float64 values, (n, n), of what people store instead of causal distances."""
    gamma = bundle.gamma[rows].astype(np.float64)
    lengths = np.linalg.norm(gamma, axis=1)
    directions = gamma / np.where(lengths > 0, lengths, 1)[:, None]
    cosine = directions @ directions.T
    yield "cosine distances (1 - cos)", 1 - cosine
    yield "cosine similarities", cosine
    yield "cosine distances (the chord)", _pairwise(directions, np.eye(gamma.shape[1]))
    yield "Euclidean distances of raw rows", _pairwise(gamma, np.eye(gamma.shape[1]))
    M = bundle.metric.matrix
    causal = _pairwise(gamma, M)
    yield "squared causal distances", causal**2
    ridge, eigenvalues = bundle.metric.ridge, bundle.metric.eigenvalues
    if ridge and eigenvalues[0] > len(M) * np.finfo(np.float64).eps * (eigenvalues[-1] + ridge):  # or it is singular
        without = np.linalg.inv(np.linalg.inv(M) - ridge * np.eye(len(M)))
        yield (
            f"causal distances without the ridge of {ridge:g}",
            _pairwise(gamma, (without + without.T) / 2),
        )


def _pairwise(rows: np.ndarray, form: np.ndarray) -> np.ndarray:
    mapped = rows @ form
    squares = np.einsum("ij,ij->i", mapped, rows)
    distances: np.ndarray = np.sqrt(np.maximum(squares[:, None] + squares - 2 * mapped @ rows.T, 0))
    return distances


def _fits(stored: np.ndarray, other: np.ndarray, compared: Compared) -> bool:
    """Whether nearly all of `stored` is `other`, within a tolerance that shrinks with the scale of `other`."""
    rtol, atol = max(compared.allowance.rtol, 1e-3), min(compared.allowance.at_zero, 1e-3 * float(np.abs(other).max()))
    near = np.abs(stored - other) <= rtol * np.abs(other) + atol
    near[np.diag_indices(len(near))] = True
    return bool(near.mean() >= _LIKE)
