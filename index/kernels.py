"""The inner loops of the exact neighbor engine, compiled by numba.

Read `filtering` first: it derives the bounds applied here. In the order of the work::

    offer_tile      a tile of scores               -> candidates of its rows and of its columns
    rank_block      the candidates of some points  -> their exact distances, their neighbors

Positions p, q number the U distinct points in the order of the filter; rows number the points of the caller. Every
kernel releases the interpreter's lock and runs on the thread that calls it: the caller decides how many there are.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Places = NDArray[np.int32]
Ints = NDArray[np.int64]

CHUNK = 64  # scores looked at together: two cache lines of bfloat16, four vector registers of float32
ROOM = 32  # entries that a buffer must have free after it was tidied
TINY = np.float32(1e-37)  # more than float32 loses where it underflows
# Sums may be taken in any order. Infinities and comparisons keep their meaning.
REORDER = {"reassoc", "nsz", "contract"}


class Bounds(NamedTuple):
    """What turns a score into a lower and an upper bound of half a squared distance; derived in `filtering`."""

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
    used: Places  # (U,) entries in use
    limit: Floats  # (U,) no less than half the squared distance of the k-th nearest


@njit(nogil=True, cache=True)
def _as_float(score):  # type: ignore[no-untyped-def]
    """Widen a score: bfloat16 travels as its bits, in uint16."""
    if isinstance(score, np.float32):
        return score
    return np.uint32(np.uint32(score) << np.uint32(16)).view(np.float32)


@njit(nogil=True, cache=True, fastmath=REORDER)
def squared_distance(x: Floats, y: Floats) -> float:
    """Sum of squared differences in float64: the same bits for (x, y) and for (y, x)."""
    total = 0.0
    for d in range(x.size):
        difference = np.float64(x[d]) - np.float64(y[d])
        total += difference * difference
    return total


@njit(nogil=True, cache=True)
def _tighten(p: int, k: int, candidates: Candidates) -> None:
    """Lower the limit of p to the k-th smallest upper bound; drop the candidates that lie beyond it."""
    ids, lower, count = candidates.ids[p], candidates.lower[p], candidates.used[p]
    if count >= k:
        upper = np.empty(count, np.float32)
        for t in range(count):
            known = lower[t] * np.float32(1.0 + 2**-20) + TINY
            upper[t] = known if ids[t] < 0 else lower[t] + candidates.width[p]
        candidates.limit[p] = min(candidates.limit[p], np.partition(upper, k - 1)[k - 1])
    kept = 0
    for t in range(count):
        if lower[t] <= candidates.limit[p]:
            ids[kept], lower[kept] = ids[t], lower[t]
            kept += 1
    candidates.used[p] = kept


@njit(nogil=True, cache=True)
def _nearest_first(squared: Doubles, ids: Places, rows: Ints) -> Ints:
    """Order by distance, equal distances by row."""
    order = np.argsort(squared)
    for n in range(1, order.size):
        moved, m = order[n], n
        while m > 0 and squared[order[m - 1]] == squared[moved] and rows[ids[order[m - 1]]] > rows[ids[moved]]:
            order[m] = order[m - 1]
            m -= 1
        order[m] = moved
    return order


@njit(nogil=True, cache=True)
def _settle(p, k, scale, points, rows, candidates):  # type: ignore[no-untyped-def]
    """Keep the k best candidates of p by exact distance."""
    ids = candidates.ids[p, : candidates.used[p]].copy()
    squared = np.empty(ids.size)
    for t in range(ids.size):
        ids[t] = max(ids[t], ~ids[t])
        squared[t] = squared_distance(points[rows[p]], points[rows[ids[t]]])
    order = _nearest_first(squared, ids, rows)[:k]
    for t in range(order.size):
        half = np.float32(squared[order[t]] * scale * scale * 0.5)
        candidates.ids[p, t] = ~ids[order[t]]
        candidates.lower[p, t] = half - half * np.float32(2**-22) - TINY
    candidates.used[p] = order.size
    candidates.width[p] = 0.0
    _tighten(p, k, candidates)


@njit(nogil=True, cache=True)
def _make_room(p, k, scale, points, rows, candidates):  # type: ignore[no-untyped-def]
    """Drop what is provably not among the k nearest; where the bounds prove too little, by exact distances."""
    _tighten(p, k, candidates)
    if candidates.used[p] > candidates.ids.shape[1] - ROOM:
        _settle(p, k, scale, points, rows, candidates)


@njit(nogil=True, cache=True, fastmath=REORDER)
def _seed_limit(scores, norms, high, offset, reach, k, output_error):  # type: ignore[no-untyped-def]
    """Return an upper bound of the k-th smallest of a row: the k-th smallest of the minima of strided shares of it."""
    shares = min(scores.size, k + k // 4 + 8)
    least = np.full(shares, np.inf, np.float32)
    for start in range(0, scores.size - shares + 1, shares):
        for j in range(shares):
            score = _as_float(scores[start + j])
            upper = offset + high[start + j] - score + output_error * abs(score) + reach * norms[start + j]
            least[j] = upper if upper < least[j] else least[j]
    return np.partition(least, k - 1)[k - 1]


@njit(nogil=True, cache=True, fastmath=REORDER)
def _skim(scores, norms, low, limits, offset, reach, limit, output_error, chunks):  # type: ignore[no-untyped-def]
    """List the chunks of a row that hold a lower bound within the limit of the row or of its column; return how many.

    Nearly all chunks hold none, and a count over a fixed number of scores is what compilers turn into vector code.
    """
    found = 0
    whole = scores.size // CHUNK
    for c in range(whole):
        start, stop = c * CHUNK, (c + 1) * CHUNK
        chunk_scores, chunk_norms, chunk_low = scores[start:stop], norms[start:stop], low[start:stop]
        chunk_limits = limits[start:stop]
        within = np.int32(0)
        for j in range(CHUNK):
            score = _as_float(chunk_scores[j])
            widest = chunk_limits[j] if chunk_limits[j] > limit else limit
            lower = offset + chunk_low[j] - score - output_error * abs(score) - reach * chunk_norms[j]
            within += np.int32(lower <= widest)
        if within:
            chunks[found] = c
            found += 1
    if scores.size % CHUNK:  # what is left over is looked at in any case
        chunks[found] = whole
        found += 1
    return found


@njit(nogil=True, cache=True, fastmath=REORDER)
def _intervals(  # type: ignore[no-untyped-def]
    scores, norms, low, high, own_low, own_high, reach, output_error, lower, upper
):
    """Write the lower and upper bounds of a chunk."""
    for j in range(scores.size):
        score = _as_float(scores[j])
        error = output_error * abs(score) + reach * norms[j]
        lower[j] = own_low + low[j] - score - error
        upper[j] = own_high + high[j] - score + error


@njit(nogil=True, cache=True)
def offer_tile(tile, first_row, first_column, k, scale, points, bounds, candidates):  # type: ignore[no-untyped-def]
    """Offer every pair of a tile to both of its points.

    Parameters
    ----------
    tile : ndarray of shape (M, N), float32, or uint16 holding the bits of bfloat16
        Scores of positions first_row + i, all of one group, with positions first_column + j, all of one group.
        On the diagonal (first_row == first_column) each pair stands twice and is offered once each way.
    scale : float
        Of the filter: half squared distances in `candidates` are of points times this.
    """
    M, N = tile.shape
    ids, lowers, widths, count, limits = candidates
    diagonal = first_row == first_column
    a, b = bounds.group[first_row], bounds.group[first_column]
    columns = slice(first_column, first_column + N)
    norms, low, high = bounds.norm[columns], bounds.low[a, columns], bounds.high[a, columns]
    column_limits = np.full(N, -np.inf, np.float32) if diagonal else limits[columns]
    spread = bounds.weight[first_row : first_row + M].max() * bounds.weight[columns].max() - np.float32(1.0)
    lower = np.empty(CHUNK, np.float32)
    upper = np.empty(CHUNK, np.float32)
    chunks = np.empty(N // CHUNK + 1, np.int64)
    for i in range(M):
        p = first_row + i
        reach = bounds.norm[p] * spread
        if limits[p] == np.inf and k + 1 < N:
            # On the diagonal p itself is in the row, at distance zero: one more makes k others.
            limits[p] = _seed_limit(tile[i], norms, high, bounds.high[b, p], reach, k + diagonal, bounds.output_error)
        found = _skim(
            tile[i], norms, low, column_limits, bounds.low[b, p], reach, limits[p], bounds.output_error, chunks
        )
        for j in chunks[:found] * CHUNK:
            n = min(CHUNK, N - j)
            c = slice(j, j + n)
            _intervals(
                tile[i, c],
                norms[c],
                low[c],
                high[c],
                bounds.low[b, p],
                bounds.high[b, p],
                reach,
                bounds.output_error,
                lower,
                upper,
            )
            for t in range(n):
                q = first_column + j + t
                if lower[t] <= limits[p] and p != q:
                    if count[p] == ids.shape[1]:
                        _make_room(p, k, scale, points, bounds.rows, candidates)
                    if lower[t] <= limits[p]:
                        ids[p, count[p]], lowers[p, count[p]] = q, lower[t]
                        widths[p] = max(widths[p], upper[t] - lower[t])
                        count[p] += 1
                if lower[t] <= column_limits[j + t]:
                    if count[q] == ids.shape[1]:
                        _make_room(q, k, scale, points, bounds.rows, candidates)
                    if lower[t] <= limits[q]:
                        ids[q, count[q]], lowers[q, count[q]] = p, lower[t]
                        widths[q] = max(widths[q], upper[t] - lower[t])
                        count[q] += 1


class Twins(NamedTuple):
    """Which rows each position stands for."""

    members: Ints  # (V,) rows, by position, ascending within one
    offsets: Ints  # (U + 1,) those of position p are members[offsets[p] : offsets[p + 1]]


class Lists(NamedTuple):
    """The graph being written; its fields are those of `neighbors.KnnGraph`."""

    ids: Places  # (V, k)
    distances: Floats  # (V, k)
    distinct_distances: Floats  # (V, k)


@njit(nogil=True, cache=True)
def _exact_distances(start: int, stop: int, points: Floats, rows: Ints, candidates: Candidates) -> Doubles:
    """Squared distances of all candidates of a block, (stop - start, B).

    This waits for memory, so it goes through the points in their order, with the block's own in the cache.
    """
    squared = np.empty((stop - start, candidates.ids.shape[1]))
    ends = np.zeros(rows.size + 1, np.int64)
    for p in range(start, stop):
        for t in range(candidates.used[p]):
            ends[candidates.ids[p, t] + 1] += 1
    ends = np.cumsum(ends)
    pairs = np.empty((ends[-1], 2), np.int32)
    for p in range(start, stop):
        for t in range(candidates.used[p]):
            q = candidates.ids[p, t]
            pairs[ends[q], 0], pairs[ends[q], 1] = p, t
            ends[q] += 1
    for n in range(len(pairs)):
        p, t = pairs[n]
        squared[p - start, t] = squared_distance(points[rows[p]], points[rows[candidates.ids[p, t]]])
    return squared


@njit(nogil=True, cache=True)
def rank_block(start, stop, k, points, rows, candidates, twins, lists):  # type: ignore[no-untyped-def]
    """Turn the candidates of positions start to stop into the neighbor lists of all their rows."""
    for p in range(start, stop):
        _tighten(p, k, candidates)
        for t in range(candidates.used[p]):
            candidates.ids[p, t] = max(candidates.ids[p, t], ~candidates.ids[p, t])
    squared = _exact_distances(start, stop, points, rows, candidates)
    for p in range(start, stop):
        ids = candidates.ids[p, : candidates.used[p]]
        order = _nearest_first(squared[p - start, : ids.size], ids, rows)[:k]
        _write_lists(p, ids[order], squared[p - start][order], twins, lists)


@njit(nogil=True, cache=True)
def _write_lists(p, ids, squared, twins, lists):  # type: ignore[no-untyped-def]
    """Write the lists of the rows of p: every row of a near position is a neighbor, and so are p's other rows."""
    k = lists.ids.shape[1]
    near = np.empty(k + 1, np.int64)  # one more than asked for, because each row leaves itself out
    near_squared = np.empty(k + 1)
    filled = 0
    for t in range(-1, ids.size):  # p itself, at distance 0, then its neighbors
        q = p if t < 0 else ids[t]
        distance = 0.0 if t < 0 else squared[t]
        for row in twins.members[twins.offsets[q] : twins.offsets[q + 1]]:
            at = filled  # among equal distances, the rows of different positions interleave
            while at > 0 and near_squared[at - 1] == distance and near[at - 1] > row:
                at -= 1
            if at > k:
                break
            last = min(filled, k)
            near[at + 1 : last + 1] = near[at:last].copy()
            near_squared[at + 1 : last + 1] = near_squared[at:last].copy()
            near[at], near_squared[at] = row, distance
            filled = last + 1
        if filled > k and t + 1 < ids.size and squared[t + 1] > distance:
            break
    for row in twins.members[twins.offsets[p] : twins.offsets[p + 1]]:
        n = 0
        for t in range(filled):
            if near[t] != row and n < k:
                lists.ids[row, n], lists.distances[row, n] = near[t], np.float32(np.sqrt(near_squared[t]))
                n += 1
        for t in range(min(k, ids.size)):
            lists.distinct_distances[row, t] = np.float32(np.sqrt(squared[t]))
        lists.distinct_distances[row, ids.size :] = np.inf


@njit(nogil=True, cache=True)
def hash_rows(points: Floats) -> NDArray[np.uint64]:
    """One number per row, equal for rows of equal values."""
    hashes = np.empty(len(points), np.uint64)
    for row in range(len(points)):
        state = np.uint64(0xCBF29CE484222325)
        for value in points[row]:
            bits = np.uint64(np.float32(value + np.float32(0.0)).view(np.uint32))  # -0.0 + 0.0 is 0.0
            state = (state ^ bits) * np.uint64(0x9E3779B97F4A7C15)
            state ^= state >> np.uint64(29)
        hashes[row] = state
    return hashes


@njit(nogil=True, cache=True)
def first_twins(points: Floats, hashes: NDArray[np.uint64], order: Ints) -> Ints:
    """For each row, the first row that holds the same values; `order` sorts the hashes, equal ones by row."""
    first = np.arange(len(points))
    run = 0  # where the present run of equal hashes begins
    for n in range(len(order)):
        row = order[n]
        if hashes[row] != hashes[order[run]]:
            run = n
        for other in order[run:n]:
            if first[other] == other and np.all(points[other] == points[row]):
                first[row] = other
                break
    return first
