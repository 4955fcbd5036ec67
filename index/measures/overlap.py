"""How far two neighbor lists agree, and how far ties could move that number.

Where distances around the k-th place are closer than a space's resolution, which tokens make the list is arbitrary.
So a list is given as the tokens certain to be among the k nearest and the tokens tied for the remaining places.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import numpy as np

BORDERS = (30, 70)
"""Percent of overlap above which a verdict is moderate, and above which it is high."""

FEWEST = 5
"""Lists of fewer tokens than this have no verdict: one token would decide it."""

Count = TypeVar("Count", int, np.ndarray)


class Verdict(StrEnum):
    """Overlap in a word.

    UNDECIDED where ties alone could move it across one of `BORDERS`; EMPTY where the lists share nothing but twins of
    the token they are around, which are nearest to it in any geometry.
    """

    HIGH = "high"
    MODERATE = "moderate"
    LOW = "low"
    UNDECIDED = "undecided"
    EMPTY = "empty"


@dataclass(frozen=True)
class Nearest:
    """The k nearest tokens as far as they are decided."""

    certain: frozenset[int]  # rows nearer than the k-th place by more than the resolution
    tied: frozenset[int]  # rows at the k-th place, within the resolution of its distance
    k: int  # `certain` and some of `tied` make k


@dataclass(frozen=True)
class Overlap:
    """What two lists of k tokens share."""

    k: int  # |A|
    count: int  # |A and B|
    percent: float  # 100 * count / k, the reference's measure
    jaccard: float  # |A and B| / |A or B|, from 0 to 1
    lowest: int  # the least `count` of every way to break the ties at the k-th place of both lists
    highest: int  # the most
    others: int | None = None  # the tokens that a list could hold; None where nobody asks for a verdict

    @property
    def forced(self) -> int:
        """How many tokens two lists as long share whatever they are: of more than half of all, some."""
        return 0 if self.others is None else max(0, 2 * self.k - self.others)

    @property
    def verdict(self) -> Verdict | None:
        """Above 70 percent high, above 30 moderate, else low (`BORDERS`), unless ties could decide otherwise.

        None of lists that are too short for one (`FEWEST`), or so long that they must share tokens.
        """
        if self.k < FEWEST or self.forced:
            return None
        low, high = 100 * self.lowest / self.k, 100 * self.highest / self.k
        if any(low < border < high for border in BORDERS):
            return Verdict.UNDECIDED
        if self.percent > BORDERS[1]:
            return Verdict.HIGH
        return Verdict.MODERATE if self.percent > BORDERS[0] else Verdict.LOW


def nearest(ids: np.ndarray, distances: np.ndarray, k: int, resolution: float) -> Nearest:
    """Split a sorted list into what is certainly among its k nearest and what ties for the last places.

    Ids and distances, (n,), are nearest first, and long enough to hold every tie at the k-th place; distances closer
    than `resolution` are tied.
    """
    border = distances[k - 1]
    tied = np.abs(distances - border) <= resolution
    certain = ~tied & (distances < border)
    return Nearest(frozenset(ids[certain].tolist()), frozenset(ids[tied].tolist()), k)


def overlap(a_ids: np.ndarray, b_ids: np.ndarray, a: Nearest, b: Nearest, others: int | None = None) -> Overlap:
    """Compare two lists of k tokens, (k,) each as shown, ties broken by row, and as far as they are decided.

    `others` are the tokens that a list could hold, which decides whether there is a verdict.
    """
    k = len(a_ids)
    count = len(set(a_ids.tolist()) & set(b_ids.tolist()))
    lowest, highest = overlap_range(a, b)
    return Overlap(k, count, 100 * count / k, count / (2 * k - count), lowest, highest, others)


def overlap_range(a: Nearest, b: Nearest) -> tuple[int, int]:
    """Return the fewest and the most tokens the two lists can share, over every breaking of ties."""
    shared, both = len(a.certain & b.certain), len(a.tied & b.tied)
    sides = (
        Side(len(a.tied), len(a.tied & b.certain), a.k - len(a.certain)),
        Side(len(b.tied), len(b.tied & a.certain), b.k - len(b.certain)),
    )
    lowest, highest = range_of(shared, both, *sides)
    return int(lowest), int(highest)


@dataclass(frozen=True, eq=False)
class Side(Generic[Count]):
    """What one of two lists, or each of n, may fill its last places with."""

    tied: Count
    sure: Count  # those of the tied that are certain in the other list
    free: Count  # places left by the certain ones


def range_of(shared: Count, both: Count, a: Side[Count], b: Side[Count]) -> tuple[Count, Count]:
    """Return the fewest and the most two lists can share: `shared` for certain, and `both` tied in both.

    A list fills its free places from its tied tokens. A tied token is one of three kinds: certain in the other list
    (taking it adds one to the overlap), tied in both (adds one if both lists take it), or alone (adds nothing). The
    most are shared by taking them in that order, the fewest in the reverse order.
    """
    a_takes, b_takes = np.minimum(a.sure, a.free), np.minimum(b.sure, b.free)
    highest = shared + a_takes + b_takes + np.minimum(both, np.minimum(a.free - a_takes, b.free - b_takes))

    a_left = a.free - np.minimum(a.tied - a.sure - both, a.free)
    b_left = b.free - np.minimum(b.tied - b.sure - both, b.free)
    a_both, b_both = np.minimum(both, a_left), np.minimum(both, b_left)
    lowest = shared + (a_left - a_both) + (b_left - b_both) + np.maximum(0, a_both + b_both - both)
    return lowest, highest


def chance(k: Count, first: int, second: int, both: int) -> Count | float:
    """Return the share of k that two lists drawn blindly have in common, on average.

    They are drawn from `first` and from `second` tokens, `both` of which are the same ones.
    """
    return k * both / max(1, first * second)
