"""The built points against what they must equal: a stored distance matrix, and the quadratic form itself.

Nothing here uses the spaces: distances come from differences of stored points, the quadratic form from gamma and M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np

from index.bundle import Bundle
from index.diagnosis import name_cause
from index.distances import MismatchError, StoredMatrix, open_matrix
from index.errors import ParameterError

ROWS_CHECKED = 1000
"""How many rows of a stored matrix have their k-NN lists compared."""

_BLOCK_ROWS = 512
_COLUMN_POINTS = 8192
_PAIRS_PER_BLOCK = 4096
_SEED = 42


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
class MatrixCheck:
    """Every off-diagonal entry D of a stored matrix against the distance d of its two points.

    Attributes
    ----------
    path : str
    n : int
        Rows of the matrix; 0 when its size is wrong.
    born : str
        The precision its values were computed in, read off the values themselves.
    rtol, atol : float
        An entry agrees when |d - D| <= rtol * d + atol; atol in logometers.
    entries : int
        How many were compared.
    within_share : float
        The share of them that agrees.
    worst_error : float
        The largest |d - D|, in logometers.
    worst_ids : tuple of int
        The two tokens it stands between.
    rows_checked, rows_agreeing : int
        Rows whose `k` nearest were compared, and those where both lists are the same up to ties.
    k : int
    cause : str or None
        What is wrong, in words; None when every entry agrees.
    """

    path: str
    n: int
    born: str | None
    rtol: float | None
    atol: float | None
    entries: int
    within_share: float
    worst_error: float | None
    worst_ids: tuple[int, int] | None
    rows_checked: int
    rows_agreeing: int
    k: int
    cause: str | None

    @property
    def passed(self) -> bool:
        """Whether every entry agrees."""
        return self.cause is None


@dataclass(frozen=True)
class CrossCheck:
    """What a cross-check found."""

    matrix: MatrixCheck | None
    quadratic_form: QuadraticForm

    @property
    def passed(self) -> bool:
        """Whether both parts passed."""
        return self.quadratic_form.passed and (self.matrix is None or self.matrix.passed)


@dataclass
class _Tally:
    """Running totals over the blocks of a stored matrix."""

    within: int = 0
    nan: int = 0
    entries: int = 0
    worst: float = -1.0
    worst_at: tuple[int, int] = (0, 0)
    diagonal: float = 0.0
    stored_means: list[np.ndarray] = field(default_factory=list)
    computed_means: list[np.ndarray] = field(default_factory=list)


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
        A stored matrix (`index.distances.open_matrix`).
    pairs : int
        Random pairs, and nearest pairs, for the quadratic form.
    progress : callable, optional
        Called with the share of the matrix done, from 0 to 1.

    Raises
    ------
    DistancesError
        When `distances` is no distance matrix.
    ParameterError
        When `pairs` is below 1.
    """
    if pairs < 1:
        raise ParameterError(f"--pairs must be 1 or more, got: {pairs}")
    matrix = None if distances is None else check_matrix(bundle, distances, progress)
    return CrossCheck(matrix, check_quadratic_form(bundle, pairs))


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


def check_matrix(bundle: Bundle, path: Path, progress: Callable[[float], None] | None = None) -> MatrixCheck:
    """Compare every entry of a stored matrix with the distance between its two points."""
    k = int(bundle.manifest["settings"]["density_k"])
    try:
        matrix = open_matrix(path)
        rows = _rows_of(bundle, matrix)
    except MismatchError as error:
        return MatrixCheck(str(path), 0, None, None, None, 0, 0.0, None, None, 0, 0, k, str(error))
    k = min(k, matrix.N - 1)
    born = birth_precision(matrix.block(0, min(64, matrix.N)))
    points = bundle.causal.points[rows].astype(np.float32)
    points -= points.mean(axis=0, dtype=np.float64).astype(np.float32)  # distances stay, rounding shrinks
    rtol, atol = tolerances(born, float(bundle.manifest["spaces"]["causal"]["largest_norm"]))
    tally = _Tally()
    chosen = np.sort(np.random.default_rng(_SEED).permutation(matrix.N)[:ROWS_CHECKED])
    agreeing = 0
    for start in range(0, matrix.N, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, matrix.N)
        stored = matrix.block(start, stop).astype(np.float64)
        computed = _distances(points, start, stop)
        _compare(tally, stored, computed, start, rtol, atol)
        for row in chosen[(chosen >= start) & (chosen < stop)] - start:
            agreeing += _same_nearest(stored[row], computed[row], start + row, k, rtol, atol)
        if progress is not None:
            progress(stop / matrix.N)
    cause = None
    if tally.within < tally.entries or tally.diagonal > atol:
        cause = name_cause(
            bundle,
            matrix,
            rows,
            np.concatenate(tally.stored_means),
            np.concatenate(tally.computed_means),
            nan=tally.nan,
            within_share=tally.within / tally.entries,
            rtol=rtol,
            atol=atol,
            diagonal=tally.diagonal,
        )
    ids = bundle.vocabulary.token_ids[rows]
    worst_ids = (int(ids[tally.worst_at[0]]), int(ids[tally.worst_at[1]]))
    share = tally.within / tally.entries
    return MatrixCheck(
        str(path),
        matrix.N,
        born,
        rtol,
        atol,
        tally.entries,
        share,
        tally.worst,
        worst_ids,
        len(chosen),
        agreeing,
        k,
        cause,
    )


