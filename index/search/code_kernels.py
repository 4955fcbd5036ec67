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
def widen(least, most, errors, apart, lower, upper):
    """Write the bounds less and more what the rows lost and how far the query is from the one that was asked."""
    for n in range(least.size):
        off = apart + errors[n]
        lower[n] = max(least[n] - off, 0.0)
        upper[n] = most[n] + off


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
    """Write the squared distances of some rows of points, (V, D) float32, from a query (D,) float64, by differences.

    Four rows at once: where they lie apart, the processor waits for the memory of one while it has that of others.
    """
    for first in range(0, rows.size, 4):
        last = rows.size - 1
        a, b = points[rows[first]], points[rows[min(first + 1, last)]]
        c, d = points[rows[min(first + 2, last)]], points[rows[min(first + 3, last)]]
        of_a, of_b, of_c, of_d = 0.0, 0.0, 0.0, 0.0
        for n in range(query.size):
            to_a, to_b = np.float64(a[n]) - query[n], np.float64(b[n]) - query[n]
            to_c, to_d = np.float64(c[n]) - query[n], np.float64(d[n]) - query[n]
            of_a += to_a * to_a
            of_b += to_b * to_b
            of_c += to_c * to_c
            of_d += to_d * to_d
        for n, total in enumerate((of_a, of_b, of_c, of_d)):
            squared[min(first + n, last)] = total
