"""Exact k nearest neighbors, by Euclidean distance between points.

The graph of all points takes four steps::

    twins        equal rows become one point                                        twin groups -> U positions
    filter       points are grouped, recentered and rounded to few digits           filter, scores
    sweep        every pair's score, in tiles; candidates are the pairs whose       kernels.offer_tile
                 lower bound is within the k-th smallest upper bound so far
    rank         candidates by float64 distances; twins expanded again              ranking.rank_block

The sweep may only err on the side of too many candidates, and the last step looks at every one, so the answer does not
depend on the arithmetic, the device or the number of threads: they decide how long it takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.errors import ParameterError, parameter

if TYPE_CHECKING:
    from index.search.filter import Filter
    from index.search.kernels import Candidates, Floats, Ints
    from index.search.ranking import Twins
    from index.search.scores import Arithmetic, Product, Tile

Progress = Callable[[float], None]

CHECKED_ROWS = 4096
TILE_ROWS = 2048
RANK_ROWS = 1024  # points of a block whose candidates are ranked together, from the cache
RANK_STEPS = 8  # after each, the memory of the candidates that are done is given back
LEAST_SPARE, MOST_SPARE = 124, 188  # room of a candidate buffer beyond k: with less of it, it is tidied more often
BUFFER_BYTES = 500_000_000  # of all candidate buffers, unless even the least room takes more
PANEL_BYTES = 1 << 26
SWEEP_SHARE = 0.9  # of the time, for progress


@dataclass(frozen=True, eq=False)
class KnnGraph:
    """The k nearest neighbors of each of V points."""

    ids: NDArray[np.int32]  # (V, k) rows, nearest first, equal distances by row; never its own
    distances: Floats  # (V, k) Euclidean
    distinct_distances: Floats  # (V, k) to the nearest other points; infinite where there are no more
    distinct_ids: NDArray[np.int32]  # (V, k) the first row of each of those points, equal distances by it; or -1
    groups: NDArray[np.int32]  # (V,) the first row that holds the same point


def knn_graph(
    points: Floats,
    *,
    k: int,
    threads: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    arithmetic: Arithmetic | None = None,
) -> KnnGraph:
    """Return the exact k-nearest-neighbor graph of all points, (V, D) float32, finite, mapped or not.

    Beside the points it needs 128 MiB for rounded points, and 8 bytes per point for each of k + 124 to k + 188
    candidates, whose place the graph takes, 16 k bytes per point. Scores are multiplied on `device`, as torch names it:
    "cpu", "cuda", "mps"; by default on all cores. `progress` is called with the share done, on the calling thread.
    `arithmetic` is the filter's, by default the faster one here: the answer is the same.
    ParameterError when k is not from 1 to V - 1, or points are no finite float32 matrix.
    """
    points = check_points(points)
    check_k(k, len(points))
    report = progress or (lambda share: None)
    with _one_torch_thread_each(), ThreadPoolExecutor(threads or core_count()) as pool:
        twins, rows = _twins(points)
        nearest = min(k, len(rows) - 1)
        positions, candidates = _find_candidates(points, rows, nearest, arithmetic, device, pool, report)
        return _rank(points, k, nearest, positions, candidates, _in_order(twins, rows, positions), pool, report)


def buffer_room(k: int, U: int) -> int:
    """Return how many candidates are kept at once for each of U distinct points."""
    spare = max(LEAST_SPARE, min(MOST_SPARE, BUFFER_BYTES // (8 * U) - k))
    return min(k + spare, U)


def _find_candidates(
    points: Floats,
    rows: Ints,
    k: int,
    arithmetic: Arithmetic | None,
    device: str,
    pool: ThreadPoolExecutor,
    report: Progress,
) -> tuple[Ints, Candidates]:
    """Return the rows in the order of positions, and what may be among the k nearest of each."""
    from index.search.filter import build_filter
    from index.search.kernels import Candidates
    from index.search.scores import choose_arithmetic

    arithmetic = arithmetic or choose_arithmetic(device)
    filtered = build_filter(points, rows, arithmetic, pool)
    U = len(rows)
    room = buffer_room(k, U)
    candidates = Candidates(
        ids=np.empty((U, room), np.int32),
        lower=np.empty((U, room), np.float32),
        width=np.zeros(U, np.float32),
        filled=np.zeros(U, np.int32),
        limit=np.full(U, np.inf, np.float32),
    )
    if k:
        _sweep(k, filtered, candidates, device, pool, report)
    return filtered.bounds.rows, candidates


@dataclass(frozen=True, eq=False)
class _Panel:
    """Consecutive blocks whose residuals are in memory."""

    blocks: range
    start: int  # position of the first residual
    residuals: Tile

    def at(self, positions: slice) -> slice:
        """Return where the residuals of some positions are."""
        return slice(positions.start - self.start, positions.stop - self.start)


def _sweep(
    k: int, filtered: Filter, candidates: Candidates, device: str, pool: ThreadPoolExecutor, report: Progress
) -> None:
    """Offer every pair of points to each other. Scores are symmetric, so half the tiles serve both sides."""
    from index.search.kernels import offer_tile
    from index.search.scores import make_product

    blocks = filtered.blocks(TILE_ROWS)
    locks = [Lock() for _ in blocks]  # of a block's candidates

    def offer(left: _Panel, right: _Panel, product: Product, pair: tuple[int, int]) -> None:
        rows, columns = blocks[pair[0]], blocks[pair[1]]
        tile = product(left.at(rows), right.at(columns))
        with locks[pair[0]], nullcontext() if rows is columns else locks[pair[1]]:  # ascending, so none waits in a ring
            offer_tile(tile, rows.start, columns.start, k, filtered.scale, filtered.points, filtered.bounds, candidates)

    done, total = 0, len(blocks) * (len(blocks) + 1) / 2
    for left, right in _panel_pairs(filtered, blocks, pool):
        # By diagonals: neighboring tasks touch different blocks, and every point gets a first limit from its own.
        pairs = [(a, b) for a in left.blocks for b in right.blocks if a <= b]
        pairs.sort(key=lambda pair: (pair[1] - pair[0], pair[0]))
        product = make_product(left.residuals, right.residuals, filtered.arithmetic, device)
        for _ in pool.map(partial(offer, left, right, product), pairs):
            done += 1
            report(SWEEP_SHARE * done / total)
        del left, right, product  # before the next panel is rounded


def _panel_pairs(filtered: Filter, blocks: list[slice], pool: ThreadPoolExecutor) -> Iterator[tuple[_Panel, _Panel]]:
    """Yield every pair of panels once. Rounding points again is cheaper than keeping them all rounded in memory."""
    row_bytes = filtered.points.shape[1] * np.dtype(filtered.arithmetic.bits).itemsize
    total_bytes = row_bytes * len(filtered.bounds.rows)
    count = 1 if total_bytes <= 2 * PANEL_BYTES else -(-total_bytes // PANEL_BYTES)
    edges = np.unique(np.linspace(0, len(blocks), count + 1).astype(int)).tolist()

    def panel(n: int) -> _Panel:
        start, stop = blocks[edges[n]].start, blocks[edges[n + 1] - 1].stop
        return _Panel(range(edges[n], edges[n + 1]), start, filtered.residuals(start, stop, pool))

    panels = range(len(edges) - 1)
    for n in panels:  # first, so that every point has a limit before it meets the others
        both = panel(n)
        yield both, both
        del both
    for n in panels[:-1]:
        left = panel(n)
        for m in panels[n + 1 :]:
            yield left, panel(m)
        del left


def _rank(
    points: Floats,
    k: int,
    nearest: int,
    positions: Ints,
    candidates: Candidates,
    twins: Twins,
    pool: ThreadPoolExecutor,
    report: Progress,
) -> KnnGraph:
    from index.search.ranking import Lists, rank_block

    V, (U, room) = len(points), candidates.ids.shape
    lists = Lists(
        ids=np.empty((V, k), np.int32),
        distances=np.empty((V, k), np.float32),
        distinct_distances=np.empty((V, k), np.float32),
        distinct_ids=np.empty((V, k), np.int32),
    )

    def work(start: int, stop: int) -> int:
        rank_block(start, stop, nearest, points, positions, candidates, twins, lists)
        return stop - start

    done = 0
    edges = np.linspace(0, U, RANK_STEPS + 1).astype(int).tolist()
    for first, last in reversed(list(pairwise(edges))):  # from the end, which is what an array can give back
        starts = range(first, last, RANK_ROWS)
        for ranked in pool.map(work, starts, [*starts[1:], last]):
            done += ranked
            report(SWEEP_SHARE + (1.0 - SWEEP_SHARE) * done / U)
        candidates.ids.resize((first, room), refcheck=False)  # no thread is at work, so nothing else looks at them
        candidates.lower.resize((first, room), refcheck=False)
    return KnnGraph(*lists, groups=_first_rows(twins))


def _twins(points: Floats) -> tuple[Twins, Ints]:
    """Return the groups of equal rows, and the first row of each, ascending."""
    from index.search.ranking import Twins, first_twins, hash_rows

    hashes = hash_rows(points)
    first = first_twins(points, hashes, np.argsort(hashes, kind="stable"))
    members = np.argsort(first, kind="stable")
    rows, starts = np.unique(first[members], return_index=True)
    return Twins(members, np.append(starts, len(points))), rows


def _in_order(twins: Twins, rows: Ints, wanted: Ints) -> Twins:
    """Rearrange the groups from the order of `rows` to that of `wanted`."""
    order = np.searchsorted(rows, wanted)
    sizes = np.diff(twins.offsets)[order]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    into = np.repeat(twins.offsets[order] - offsets[:-1], sizes) + np.arange(offsets[-1])
    return type(twins)(twins.members[into], offsets)


def _first_rows(twins: Twins) -> NDArray[np.int32]:
    """Return the first row of the group of each row, (V,)."""
    first = np.empty(len(twins.members), np.int32)
    first[twins.members] = np.repeat(twins.members[twins.offsets[:-1]], np.diff(twins.offsets))
    return first


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


def check_points(points: Floats) -> Floats:
    """Return points as a plain, read-only matrix; ParameterError unless they are a finite float32 matrix."""
    if points.ndim != 2 or points.dtype != np.float32 or not points.size:
        raise ParameterError(
            f"points must be a float32 matrix of shape (V, D), got: {points.dtype} of shape {points.shape}"
        )
    for start in range(0, len(points), CHECKED_ROWS):
        finite = np.isfinite(points[start : start + CHECKED_ROWS]).all(axis=1)
        if not finite.all():
            raise ParameterError(
                f"points must be finite, but row {start + int(np.argmin(finite))} is not; leave such rows out"
            )
    return as_plain(points)


def as_plain(points: Floats) -> Floats:
    """Return a read-only ndarray: one type for the compiled kernels, mapped or not."""
    plain = np.ascontiguousarray(points).view(np.ndarray)[:]
    plain.flags.writeable = False
    return plain


def check_k(k: int, V: int) -> None:
    """Raise ParameterError unless every one of V points has k others."""
    if k < 1:
        raise ParameterError(f"k must be 1 or more, got: {k}")
    if V == 1:
        raise ParameterError(f"k={k} needs at least {k + 1} tokens, but there is 1, which has no neighbors; index more")
    if k > V - 1:
        raise ParameterError(
            f"k={k} needs at least {k + 1} tokens, but there are {V}; pass {parameter('neighbors', V - 1)} or less"
        )


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
