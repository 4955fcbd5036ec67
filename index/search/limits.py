"""How far a point's k nearest are at most, from the shortest points, before other pairs are measured.

Any k points within a distance are a limit of it. Most points have those that are near the mean of all among their
nearer ones, so the distances from these give a limit that few pairs elsewhere are within: a sweep that begins with
worse ones measures ten times as many. The shortest themselves are limited by upper bounds. All others are by the k and
a few more that scores alone, their error left aside, make the nearest: these are measured, and the k-th of their
distances is the limit. Whatever is taken for near, it is one: to err there costs time alone.
"""

import numpy as np

from index.compiled import compiled
from index.search.kernels import REORDER, _cut, _one, _side, _tidy, as_float

LINES = 3
"""For each of k: of the upper bounds of a column the least of every so many is kept, and the k-th smallest of those is
about the 1.2 k-th smallest of all (of n balls in 3 k boxes, 3 k (1 - exp(-n / 3 k)) boxes hold one)."""


@compiled(fastmath=REORDER)
def _least_upper_points(scores, side, one, least):
    """Lower `least` to the upper bounds of a row of scores."""
    for j in range(scores.size):
        error = one.norm * side.error[j] + one.error * side.norm[j]
        upper = (one.high + side.high[j]) + error - as_float(scores[j]) * (one.step * side.step[j])
        least[j] = upper if upper < least[j] else least[j]


@compiled(fastmath=REORDER)
def _least_upper_directions(scores, side, one, least):
    """Lower `least` to the upper bounds of a row of scores, by (7) of `directions`."""
    for j in range(scores.size):
        error = one.norm * side.error[j] + one.error * side.norm[j]
        upper = (one.high + side.high[j]) + error - as_float(scores[j]) * (one.step * side.step[j])
        longer = one.length - side.length[j]
        upper = (upper - longer * longer * np.float32(0.5)) / (one.length * side.length[j])
        least[j] = upper if upper < least[j] else least[j]


@compiled()
def _least_upper(scores, side, one, least):
    """Lower `least` to the upper bounds of a row of scores."""
    if side.length.size:
        _least_upper_directions(scores, side, one, least)
    else:
        _least_upper_points(scores, side, one, least)


@compiled()
def lower_to_upper(tile, first_row, first_column, bounds, limit, least):
    """Lower `least`, (S, N), to the upper bounds of a tile, (M, N): of position p in line p modulo S."""
    M, N = tile.shape
    side = _side(bounds, bounds.group[first_row], slice(first_column, first_column + N), limit)
    for i in range(M):
        p = first_row + i
        line, own = least[p % len(least)], p - first_column
        kept = line[own] if 0 <= own < N else np.float32(0.0)
        _least_upper(tile[i], side, _one(bounds, bounds.group[first_column], p, limit), line)
        if 0 <= own < N:  # a point is not its own neighbor
            line[own] = kept


@compiled()
def limit_columns(least, k, limit):
    """Lower the limits of columns, (N,), to what k of their lines, (S, N), and few more are within."""
    for j in range(limit.size):
        limit[j] = min(limit[j], _cut(least[:, j].copy(), k))


@compiled()
def tighten(start, stop, k, scale, rows, nearest):
    """Lower the limits of positions start to stop to the k-th smallest distance that was measured."""
    ids, squared, filled, limit = nearest
    for p in range(start, stop):
        if filled[p] >= k:
            _tidy(p, k, scale, rows, ids, squared, filled, limit)
