"""Loops over a sketch's codes, and over points, for queries of a process that goes on asking; compiled by numba.

Each reads the given rows alone, in this order. `sketch` and `swept` derive what the sums prove.
"""

import numpy as np

from index.search.compiled import compiled
from index.search.kernels import REORDER


@compiled()
def weigh(codes, rows, weights, less, sums):
    """Write the weighted sums of codes, (V, D) uint8, by weights (D,) int16, less a number: int32.

    Additions go around at 32 bits, so a sum that fits them is exact whatever is there on the way.
    """
    for n in range(rows.size):
        code, total = codes[rows[n]], np.int32(0)
        for d in range(weights.size):
            total = np.int32(total + np.int32(np.int32(code[d]) * np.int32(weights[d])))
        sums[n] = np.int32(total - less)


@compiled(fastmath=REORDER)
def squared_lengths(codes, rows, steps, squared):
    """Write the squared lengths of codes, counted from 128, times steps (D,): float64."""
    for n in range(rows.size):
        code, total = codes[rows[n]], 0.0
        for d in range(steps.size):
            part = steps[d] * (np.float64(code[d]) - 128.0)
            total += part * part
        squared[n] = total


@compiled(fastmath=REORDER)
def squared_distances(points, rows, query, squared):
    """Write the squared distances of points, (V, D) float32, from a query (D,) float64, by differences in float64."""
    for n in range(rows.size):
        point, total = points[rows[n]], 0.0
        for d in range(query.size):
            difference = np.float64(point[d]) - query[d]
            total += difference * difference
        squared[n] = total
