"""How much of the true neighborhoods a layout in the plane keeps: shares, trustworthiness and continuity.

Trustworthiness falls for each neighbor on the map that is none in truth, continuity for each true neighbor that is none
on the map, by how far down the other list it stands (Venna and Kaski 2006, "Local multidimensional scaling").
"""

from __future__ import annotations

import numpy as np


def nearest_places(places: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest others of U places in the plane, (U, k) int32, nearest first.

    Of places that are exactly as far, any may stand first.
    """
    from scipy.spatial import KDTree

    U = len(places)
    found = KDTree(places).query(places, k + 1)[1].reshape(U, k + 1)
    others = found != np.arange(U)[:, None]
    others[others.all(axis=1), -1] = False  # more places coincide than were asked for, and it is none of those found
    listed: np.ndarray = found[others].reshape(U, k).astype(np.int32)
    return listed


def kept_shares(true: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return the share of each row's true neighbors, (Q, k), that are among those on the map, (Q, k): (Q,) float64.

    Each list holds a neighbor once.
    """
    if not true.size:
        return np.zeros(len(true))
    apart = np.arange(len(true), dtype=np.int64)[:, None] * (int(max(true.max(), near.max())) + 1)
    shares: np.ndarray = np.isin(true + apart, near + apart).mean(axis=1)
    return shares


def neighborhood_scores(ranks: np.ndarray, U: int) -> np.ndarray:
    """Return 1 less each row's penalty for the ranks of its k neighbors in the other list, (Q, k), of U points: (Q,).

    Ranks are from 1, and those up to k cost nothing. The mean of all rows is trustworthiness, or continuity: 0 for the
    worst layout where k is under U / 2. NaN where U and k leave nothing to normalize by.
    """
    k = ranks.shape[1]
    worst = k * (2 * U - 3 * k - 1)
    if worst <= 0:
        return np.full(len(ranks), np.nan)
    scores: np.ndarray = 1 - 2 * np.maximum(ranks - k, 0).sum(axis=1, dtype=np.int64) / worst
    return scores
