"""`hubness`: how unevenly neighbor lists are filled: whose places they are, and who is in none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Row
from index.answers.page import Block, Heading, Sentence, Words, bars, counted, facts, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry
from index.measures.hubness import HUB_TIMES, PERCENTS, Unevenness, borders, unevenness
from index.measures.hubness import hubness as hubness_of
from index.measures.scaling import CSLS_NEIGHBORS
from index.progress import Progress, silent
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.beside import MORE_COLUMNS, Beside, BesideBundle, beside_json, beside_rows
from index.questions.asking.beside import beside as asked_beside
from index.questions.asking.parameters import KEPT, Among, Without
from index.questions.asking.question import Doc
from index.questions.asking.reading import Some
from index.questions.lists.lists import among_facts, among_json, lists_among

USUAL_LENGTH = 30

SCALINGS = {"csls": "by CSLS", "mutual_proximity": "by mutual proximity"}
"""Local scalings by their keys in JSON, as a table's lines say them."""

_SCALED = (
    f"CSLS ranks by the cosine less half the other's mean cosine to its {CSLS_NEIGHBORS} nearest; mutual proximity by "
    "the probability that random tokens are further away, seen from either, distances taken as normal and independent. "
    "In the causal metric both are of squared distances."
)


@dataclass(frozen=True)
class Filled:
    """How the lists of one geometry are filled, and how they would be by local scaling."""

    by_distance: Unevenness
    untrained: float  # the share of all places that untrained tokens hold, by distance
    scaled: dict[str, Unevenness] = field(default_factory=dict)  # by the keys of `SCALINGS`; empty where not asked

    def json(self) -> dict[str, Any]:
        """Return the figures; of scaled lists under `scaled`, where they were asked for."""
        scaled = {name: each.json() for name, each in self.scaled.items()}
        held = {"share_untrained": self.untrained}
        return {**self.by_distance.json(), **held, **({"scaled": scaled} if scaled else {})}

    def lines(self, geometry: Geometry) -> Iterator[tuple[str, str, Unevenness]]:
        """Yield what the lists are ranked by, for a table and for a column, with the figures."""
        yield geometry.label, "", self.by_distance
        for name, each in self.scaled.items():
            yield f"  {SCALINGS[name]}", name.replace("_", "-"), each


@dataclass(frozen=True)
class Hubness(AmongSome):
    """How unevenly neighbor lists are filled."""

    geometries: dict[Geometry, Filled]
    untrained: int  # tokens among these
    among: Subset | None = None  # whose lists these are, of these tokens alone
    beside: Beside[Hubness] | None = None  # another bundle's

    columns: ClassVar = {
        "geometry": str,
        "k": int,
        "skewness": float,
        **{f"share_{percent}": float for percent in PERCENTS},
        "in_no_list": int,
        "scaling": str,
        "share_untrained": float,
    }

    @property
    def more_columns(self) -> Mapping[str, type]:
        """Whose line it is, where another bundle stands beside."""
        return {} if self.beside is None else MORE_COLUMNS

    def rows(self) -> list[Row]:
        """Return one record for each geometry, and for each scaling of it."""
        rows: list[Row] = [
            {
                "geometry": geometry.label,
                "k": found.k,
                "skewness": found.skewness,
                **{f"share_{percent}": share for percent, share in found.share.items()},
                "in_no_list": found.in_no_list,
                "scaling": scaling,
                "share_untrained": None if scaling else filled.untrained,
            }
            for geometry, filled in self.geometries.items()
            for _, scaling, found in filled.lines(geometry)
        ]
        return beside_rows(rows, self.beside)

    def json(self) -> dict[str, object]:
        """Return the figures under the names of their geometries; shares from 0 to 1."""
        shown = {geometry.value: filled.json() for geometry, filled in self.geometries.items()}
        return {**shown, **among_json(self.among), **beside_json(self.beside)}

    def page(self) -> list[Block]:
        """Return a line for each geometry, shares in percent, and how many tokens are in how many lists."""
        columns = ("geometry", "skewness", *(f"top {percent} %" for percent in PERCENTS), "in no list")
        lines = (
            (
                words,
                f"{found.skewness:.2f}",
                *(f"{100 * share:.1f}" for share in found.share.values()),
                f"{found.in_no_list:,}",
            )
            for geometry in self.geometries
            for words, found in self._lines(geometry)
        )
        said = "If lists were filled evenly, the top 1 % of the tokens would hold little more than 1 % of the places."
        scaled = any(filled.scaled for filled in self.geometries.values())
        return [
            *([facts(among_facts(self.among))] if self.among is not None else []),
            Heading(f"Places in lists of {self.length}, in percent, held by the tokens that are in most lists"),
            table(columns if not scaled else ("", *columns[1:]), lines),
            *([] if self.beside is None else self.beside.blocks()),
            *([Sentence(self._untrained_said())] if self.untrained else []),
            Sentence(said, aside=True),
            *([Sentence(_SCALED, aside=True)] if scaled else []),
            *self._distribution("Tokens, by how many lists they are in"),
            *([] if self.beside is None else self.beside.answer._distribution(f"The same in the {self.beside.other}")),
        ]

    def _lines(self, geometry: Geometry) -> Iterator[tuple[str, Unevenness]]:
        """Yield the figures of a geometry with what their line is called, and behind them another bundle's."""
        for words, _, found in self.geometries[geometry].lines(geometry):
            yield words, found
        if self.beside is not None:
            for words, scaling, found in self.beside.answer.geometries[geometry].lines(geometry):
                yield f"  {self.beside.other}{',' + words[1:] if scaling else ''}", found

    def _untrained_said(self) -> str:
        """Say how much of the lists is of tokens that training never moved."""
        held = [f"{100 * filled.untrained:.1f} % ({geometry.label})" for geometry, filled in self.geometries.items()]
        whose = f"{counted(self.untrained, 'untrained token')} {'holds' if self.untrained == 1 else 'hold'}"
        return f"Of these places {whose} {', '.join(held)}."

    @property
    def length(self) -> int:
        """How long the lists are."""
        return next(iter(self.geometries.values())).by_distance.k

    @property
    def bins(self) -> list[str]:
        """How many lists the tokens of each count of a distribution are in."""
        edges = borders(self.length)
        return ["none", *(f"up to {edge:,g}" for edge in edges[1:]), f"over {edges[-1]:,g}"]

    def _distribution(self, title: str) -> list[Block]:
        """Return how many tokens are in how many lists by distance, with bars; the last line is of hubs."""
        edges = borders(self.length)
        counts = [filled.by_distance.counts for filled in self.geometries.values()]
        lines: Iterator[tuple[Words, ...]] = zip(
            self.bins,
            *(column for each in counts for column in ([f"{count:,}" for count in each], bars(each))),
            strict=True,
        )
        heads = [head for geometry in self.geometries for head in (geometry.label, "")]
        said = f"over {edges[-1]:,g}: hubs, in over {HUB_TIMES} times the mean, {self.length}; bars are logarithmic"
        return [
            Heading(title),
            table(("lists", *heads), lines),
            Sentence(said, aside=True),
        ]


