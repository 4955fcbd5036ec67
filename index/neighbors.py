"""Exact k nearest neighbors, by Euclidean distance between points.

The graph of all points takes four steps::

    twins        equal rows become one point                                        twin groups -> U positions
    filter       points are grouped, recentered and rounded to few digits           filtering, scores
    sweep        every pair's score, in tiles; candidates are the pairs whose       kernels.offer_tile
                 lower bound is within the k-th smallest upper bound so far
    rank         candidates by float64 distances; twins expanded again              ranking.rank_block

The sweep may only err on the side of too many candidates, and the last step looks at every one, so the answer does not
depend on the arithmetic, the device or the number of threads: they decide how long it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.points import check_k, check_points, core_count

if TYPE_CHECKING:
    from index.filtering import Filter
    from index.kernels import Candidates
    from index.ranking import Twins
    from index.scores import Arithmetic, Product

Progress = Callable[[float], None]

TILE_ROWS = 2048
RANK_ROWS = 1024  # points of a block whose candidates are ranked together, from the cache
SPARE = 188  # room of a candidate buffer beyond k
SWEEP_SHARE = 0.9  # of the time, for progress


@dataclass(frozen=True, eq=False)
class KnnGraph:
    """The k nearest neighbors of each of V points.

    Attributes
    ----------
    ids : ndarray of shape (V, k), int32
        Rows, nearest first, equal distances by row; never the point's own row.
    distances : ndarray of shape (V, k), float32
        Euclidean.
    distinct_distances : ndarray of shape (V, k), float32
        To the k nearest distinct points other than the point's own; infinite where there are no more.
    """

    ids: NDArray[np.int32]
    distances: NDArray[np.float32]
    distinct_distances: NDArray[np.float32]


def knn_graph(
    points: NDArray[np.float32],
    *,
    k: int,
    threads: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    arithmetic: Arithmetic | None = None,
) -> KnnGraph:
    """Return the exact k-nearest-neighbor graph of all points.

    Beside the points and the graph it needs a copy of the points in the filter's format (half their size where
    bfloat16 is at hand) and 8 (k + 188) bytes per point.

    Parameters
    ----------
    points : ndarray of shape (V, D), float32
        Finite; in memory or memory-mapped.
    k : int
        From 1 to V - 1.
    threads : int, optional
        All cores this process may use, by default.
    device : str
        Where scores are multiplied, as torch names it: "cpu", "cuda", "mps".
    progress : callable, optional
        Called with the share done, from 0 to 1, on the calling thread.
    arithmetic : Arithmetic, optional
        Of the filter; by default the faster one here. The answer is the same.

    Raises
    ------
    ParameterError
        When k is out of range, or points are no finite float32 matrix.
    """
    points = check_points(points)
    check_k(k, len(points))
    report = progress or (lambda share: None)
    with _one_torch_thread_each(), ThreadPoolExecutor(threads or core_count()) as pool:
        twins, rows = _twins(points)
        nearest = min(k, len(rows) - 1)
        positions, candidates = _find_candidates(points, rows, nearest, arithmetic, device, pool, report)
        return _rank(points, k, nearest, positions, candidates, _in_order(twins, rows, positions), pool, report)


def _find_candidates(
    points: NDArray[np.float32],
    rows: NDArray[np.int64],
    k: int,
    arithmetic: Arithmetic | None,
    device: str,
    pool: ThreadPoolExecutor,
    report: Progress,
) -> tuple[NDArray[np.int64], Candidates]:
    """Return the rows in the order of positions, and what may be among the k nearest of each."""
    from index.filtering import build_filter
    from index.kernels import Candidates
    from index.scores import choose_arithmetic, make_product

    arithmetic = arithmetic or choose_arithmetic(device)
    filtered = build_filter(points, rows, arithmetic, pool)
    U = len(rows)
    room = min(k + SPARE, U)
    candidates = Candidates(
        ids=np.empty((U, room), np.int32),
        lower=np.empty((U, room), np.float32),
        width=np.zeros(U, np.float32),
        filled=np.zeros(U, np.int32),
        limit=np.full(U, np.inf, np.float32),
    )
    if k:
        _sweep(points, k, filtered, candidates, make_product(filtered.residuals, arithmetic, device), pool, report)
    return filtered.bounds.rows, candidates


def _sweep(
    points: NDArray[np.float32],
    k: int,
    filtered: Filter,
    candidates: Candidates,
    product: Product,
    pool: ThreadPoolExecutor,
    report: Progress,
) -> None:
    """Offer every pair of points to each other. Scores are symmetric, so half the tiles serve both sides."""
    from index.kernels import offer_tile

    blocks = filtered.blocks(TILE_ROWS)
    locks = [Lock() for _ in blocks]  # of a block's candidates; always taken in ascending order
    B = len(blocks)

    def work(pair: tuple[int, int]) -> None:
        rows, columns = blocks[pair[0]], blocks[pair[1]]
        tile = product(rows, columns)
        with locks[pair[0]], locks[pair[1]] if pair[0] != pair[1] else Lock():
            offer_tile(tile, rows.start, columns.start, k, filtered.scale, points, filtered.bounds, candidates)

    # By diagonals: neighboring tasks touch different blocks, and every point gets a first limit from its own.
    pairs = [(b, b + shift) for shift in range(B) for b in range(B - shift)]
    for done, _ in enumerate(pool.map(work, pairs), start=1):
        report(SWEEP_SHARE * done / len(pairs))


def _rank(
    points: NDArray[np.float32],
    k: int,
    nearest: int,
    positions: NDArray[np.int64],
    candidates: Candidates,
    twins: Twins,
    pool: ThreadPoolExecutor,
    report: Progress,
) -> KnnGraph:
    from index.ranking import Lists, rank_block

    V, U = len(points), len(positions)
    lists = Lists(np.empty((V, k), np.int32), np.empty((V, k), np.float32), np.empty((V, k), np.float32))

    def work(start: int) -> None:
        stop = min(start + RANK_ROWS, U)
        rank_block(start, stop, nearest, points, positions, candidates, twins, lists)

    starts = range(0, U, RANK_ROWS)
    for done, _ in enumerate(pool.map(work, starts), start=1):
        report(SWEEP_SHARE + (1.0 - SWEEP_SHARE) * done / len(starts))
    return KnnGraph(*lists)


def _twins(points: NDArray[np.float32]) -> tuple[Twins, NDArray[np.int64]]:
    """Return the groups of equal rows, and the first row of each, ascending."""
    from index.ranking import Twins, first_twins, hash_rows

    hashes = hash_rows(points)
    first = first_twins(points, hashes, np.argsort(hashes, kind="stable"))
    members = np.argsort(first, kind="stable")
    rows, starts = np.unique(first[members], return_index=True)
    return Twins(members, np.append(starts, len(points))), rows


def _in_order(twins: Twins, rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> Twins:
    """Rearrange the groups from the order of `rows` to that of `wanted`."""
    order = np.searchsorted(rows, wanted)
    sizes = np.diff(twins.offsets)[order]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    into = np.repeat(twins.offsets[order] - offsets[:-1], sizes) + np.arange(offsets[-1])
    return type(twins)(twins.members[into], offsets)


@contextmanager
def _one_torch_thread_each() -> Iterator[None]:
    """Keep torch from starting threads of its own in each of ours."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
