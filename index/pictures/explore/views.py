"""Answers as what the templates of `explore` show: tables of links, facts and charts. Nothing here knows of HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from index.bundle.bundle import Bundle
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.measures.overlap import Overlap
from index.pictures.explore.address import Choice, Link, lead, link
from index.pictures.explore.ask import shown
from index.pictures.explore.opened import OpenedBundle
from index.pictures.numbers.densities import unit
from index.pictures.numbers.series import NeighborhoodSeries, neighborhood_series
from index.pictures.page import words
from index.pictures.page.answer_charts import answer_charts, specifications
from index.pictures.page.chart import Chart
from index.pictures.page.charts import neighborhood_charts
from index.pictures.page.tables import LISTED_TWINS, density_facts
from index.questions.analogy.terms import term_of
from index.questions.asking.parameters import density_k_of
from index.questions.findings.findings import Findings
from index.questions.findings.quoted import Finding
from index.questions.lists.lists import NEAREST_BY, Neighbor
from index.questions.lists.marks import MEANINGS, SIGNS, Mark
from index.questions.neighbors import Neighborhood, neighborhood
from index.tokens.display import display, quoted

NONE = "-"
"""What stands where there is no number."""


@dataclass(frozen=True)
class Line:
    """One place of a neighbor list."""

    rank: int
    link: Link
    distance: float
    similarity: float | None
    hubness: str
    marks: tuple[tuple[str, str], ...]  # signs with what they mean
    suspect: bool  # whether it is untrained or a hub, and in many lists whoever's they are
    shared: bool  # whether the other list holds the token, too
    other_rank: str  # in the other geometry, `>100` beyond the stored list, or `NONE`


@dataclass(frozen=True)
class List:
    """A neighbor list."""

    name: str  # of its geometry, for style sheets and scripts
    caption: str
    unit: str
    other: str  # the geometry of `Line.other_rank`; empty where lists are not compared
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class TokenView:
    """The page of one token."""

    link: Link
    facts: list[tuple[str, str]]
    twins: list[Link]  # the first of them
    more_twins: int  # how many are not among these
    overlap: Overlap | None
    verdict: str  # the overlap in a word; `none` where there is nothing to judge
    without: str  # the same without untrained tokens and hubs, where any are shared and it can be judged
    brief: str  # the overlap in a sentence, and what is left of it without untrained tokens and hubs
    sentences: list[str]  # the verdict in plain words
    lists: list[List]
    charts: tuple[Chart, ...]

    @property
    def specifications(self) -> dict[str, Any]:
        """The charts by the ids of the elements they are drawn in."""
        return specifications(self.charts)


def token_view(opened: OpenedBundle, row: int, choice: Choice) -> TokenView:
    """Return the page of the token of a row."""
    bundle = opened.vocabulary
    density_k = density_k_of(bundle, None)
    pair, among = (choice.first, choice.second), opened.unsuspected if choice.without_suspect else None
    found = neighborhood(bundle, row, choice.top, density_k, Rule.DISTINCT, pair, among)
    series = neighborhood_series(bundle, found, opened.densities(found))
    return TokenView(
        link(found.token, choice),
        _facts(opened, found, series),
        [link(twin, choice) for twin in found.twins[:LISTED_TWINS]],
        max(0, len(found.twins) - LISTED_TWINS),
        found.overlap,
        "none" if found.verdict is None else found.verdict.value,
        verdict_without(found),
        brief(found),
        words.verdict_sentences(found, bundle.spaces, series.overlap.expected(found.overlap)),
        _compared_lists(bundle, found, choice),
        neighborhood_charts(series, lambda token: choice.of_token(token.id)),
    )


def brief(found: Neighborhood) -> str:
    """Return the overlap in a sentence or two: the count, and what is left without untrained tokens and hubs."""
    if found.overlap is None:
        return found.meaning
    shared = f"{found.overlap.count} of {found.overlap.k} in both lists ({found.overlap.percent:.1f} %)"
    return f"{shared}. {found.beside}"


def verdict_without(found: Neighborhood) -> str:
    """Return the verdict without untrained tokens and hubs; empty where none are shared, or there is none."""
    rest = found.without
    return "" if rest is None or rest.either == 0 or rest.verdict is None else rest.verdict.value


def quoted_finding(found: Finding) -> dict[str, str]:
    """Return what a script shows of a finding, with the address of the answer it is taken from."""
    to = lead(found.source)
    return {"said": f"{found.said}.", "misleads": found.misleads, "question": to.text, "address": to.address}


def findings_context(found: Findings, choice: Choice, *, waiting: bool) -> dict[str, Any]:
    """Return what the page of findings shows: themselves, the answers they are taken from, and the charts of these.

    While others are waited for, the findings that are there stand alone, and nothing is said of why others are not.
    """
    answers = {} if waiting else found.answers
    charts = tuple(chart for answer in answers.values() for chart in answer_charts(answer))
    return {
        "parts": shown((replace(found, left_out={}) if waiting else found).page(), choice),
        "answers": [(name, shown(answer.page(), choice)) for name, answer in answers.items()],
        "charts": charts,
        "specifications": specifications(charts),
    }


def suggestion(bundle: Bundle, to: Link, only: int | None) -> dict[str, Any]:
    """Return what a script shows of a token that may be meant; `only` is the row of one that is, and nothing else."""
    term = term_of(bundle, to.row)
    about = {"id": to.id, "text": to.text, "number": to.number, "term": term, "address": to.address}
    return {**about, "only": to.row == only}


def plain_lists(lists: Mapping[Geometry, tuple[Neighbor, ...]], choice: Choice) -> list[List]:
    """Return neighbor lists that are not compared with each other, as those of an analogy."""
    return [
        List(
            geometry.label,
            f"{len(listed)} nearest {NEAREST_BY[geometry]}",
            unit(geometry),
            "",
            tuple(_line(neighbor, choice) for neighbor in listed),
        )
        for geometry, listed in lists.items()
    ]


def _compared_lists(bundle: Bundle, found: Neighborhood, choice: Choice) -> list[List]:
    shared = {each.token.row for each in found.shared}
    lists = []
    for geometry, other in ((choice.first, choice.second), (choice.second, choice.first)):
        listed = found.lists[geometry]
        places = _stored_places(bundle, other, found)
        lines = (
            _line(
                neighbor,
                choice,
                shared=neighbor.token.row in shared,
                other_rank=_other_rank(bundle, other, places, neighbor.token.row),
            )
            for neighbor in listed
        )
        caption = (
            f"{len(listed)} nearest {NEAREST_BY[geometry]}"
            if listed
            else f"None {NEAREST_BY[geometry]}: {found.why_none(geometry)}"
        )
        lists.append(List(geometry.label, caption, unit(geometry), other.label, tuple(lines)))
    return lists


def _line(neighbor: Neighbor, choice: Choice, *, shared: bool = False, other_rank: str = NONE) -> Line:
    return Line(
        neighbor.rank,
        link(neighbor.token, choice),
        neighbor.distance,
        neighbor.similarity,
        f"{neighbor.hubness:,.0f}",
        tuple((SIGNS[mark], MEANINGS[mark]) for mark in neighbor.marks),
        Mark.HUB in neighbor.marks or Mark.UNTRAINED in neighbor.marks,
        shared,
        other_rank,
    )


def _stored_places(bundle: Bundle, geometry: Geometry, found: Neighborhood) -> dict[int, int]:
    """Return the ranks, from 1, of the tokens in a stored list that may be listed; empty where there is no point."""
    ids = bundle.spaces[geometry].ids[found.token.row]
    ids = ids[ids >= 0] if found.among is None else ids[np.isin(ids, found.among.rows)]
    return {other: rank for rank, other in enumerate(ids.tolist(), 1)}


def _other_rank(bundle: Bundle, geometry: Geometry, places: dict[int, int], row: int) -> str:
    if not places or row in bundle.spaces[geometry].excluded:
        return NONE
    return str(places[row]) if row in places else f">{len(places)}"


def _facts(opened: OpenedBundle, found: Neighborhood, series: NeighborhoodSeries) -> list[tuple[str, str]]:
    token, about = found.token, opened.about(found.token.row)
    rows = [
        ("id", str(token.id)),
        ("row", str(token.row)),
        ("exact text", "none" if token.text is None else quoted(token.text)),
        ("piece", "none" if token.piece is None else display(token.piece)),
        ("kind", about.get("kind")),
        ("script", about.get("script")),
        *density_facts(found, series),
        ("Euclidean norm", _number(about.get("euclidean_norm"))),
        ("causal norm", _number(about.get("causal_norm"), " logometers")),
        ("hubness", found.hubness_said()),
        ("reachable", _reachable(about.get("reachable"))),
    ]
    rows += [(f"resolution, {ranks.geometry.label}", f"{ranks.resolution:.3g} {ranks.unit}") for ranks in series.ranks]
    return [(name, value) for name, value in rows if value is not None]


def _number(value: float | None, suffix: str = "") -> str | None:
    return None if value is None else f"{value:.7g}{suffix}"


def _reachable(value: bool | None) -> str | None:
    if value is None:
        return None
    return "yes" if value else "no: the tokenizer makes other tokens of its text"
