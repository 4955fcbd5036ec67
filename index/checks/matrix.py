"""Every entry of a stored distance matrix against the distance between its two points.

Points are multiplied tile by tile, each pair once: a score serves the entry and its mirror image. A score in float32
knows a distance up to a bound; where the bound reaches across the tolerance, the distance is taken in float64 from the
difference of the two points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from index.bundle.bundle import Bundle
from index.checks.cause import name_cause
from index.checks.stored_matrix import MismatchError, StoredMatrix, open_matrix

ROWS_CHECKED = 1000
"""How many rows of a stored matrix have their k-NN lists compared."""

_TILE = 2048
_ROWS_PER_BLOCK = 64
_WORST_PER_TILE = 64
_SEED = 42


@dataclass(frozen=True)
class MatrixCheck:
    """Every off-diagonal entry D of a stored matrix against the distance d of its two points."""

    path: str
    n: int  # rows of the matrix; 0 when its size is wrong
    born: str | None  # the precision its values were computed in, read off the values themselves
    rtol: float | None  # an entry agrees when |d - D| <= rtol * d + atol
    atol: float | None  # in logometers
    entries: int  # how many were compared
    within_share: float  # the share of them that agrees
    worst_error: float | None  # the largest |d - D|, in logometers
    worst_ids: tuple[int, int] | None  # the two tokens it stands between
    rows_checked: int  # rows whose `k` nearest were compared
    rows_agreeing: int  # those where both lists are the same up to ties
    k: int
    cause: str | None  # what is wrong, in words; None when every entry agrees

    @property
    def passed(self) -> bool:
        """Whether every entry agrees."""
        return self.cause is None


@dataclass(eq=False)
class _Tally:
    """Running totals over the tiles of a stored matrix, (N,) arrays by row."""

    stored_sums: np.ndarray
    computed_sums: np.ndarray
    within: int = 0
    nan: int = 0
    entries: int = 0
    worst: float = -1.0
    worst_at: tuple[int, int] = (0, 0)
    diagonal: float = 0.0


def check_matrix(bundle: Bundle, path: Path, progress: Callable[[float], None] | None = None) -> MatrixCheck:
    """Compare every entry of a stored matrix with the distance between its two points.

    The file is a full `.npy` or a compressed `.pt`; `progress` is called with the share done, from 0 to 1.

    Raises
    ------
    DistancesError
        When the file is no distance matrix.
    """
    k = bundle.manifest.settings.density_k
    try:
        matrix = open_matrix(path)
        rows = _rows_of(bundle, matrix)
    except MismatchError as error:
        return MatrixCheck(str(path), 0, None, None, None, 0, 0.0, None, None, 0, 0, k, str(error))
    k = min(k, matrix.N - 1)
    born = birth_precision(matrix.tile(slice(0, min(64, matrix.N)), slice(0, matrix.N)))
    rtol, atol = tolerances(born, bundle.causal.facts.largest_norm)
    points = bundle.causal.points[rows]
    tally = _compare_all(matrix, points, born, rtol, atol, progress or (lambda share: None))
    share = tally.within / tally.entries
    cause = None
    if tally.within < tally.entries or tally.diagonal > atol:
        cause = name_cause(
            bundle,
            matrix,
            rows,
            tally.stored_sums / matrix.N,
            tally.computed_sums / matrix.N,
            nan=tally.nan,
            within_share=share,
            rtol=rtol,
            atol=atol,
            diagonal=tally.diagonal,
        )
    chosen = np.sort(np.random.default_rng(_SEED).permutation(matrix.N)[:ROWS_CHECKED])
    agreeing = _agreeing_lists(matrix, points, chosen, k, rtol, atol)
    ids = bundle.vocabulary.token_ids[rows]
    worst_ids = (int(ids[tally.worst_at[0]]), int(ids[tally.worst_at[1]]))
    return MatrixCheck(
        path=str(path),
        n=matrix.N,
        born=born,
        rtol=rtol,
        atol=atol,
        entries=tally.entries,
        within_share=share,
        worst_error=tally.worst,
        worst_ids=worst_ids,
        rows_checked=len(chosen),
        rows_agreeing=agreeing,
        k=k,
        cause=cause,
    )


def _compare_all(
    matrix: StoredMatrix,
    points: np.ndarray,
    born: str,
    rtol: float,
    atol: float,
    progress: Callable[[float], None],
) -> _Tally:
    """Compare all N (N - 1) off-diagonal entries; a triangle's stand for their mirror images."""
    from index.checks.compare import compare_tile

    N, D = points.shape
    # A float64 matrix is compared to more digits than a float32 score has.
    working: np.dtype[Any] = np.dtype(np.float64 if born == "float64" else np.float32)
    centered: np.ndarray = points.astype(working)
    centered -= centered.mean(axis=0, dtype=np.float64).astype(working)  # distances stay, rounding shrinks
    squares = np.einsum("ij,ij->i", centered, centered, dtype=np.float64)
    # A sum of D products errs by at most D u / (1 - D u) of |x| |y| (Higham, Accuracy and Stability, eq. 3.5).
    unit = D * np.finfo(working).eps / 2
    bound = float(2 * unit / (1 - unit) * squares.max())
    tally = _Tally(np.zeros(N), np.zeros(N))
    starts = range(0, N, _TILE)
    pairs = [(i, j) for i in starts for j in starts if j >= i]
    for done, (i, j) in enumerate(pairs, 1):
        rows, columns = slice(i, min(i + _TILE, N)), slice(j, min(j + _TILE, N))
        scores = centered[rows] @ centered[columns].T
        stored = matrix.tile(rows, columns).astype(working)
        mirrored = stored if matrix.compressed else np.ascontiguousarray(matrix.tile(columns, rows).T, dtype=working)
        counts, found, where = compare_tile(
            scores, stored, mirrored, i, j, points, squares, rtol, atol, bound, _WORST_PER_TILE,
            tally.stored_sums, tally.computed_sums,
        )  # fmt: skip
        tally.within += int(counts[0])
        tally.nan += int(counts[1])
        tally.entries += int(counts[2])
        if found > tally.worst:
            tally.worst, tally.worst_at = float(found), (int(where[0]), int(where[1]))
        if i == j and not matrix.compressed:
            diagonal = np.abs(np.diagonal(stored))
            tally.nan += int(np.isnan(diagonal).sum())
            tally.diagonal = max(tally.diagonal, float(np.nan_to_num(diagonal, nan=np.inf).max()))
        progress(done / len(pairs))
    return tally


