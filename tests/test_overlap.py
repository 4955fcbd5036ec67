"""The range of an overlap over every breaking of ties, by trying them all."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.measures.overlap import Nearest, Overlap, Verdict, nearest, overlap, overlap_range

TOKENS = frozenset(range(9))


@st.composite
def lists(draw: st.DrawFn, k: int) -> Nearest:
    certain = draw(st.sets(st.sampled_from(sorted(TOKENS)), max_size=k - 1))
    free = k - len(certain)
    rest = sorted(TOKENS - certain)
    tied = draw(st.sets(st.sampled_from(rest), min_size=min(free, len(rest)), max_size=len(rest)))
    return Nearest(frozenset(certain), frozenset(tied), k)


def every_list(found: Nearest) -> list[frozenset[int]]:
    return [found.certain | set(chosen) for chosen in combinations(sorted(found.tied), found.k - len(found.certain))]


@given(st.integers(1, 5).flatmap(lambda k: st.tuples(lists(k), lists(k))))
def test_range_is_that_of_all_breakings(pair: tuple[Nearest, Nearest]) -> None:
    a, b = pair
    counts = [len(one & other) for one in every_list(a) for other in every_list(b)]
    assert overlap_range(a, b) == (min(counts), max(counts))


def test_by_hand() -> None:
    a_ids, a_distances = np.array([1, 2, 3, 4]), np.array([1.0, 2.0, 3.0, 3.0])
    b_ids, b_distances = np.array([2, 4, 5, 6]), np.array([1.0, 2.0, 3.0, 9.0])
    a = nearest(a_ids, a_distances, 3, 0.5)
    b = nearest(b_ids, b_distances, 3, 0.5)
    assert a == Nearest(frozenset({1, 2}), frozenset({3, 4}), 3)
    assert b == Nearest(frozenset({2, 4}), frozenset({5}), 3)
    found = overlap(a_ids[:3], b_ids[:3], a, b)
    assert (found.count, found.lowest, found.highest) == (1, 1, 2)
    assert found.percent == pytest.approx(100 / 3)
    assert found.jaccard == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("count", "lowest", "highest", "verdict"),
    [
        (8, 8, 8, Verdict.HIGH),
        (7, 7, 7, Verdict.MODERATE),  # 70 percent is not above 70
        (4, 4, 7, Verdict.MODERATE),
        (3, 3, 3, Verdict.LOW),
        (3, 3, 5, Verdict.LOW),  # 30 is not strictly between 30 and 50
        (3, 2, 4, Verdict.UNDECIDED),
        (8, 6, 9, Verdict.UNDECIDED),
        (0, 0, 10, Verdict.UNDECIDED),
    ],
)
def test_verdicts(count: int, lowest: int, highest: int, verdict: Verdict) -> None:
    assert Overlap(10, count, 10.0 * count, 0.0, lowest, highest).verdict is verdict


@pytest.mark.parametrize("k", [1, 4, 5])
def test_short_lists_have_no_verdict(k: int) -> None:
    assert Overlap(k, k, 100.0, 1.0, k, k).verdict is (Verdict.HIGH if k == 5 else None)


@pytest.mark.parametrize(("others", "forced"), [(10, 10), (15, 5), (19, 1), (20, 0), (1000, 0)])
def test_lists_that_must_share_tokens_have_no_verdict(others: int, forced: int) -> None:
    found = Overlap(10, 10, 100.0, 1.0, 10, 10, others)
    assert found.forced == forced
    assert found.verdict is (None if forced else Verdict.HIGH)
