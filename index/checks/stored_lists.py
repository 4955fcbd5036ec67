"""Stored neighbor lists against exact distances: how many ids differ, and whether each difference is a tie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from index.answers.answer import json_number


@dataclass(frozen=True)
class ListCheck:
    """Stored lists of some tokens in one geometry, against exact distances.

    A place is `wrong` when its other id is no tie: the stored token is further, or nearer, than the one that belongs
    there by more than `tolerance`, or stands in the list twice, or is the token itself.
    """

    rows: int  # tokens checked
    ids: int  # places of their lists
    differing: int  # places with another id than the exact list has there
    wrong: int  # those of them that are no ties
    worst_error: float  # the largest difference between a stored distance and the exact one of the same token
    tolerance: float  # the resolution of the space: in logometers, or of the chord

    @property
    def passed(self) -> bool:
        """Whether no id is wrong, and no distance by more than the tolerance."""
        return self.wrong == 0 and self.worst_error <= self.tolerance

    def json(self) -> dict[str, Any]:
        """Return the check with its outcome."""
        return {"passed": self.passed, **asdict(self), "worst_error": json_number(self.worst_error)}


def check_list(
    ids: np.ndarray, distances: np.ndarray, exact: np.ndarray, nearest: np.ndarray, row: int, tolerance: float
) -> ListCheck:
    """Check the stored list of one row: ids and distances, (K,), -1 and infinity where there are no more.

    `exact`, (K,) float64, holds the exact distances of these ids; what it holds for -1 is not read. `nearest`, (K, 2)
    float64, is the exact list: row and distance, nearest first, -1 and infinity where there are no more.
    """
    there = ids >= 0
    wanted_ids, wanted = nearest[:, 0].astype(np.int64), nearest[:, 1]
    if not np.array_equal(there, wanted_ids >= 0):
        return ListCheck(1, len(ids), len(ids), len(ids), np.inf, tolerance)
    ids, distances, exact, wanted_ids, wanted = (
        values[there] for values in (ids, distances, exact, wanted_ids, wanted)
    )
    differs = ids != wanted_ids
    wrong = np.abs(exact - wanted) > tolerance
    wrong |= ids == row
    wrong |= np.isin(np.arange(len(ids)), np.unique(ids, return_index=True)[1], invert=True)
    errors = np.abs(distances.astype(np.float64) - exact)
    return ListCheck(1, len(ids), int(differs.sum()), int(wrong.sum()), float(errors.max(initial=0.0)), tolerance)


def total(checks: Iterable[ListCheck], tolerance: float) -> ListCheck:
    """Return what the checks of several rows come to."""
    rows = ids = differing = wrong = 0
    worst = 0.0
    for check in checks:
        rows, ids = rows + check.rows, ids + check.ids
        differing, wrong, worst = differing + check.differing, wrong + check.wrong, max(worst, check.worst_error)
    return ListCheck(rows, ids, differing, wrong, worst, tolerance)
