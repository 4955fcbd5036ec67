"""Why a stored distance matrix disagrees: its order, its tokens, or the metric it was computed in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from index.bundle.bundle import Bundle
from index.checks.stored_matrix import StoredMatrix

_ROWS = 400
_LIKE = 0.99
"""Share of entries that must fit another explanation before it is named."""


def name_cause(
    bundle: Bundle,
    matrix: StoredMatrix,
    rows: np.ndarray,
    stored_means: np.ndarray,
    computed_means: np.ndarray,
    *,
    nan: int,
    within_share: float,
    rtol: float,
    atol: float,
    diagonal: float,
) -> str:
    """Say in one line why a matrix does not hold the causal distances of its tokens.

    `rows`, (N,), are the bundle's for each row of the matrix; the means, (N,), are of each of its rows, and of the
    distances it should hold. `nan` counts entries, `within_share` is the share of those that agree under `rtol` and
    `atol` (logometers), and `diagonal` the largest entry on the diagonal.
    """
    if nan:
        return f"{nan} entries of the matrix are NaN"
    chosen = np.sort(np.random.default_rng(0).permutation(matrix.N)[:_ROWS])
    stored = np.stack([matrix.row(int(row))[chosen] for row in chosen]).astype(np.float64)
    mirrored = np.abs(stored - stored.T)
    if within_share < 1 - 2 / np.sqrt(matrix.N):  # no small damage: look for another matrix altogether
        for name, other in _other_metrics(bundle, rows[chosen]):
            if _fits(stored, other, rtol, atol):
                return f"the matrix holds {name}, not causal distances"
        if _fits(np.sort(stored_means), np.sort(computed_means), rtol, atol):
            return "the rows of the matrix are in another order than its tokens"
    if mirrored.max() > 2 * (rtol * np.abs(stored).max() + atol):
        return "the matrix is not symmetric: entries differ from their mirror images"
    if diagonal > atol:
        return f"the diagonal of the matrix is not zero: it reaches {diagonal:.4g}"
    if within_share > 0.5:
        differing = round((1 - within_share) * matrix.N * (matrix.N - 1))
        return f"{differing:,} entries differ: the matrix was damaged, or computed less precisely"
    return "the matrix is of another sample, another model or another metric: no known explanation fits"


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
    if bundle.metric.ridge:
        without = np.linalg.inv(np.linalg.inv(M) - bundle.metric.ridge * np.eye(len(M)))
        yield (
            f"causal distances without the ridge of {bundle.metric.ridge:g}",
            _pairwise(gamma, (without + without.T) / 2),
        )


def _pairwise(rows: np.ndarray, form: np.ndarray) -> np.ndarray:
    mapped = rows @ form
    squares = np.einsum("ij,ij->i", mapped, rows)
    distances: np.ndarray = np.sqrt(np.maximum(squares[:, None] + squares - 2 * mapped @ rows.T, 0))
    return distances


def _fits(stored: np.ndarray, other: np.ndarray, rtol: float, atol: float) -> bool:
    """Whether nearly all of `stored` is `other`, within a tolerance that shrinks with the scale of `other`."""
    scale = float(np.abs(other).max())
    near = np.abs(stored - other) <= max(rtol, 1e-3) * np.abs(other) + min(atol, 1e-3 * scale)
    if stored.ndim == 2:
        near[np.diag_indices(len(near))] = True
    return bool(near.mean() >= _LIKE)
