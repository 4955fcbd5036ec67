"""How far training moved each token from where those stand that cannot occur.

A token that no text holds gets from training only what all such tokens get alike, so they stay in one place, and what
training hardly met lies beside them. The indicators are those of Land and Bartolo, "Fishing for Magikarp" (EMNLP 2024),
section 3.2: distances to the mean of such tokens, Euclidean and by angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from index.geometry.blocks import row_blocks

LARGE_GROUP = 3
"""So many twins or more are untrained wherever they stand; two may be a row and its copy."""
BESIDE = 0.1
"""Of the way that the median token stands off: a token nearer than that is beside those that cannot occur."""
APART = 0.5
"""From there on, a token that cannot occur by its text has been moved all the same."""
WIDTH = 0.1
"""What an empty stretch must measure at least to be a gap."""
_MOST_PLACES, _PLACES_TOGETHER = 4096, 512
_MOST_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class Indicators:
    """How far each of V tokens stands from the mean of those that cannot occur; NaN where there are none."""

    moved: np.ndarray  # (V,) Euclidean distance, in those of the median token
    cosine: np.ndarray  # (V,) 1 - cosine of raw rows; NaN for a zero row
    centered: np.ndarray  # (V,) of rows less the mean row
    residual: np.ndarray  # (V,) of rows without their part along the first principal component


@dataclass(frozen=True)
class Gap:
    """An empty stretch of `moved`."""

    low: float  # the last token before it
    high: float  # the first one after it

    @property
    def threshold(self) -> float:
        """Its middle."""
        return (self.low + self.high) / 2


def large_groups(twins: np.ndarray) -> np.ndarray:
    """Return which of V tokens, given the first row equal to each, are of `LARGE_GROUP` twins or more."""
    large: np.ndarray = np.bincount(twins, minlength=len(twins))[twins] >= LARGE_GROUP
    return large


def unused_mean(gamma: np.ndarray, unused: np.ndarray, mean: np.ndarray) -> np.ndarray | None:
    """Return the mean (D,) of the rows of gamma (V, D) that are `unused`, (V,), and not zero; None without any.

    Only of those where most of them stand: no further from one of them than a tenth of the median token's distance from
    the mean row (D,). What stands elsewhere was moved all the same, or began there; where each does, it is the mean of
    them all. Where they are more than fit in a quarter of a gigabyte, as of a tokenizer that makes few of its own
    tokens, every second, third, ... of them is looked at.
    """
    every = math.ceil(int(np.count_nonzero(unused)) * gamma.shape[1] * 8 / _MOST_BYTES) or 1
    rows = gamma[np.flatnonzero(unused)[::every]].astype(np.float64)
    rows, counts = np.unique(rows[rows.any(axis=1)], axis=0, return_counts=True)
    if len(rows) == 0:
        return None
    radius = BESIDE * np.median(_distances(gamma, mean))
    some = rows[:: math.ceil(len(rows) / _MOST_PLACES)] - mean
    others = rows - mean
    squares = np.einsum("ij,ij->i", others, others)
    within = np.empty(len(some), dtype=np.int64)
    for start in range(0, len(some), _PLACES_TOGETHER):
        block = some[start : start + _PLACES_TOGETHER]
        apart = np.einsum("ij,ij->i", block, block)[:, None] + squares - 2 * block @ others.T
        within[start : start + len(block)] = (apart <= radius**2) @ counts
    near = np.linalg.norm(others - some[within.argmax()], axis=1) <= radius
    if counts[near].sum() == 1:
        near[:] = True
    middle: np.ndarray = np.average(rows[near], axis=0, weights=counts[near])
    return middle


def indicators(gamma: np.ndarray, center: np.ndarray | None, mean: np.ndarray, component: np.ndarray) -> Indicators:
    """Measure the rows of gamma (V, D) against a center (D,), in float64.

    `mean`, (D,), is the mean row, and `component`, (D,), the first principal one, 1 long.
    """
    if center is None:
        return Indicators(*(np.full(len(gamma), np.nan) for _ in range(4)))
    distances = _distances(gamma, center)
    middle = np.median(distances)
    found = [np.empty(len(gamma)) for _ in range(3)]
    for where, block in row_blocks(gamma):
        found[0][where] = _cosine_distances(block, center)
        found[1][where] = _cosine_distances(block - mean, center - mean)
        along, center_along = block @ component, center @ component
        found[2][where] = _cosine_distances(block - np.outer(along, component), center - center_along * component)
        found[2][where][~block.any(axis=1)] = np.nan
    return Indicators(distances / middle if middle > 0 else distances, *found)


def _distances(gamma: np.ndarray, center: np.ndarray) -> np.ndarray:
    distances = np.empty(len(gamma))
    for where, block in row_blocks(gamma):
        distances[where] = np.linalg.norm(block - center, axis=1)
    return distances


def _cosine_distances(rows: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return half the squared chord between directions, which is 1 - cosine without its cancellation; NaN for zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        chords = directions - center / np.linalg.norm(center)
    distances: np.ndarray = np.einsum("ij,ij->i", chords, chords) / 2
    return distances


def find_gap(moved: np.ndarray) -> Gap | None:
    """Return the widest stretch without a token that begins nearer than halfway to the median token.

    None where it is less than a tenth of that way wide: then tokens lie all along it, and any threshold is arbitrary.
    """
    ascending = np.sort(moved[np.isfinite(moved)])
    low, high = ascending[:-1], ascending[1:]
    begins = low < APART
    if not begins.any():
        return None
    widest = int(np.argmax(np.where(begins, high - low, -1)))
    return Gap(float(low[widest]), float(high[widest])) if high[widest] - low[widest] >= WIDTH else None


def reasons(
    *, orphan: np.ndarray, unused: np.ndarray, special: np.ndarray, twins: np.ndarray, moved: np.ndarray
) -> dict[str, np.ndarray]:
    """Return for each reason to take a token for untrained the tokens, (V,) bool, it holds for.

    All arrays are (V,): rows without text, what cannot occur by its text (these among them), control tokens, the first
    row equal to each, and `Indicators.moved`. `twins`: in bulk, wherever they stand. `unused`: it cannot occur, and
    does not stand more than halfway off. `beside`: it stands nearer than a tenth, or up to the gap; a control token
    needs a twin as well, for no text of the training holds it, and what is trained later on little moves it little.
    """
    gap = find_gap(moved)
    near = moved < max(BESIDE, gap.threshold if gap else 0)
    twin = np.bincount(twins, minlength=len(twins))[twins] > 1
    return {
        "orphan": orphan,
        "twins": large_groups(twins),
        "unused": unused & ~orphan & (moved < APART),
        "beside": near & (twin | ~special),
    }
