"""Every pair of points once, in tiles of scores: the shortest points with all others first, then the rest.

Scores are symmetric, so half the tiles serve both sides. What is known of a block of points is locked while a tile
changes it; blocks are locked in ascending order, so none waits in a ring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.progress import Share
from index.search.filter import Filter, rounded_bytes
from index.search.graph import PANEL_BYTES, TILE_ROWS
from index.search.kernels import WORD, Bounds, Floats, Nearest, offer_tile
from index.search.limits import LINES, limit_columns, lower_to_upper, tighten
from index.search.scores import Arithmetic, Product, Tile, make_product

MOST_SHORTEST = 8192
SHORTEST_SHARE = 1 / 16
"""Of the points: to meet more of them first takes longer than the pairs that their limits save."""

Seen = NDArray[np.uint64]
"""Which pairs of a tile were measured: as `offer_tile` has it."""
NONE_SEEN: Seen = np.empty((0, 0), np.uint64)


def count_shortest(D: int, U: int, arithmetic: Arithmetic) -> int:
    """Return how many of U points, (U, D), are met first: no more than a panel holds."""
    wanted = max(TILE_ROWS, min(MOST_SHORTEST, int(U * SHORTEST_SHARE)))
    return max(1, min(U, wanted, PANEL_BYTES // rounded_bytes(D, arithmetic)))


@dataclass(frozen=True, eq=False)
class _Panel:
    """Consecutive blocks whose residuals are in memory."""

    blocks: range
    start: int  # position of the first residual
    residuals: Tile

    def at(self, positions: slice) -> slice:
        """Return where the residuals of some positions are."""
        return slice(positions.start - self.start, positions.stop - self.start)


class _Chunk(NamedTuple):
    """Columns of one block, which meet all the shortest points at once."""

    block: int
    columns: slice
    turn: int

    def in_turn(self, heads: range) -> list[int]:
        """Return blocks of the shortest in an order in which neighboring chunks do not wait for the same one."""
        first = self.turn % len(heads)
        return [*heads[first:], *heads[:first]]


class Search:
    """What a sweep is to find: the k nearest of each position, by the distances of some points."""

    def __init__(self, k: int, points: Floats, scale: float, bounds: Bounds, nearest: Nearest) -> None:
        self.k, self.points, self.scale, self.bounds, self.nearest = k, points, scale, bounds, nearest
        nothing = np.zeros(len(bounds.rows), np.float32)
        self.estimates = bounds._replace(norm=nothing, error=nothing)  # as if rounding had lost nothing
        self.likely = np.full(len(nothing), -np.inf, np.float32)  # by position; of the shortest it stays so

    def offer(self, tile: Tile, row: int, column: int, seen: Seen, *, likely: bool = False) -> None:
        """Offer the positions from `row` on to those from `column` on, whose scores the tile has."""
        bounds, within = (self.estimates, self.likely) if likely else (self.bounds, self.nearest.limit)
        offer_tile(tile, row, column, self.k, self.scale, self.points, bounds, within, self.nearest, seen)

    def tighten(self, columns: slice) -> None:
        """Lower the limits of positions to the k-th smallest distance that was measured."""
        tighten(columns.start, columns.stop, self.k, self.scale, self.bounds.rows, self.nearest)


class Sweep:
    """Offers every pair of points to each other, and reports the share of the pairs that is done."""

    def __init__(
        self, searches: Sequence[Search], filtered: Filter, device: str, pool: ThreadPoolExecutor, report: Share
    ) -> None:
        self._searches, self._filter, self._device, self._pool = searches, filtered, device, pool
        self._blocks = filtered.blocks(TILE_ROWS)
        self._locks = [Lock() for _ in self._blocks]  # of what is known of a block
        self._heads = range(sum(block.stop <= filtered.shortest for block in self._blocks))
        self._report, self._done = report, 0

    def run(self) -> None:
        """Sweep. Rounding points again is cheaper than keeping them all rounded in memory."""
        panels = self._panels()
        shortest = self._panel(self._heads.start, self._heads.stop)
        self._limit_shortest(shortest)
        self._meet_shortest(shortest, shortest)
        for edge in panels:
            both = self._panel(*edge)
            self._meet_shortest(shortest, both)
            self._meet(both, both)
            del both
        del shortest
        for n in range(len(panels) - 1):
            left = self._panel(*panels[n])
            for edge in panels[n + 1 :]:
                self._meet(left, right := self._panel(*edge))
                del right  # before the next panel is rounded
            del left

    def _panels(self) -> list[tuple[int, int]]:
        """Return the first and the last block of each panel of those that are not the shortest, the last exclusive."""
        row_bytes = rounded_bytes(self._filter.points.shape[1], self._filter.arithmetic)
        others = len(self._filter.bounds.rows) - self._filter.shortest
        if (others + self._filter.shortest) * row_bytes <= 2 * PANEL_BYTES:
            count = 1
        else:
            count = -(-others * row_bytes // PANEL_BYTES)
        edges = np.unique(np.linspace(self._heads.stop, len(self._blocks), count + 1).astype(int)).tolist()
        return list(pairwise(edges))

    def _panel(self, first: int, stop: int) -> _Panel:
        start, end = self._blocks[first].start, self._blocks[stop - 1].stop
        return _Panel(range(first, stop), start, self._filter.residuals(start, end, self._pool))

    def _product(self, left: _Panel, right: _Panel) -> Product:
        return make_product(left.residuals, right.residuals, self._filter.arithmetic, self._device)

    def _chunks(self, panel: _Panel) -> Iterator[_Chunk]:
        """Yield parts of blocks that make a tile with all the shortest points; neighboring ones are of two blocks."""
        width = max(1, 2 * TILE_ROWS**2 // self._filter.shortest)
        parts = [
            (start - block.start, number, slice(start, min(start + width, block.stop)))
            for number, block in ((number, self._blocks[number]) for number in panel.blocks)
            for start in range(block.start, block.stop, width)
        ]
        for turn, (_, number, columns) in enumerate(sorted(parts, key=lambda part: part[:2])):
            yield _Chunk(number, columns, turn)

    def _first_limits(self, k: int, tile: Tile, columns: slice, bounds: Bounds, limit: Floats) -> None:
        """Lower `limit` of columns to what bounds say of k of the shortest points; the tile has all of these."""
        heads = self._filter.shortest
        least = np.full((min(LINES * k + 8, heads), columns.stop - columns.start), np.inf, np.float32)
        if k >= len(least):
            return
        for number in self._heads:
            rows = self._blocks[number]
            lower_to_upper(tile[rows], rows.start, columns.start, bounds, limit, least)
        limit_columns(least, k, limit[columns])

    def _limit_shortest(self, shortest: _Panel) -> None:
        """Limit the shortest points by each other, before a pair of them is offered."""
        product, rows = self._product(shortest, shortest), slice(0, self._filter.shortest)

        def limit(chunk: _Chunk) -> None:
            tile = product(rows, chunk.columns)
            for search in self._searches:
                self._first_limits(search.k, tile, chunk.columns, search.bounds, search.nearest.limit)

        list(self._pool.map(limit, self._chunks(shortest)))

    def _meet_shortest(self, shortest: _Panel, panel: _Panel) -> None:
        """Offer the shortest points to a panel: to themselves, or to one of others, which are limited first."""
        product, rows = self._product(shortest, panel), slice(0, self._filter.shortest)
        among = panel is shortest

        def offer(chunk: _Chunk) -> int:
            number, columns = chunk.block, chunk.columns
            tile = product(rows, panel.at(columns))
            for search in self._searches:
                seen = NONE_SEEN if among else self._meet_likeliest(search, tile, chunk)
                for head in chunk.in_turn(range(number + 1) if among else self._heads):
                    block = self._blocks[head]
                    with self._locked(head, number):
                        search.offer(tile[block], block.start, columns.start, seen[block])
                with self._locks[number]:
                    search.tighten(columns)
            width = columns.stop - columns.start
            return width * columns.start + width * (width + 1) // 2 if among else tile.size

        self._count(self._pool.map(offer, self._chunks(panel)))

    def _meet_likeliest(self, search: Search, tile: Tile, chunk: _Chunk) -> Seen:
        """Measure the k and few more shortest points that seem nearest to columns, and limit these by them."""
        number, columns = chunk.block, chunk.columns
        search.likely[columns] = search.nearest.limit[columns]
        self._first_limits(search.k, tile, columns, search.estimates, search.likely)
        seen = np.zeros((len(tile), -(-tile.shape[1] // WORD)), np.uint64)
        if np.isposinf(search.likely[columns]).any():
            return seen
        for head in chunk.in_turn(self._heads):
            block = self._blocks[head]
            with self._locked(head, number):
                search.offer(tile[block], block.start, columns.start, seen[block], likely=True)
        with self._locks[number]:
            search.tighten(columns)
        return seen

    def _meet(self, left: _Panel, right: _Panel) -> None:
        """Offer the blocks of two panels to each other, by diagonals: neighboring tasks touch different blocks."""
        product = self._product(left, right)

        def offer(pair: tuple[int, int]) -> int:
            rows, columns = self._blocks[pair[0]], self._blocks[pair[1]]
            tile = product(left.at(rows), right.at(columns))
            with self._locked(*pair):
                for search in self._searches:
                    search.offer(tile, rows.start, columns.start, NONE_SEEN)
            return (tile.size + len(tile)) // 2 if rows is columns else tile.size

        both = [(a, b) for a in left.blocks for b in right.blocks if a <= b]
        self._count(self._pool.map(offer, sorted(both, key=lambda pair: (pair[1] - pair[0], pair[0]))))

    @contextmanager
    def _locked(self, a: int, b: int) -> Iterator[None]:
        """Lock what is known of blocks a and b, a <= b."""
        with self._locks[a], nullcontext() if a == b else self._locks[b]:
            yield

    def _count(self, pairs: Iterator[int]) -> None:
        U = len(self._filter.bounds.rows)
        for some in pairs:
            self._done += some
            self._report(self._done / (U * (U + 1) / 2))
