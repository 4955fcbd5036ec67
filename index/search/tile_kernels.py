"""The inner loops of a tile's two ends, compiled by numba: its candidates by place, and several tiles' merged."""

import numpy as np

from index.compiled import compiled
from index.search.kernels import nearest_first


@compiled()
def take_nearest(start, stop, shift, k, order, numbers, nearest, counts, ids, squared):
    """Write the k nearest of positions start to stop by the place of each, less `shift`."""
    for p in range(start, stop):
        found, distances = nearest.ids[p, : nearest.filled[p]], nearest.squared[p, : nearest.filled[p]]
        taken = nearest_first(distances, found, order)[:k]
        place = order[p] - shift
        counts[place] = taken.size
        for t in range(taken.size):
            ids[place, t], squared[place, t] = numbers[order[found[taken[t]]]], distances[taken[t]]


@compiled()
def merge_nearest(start, stop, k, starts, ids, squared, counts, merged, distances):
    """Write the k nearest candidates of places start to stop: those of source s stand from starts[s, place]."""
    for place in range(start, stop):
        total = 0
        for s in range(len(starts)):
            total += starts[s, place + 1] - starts[s, place]
        numbers, found, apart = np.arange(total).astype(np.int32), np.empty(total, np.int64), np.empty(total)
        filled = 0
        for s in range(len(starts)):
            for t in range(starts[s, place], starts[s, place + 1]):
                found[filled], apart[filled] = ids[t], squared[t]
                filled += 1
        taken = nearest_first(apart, numbers, found)[:k]
        counts[place] = taken.size
        for t in range(taken.size):
            merged[place, t], distances[place, t] = found[taken[t]], apart[taken[t]]
