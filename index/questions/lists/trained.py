"""Beside the overlap of all tokens, that of the trained ones with lists of trained tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from index.answers.answer import Row, jsonable
from index.answers.page import Block, Heading, Sentence, Table, table
from index.bundle.bundle import Bundle
from index.measures.overlap import chance
from index.measures.overlaps import OverlapAt, overlap_at, overlaps
from index.progress import Progress
from index.questions.asking.among import Subset
from index.questions.asking.reading import Pair
from index.questions.lists.lists import lists_among

FEW = 1 << 14
"""So many tokens are searched in seconds."""

COLUMNS = ("trained_tokens", "trained_mean", "trained_lowest", "trained_highest")
"""Of one length of lists, in CSV and Parquet files."""


@dataclass(frozen=True)
class TrainedOverlap:
    """How far two geometries agree over trained tokens; lists hold trained tokens alone, exactly."""

    tokens: int  # those that have lists as long in both
    untrained: int  # tokens left out
    tops: dict[int, OverlapAt]
    not_compared: tuple[int, ...]  # lengths that the stored lists do not reach without the untrained tokens

    def json(self) -> dict[str, Any]:
        """Return shares from 0 to 1."""
        return {
            "tokens": self.tokens,
            "untrained": self.untrained,
            "tops": {str(top): jsonable(at) for top, at in self.tops.items()},
            "not_compared": list(self.not_compared),
        }

    def columns(self, top: int) -> Row:
        """Return what stands beside the figures of all tokens at one length, by the names of `COLUMNS`."""
        at = self.tops.get(top)
        values = (None,) * 4 if at is None else (self.tokens, at.mean, at.lowest, at.highest)
        return dict(zip(COLUMNS, values, strict=True))

    def beside(self) -> list[Block]:
        """Say of a bundle that stands beside another, and has no untrained tokens, that all of its tokens are meant."""
        said = "Of its points none is untrained: its lines stand beside the trained tokens, too."
        return [] if self.untrained else [Sentence(said, aside=True)]

    def blocks(self) -> list[Block]:
        """Return the figures under their heading, and which are not there."""
        left_out = f"{self.untrained:,} untrained left out of tokens and lists"
        blocks: list[Block] = [Heading(f"Trained tokens, with lists of trained tokens: {self.tokens:,} ({left_out})")]
        if self.tops:
            blocks.append(overlap_table(self.tops))
        for top in self.not_compared:
            said = f"top {top}: lists end too early without untrained tokens; asked for by itself, it is searched for"
            blocks.append(Sentence(said, aside=True))
        return blocks


def overlap_table(
    tops: dict[int, OverlapAt], beside: dict[int, OverlapAt] | None = None, whose: tuple[str, str] = ("", "")
) -> Table:
    """Return how overlaps lie at each length of lists, in percent.

    Those of another bundle stand `beside`, each line named by whose it is.
    """
    columns = ("top", "mean", "25 %", "50 %", "75 %", "by chance", "share none", "share all")

    def line(top: int, at: OverlapAt) -> tuple[str, ...]:
        shares = (f"{100 * share:.1f}" for share in (at.mean, *at.quartiles))
        return (str(top), *shares, f"{100 * at.chance:.3f}", f"{at.none:,}", f"{at.whole:,}")

    if beside is None:
        return table(columns, (line(top, at) for top, at in tops.items()))
    pairs = ((name, top, found[top]) for top in tops for name, found in zip(whose, (tops, beside), strict=True))
    return table(("", *columns), ((name, *line(top, at)) for name, top, at in pairs))


def trained_overlap(
    bundle: Bundle, some: Subset | None, geometries: Pair, lengths: Sequence[int], progress: Progress, *, asked: bool
) -> TrainedOverlap:
    """Compare the trained tokens, or those of some, at `lengths`; unless `asked`, at those that need no long search."""
    rows = np.arange(len(bundle)) if some is None else some.rows
    trained = rows[~bundle.untrained[rows]].astype(np.int32)
    untrained = len(rows) - len(trained)
    spaces = [bundle.spaces[geometry] for geometry in geometries]
    left_out = spaces[0].excluded, spaces[1].excluded, (*spaces[0].excluded, *spaces[1].excluded)
    others = [max(0, int((~np.isin(trained, each)).sum()) - 1) for each in left_out]
    reached = [top for top in lengths if top <= min(others[:2])]
    if not asked and untrained and len(rows) > FEW:
        reached = [top for top in reached if 2 * top <= bundle.manifest.K]
    skipped = tuple(top for top in lengths if top not in reached)
    if not reached:
        return TrainedOverlap(0, untrained, {}, skipped)
    kept = some if untrained == 0 else Subset("trained", trained)
    lists = [
        lists_among(space, kept, reached[-1], partial(progress, f"trained tokens by {space.geometry.words}"))
        for space in spaces
    ]
    found = {top: overlaps(lists[0], lists[1], top) for top in reached}
    compared = np.flatnonzero(~np.isnan(found[reached[-1]].counts))
    if len(compared) == 0:
        return TrainedOverlap(0, untrained, {}, tuple(lengths))
    tops = {top: overlap_at(each.of(compared), chance(top, *others)) for top, each in found.items()}
    return TrainedOverlap(len(compared), untrained, tops, skipped)
