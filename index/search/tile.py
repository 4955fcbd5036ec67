"""The exact graph in tiles: each compares two chunks of the points and knows nothing of the others.

::

    cut          distinct points in chunks of consecutive rows, with what the filter knows of each
    near         a tile: of each point of two chunks the candidates among the other chunk's, or its own
    merge        candidates of a chunk from several tiles -> the k nearest of them

A tile is told how far the k-th nearest is of those that were found before, and writes nothing that is further. What it
leaves out is no neighbor, so merging what the tiles of all pairs of chunks found, by float64 distance and then by row,
gives what one sweep over all points does, to the bit. Within a tile it is that sweep: the same filter and kernels.

Places number the distinct points by ascending row; a chunk's are consecutive, so that in a tile, too, the order of
places is that of rows, by which ties go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

import numpy as np

from index.progress import Share
from index.search.filter import Filter, one_group_blocks
from index.search.graph import RANK_ROWS, SPARE, TILE_ROWS, as_plain
from index.search.kernels import Bounds, Doubles, Floats, Ints, Nearest, Places, offer_tile
from index.search.pairs import NONE_SEEN, Search, Sweep, count_shortest
from index.search.scores import Arithmetic, make_product
from index.search.tile_kernels import merge_nearest, take_nearest

Find = Callable[[Floats, Ints, int, ThreadPoolExecutor, Share], Nearest]
"""Finds, of points (V, D), the k nearest of those of some rows, (U,) ascending: position p is that of rows[p]."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive places, and what the filter knows of them. Positions are theirs by group, the shortest first."""

    first: int  # place
    points: Floats  # (n, D) by place
    order: Places  # (n,) position -> place less `first`
    group: Places  # (n,) by position
    low: Floats  # (G, n) of the filter's bounds, by position
    high: Floats  # (G, n)
    centers: Doubles  # (G, D) of the filter
    scale: float  # of the filter


@dataclass(frozen=True, eq=False)
class Candidates:
    """Of each of n consecutive places others that may be near: those of place p stand from starts[p] to starts[p + 1].

    By distance, equal distances by place.
    """

    starts: Ints  # (n + 1,)
    ids: Places  # (starts[n],) places among all
    squared: Doubles  # (starts[n],) squared distances


def cut(filtered: Filter, edges: Sequence[int]) -> Iterator[Chunk]:
    """Yield the chunks of places from each edge to the next, of all points of a filter."""
    bounds = filtered.bounds
    rows = np.sort(bounds.rows)
    places = np.searchsorted(rows, bounds.rows)
    for first, last in pairwise(edges):
        positions = np.flatnonzero((places >= first) & (places < last))  # ascending, so in the filter's order
        yield Chunk(
            first,
            filtered.points[rows[first:last]],
            (places[positions] - first).astype(np.int32),
            bounds.group[positions],
            bounds.low[:, positions],
            bounds.high[:, positions],
            filtered.centers,
            filtered.scale,
        )


def near(
    chunks: Sequence[Chunk],
    within: Sequence[Doubles],
    k: int,
    arithmetic: Arithmetic,
    device: str,
    pool: ThreadPoolExecutor,
) -> list[Candidates]:
    """Return the candidates of the places of one chunk among themselves, or of two chunks among the other's.

    Of each place there are k at most; `within`, (n,) of each chunk, are squared distances that no candidate exceeds.
    """
    sizes = [len(chunk.order) for chunk in chunks]
    filtered = _filter(chunks, arithmetic)
    others = max(sizes) if len(chunks) == 2 else sizes[0] - 1
    k, room = min(k, others), max(1, min(k + SPARE, max(sizes)))
    order = filtered.bounds.rows
    nearest = Nearest(
        ids=np.empty((len(order), room), np.int32),
        squared=np.empty((len(order), room)),
        filled=np.zeros(len(order), np.int32),
        limit=as_limit(np.concatenate(within), filtered.scale)[order],
    )
    if len(chunks) == 2:
        _sweep_across(k, sizes[0], filtered, nearest, device, pool)
    elif k:
        search = Search(k, filtered.points, filtered.scale, filtered.bounds, nearest)
        Sweep([search], filtered, device, pool, lambda share: None).run()
    firsts = [chunk.first for chunk in chunks]
    numbers = np.concatenate([first + np.arange(size) for first, size in zip(firsts, sizes, strict=True)])
    edges = np.cumsum([0, *sizes]).tolist()
    return [_kept(slice(start, stop), k, order, numbers, nearest, pool) for start, stop in pairwise(edges)]


def as_limit(squared: Doubles, scale: float) -> Floats:
    """Return squared distances as limits: half of them, scaled, and no less for being rounded."""
    limit: Floats = np.nextafter((squared * scale * scale * 0.5).astype(np.float32), np.float32(np.inf))
    return limit


