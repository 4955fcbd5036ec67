"""The points nearest to each of many queries, exactly: what the graph's sweep does, for points that are no queries.

The queries are rounded as the points are (`filter`), every pair's score bounds its distance from below, and the few
pairs whose bound is within the query's k-th smallest distance so far are measured in float64. Here only the queries
have a list: a task owns some of them, and no two tasks write to the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from index.progress import Share
from index.search.filter import SLACK, UNDERFLOW, Filter, build_filter, rounded_bytes
from index.search.graph import as_plain, core_count, one_torch_thread_each
from index.search.kernels import Bounds, Doubles, Floats, Ints, Nearest
from index.search.query_kernels import offer_to_queries, rank_queries
from index.search.scores import Arithmetic, Product, choose_arithmetic, make_product

TILE_ROWS = 1024
PANEL_BYTES = 1 << 26
SPARE = 64  # places beyond k where the nearest so far are kept
FARTHEST = 2.0**20
"""Of the points' own reach, how far off a query may be: further off, nothing is told from rounded coordinates."""


def nearest_points(
    points: Floats,
    rows: Ints,
    queries: Floats,
    k: int,
    *,
    threads: int | None = None,
    arithmetic: Arithmetic | None = None,
    progress: Share = lambda share: None,
) -> tuple[NDArray[np.int32], Doubles]:
    """Return for each query the rows of the k nearest of some points, and their distances: (Q, k) both.

    Nearest first, equal distances by row. Of `points`, (V, D) float32, those of `rows`, (U,) int64, U >= k, are looked
    at, finite and all different. Queries, (Q, D) float32, are no further off than `within_reach` says.
    """
    points, queries, rows = as_plain(points), as_plain(queries), np.ascontiguousarray(rows, np.int64)
    count = threads or core_count()
    with one_torch_thread_each(), ThreadPoolExecutor(count) as pool:
        filtered = build_filter(points, rows, arithmetic or choose_arithmetic("cpu", points.shape[1]), pool)
        asked = _as_points(queries, filtered)
        room, Q = min(k + SPARE, len(rows)), len(queries)
        nearest = Nearest(
            ids=np.empty((Q, room), np.int32),
            squared=np.empty((Q, room)),
            filled=np.zeros(Q, np.int32),
            limit=np.full(Q, np.inf, np.float32),
        )
        height = max(1, min(TILE_ROWS, -(-Q // count)))
        blocks = [slice(start, min(start + height, Q)) for start in range(0, Q, height)]
        _sweep(k, filtered, asked, nearest, blocks, pool, progress)
        ids, squared = np.empty((Q, k), np.int32), np.empty((Q, k))

        def rank(block: slice) -> None:
            rank_queries(block.start, block.stop, k, filtered.bounds.rows, nearest, ids, squared)

        list(pool.map(rank, blocks))
    return ids, np.sqrt(squared)


def within_reach(points: Floats, queries: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which queries, (Q, D), are near enough to the points, (V, D), for their rounded coordinates to tell."""
    reach = max(float(points.max()), -float(points.min()), 1e-30) * FARTHEST
    near: NDArray[np.bool_] = np.abs(queries).max(axis=1) <= reach
    return near


def _as_points(queries: Floats, filtered: Filter) -> Filter:
    """Return the queries as the filter has its points: each of the group of the center that it is nearest to."""
    centers, scale = filtered.centers, filtered.scale
    Q, G = len(queries), len(centers)
    to_centers = np.empty((G, Q))
    for start in range(0, Q, TILE_ROWS):
        where = slice(start, start + TILE_ROWS)
        block = queries[where].astype(np.float64)
        for to_center, center in zip(to_centers, centers, strict=True):
            gaps = block - center
            to_center[where] = np.einsum("ij,ij->i", gaps, gaps)
    group = to_centers.argmin(axis=0).astype(np.int32)
    apart = centers[:, np.newaxis] - centers
    between = np.einsum("ijk,ijk->ij", apart, apart)[:, group] * scale * scale
    to_centers *= scale * scale
    offset, slack = to_centers / 2.0 - between / 4.0, (to_centers + between) * SLACK + UNDERFLOW
    bounds = Bounds(
        rows=np.arange(Q),
        group=group,
        low=(offset - slack).astype(np.float32),
        high=(offset + slack).astype(np.float32),
        norm=np.empty(Q, np.float32),
        error=np.empty(Q, np.float32),
        step=np.ones(Q, np.float32),
        length=np.empty(0, np.float32),
    )
    return Filter(queries, filtered.arithmetic, bounds, centers, scale, shortest=0)


def _sweep(
    k: int,
    filtered: Filter,
    asked: Filter,
    nearest: Nearest,
    blocks: list[slice],
    pool: ThreadPoolExecutor,
    progress: Share,
) -> None:
    """Offer every point to every query, panel by panel of points, the shortest first."""
    arithmetic = filtered.arithmetic
    residuals = asked.residuals(0, len(asked.points), pool)
    done, U = 0, len(filtered.bounds.rows)
    for panel in _panels(filtered):
        start, stop = panel[0].start, panel[-1].stop
        product = make_product(residuals, filtered.residuals(start, stop, pool), arithmetic, "cpu")

        def offer(block: slice, panel: list[slice] = panel, product: Product = product) -> int:
            for columns in panel:
                tile = product(block, slice(columns.start - panel[0].start, columns.stop - panel[0].start))
                offer_to_queries(
                    tile,
                    block.start,
                    columns.start,
                    k,
                    filtered.scale,
                    asked.points,
                    filtered.points,
                    asked.bounds,
                    filtered.bounds,
                    nearest,
                )
            return int(block.stop - block.start)

        for queries in pool.map(offer, blocks):
            done += queries * (stop - start)
            progress(done / (len(asked.points) * U))


def _panels(filtered: Filter) -> Iterator[list[slice]]:
    """Yield consecutive blocks of points whose residuals are in memory together."""
    row_bytes = rounded_bytes(filtered.points.shape[1], filtered.arithmetic)
    panel: list[slice] = []
    for block in filtered.blocks(TILE_ROWS):
        if panel and (block.stop - panel[0].start) * row_bytes > PANEL_BYTES:
            yield panel
            panel = []
        panel.append(block)
    yield panel
