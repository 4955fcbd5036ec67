"""The place of an answer: how many of all points are nearer to a sum of words than the answer is.

A score orders the points as their distance from the sum does: q.x - |x|^2 / 2 where distance counts, q.x where only the
direction does. Sums are of few words, so their scores are sums of the words' own products with the points: all the
products of thousands of sums with all points cost no more than those of the words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_TOKENS_PER_BLOCK = 256
"""So that the words' products with them stay in the processor's cache."""
_ROUNDING = 2.0**-40
"""What float64 products of some thousand terms may be off by, relative to both lengths: what is closer is tied."""


@dataclass(frozen=True, eq=False)
class Places:
    """How many points are nearer than each answer, and how many others are as near. Counted twice."""

    nearer: np.ndarray  # (Q,) int64, the sum's own words left out
    tied: np.ndarray  # (Q,)
    nearer_with_inputs: np.ndarray  # (Q,)
    tied_with_inputs: np.ndarray  # (Q,)


@dataclass(frozen=True, eq=False)
class Sums:
    """Q signed sums of W words, and which of N named points are in each, or answer it."""

    weights: csr_array  # (Q, W)
    answers: np.ndarray  # (Q, A) places among the named points, -1 where there are fewer: the best of them counts
    inputs: np.ndarray  # (Q, E) likewise, those left out


def places(points: Iterable[np.ndarray], named: np.ndarray, words: np.ndarray, sums: Sums, *, angular: bool) -> Places:
    """Return the places of the answers to Q sums.

    `points` are blocks (n, D) of all V of them, `named`, (N, D), those that are in a sum or answer it, `words`, (W, D),
    what is summed; all float64.
    """
    from index.measures.place_kernels import count

    lengths = np.linalg.norm(sums.weights @ words, axis=1)
    reference = sums.weights @ _scores(words, named) - _halves(named, angular)  # (Q, N)
    answered = _taken(reference, sums.answers)
    best = answered.max(axis=1)
    longest = 1.0 if angular else float(np.linalg.norm(named, axis=1).max())
    slack = _ROUNDING * (lengths + longest) * longest
    above, below = best + slack, best - slack
    nearer, reached = np.zeros(len(best), np.int64), np.zeros(len(best), np.int64)
    terms = sums.weights.indptr, sums.weights.indices, sums.weights.data
    for block in points:
        kept = block[block.any(axis=1)] if angular else block
        for start in range(0, len(kept), _TOKENS_PER_BLOCK):
            here = kept[start : start + _TOKENS_PER_BLOCK]
            count(*terms, _scores(words, here), _halves(here, angular), above, below, nearer, reached)
    reached -= (answered >= below[:, np.newaxis]).sum(axis=1)  # the answer itself, and its other spellings
    nothing = lengths == 0  # nothing is nearest to no direction
    if angular and nothing.any():
        nearer[nothing] = reached[nothing] = np.iinfo(np.int32).max
    of_inputs = _taken(reference, sums.inputs)
    near_inputs = (of_inputs > above[:, np.newaxis]).sum(axis=1)
    reached_inputs = (of_inputs >= below[:, np.newaxis]).sum(axis=1)
    return Places(
        nearer - near_inputs,
        reached - nearer - (reached_inputs - near_inputs),
        nearer,
        reached - nearer,
    )


def within(nearer: np.ndarray, tied: np.ndarray, top: int) -> np.ndarray:
    """Return for each answer whether it is among the `top` nearest, (Q,) float64.

    Where m points tie for the last r of the places, each is there r / m times.
    """
    shares: np.ndarray = np.clip((top - nearer) / (tied + 1), 0, 1)
    return shares


def rank(nearer: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """Return the rank of each answer from 1, (Q,) float64; those that tie share the mean of their ranks."""
    ranks: np.ndarray = nearer + 1 + tied / 2
    return ranks


def _scores(words: np.ndarray, points: np.ndarray) -> np.ndarray:
    found: np.ndarray = words @ points.T
    return found


def _halves(points: np.ndarray, angular: bool) -> np.ndarray:
    """Return half the square of each length, (n,), where it counts."""
    if angular:
        return np.zeros(len(points))
    halves: np.ndarray = np.einsum("ij,ij->i", points, points) / 2
    return halves


def _taken(scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return scores (Q, N) at places (Q, n); -infinity at -1."""
    found = np.take_along_axis(scores, np.maximum(places, 0), axis=1)
    taken: np.ndarray = np.where(places < 0, -np.inf, found)
    return taken
