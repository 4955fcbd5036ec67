"""Hubness: in how many neighbor lists a token is, and which tokens are hubs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from index.measures.lists import CERTAIN, TIED, NeighborLists, places

HUB_TIMES = 100
"""A hub is in more than so many times its share of lists.

In SmolLM2 21 tokens are in over 4,100 lists of 20, 208 times their share, and all of them are untrained; one word is
next, with 120 times its share. At 10 times there are 68 hubs, and 47 of them are names and other words, which are
neighbors in earnest.
"""

PERCENTS = ("0.1", "0.5", "1")
"""Of the tokens, those in most lists, whose share of all places is told."""

TIMES = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, HUB_TIMES)
"""Borders of a distribution, in times the mean: what is above the last is a hub."""

_BLOCK_ROWS = 1 << 13


def hubs(hubness: np.ndarray, k: int) -> np.ndarray:
    """Return which tokens are hubs by their `hubness`, (V,), in lists of k: bool (V,)."""
    return np.asarray(hubness > HUB_TIMES * k)


def hubness(lists: NeighborLists, k: int) -> np.ndarray:
    """Return how many tokens have each token among their k nearest, (V,) float64: the k-occurrence N_k, with mean k.

    Where m tokens tie for the last r places of a list, the list counts r / m for each of them: which would be taken is
    arbitrary, and so the twins of a token are in as many lists as it. A list whose stored points end among the ties
    shares its places out among the stored ones.
    Radovanović, Nanopoulos and Ivanović, "Hubs in Space: Popular Nearest Neighbors in High-Dimensional Data" (JMLR
    2010), section 2.
    """
    V = len(lists.groups)
    filled, decided = lists.filled(k), lists.decided(k)
    nearest = lists.ids[:, :k]
    counts = np.bincount(nearest[decided | ~filled].ravel() + 1, minlength=V + 1)[1:].astype(np.float64)  # -1 is none
    shares = np.zeros(V)  # of each token of a point, at its first row
    crowded = np.flatnonzero(filled & ~decided)
    for start in range(0, len(crowded), _BLOCK_ROWS):
        found = places(lists, crowded[start : start + _BLOCK_ROWS], k)
        tied_share = ((k - found.certain) / found.tied)[:, None]
        share = np.where(found.states == CERTAIN, 1.0, np.where(found.states == TIED, tied_share, 0.0))
        # Of a token's own point the others have it: one list each of those, which the first row's stands for.
        share[:, 0] *= np.where(found.rows == found.points[:, 0], found.weights[:, 0], 0)
        there = found.points >= 0
        shares += np.bincount(found.points[there], share[there], minlength=V)
    found_in: np.ndarray = counts + shares[lists.groups]
    return found_in


@dataclass(frozen=True)
class Unevenness:
    """How the places of all lists are shared out."""

    k: int  # length of the lists
    skewness: float  # of the number of lists that each token is in: 0 where it lies evenly about its mean, k
    share: dict[str, float]  # of all places, from 0 to 1, held by so many percent of the tokens, those in most lists
    in_no_list: int  # tokens
    counts: tuple[int, ...]  # tokens in no more lists than each border of `TIMES` and more than the one before; hubs

    def json(self) -> dict[str, Any]:
        """Return the figures, and how many tokens are in more than `from` lists and in `to` at most."""
        edges = [None, *borders(self.k), None]
        return {
            "k": self.k,
            "skewness": self.skewness,
            "share": self.share,
            "in_no_list": self.in_no_list,
            "distribution": [
                {"from": low, "to": high, "tokens": count}
                for low, high, count in zip(edges, edges[1:], self.counts, strict=False)
            ],
        }


def borders(k: int) -> list[float]:
    """Return the borders of a distribution in lists of k."""
    return [round(float(times * k), 6) for times in TIMES]


def unevenness(found_in: np.ndarray, k: int) -> Unevenness:
    """Return how lists of k are filled, of the number of them that each token is in, (n,), not all 0."""
    downward = np.sort(found_in)[::-1].cumsum()
    spread = found_in.std()
    skewness = 0.0 if spread == 0 else float((((found_in - found_in.mean()) / spread) ** 3).mean())
    held = (max(1, round(len(found_in) * float(percent) / 100)) for percent in PERCENTS)
    share = {percent: float(downward[n - 1] / downward[-1]) for percent, n in zip(PERCENTS, held, strict=True)}
    bins = np.searchsorted(borders(k), found_in)
    counts = tuple(np.bincount(bins, minlength=len(TIMES) + 1).tolist())
    return Unevenness(k, skewness, share, counts[0], counts)
