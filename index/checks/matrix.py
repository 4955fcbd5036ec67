"""Every entry of a stored distance matrix against the distance between its two points.

Points are multiplied tile by tile in float64, each pair once: a score serves the entry and its mirror image. Where a
score leaves in doubt whether an entry agrees, the distance is taken from the difference of the two points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.bundle.bundle import Bundle
from index.bundle.manifest import MatrixFacts
from index.checks.cause import name_cause
from index.checks.nearest import Compared, judge_lists
from index.checks.precision import Allowance, birth_precision
from index.checks.stored_matrix import MismatchError, StoredMatrix, open_matrix
from index.geometry.blocks import row_slices
from index.geometry.maps import norms
from index.progress import Share

ROWS_CHECKED = 1000
"""How many rows of a stored matrix have their k-NN lists compared."""

_TILE = 2048
_SEED = 42


@dataclass(frozen=True)
class Decade:
    """Entries whose distances lie within one power of ten."""

    start: float  # logometers; 0 in the first
    stop: float | None  # None in the last
    entries: int
    beyond: int  # those that do not agree
    worst_error: float  # logometers


@dataclass(frozen=True)
class MatrixCheck:
    """Every off-diagonal entry D of a stored matrix against the distance d of its two points x and y."""

    path: str
    n: int  # rows of the matrix; 0 when its size is wrong
    born: str | None  # the precision its values were computed in, read off the values themselves
    # An entry agrees when |d - D| <= rtol * d + atol + expansion * (|x|^2 + |y|^2) / (d + D); see `Allowance`.
    rtol: float | None
    atol: float | None  # in logometers
    entries: int  # how many were compared
    within_share: float  # the share of them that agrees
    worst_error: float | None  # the largest |d - D|, in logometers
    worst_ids: tuple[int, int] | None  # the two tokens it stands between
    rows_checked: int  # rows whose `k` nearest were compared
    rows_agreeing: int  # those where both lists are the same up to ties
    k: int
    cause: str | None  # what is wrong, in words; None when every entry agrees
    expansion: float | None = None
    at_zero: float | None = None  # the most that is allowed to an entry whose distance is 0, in logometers
    hidden: int = 0  # entries too small to be checked: 0 in their place would agree, too
    hidden_rows: int = 0  # rows that have one
    decades: tuple[Decade, ...] = ()  # ascending; those that have entries
    rows_judged: int = 0  # the rows checked, and as many more that have entries too small to be checked
    rows_unfit: int = 0  # those whose k nearest cannot be told from what the matrix may be off by

    @property
    def passed(self) -> bool:
        """Whether every entry agrees."""
        return self.cause is None

    @property
    def unfit(self) -> str | None:
        """In which rows the matrix is unfit for neighbors; None where it is not."""
        return unfit(self)


def unfit(check: MatrixCheck | MatrixFacts) -> str | None:
    """Say in which rows a matrix is unfit for neighbors; None where it is not."""
    if not check.rows_unfit:
        return None
    rows = "all" if check.rows_unfit == check.rows_judged else f"{check.rows_unfit:,} of"
    return (
        f"unfit for neighbors in {rows} {check.rows_judged:,} rows: what is allowed to their entries hides "
        f"which {check.k} are nearest"
    )


@dataclass(eq=False)
class _Tally:
    """Running totals over the tiles of a stored matrix, (N,) arrays by row."""

    counts: np.ndarray
    entries: np.ndarray  # by decade, as the two below
    beyond: np.ndarray
    worst_errors: np.ndarray
    hidden_rows: np.ndarray
    stored_sums: np.ndarray
    computed_sums: np.ndarray
    diagonal: np.ndarray  # absolute values; infinite for NaN, 0 where a matrix is a triangle
    worst: float = -1.0
    worst_at: tuple[int, int] = (0, 0)
    farthest_zero: float = 0.0  # the largest distance in whose place 0 stands, and is wrong

    @classmethod
    def of(cls, N: int) -> _Tally:
        """Return totals of nothing."""
        from index.checks.compare import DECADES

        def by_decade() -> np.ndarray:
            return np.zeros(DECADES, np.int64)

        return cls(
            np.zeros(5, np.int64), by_decade(), by_decade(), np.zeros(DECADES), np.zeros(N, np.bool_),
            np.zeros(N), np.zeros(N), np.zeros(N),
        )  # fmt: skip


def check_matrix(bundle: Bundle, path: Path, progress: Share | None = None) -> MatrixCheck:
    """Compare every entry of a stored matrix with the distance between its two points.

    The file is a full `.npy` or a compressed `.pt`; `progress` is called with the share done, from 0 to 1.

    Raises
    ------
    DistancesError
        When the file is no distance matrix.
    """
    from index.checks.compare import ENTRIES, HIDDEN, WITHIN

    k = bundle.manifest.settings.density_k
    try:
        matrix = open_matrix(path)
        rows = _rows_of(bundle, matrix)
    except MismatchError as error:
        return MatrixCheck(str(path), 0, None, None, None, 0, 0.0, None, None, 0, 0, k, str(error))
    k = min(k, matrix.N - 1)
    compared = _compared(bundle, matrix, rows)
    allowance, tally = compared.allowance, _compare_all(compared, progress or (lambda share: None))
    draw = np.random.default_rng(_SEED)
    chosen = np.sort(draw.permutation(matrix.N)[:ROWS_CHECKED])
    doubtful = np.setdiff1d(draw.permutation(np.flatnonzero(tally.hidden_rows))[:ROWS_CHECKED], chosen)
    agrees, fit = judge_lists(compared, np.concatenate([chosen, doubtful]), k)
    ids = bundle.vocabulary.token_ids[rows]
    a, b = tally.worst_at
    return MatrixCheck(
        path=str(path),
        n=matrix.N,
        born=allowance.born,
        rtol=allowance.rtol,
        atol=allowance.atol,
        entries=int(tally.counts[ENTRIES]),
        within_share=float(tally.counts[WITHIN] / tally.counts[ENTRIES]),
        worst_error=_error(compared, a, b),
        worst_ids=(int(ids[a]), int(ids[b])),
        rows_checked=len(chosen),
        rows_agreeing=int(agrees[: len(chosen)].sum()),
        k=k,
        cause=_cause(bundle, compared, rows, tally),
        expansion=allowance.expansion,
        at_zero=allowance.at_zero,
        hidden=int(tally.counts[HIDDEN]),
        hidden_rows=int(tally.hidden_rows.sum()),
        decades=tuple(_decades(tally)),
        rows_judged=len(fit),
        rows_unfit=int((~fit).sum()),
    )


def _error(compared: Compared, a: int, b: int) -> float:
    """Return by how much the entry (a, b), or (b, a), is off, in logometers: the worse of both."""
    from index.checks.compare import exact_distance

    distance: float = exact_distance(compared.points[a], compared.points[b])
    return max(abs(float(compared.matrix.row(i)[j]) - distance) for i, j in ((a, b), (b, a)))


def _compared(bundle: Bundle, matrix: StoredMatrix, rows: np.ndarray) -> Compared:
    """Return a matrix beside the points of its rows, with what is allowed to its entries."""
    points = bundle.causal.points[rows]
    born = birth_precision(matrix.tile(slice(0, min(64, matrix.N)), slice(0, matrix.N)))
    uncentered = np.from_dlpack(bundle.columns("causal_norm")["causal_norm"].combine_chunks())[rows]
    lengths = np.maximum(uncentered, norms(points))
    allowance = Allowance.of(born, points.shape[1], float(lengths.max()))
    return Compared(matrix, points, lengths**2, allowance, bundle.causal.resolution)


def _compare_all(compared: Compared, progress: Share) -> _Tally:
    """Compare all N (N - 1) off-diagonal entries; a triangle's stand for their mirror images."""
    from index.checks.compare import NAN, compare_tile

    matrix, points, allowance = compared.matrix, compared.points, compared.allowance
    N, D = points.shape
    working = np.float64 if allowance.born == "float64" else np.float32  # that holds the stored values
    center = points.mean(axis=0, dtype=np.float64)  # taken off, distances stay, and rounding shrinks
    squares = np.empty(N)
    for where in row_slices(points.shape):
        block = points[where] - center
        squares[where] = np.einsum("ij,ij->i", block, block)
    # A sum of D products errs by at most D u / (1 - D u) of |x| |y| (Higham, Accuracy and Stability, eq. 3.5): two
    # squares and twice a product by twice that of |x|^2 + |y|^2.
    unit = D * 2.0**-53
    share = 2 * unit / (1 - unit)
    numbers = np.array([allowance.rtol, allowance.atol, allowance.expansion, allowance.floor, share])
    tally = _Tally.of(N)
    starts = range(0, N, _TILE)
    pairs = [(i, j) for i in starts for j in starts if j >= i]
    for done, (i, j) in enumerate(pairs, 1):
        rows, columns = slice(i, min(i + _TILE, N)), slice(j, min(j + _TILE, N))
        scores = (points[rows] - center) @ (points[columns] - center).T
        stored = matrix.tile(rows, columns).astype(working)
        mirrored = stored if matrix.compressed else np.ascontiguousarray(matrix.tile(columns, rows).T, dtype=working)
        worst, row, column, farthest_zero = compare_tile(
            scores, stored, mirrored, i, j, points, squares, compared.squared_norms, numbers, tally.counts,
            tally.entries, tally.beyond, tally.worst_errors, tally.hidden_rows, tally.stored_sums, tally.computed_sums,
        )  # fmt: skip
        tally.farthest_zero = max(tally.farthest_zero, float(farthest_zero))
        if worst > tally.worst:
            tally.worst, tally.worst_at = float(worst), (int(row), int(column))
        if i == j and not matrix.compressed:
            diagonal = np.abs(np.diagonal(stored)).astype(np.float64)
            tally.counts[NAN] += int(np.isnan(diagonal).sum())
            tally.diagonal[rows] = np.nan_to_num(diagonal, nan=np.inf)
        progress(done / len(pairs))
    return tally


