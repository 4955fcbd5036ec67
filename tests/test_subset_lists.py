"""Lists kept to some tokens, for all of them at once: exact, whether the stored lists suffice or not."""

from pathlib import Path

import numpy as np
import pytest
from conftest import build
from numpy.typing import NDArray

import index
from index.bundle.bundle import Space
from index.measures.hubness import hubness
from index.measures.lists import NeighborLists
from index.measures.overlaps import overlaps
from index.search import subset
from index.search.subset import lists_within

V, D, K = 300, 6, 40
ZEROS = (11, 200)


def crowded() -> NDArray[np.float32]:
    """A few coordinates of few values, so that many distances are equal; groups of 30, 3 and 2 twins; two zero rows."""
    rng = np.random.default_rng(8)
    rows = rng.normal(size=(V, D)).astype(np.float32)
    rows[100:190] = rng.integers(-1, 2, size=(90, D))
    for first, others in ((5, range(20, 49)), (60, (61, 250)), (7, (290,))):
        rows[list(others)] = rows[first]
    rows[list(ZEROS)] = 0
    return rows


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> index.Bundle:
    folder = tmp_path_factory.mktemp("crowded")
    np.save(folder / "gamma.npy", crowded())
    build(folder / "gamma.npy", "--out", folder / "bundle", "--ridge", 1, "--neighbors", K)
    return index.open(Path(folder / "bundle"))


def some(share: float, seed: int) -> NDArray[np.int64]:
    drawn = np.random.default_rng(seed).random(V) < share
    drawn[[5, 7, 21, 30, 60, 250, 290, ZEROS[0]]] = True
    return np.flatnonzero(drawn)


def points_of(space: Space) -> NDArray[np.float64]:
    return np.asarray(space.points.whole, dtype=np.float64)


def check(found: NeighborLists, points: NDArray[np.float64], rows: NDArray, excluded: tuple[int, ...], k: int) -> None:
    """Every list against brute force over the points of the rows."""
    there = [at for at, row in enumerate(rows) if row not in excluded]
    apart = np.linalg.norm(points[rows][:, None] - points[rows][None], axis=2)
    for at in range(len(rows)):
        if at not in there:
            assert (found.ids[at] == -1).all()
            continue
        others = [other for other in there if other != at]
        ranked = sorted(others, key=lambda other: (apart[at, other], other))
        n = min(k, len(ranked))
        if n == 0:
            assert (found.ids[at] == -1).all()
            continue
        listed = found.ids[at][found.ids[at] >= 0]
        assert len(listed) >= n
        assert len(set(listed)) == len(listed)
        assert at not in listed
        expected = apart[at, ranked[: len(listed)]]
        tolerance = found.resolution
        assert np.abs(found.distances[at, : len(listed)] - expected).max() <= tolerance
        assert np.abs(apart[at, listed] - expected).max() <= tolerance
        # Whatever is certainly nearer than the last place is there.
        certain = {other for other in others if apart[at, other] < expected[n - 1] - 2 * tolerance}
        assert certain <= set(listed.tolist())
        firsts = [other for other in others if found.groups[other] == other and found.groups[at] != other]
        distinct = found.distinct_ids[at][found.distinct_ids[at] >= 0]
        assert (found.groups[distinct] == distinct).all()
        nearest = np.sort(apart[at, firsts])[: len(distinct)]
        assert np.abs(found.distinct_distances[at, : len(distinct)] - nearest).max(initial=0) <= tolerance


@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
@pytest.mark.parametrize("k", [1, 5, 20, K])
@pytest.mark.parametrize("geometry", ["causal", "cosine"])
@pytest.mark.parametrize("many", [0, 10**9])
def test_lists_are_those_of_brute_force(
    share: float, k: int, geometry: str, many: int, bundle: index.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether short lists are searched one by one, or all at once."""
    monkeypatch.setattr(subset, "_MANY", many)
    space, rows = bundle.spaces[index.Geometry(geometry)], some(share, k)
    check(lists_within(space.lists, space.points, rows, k), points_of(space), rows, space.excluded, k)


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("k", [3, 10])
def test_measures_are_those_of_a_vocabulary_of_these_tokens_alone(
    share: float, k: int, bundle: index.Bundle, tmp_path: Path
) -> None:
    """A bundle of the same rows has other points only by its own mean and M: given M, and by cosine, none other."""
    rows = some(share, k)
    np.save(tmp_path / "gamma.npy", crowded()[rows])
    build(tmp_path / "gamma.npy", "--out", tmp_path / "b", "--ridge", 1, "--neighbors", min(K, len(rows) - 3))
    alone = index.open(tmp_path / "b").cosine.lists
    space = bundle.cosine
    found = lists_within(space.lists, space.points, rows, k)
    assert hubness(found, k) == pytest.approx(hubness(alone, k), abs=1e-9)
    one, other = overlaps(found, found, k), overlaps(alone, alone, k)
    for name in ("counts", "lowest", "highest"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("rows", [[3], [ZEROS[0]], [ZEROS[0], 3], [5, 20], [5, 20, 21], [3, 4]])
def test_few_tokens(rows: list[int], bundle: index.Bundle) -> None:
    for space in bundle.spaces.values():
        found = lists_within(space.lists, space.points, np.array(rows), 5)
        check(found, points_of(space), np.array(rows), space.excluded, 5)


def test_all_tokens_are_the_whole_vocabulary(bundle: index.Bundle) -> None:
    for space in bundle.spaces.values():
        found = lists_within(space.lists, space.points, np.arange(V), 20)
        np.testing.assert_array_equal(found.ids[:, :20], space.ids[:, :20])
        np.testing.assert_array_equal(found.distances[:, :20], space.distances[:, :20])


def test_oracle_sees_a_wrong_list(bundle: index.Bundle) -> None:
    space, rows = bundle.causal, some(0.5, 1)
    found = lists_within(space.lists, space.points, rows, 5)
    found.ids[0, 0] = found.ids[0, -1]
    with pytest.raises(AssertionError):
        check(found, points_of(space), rows, space.excluded, 5)


@pytest.mark.parametrize("many", [1, 1000])
def test_a_long_search_tells_how_far_it_is(bundle: index.Bundle, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, or as a graph; and nothing is told where the stored lists suffice."""
    monkeypatch.setattr(subset, "_MANY", many)
    told: list[tuple[str, float]] = []
    bundle.overlap(tops=[25], among=some(0.3, 1), progress=lambda step, done, total=1.0: told.append((step, done)))
    steps = {step for step, _ in told}
    assert {"lists by the causal metric", "lists by cosine similarity"} <= steps
    for step in steps:
        shares = [done for name, done in told if name == step]
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1.0)
    told.clear()
    bundle.overlap(tops=[5], progress=lambda *each: told.append(("", 0.0)))
    assert not told
