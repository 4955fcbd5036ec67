"""Which sets stand high in an order, and which low: running sums, and how often random orders give as much.

The score is that of Subramanian et al., "Gene set enrichment analysis" (PNAS 2005): down the order, from the highest, a
sum rises at each member of a set and falls at each other item, by steps that end it at 0; the score is where it is
furthest from 0. Members count by the distance of their rank from the middle one (their weight of 1, of ranks), so that
a set about the middle of the order has no high score; values themselves do not count, only their order. Items of equal
value share their mean rank, and the sum is read only where a value ends: no order among equal ones can change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from index.progress import Share

_ROUNDING = 1e-9
"""Scores closer than this are equal: sums of the same steps in another order."""


@dataclass(frozen=True, eq=False)
class Order:
    """Items from the highest value to the lowest, as N places."""

    starts: np.ndarray  # (N,) int64, the first place with the value of each place
    ends: np.ndarray  # (N,) behind the last

    @classmethod
    def of(cls, descending: np.ndarray) -> Order:
        """Return the order of values (N,) that descend."""
        new = np.flatnonzero(np.concatenate([[True], descending[1:] != descending[:-1]]))
        sizes = np.diff(np.append(new, len(descending)))
        return cls(np.repeat(new, sizes), np.repeat(new + sizes, sizes))

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def weights(self) -> np.ndarray:
        """How far the mean rank of each place's value is from the middle, (N,) float64."""
        weights: np.ndarray = np.abs((self.starts + self.ends - len(self)) / 2)
        return weights

    @cached_property
    def tied(self) -> bool:
        """Whether any two values are equal."""
        return bool((self.ends - self.starts > 1).any())


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of S sets, and where each is reached."""

    values: np.ndarray  # (S,) float64, from -1 to 1: above 0 of sets that stand high
    places: np.ndarray  # (S,) int64: so many places stand before the sum is furthest from 0


class Sets:
    """S sets of N items; each has a member, and an item that is none."""

    def __init__(self, members: Sequence[np.ndarray], N: int) -> None:
        self.sizes = np.array([len(each) for each in members], dtype=np.int64)
        whole = np.int32 if len(members) * N < 1 << 31 else np.int64
        self._items = np.concatenate(members).astype(whole)
        self._starts = np.cumsum(self.sizes) - self.sizes
        number = np.repeat(np.arange(len(members)), self.sizes)
        self._base = (number * N).astype(whole)
        self._share = 1 / np.repeat(N - self.sizes, self.sizes)  # of each other item
        place = np.arange(len(self._items)) - np.repeat(self._starts, self.sizes)
        self._before = number - place * self._share  # what earlier sets, and members before, have in the sums

    def scores(self, order: Order) -> Scores:
        """Return the scores of all sets when item i stands at place i."""
        after, before, starts, ends = self._sums(order, np.arange(len(order)))
        high, low = np.maximum.reduceat(after, self._starts), np.minimum.reduceat(before, self._starts)
        up = high >= -low - _ROUNDING
        values = np.where(up, high, low)
        sums = np.where(np.repeat(up, self.sizes), after, before)
        reached = np.abs(sums - np.repeat(values, self.sizes)) <= _ROUNDING
        first = np.minimum.reduceat(np.where(reached, np.arange(len(reached)), len(reached)), self._starts)
        return Scores(values, np.where(up, ends[first], starts[first]))

    def sizes_of_scores(self, order: Order, places: np.ndarray) -> np.ndarray:
        """Return how far from 0 the scores are when item i stands at places[i], (N,): (S,)."""
        after, before, _, _ = self._sums(order, places)
        high, low = np.maximum.reduceat(after, self._starts), np.minimum.reduceat(before, self._starts)
        sizes: np.ndarray = np.maximum(high, -low)
        return sizes

    def _sums(self, order: Order, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the sums behind and before each member's value, set by set, and where this value starts and ends."""
        at = self._base + places[self._items]
        at.sort()
        at -= self._base  # each set's members down the order
        steps = order.weights[at]
        totals = np.add.reduceat(steps, self._starts)
        if not totals.all():  # of members in the middle alone each counts the same
            steps[np.repeat(totals == 0, self.sizes)] = 1
            totals = np.add.reduceat(steps, self._starts)
        steps *= np.repeat(1 / totals, self.sizes)
        before = np.cumsum(steps)
        before -= steps
        before -= self._before
        starts, ends = (order.starts[at], order.ends[at]) if order.tied else (at, at + 1)
        if not order.tied:
            before -= starts * self._share
            return before + steps, before, starts, ends
        after = before + steps - (ends - 1) * self._share
        before -= starts * self._share
        same = (starts[1:] == starts[:-1]) & (self._base[1:] == self._base[:-1])
        after[:-1][same], before[1:][same] = -np.inf, np.inf
        return after, before, starts, ends


def shuffled_p(sets: Sets, order: Order, found: np.ndarray, shuffles: int, seed: int, progress: Share) -> np.ndarray:
    """Return how often random orders of the items give a score as far from 0, (S,): (1 + count) / (1 + shuffles)."""
    draw, N = np.random.default_rng(seed), len(order)
    counts = np.zeros(len(found), dtype=np.int64)
    for number in range(shuffles):
        progress(number / shuffles)
        counts += sets.sizes_of_scores(order, draw.permutation(N)) >= np.abs(found) - _ROUNDING
    progress(1.0)
    p: np.ndarray = (1 + counts) / (1 + shuffles)
    return p


def false_discovery_rates(p: np.ndarray) -> np.ndarray:
    """Return the least rate of false discoveries at which each is one, (S,): Benjamini and Hochberg (1995)."""
    from scipy.stats import false_discovery_control

    rates: np.ndarray = false_discovery_control(p)
    return rates
