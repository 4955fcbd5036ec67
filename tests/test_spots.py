"""Dots of a chart that lie on one spot are counted."""

import numpy as np

from index.pictures.numbers.spots import LEAST_ALONE, counted_labels, spots


def test_dots_within_reach_are_on_one_spot() -> None:
    x = np.array([0.0, 0.5, 10.0, 0.1, 9.9, 5.0])
    y = np.array([0.0, 0.0, 10.0, 0.1, 4.0, 5.0])
    assert spots(x, y, (0.02, 0.02)).tolist() == [0, 1, 2, 0, 4, 5]
    assert spots(x, y, (0.06, 0.02)).tolist() == [0, 0, 2, 0, 4, 5]
    assert spots(np.zeros(3), np.zeros(3), (0.01, 0.01)).tolist() == [0, 0, 0]
    assert spots(np.empty(0), np.empty(0), (0.01, 0.01)).tolist() == []


def test_no_spot_grows_by_a_chain() -> None:
    """Each dot is near the first of its spot, not near the last."""
    x = np.arange(10.0)
    assert spots(x, np.zeros(10), (0.12, 1)).tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]


def test_a_label_names_the_first_and_counts() -> None:
    assert counted_labels(["a", "", "b", "c"], np.array([0, 0, 2, 2])) == ["a (x 2)", "", "b (x 2)", ""]
    assert counted_labels(["", "a", "b"], np.array([0, 0, 2])) == ["", "a (x 2)", "b"]
    alone = np.zeros(LEAST_ALONE, np.int64)
    assert counted_labels([""] * LEAST_ALONE, alone) == [f"(x {LEAST_ALONE})", *[""] * (LEAST_ALONE - 1)]
    assert counted_labels([""] * (LEAST_ALONE - 1), alone[1:]) == [""] * (LEAST_ALONE - 1)
