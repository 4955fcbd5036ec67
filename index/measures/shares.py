"""What the members of lists have in common with whose lists they are, against what random others have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.measures.bootstrap import Interval, draws, interval

DRAWS = 400
"""Of a vocabulary's intervals: a draw reads every place of every list."""

_TOGETHER = 50
"""Draws at a time: their counts of 50,000 tokens stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Trait:
    """Something that two tokens can have in common: a code that both have, or places in an order that are near."""

    codes: np.ndarray  # (V,) int64; -1: none, which is in common with nobody. Or the place in an order, from 0
    within: int | None = None  # so many places apart are near; None: equal codes are in common

    def common(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return whether each of rows (n,) has it in common with each of its others (n, k), (n, k) bool."""
        own, theirs = self.codes[rows][:, np.newaxis], self.codes[others]
        found: np.ndarray = (own == theirs) & (own >= 0) if self.within is None else abs(own - theirs) <= self.within
        return found

    @property
    def known(self) -> bool:
        """Whether any token has it: without texts, none has letters."""
        return bool((self.codes >= 0).any())

    def chance(self, rows: np.ndarray, among: np.ndarray | None = None) -> float:
        """Return the mean share of all other tokens that have it in common with one of rows (n,), counted.

        Others are those of `among`, (V,) bool, where it is given. NaN where no token has it, or there is no other.
        """
        V, own = len(self.codes), self.codes[rows]
        there = np.ones(V, dtype=bool) if among is None else among
        others = int(there.sum()) - there[rows].astype(np.int64)
        if not self.known or not others.any():
            return float("nan")
        if self.within is None:
            known = own >= 0
            counts = np.bincount(self.codes[(self.codes >= 0) & there], minlength=int(self.codes.max()) + 1)
            alike = np.zeros(len(rows), dtype=np.int64)
            alike[known] = counts[own[known]] - there[rows[known]]
        else:
            before = np.concatenate([[0], np.cumsum(there[np.argsort(self.codes)])])  # those at earlier places
            alike = before[np.minimum(own + self.within, V - 1) + 1] - before[np.maximum(own - self.within, 0)]
            alike -= there[rows]
        return float(alike.sum() / others.sum())


def token_draws(V: int) -> np.ndarray:
    """Return how often each of V tokens is drawn in each of `DRAWS` draws, (DRAWS, V) uint8: the same for equal V."""
    return np.concatenate([counts.astype(np.uint8) for counts in draws(V, number=DRAWS)])


def shares(rows: np.ndarray, lists: np.ndarray, traits: list[Trait], drawn: np.ndarray) -> list[tuple[float, Interval]]:
    """Return the share of the places of lists (n, k) that have each trait in common with their rows (n,), and how sure.

    A place that is -1 is none, and the share of what no token has is NaN. Draws are of tokens, as `token_draws` made
    them, and a place counts as often as both of its tokens together: a few tokens may stand in most lists, and these
    lists are no independent witnesses then. Of one list there is no interval.
    """
    owners, places = np.nonzero(lists >= 0)
    left, right = rows[owners], lists[owners, places]
    if len(right) == 0:
        return [(float("nan"), _NOWHERE)] * len(traits)
    common = [trait.common(left, right[:, np.newaxis])[:, 0] for trait in traits]
    sure = [_NOWHERE] * len(traits)
    if len(rows) > 1:
        whole, *parts = _in_draws(rows, owners, right, [np.ones(len(right), dtype=bool), *common], drawn)
        with np.errstate(invalid="ignore"):
            sure = [interval(part / whole) for part in parts]
    return [
        (float(each.mean()), span) if trait.known else (float("nan"), _NOWHERE)
        for trait, each, span in zip(traits, common, sure, strict=True)
    ]


_NOWHERE = Interval(float("nan"), float("nan"))


def _in_draws(
    rows: np.ndarray, owners: np.ndarray, others: np.ndarray, kinds: list[np.ndarray], drawn: np.ndarray
) -> np.ndarray:
    """Return how often the places of each kind, (m,) bool, count in each draw, together, (kinds, DRAWS) float64.

    Places are of lists of rows (n,), of those numbered `owners` (m,), and hold the tokens `others` (m,). A draw of
    counts c sums c_i c_j over all of them: products of a sparse array with draws, of whole numbers, and so exact.
    """
    from scipy.sparse import csr_array

    shape = len(rows), drawn.shape[1]
    ones = np.ones(len(others), dtype=np.float32)
    held = [csr_array((ones[kind], (owners[kind], others[kind])), shape=shape) for kind in kinds]
    totals = np.empty((len(kinds), len(drawn)))
    for start in range(0, len(drawn), _TOGETHER):
        counts = np.ascontiguousarray(drawn[start : start + _TOGETHER].T, dtype=np.float32)  # (V, draws)
        own = counts[rows]
        for number, each in enumerate(held):
            totals[number, start : start + _TOGETHER] = (own * (each @ counts)).sum(axis=0, dtype=np.float64)
    return totals
