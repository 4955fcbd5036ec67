"""The neighbor lists of some of the tokens, kept to these: exact, off the stored lists as far as they go.

A stored list less what is left out is the list that is wanted, down to where it ends. Only those that end too early are
searched: few of them one by one (`Finder`), many all at once (`knn_graph`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.geometry.blocks import Matrix
from index.geometry.twins import Groups
from index.measures.lists import NeighborLists
from index.progress import Share
from index.search.finder import Finder
from index.search.graph import knn_graph

SPARE = 9
"""Places beyond those asked for: the next tells whether the last is tied, more where the ties end."""

_MANY = 16
"""Searching one in so many points takes about as long as the graph of all."""
_BLOCK_ROWS = 1 << 13


def lists_within(
    lists: NeighborLists, points: Matrix, rows: np.ndarray, k: int, progress: Share = lambda share: None
) -> NeighborLists:
    """Return the lists of n rows, (n,) ascending, of k and a few more of these rows, as of a vocabulary of n tokens.

    Token i there is `rows[i]` here. Rows without a point, which have no list here, have none there. Points are (V, D)
    float32, those that the lists are of. `progress` is called where lists are searched for.
    """
    n = len(rows)
    placed = np.flatnonzero(lists.ids[rows][:, 0] >= 0)  # of the n
    width = max(1, min(k + SPARE, len(placed) - 1))
    firsts, first_at, of_row = np.unique(lists.groups[rows], return_index=True, return_inverse=True)
    groups = first_at[of_row].astype(np.int32)
    place, point = np.full((2, len(lists.groups)), -1, np.int32)  # among the n, of each row and of each group's first
    place[rows], point[firsts] = np.arange(n), first_at
    found = _Lists(
        np.full((n, width), -1, np.int32),
        np.full((n, width), np.inf, np.float32),
        np.full((n, width), -1, np.int32),
        np.full((n, width), np.inf, np.float32),
    )
    short = []
    for start in range(0, len(placed), _BLOCK_ROWS):
        at = placed[start : start + _BLOCK_ROWS]
        short.append(at[~_filter(found, lists, rows[at], at, place, point, k, len(placed) - 1)])
    _search(found, np.concatenate([*short, np.empty(0, np.int64)]), points, rows, placed, Groups(groups), progress)
    return NeighborLists(
        found.ids, found.distances, found.distinct_ids, found.distinct_distances, groups, lists.resolution, len(placed)
    )


@dataclass(frozen=True, eq=False)
class _Lists:
    """What is being written, (n, W) each; as in `NeighborLists`."""

    ids: np.ndarray
    distances: np.ndarray
    distinct_ids: np.ndarray
    distinct_distances: np.ndarray


def _filter(
    found: _Lists,
    lists: NeighborLists,
    rows: np.ndarray,
    at: np.ndarray,
    place: np.ndarray,
    point: np.ndarray,
    k: int,
    others: int,
) -> np.ndarray:
    """Write what stored lists of `rows`, (m,), hold, to the places `at`; return where that decides lists of k, (m,).

    Every point nearer than the last of the stored distinct ones is known. So a list is decided where that is beyond
    what ties for the k-th place, or where it holds all the others.
    """
    counts = _keep(found.ids, found.distances, at, place, lists.ids[rows], lists.distances[rows])
    reach = lists.distinct_distances[rows]
    _keep(found.distinct_ids, found.distinct_distances, at, point, lists.distinct_ids[rows], reach)
    border = found.distances[at, min(k, found.ids.shape[1]) - 1]
    with np.errstate(invalid="ignore"):
        beyond = reach[:, -1] - border > lists.resolution
    decided: np.ndarray = (counts == others) | ((counts > k) & beyond)
    return decided


def _keep(
    ids: np.ndarray, distances: np.ndarray, at: np.ndarray, place: np.ndarray, stored: np.ndarray, apart: np.ndarray
) -> np.ndarray:
    """Write what is left of stored lists to the front of the lists `at`; return how long they would be, (m,)."""
    places = np.where(stored >= 0, place[stored], -1)
    kept = places >= 0
    column = kept.cumsum(axis=1) - 1
    line, taken = np.nonzero(kept & (column < ids.shape[1]))
    ids[at[line], column[line, taken]] = places[line, taken]
    distances[at[line], column[line, taken]] = apart[line, taken]
    counts: np.ndarray = kept.sum(axis=1)
    return counts


def _search(
    found: _Lists,
    short: np.ndarray,
    points: Matrix,
    rows: np.ndarray,
    placed: np.ndarray,
    groups: Groups,
    progress: Share,
) -> None:
    """Write whole lists at the places `short`, where the stored ones do not suffice."""
    width = found.ids.shape[1]
    if len(short) == 0:
        return
    if len(short) * _MANY > len(placed):
        graph = knn_graph(points[rows[placed]], k=width, progress=progress)
        for ids, own in ((found.ids, graph.ids), (found.distinct_ids, graph.distinct_ids)):
            ids[placed] = np.where(own >= 0, placed[own], -1)
        found.distances[placed], found.distinct_distances[placed] = graph.distances, graph.distinct_distances
        return
    there = np.unique(groups.first[placed])  # each point once
    left_out = np.ones(len(points), bool)
    left_out[rows[there]] = False
    nearest = min(width, len(there) - 1)
    finder = Finder(points[:], excluded=np.flatnonzero(left_out)) if nearest else None
    for done, at in enumerate(map(int, short), 1):
        ids, distances = np.empty(0, np.int64), np.empty(0)
        if finder is not None:
            first = int(rows[groups.first[at]])
            listed, apart = finder.search(points[[first]], k=nearest, exclude=[[first]])
            ids, distances = np.searchsorted(rows, listed[0]), apart[0]
        found.distinct_ids[at], found.distinct_distances[at] = -1, np.inf
        found.distinct_ids[at, : len(ids)], found.distinct_distances[at, : len(ids)] = ids, distances
        _write_tokens(found, at, ids, distances, groups)
        progress(done / len(short))


def _write_tokens(found: _Lists, at: int, firsts: np.ndarray, distances: np.ndarray, groups: Groups) -> None:
    """Write the tokens of the nearest points, by distance and then by row, as one list."""
    width = found.ids.shape[1]
    own, sizes = groups.others(at), groups.sizes(firsts)
    needed = int(np.searchsorted(len(own) + np.cumsum(sizes), width)) + 1
    if needed <= len(firsts):  # points as far away as the last one needed may hold lower rows
        needed = int(np.searchsorted(distances, distances[needed - 1], side="right"))
    members = [own, *(groups.members(first) for first in firsts[:needed].tolist())]
    apart = np.repeat([0.0, *distances[:needed]], [len(own), *sizes[:needed]])
    ids = np.concatenate(members)
    order = np.lexsort((ids, apart))[:width]
    found.ids[at], found.distances[at] = -1, np.inf
    found.ids[at, : len(order)], found.distances[at, : len(order)] = ids[order], apart[order]
