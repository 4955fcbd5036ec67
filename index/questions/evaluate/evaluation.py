"""The answer of `evaluate`: its records, its rows, its page, and what it comes to in a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from index.answers.answer import Answer, Row
from index.answers.page import Block, Heading, Sentence, Table, facts, listed, table
from index.geometry.maps import Geometry
from index.geometry.views import VIEWS, View
from index.questions.evaluate.figures import Difference, Figures, PairFigures, QuestionFigures, SetResult
from index.tokens.words import Case, WordForm, WordRows

MAIN = VIEWS[:3]
"""The geometries with the angles that most texts take, at zero."""


@dataclass(frozen=True)
class Evaluation(Answer):
    """How near the geometries come to what people judged."""

    form: WordForm
    case: Case
    words: WordRows
    sets: tuple[SetResult, ...]

    columns: ClassVar = {
        **dict.fromkeys(("set", "kind", "section", "geometry", "over", "rows", "inputs"), str),
        **dict.fromkeys(("items", "covered"), int),
        **dict.fromkeys(("spearman", "spearman_all", "top1", "top5", "median_rank"), float),
        "ties": int,
        **dict.fromkeys(("difference", "low", "high"), float),
    }

    def rows(self) -> list[Row]:
        """Return one record for each set, section and geometry, and for each difference of two."""
        return [{**dict.fromkeys(self.columns), **row} for each in self.sets for row in _rows(each)]

    def json(self) -> dict[str, Any]:
        """Return the sets, and what they come to."""
        asked = {"form": self.form.value, "case": self.case.value, "words": self.words.value}
        return {**asked, "sets": [each.json() for each in self.sets], "verdict": self.verdict}

    @property
    def refusal(self) -> str | None:
        """Say that no item of any set is covered, where it is so."""
        if any(each.covered for each in self.sets):
            return None
        return f"no item is covered: no word of {listed([each.name for each in self.sets])} is a token here"

    @property
    def verdict(self) -> str:
        """What the intervals of the differences allow to say, and no more."""
        return verdict(self.sets)

    def page(self) -> list[Block]:
        """Return the verdict and the figures of each set."""
        told = {
            WordForm.SPACE: "behind a space",
            WordForm.BARE: "without a space",
            WordForm.BEST: "behind a space, or bare",
        }
        case = "as written" if self.case is Case.EXACT else "in any case"
        several = "left out" if self.words is WordRows.SINGLE else "the mean of their rows"
        blocks: list[Block] = [
            facts([("words", f"tokens {told[self.form]}, {case}; those of several tokens are {several}")]),
            Sentence(self.verdict),
        ]
        for each in self.sets:
            blocks += _set_blocks(each)
        blocks.append(Sentence(_READING, aside=True))
        return blocks


FEWEST_ITEMS = 10
"""Covered items that a set must have for a verdict: two pairs always agree or disagree wholly, in every draw."""

_READING = (
    "from, to: what 95 % of bootstrap draws of pairs of words give. Counted are words that are tokens: frequent ones"
)
_QUESTIONS_READING = (
    "in percent, the question's own words left out, but for `inputs in`; raw: b - a + c of rows as they are; unit: of "
    "rows made 1 long before"
)


def verdict(sets: tuple[SetResult, ...]) -> str:
    """Say on which sets the causal geometries are nearer to people's judgments than both cosines, or further."""
    few = [f"{each.name} ({each.covered})" for each in sets if each.covered < FEWEST_ITEMS]
    left_out = f"Fewer than {FEWEST_ITEMS} items tell nothing: {listed(few)}." if few else ""
    sets = tuple(each for each in sets if each.covered >= FEWEST_ITEMS)
    if not sets:
        return left_out
    told = {Geometry.CAUSAL_COSINE: "the causal metric's angle", Geometry.CAUSAL: "its distance"}
    said: dict[str, list[str]] = {}
    for geometry, words in told.items():
        said.setdefault(_against_cosine(geometry, sets), []).append(words)
    parts = [f"{listed(subjects)} {'is' if len(subjects) == 1 else 'are'} {how}" for how, subjects in said.items()]
    rivals = "taken at zero and at the mean row"
    if any(each.sections is not None for each in sets):
        rivals += ", on analogies of rows as they are and of unit rows"
    said_of_all = f"Held against cosine similarity, {rivals}, {'; '.join(parts)}."
    return f"{said_of_all} {left_out}".rstrip()