def _filter(chunks: Sequence[Chunk], arithmetic: Arithmetic) -> Filter:
    """Return one or two chunks as a filter has them, the second's points and positions after the first's."""
    shifts = np.cumsum([0, *(len(chunk.order) for chunk in chunks)])
    order = np.concatenate([chunk.order + shift for chunk, shift in zip(chunks, shifts, strict=False)])
    group = np.concatenate([chunk.group for chunk in chunks])
    bounds = Bounds(
        rows=order.astype(np.int64),
        group=group,
        low=np.concatenate([chunk.low for chunk in chunks], axis=1),
        high=np.concatenate([chunk.high for chunk in chunks], axis=1),
        norm=np.empty(len(order), np.float32),
        error=np.empty(len(order), np.float32),
        step=np.ones(len(order), np.float32),
        length=np.empty(0, np.float32),
    )
    points = as_plain(np.concatenate([chunk.points for chunk in chunks]))
    shortest = count_shortest(points.shape[1], len(order), arithmetic)  # of use where there is one chunk
    return Filter(points, arithmetic, bounds, chunks[0].centers, chunks[0].scale, shortest)


def _sweep_across(
    k: int, left_size: int, filtered: Filter, nearest: Nearest, device: str, pool: ThreadPoolExecutor
) -> None:
    """Offer every pair of a position of the left chunk and one of the right chunk to each other."""
    group = filtered.bounds.group
    edges = (0, left_size, len(group))
    left, right = (one_group_blocks(group, each, TILE_ROWS) for each in pairwise(edges))
    product = make_product(
        filtered.residuals(0, left_size, pool),
        filtered.residuals(left_size, len(group), pool),
        filtered.arithmetic,
        device,
    )
    locks = [Lock() for _ in left], [Lock() for _ in right]

    def offer(a: int, b: int) -> None:
        rows, columns = left[a], right[b]
        tile = product(rows, slice(columns.start - left_size, columns.stop - left_size))
        with locks[0][a], locks[1][b]:
            offer_tile(
                tile,
                rows.start,
                columns.start,
                k,
                filtered.scale,
                filtered.points,
                filtered.bounds,
                nearest.limit,
                nearest,
                NONE_SEEN,
            )

    # By diagonals: neighboring tasks touch different blocks, and the shortest of both sides come first.
    pairs = sorted(((a, b) for a in range(len(left)) for b in range(len(right))), key=lambda pair: (sum(pair), pair))
    for _ in pool.map(lambda pair: offer(*pair), pairs):
        pass


def _kept(where: slice, k: int, order: Ints, numbers: Ints, nearest: Nearest, pool: ThreadPoolExecutor) -> Candidates:
    """Return what positions `where` hold, k of each at most, by place; `numbers` are the places among all."""
    n = where.stop - where.start
    counts, ids, squared = np.zeros(n, np.int64), np.empty((n, k), np.int32), np.empty((n, k))

    def work(at: int) -> None:
        take_nearest(at, min(at + RANK_ROWS, where.stop), where.start, k, order, numbers, nearest, counts, ids, squared)

    list(pool.map(work, range(where.start, where.stop, RANK_ROWS)))
    return _packed(counts, ids, squared)


def _packed(counts: Ints, ids: Places, squared: Doubles) -> Candidates:
    """Return the first `counts`, (n,), of the lists, (n, k), one after the other."""
    held = np.arange(ids.shape[1]) < counts[:, None]
    return Candidates(np.concatenate([[0], np.cumsum(counts)]), ids[held], squared[held])


def merge(parts: Sequence[Candidates], k: int, pool: ThreadPoolExecutor) -> Candidates:
    """Return the k nearest of all candidates of each place, (n,) in every part."""
    n = len(parts[0].starts) - 1
    shifts = np.cumsum([0, *(len(part.ids) for part in parts)])[:-1]
    starts = np.array([part.starts + shift for part, shift in zip(parts, shifts, strict=True)])
    ids = np.concatenate([part.ids for part in parts])
    squared = np.concatenate([part.squared for part in parts])
    counts, merged, distances = np.zeros(n, np.int64), np.empty((n, k), np.int32), np.empty((n, k))

    def work(at: int) -> None:
        merge_nearest(at, min(at + RANK_ROWS, n), k, starts, ids, squared, counts, merged, distances)

    list(pool.map(work, range(0, n, RANK_ROWS)))
    return _packed(counts, merged, distances)


def reach(candidates: Candidates, k: int) -> Doubles:
    """Return the squared distance of the k-th candidate of each place, (n,); infinite where there are fewer."""
    full = np.diff(candidates.starts) >= k
    last = candidates.starts[:-1] + k - 1
    squared = np.full(len(full), np.inf)
    squared[full] = candidates.squared[last[full]]
    return squared
