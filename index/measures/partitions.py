"""What becomes of groups of equal rows from one matrix to another of the same tokens, and which rows are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.geometry.blocks import Matrix, row_slices


@dataclass(frozen=True)
class GroupChanges:
    """Groups of two tokens or more, before and after. Each before is kept, gone or split; after, kept, born or merged.

    A group may be split, and one of its parts be merged with others: then it is counted in both.
    """

    kept: int  # groups of the same tokens before and after
    born: int  # groups after, of tokens that were all alone
    gone: int  # groups before, whose tokens are all alone
    split: int  # groups before, whose tokens are in several places, two of them together at least
    merged: int  # groups after that have taken tokens in: of two places or more, one of which was a group

    @property
    def parted(self) -> int:
        """How many groups before are no longer together, whatever became of their tokens."""
        return self.split + self.gone

    @property
    def joined(self) -> int:
        """How many groups after hold tokens that were not together, alone or not."""
        return self.merged + self.born


def group_changes(before: np.ndarray, after: np.ndarray) -> GroupChanges:
    """Compare two partitions of V tokens, (V,) each: equal numbers mark the tokens of one group."""
    _, a, a_sizes = np.unique(before, return_inverse=True, return_counts=True)
    _, b, b_sizes = np.unique(after, return_inverse=True, return_counts=True)
    parts = np.unique(np.stack([a, b], axis=1), axis=0)  # (P, 2) which groups have tokens in common
    was_group, is_group = a_sizes > 1, b_sizes > 1
    a_parts, b_parts = np.bincount(parts[:, 0]), np.bincount(parts[:, 1])
    lives = np.bincount(parts[:, 0], is_group[parts[:, 1]]) > 0  # whether tokens of a group before are in one after
    grows = np.bincount(parts[:, 1], was_group[parts[:, 0]]) > 0
    whole = (a_parts[parts[:, 0]] == 1) & (b_parts[parts[:, 1]] == 1) & was_group[parts[:, 0]]
    return GroupChanges(
        int(whole.sum()),
        int((is_group & ~grows).sum()),
        int((was_group & ~lives).sum()),
        int((was_group & (a_parts > 1) & lives).sum()),
        int((is_group & (b_parts > 1) & grows).sum()),
    )


def same_rows(a: Matrix, b: Matrix) -> np.ndarray:
    """Return which rows of two matrices of one shape and dtype are bit-identical, (V,) bool."""
    same = np.empty(len(a), bool)
    for where in row_slices(a.shape):
        one, other = (np.ascontiguousarray(each[where]).view(np.uint8) for each in (a, b))
        same[where] = (one == other).all(axis=1)
    return same