def _decades(tally: _Tally) -> Iterator[Decade]:
    from index.checks.compare import DECADES, FIRST_DECADE

    for at in np.flatnonzero(tally.entries).tolist():
        start, stop = (10.0 ** (FIRST_DECADE + each) for each in (at, at + 1))
        yield Decade(
            0.0 if at == 0 else start,
            None if at == DECADES - 1 else stop,
            int(tally.entries[at]),
            int(tally.beyond[at]),
            float(tally.worst_errors[at]),
        )


def _cause(bundle: Bundle, compared: Compared, rows: np.ndarray, tally: _Tally) -> str | None:
    """Name what is wrong; None when every entry agrees."""
    from index.checks.compare import ENTRIES, NAN, WITHIN, ZEROED

    # On the diagonal D may be what is allowed to two points that are the same.
    own = compared.allowance.at(np.zeros(len(rows)), 2 * compared.squared_norms)
    off = float((tally.diagonal - own).max())
    if tally.counts[WITHIN] == tally.counts[ENTRIES] and off <= 0:
        return None
    return name_cause(
        bundle,
        compared,
        rows,
        stored_means=tally.stored_sums / (len(rows) - 1),
        computed_means=tally.computed_sums / (len(rows) - 1),
        nan=int(tally.counts[NAN]),
        differing=int(tally.counts[ENTRIES] - tally.counts[WITHIN]),
        zeroed=int(tally.counts[ZEROED]),
        farthest_zero=tally.farthest_zero,
        diagonal=float(tally.diagonal.max()) if off > 0 else 0.0,
    )


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
