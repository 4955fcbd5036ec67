"""The place of a token in a list of all, nearest to a point first: exactly, without making the list."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Space
from index.geometry.maps import distances_to
from index.search.finder import ROUNDING


@dataclass(frozen=True)
class Place:
    """A token's place in a list of all others, by exact distance and then by row."""

    rank: int  # from 1
    lowest: int  # the places it could have as well,
    highest: int  # because tokens there are as far away within the resolution

    @property
    def words(self) -> str:
        """The place, and the range it could have."""
        return f"{self.rank:,}" + (f" ({self.lowest:,}-{self.highest:,})" if self.lowest < self.highest else "")


def place_around(
    space: Space, query: np.ndarray, row: int, left_out: Collection[int], *, then: np.ndarray | None = None
) -> Place:
    """Return the place of a row around a point, (D,) float64; only what bounds leave around its distance is measured.

    `left_out` rows are in no place; `then` are points, (Q, D), that will be asked around next.
    """
    exact = distances_to(space.points, query[np.newaxis], rows=np.array([row]))[0, 0]
    reach = exact * ROUNDING + space.resolution
    near, far = max(float(exact - reach), 0.0), float(exact + reach)
    rows, nearer = space.finder.around(query, near, far, then=then)
    out = [*left_out, *space.excluded]
    rows, before = rows[~np.isin(rows, out)], int(np.count_nonzero(~np.isin(nearer, out)))
    measured = distances_to(space.points, query[np.newaxis], rows=rows)[0]
    rank = before + np.count_nonzero((measured < exact) | ((measured == exact) & (rows < row))) + 1
    lowest, highest = tied_places(measured.astype(np.float32), exact.astype(np.float32), space.resolution)
    return Place(int(rank), before + lowest, before + highest)


def place_among(space: Space, query: np.ndarray, row: int, others: np.ndarray) -> Place:
    """Return the place of a row around a point, (D,) float64, among others, (n,) rows, and itself."""
    rows = np.union1d(others, [row]).astype(np.int32)
    exact = distances_to(space.points, query[np.newaxis], rows=rows)[0]
    at = int(np.searchsorted(rows, row))
    before = np.count_nonzero(exact < exact[at]) + np.count_nonzero(exact[:at] == exact[at])
    distances = exact.astype(np.float32)
    return Place(int(before) + 1, *tied_places(distances, distances[at], space.resolution))


def tied_places(distances: np.ndarray, distance: float, resolution: float) -> tuple[int, int]:
    """Return the first and last place of what is as far as `distance`, among all distances (n,)."""
    return (
        int(np.count_nonzero(distances < distance - resolution)) + 1,
        int(np.count_nonzero(distances <= distance + resolution)),
    )
