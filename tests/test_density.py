"""Densities under each rule, by hand."""

import numpy as np
import pytest

from index.measures.density import Rule, density, mean_distances, tied_with

INF = np.inf
# Three tokens: one with two twins among its neighbors, one whose neighbors are all twins, one without twins.
NEAREST = np.array([[0, 0, 2, 4], [0, 0, 0, 0], [1, 2, 3, 6]], dtype=np.float32)
DISTINCT = np.array([[2, 4, 6, INF], [INF, INF, INF, INF], [1, 2, 3, 6]], dtype=np.float32)


@pytest.mark.parametrize(
    ("rule", "means", "densities"),
    [
        (Rule.NOTEBOOK, [2, np.nan, 2], [0.5, 0, 0.5]),
        (Rule.MULTISET, [2 / 3, 0, 2], [1.5, INF, 0.5]),
        (Rule.DISTINCT, [4, np.nan, 2], [0.25, 0, 0.5]),
    ],
)
def test_rules(rule: Rule, means: list[float], densities: list[float]) -> None:
    found = mean_distances(NEAREST, DISTINCT, rule, 3)
    np.testing.assert_allclose(found, means, rtol=1e-15)
    np.testing.assert_allclose(density(found), densities, rtol=1e-15)


def test_distinct_averages_what_there_is() -> None:
    np.testing.assert_allclose(mean_distances(NEAREST, DISTINCT, Rule.DISTINCT, 4)[0], 4.0)


def test_ties_are_told_by_the_resolution() -> None:
    means = np.array([2.0, np.nan, 2.0 + 1e-6, 2.1])
    assert tied_with(means, 2.0, 1e-5).tolist() == [0, 2]
    assert tied_with(means, 2.0, 1e-7).tolist() == [0]
    assert tied_with(means, np.nan, 1e-7).tolist() == [1]
    assert tied_with(np.full(3, np.nan), np.nan, 1e-7).tolist() == [0, 1, 2]
    assert tied_with(np.array([np.inf, 1, np.inf]), np.inf, 1e-7).tolist() == [0, 2]
