"""What an answer means, in sentences for people who see the numbers for the first time."""

from __future__ import annotations

import numpy as np

from index.answers.page import counted
from index.bundle.bundle import Space
from index.geometry.maps import Geometry
from index.measures.overlap import BORDERS, FEWEST, Overlap, Verdict
from index.pictures.numbers.densities import unit
from index.questions.lists.lists import Neighbor
from index.questions.lists.marks import MEANINGS, SIGNS
from index.questions.neighbors import Neighborhood

TERMS = (
    ("causal metric", "M, the inverse of the covariance of all token vectors; distances in it are in logometers."),
    ("cosine similarity", "The cosine of the angle between two raw token vectors, uncentered. Lists rank by the chord, "
     "the distance sqrt(2 - 2 cos) between directions."),
    ("density", "1 / the mean distance to the nearest neighbors."),
    ("twins", "Tokens with the same vector, bit for bit: training never moved them apart."),
    ("resolution", "How far rounding to float32 can move a distance. Closer ones are tied: their order is arbitrary."),
    ("overlap", "How many tokens are in both lists. Lowest and highest: what other orders of tied tokens would give. "
     f"Above {BORDERS[1]} % high, above {BORDERS[0]} % moderate, else low; undecided where ties could move it across "
     f"either; empty where the lists share only twins of the token; none of fewer than {FEWEST}, "
     "nor of more than half of the tokens there are, which share some whatever they are."),
    ("hubness", "Of how many tokens one is among the nearest in the causal metric. Untrained tokens and hubs are in "
     "many lists, whoever's they are: beside each overlap stands the one without them."),
    ("marks", "; ".join(f"{sign} {MEANINGS[mark]}" for mark, sign in SIGNS.items()) + "."),
)  # fmt: skip
"""The words of a report, for those who have none of its other parts."""


def verdict_sentences(found: Neighborhood, spaces: dict[Geometry, Space], chance: float) -> list[str]:
    """Say how far two lists agree, what that means, and what ties have to do with it.

    `chance` is how many tokens two lists drawn blindly would share, on average.
    """
    if found.overlap is None:
        return ["There is no verdict: a list is empty, so there is nothing to compare.", *_twins_sentence(found)]
    return [
        _count_sentence(found.overlap, chance),
        found.meaning,
        found.beside,
        _border_sentence(found.overlap),
        *(_ties_sentence(spaces[geometry], listed) for geometry, listed in found.lists.items()),
        *_twins_sentence(found),
    ]


def _count_sentence(overlap: Overlap, chance: float) -> str:
    small = chance < 0.95
    expected = np.format_float_positional(chance, 1, unique=False, fractional=not small, trim="-" if small else "k")
    if overlap.k == 1:
        found = f"The nearest token is {'' if overlap.count else 'not '}the same in both lists"
    else:
        found = f"{overlap.count} of the {overlap.k} nearest tokens {_are(overlap.count)} in both lists"
    return f"{found} ({overlap.percent:.1f} %); two lists drawn blindly would share {expected}."


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _border_sentence(overlap: Overlap) -> str:
    if overlap.lowest == overlap.highest:
        return "No tie at the last place of either list can change that number."
    spread = (
        "Ties at the last place are broken by row; broken otherwise, the number could be anything from "
        f"{overlap.lowest} to {overlap.highest}"
    )
    if overlap.verdict is not Verdict.UNDECIDED:
        return spread + "."
    low, high = 100 * overlap.lowest / overlap.k, 100 * overlap.highest / overlap.k
    crossed = " and of ".join(f"{border} %" for border in BORDERS if low < border < high)
    return f"{spread}, on both sides of {crossed}."


def _ties_sentence(space: Space, listed: tuple[Neighbor, ...]) -> str:
    tied = sum(neighbor.tied for neighbor in listed)
    where = f"In {space.geometry.words}"
    if tied == 0:
        return f"{where}, no neighbor is tied with another."
    return (
        f"{where}, {tied} of {counted(len(listed), 'neighbor')} {_are(tied)} tied with the one before or after, no "
        f"further apart than the resolution, {space.resolution:.2g} {unit(space.geometry)}: there, order is arbitrary."
    )


def _twins_sentence(found: Neighborhood) -> list[str]:
    if not found.twins:
        return []
    if len(found.twins) == 1:
        return ["One other token has the very same vector: what is said here holds for it, too."]
    return [f"{len(found.twins)} other tokens have the very same vector: what is said here holds for them, too."]