def hubness(
    bundle: Bundle,
    *,
    top: Annotated[int | None, Doc("Length of the neighbor lists.", default="30, or all kept"), KEPT] = None,
    geometries: Annotated[
        Some, Doc("Those to measure, of causal, cosine and causal-cosine.", metavar="A,...", option="--geometry")
    ] = tuple(Geometry),
    scaled: Annotated[
        bool,
        Doc("Also lists ranked by local scaling, CSLS and mutual proximity: measures all pairs, which takes long."),
    ] = False,
    among: Among = None,
    without: Without = None,
    beside: BesideBundle = None,
    progress: Progress = silent,
) -> Hubness:
    """How unevenly neighbor lists are filled: the places that few tokens hold, and the tokens in no list.

    Example: uv run query.py hubness --top 10

    Tokens that tie for the last places of a list share them. `among` some tokens, or `without` some, their lists hold
    these tokens alone, as if there were no others. Scaled lists hold what is nearest by the scaling among all of them,
    exactly: `index.measures.scaling` defines both.

    >>> answer = index.open("data/indexes/smollm2-135m").hub_shares(without="@untrained")
    >>> round(answer.geometries["causal"].by_distance.share["0.1"], 3)
    0.23
    """
    some = kept(bundle, among, without)
    placed = {geometry: _placed(bundle, geometry, some) for geometry in geometries}
    for geometry, count in placed.items():
        if count < 2:
            whose = bundle.name if some is None else some.name
            raise ParameterError(f"no token of {whose} has a neighbor by {geometry.label}")
    wanted = min(USUAL_LENGTH, bundle.manifest.K) if top is None else top
    k = min(wanted, *(count - 1 for count in placed.values()))
    if k < wanted and top is not None and some is not None:
        raise ParameterError(f"{parameter('top')} must be from 1 to {k:,}, the others in {some.name}, got: {top:,}")
    found = {each: _filled(bundle, each, k, some, scaled, progress) for each in geometries}
    other = asked_beside(
        bundle,
        beside,
        lambda other: hubness(
            other, top=k, geometries=geometries, scaled=scaled, among=some, progress=_named(progress, other)
        ),
        k=k,
        geometries=geometries,
        among=some,
    )
    untrained = bundle.untrained if some is None else bundle.untrained[some.rows]
    return Hubness(found, int(untrained.sum()), some, other)


def _named(progress: Progress, other: Bundle) -> Progress:
    """Return a report of progress whose steps name another bundle."""

    def named(step: str, done: float, total: float = 1.0, /) -> None:
        progress(f"{step}, {other.name}", done, total)

    return named


def _placed(bundle: Bundle, geometry: Geometry, some: Subset | None) -> int:
    excluded = bundle.spaces[geometry].excluded
    return len(bundle) - len(excluded) if some is None else int((~np.isin(some.rows, excluded)).sum())


def _filled(
    bundle: Bundle, geometry: Geometry, k: int, some: Subset | None, scaled: bool, progress: Progress
) -> Filled:
    space = bundle.spaces[geometry]
    rows = np.arange(len(bundle)) if some is None else some.rows
    there = ~np.isin(rows, space.excluded)
    lists = lists_among(space, some, max(k, CSLS_NEIGHBORS) if scaled else k)
    counts = {"": hubness_of(lists, k)}
    if scaled:
        from index.search.scaled import scaled_hubness

        points = space.points[:] if some is None else space.points[rows]
        counts |= scaled_hubness(lists, points, k, partial(progress, f"scaling {geometry.label}"))
    by_distance, *others = (unevenness(each[there], k) for each in counts.values())
    found_in = counts[""]
    untrained = float(found_in[bundle.untrained[rows]].sum() / found_in.sum())
    return Filled(by_distance, untrained, dict(zip(SCALINGS, others, strict=False)))
