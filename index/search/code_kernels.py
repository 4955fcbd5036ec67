"""Loops over a sketch's codes, and over points, for queries of a process that goes on asking; compiled by numba.

`sketch` and `swept` derive what the sums prove.
"""

import numpy as np

from index.compiled import compiled
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


@compiled()
def widen(least, most, errors, apart):
    """Take what the rows lost, and how far the query is from the one that was asked, off the least and add it."""
    for n in range(least.size):
        off = apart + errors[n]
        least[n] = max(least[n] - off, 0.0)
        most[n] += off


@compiled()
def turn(t, squared_length, lengths, lower, upper):
    """Turn bounds of A of (6), see `turned`, into bounds of chords."""
    for n in range(lower.size):
        length, low, high = lengths[n], lower[n] * lower[n], upper[n] * upper[n]
        product = t * length
        lower[n], upper[n] = 0.0, np.inf
        if product > 1e-280:
            shift = (length - t) * (length - t * squared_length)
            terms = length * length + t * t * squared_length + product * (1.0 + squared_length)
            least = (low - shift - 1e-12 * (terms + low)) / product
            most = (high - shift + 1e-12 * (terms + high)) / product
            if np.isfinite(least) and np.isfinite(most):
                lower[n] = max(np.sqrt(max(least, 0.0)) - 2.0**-23, 0.0)
                upper[n] = np.sqrt(max(most, 0.0)) + 2.0**-23


@compiled(fastmath=REORDER)
def squared_distances(points, rows, query, squared):
    """Write the squared distances of some rows of points, (V, D) float32, from a query (D,) float64, by differences."""
    for n in range(rows.size):
        point, total = points[rows[n]], 0.0
        for d in range(query.size):
            difference = np.float64(point[d]) - query[d]
            total += difference * difference
        squared[n] = total
