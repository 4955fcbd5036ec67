"""Exact k nearest neighbors, by Euclidean distance between points.

The graph of all points takes four steps::

    twins        equal rows become one point                                        twin groups -> U positions
    filter       points are grouped, recentered and rounded to few digits           filtering, scores
    sweep        every pair's score, in tiles; candidates are the pairs whose       kernels.offer_tile
                 lower bound is within the k-th smallest upper bound so far
    rank         candidates by float64 distances; twins expanded again              kernels.rank_block

The sweep may only err on the side of too many candidates, and the last step looks at every one, so the answer does not
depend on the arithmetic, the device or the number of threads: they decide how long it takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.errors import ParameterError

if TYPE_CHECKING:
    from index.filtering import Filter
    from index.kernels import Candidates, Twins
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
    points = _checked(points)
    check_k(k, len(points))
    report = progress or (lambda share: None)
    threads = threads or _cores()
    from index.filtering import build_filter
    from index.kernels import Candidates
    from index.scores import choose_arithmetic, cpu_product

    with _one_torch_thread_each(), ThreadPoolExecutor(threads) as pool:
        twins, rows = _twins(points)
        arithmetic = arithmetic or choose_arithmetic()
        filtered = build_filter(points, rows, arithmetic, pool)
        twins = _in_order(twins, rows, filtered.bounds.rows)
        U = len(rows)
        nearest = min(k, U - 1)
        room = min(nearest + SPARE, U)
        candidates = Candidates(
            ids=np.empty((U, room), np.int32),
            lower=np.empty((U, room), np.float32),
            width=np.zeros(U, np.float32),
            used=np.zeros(U, np.int32),
            limit=np.full(U, np.inf, np.float32),
        )
        if nearest:
            product = cpu_product(filtered.residuals, arithmetic)
            _sweep(points, nearest, filtered, candidates, product, pool, report)
        return _rank(points, k, nearest, filtered, candidates, twins, pool, report)


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
    filtered: Filter,
    candidates: Candidates,
    twins: Twins,
    pool: ThreadPoolExecutor,
    report: Progress,
) -> KnnGraph:
    from index.kernels import Lists, rank_block

    V, U = len(points), len(filtered.bounds.rows)
    lists = Lists(np.empty((V, k), np.int32), np.empty((V, k), np.float32), np.empty((V, k), np.float32))

    def work(start: int) -> None:
        stop = min(start + RANK_ROWS, U)
        rank_block(start, stop, nearest, points, filtered.bounds.rows, candidates, twins, lists)

    starts = range(0, U, RANK_ROWS)
    for done, _ in enumerate(pool.map(work, starts), start=1):
        report(SWEEP_SHARE + (1.0 - SWEEP_SHARE) * done / len(starts))
    return KnnGraph(*lists)


def _twins(points: NDArray[np.float32]) -> tuple[Twins, NDArray[np.int64]]:
    """Return the groups of equal rows, and the first row of each, ascending."""
    from index.kernels import Twins, first_twins, hash_rows

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


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_k(k: int, V: int) -> None:
    """Raise ParameterError unless every one of V points has k others."""
    if k < 1:
        raise ParameterError(f"k must be 1 or more, got: {k}")
    if k > V - 1:
        raise ParameterError(
            f"k={k} needs at least {k + 1} tokens, but there are {V}; pass --neighbors {V - 1} or less"
        )


def _checked(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return points as a plain, read-only, row-by-row matrix, whatever they are mapped from."""
    if points.ndim != 2 or points.dtype != np.float32 or not points.size:
        raise ParameterError(
            f"points must be a float32 matrix of shape (V, D), got: {points.dtype} of shape {points.shape}"
        )
    for start in range(0, len(points), TILE_ROWS):
        finite = np.isfinite(points[start : start + TILE_ROWS]).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise ParameterError(f"points must be finite, but row {row} is not; leave such rows out")
    plain = np.ascontiguousarray(points).view(np.ndarray)[:]
    plain.flags.writeable = False
    return plain
