"""Exact k nearest neighbors, by Euclidean distance between points.

The graph of all points takes four steps::

    twins        equal rows become one point                                        twin groups -> U positions
    filter       points are grouped, recentered and rounded to few digits           filter, rotation, scores
    sweep        every pair's score, in tiles; the few pairs whose lower bound      kernels.offer_tile
                 is within the k-th smallest distance so far are measured
    rank         by float64 distances; twins expanded again                         ranking.rank_block

The sweep may only err on the side of measuring too many pairs, and what it measures it measures in float64, so the
answer does not depend on the arithmetic, the device or the number of threads: they decide how long it takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.errors import ParameterError, parameter
from index.progress import Share

if TYPE_CHECKING:
    from index.search.filter import Filter
    from index.search.kernels import Floats, Ints, Nearest
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
        twins, rows = _twins(points)
        nearest = min(k, len(rows) - 1)
        if find is not None and nearest:
            found = find(points, rows, nearest, pool, lambda share: report(SWEEP_SHARE * share))
        else:
            filtered, found = _find_nearest(points, rows, nearest, arithmetic, device, pool, report)
            twins, rows = _in_order(twins, rows, filtered.bounds.rows), filtered.bounds.rows
        return _rank((len(points), k), nearest, rows, found, twins, pool, report)


def _find_nearest(
    points: Floats,
    rows: Ints,
    k: int,
    arithmetic: Arithmetic | None,
    device: str,
    pool: ThreadPoolExecutor,
    report: Share,
) -> tuple[Filter, Nearest]:
    """Return the points by position, and the k nearest of each and a few more."""
    from index.search.filter import build_filter
    from index.search.kernels import Nearest
    from index.search.pairs import Sweep, count_shortest
    from index.search.scores import choose_arithmetic

    U, room = len(rows), min(k + SPARE, len(rows))
    arithmetic = arithmetic or choose_arithmetic(device, points.shape[1])
    filtered = build_filter(points, rows, arithmetic, pool, shortest=count_shortest(points.shape[1], U, arithmetic))
    nearest = Nearest(
        ids=np.empty((U, room), np.int32),
        squared=np.empty((U, room)),
        filled=np.zeros(U, np.int32),
        limit=np.full(U, np.inf, np.float32),
    )
    if k:
        Sweep(k, filtered, nearest, device, pool, lambda share: report(SWEEP_SHARE * share)).run()
    return filtered, nearest


def _rank(
    shape: tuple[int, int],
    k: int,
    rows: Ints,
    nearest: Nearest,
    twins: Twins,
    pool: ThreadPoolExecutor,
    report: Share,
) -> KnnGraph:
    """Return the lists of all rows, of this shape (V, k)."""
    from index.search.ranking import Lists, rank_block

    U, room = nearest.ids.shape
    lists = Lists(
        ids=np.empty(shape, np.int32),
        distances=np.empty(shape, np.float32),
        distinct_distances=np.empty(shape, np.float32),
        distinct_ids=np.empty(shape, np.int32),
    )

    def work(start: int, stop: int) -> int:
        rank_block(start, stop, k, rows, nearest, twins, lists)
        return stop - start

    done = 0
    edges = np.linspace(0, U, RANK_STEPS + 1).astype(int).tolist()
    for first, last in reversed(list(pairwise(edges))):  # from the end, which is what an array can give back
        starts = range(first, last, RANK_ROWS)
        for ranked in pool.map(work, starts, [*starts[1:], last]):
            done += ranked
            report(SWEEP_SHARE + (1.0 - SWEEP_SHARE) * done / U)
        nearest.ids.resize((first, room), refcheck=False)  # no thread is at work, so nothing else looks at them
        nearest.squared.resize((first, room), refcheck=False)
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
