"""How far two neighbor lists agree, and how far ties could move that number.

Where distances around the k-th place are closer than a space's resolution, which tokens make the list is arbitrary.
So a list is given as the tokens certain to be among the k nearest and the tokens tied for the remaining places.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

OVERLAP_TOPS = (10, 30, 100)
"""Lengths of the lists whose overlaps are kept, where the graph goes as far."""

BORDERS = (30, 70)
"""Percent of overlap above which a verdict is moderate, and above which it is high."""

_BLOCK_ROWS = 1 << 14


class Verdict(StrEnum):
    """Overlap in a word; UNDECIDED where ties alone could move it across one of `BORDERS`."""

    HIGH = "high"
    MODERATE = "moderate"
    LOW = "low"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Nearest:
    """The k nearest tokens as far as they are decided.

    Attributes
    ----------
    certain : frozenset of int
        Rows nearer than the k-th place by more than the resolution.
    tied : frozenset of int
        Rows at the k-th place, within the resolution of its distance.
    k : int
        `certain` and some of `tied` make k.
    """

    certain: frozenset[int]
    tied: frozenset[int]
    k: int


@dataclass(frozen=True)
class Overlap:
    """What two lists of k tokens share.

    Attributes
    ----------
    k, count : int
        |A|, and |A intersected with B|.
    percent : float
        100 * count / k, the reference's measure.
    jaccard : float
        |A intersected with B| / |A united with B|, from 0 to 1.
    lowest, highest : int
        The range of `count` over every way to break the ties at the k-th place of both lists.
    """

    k: int
    count: int
    percent: float
    jaccard: float
    lowest: int
    highest: int

    @property
    def verdict(self) -> Verdict:
        """Above 70 percent high, above 30 moderate, else low (`BORDERS`), unless ties could decide otherwise."""
        low, high = 100 * self.lowest / self.k, 100 * self.highest / self.k
        if any(low < border < high for border in BORDERS):
            return Verdict.UNDECIDED
        if self.percent > BORDERS[1]:
            return Verdict.HIGH
        return Verdict.MODERATE if self.percent > BORDERS[0] else Verdict.LOW


def nearest(ids: np.ndarray, distances: np.ndarray, k: int, resolution: float) -> Nearest:
    """Split a sorted list into what is certainly among its k nearest and what ties for the last places.

    Parameters
    ----------
    ids, distances : ndarrays of shape (n,)
        Nearest first; long enough to hold every tie at the k-th place.
    k : int
        At most n.
    resolution : float
        Distances closer than this are tied.
    """
    border = distances[k - 1]
    tied = np.abs(distances - border) <= resolution
    certain = ~tied & (distances < border)
    return Nearest(frozenset(ids[certain].tolist()), frozenset(ids[tied].tolist()), k)


def overlap(a_ids: np.ndarray, b_ids: np.ndarray, a: Nearest, b: Nearest) -> Overlap:
    """Compare two lists of k tokens.

    Parameters
    ----------
    a_ids, b_ids : ndarrays of shape (k,)
        The lists as shown, ties broken by row.
    a, b : Nearest
        The same lists as far as they are decided.
    """
    k = len(a_ids)
    count = len(set(a_ids.tolist()) & set(b_ids.tolist()))
    lowest, highest = overlap_range(a, b)
    return Overlap(k, count, 100 * count / k, count / (2 * k - count), lowest, highest)


def overlap_range(a: Nearest, b: Nearest) -> tuple[int, int]:
    """Return the fewest and the most tokens the two lists can share, over every breaking of ties.

    A list fills `free` places from its tied tokens. A tied token is one of three kinds: certain in the other list
    (taking it adds one to the overlap), tied in both (adds one if both lists take it), or alone (adds nothing). The
    most are shared by taking them in that order, the fewest in the reverse order.
    """
    shared = len(a.certain & b.certain)
    both = len(a.tied & b.tied)
    a_sure, b_sure = len(a.tied & b.certain), len(b.tied & a.certain)
    a_alone, b_alone = len(a.tied) - a_sure - both, len(b.tied) - b_sure - both
    a_free, b_free = a.k - len(a.certain), b.k - len(b.certain)

    a_takes, b_takes = min(a_sure, a_free), min(b_sure, b_free)
    highest = shared + a_takes + b_takes + min(both, a_free - a_takes, b_free - b_takes)

    a_left, b_left = a_free - min(a_alone, a_free), b_free - min(b_alone, b_free)
    a_both, b_both = min(both, a_left), min(both, b_left)
    lowest = shared + (a_left - a_both) + (b_left - b_both) + max(0, a_both + b_both - both)
    return lowest, highest


def overlap_shares(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """Return the overlap of two neighbor lists of each token: the share of its k nearest that both hold.

    Parameters
    ----------
    a, b : ndarrays of shape (V, K)
        Rows of the nearest neighbors in two geometries, nearest first, ties by row; -1 where there are no more.
    k : int
        At most K.

    Returns
    -------
    ndarray of shape (V,), float64
        From 0 to 1; NaN where a list holds fewer than k.
    """
    shares = np.empty(len(a))
    for start in range(0, len(a), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        both = np.concatenate([a[rows, :k], b[rows, :k]], axis=1)
        both.sort(axis=1)  # no list holds a token twice, so equal neighbors are a token of both
        shares[rows] = (both[:, 1:] == both[:, :-1]).sum(axis=1) / k
    shares[(a[:, k - 1] < 0) | (b[:, k - 1] < 0)] = np.nan
    return shares
