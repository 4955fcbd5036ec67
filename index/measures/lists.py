"""The neighbor lists of all tokens as far as ties decide them: what is certain at the k-th place, and what is tied.

Distances closer than a space's resolution are tied, so a list of k may be one of several. The K tokens that are stored
may end among such ties, where twins crowd a list; the K distinct points that are stored go further.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from index.errors import BundleError
from index.geometry.blocks import Matrix

_SPARE = 8  # points beyond k that are looked at first: seldom do more tie

CERTAIN, TIED = 1, 2
"""What a point is at the k-th place of a list: nearer by more than the resolution, or as far within it."""


@dataclass(frozen=True, eq=False)
class NeighborLists:
    """The neighbor lists of V tokens in one space."""

    ids: Matrix  # (V, K) rows, nearest first, self left out; -1 where there are no more
    distances: Matrix  # (V, K), infinite where there are no more
    distinct_ids: Matrix  # (V, K) the first row of each of the nearest other points; -1 where there are no more
    distinct_distances: Matrix  # (V, K)
    groups: np.ndarray  # (V,) the first row that holds the same point
    resolution: float
    placed: int  # how many of the V have a point

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many rows are in the group that begins with each row, (V,)."""
        return np.bincount(self.groups, minlength=len(self.groups)).astype(np.int32)

    def filled(self, k: int) -> np.ndarray:
        """Return whether each list holds k tokens, (V,)."""
        return np.asarray(self.ids[:, k - 1] >= 0)

    def decided(self, k: int) -> np.ndarray:
        """Return whether each list of k is the only one: the next token is no tie of the last, (V,)."""
        V, K = self.ids.shape
        if k == self.placed - 1:
            return np.ones(V, bool)
        if k == K:
            return np.zeros(V, bool)  # the next is not stored
        with np.errstate(invalid="ignore"):
            apart = self.distances[:, k] - self.distances[:, k - 1]
        return np.asarray(~(apart <= self.resolution))


@dataclass(frozen=True, eq=False)
class Places:
    """What n lists of k hold, point by point: the other rows of a token's own point, and the W - 1 nearest points."""

    rows: np.ndarray  # (n,) whose lists they are
    points: np.ndarray  # (n, W) first rows of points
    weights: np.ndarray  # (n, W) how many tokens stand there, the list's own left out
    states: np.ndarray  # (n, W) uint8: CERTAIN, TIED or 0
    certain: np.ndarray  # (n,) tokens
    tied: np.ndarray  # (n,) tokens, of which k - certain have a place
    open: np.ndarray  # (n,) whether tokens that are not stored may tie, too


def places(lists: NeighborLists, rows: np.ndarray, k: int) -> Places:
    """Return what lists of k hold of rows, (n,), whose lists are `filled` so far; BundleError where one is not."""
    nearest, distances = lists.distinct_ids[rows], lists.distinct_distances[rows]
    K = nearest.shape[1]
    found = _places(lists, rows, nearest[:, : k + _SPARE], distances[:, : k + _SPARE], k)
    if k + _SPARE < K and found.open.any():
        found = _places(lists, rows, nearest, distances, k)
    return found


def _places(lists: NeighborLists, rows: np.ndarray, nearest: np.ndarray, distances: np.ndarray, k: int) -> Places:
    points = np.concatenate([lists.groups[rows, None], nearest], axis=1)
    apart = np.concatenate([np.zeros((len(rows), 1), np.float32), distances], axis=1)
    weights = np.where(points >= 0, lists.sizes[points], 0)
    weights[:, 0] -= 1
    taken = weights.cumsum(axis=1, dtype=np.int32)
    if (taken[:, -1] < k).any():  # no build writes a list with gaps, or of points where nobody stands
        raise BundleError(f"a list of neighbors holds fewer than {k} tokens: the bundle is damaged; build it again")
    border = np.take_along_axis(apart, (taken < k).sum(axis=1, keepdims=True), axis=1)
    tied = np.abs(apart - border) <= lists.resolution
    certain = ~tied & (apart < border)
    states = np.uint8(TIED) * tied + np.uint8(CERTAIN) * certain
    states[weights == 0] = 0
    return Places(
        rows,
        points,
        weights,
        states,
        weights.sum(axis=1, where=certain),
        weights.sum(axis=1, where=tied),
        tied[:, -1] & (taken[:, -1] < lists.placed - 1),
    )
