"""The inner loops of the exact neighbor engine, compiled by numba.

Read `filter` first: it derives the bounds applied here. In the order of the work::

    offer_tile      a tile of scores  -> candidates of its rows and of its columns, by bounds
    tighten         fewer candidates, by bounds
    settle          fewer still, by exact distances

What is left of them is ranked in `ranking`.

Positions p, q number the U distinct points in the order of the filter; rows number the points of the caller. Every
kernel releases the interpreter's lock and runs on the thread that calls it: the caller decides how many there are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.search.compiled import compiled

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Places = NDArray[np.int32]
Ints = NDArray[np.int64]

CHUNK = 64  # scores looked at together: two cache lines of bfloat16, four vector registers of float32
ROOM = 16  # entries that a buffer must have free after it was tidied
TINY = np.float32(1e-37)  # more than float32 loses where it underflows
# Sums may be taken in any order. Infinities and comparisons keep their meaning.
REORDER = {"reassoc", "nsz", "contract"}


class Bounds(NamedTuple):
    """What turns a score into a lower and an upper bound of half a squared distance; derived in `filter`."""

    rows: Ints  # (U,) position -> row of points
    group: Places  # (U,) position -> group
    low: Floats  # (G, U) offset of a position toward a group, less its slack
    high: Floats  # (G, U) the same, plus its slack
    norm: Floats  # (U,) length of the residual
    weight: Floats  # (U,) sqrt(1 + g) times 1 + the relative error of the rounded residual
    output_error: np.float32  # relative rounding of the score itself


class Candidates(NamedTuple):
    """Per position, a buffer of the positions that may be among its k nearest. Bounds are of half squared distances."""

    ids: Places  # (U, B) positions; ~position once its distance is known
    lower: Floats  # (U, B)
    width: Floats  # (U,) upper bounds are at most this above lower bounds, for distances not yet known
    filled: Places  # (U,) entries in use
    limit: Floats  # (U,) no less than half the squared distance of the k-th nearest


@compiled()
def as_float(score):
    """Widen a score: bfloat16 travels as its bits, in uint16."""
    if isinstance(score, np.float32):
        return score
    return np.uint32(np.uint32(score) << np.uint32(16)).view(np.float32)


@compiled(fastmath=REORDER)
def squared_distance(x: Floats, y: Floats) -> float:
    """Sum of squared differences in float64: the same bits for (x, y) and for (y, x)."""
    total = 0.0
    for d in range(x.size):
        difference = np.float64(x[d]) - np.float64(y[d])
        total += difference * difference
    return total


@compiled()
def measure_rows(points, query, rows, start, stop, squared):
    """Write the squared distances of a query from rows[start:stop]."""
    for n in range(start, stop):
        squared[n] = squared_distance(points[rows[n]], query)


@compiled()
def tighten(p: int, k: int, candidates: Candidates) -> None:
    """Lower the limit of p to the k-th smallest upper bound; drop the candidates that lie beyond it."""
    ids, lower, count = candidates.ids[p], candidates.lower[p], candidates.filled[p]
    if count >= k:
        upper = np.empty(count, np.float32)
        for t in range(count):
            known = lower[t] * np.float32(1.0 + 2**-20) + np.float32(4.0) * TINY
            upper[t] = known if ids[t] < 0 else lower[t] + candidates.width[p]
        candidates.limit[p] = min(candidates.limit[p], np.partition(upper, k - 1)[k - 1])
    kept, limit = 0, candidates.limit[p]
    for t in range(count):  # without branches, which no processor could predict
        ids[kept], lower[kept] = ids[t], lower[t]
        kept += lower[t] <= limit
    candidates.filled[p] = kept


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
def settle(p, k, scale, points, rows, candidates):
    """Keep the k best candidates of p by exact distance."""
    ids = candidates.ids[p, : candidates.filled[p]].copy()
    squared = np.empty(ids.size)
    for t in range(ids.size):
        ids[t] = max(ids[t], ~ids[t])
        squared[t] = squared_distance(points[rows[p]], points[rows[ids[t]]])
    order = nearest_first(squared, ids, rows)[:k]
    for t in range(order.size):
        half = np.float32(squared[order[t]] * scale * scale * 0.5)
        candidates.ids[p, t] = ~ids[order[t]]
        candidates.lower[p, t] = half - half * np.float32(2**-22) - TINY
    candidates.filled[p] = order.size
    candidates.width[p] = 0.0
    tighten(p, k, candidates)


@compiled()
def _make_room(p, k, scale, points, rows, candidates):
    """Drop what is provably not among the k nearest; where the bounds prove too little, by exact distances."""
    tighten(p, k, candidates)
    if candidates.filled[p] > candidates.ids.shape[1] - ROOM:
        settle(p, k, scale, points, rows, candidates)


class Side(NamedTuple):
    """What stands along one side of a tile."""

    low: Floats  # (N,) offsets toward the group on the other side
    high: Floats  # (N,)
    norm: Floats  # (N,)
    limit: Floats  # (N,)


@compiled(fastmath=REORDER)
def _seed_limit(scores, side, high, reach, output_error, k):
    """Return an upper bound of the k-th smallest of a row: the k-th smallest of the minima of equal shares."""
    shares = min(scores.size, k + k // 4 + 8)
    least = np.full(shares, np.inf, np.float32)
    for start in range(0, scores.size - shares + 1, shares):
        part = slice(start, start + shares)
        some_scores, some_high, some_norm = scores[part], side.high[part], side.norm[part]
        for j in range(shares):
            score = as_float(some_scores[j])
            upper = high + some_high[j] - score + (output_error * abs(score) + reach * some_norm[j])
            least[j] = upper if upper < least[j] else least[j]
    return np.partition(least, k - 1)[k - 1]


@compiled(fastmath=REORDER)
def _skim(scores, side, low, limit, reach, output_error, chunks):
    """List the chunks of a row that hold a lower bound within the limit of the row or of its column; return how many.

    Nearly all chunks hold none, and a count over a fixed number of scores is what compilers turn into vector code.
    """
    found = 0
    whole = scores.size // CHUNK
    for c in range(whole):
        part = slice(c * CHUNK, (c + 1) * CHUNK)
        chunk_scores, chunk_low = scores[part], side.low[part]
        chunk_norm, chunk_limit = side.norm[part], side.limit[part]
        within = np.int32(0)
        for j in range(CHUNK):
            score = as_float(chunk_scores[j])
            widest = chunk_limit[j] if chunk_limit[j] > limit else limit
            lower = low + chunk_low[j] - score - (output_error * abs(score) + reach * chunk_norm[j])
            within += np.int32(lower <= widest)
        if within:
            chunks[found] = c
            found += 1
    if scores.size % CHUNK:  # what is left over is looked at in any case
        chunks[found] = whole
        found += 1
    return found


@compiled()
def offer_tile(tile, first_row, first_column, k, scale, points, bounds, candidates):
    """Offer every pair of a tile to both of its points.

    Parameters
    ----------
    tile : ndarray of shape (M, N), float32, or uint16 holding the bits of bfloat16
        Scores of positions first_row + i, all of one group, with positions first_column + j, all of one group.
        On the diagonal (first_row == first_column) each pair stands twice, and is offered to its row alone.
    scale : float
        Of the filter: half squared distances in `candidates` are of points times this.
    """
    M, N = tile.shape
    # Taken apart once: every access to an array inside a tuple counts a reference, and that would double the time.
    ids, lowers, widths, filled, limit = candidates
    rows, group, lows, highs, norms, weights, o = bounds
    a, b = group[first_row], group[first_column]
    columns = slice(first_column, first_column + N)
    side_low, side_high, side_norm = lows[a, columns], highs[a, columns], norms[columns]
    diagonal = first_row == first_column
    side_limit = np.full(N, -np.inf, np.float32) if diagonal else limit[columns]
    side = Side(side_low, side_high, side_norm, side_limit)
    spread = weights[first_row : first_row + M].max() * weights[columns].max() - np.float32(1.0)
    chunks = np.empty(N // CHUNK + 1, np.int64)
    room = ids.shape[1]
    for i in range(M):
        p = first_row + i
        low, high, reach = lows[b, p], highs[b, p], norms[p] * spread
        if limit[p] == np.inf and k + 1 < N:
            limit[p] = _seed_limit(tile[i], side, high, reach, o, k + diagonal)  # p itself is on the diagonal
        for c in range(_skim(tile[i], side, low, limit[p], reach, o, chunks)):
            start = chunks[c] * CHUNK
            for j in range(start, min(start + CHUNK, N)):
                score = as_float(tile[i, j])
                error = o * abs(score) + reach * side_norm[j]
                lower = low + side_low[j] - score - error
                if lower > limit[p] and lower > side_limit[j]:
                    continue
                q = first_column + j
                width = high + side_high[j] - score + error - lower
                if lower <= limit[p] and p != q:
                    if filled[p] == room:
                        _make_room(p, k, scale, points, rows, candidates)
                    t = filled[p]
                    ids[p, t], lowers[p, t], widths[p], filled[p] = q, lower, max(widths[p], width), t + 1
                if lower <= side_limit[j]:
                    if filled[q] == room:
                        _make_room(q, k, scale, points, rows, candidates)
                    t = filled[q]
                    ids[q, t], lowers[q, t], widths[q], filled[q] = p, lower, max(widths[q], width), t + 1
