"""The tokens nearest to each of many vectors, exactly: few by a finder, one by one, many by one sweep of all points.

Both measure what they list in float64, by differences from the vectors as they are; twins are one point while points
are looked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.geometry.blocks import Matrix
from index.geometry.maps import row_distances
from index.geometry.twins import Groups
from index.progress import Share
from index.search.finder import Finder
from index.search.graph import core_count

FEW = 64
"""So many vectors are looked for one by one: to round all points takes longer."""

_SPARE = 8  # points beyond those asked for: those that rounding a vector to float32 could exchange
_BLOCK = 256

Listed = tuple[NDArray[np.int32], NDArray[np.float64]]
"""Rows and distances of one list, (n,) each."""


@dataclass(frozen=True, eq=False)
class Places:
    """Whose tokens are listed, in which space: what all vectors of a search have in common."""

    points: Matrix  # (V, D) float32
    groups: Groups  # rows of equal points
    finder: Finder
    excluded: Collection[int]  # rows without a point
    rows: np.ndarray | None  # (n,) those that may be listed; None: all

    @property
    def allowed(self) -> np.ndarray:
        """The rows that may be listed, ascending."""
        rows = np.arange(len(self.points)) if self.rows is None else self.rows
        kept: np.ndarray = rows[~np.isin(rows, np.fromiter(self.excluded, np.int64, len(self.excluded)))]
        return kept


def nearest_tokens(
    places: Places, vectors: np.ndarray, count: int, progress: Share = lambda share: None
) -> list[Listed]:
    """Return the `count` nearest of each vector, (Q, D) float64 of the points' space; fewer where there are no more.

    Nearest first, equal distances by row.
    """
    if len(vectors) <= FEW:
        return [_by_finder(places, vector, count, progress, (n + 1) / len(vectors)) for n, vector in enumerate(vectors)]
    return list(_by_sweep(places, vectors, count, progress))


def _by_finder(places: Places, vector: np.ndarray, count: int, progress: Share, share: float) -> Listed:
    """Return one list, of what the sketch of the space leaves open."""
    ids, _ = places.finder.search_with_ties(vector, count, 0.0, exclude=places.excluded, rows=places.rows)
    distances = row_distances(places.points[ids], vector)
    order = np.lexsort((ids, distances))[:count]
    progress(share)
    return ids[order], distances[order]


def _by_sweep(places: Places, vectors: np.ndarray, count: int, progress: Share) -> Iterator[Listed]:
    """Yield all lists. What a vector's rounding to float32 leaves open is asked of the finder."""
    from index.search.queries import nearest_points, within_reach

    allowed = places.allowed
    _, first_at = np.unique(places.groups.first[allowed], return_index=True)
    firsts = np.sort(allowed[first_at])  # one row of each point
    points, k = places.points[:], min(count + _SPARE, len(firsts))
    near = within_reach(points, vectors)
    with np.errstate(over="ignore"):
        rounded = vectors.astype(np.float32)
    found = np.empty((len(vectors), k), np.int32)
    rounded_distances = np.empty((len(vectors), k))
    if near.any():
        found[near], rounded_distances[near] = nearest_points(
            points, firsts, rounded[near], k, progress=lambda share: progress(0.9 * share)
        )
    members = _Members(places.groups, allowed)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(vectors), _BLOCK)]

    def measure(block: slice) -> list[Listed | None]:
        where = np.flatnonzero(near[block]) + block.start
        listed: list[Listed | None] = [None] * len(vectors[block])
        if len(where) == 0:
            return listed
        pairs = found[where].ravel(), np.repeat(where, k)
        distances = row_distances(points[pairs[0]], vectors[pairs[1]]).reshape(-1, k)
        off = np.linalg.norm(vectors[where] - rounded[where], axis=1)
        # What was not found is no nearer to the rounded vector than the last that was.
        sure = rounded_distances[where, -1] * (1 - 1e-12) - off if k < len(firsts) else np.full(len(where), np.inf)
        for at, ids, apart, border in zip(where.tolist(), found[where], distances, sure.tolist(), strict=True):
            ids, apart = members.expand(ids, apart)
            order = np.lexsort((ids, apart))[:count]
            if (len(order) == count and apart[order[-1]] < border) or border == np.inf:
                listed[at - block.start] = ids[order], apart[order]
        return listed

    with ThreadPoolExecutor(core_count()) as pool:
        for block, listed in zip(blocks, pool.map(measure, blocks), strict=True):
            for n, each in enumerate(listed, block.start):
                share = 0.9 + 0.1 * (n + 1) / len(vectors)
                yield _by_finder(places, vectors[n], count, progress, share) if each is None else each
            progress(0.9 + 0.1 * min(1.0, block.stop / len(vectors)))


class _Members:
    """The rows at each point that may be listed."""

    def __init__(self, groups: Groups, allowed: np.ndarray) -> None:
        self._order = allowed[np.argsort(groups.first[allowed], kind="stable")].astype(np.int32)
        counts = np.bincount(groups.first[allowed], minlength=len(groups.first))
        self._first, self._stops = groups.first, np.cumsum(counts)
        self._counts = counts

    def expand(self, ids: np.ndarray, distances: np.ndarray) -> Listed:
        """Return the rows of points, (n,) given by one row each, with the points' distances."""
        points = self._first[ids]
        counts = self._counts[points]
        if (counts == 1).all():
            return ids, distances
        rows = [self._order[stop - count : stop] for stop, count in zip(self._stops[points], counts, strict=True)]
        return np.concatenate(rows), np.repeat(distances, counts)
