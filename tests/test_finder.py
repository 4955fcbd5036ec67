"""A `Finder`: what it refuses, each in one line, and that it answers as a reading of all points does."""

import numpy as np
import pytest
from conftest import build
from numpy.typing import NDArray
from synthetic import planted

import index
from index.api import OpenVocabulary
from index.errors import ParameterError
from index.search.finder import Finder


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder(np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32), threads=1)


@pytest.mark.parametrize("k", [-1, 0, 11, 10**12])
def test_lists_of_no_length_here(k: int, finder: Finder) -> None:
    with pytest.raises(ParameterError, match=f"k must be from 1 to 10, the points there are, got: {k}"):
        finder.search(np.zeros((2, 3), np.float32), k=k)


def test_points_that_are_left_out_count(finder: Finder) -> None:
    with pytest.raises(ParameterError, match="k must be from 1 to 8, the points that are left for query 1, got: 9"):
        finder.search(np.zeros((2, 3), np.float32), k=9, exclude=[(0,), (0, 1)])


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        (np.zeros((2, 4)), r"of shape \(Q, 3\) like the points, got: \(2, 4\)"),
        (np.zeros(3), r"of shape \(Q, 3\) like the points, got: \(3,\)"),
        (np.zeros((1, 2, 3)), r"got: \(1, 2, 3\)"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), "finite as float32, but query 1 is not"),
        (np.array([[np.inf, 0, 0]]), "query 0 is not"),
        (np.array([[1e300, 0, 0]]), "query 0 is not"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_queries_that_have_no_distance(queries: NDArray, said: str, finder: Finder) -> None:
    with pytest.raises(ParameterError, match=said):
        finder.search(queries, k=2)


def test_one_list_to_leave_out_for_each_query(finder: Finder) -> None:
    with pytest.raises(ParameterError, match="one entry for each of 2 queries, got: 1"):
        finder.search(np.zeros((2, 3), np.float32), k=2, exclude=[(0,)])


def test_no_queries_have_no_answers(finder: Finder) -> None:
    ids, distances = finder.search(np.zeros((0, 3), np.float32), k=2)
    assert ids.shape == distances.shape == (0, 2)


# --- in place of reading all points -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> OpenVocabulary:
    """Rows with twins, near-twins, many equal distances, and a zero row."""
    folder = tmp_path_factory.mktemp("crowded")
    rows = np.concatenate([planted(1500, 8, seed=3).gamma.astype(np.float32), np.eye(8), -np.eye(8), np.zeros((1, 8))])
    np.save(folder / "gamma.npy", rows.astype(np.float32))
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 10, "--density-k", 5)
    return index.open(folder / "bundle")


def test_lists_and_ranks_are_those_of_all_points(crowded: OpenVocabulary) -> None:
    """Bit for bit, ties and twins included: one vocabulary has its finders, the other never gets one."""
    slow = index.open(crowded.folder)
    for geometry, space in slow.spaces.items():
        space.finder_if_worth = lambda: None  # type: ignore[method-assign]
        assert crowded.spaces[geometry].finder is crowded.spaces[geometry].finder_if_worth()
    V = len(slow)
    some = [*range(0, V, 97), *range(V - 17, V)]
    for row in some:
        for top in (11, 40, 300, V - 2):
            assert crowded.neighbors(f"#{row}", top=top).json() == slow.neighbors(f"#{row}", top=top).json()
    for a, b in zip(some, reversed(some), strict=True):
        if a != b:
            assert crowded.rank(f"#{a}", f"#{b}").json() == slow.rank(f"#{a}", f"#{b}").json()


def test_a_finder_is_made_when_it_pays(crowded: OpenVocabulary) -> None:
    space = index.open(crowded.folder).causal
    made = [space.finder_if_worth() is not None for _ in range(10)]
    assert made == [False] * 8 + [True] * 2
