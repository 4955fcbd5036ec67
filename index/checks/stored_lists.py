"""Stored neighbor lists against exact distances: how many ids differ, and whether each difference is a tie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ListCheck:
    """Stored lists of some tokens in one geometry, against exact distances.

    Attributes
    ----------
    rows : int
        Tokens checked.
    ids : int
        Places of their lists.
    differing : int
        Places with another id than the exact list has there.
    wrong : int
        Of these, the ones that are no ties: the stored token is further, or nearer, than the one that belongs there by
        more than `tolerance`, or stands in the list twice, or is the token itself.
    worst_error : float
        The largest difference between a stored distance and the exact one of the same token.
    tolerance : float
        The resolution of the space: in logometers, or of the chord.
    """

    rows: int
    ids: int
    differing: int
    wrong: int
    worst_error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether no id is wrong, and no distance by more than the tolerance."""
        return self.wrong == 0 and self.worst_error <= self.tolerance


def check_list(
    ids: np.ndarray, distances: np.ndarray, exact: np.ndarray, nearest: np.ndarray, row: int, tolerance: float
) -> ListCheck:
    """Check the stored list of one row.

    Parameters
    ----------
    ids, distances : ndarrays of shape (K,)
        As stored; -1 and infinity where there are no more.
    exact : ndarray of shape (K,), float64
        The exact distances of these ids; what it holds for -1 is not read.
    nearest : ndarray of shape (K, 2), float64
        The exact list: row and distance, nearest first; -1 and infinity where there are no more.
    row : int
    tolerance : float
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
