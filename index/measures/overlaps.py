"""How far the neighbor lists of all tokens agree between two spaces, and how far ties could move that.

Most lists are the only ones, since the next token is no tie of the last. Of the others it is counted how many tokens
of each kind the two have in common. They are compared by classes of tokens that no list can tell apart, because they
share a point in both spaces: hundreds of twins are one number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.measures.lists import CERTAIN, TIED, NeighborLists, Places, places
from index.measures.overlap import Side, range_of

OVERLAP_TOPS = (10, 30, 100)
"""Lengths of the lists whose overlaps are kept, where the graph goes as far."""

QUARTILES = (25, 50, 75)
TIE_FIGURES = ("lowest", "highest", "none_always", "whole_always", "tied", "bounded")
"""The figures of `OverlapAt` that ties have to do with."""

_BLOCK_ROWS = 1 << 14
_CROWDED_ROWS = 1 << 11
_KINDS = 4
_SECOND = 4  # marks an entry of the second list, above the state of its point
_CODES = 8  # states of an entry
_NONE = np.uint32(2**32 - _CODES)  # an entry of no class


@dataclass(frozen=True, eq=False)
class Overlaps:
    """What the two lists of k tokens share, for each of V tokens."""

    k: int
    counts: np.ndarray  # (V,) float64, as the lists are stored; NaN where one of them is shorter
    lowest: np.ndarray  # (V,) float64: the least of every way to break the ties at the k-th place of both lists
    highest: np.ndarray  # (V,) float64: the most
    open: np.ndarray  # (V,) whether what is stored ends among the ties; the range then holds whatever else is tied

    def of(self, rows: np.ndarray) -> Overlaps:
        """Return the overlaps of some rows."""
        return Overlaps(self.k, self.counts[rows], self.lowest[rows], self.highest[rows], self.open[rows])


def overlaps(a: NeighborLists, b: NeighborLists, k: int) -> Overlaps:
    """Compare the lists of the k <= K nearest of all tokens in two spaces."""
    counts = _shared_counts(a.ids[:, :k], b.ids[:, :k])
    lowest, highest, is_open = counts.copy(), counts.copy(), np.zeros(len(counts), bool)
    crowded = np.flatnonzero(~np.isnan(counts) & ~(a.decided(k) & b.decided(k)))
    classes = _Classes(a.groups, b.groups)
    for start in range(0, len(crowded), _CROWDED_ROWS):
        rows = crowded[start : start + _CROWDED_ROWS]
        first, second = places(a, rows, k), places(b, rows, k)
        lowest[rows], highest[rows] = _ranges(first, second, k, classes)
        is_open[rows] = first.open | second.open
    return Overlaps(k, counts, lowest, highest, is_open)


def _shared_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how many rows two lists, (V, k) each, have in common; NaN where one is shorter, (V,) float64."""
    counts = np.empty(len(a))
    for start in range(0, len(a), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        both = np.concatenate([a[rows], b[rows]], axis=1)
        both.sort(axis=1)  # no list holds a token twice, so equal neighbors are a token of both
        counts[rows] = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    counts[(a[:, -1] < 0) | (b[:, -1] < 0)] = np.nan
    return counts


@dataclass(frozen=True)
class OverlapAt:
    """The overlap of all tokens at one length of lists; shares from 0 to 1."""

    mean: float
    quartiles: tuple[float, float, float]  # the 25th, 50th and 75th percentile, linear between tokens
    chance: float  # the mean if both lists were drawn blindly from the other tokens that have a place in each
    none: int  # how many tokens share none of their nearest,
    whole: int  # and how many share all
    lowest: float  # the least and the most that the mean could be if ties at the last places were broken otherwise
    highest: float
    none_always: int  # how many tokens share none, or all, however ties are broken
    whole_always: int
    tied: int  # how many tokens' overlap depends on ties,
    bounded: int  # and for how many of them the lists that are kept end among the ties: theirs is the widest range


def overlap_at(found: Overlaps, chance: float) -> OverlapAt:
    """Return how the overlaps of all tokens lie; none of them is NaN."""
    k, shares = found.k, found.counts / found.k
    first, second, third = np.percentile(shares, QUARTILES).tolist()
    tied = found.lowest < found.highest
    return OverlapAt(
        float(shares.mean()),
        (first, second, third),
        chance,
        int((found.counts == 0).sum()),
        int((found.counts == k).sum()),
        float((found.lowest / k).mean()),
        float((found.highest / k).mean()),
        int((found.highest == 0).sum()),
        int((found.lowest == k).sum()),
        int(tied.sum()),
        int((tied & found.open).sum()),
    )


class _Classes:
    """The V tokens by their points in two spaces."""

    def __init__(self, a: np.ndarray, b: np.ndarray) -> None:
        V = len(a)
        pairs, of_row, sizes = np.unique(a.astype(np.int64) * V + b, return_inverse=True, return_counts=True)
        self.of_row: np.ndarray = of_row  # (V,)
        self.sizes: np.ndarray = sizes  # (C,)
        self.sides = tuple(_by_point(points, V) for points in divmod(pairs, V))

    def entries(self, found: Places, side: int) -> np.ndarray:
        """Return what n lists hold as numbers, each of a class and of its state; `_NONE` where there is nothing."""
        order, starts = self.sides[side]
        counts = np.diff(starts)
        if counts.max() == 1:
            return _entry(self.of_row[found.points], found.states)
        lists, places = np.nonzero(found.states)
        points, states = found.points[lists, places], found.states[lists, places]
        counts = counts[points]  # a point is several in the other space
        ends = counts.cumsum()
        members = order[np.repeat(starts[points] - ends + counts, counts) + np.arange(ends[-1])]
        lengths = np.bincount(lists, counts, minlength=len(found.rows)).astype(np.int64)
        filled = np.arange(lengths.max()) < lengths[:, None]
        entries = np.full(filled.shape, _NONE)
        entries[filled] = _entry(members, np.repeat(states, counts))
        return entries


def _entry(members: np.ndarray, states: np.ndarray) -> np.ndarray:
    return np.where(states > 0, members.astype(np.uint32) * np.uint32(_CODES) + states, _NONE)


def _by_point(points: np.ndarray, V: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes in the order of their points, (C,), and where those of each point begin, (V + 1,)."""
    return np.argsort(points, kind="stable"), np.concatenate([[0], np.bincount(points, minlength=V).cumsum()])


def _ranges(a: Places, b: Places, k: int, classes: _Classes) -> tuple[np.ndarray, np.ndarray]:
    """Return the fewest and the most that the lists of n tokens can share, over every breaking of ties.

    Where what is stored ends among the ties, any token that is not certain may be one of them.
    """
    entries = np.concatenate([classes.entries(a, 0), classes.entries(b, 1) + np.uint32(_SECOND)], axis=1)
    entries.sort(axis=1)
    common = (entries[:, 1:] // _CODES == entries[:, :-1] // _CODES) & (entries[:, :-1] < _NONE)
    lists, at = np.nonzero(common)
    firsts, seconds = entries[lists, at], entries[lists, at + 1]
    members = (firsts // _CODES).astype(np.int64)
    weights = classes.sizes[members] - (classes.of_row[a.rows[lists]] == members)  # a token is in no list of its own
    kinds = firsts % _SECOND * _KINDS + seconds % _SECOND
    counts = np.bincount(lists * _KINDS**2 + kinds, weights, minlength=len(a.rows) * _KINDS**2)
    tally = counts.astype(np.int64).reshape(-1, _KINDS, _KINDS)  # by the states in both lists
    shared, both = tally[:, CERTAIN, CERTAIN], tally[:, TIED, TIED]
    a_sure, b_sure = tally[:, TIED, CERTAIN], tally[:, CERTAIN, TIED]

    others = len(classes.of_row) - 1
    a_tied, b_tied = np.where(a.open, others - a.certain, a.tied), np.where(b.open, others - b.certain, b.tied)
    both = np.where(
        a.open,
        np.where(b.open, others - a.certain - b.certain + shared, b.tied - b_sure),
        np.where(b.open, a.tied - a_sure, both),
    )
    a_sure, b_sure = np.where(a.open, b.certain - shared, a_sure), np.where(b.open, a.certain - shared, b_sure)
    return range_of(shared, both, Side(a_tied, a_sure, k - a.certain), Side(b_tied, b_sure, k - b.certain))
