"""How sure a figure of a sample is: the same figure of samples drawn from that sample, with replacement.

Draws are counts, how often each item is drawn, so that a figure of all of them is a few products. Efron and Tibshirani,
"An Introduction to the Bootstrap" (1993), chapter 13: the interval is that of the percentiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

DRAWS = 2_000
SEED = 0
LEVEL = 0.95

_BLOCK_ELEMENTS = 1 << 22
"""Counts held at once, float64: 32 MB."""


class Interval(NamedTuple):
    """Where a figure lies, at `LEVEL`."""

    low: float
    high: float


def draws(items: int, *, number: int = DRAWS, seed: int = SEED) -> Iterator[np.ndarray]:
    """Yield how often each of some items is drawn, blocks of (draws, items) float64, together `number` draws.

    Equal arguments give equal draws: figures of the same items are paired.
    """
    random = np.random.default_rng(seed)
    height = max(1, _BLOCK_ELEMENTS // max(1, items))
    chances = np.full(items, 1 / items)
    for start in range(0, number, height):
        yield random.multinomial(items, chances, size=min(height, number - start)).astype(np.float64)


def interval(values: np.ndarray) -> Interval:
    """Return the interval that a figure's values in all draws give, (draws,); NaN where a draw has none."""
    outside = 50 * (1 - LEVEL)
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(known, [outside, 100 - outside])
    return Interval(float(low), float(high))


def shares_of_questions(
    first: np.ndarray, second: np.ndarray, values: np.ndarray, *, number: int = DRAWS, seed: int = SEED
) -> np.ndarray:
    """Return the mean of each column of values (n, columns) in every draw, (draws, columns).

    A question is made of two pairs, `first` and `second`, (n,) each, numbered from 0, and pairs are what is drawn: a
    question counts as often as both of its pairs together. Questions that share a pair are no independent witnesses,
    and a draw of questions would say a figure is surer than it is. Owen, "The pigeonhole bootstrap" (2007).
    """
    pairs = int(max(first.max(), second.max())) + 1
    columns = np.column_stack([np.ones(len(values)), values])
    totals = []
    for counts in draws(pairs, number=number, seed=seed):
        height = max(1, _BLOCK_ELEMENTS // len(values))
        for start in range(0, len(counts), height):
            here = counts[start : start + height]
            totals.append((here[:, first] * here[:, second]) @ columns)
    found = np.concatenate(totals)
    with np.errstate(invalid="ignore"):
        means: np.ndarray = found[:, 1:] / found[:, :1]
    return means
