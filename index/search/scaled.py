"""How many neighbor lists each token is in when neighbors are ranked by CSLS or by mutual proximity: exactly.

Such a list may hold any token, however far away it is: in SmolLM2 the 100 nearest by distance, and all tokens that a
token is among the 100 nearest of, are certain to hold the 30 nearest by CSLS of one token in twenty. So every point is
measured from every other, in float32 first, and what a bound on that error does not exclude in float64.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from index.compiled import compiled
from index.measures.lists import NeighborLists
from index.measures.scaling import CSLS_NEIGHBORS, as_far, farness, moments
from index.progress import Share
from index.search.graph import core_count
from index.search.kernels import measure_pairs
from index.search.scores import FLOAT32, make_product

CSLS, MUTUAL_PROXIMITY = "csls", "mutual_proximity"

TIED = 1e-9
"""Scores closer than that, as a share of them, float64 does not tell apart; those of twins are equal."""

_TILE_BYTES = 1 << 26
_MOST_ROWS = 512
_SPARE = 64  # pairs of a row that there is room for at first


@dataclass(frozen=True, eq=False)
class _Points:
    """The U points that tokens stand at, and how far from others they are."""

    points: np.ndarray  # (U, D) float32, scaled by a power of two to lengths of 1 at most
    weights: np.ndarray  # (U,) tokens that stand there
    lengths: np.ndarray  # (U,) squared, float64
    near: np.ndarray  # (U,) mean squared distance to the nearest tokens
    mean: np.ndarray  # (U,) of the squared distances to all other tokens
    inverse: np.ndarray  # (U,) 1 / their standard deviation; 0 where that is infinite
    slack: np.ndarray  # (U,) how far off a squared distance from this point may be, from a product in float32


def scaled_hubness(
    lists: NeighborLists, points: np.ndarray, k: int, progress: Share | None = None
) -> dict[str, np.ndarray]:
    """Return in how many lists of k each token is, (V,) float64, by CSLS and by mutual proximity.

    Points are (V, D) float32, those that the lists are of; a token without a point is in none. Tokens that tie for the
    last places of a list share them, as twins do. Scores are of float64, from the points as they are.
    """
    rows = np.flatnonzero((lists.groups == np.arange(len(lists.groups))) & (lists.ids[:][:, 0] >= 0))
    found = _points(lists, points, rows)
    k = min(k, lists.placed - 1)
    counts = np.zeros((2, len(rows)))
    height = int(np.clip(_TILE_BYTES // (4 * len(rows)), 16, _MOST_ROWS))
    product = make_product(found.points, found.points, FLOAT32, "cpu")
    everything = slice(0, len(rows))

    def swept(start: int) -> tuple[np.ndarray, np.ndarray]:
        where = slice(start, min(start + height, len(rows)))
        return _counted(found, where, product(where, everything), k)

    starts = range(0, len(rows), height)
    with ThreadPoolExecutor(core_count()) as pool:
        for done, parts in enumerate(pool.map(swept, starts), 1):
            for total, part in zip(counts, parts, strict=True):
                total += part
            if progress is not None:
                progress(done / len(starts))
    at = np.full(len(lists.groups), -1)
    at[rows] = np.arange(len(rows))
    place = at[lists.groups]  # of each token's point; -1 where it has none
    return {
        name: np.where(place >= 0, total[place], 0.0)
        for name, total in zip((CSLS, MUTUAL_PROXIMITY), counts, strict=True)
    }


def _points(lists: NeighborLists, points: np.ndarray, rows: np.ndarray) -> _Points:
    kept = np.ascontiguousarray(points[rows])
    largest = float(np.abs(kept).max()) * np.sqrt(kept.shape[1])
    kept = np.ldexp(kept, -int(np.frexp(largest)[1]))  # exact, and no product overflows
    weights = lists.sizes[rows].astype(np.float64)
    lengths = np.einsum("ij,ij->i", kept, kept, dtype=np.float64)
    mean, deviation = moments(kept, weights)
    D = kept.shape[1]
    g = (D + 2) * FLOAT32.unit_roundoff / (1 - (D + 2) * FLOAT32.unit_roundoff)
    slack = 2 * g * np.sqrt(lengths * lengths.max()) + 1e-14
    return _Points(kept, weights, lengths, _near(lists, kept, rows), mean, 1 / deviation, slack)


def _near(lists: NeighborLists, kept: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the mean squared distance of each point to the nearest tokens, as far as there are `CSLS_NEIGHBORS`."""
    place = np.empty(len(lists.groups), np.int64)
    place[rows] = np.arange(len(rows))
    ids = lists.ids[rows][:, : min(CSLS_NEIGHBORS, lists.placed - 1)]
    near = place[lists.groups[ids]]
    squared = np.empty(near.size)
    measure_pairs(kept, np.repeat(np.arange(len(rows)), near.shape[1]), near.ravel(), squared)
    means: np.ndarray = squared.reshape(near.shape).mean(axis=1)
    return means


