"""What a `Finder` refuses, each in one line."""

import numpy as np
import pytest
from numpy.typing import NDArray

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
