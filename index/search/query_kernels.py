"""The inner loops of a sweep whose rows are queries and whose columns are points; `kernels` are those of the graph.

Only a query has a limit and a list. Read `filter` first: it derives the bounds applied here.
"""

import numpy as np

from index.compiled import compiled
from index.search.kernels import REORDER, as_float, keep_within, nearest_first

WORD = 8  # flags that are looked at together
ABREAST = 4  # points that are measured together


@compiled(fastmath=REORDER)
def _lower_bounds(scores, low, norm, error, step, own_low, own_norm, own_error, own_step, limit, flags):
    """Flag the points of a row of scores whose lower bound is within the limit."""
    for j in range(scores.size):
        lost = own_norm * error[j] + own_error * norm[j]
        lower = (own_low + low[j]) - lost - as_float(scores[j]) * (own_step * step[j])
        flags[j] = lower <= limit


@compiled(fastmath=REORDER)
def _upper_bounds(scores, high, norm, error, step, own_high, own_norm, own_error, own_step, upper):
    """Write the upper bounds of a row of scores."""
    for j in range(scores.size):
        lost = own_norm * error[j] + own_error * norm[j]
        upper[j] = (own_high + high[j]) + lost - as_float(scores[j]) * (own_step * step[j])


@compiled(fastmath=REORDER)
def _measure(query, points, rows, squared):
    """Write the squared distances of a query from ABREAST rows: sums that do not wait for each other."""
    b0, b1, b2, b3 = rows[0], rows[1], rows[2], rows[3]
    s0 = s1 = s2 = s3 = 0.0
    for d in range(query.size):
        x = np.float64(query[d])
        difference = x - np.float64(points[b0, d])
        s0 += difference * difference
        difference = x - np.float64(points[b1, d])
        s1 += difference * difference
        difference = x - np.float64(points[b2, d])
        s2 += difference * difference
        difference = x - np.float64(points[b3, d])
        s3 += difference * difference
    squared[0], squared[1], squared[2], squared[3] = s0, s1, s2, s3


@compiled()
def _tidy(p, k, scale, rows, nearest):
    """Keep the k nearest so far of a query, equal distances by row, and lower its limit to what is kept."""
    ids, squared, filled, limit = nearest
    cut = np.partition(squared[p, : filled[p]].copy(), k - 1)[k - 1]
    keep_within(p, cut, ids, squared, filled)
    if filled[p] > k:
        order = nearest_first(squared[p, : filled[p]].copy(), ids[p], rows)[:k]
        ids[p, :k], squared[p, :k] = ids[p][order], squared[p][order]
        filled[p] = k
    limit[p] = min(limit[p], np.float32(cut * scale * scale * 0.5 * (1.0 + 2.0**-22) + 1e-37))


@compiled()
def _note(p, count, positions, measured, k, scale, rows, nearest):
    """Note how far the first `count` positions are from a query, if they may be among its k nearest."""
    ids, squared, filled, limit = nearest
    for n in range(count):
        if measured[n] * scale * scale * 0.5 <= limit[p]:
            if filled[p] == ids.shape[1]:
                _tidy(p, k, scale, rows, nearest)
            ids[p, filled[p]], squared[p, filled[p]] = positions[n], measured[n]
            filled[p] += 1


@compiled()
def offer_to_queries(tile, first_query, first_column, k, scale, queries, points, asked, bounds, nearest):
    """Measure the points of a tile that may be among the k nearest of its queries, and note their distances.

    Scores, (M, N), are of queries first_query + i with positions first_column + j, all of one group.
    """
    M, N = tile.shape
    columns = slice(first_column, first_column + N)
    group = bounds.group[first_column]
    norm, error, step = bounds.norm[columns], bounds.error[columns], bounds.step[columns]
    flags = np.zeros((N + WORD - 1) // WORD * WORD, np.uint8)
    words = flags.view(np.uint64)
    upper = np.empty(N, np.float32)
    positions, rows, squared = np.empty(ABREAST, np.int64), np.zeros(ABREAST, np.int64), np.empty(ABREAST)
    for i in range(M):
        p = first_query + i
        own = asked.group[p]
        own_norm, own_error, own_step = asked.norm[p], asked.error[p], asked.step[p]
        if nearest.limit[p] == np.inf and k <= N:
            high = bounds.high[own, columns]
            _upper_bounds(tile[i], high, norm, error, step, asked.high[group, p], own_norm, own_error, own_step, upper)
            nearest.limit[p] = np.partition(upper, k - 1)[k - 1]
        low, limit = bounds.low[own, columns], nearest.limit[p]
        _lower_bounds(
            tile[i], low, norm, error, step, asked.low[group, p], own_norm, own_error, own_step, limit, flags[:N]
        )
        count = 0
        for w in range(words.size):
            if words[w]:
                for j in range(WORD * w, WORD * w + WORD):
                    if flags[j]:
                        positions[count], rows[count] = first_column + j, bounds.rows[first_column + j]
                        count += 1
                        if count == ABREAST:
                            _measure(queries[p], points, rows, squared)
                            _note(p, count, positions, squared, k, scale, bounds.rows, nearest)
                            count = 0
        if count:
            _measure(queries[p], points, rows, squared)
            _note(p, count, positions, squared, k, scale, bounds.rows, nearest)


@compiled()
def rank_queries(start, stop, k, rows, nearest, found, squared):
    """Write the rows and squared distances of the k nearest of queries start to stop."""
    for p in range(start, stop):
        ids, kept = nearest.ids[p, : nearest.filled[p]], nearest.squared[p, : nearest.filled[p]].copy()
        order = nearest_first(kept, ids, rows)[:k]
        squared[p] = kept[order]
        found[p] = rows[ids[order]]