def _counted(found: _Points, where: slice, inner: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how many lists of the points `where` hold each point, (U,) each, from their products with all, (n, U)."""
    start, n = where.start, where.stop - where.start
    few = min(k, len(found.points) - 1)  # points, besides the own one, that surely fill a list
    limits = np.empty(n)
    _csls_limits(start, few, inner, found.lengths, found.near, limits)
    limits += 2 * found.slack[where] + TIED
    p, q, squared = _pairs(found, start, inner, limits, np.full(n, np.inf))
    by_csls = _shared_out(found, p, q, squared - found.near[q] / 2, k, squared + found.near[q] / 2)
    # The nearest by one scaling are near by the other: no list by mutual proximity ends beyond them.
    z = (squared - found.mean[p]) * found.inverse[p], (squared - found.mean[q]) * found.inverse[q]
    far = farness(z[0]) + farness(z[1])
    order = np.lexsort((far, p))
    ends = np.searchsorted(p[order], np.arange(start, where.stop)) + few
    at_most = far[order][ends] if few else np.zeros(n)  # the own point is among them
    at_most = at_most * (1 + TIED)
    p, q, squared = _pairs(found, start, inner, np.full(n, np.inf), as_far(at_most))
    z = (squared - found.mean[p]) * found.inverse[p], (squared - found.mean[q]) * found.inverse[q]
    far = farness(z[0]) + farness(z[1])
    return by_csls, _shared_out(found, p, q, far, k, far)


def _pairs(
    found: _Points, start: int, inner: np.ndarray, csls: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs within limits of CSLS and of z, (n,) each, and of each point with itself: p, q, and squared."""
    room = len(inner) * _SPARE
    while True:
        ps, qs = np.empty(room, np.int64), np.empty(room, np.int64)
        count = _collect(
            start, inner, found.lengths, found.near, found.mean, found.inverse, found.slack, csls, z, ps, qs
        )
        if count <= room:
            break
        room = count
    ps, qs = ps[:count], qs[:count]
    squared = np.empty(count)
    measure_pairs(found.points, ps, qs, squared)
    return ps, qs, squared


def _shared_out(
    found: _Points, p: np.ndarray, q: np.ndarray, score: np.ndarray, k: int, size: np.ndarray
) -> np.ndarray:
    """Return how many lists of k of tokens at points p hold a token at each point, (U,); the least scores are taken.

    Scores are equal where they differ by no more than `TIED` of their `size`.
    """
    order = np.lexsort((score, p))
    p, q, score, size = p[order], q[order], score[order], size[order]
    weights = found.weights[q] - (p == q)  # a token is in no list of its own
    taken = weights.cumsum()
    firsts, lines = np.unique(p, return_index=True)
    line = np.repeat(np.arange(len(firsts)), np.diff([*lines, len(p)]))
    taken -= (taken[lines] - weights[lines])[line]
    short = np.bincount(line, taken < k, minlength=len(firsts)).astype(np.int64)
    border = (lines + short)[line]
    apart = score - score[border]
    tied = np.abs(apart) <= TIED * size[border]
    certain = ~tied & (apart < 0)
    left = k - np.bincount(line, weights * certain)
    share = np.where(certain, 1.0, np.where(tied, (left / np.bincount(line, weights * tied))[line], 0.0))
    own = found.weights[p] - (p == q)  # lists of tokens at p that may hold a token at q
    counts: np.ndarray = np.bincount(q, share * own, minlength=len(found.points))
    return counts


@compiled()
def _csls_limits(
    start: int, few: int, inner: np.ndarray, lengths: np.ndarray, near: np.ndarray, limits: np.ndarray
) -> None:
    """Write for each row the score of the last of the `few` nearest other points, as the products have it."""
    heap = np.empty(max(few, 1))
    for i in range(inner.shape[0]):
        p = start + i
        filled = 0
        for q in range(inner.shape[1]):
            if q == p:
                continue
            score = lengths[p] + lengths[q] - 2.0 * inner[i, q] - 0.5 * near[q]
            if filled < few:
                at = filled
                filled += 1
                while at > 0 and heap[(at - 1) // 2] < score:
                    heap[at] = heap[(at - 1) // 2]
                    at = (at - 1) // 2
                heap[at] = score
            elif few > 0 and score < heap[0]:
                at = 0
                while 2 * at + 1 < few:
                    child = 2 * at + 1
                    if child + 1 < few and heap[child + 1] > heap[child]:
                        child += 1
                    if heap[child] <= score:
                        break
                    heap[at] = heap[child]
                    at = child
                heap[at] = score
        limits[i] = heap[0] if few > 0 else 0.0


@compiled()
def _collect(
    start: int,
    inner: np.ndarray,
    lengths: np.ndarray,
    near: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    slack: np.ndarray,
    csls: np.ndarray,
    z: np.ndarray,
    ps: np.ndarray,
    qs: np.ndarray,
) -> int:
    """Write pairs that may be within the limits, as far as there is room, and return how many there are."""
    count = 0
    for i in range(inner.shape[0]):
        p = start + i
        for q in range(inner.shape[1]):
            squared = lengths[p] + lengths[q] - 2.0 * inner[i, q]
            least = squared - slack[p]
            within = (
                (least - mean[p]) * inverse[p] <= z[i]
                and squared - 0.5 * near[q] <= csls[i]
                and (least - mean[q]) * inverse[q] <= z[i]
            )
            if within or q == p:
                if count < ps.size:
                    ps[count], qs[count] = p, q
                count += 1
    return count
