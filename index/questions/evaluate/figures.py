"""Figures of how near the views of a vocabulary come to what people judged, set by set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from index.answers.answer import jsonable
from index.geometry.views import View


@dataclass(frozen=True)
class PairFigures:
    """How well a view orders pairs of words."""

    spearman: float  # rho of its scores and people's, over the pairs covered; NaN where there is none
    spearman_all: float  # over all pairs, those not covered at any place: the mean over all places
    low: float  # of `spearman`, at 95 %
    high: float


@dataclass(frozen=True)
class Hits:
    """How often the nearest tokens are the answers."""

    top1: float  # share of the questions covered whose answer is nearest; NaN where there is none
    top5: float  # ... is among the five nearest
    median_rank: float  # of the answers, from 1
    ties: int  # answers as near as another token, to the last digits of float64: twins


@dataclass(frozen=True)
class QuestionFigures(Hits):
    """The hits of a view, with the question's own words left out."""

    low: float  # of `top1`, at 95 %
    high: float
    with_inputs: Hits  # with the question's words among the candidates
    unit_rows: QuestionFigures | None  # of sums of rows made 1 long before; None where lengths are not taken off


Figures = PairFigures | QuestionFigures


@dataclass(frozen=True)
class Difference:
    """A view's figure, rho or top 1, less another's, of the same items."""

    of: View
    over: View
    difference: float
    low: float  # at 95 %, both views on the same draws
    high: float
    over_rows: Literal["raw", "unit"] | None = None  # what the other's analogies are sums of; None: of pairs

    def json(self) -> dict[str, Any]:
        """Return the difference with the views' keys."""
        numbers = _numbers(self, ("difference", "low", "high"))
        return {"of": self.of.key, "over": self.over.key, "over_rows": self.over_rows, **numbers}


@dataclass(frozen=True)
class Section:
    """A section of a set of analogies."""

    name: str
    items: int
    covered: int
    figures: Mapping[View, QuestionFigures]

    def json(self) -> dict[str, Any]:
        """Return the section with figures under the views' keys."""
        return {"name": self.name, "items": self.items, "covered": self.covered, **_by_key(self.figures)}


@dataclass(frozen=True)
class SetResult:
    """A set of judgments, and how near each view comes to them."""

    name: str
    items: int
    covered: int  # items whose words are all tokens
    figures: Mapping[View, Figures]
    differences: tuple[Difference, ...]
    sections: tuple[Section, ...] | None = None  # of analogies

    @property
    def kind(self) -> str:
        """What it consists of."""
        return "pairs" if self.sections is None else "analogies"

    def json(self) -> dict[str, Any]:
        """Return the set with figures under the views' keys."""
        sections = {} if self.sections is None else {"sections": [each.json() for each in self.sections]}
        return {
            "name": self.name,
            "kind": self.kind,
            "items": self.items,
            "covered": self.covered,
            **_by_key(self.figures),
            "differences": [each.json() for each in self.differences],
            **sections,
        }


def _by_key(figures: Mapping[View, Figures]) -> dict[str, Any]:
    return {view.key: jsonable(each) for view, each in figures.items()}


def _numbers(record: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: jsonable(getattr(record, name)) for name in names}
