"""From the nearest positions to neighbor lists: their order, and twins.

Points with equal values (twins) are one position while neighbors are found; `first_twins` finds them, `rank_block`
puts every one of them back into the lists, where they belong by distance and row.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.compiled import compiled
from index.search.kernels import Floats, Ints, Places, nearest_first


class Twins(NamedTuple):
    """Which rows each position stands for."""

    members: Ints  # (V,) rows, by position, ascending within one
    offsets: Ints  # (U + 1,) those of position p are members[offsets[p] : offsets[p + 1]]


class Lists(NamedTuple):
    """The graph being written; its fields are those of `neighbors.KnnGraph`."""

    ids: Places  # (V, k)
    distances: Floats  # (V, k)
    distinct_distances: Floats  # (V, k)
    distinct_ids: Places  # (V, k)


@compiled()
def rank_block(start, stop, k, rows, nearest, twins, lists):
    """Turn the nearest of positions start to stop into the neighbor lists of all their rows."""
    for p in range(start, stop):
        ids, squared = nearest.ids[p, : nearest.filled[p]], nearest.squared[p, : nearest.filled[p]]
        order = nearest_first(squared, ids, rows)[:k]
        _write_lists(p, ids[order], squared[order], twins, lists)


@compiled()
def _write_lists(p, ids, squared, twins, lists):
    """Write the lists of the rows of p: every row of a near position is a neighbor, and so are p's other rows."""
    k = lists.ids.shape[1]
    near = np.empty(k + 1, np.int64)  # one more than asked for, because each row leaves itself out
    near_squared = np.empty(k + 1)
    filled = 0
    for t in range(-1, ids.size):  # p itself, at distance 0, then its neighbors
        q = p if t < 0 else ids[t]
        distance = 0.0 if t < 0 else squared[t]
        for row in twins.members[twins.offsets[q] : twins.offsets[q + 1]]:
            at = filled  # among equal distances, the rows of different positions interleave
            while at > 0 and near_squared[at - 1] == distance and near[at - 1] > row:
                at -= 1
            if at > k:
                break
            last = min(filled, k)
            for n in range(last, at, -1):
                near[n], near_squared[n] = near[n - 1], near_squared[n - 1]
            near[at], near_squared[at] = row, distance
            filled = last + 1
        if filled > k and t + 1 < ids.size and squared[t + 1] > distance:
            break
    for row in twins.members[twins.offsets[p] : twins.offsets[p + 1]]:
        n = 0
        for t in range(filled):
            if near[t] != row and n < k:
                lists.ids[row, n], lists.distances[row, n] = near[t], np.float32(np.sqrt(near_squared[t]))
                n += 1
        for t in range(min(k, ids.size)):
            lists.distinct_distances[row, t] = np.float32(np.sqrt(squared[t]))
            lists.distinct_ids[row, t] = twins.members[twins.offsets[ids[t]]]
        lists.distinct_distances[row, ids.size :] = np.inf
        lists.distinct_ids[row, ids.size :] = -1


@compiled()
def hash_rows(points: Floats) -> NDArray[np.uint64]:
    """One number per row, equal for rows of equal values."""
    hashes = np.empty(len(points), np.uint64)
    for row in range(len(points)):
        state = np.uint64(0xCBF29CE484222325)
        for value in points[row]:
            bits = np.uint64(np.float32(value + np.float32(0.0)).view(np.uint32))  # -0.0 + 0.0 is 0.0
            state = (state ^ bits) * np.uint64(0x9E3779B97F4A7C15)
            state ^= state >> np.uint64(29)
        hashes[row] = state
    return hashes


@compiled()
def first_twins(points: Floats, hashes: NDArray[np.uint64], order: Ints) -> Ints:
    """For each row, the first row that holds the same values; `order` sorts the hashes, equal ones by row."""
    first = np.arange(len(points))
    run = 0  # where the present run of equal hashes begins
    for n in range(len(order)):
        row = order[n]
        if hashes[row] != hashes[order[run]]:
            run = n
        for other in order[run:n]:
            if first[other] == other and np.all(points[other] == points[row]):
                first[row] = other
                break
    return first
