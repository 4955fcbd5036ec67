"""A small model trained here, every step of it kept, and what a test counts in the steps by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

V, D, STEPS = 120, 4, 20
SEEN, RARE = 100, 80  # tokens below SEEN are trained; those from RARE on, once in a while
GRID = 1.0


def trained() -> NDArray[np.uint16]:
    """The unembedding of a bigram model at each step, (STEPS, V, D), as bits of bfloat16.

    Trained by sampled softmax, so that only the rows drawn move; kept on a grid, as a very coarse quantization would,
    so that rows meet and part. The rare tokens begin as one row, and so do half of those that are never seen.
    """
    random = np.random.default_rng(5)
    output, hidden = random.normal(size=(V, D)), random.normal(size=(SEEN, D))
    output[RARE:SEEN] = output[RARE]
    output[SEEN : SEEN + 10] = output[SEEN]
    often = np.r_[np.full(RARE, 1.0), np.full(SEEN - RARE, 0.05)]
    followers = random.integers(SEEN, size=SEEN)
    kept = []
    for step in range(STEPS):
        kept.append(np.round(output * GRID) / GRID + 0.0)  # no negative zeros: those are other bits
        if step == 11:
            continue  # a step that changes nothing: the one after is the same matrix
        for before in random.choice(SEEN, 12, p=often / often.sum()):
            drawn = np.r_[followers[before], random.choice(SEEN, 3, p=often / often.sum())]
            logits = output[drawn] @ hidden[before]
            chances = np.exp(logits - logits.max())
            slope = chances / chances.sum() - np.eye(len(drawn))[0]
            output[drawn] -= 0.7 * slope[:, None] * hidden[before]
    return np.stack(kept).astype(ml_dtypes.bfloat16).view(np.uint16)


@dataclass(frozen=True)
class Counts:
    """What is counted at one step."""

    distinct: int
    groups: int
    twins: int
    kept: int | None
    born: int | None
    gone: int | None
    split: int | None
    merged: int | None
    moved: int | None
    never_moved: int


def counts(stack: NDArray[np.uint16]) -> list[Counts]:
    """Count everything of a timeline that has to do with equal rows, with sets of Python."""
    rows = [[row.tobytes() for row in matrix] for matrix in stack]
    groups = [_groups(each) for each in rows]
    found = []
    still = set(range(len(rows[0])))
    changes: Iterator[dict[str, int]] = (_changes(a, b) for a, b in pairwise(groups))
    for number, each in enumerate(rows):
        moved = None
        changed: dict[str, int | None] = dict.fromkeys(("kept", "born", "gone", "split", "merged"))
        if number:
            apart = {token for token, row in enumerate(each) if row != rows[number - 1][token]}
            still -= apart
            moved, changed = len(apart), {**next(changes)}
        found.append(
            Counts(
                len(set(each)),
                len(groups[number]),
                sum(map(len, groups[number])),
                moved=moved,
                never_moved=len(still),
                **changed,
            )
        )
    return found


def _groups(rows: list[bytes]) -> set[frozenset[int]]:
    named: dict[bytes, set[int]] = {}
    for token, row in enumerate(rows):
        named.setdefault(row, set()).add(token)
    return {frozenset(tokens) for tokens in named.values() if len(tokens) > 1}


def _changes(before: set[frozenset[int]], after: set[frozenset[int]]) -> dict[str, int]:
    was, now = set().union(*before), set().union(*after)
    return {
        "kept": len(before & after),
        "born": sum(not group & was for group in after),
        "gone": sum(not group & now for group in before),
        "split": sum(bool(group & now) and not any(group <= other for other in after) for group in before),
        "merged": sum(bool(group & was) and not any(group <= other for other in before) for group in after),
    }
