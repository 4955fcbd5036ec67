"""Loops over a sketch's codes, and over points, for queries of a process that goes on asking; compiled by numba.

`sketch` and `swept` derive what the sums prove.
"""

import numpy as np

from index.search.compiled import compiled
from index.search.kernels import REORDER


@compiled()
def weigh(codes, rows, weights, less, sums):
    """Write the weighted sums of the given rows of codes, (V, D) uint8, by weights (D,) int16, less a number: int32.

    Additions go around at 32 bits, so a sum that fits them is exact whatever is there on the way.
    """
    for n in range(rows.size):
        code, total = codes[rows[n]], np.int32(0)
        for d in range(weights.size):
            total = np.int32(total + np.int32(np.int32(code[d]) * np.int32(weights[d])))
        sums[n] = np.int32(total - less)


@compiled(fastmath=REORDER)
def squared_lengths(codes, rows, steps, squared):
    """Write the squared lengths of the given rows of codes, counted from 128, times steps (D,): float64."""
    for n in range(rows.size):
        code, total = codes[rows[n]], 0.0
        for d in range(steps.size):
            part = steps[d] * (np.float64(code[d]) - 128.0)
            total += part * part
        squared[n] = total


@compiled()
def bound_sums(sums, squared, own, step, lost, relative, vanished, least, most):
    """Write the least and the most that |q - x'| of (2) is, float64, from sums of codes and what they are off by."""
    for n in range(sums.size):
        total = own + squared[n]
        found = total - 2.0 * step * sums[n]
        error = lost + relative * total
        if np.isfinite(found + error):
            least[n] = np.sqrt(max(found - error, 0.0)) * (1.0 - 2.0**-50) - vanished
            most[n] = np.sqrt(max(found + error, 0.0)) * (1.0 + 2.0**-50) + vanished
        else:
            least[n], most[n] = -vanished, np.inf


@compiled(fastmath=REORDER)
def squared_distances(points, query, squared):
    """Write the squared distances of points, (n, D) float32, from a query (D,) float64, by differences in float64."""
    for n in range(len(points)):
        point, total = points[n], 0.0
        for d in range(query.size):
            difference = np.float64(point[d]) - query[d]
            total += difference * difference
        squared[n] = total
