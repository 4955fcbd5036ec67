"""Spearman's rank correlation, of a sample and of many draws from it at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Ranks:
    """Values as ranks; those that are equal share the mean of their ranks."""

    values: np.ndarray  # (n,)

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The items in order, (n,); where in it each group of equal values starts; and the group of each item, (n,)."""
        _, group, sizes = np.unique(self.values, return_inverse=True, return_counts=True)
        return np.argsort(group, kind="stable"), np.cumsum(sizes) - sizes, group

    def in_draws(self, counts: np.ndarray) -> np.ndarray:
        """Return the rank from 1 of each item in draws that hold it so often, (draws, n) like `counts`."""
        order, starts, group = self._groups
        sizes = np.add.reduceat(counts[:, order], starts, axis=1)
        ranks = np.cumsum(sizes, axis=1) - sizes + (sizes + 1) / 2
        found: np.ndarray = ranks[:, group]
        return found

    @cached_property
    def whole(self) -> np.ndarray:
        """The rank of each item among all, (n,)."""
        ranks: np.ndarray = self.in_draws(np.ones((1, len(self.values))))[0]
        return ranks


def spearman_in_draws(first: Ranks, second: Ranks, counts: np.ndarray) -> np.ndarray:
    """Return Spearman's rho in each draw, (draws,); NaN where all values of one side are equal."""
    total = counts.sum(axis=1, keepdims=True)
    a, b = (ranks.in_draws(counts) - (total + 1) / 2 for ranks in (first, second))
    weighted = counts * a
    with np.errstate(invalid="ignore"):
        rho: np.ndarray = (weighted * b).sum(axis=1) / np.sqrt(
            (weighted * a).sum(axis=1) * (counts * b * b).sum(axis=1)
        )
    return rho


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rho of two sides, (n,) each; NaN where all values of one are equal, or for none."""
    if len(first) < 2:
        return float("nan")
    return float(spearman_in_draws(Ranks(first), Ranks(second), np.ones((1, len(first))))[0])


def spearman_at_chance(people: np.ndarray, known: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean of rho over all places that the items without a score could have among the others.

    `people`, (n,), judged all items; `scores`, (m,), are of the items `known`, (m,) places. An item without a score
    adds nothing to the covariance in the mean, and the item of rank r among m has rank r (n + 1) / (m + 1) in the mean.
    The spread of n ranks is what it is, but for the ties there are.
    """
    n, m = len(people), len(scores)
    if m < 2:
        return float("nan") if n < 2 else 0.0
    judged = Ranks(people).whole - (n + 1) / 2
    ranks = Ranks(scores).whole
    placed = ranks * (n + 1) / (m + 1) - (n + 1) / 2
    _, ties = np.unique(scores, return_counts=True)
    spread = (n**3 - n - (ties**3 - ties).sum()) / 12
    with np.errstate(invalid="ignore"):
        return float(judged[known] @ placed / np.sqrt((judged @ judged) * spread))
