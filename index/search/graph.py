"""Exact k nearest neighbors, by Euclidean distance between points.

The graph of all points takes four steps::

    twins        equal rows become one point                                        twin groups -> U positions
    filter       points are grouped, recentered and rounded to few digits           filter, rotation, scores
    sweep        every pair's score, in tiles; the few pairs whose lower bound      pairs, kernels.offer_tile
                 is within the k-th smallest distance so far are measured
    rank         by float64 distances; twins expanded again                         ranking.rank_block

The sweep may only err on the side of measuring too many pairs, and what it measures it measures in float64, so the
answer does not depend on the arithmetic, the device or the number of threads: they decide how long it takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.errors import ParameterError, parameter
from index.progress import Share

if TYPE_CHECKING:
    from index.search.filter import Filter
    from index.search.kernels import Bounds, Doubles, Floats, Ints, Nearest
    from index.search.pairs import Search
    from index.search.ranking import Twins
    from index.search.scores import Arithmetic
    from index.search.tile import Find


CHECKED_ROWS = 4096
TILE_ROWS = 1024
PANEL_BYTES = 1 << 26
RANK_ROWS = 1024  # points that one task ranks
RANK_STEPS = 8  # after each, the memory of the positions that are done is given back
NEAREST_BYTES = 12  # of each: its position, its distance
SPARE = 24  # places beyond k where the nearest so far are kept; with more, limits wait longer to be lowered
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
    progress: Share | None = None,
    arithmetic: Arithmetic | None = None,
    find: Find | None = None,
) -> KnnGraph:
    """Return the exact k-nearest-neighbor graph of all points, (V, D) float32, finite, mapped or not.

    Beside the points it needs 128 MiB for rounded points, and 12 bytes per point for each of its k + 24 nearest so far,
    whose place the graph takes, 16 k bytes per point. Scores are multiplied on `device`, as torch names it:
    "cpu", "cuda", "mps"; by default on all cores. `progress` is called with the share done, on the calling thread.
    `arithmetic` is the filter's, by default the faster one here, and `find` may find the nearest elsewhere, tile by
    tile: the answer is the same.
    ParameterError when k is not from 1 to V - 1, or points are no finite float32 matrix.
    """
    points = check_points(points)
    check_k(k, len(points))
    report = progress or (lambda share: None)
    with one_torch_thread_each(), ThreadPoolExecutor(threads or core_count()) as pool:
        first = _first_rows(points)
        rows = np.flatnonzero(first == np.arange(len(points)))
        nearest = min(k, len(rows) - 1)
        if find is not None and nearest:
            found = find(points, rows, nearest, pool, partial(_report, report, 0.0, SWEEP_SHARE))
        else:
            filtered = _filter(points, rows, arithmetic, device, pool)
            search = _search(k, points, filtered.scale, filtered.bounds, first)
            _sweep([search], filtered, device, pool, partial(_report, report, 0.0, SWEEP_SHARE))
            rows, found = filtered.bounds.rows, search.nearest
        return _rank(k, nearest, rows, found, first, pool, partial(_report, report, SWEEP_SHARE, 1.0))


def knn_graphs(
    points: Floats,
    directions: Floats,
    lengths: Doubles,
    *,
    k: int,
    threads: int | None = None,
    device: str = "cpu",
    progress: Share | None = None,
    arithmetic: Arithmetic | None = None,
) -> Iterator[KnnGraph]:
    """Yield the graph of points, and then that of their directions from some origin, from one product of all pairs.

    They are what `knn_graph` returns of either, (V, D) both. `lengths`, (V,) float64, are how far points are from the
    origin, and a direction is within 2^-24 of the way there over its length. Beside what a graph needs, 12 bytes per
    point for each of k + 24. Where lengths differ too much for one product (`directions.telling`), there are two.
    Errors are those of `knn_graph`.
    """
    from index.search.directions import telling, turned_bounds

    points, directions = check_points(points), check_points(directions)
    check_k(k, len(points))
    report = progress or (lambda share: None)
    middle = (SWEEP_SHARE + 1.0) / 2.0
    with one_torch_thread_each(), ThreadPoolExecutor(threads or core_count()) as pool:
        firsts = [_first_rows(points), _first_rows(directions)]
        _, rows = np.unique(firsts[0] * len(points) + firsts[1], return_index=True)  # of pairs: they differ in either
        filtered = _filter(points, np.sort(rows), arithmetic, device, pool)
        rows, scale = filtered.bounds.rows, filtered.scale
        if telling(lengths * scale):
            bounds = turned_bounds(filtered, lengths[rows])
            searches = [
                _search(k, points, scale, filtered.bounds, firsts[0]),
                _search(k, directions, 1.0, bounds, firsts[1]),
            ]
            _sweep(searches, filtered, device, pool, partial(_report, report, 0.0, SWEEP_SHARE))
            del filtered, bounds
            for first, start, end in zip(firsts, (SWEEP_SHARE, middle), (middle, 1.0), strict=True):
                search = searches.pop(0)  # its memory goes with the graph that takes its place
                yield _rank(k, search.k, rows, search.nearest, first, pool, partial(_report, report, start, end))
            return
    for each, start in ((points, 0.0), (directions, 0.5)):
        share = partial(_report, report, start, start + 0.5)
        yield knn_graph(each, k=k, threads=threads, device=device, progress=share, arithmetic=arithmetic)


def _report(report: Share, start: float, end: float, share: float) -> None:
    """Report a share of what lies between two shares of the whole."""
    report(start + (end - start) * share)


def _filter(points: Floats, rows: Ints, arithmetic: Arithmetic | None, device: str, pool: ThreadPoolExecutor) -> Filter:
    from index.search.filter import build_filter
    from index.search.pairs import count_shortest
    from index.search.scores import choose_arithmetic

    arithmetic = arithmetic or choose_arithmetic(device, points.shape[1])
    shortest = count_shortest(points.shape[1], len(rows), arithmetic)
    return build_filter(points, rows, arithmetic, pool, shortest=shortest)


def _search(k: int, points: Floats, scale: float, bounds: Bounds, first: Ints) -> Search:
    """Return a search for the neighbors of points, (V, D), of which `first`, (V,), is the first row of equal ones.

    Positions of other rows than these are of no point: nothing is near them.
    """
    from index.search.kernels import Nearest
    from index.search.pairs import Search

    U, own = len(bounds.rows), first[bounds.rows] == bounds.rows
    if not own.all():
        low, high = bounds.low.copy(), bounds.high.copy()
        low[:, ~own] = high[:, ~own] = np.nan
        bounds = bounds._replace(low=low, high=high)
    k = min(k, int(own.sum()) - 1)
    room = min(k + SPARE, U)
    nearest = Nearest(
        ids=np.empty((U, room), np.int32),
        squared=np.empty((U, room)),
        filled=np.zeros(U, np.int32),
        limit=np.where(own, np.inf, -np.inf).astype(np.float32),
    )
    return Search(k, points, scale, bounds, nearest)


def _sweep(searches: Sequence[Search], filtered: Filter, device: str, pool: ThreadPoolExecutor, report: Share) -> None:
    from index.search.pairs import Sweep

    wanted = [search for search in searches if search.k]
    if wanted:
        Sweep(wanted, filtered, device, pool, report).run()


def _rank(
    k: int, found: int, rows: Ints, nearest: Nearest, first: Ints, pool: ThreadPoolExecutor, report: Share
) -> KnnGraph:
    """Return the lists of k of all rows from the nearest of the positions, `found` of each and few more."""
    from index.search.ranking import Lists, rank_block

    shape = len(first), k
    U, room = nearest.ids.shape
    twins = _twins(first, rows)
    lists = Lists(
        ids=np.empty(shape, np.int32),
        distances=np.empty(shape, np.float32),
        distinct_distances=np.empty(shape, np.float32),
        distinct_ids=np.empty(shape, np.int32),
    )

    def work(start: int, stop: int) -> int:
        rank_block(start, stop, found, rows, nearest, twins, lists)
        return stop - start

    done = 0
    edges = np.linspace(0, U, RANK_STEPS + 1).astype(int).tolist()
    for start, stop in reversed(list(pairwise(edges))):  # from the end, which is what an array can give back
        starts = range(start, stop, RANK_ROWS)
        for ranked in pool.map(work, starts, [*starts[1:], stop]):
            done += ranked
            report(done / U)
        nearest.ids.resize((start, room), refcheck=False)  # no thread is at work, so nothing else looks at them
        nearest.squared.resize((start, room), refcheck=False)
    return KnnGraph(*lists, groups=first.astype(np.int32))


def _first_rows(points: Floats) -> Ints:
    """Return the first row that is equal to each, (V,)."""
    from index.search.ranking import first_twins, hash_rows

    hashes = hash_rows(points)
    first: Ints = first_twins(points, hashes, np.argsort(hashes, kind="stable"))
    return first


def _twins(first: Ints, rows: Ints) -> Twins:
    """Return which rows, of (V,), positions stand for: that of a first row for all that are equal to it."""
    from index.search.ranking import Twins

    places = np.empty(len(first), np.int64)
    places[rows] = np.arange(len(rows))
    own = places[first]
    sizes = np.bincount(own, minlength=len(rows))
    return Twins(np.argsort(own, kind="stable"), np.concatenate([[0], np.cumsum(sizes)]))


@contextmanager
def one_torch_thread_each() -> Iterator[None]:
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
