"""The statistics of `evaluate` on arrays: ranks, chance, draws, and places of answers, against slow obvious ones."""

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import rankdata, spearmanr

from index.measures.bootstrap import draws, interval, shares_of_questions
from index.measures.correlation import Ranks, spearman, spearman_at_chance, spearman_in_draws
from index.measures.places import Sums, places, rank, within


def with_ties(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return np.round(rng.normal(size=n), 1)


def test_spearman_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for n in (2, 3, 10, 200):
        a, b = np.arange(n) + with_ties(rng, n), with_ties(rng, n)
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))
    assert np.isnan(spearman(np.ones(1), np.ones(1)))


def test_spearman_of_draws_is_that_of_the_items_drawn() -> None:
    rng = np.random.default_rng(1)
    a, b = with_ties(rng, 40), with_ties(rng, 40)
    (counts,) = draws(40, number=50)
    assert (counts.sum(axis=1) == 40).all()
    found = spearman_in_draws(Ranks(a), Ranks(b), counts)
    for rho, count in zip(found, counts.astype(int), strict=True):
        assert rho == pytest.approx(spearmanr(np.repeat(a, count), np.repeat(b, count)).statistic, abs=1e-12)


def test_rho_with_items_missing_is_the_mean_over_all_their_places() -> None:
    rng = np.random.default_rng(2)
    for n, m in ((5, 3), (6, 4), (6, 2), (5, 5)):
        people, scores = rng.normal(size=n).round(1), rng.normal(size=m)
        known = rng.permutation(n)[:m]
        order = np.argsort(scores)
        every = [
            spearmanr(people, placed).statistic
            for placed in permutations(range(n))
            if (np.argsort(np.array(placed)[known]) == order).all()  # the items with a score stay in its order
        ]
        assert spearman_at_chance(people, known, scores) == pytest.approx(np.mean(every), abs=1e-12)
    assert spearman_at_chance(np.arange(5.0), np.array([0]), np.array([1.0])) == 0


def test_intervals_of_rho_hold_the_truth_as_often_as_they_say() -> None:
    """Normal variables with a correlation r have Spearman's rho 6 / pi arcsin(r / 2): 95 % of intervals hold it."""
    rng = np.random.default_rng(3)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)
    hits = 0
    for seed in range(300):
        a = rng.normal(size=100)
        b = 0.6 * a + 0.8 * rng.normal(size=100)
        (counts,) = draws(100, number=400, seed=seed)
        low, high = interval(spearman_in_draws(Ranks(a), Ranks(b), counts))
        hits += low <= truth <= high
    assert 0.915 < hits / 300 < 0.985  # 95 % within 2.8 standard errors of 300 trials