def _against_cosine(geometry: Geometry, sets: tuple[SetResult, ...]) -> str:
    nearer, further, open_ = (
        "nearer to people's judgments on",
        "further from people's judgments on",
        "not told apart from it on",
    )
    groups: dict[str, list[str]] = {nearer: [], further: [], open_: []}
    for each in sets:
        cosines = (View(Geometry.COSINE), View(Geometry.COSINE, centered=True))
        held = [one for one in each.differences if one.of == View(geometry) and one.over in cosines]
        group = nearer if all(one.low > 0 for one in held) else further if all(one.high < 0 for one in held) else open_
        groups[group].append(each.name)
    return listed([f"{how} {listed(names)}" for how, names in groups.items() if names])


# --- rows ---------------------------------------------------------------------------------------------------------


def _rows(each: SetResult) -> Iterator[Row]:
    named = {"set": each.name, "kind": each.kind}
    counted = {"items": each.items, "covered": each.covered}
    for view, of_all in each.figures.items():
        yield from ({**named, **counted, **row} for row in _figure_rows(view, of_all))
    for section in each.sections or ():
        of = {**named, "section": section.name, "items": section.items, "covered": section.covered}
        for view, hits in section.figures.items():
            yield from ({**of, **row} for row in _figure_rows(view, hits))
    for one in each.differences:
        views = {"geometry": _column(one.of), "over": _column(one.over), "rows": one.over_rows}
        yield {**named, **counted, **views, "difference": one.difference, "low": one.low, "high": one.high}


def _figure_rows(view: View, figures: Figures) -> Iterator[Row]:
    geometry = {"geometry": _column(view)}
    if isinstance(figures, PairFigures):
        yield {**geometry, **vars(figures)}
        return
    for rows, of in (("raw", figures), ("unit", figures.unit_rows)):
        if of is not None:
            shown = {name: getattr(of, name) for name in ("top1", "top5", "median_rank", "ties", "low", "high")}
            yield {**geometry, "rows": rows, "inputs": "out", **shown}
            yield {**geometry, "rows": rows, "inputs": "in", **vars(of.with_inputs)}


def _column(view: View) -> str:
    return view.key.replace("_", "-")


# --- page ---------------------------------------------------------------------------------------------------------


def _set_blocks(each: SetResult) -> Iterator[Block]:
    yield Heading(f"{each.name}: {each.covered:,} of {each.items:,} {each.kind} covered")
    if not each.covered:
        return
    if each.sections is None:
        yield _pairs_table(each)
    else:
        yield _questions_table(each.figures)
        yield Sentence(_QUESTIONS_READING, aside=True)
    figure = "rho" if each.sections is None else "top 1"
    yield table(
        ("", f"difference in {figure}", "from", "to"),
        ((_difference_label(one), *map(_signed, (one.difference, one.low, one.high))) for one in each.differences),
    )
    if each.sections is not None and len(each.sections) > 1:
        yield Heading(f"{each.name} by section: percent at top 1, the question's own words left out")
        yield table(
            ("", "covered", *(view.label for view in MAIN)),
            (
                (one.name or "(none)", f"{one.covered:,}", *(_percent(one.figures[view].top1) for view in MAIN))
                for one in each.sections
                if one.covered
            ),
        )


def _difference_label(one: Difference) -> str:
    rows = ", unit rows" if one.over_rows == "unit" else ""
    return f"{one.of.label} over {one.over.label}{rows}"


def _pairs_table(each: SetResult) -> Table:
    lines = (
        (
            view.label,
            *(_shown(getattr(figures, name), "{:.3f}") for name in ("spearman", "low", "high", "spearman_all")),
        )
        for view, figures in each.figures.items()
    )
    return table(("", "rho", "from", "to", "rho of all"), lines)


def _questions_table(figures: Mapping[View, Figures]) -> Table:
    shown = [
        (view, rows, hits)
        for view, each in figures.items()
        if isinstance(each, QuestionFigures)
        for rows, hits in (("raw", each), ("unit", each.unit_rows))
        if hits is not None
    ]
    tied = any(hits.ties for _, _, hits in shown)
    lines = (
        (
            view.label,
            rows,
            *map(_percent, (hits.top1, hits.low, hits.high, hits.top5)),
            _shown(hits.median_rank, "{:g}"),
            _percent(hits.with_inputs.top1),
            *((f"{hits.ties:,}",) if tied else ()),
        )
        for view, rows, hits in shown
    )
    return table(
        ("", "rows", "top 1", "from", "to", "top 5", "median", "inputs in", *(("ties",) if tied else ())), lines
    )


def _shown(value: float, form: str) -> str:
    return "" if math.isnan(value) else form.format(value)


def _percent(share: float) -> str:
    return _shown(100 * share, "{:.1f}")


def _signed(value: float) -> str:
    return _shown(value, "{:+.3f}")
