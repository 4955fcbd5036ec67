"""How far the differences of word pairs lie along one direction, held against random pairs.

Each pair's difference is projected on the direction of the others: their mean difference, made 1 long. Park, Choe and
Veitch, "The Linear Representation Hypothesis and the Geometry of Large Language Models" (ICML 2024), section 4, leave
one pair out. Pairs that share a word share a vector, which alone would turn them the same way; so what is left out with
a pair is its group: all pairs that a chain of shared words links to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from index.measures.bootstrap import LEVEL, Interval

_BLOCK_ELEMENTS = 1 << 21
"""Coordinates of vectors held at once, float64: 16 MB."""
_CANCELED = 2.0**-40
"""What is left of a sum, relative to its terms, once it is rounding alone."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Which of some words make pairs: the n pairs go from `first` to `second`, of u words numbered from 0."""

    first: np.ndarray  # (n,) int64
    second: np.ndarray  # (n,)

    @property
    def words(self) -> int:
        """How many words there are."""
        return 0 if len(self.first) == 0 else int(max(self.first.max(), self.second.max())) + 1

    @property
    def groups(self) -> np.ndarray:
        """The group of each pair, (n,), numbered from 0 in the order of their first pairs."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        links = coo_array((np.ones(len(self.first), np.int8), (self.first, self.second)), shape=(self.words,) * 2)
        _, labels = connected_components(links, directed=False)
        _, start, group = np.unique(labels[self.first], return_index=True, return_inverse=True)
        numbers: np.ndarray = np.argsort(np.argsort(start))[group]
        return numbers

    def differences(self, words: np.ndarray) -> np.ndarray:
        """Return what each pair's second word has over its first, of vectors (..., u, D): (..., n, D)."""
        found: np.ndarray = words[..., self.second, :] - words[..., self.first, :]
        return found


def direction(differences: np.ndarray) -> np.ndarray:
    """Return the mean of differences (n, D) made 1 long, (D,); zero where they cancel."""
    total = differences.sum(axis=0)
    length = np.linalg.norm(total)
    return np.zeros_like(total) if length <= _CANCELED * np.abs(differences).sum() else total / length


def directions_of_others(differences: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return for each of m groups the direction of all other pairs, (m, D); zero where there are none."""
    m = int(groups.max()) + 1
    return np.array([direction(differences[groups != group]) for group in range(m)])


def cosines(differences: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair's difference with the direction of the other groups'.

    Of many sets at once: differences (..., n, D) give (..., n). A difference of zero has the cosine 0. NaN where there
    is no other group.
    """
    n, m = len(groups), int(groups.max()) + 1
    if m < 2:
        return np.full(differences.shape[:-1], np.nan)
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(m))
    by_group = np.add.reduceat(differences[..., order, :], starts, axis=-2) if m < n else differences[..., order, :]
    total = by_group.sum(axis=-2, keepdims=True)
    others = (total - by_group)[..., groups, :]
    products = np.einsum("...ij,...ij->...i", differences, others)
    lengths = np.linalg.norm(differences, axis=-1) * np.linalg.norm(others, axis=-1)
    found: np.ndarray = np.where(lengths > 0, products / np.where(lengths > 0, lengths, 1), 0)
    return found


def crossed_cosine(words: np.ndarray, pairs: Pairs, groups: np.ndarray) -> float:
    """Return the mean cosine of the same words in other pairs: the first of one pair, the second of another group's.

    All of them are counted, each with the direction of the groups that hold neither pair; vectors are (u, D). NaN below
    three groups. Where it is as high as that of the pairs, two kinds of word differ, whoever belongs to whom.
    """
    m = int(groups.max()) + 1
    if m < 3:
        return float("nan")
    differences = pairs.differences(words)
    by_group = np.zeros((m, differences.shape[1]))
    np.add.at(by_group, groups, differences)
    total = by_group.sum(axis=0)
    seconds = words[pairs.second]
    sum_, count = 0.0, 0
    for at, first in enumerate(words[pairs.first]):
        other = groups != groups[at]
        across = seconds[other] - first
        direction = total - by_group[groups[at]] - by_group[groups[other]]
        lengths = np.linalg.norm(across, axis=1) * np.linalg.norm(direction, axis=1)
        products = np.einsum("ij,ij->i", across, direction)
        sum_ += float((products / np.where(lengths > 0, lengths, np.inf)).sum())
        count += int(other.sum())
    return sum_ / count


def jackknife(differences: np.ndarray, groups: np.ndarray) -> Interval:
    """Return where the mean of `cosines` lies, at `LEVEL`: by leaving out one group after the other.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 11, with Student's t of m - 1 degrees. A
    bootstrap would draw pairs twice, and these would be others of themselves. NaN below three groups.
    """
    m = int(groups.max()) + 1
    if m < 3:
        return Interval(float("nan"), float("nan"))
    gram = differences @ differences.T
    of_group = np.zeros((len(groups), m))
    of_group[np.arange(len(groups)), groups] = 1
    by_group = gram @ of_group  # (n, m): each pair with the sum of each group
    between = of_group.T @ by_group  # (m, m)
    rows, total = between.sum(axis=1), between.sum()
    own = np.diag(between)
    left = total - 2 * (rows[:, np.newaxis] + rows) + own[:, np.newaxis] + own + 2 * between  # less two groups, squared
    products = (by_group.sum(axis=1) - by_group[np.arange(len(groups)), groups])[:, np.newaxis] - by_group
    squares = np.diag(gram)[:, np.newaxis] * left[groups]
    with np.errstate(invalid="ignore", divide="ignore"):
        without = np.where(squares > 0, products / np.sqrt(np.maximum(squares, 0)), 0)  # (n, m): group h left out
    kept = 1 - of_group
    means = (without * kept).sum(axis=0) / kept.sum(axis=0)
    mean = float(cosines(differences, groups).mean())
    spread = float(np.sqrt((m - 1) / m * ((means - means.mean()) ** 2).sum()))
    from scipy.special import stdtrit

    reach = float(stdtrit(m - 1, (1 + LEVEL) / 2)) * spread
    return Interval(mean - reach, mean + reach)


def random_words(draw: np.random.Generator, candidates: np.ndarray, words: int, sets: int) -> np.ndarray:
    """Return sets of different words drawn from rows (v,), (sets, words)."""
    drawn = np.array([draw.choice(len(candidates), words, replace=False) for _ in range(sets)], dtype=np.int64)
    rows: np.ndarray = candidates[drawn]
    return rows


def blocks_of_sets(sets: int, elements: int) -> Iterator[slice]:
    """Yield slices of so many sets, each of as few as hold `_BLOCK_ELEMENTS` when one has `elements` coordinates."""
    height = max(1, _BLOCK_ELEMENTS // max(1, elements))
    for start in range(0, sets, height):
        yield slice(start, min(start + height, sets))


def exact_p(found: float, drawn: np.ndarray) -> float:
    """Return the share of what was found and drawn that is as high as what was found: (1 + count) / (1 + n).

    Where what was found is one more draw, it is at most p with a probability of at most p, for any number of draws.
    Phipson and Smyth, "Permutation P-values Should Never Be Zero" (2010). NaN where nothing was found.
    """
    if np.isnan(found):
        return float("nan")
    return (1 + int((drawn >= found).sum())) / (1 + len(drawn))
