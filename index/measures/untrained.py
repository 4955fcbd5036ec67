"""How far training moved each token from where those stand that cannot occur.

A token that no text holds gets from training only what all such tokens get alike, so they stay in one place, and what
training hardly met lies beside them. The indicators are those of Land and Bartolo, "Fishing for Magikarp" (EMNLP 2024),
section 3.2: distances to the mean of such tokens, Euclidean and by angle.
"""

from __future__ import annotations

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


def unused_mean(gamma: np.ndarray, unused: np.ndarray) -> np.ndarray | None:
    """Return the mean (D,) of the rows of gamma (V, D) that are `unused`, (V,); None where none of them is more than 0.

    Those among them that training moved all the same are left out: the ones as far from their coordinate-wise median,
    which a minority does not move, as half the median token.
    """
    rows = gamma[np.flatnonzero(unused)].astype(np.float64)
    rows = rows[rows.any(axis=1)]
    if len(rows) == 0:
        return None
    middle = np.median(rows, axis=0)
    near = np.linalg.norm(rows - middle, axis=1) < APART * np.median(_distances(gamma, middle))
    mean: np.ndarray = (rows[near] if near.any() else rows).mean(axis=0)
    return mean


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


def beside(moved: np.ndarray, gap: Gap | None) -> np.ndarray:
    """Return which tokens, (V,), stand beside those that cannot occur: nearer than a tenth, or up to the gap."""
    near: np.ndarray = moved < max(BESIDE, gap.threshold if gap else 0)
    return near
