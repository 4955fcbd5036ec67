"""Stored neighbor lists against what FAISS itself answers from the two indexes of a bundle.

Nothing else looks at a point here: FAISS opens the files, a token's point is what it reconstructs, and the list is what
it searches. It counts in float32. With u = 2^-24 and g = (D + 4) u / (1 - (D + 4) u):

    An L2 index sums the squares of D differences, in any order: for a distance e, of s that FAISS gives,
    s = e^2 (1 + t), |t| <= g, but for what vanishes below 2^-126 of each term: D 2^-126
    (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1)                                       (1)

    An inner product of x and y is off by at most g |x| |y| and D 2^-126 (the same). Points of directions are
    unit vectors whose coordinates were rounded once: |x| is within u + D 2^-149 of 1, so
    |e^2 - (2 - 2 s)| <= 2 g (1 + 3 u) + 5 u + D 2^-126                                                         (2)

With more queries than a few, FAISS takes squared distances from inner products, which (1) does not bound: unless a
selector says which rows count. One always does here: zero rows have no direction, and are nobody's neighbors.

A stored distance d is the float32 of e, so that e^2 is within 3 u d^2 and 2^-126 of d^2. Then d^2 and what FAISS
measures of the same token differ by no more than `_allowed`, the sum of the two. A token that only one of both lists
holds must be as far away as the end of the other list, up to that: then it ties. A token that FAISS could not measure,
because its square is beyond float32, is farther than all that it could.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from index.answers.answer import json_number
from index.bundle.bundle import Space
from index.geometry.maps import Geometry
from index.progress import Share

QUERIES_AT_ONCE = 16
_U = 2.0**-24
_VANISHING = 2.0**-126
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class FaissCheck:
    """Stored lists of some tokens in one geometry, against those that a FAISS index answers with."""

    rows: int  # tokens asked for; those without a direction have no list
    ids: int  # places of their lists
    differing: int  # places where FAISS has another token
    wrong: int  # tokens of either list that the other has elsewhere, or not at all, beyond what float32 can tell
    worst_error: float  # the largest difference of squared distances: in logometers squared, or of the chord squared
    worst_share: float  # the largest of such a difference over what is allowed there, beyond 1 where it is wrong
    relative: float  # what float32 can tell: of a squared distance, as a share of it,
    absolute: float  # and beside that

    @property
    def passed(self) -> bool:
        """Whether FAISS answers as the lists say."""
        return self.wrong == 0

    def json(self) -> dict[str, Any]:
        """Return the check with its outcome."""
        return {"passed": self.passed, **{name: json_number(value) for name, value in asdict(self).items()}}


def check_through_faiss(space: Space, rows: np.ndarray, progress: Share) -> FaissCheck:
    """Ask the FAISS index of a space for the lists of some rows, (Q,), and compare them with those that are stored."""
    import faiss as module

    faiss: Any = module
    index, (V, K) = space.index, space.ids.shape
    placed = np.ones(V, bool)
    placed[list(space.excluded)] = False
    selector = faiss.IDSelectorBitmap(np.packbits(placed, bitorder="little"))
    parameters = faiss.SearchParameters(sel=selector)
    relative, absolute = _precision(space.geometry, space.points.shape[1])
    asked, checks = rows[placed[rows]], []
    for start in range(0, len(asked), QUERIES_AT_ONCE):
        block = asked[start : start + QUERIES_AT_ONCE]
        queries = np.stack([index.reconstruct(row) for row in block.tolist()])
        measured, ids = index.search(queries, K + 1, params=parameters)
        for row, found, values in zip(block.tolist(), ids, measured.astype(np.float64), strict=True):
            others = np.flatnonzero((found >= 0) & (found != row))[:K]
            squared = values if space.geometry is Geometry.CAUSAL else 2 - 2 * values
            stored = space.distances[row].astype(np.float64) ** 2
            lists = found[others], squared[others], space.ids[row].astype(np.int64), stored
            checks.append(_compare(row, *lists, relative, absolute))
        progress(min(start + QUERIES_AT_ONCE, len(asked)) / len(asked))
    differing, wrong, errors, shares = np.array(checks).reshape(-1, 4).T
    worst = float(errors.max(initial=0.0)), float(shares.max(initial=0.0))
    return FaissCheck(len(rows), len(rows) * K, int(differing.sum()), int(wrong.sum()), *worst, relative, absolute)


def _precision(geometry: Geometry, D: int) -> tuple[float, float]:
    """Return by how much squared distances d^2 of FAISS and of a list may differ: a share of d^2, and beside it."""
    g = (D + 4) * _U / (1 - (D + 4) * _U) if (D + 4) * _U < 1 else np.inf
    if geometry is Geometry.CAUSAL:
        return g * (1 + 3 * _U) + 3 * _U, (D + 1) * _VANISHING
    return 3 * _U, 2 * g * (1 + 3 * _U) + 5 * _U + (D + 1) * _VANISHING


def _compare(
    row: int,
    found: np.ndarray,
    squared: np.ndarray,
    ids: np.ndarray,
    stored: np.ndarray,
    relative: float,
    absolute: float,
) -> tuple[int, int, float, float]:
    """Return how many places differ, how many tokens are wrong, the worst error and the worst share of the allowed.

    `found` and `squared`, (n,), are what FAISS has of at most K others, `ids` and `stored`, (K,), the stored list, -1
    and infinity where there are no more, with squared distances.
    """
    K, listed = len(ids), ids[ids >= 0]
    differing = int((found[: len(listed)] != listed[: len(found)]).sum()) + abs(len(found) - len(listed))
    if row in listed or len(np.unique(listed)) < len(listed):
        return differing, len(listed), np.inf, np.inf
    both, at_found, at_listed = np.intersect1d(found, listed, assume_unique=True, return_indices=True)
    errors = np.abs(squared[at_found] - stored[at_listed])
    with np.errstate(invalid="ignore"):
        shares = errors / (relative * stored[at_listed] + absolute)
    only_listed = stored[: len(listed)][~np.isin(listed, both)]
    end = squared[-1] if len(found) == K else _LARGEST
    only_found = squared[~np.isin(found, both)]
    last = stored[-1] * (1 - relative) - absolute if len(listed) == K else np.inf
    right = shares <= 1, only_listed * (1 + relative) + absolute >= end, only_found >= last  # NaN is not
    wrong = sum(int((~each).sum()) for each in right)
    return differing, wrong, float(errors.max(initial=0.0)), float(shares.max(initial=0.0))
