"""What became of groups of n items: kept, split, merged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Regrouping(NamedTuple):
    """Groups of two items or more, before and after; one may be split and, with others, be merged again."""

    kept: int  # groups that are the same items after
    split: int  # groups before that are in several after
    merged: int  # groups after that are of several before


def regrouping(before: np.ndarray, after: np.ndarray) -> Regrouping:
    """Compare two groupings of n items, given by a label of each item's group, (n,) each."""
    _, a, a_sizes = np.unique(before, return_inverse=True, return_counts=True)
    _, b, b_sizes = np.unique(after, return_inverse=True, return_counts=True)
    pairs, shared = np.unique(np.column_stack([a, b]), axis=0, return_counts=True)
    a_parts, b_parts = (np.bincount(pairs[:, side], minlength=1) for side in (0, 1))
    same = (shared == a_sizes[pairs[:, 0]]) & (shared == b_sizes[pairs[:, 1]]) & (shared > 1)
    return Regrouping(int(same.sum()), int((a_parts > 1).sum()), int((b_parts > 1).sum()))
