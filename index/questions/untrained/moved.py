"""How far training moved the tokens, as a histogram with its gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from index.answers.answer import json_number
from index.answers.page import Block, Column, Heading, bars, table
from index.measures.untrained import Gap, find_gap

EDGES = (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, *(n / 10 for n in range(1, 11)), np.inf)
"""Of the bars of the histogram."""


@dataclass(frozen=True)
class Moved:
    """How many tokens were moved how far; the median token: 1."""

    counts: tuple[int, ...]  # between `EDGES`
    gap: Gap | None
    measured: bool  # whether there was a token to measure from

    @classmethod
    def of(cls, moved: np.ndarray) -> Moved:
        """Count V tokens by how far each was moved, NaN where that is not known."""
        known = moved[np.isfinite(moved)]
        return cls(tuple(np.histogram(known, EDGES)[0].tolist()), find_gap(moved), len(known) > 0)

    def json(self) -> dict[str, Any]:
        """Return the threshold, the gap and the bars."""
        return {
            "threshold": None if self.gap is None else self.gap.threshold,
            "gap": None if self.gap is None else [self.gap.low, self.gap.high],
            "histogram": [
                {"from": low, "to": json_number(high), "tokens": count}
                for low, high, count in zip(EDGES, EDGES[1:], self.counts, strict=False)
            ],
        }

    def gap_said(self) -> str:
        """Say which gap there is, or why there is none."""
        if not self.measured:
            return "nothing to measure from: no token here cannot occur, and no vector is shared by three"
        if self.gap is None:
            return "no gap: no threshold is proposed"
        return f"no token from {self.gap.low:.3g} to {self.gap.high:.3g}; the threshold is {self.gap.threshold:.3g}"

    def page(self) -> list[Block]:
        """Return the histogram; nothing where there was nothing to measure from."""
        if not self.measured:
            return []
        bins = zip(EDGES, EDGES[1:], self.counts, bars(self.counts), strict=False)
        lines = [
            (f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} on", f"{n:,}", bar or self._empty(low, high))
            for low, high, n, bar in bins
        ]
        return [
            Heading("How far tokens were moved (the median token: 1); bars are logarithmic"),
            table(("", Column("tokens", 9), ""), lines),
        ]

    def _empty(self, low: float, high: float) -> str:
        """Say of a bar without tokens that it lies in the gap, and where the threshold is."""
        if self.gap is None or not self.gap.low < high or not low < self.gap.high:
            return ""
        return f"gap; threshold {self.gap.threshold:.3g}" if low <= self.gap.threshold < high else "gap"
