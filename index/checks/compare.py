"""The inner loop of a cross-check: one tile of stored distances against scores of the same pairs."""

from __future__ import annotations

import numpy as np

from index.compiled import compiled

DECADES = 13
"""Distances are told apart by powers of ten: below 10^-5, from there to 10^-4, and so on; from 10^6 in the last."""
FIRST_DECADE = -6

WITHIN, NAN, ENTRIES, HIDDEN, ZEROED = range(5)
"""What is counted: entries that agree, are no number, were compared, are too small to be checked, are 0 and wrong."""

_NEAR = 1e-6
"""Below this share of the squared norms, a squared distance is taken from differences: expanded in float64 it still has
four digits there."""


@compiled()
def exact_distance(x, y):
    """Return the distance of two points, (D,), from differences in float64."""
    total = 0.0
    for d in range(x.size):
        difference = np.float64(x[d]) - np.float64(y[d])
        total += difference * difference
    return np.sqrt(total)


@compiled()
def _allowed(distance, stored, squares, rtol, atol):
    reach = distance + abs(stored)
    return rtol * distance + atol + (squares / reach if reach > 0.0 else 0.0)


@compiled()
def compare_tile(
    scores,
    stored,
    mirrored,
    first_row,
    first_column,
    points,
    squares,
    squared_norms,
    allowance,
    counts,
    decade_entries,
    decade_beyond,
    decade_worst,
    hidden_rows,
    stored_sums,
    computed_sums,
):
    """Compare the entries (i, j) and (j, i), i < j, of one tile, which begins at `first_row` and `first_column`.

    `scores`, (R, C) float64, are inner products of centered points and `squares`, (N,), their squared norms; what a
    squared distance made of them is off by at most is a share of the two squares. `stored` and `mirrored`, (R, C), are
    the entries (i, j) and the entries (j, i). `allowance` is rtol, atol, expansion and floor of `Allowance`, and that
    share; `squared_norms`, (N,), go with the expansion. Distances too near for a score come from the points, (N, D).

    Added to are the counts, what is told apart by decade, the rows with an entry too small to be checked, and the sums.
    Returned are the worst difference, its row and column, and the largest distance in whose place 0 stands.
    """
    rtol, atol, expansion, floor, share = allowance
    R, C = scores.shape
    worst, row_at, column_at, farthest_zero = -1.0, 0, 0, 0.0
    for i in range(R):
        row = first_row + i
        for j in range(C):
            column = first_column + j
            if column <= row:
                continue
            norm = squares[row] + squares[column]
            squared = norm - 2.0 * scores[i, j]
            allowed = expansion * (squared_norms[row] + squared_norms[column]) + floor
            near = squared < max(_NEAR * norm, allowed)
            distance = exact_distance(points[row], points[column]) if near else np.sqrt(squared)
            upper, lower = np.float64(stored[i, j]), np.float64(mirrored[i, j])
            beyond_upper = abs(upper - distance) - _allowed(distance, upper, allowed, rtol, atol)
            beyond_lower = abs(lower - distance) - _allowed(distance, lower, allowed, rtol, atol)
            if not near:
                # The distance is off by a quarter of that at most, and a tolerance changes by no more than it does.
                slack = 4.0 * share * norm / distance
                if abs(beyond_upper) <= slack or abs(beyond_lower) <= slack:
                    distance = exact_distance(points[row], points[column])
                    beyond_upper = abs(upper - distance) - _allowed(distance, upper, allowed, rtol, atol)
                    beyond_lower = abs(lower - distance) - _allowed(distance, lower, allowed, rtol, atol)
            within = int(beyond_upper <= 0.0) + int(beyond_lower <= 0.0)
            error = max(abs(upper - distance), abs(lower - distance))
            stored_sums[row] += upper
            stored_sums[column] += lower
            computed_sums[row] += distance
            computed_sums[column] += distance
            counts[WITHIN] += within
            counts[NAN] += int(np.isnan(upper)) + int(np.isnan(lower))
            counts[ENTRIES] += 2
            if within < 2 and (upper == 0.0 or lower == 0.0):
                counts[ZEROED] += int(beyond_upper > 0.0 and upper == 0.0) + int(beyond_lower > 0.0 and lower == 0.0)
                farthest_zero = max(farthest_zero, distance)
            if distance * distance <= (rtol * distance + atol) * distance + allowed:
                counts[HIDDEN] += 2
                hidden_rows[row] = hidden_rows[column] = True
            decade = 0
            if distance > 0.0:
                decade = min(max(int(np.floor(np.log10(distance))) - FIRST_DECADE, 0), DECADES - 1)
            decade_entries[decade] += 2
            decade_beyond[decade] += 2 - within
            if error > decade_worst[decade]:
                decade_worst[decade] = error
            if error > worst:
                worst, row_at, column_at = error, row, column
    return worst, row_at, column_at, farthest_zero