def planted_questions(rng: np.random.Generator, pairs: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All questions of some pairs; a pair that is easy or hard is so in each of them. True share at top 1: a half."""
    of = np.array([(i, j) for i in range(pairs) for j in range(pairs) if i != j])
    ease = rng.normal(size=pairs)
    return of, (ease[of].sum(axis=1) + rng.normal(size=len(of)) > 0).astype(float)


def test_intervals_of_analogies_are_of_pairs_and_hold_the_truth() -> None:
    rng = np.random.default_rng(4)
    of_pairs = of_questions = 0
    for seed in range(200):
        of, right = planted_questions(rng, 20)
        low, high = interval(shares_of_questions(of[:, 0], of[:, 1], right[:, None], number=300, seed=seed)[:, 0])
        of_pairs += low <= 0.5 <= high
        (counts,) = draws(len(of), number=300, seed=seed)
        low, high = interval(counts @ right / len(of))
        of_questions += low <= 0.5 <= high
    assert of_pairs / 200 > 0.9
    assert of_questions / 200 < 0.5  # what draws of questions would have said to be 95 %


def test_paired_draws_find_a_planted_difference_and_none_where_there_is_none() -> None:
    rng = np.random.default_rng(5)
    found = {0.0: 0, 1.2: 0}
    for noise in found:
        for seed in range(100):
            people = rng.normal(size=150)
            near, far = (Ranks(people + rng.normal(size=150) * size) for size in (1.0, 1.0 + noise))
            (counts,) = draws(150, number=300, seed=seed)
            judged = Ranks(people)
            drawn = spearman_in_draws(judged, near, counts) - spearman_in_draws(judged, far, counts)
            low, high = interval(drawn)
            found[noise] += not low <= 0 <= high
    assert found[0.0] <= 12  # 5 of 100, within three standard errors
    assert found[1.2] >= 90


def test_paired_draws_of_analogies_find_a_planted_difference_and_none_where_there_is_none() -> None:
    """Of two views that find the same pairs hard: the second gets as many right, or 14 in 100 fewer."""
    rng, found = np.random.default_rng(7), {0.0: 0, 0.6: 0}
    of = np.array([(i, j) for i in range(20) for j in range(20) if i != j])
    for worse in found:
        for seed in range(100):
            ease = rng.normal(size=20)[of].sum(axis=1)
            right = [ease + rng.normal(size=len(of)) > by for by in (0.0, worse)]
            drawn = shares_of_questions(of[:, 0], of[:, 1], np.column_stack(right).astype(float), number=300, seed=seed)
            low, high = interval(drawn[:, 0] - drawn[:, 1])
            found[worse] += not low <= 0 <= high
    assert found[0.0] <= 5  # fewer: draws of pairs hold what pairs have in common for chance
    assert found[0.6] >= 90


def test_shares_of_questions_are_those_of_the_pairs_drawn() -> None:
    rng = np.random.default_rng(6)
    of, right = planted_questions(rng, 6)
    (counts,) = draws(6, number=30)
    found = shares_of_questions(of[:, 0], of[:, 1], np.column_stack([right, 1 - right]), number=30)
    for count, share in zip(counts.astype(int), found, strict=True):
        times = [count[i] * count[j] for i, j in of]
        expected = np.repeat(right, times).mean() if sum(times) else np.nan
        np.testing.assert_allclose(share, [expected, 1 - expected], atol=1e-12)


@pytest.mark.parametrize("angular", [False, True])
def test_places_are_those_of_brute_force(angular: bool) -> None:
    rng = np.random.default_rng(7)
    V, D, Q = 300, 6, 80
    rows = rng.normal(size=(V, D)) + 0.5
    rows[100:104] = rows[50]  # twins
    rows[7] = 0
    points = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300) if angular else rows
    usable = np.setdiff1d(np.arange(V), [7])
    terms = np.array([rng.choice(usable, 3, replace=False) for _ in range(Q)])
    answers = np.array([rng.choice(np.setdiff1d(usable, each)) for each in terms])
    answers[:5] = 50
    terms[:5] = [1, 2, 3]
    words, at = np.unique(terms, return_inverse=True)
    named = np.unique(np.concatenate([words, answers, [9]]))
    weights = csr_array((np.tile([-1.0, 1.0, 1.0], Q), at.ravel(), np.arange(0, 3 * Q + 1, 3)), shape=(Q, len(words)))
    numbered = np.column_stack([np.searchsorted(named, answers), np.full(Q, -1)])
    sums = Sums(weights, numbered, np.searchsorted(named, terms))
    found = places(np.array_split(points, 7), points[named], rows[words], sums, angular=angular)
    for question in range(Q):
        a, b, c = rows[terms[question]]
        target = b - a + c
        target = target / np.linalg.norm(target) if angular else target
        distances = np.linalg.norm(points - target, axis=1)
        own = distances[answers[question]]
        for left_out, nearer, tied in (
            ([7] if angular else [], found.nearer_with_inputs, found.tied_with_inputs),
            ([*([7] if angular else []), *terms[question]], found.nearer, found.tied),
        ):
            others = np.setdiff1d(np.arange(V), [*left_out, answers[question]])
            assert nearer[question] == (distances[others] < own - 1e-9).sum()
            assert tied[question] == (abs(distances[others] - own) <= 1e-9).sum()
    assert (found.tied[:5] == 4).all()


def test_ties_share_places() -> None:
    nearer, tied = np.array([0, 0, 3, 5]), np.array([0, 3, 1, 0])
    assert within(nearer, tied, 1).tolist() == [1, 0.25, 0, 0]
    assert within(nearer, tied, 5).tolist() == [1, 1, 1, 0]
    # Of all orders of tied ones, as scipy ranks them.
    distances = np.array([1, 1, 1, 1, 2, 3])
    assert rank(np.array([0, 4]), np.array([3, 0])).tolist() == rankdata(distances)[[0, 4]].tolist()
