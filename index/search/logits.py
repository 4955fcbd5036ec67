"""The tokens of the highest logits, exactly, and how many tokens bfloat16 could not tell from each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.geometry.blocks import Matrix, row_blocks
from index.measures.narrow import least_rounding_to, to_bfloat16
from index.progress import Share

BLOCK_BYTES = 1 << 28
"""Of all logits of some states."""


@dataclass(frozen=True, eq=False)
class Logits:
    """The tokens of the highest logits of one state, the highest first, equal ones by row."""

    rows: np.ndarray  # (n,)
    values: np.ndarray  # (n,) float64
    rounded: np.ndarray  # (n,) the nearest numbers of bfloat16
    alike: np.ndarray  # (n,) how many tokens have the same rounded logit, itself among them


def highest_logits(
    gamma: Matrix,
    states: np.ndarray,
    count: int,
    *,
    rows: np.ndarray | None = None,
    progress: Share = lambda share: None,
) -> list[Logits]:
    """Return the `count` highest logits gamma h of each state, (Q, D) float64, among some rows, or all.

    All are multiplied in float64, by BLAS, whose sums of equal rows may differ in their last bits. What these leave
    open is summed again row by row, so that twins have one logit: either sum is off by at most D 2^-53 |g| |h| (Higham,
    Accuracy and Stability of Numerical Algorithms, section 3.1).
    """
    allowed = np.arange(len(gamma)) if rows is None else np.asarray(rows, dtype=np.int64)
    height = max(1, BLOCK_BYTES // (8 * len(gamma)))
    found: list[Logits] = []
    for start in range(0, len(states), height):
        block = states[start : start + height]
        logits, longest = np.empty((len(block), len(gamma))), 0.0
        for where, part in row_blocks(gamma):
            logits[:, where] = block @ part.T
            longest = max(longest, float(np.linalg.norm(part, axis=1).max()))
        bounds = gamma.shape[1] * 2.0**-52 * longest * np.linalg.norm(block, axis=1)
        for state, values, bound in zip(block, logits, bounds.tolist(), strict=True):
            found.append(_highest(gamma, state, values[allowed], allowed, min(count, len(allowed)), 2 * bound))
        progress(min(1.0, (start + height) / len(states)))
    return found


def _highest(
    gamma: Matrix, state: np.ndarray, values: np.ndarray, allowed: np.ndarray, count: int, doubt: float
) -> Logits:
    """Return the highest logits of one state, of which `values`, (n,), are off by no more than half of `doubt`."""
    last = float(np.partition(values, len(values) - count)[len(values) - count])
    candidates = np.flatnonzero(values >= least_rounding_to(last - doubt) - doubt)
    sums = np.empty(len(candidates))
    for at in range(0, len(candidates), 1 << 14):
        some = allowed[candidates[at : at + (1 << 14)]]
        sums[at : at + len(some)] = np.einsum("ij,j->i", gamma[some].astype(np.float64), state)
    rounded = to_bfloat16(sums)
    order = np.lexsort((allowed[candidates], -sums))[:count]
    kept = rounded[order]
    classes, sizes = np.unique(rounded, return_counts=True)
    return Logits(allowed[candidates[order]], sums[order], kept, sizes[np.searchsorted(classes, kept)])
