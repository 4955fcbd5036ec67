"""What is to be known of a neighbor before it is believed: one set of marks, one wording, wherever lists are shown."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import numpy as np

from index.bundle.bundle import Bundle
from index.measures.hubness import HUB_TIMES


class Mark(StrEnum):
    """What a place in a list may be, besides near."""

    TWIN = "twin"
    TIED = "tied"
    HUB = "hub"
    UNTRAINED = "untrained"


SIGNS = {Mark.TWIN: "≡", Mark.TIED: "=", Mark.HUB: "*", Mark.UNTRAINED: "†"}

MEANINGS = {
    Mark.TWIN: "a twin of the token asked about: the same vector, bit for bit",
    Mark.TIED: "tied: as far as the one before or after, within the resolution; the order is arbitrary",
    Mark.HUB: f"a hub: in over {HUB_TIMES} times as many neighbor lists as tokens are in on average",
    Mark.UNTRAINED: "untrained: training never moved it apart from the others like it",
}

HUBNESS = "hubness: of how many tokens it is among the nearest in the causal metric, as many as a density averages"


def signs(marks: Iterable[Mark]) -> str:
    """Return marks as they stand in a table."""
    return "".join(SIGNS[mark] for mark in marks)


def legend(marks: Iterable[Mark]) -> list[str]:
    """Return what the signs of some marks mean, a line for each, in the order in which they stand."""
    there = set(marks)
    return [f"{sign}  {MEANINGS[mark]}" for mark, sign in SIGNS.items() if mark in there]


def marks_of(bundle: Bundle, row: int, *, tied: bool = False, twin: bool = False) -> tuple[Mark, ...]:
    """Return the marks of a row, and of the place in a list where it stands."""
    there = {Mark.TWIN: twin, Mark.TIED: tied, Mark.HUB: bundle.hubs[row], Mark.UNTRAINED: bundle.untrained[row]}
    return tuple(mark for mark, holds in there.items() if holds)


def suspect(bundle: Bundle) -> np.ndarray:
    """Return which tokens are untrained or hubs, and fill lists whoever's they are, (V,) bool."""
    return np.asarray(bundle.hubs | bundle.untrained)
