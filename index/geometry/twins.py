"""Which rows are the same: twins among tokens, equal points in a space."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b

import numpy as np

from index.errors import BundleError
from index.geometry.blocks import Matrix, row_slices


class Groups:
    """Groups of equal rows, from the first row of each row's group, (V,) int32; a row alone has its own number.

    Raises
    ------
    BundleError
        When it names rows that are not there.
    """

    def __init__(self, first: np.ndarray) -> None:
        if len(first) and not 0 <= first.min() <= first.max() < len(first):
            raise BundleError(
                "groups of equal rows name rows that are not there: the bundle is damaged; build it again"
            )
        self.first = first

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.first, kind="stable").astype(np.int32)
        return order, np.concatenate([[0], np.cumsum(np.bincount(self.first, minlength=len(order)))])

    def members(self, first: int) -> np.ndarray:
        """Return the rows of the group that begins with a row, ascending, (n,) int32."""
        order, starts = self._sorted
        members: np.ndarray = order[starts[first] : starts[first + 1]]
        return members

    def sizes(self, firsts: np.ndarray) -> np.ndarray:
        """Return how many rows are in each of the groups that begin with some rows, (n,)."""
        starts = self._sorted[1]
        sizes: np.ndarray = starts[firsts + 1] - starts[firsts]
        return sizes

    def others(self, row: int) -> np.ndarray:
        """Return the other rows of a row's group, ascending, (n - 1,) int32."""
        members = self.members(int(self.first[row]))
        others: np.ndarray = members[members != row]
        return others


def twin_groups(gamma: Matrix) -> np.ndarray:
    """Return for each row of gamma (V, D) the first row that is bit-identical to it, (V,) int32.

    Equal numbers mark twins; a row without twins has its own number.
    """
    first: dict[bytes, int] = {}
    groups = np.empty(len(gamma), dtype=np.int32)
    for where in row_slices(gamma.shape):
        for row, values in enumerate(np.ascontiguousarray(gamma[where]), where.start):
            groups[row] = first.setdefault(blake2b(values.tobytes(), digest_size=32).digest(), row)
    return groups
