"""Overlaps and hubness of all tokens at once, against float64 brute force, where ties and twins abound."""

from itertools import combinations
from unittest.mock import patch

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.measures.hubness import hubness
from index.measures.lists import NeighborLists
from index.measures.overlap import nearest, overlap
from index.measures.overlaps import overlaps

Cells = list[tuple[int, int]]


def lists_of(distances: NDArray[np.float64], groups: NDArray, K: int, resolution: float) -> NeighborLists:
    """The lists of all pairs' distances (V, V), as a graph stores them; infinite where a row has no point."""
    V = len(distances)
    ids, firsts = np.full((V, K), -1, np.int32), np.full((V, K), -1, np.int32)
    apart, distinct = np.full((V, K), np.inf, np.float32), np.full((V, K), np.inf, np.float32)
    for row in range(V):
        others = [
            int(other) for other in oracles.nearest(distances[row], row, V - 1) if np.isfinite(distances[row][other])
        ]
        points = [other for other in others if groups[other] == other and groups[row] != other]
        for listed, into, far in ((others, ids, apart), (points, firsts, distinct)):
            into[row, : len(listed[:K])] = listed[:K]
            far[row, : len(listed[:K])] = distances[row][listed[:K]]
    placed = int(np.isfinite(np.diagonal(distances)).sum())
    return NeighborLists(ids, apart, firsts, distinct, groups.astype(np.int32), resolution, placed)


def grid_distances(cells: Cells, left_out: set[int] = frozenset()) -> tuple[NDArray[np.float64], NDArray]:
    """All distances of points on a grid, where ties and twins are exact, and the first row at each."""
    points = np.array(cells, np.float64)
    distances = oracles.all_distances(points)
    groups = oracles.group_of_every_row(points)
    for row in left_out:
        distances[row, :] = distances[:, row] = np.inf
        groups[row] = row
    for row in set(range(len(cells))) - left_out:
        groups[row] = min(other for other in np.flatnonzero(distances[row] == 0))
    return distances, groups


CELLS = st.lists(
    st.tuples(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), st.tuples(st.integers(-1, 2), st.integers(-1, 2))),
    min_size=4,
    max_size=24,
)


@settings(deadline=None)
@given(CELLS, st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.0, 0.1, 0.5, 1.1]), st.data())
def test_overlaps_of_all_are_those_of_each(
    cells: list[tuple[tuple[int, int], tuple[int, int]]], K: int, k: int, resolution: float, data: st.DataObject
) -> None:
    """Whole lists of all others decide each token's own range; what is stored decides it, or bounds it."""
    V = len(cells)
    K = min(K, V - 1)
    k = min(k, K)
    left_out = data.draw(st.sets(st.integers(0, V - 1), max_size=min(2, V - 1 - k)))
    first = grid_distances([a for a, _ in cells])
    second = grid_distances([b for _, b in cells], left_out)
    a, b = (lists_of(*side, K, resolution) for side in (first, second))
    with patch("index.measures.lists._SPARE", data.draw(st.sampled_from([0, 1, 8]))):  # points looked at first
        found = overlaps(a, b, k)
    for row in range(V):
        if row in left_out or V - 1 - len(left_out) < k:
            assert np.isnan([found.counts[row], found.lowest[row], found.highest[row]]).all()
            continue
        ordered = []
        for distances, _ in (first, second):
            ids = [int(at) for at in oracles.nearest(distances[row], row, V - 1) if np.isfinite(distances[row][at])]
            ordered.append((np.array(ids), distances[row][ids].astype(np.float32)))
        (x, dx), (y, dy) = ordered
        exact = overlap(x[:k], y[:k], nearest(x, dx, k, resolution), nearest(y, dy, k, resolution))
        assert found.counts[row] == exact.count
        if found.open[row]:
            assert found.lowest[row] <= exact.lowest <= exact.highest <= found.highest[row]
        else:
            assert (found.lowest[row], found.highest[row]) == (exact.lowest, exact.highest)
    if K == V - 1:
        assert not found.open.any()


def test_twins_beyond_a_list_are_known() -> None:
    """Eight twins at the first place, three kept: the distinct points say where the ties end."""
    cells = [(0, 0), *[(1, 0)] * 8, (5, 0), (9, 0), (14, 0)]
    distances, groups = grid_distances(cells)
    lists = lists_of(distances, groups, 3, 0.0)
    found = overlaps(lists, lists, 2)
    assert not found.open[0]
    assert (found.counts[0], found.lowest[0], found.highest[0]) == (2, 0, 2)


def test_a_list_as_long_as_the_kept_ones_is_bounded() -> None:
    """The next is not stored, so the last place could be anybody's."""
    distances, groups = grid_distances([(0, 0), (1, 0), (3, 0), (7, 0), (15, 0), (31, 0)])
    lists = lists_of(distances, groups, 3, 0.0)
    found = overlaps(lists, lists, 3)
    assert found.open.all()
    assert (found.lowest.tolist(), found.counts.tolist(), found.highest.tolist()) == ([2.0] * 6, [3.0] * 6, [3.0] * 6)
    assert not overlaps(lists, lists, 2).open.any()


def brute_hubness(distances: NDArray[np.float64], k: int, resolution: float) -> NDArray[np.float64]:
    """Every way to fill each list, counted by a share of one list each."""
    counts = np.zeros(len(distances))
    for row in range(len(distances)):
        certain, tied, places = oracles.choices(distances[row], row, k, resolution)
        ways = list(combinations(sorted(tied), places))
        for way in ways:
            for other in certain | set(way):
                counts[other] += 1 / len(ways)
    return counts


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=4, max_size=12), st.integers(1, 6))
def test_hubness_is_the_mean_of_all_breakings(cells: Cells, k: int) -> None:
    distances, groups = grid_distances(cells)
    k = min(k, len(cells) - 1)
    lists = lists_of(distances, groups, len(cells) - 1, 0.0)
    found = hubness(lists, k)
    np.testing.assert_allclose(found, brute_hubness(distances, k, 0.0), rtol=1e-12, atol=1e-12)
    assert found.sum() == pytest.approx(k * len(cells))
    np.testing.assert_array_equal(found, found[groups])  # twins, to the last bit


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=6, max_size=30), st.integers(1, 5))
def test_twins_are_in_as_many_lists_however_short_these_are(cells: Cells, k: int) -> None:
    distances, groups = grid_distances(cells)
    found = hubness(lists_of(distances, groups, k, 0.0), k)
    np.testing.assert_array_equal(found, found[groups])
    assert found.sum() == pytest.approx(k * len(cells))
