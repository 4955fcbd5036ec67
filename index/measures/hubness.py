"""Hubness: in how many neighbor lists a token is, and which tokens are hubs."""

from __future__ import annotations

import numpy as np

from index.measures.lists import CERTAIN, TIED, NeighborLists, places

HUB_TIMES = 100
"""A hub is in more than so many times its share of lists.

In SmolLM2 21 tokens are in over 4,100 lists of 20, 208 times their share, and all of them are untrained; one word is
next, with 120 times its share. At 10 times there are 68 hubs, and 47 of them are names and other words, which are
neighbors in earnest.
"""

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
