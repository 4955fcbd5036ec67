"""The inner loops of the exact neighbor engine, compiled by numba.

Read `filter` first: it derives the bounds applied here. In the order of the work::

    offer_tile      a tile of scores -> the pairs whose lower bound is within the limit of either point, measured;
                    the nearest so far of its rows and of its columns

First limits come from `limits`; what is left is ranked in `ranking`.

Positions p, q number the U distinct points in the order of the filter; rows number the points of the caller. Every
kernel releases the interpreter's lock and runs on the thread that calls it: the caller decides how many there are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.compiled import compiled

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Places = NDArray[np.int32]
Ints = NDArray[np.int64]

WORD = 8  # flags that are looked at together
ABREAST = 4  # pairs that are measured together
FEW = 8  # entries more than k that a buffer keeps when room is made
BISECTIONS = 30
# Sums may be taken in any order. Infinities and comparisons keep their meaning.
REORDER = {"reassoc", "nsz", "contract"}


class Bounds(NamedTuple):
    """What turns a score into a lower and an upper bound of half a squared distance; derived in `filter`."""

    rows: Ints  # (U,) position -> row of points
    group: Places  # (U,) position -> group
    low: Floats  # (G, U) A toward a group, less its slack
    high: Floats  # (G, U) the same, plus its slack
    norm: Floats  # (U,) n: length of the residual
    error: Floats  # (U,) e: how far rounding moved it, and what sums lose
    step: Floats  # (U,) c: what one unit of the rounded residual stands for
    length: Floats  # (U,) l: of what each direction is that of; (0,) where distances are of the points themselves


class Nearest(NamedTuple):
    """Per position, those of the positions it was measured against that may be among its k nearest."""

    ids: Places  # (U, B) positions, in no order
    squared: Doubles  # (U, B) squared distances
    filled: Places  # (U,) entries in use
    limit: Floats  # (U,) no less than half the squared distance, scaled, of the k-th nearest


@compiled()
def as_float(score):
    """Widen a score: bfloat16 travels as its bits, in uint16."""
    if isinstance(score, np.uint16):
        return np.uint32(np.uint32(score) << np.uint32(16)).view(np.float32)
    return np.float32(score)


@compiled(fastmath=REORDER)
def squared_distance(x: Floats, y: Floats) -> float:
    """Sum of squared differences in float64: the same bits for (x, y) and for (y, x)."""
    total = 0.0
    for d in range(x.size):
        difference = np.float64(x[d]) - np.float64(y[d])
        total += difference * difference
    return total


@compiled()
def nearest_first(squared: Doubles, ids: Places, rows: Ints) -> Ints:
    """Order by distance, equal distances by row."""
    order = np.argsort(squared)
    for n in range(1, order.size):
        moved, m = order[n], n
        while m > 0 and squared[order[m - 1]] == squared[moved] and rows[ids[order[m - 1]]] > rows[ids[moved]]:
            order[m] = order[m - 1]
            m -= 1
        order[m] = moved
    return order


@compiled()
def _cut(values, k):
    """Return a value that k and at most FEW more of the values are within, or the k-th smallest where ties allow none.

    By bisection: counting takes no branch, so it is vector code, and selection is not.
    """
    low, high = values.min(), values.max()
    for _ in range(BISECTIONS):
        middle = (low + high) * 0.5
        count = np.int64(0)
        for value in values:
            count += value <= middle
        if count < k:
            low = middle
        elif count > k + FEW:
            high = middle
        else:
            return middle
    return np.partition(values, k - 1)[k - 1]


@compiled()
def keep_within(p, cut, ids, squared, filled):
    """Drop the entries of p that are further than `cut`."""
    kept = 0
    for t in range(filled[p]):  # without branches, which no processor could predict
        q, value = ids[p, t], squared[p, t]
        ids[p, kept], squared[p, kept] = q, value
        kept += value <= cut
    filled[p] = kept


@compiled()
def _tidy(p, k, scale, rows, ids, squared, filled, limit):
    """Make room among the nearest so far of p, by distance, too many ties by row; lower its limit to what is kept."""
    cut = _cut(squared[p, : filled[p]], k)
    keep_within(p, cut, ids, squared, filled)
    if filled[p] > k + FEW:
        order = nearest_first(squared[p, : filled[p]], ids[p], rows)[:k]
        ids[p, :k], squared[p, :k] = ids[p][order], squared[p][order]
        filled[p] = k
    limit[p] = min(limit[p], np.float32(cut * scale * scale * 0.5 * (1.0 + 2.0**-22) + 1e-37))


@compiled(fastmath=REORDER)
def _measure(points, a, b, squared):
    """Write the squared distances of ABREAST pairs of rows: sums that do not wait for each other."""
    a0, a1, a2, a3 = a[0], a[1], a[2], a[3]
    b0, b1, b2, b3 = b[0], b[1], b[2], b[3]
    s0 = s1 = s2 = s3 = 0.0
    for d in range(points.shape[1]):
        difference = np.float64(points[a0, d]) - np.float64(points[b0, d])
        s0 += difference * difference
        difference = np.float64(points[a1, d]) - np.float64(points[b1, d])
        s1 += difference * difference
        difference = np.float64(points[a2, d]) - np.float64(points[b2, d])
        s2 += difference * difference
        difference = np.float64(points[a3, d]) - np.float64(points[b3, d])
        s3 += difference * difference
    squared[0], squared[1], squared[2], squared[3] = s0, s1, s2, s3


@compiled()
def measure_pairs(points, a, b, squared):
    """Write the squared distances of pairs of rows, (n,) each, to the bit as the graph has them."""
    some_a, some_b, some = np.empty(ABREAST, np.int64), np.empty(ABREAST, np.int64), np.empty(ABREAST)
    for start in range(0, a.size, ABREAST):
        for t in range(ABREAST):
            n = min(start + t, a.size - 1)
            some_a[t], some_b[t] = a[n], b[n]
        _measure(points, some_a, some_b, some)
        squared[start : start + ABREAST] = some[: a.size - start]


@compiled()
def _note(count, ps, qs, measured, k, scale, rows, ids, squared, filled, limit):
    """Note that the first `count` of p and q are this far from each other, if it matters to either."""
    for n in range(2 * count):
        p, q, value = ps[n >> 1], qs[n >> 1], measured[n >> 1]
        if n & 1:
            p, q = q, p
        if value * scale * scale * 0.5 <= limit[p]:
            if filled[p] == ids.shape[1]:
                _tidy(p, k, scale, rows, ids, squared, filled, limit)
            t = filled[p]
            ids[p, t], squared[p, t], filled[p] = q, value, t + 1


class Side(NamedTuple):
    """What stands along one side of a tile: the columns of the arrays of `Bounds`, as its other side sees them."""

    low: Floats  # (N,)
    high: Floats  # (N,)
    norm: Floats  # (N,)
    error: Floats  # (N,)
    step: Floats  # (N,)
    length: Floats  # (N,)
    limit: Floats  # (N,)


class One(NamedTuple):
    """The same of a single position on the other side."""

    low: np.float32
    high: np.float32
    norm: np.float32
    error: np.float32
    step: np.float32
    length: np.float32
    limit: np.float32


@compiled()
def _side(bounds, group, columns, limit):
    _rows, _groups, low, high, norm, error, step, length = bounds
    return Side(
        low[group, columns],
        high[group, columns],
        norm[columns],
        error[columns],
        step[columns],
        length[columns],
        limit[columns],
    )


@compiled()
def _one(bounds, group, p, limit):
    _rows, _groups, low, high, norm, error, step, length = bounds
    return One(
        low[group, p],
        high[group, p],
        norm[p],
        error[p],
        step[p],
        length[p] if length.size else np.float32(1.0),
        limit[p],
    )


@compiled(fastmath=REORDER)
def _flag_points(scores, side, one, flags):
    """Flag the lower bounds of a row that are within the limit of the row or of their column."""
    # Taken apart once: every access to an array inside a tuple counts a reference.
    low, _high, norm, error, step, _length, limit = side
    for j in range(scores.size):
        lost = one.norm * error[j] + one.error * norm[j]
        lower = (one.low + low[j]) - lost - as_float(scores[j]) * (one.step * step[j])
        flags[j] = lower <= (limit[j] if limit[j] > one.limit else one.limit)


@compiled(fastmath=REORDER)
def _flag_directions(scores, side, one, flags):
    """Flag the lower bounds of a row as `_flag_points` does, by (7) of `directions`."""
    low, _high, norm, error, step, length, limit = side
    for j in range(scores.size):
        lost = one.norm * error[j] + one.error * norm[j]
        lower = (one.low + low[j]) - lost - as_float(scores[j]) * (one.step * step[j])
        longer = one.length - length[j]
        within = limit[j] if limit[j] > one.limit else one.limit
        flags[j] = lower - longer * longer * np.float32(0.5) <= within * (one.length * length[j])


@compiled()
def _flag(scores, side, one, flags):
    """Flag the lower bounds of a row that are within the limit of the row or of their column."""
    if side.length.size:
        _flag_directions(scores, side, one, flags)
    else:
        _flag_points(scores, side, one, flags)


@compiled()
def _flagged(flags, words, found):
    """List where the flags are; return how many. Nearly all words are zero."""
    count = 0
    for w in range(words.size):
        if words[w]:
            for j in range(WORD * w, WORD * w + WORD):
                found[count] = j
                count += flags[j]
    return count


@compiled()
def offer_tile(tile, first_row, first_column, k, scale, points, bounds, within, nearest, seen):
    """Measure the pairs of a tile whose lower bound is within what either of its points allows; note their distances.

    Parameters
    ----------
    tile : ndarray of shape (M, N), int32, float32, or uint16 holding the bits of bfloat16
        Scores of positions first_row + i, all of one group, with positions first_column + j, all of one group.
        Where a pair stands twice, as on the diagonal, it is looked at once: with the column behind the row.
    scale : float
        Of the filter: limits are of points times this.
    within : ndarray of shape (U,)
        What each point allows: `nearest.limit`, where no neighbor may be missed.
    seen : ndarray of shape (M, N / WORD, rounded up), uint64, or of no rows
        A byte for each pair, set for those that were measured: they are left out, and others are added.
    """
    M, N = tile.shape
    rows = bounds.rows
    ids, distances, filled, limit = nearest
    side = _side(bounds, bounds.group[first_row], slice(first_column, first_column + N), within)
    flags = np.zeros((N + WORD - 1) // WORD * WORD, np.uint8)
    words = flags.view(np.uint64)
    found = np.empty(flags.size + 1, np.int64)
    pairs, squared = np.zeros((4, ABREAST), np.int64), np.empty(ABREAST)
    ps, qs, a, b = pairs[0], pairs[1], pairs[2], pairs[3]
    measured = count = 0
    for i in range(M):
        _flag(tile[i], side, _one(bounds, bounds.group[first_column], first_row + i, within), flags)
        if len(seen):
            for w in range(words.size):
                words[w] &= ~seen[i, w]
                seen[i, w] |= words[w]
        for n in range(_flagged(flags, words, found)):
            if first_column + found[n] <= first_row + i:
                continue
            ps[count], qs[count] = first_row + i, first_column + found[n]
            a[count], b[count] = rows[ps[count]], rows[qs[count]]
            count += 1
            if count == ABREAST:
                _measure(points, a, b, squared)
                _note(count, ps, qs, squared, k, scale, rows, ids, distances, filled, limit)
                measured, count = measured + count, 0
    _measure(points, a, b, squared)
    _note(count, ps, qs, squared, k, scale, rows, ids, distances, filled, limit)
    return measured + count