def birth_precision(values: np.ndarray) -> str:
    """Return the narrowest of bfloat16, float16, float32 and float64 that holds every finite value exactly."""
    values = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        for dtype in (ml_dtypes.bfloat16, np.float16, np.float32):
            if np.array_equal(values.astype(dtype).astype(values.dtype), values):
                return np.dtype(dtype).name
    return "float64"


def tolerances(born: str, largest_norm: float) -> tuple[float, float]:
    """Return rtol and atol (logometers) for a matrix computed in the precision `born`.

    With u the unit of the precision and R the largest norm, points rounded to it move distances by up to 2 u R, and a
    distance rounded to it by u d; both are doubled for what the sums between add. float32 and float64 pipelines expand
    |x|^2 + |y|^2 - 2 <x, y> instead of subtracting points, which costs up to sqrt(16 u) R where two points are close:
    0.03 on an identical row of norm 54 was seen in float32.

    Parameters
    ----------
    born : str
        bfloat16, float16, float32 or float64.
    largest_norm : float
        R, in logometers.
    """
    unit = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}[born]
    floor = max(2 * unit, 2.0**-22)  # the points themselves are float32
    expanded = np.sqrt(16 * unit) if born in ("float32", "float64") else 0.0
    return floor, float(max(floor, expanded) * largest_norm)


def _rows_of(bundle: Bundle, matrix: StoredMatrix) -> np.ndarray:
    """Return the bundle's row for each row of the matrix."""
    ids = bundle.vocabulary.token_ids
    if matrix.token_ids is None:
        if len(ids) != matrix.N:
            raise MismatchError(
                f"wrong size: {matrix.path} has N = {matrix.N} rows and no .pt beside it names their tokens, "
                f"but {bundle.name} holds {len(ids)}: it is of another sample"
            )
        return np.arange(matrix.N)
    order = np.argsort(ids)
    places = np.minimum(np.searchsorted(ids[order], matrix.token_ids), len(ids) - 1)
    rows: np.ndarray = order[places]
    absent = matrix.token_ids[ids[rows] != matrix.token_ids]
    if len(absent):
        raise MismatchError(
            f"another sample: {len(absent)} of the {matrix.N} tokens of {matrix.path} are not in {bundle.name}, "
            f"#{absent[0]} for one"
        )
    return rows


def _distances(points: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return the float64 distances from points[start:stop] to all, by expansion; its floor is 1e-7 of the norms."""
    block = points[start:stop].astype(np.float64)
    squares = np.einsum("ij,ij->i", block, block)
    computed = np.empty((stop - start, len(points)))
    for first in range(0, len(points), _COLUMN_POINTS):
        others = points[first : first + _COLUMN_POINTS].astype(np.float64)
        part = computed[:, first : first + len(others)]
        np.matmul(block, others.T, out=part)
        part *= -2
        part += squares[:, None]
        part += np.einsum("ij,ij->i", others, others)
    np.maximum(computed, 0, out=computed)
    return np.sqrt(computed, out=computed)


def _compare(tally: _Tally, stored: np.ndarray, computed: np.ndarray, start: int, rtol: float, atol: float) -> None:
    height, N = stored.shape
    own = (np.arange(height), start + np.arange(height))
    diagonal = np.abs(stored[own])
    tally.diagonal = max(tally.diagonal, float(np.nanmax(diagonal)) if not np.isnan(diagonal).all() else np.inf)
    nan = np.isnan(stored)
    tally.nan += int(nan.sum())
    errors = np.abs(stored - computed)
    errors[nan] = np.inf
    errors[own] = 0.0
    tally.within += int((errors <= rtol * computed + atol).sum()) - height
    tally.entries += height * (N - 1)
    finite = np.where(np.isfinite(errors), errors, -1)
    worst = int(np.argmax(finite))
    if finite.flat[worst] > tally.worst:
        tally.worst = float(finite.flat[worst])
        tally.worst_at = (start + worst // N, worst % N)
    tally.stored_means.append(stored.mean(axis=1))
    tally.computed_means.append(computed.mean(axis=1))


def _same_nearest(stored: np.ndarray, computed: np.ndarray, own: int, k: int, rtol: float, atol: float) -> bool:
    """Whether the k nearest by the stored row are the k nearest by the computed one, up to ties."""
    if np.isnan(stored).any():
        return False
    stored, computed = stored.copy(), computed.copy()
    stored[own] = computed[own] = np.inf
    listed = np.argpartition(stored, k - 1)[:k]
    border = np.partition(computed, k - 1)[k - 1]
    slack = 2 * (rtol * border + atol)
    certain = np.flatnonzero(computed < border - slack)
    return bool((computed[listed] <= border + slack).all()) and bool(np.isin(certain, listed).all())
