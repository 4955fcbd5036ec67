"""The inner loop of a cross-check: one tile of stored distances against scores of the same pairs."""

from __future__ import annotations

import numpy as np

from index.search.compiled import compiled


@compiled()
def _exact(x, y):
    total = 0.0
    for d in range(x.size):
        difference = np.float64(x[d]) - np.float64(y[d])
        total += difference * difference
    return np.sqrt(total)


@compiled()
def compare_tile(
    scores,
    stored,
    mirrored,
    first_row,
    first_column,
    points,
    squares,
    rtol,
    atol,
    bound,
    kept,
    stored_sums,
    computed_sums,
):
    """Compare the entries (i, j) and (j, i), i < j, of one tile, which begins at `first_row` and `first_column`.

    `scores`, (R, C), are inner products of centered points, in error by at most `bound` / 2, `squares`, (N,) float64,
    their squared norms; `stored` and `mirrored`, (R, C), are the entries (i, j) and the entries (j, i). Of the largest
    differences `kept` are taken in float64, from the points (N, D), before the worst is named. The sums, (N,) float64,
    are added to.

    Returned are the counts of entries within tolerance, NaN, and compared; the worst difference; its row and column.
    """
    R, C = scores.shape
    within = nan = entries = 0
    largest = np.full(kept, -1.0)
    places = np.zeros((kept, 2), np.int64)
    least = 0
    for i in range(R):
        row = first_row + i
        for j in range(C):
            column = first_column + j
            if column <= row:
                continue
            squared = squares[row] + squares[column] - 2.0 * scores[i, j]
            distance = np.sqrt(max(squared, 0.0))
            upper, lower = np.float64(stored[i, j]), np.float64(mirrored[i, j])
            stored_sums[row] += upper
            stored_sums[column] += lower
            entries += 2
            error = max(abs(upper - distance), abs(lower - distance))
            if np.isnan(upper) or np.isnan(lower):
                nan += int(np.isnan(upper)) + int(np.isnan(lower))
            tolerance = rtol * distance + atol
            # sqrt is steep near zero: its slope is that of the lower end of the interval
            slack = bound / (distance + np.sqrt(max(squared - bound, 0.0)) + 1e-30)
            if not (error + slack * (1.0 + rtol) <= tolerance or error - slack * (1.0 + rtol) > tolerance):
                distance = _exact(points[row], points[column])
                tolerance = rtol * distance + atol
                error = max(abs(upper - distance), abs(lower - distance))
            computed_sums[row] += distance
            computed_sums[column] += distance
            within += int(abs(upper - distance) <= tolerance) + int(abs(lower - distance) <= tolerance)
            if error > largest[least]:
                largest[least] = error
                places[least, 0], places[least, 1] = row, column
                least = int(np.argmin(largest))
    worst, where = -1.0, (0, 0)
    for n in range(kept):
        if largest[n] < 0.0:
            continue
        row, column = places[n, 0], places[n, 1]
        distance = _exact(points[row], points[column])
        i, j = row - first_row, column - first_column
        error = max(abs(np.float64(stored[i, j]) - distance), abs(np.float64(mirrored[i, j]) - distance))
        if error > worst:
            worst, where = error, (row, column)
    return (within, nan, entries), worst, where