def birth_precision(values: np.ndarray) -> str:
    """Return the narrowest of bfloat16, float16, float32 and float64 that holds every finite value exactly."""
    values = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        for dtype in (ml_dtypes.bfloat16, np.float16, np.float32):
            if np.array_equal(values.astype(dtype).astype(values.dtype), values):
                return np.dtype(dtype).name
    return "float64"


def tolerances(born: str, largest_norm: float) -> tuple[float, float]:
    """Return rtol and atol (logometers) for a matrix computed in the precision `born`, as `birth_precision` names it.

    With u the unit of the precision and R the largest norm, points rounded to it move distances by up to 2 u R, and a
    distance rounded to it by u d; both are doubled for what the sums between add. float32 and float64 pipelines expand
    |x|^2 + |y|^2 - 2 <x, y> instead of subtracting points, which costs up to sqrt(16 u) R where two points are close:
    0.03 on an identical row of norm 54 was seen in float32.
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


def _agreeing_lists(
    matrix: StoredMatrix, points: np.ndarray, chosen: np.ndarray, k: int, rtol: float, atol: float
) -> int:
    """Count the rows whose k nearest by the matrix are the k nearest by the points, up to ties."""
    agreeing = 0
    everything = points.astype(np.float64)
    squares = np.einsum("ij,ij->i", everything, everything)
    for start in range(0, len(chosen), _ROWS_PER_BLOCK):
        block = chosen[start : start + _ROWS_PER_BLOCK]
        computed = squares[block, None] + squares - 2 * everything[block] @ everything.T
        np.sqrt(np.maximum(computed, 0, out=computed), out=computed)
        for row, distances in zip(block.tolist(), computed, strict=True):
            stored = matrix.row(row).astype(np.float64)
            agreeing += _same_nearest(stored, distances, row, k, rtol, atol)
    return agreeing


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
