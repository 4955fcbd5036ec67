"""`neighbors`: a token's nearest others in two geometries, and how far the two lists agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Self

from index.answers.answer import Row, json_number
from index.answers.page import Block, Heading, Sentence, Words, counted, facts
from index.bundle.bundle import Bundle
from index.geometry.maps import Geometry
from index.measures import density
from index.measures.density import Rule
from index.measures.overlap import Overlap, Verdict
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import (
    CAUSAL_AND_COSINE,
    Among,
    DensityK,
    DensityRule,
    ListedGeometries,
    Top,
    Without,
    density_k_of,
    list_length,
)
from index.questions.asking.question import Doc
from index.questions.asking.reading import Some, TokenName
from index.questions.lists.agreement import (
    VERDICTS,
    Apart,
    Shared,
    agreement_of,
    apart,
    beside,
    count_sentence,
    no_verdict,
    others_of,
    verdict_of,
)
from index.questions.lists.approximate import (
    LISTED_COLUMNS,
    Approximation,
    ByFactory,
    approximation,
    around,
    limits_facts,
    limits_json,
    place_records,
)
from index.questions.lists.lists import (
    Lists,
    list_blocks,
    lists_json,
    neighbor_list,
    ranked,
    twins_said,
    why_no_other,
)
from index.questions.lists.marks import Mark, marks_of
from index.tokens.vocabulary import Token

LACKING = "No overlap: these lists may lack tokens, and would seem to agree less than they do."


@dataclass(frozen=True)
class Neighborhood(AmongSome):
    """A token and its nearest others, in two geometries, in one or in all."""

    token: Token
    twins: tuple[Token, ...]  # the other tokens with the same vector
    hubness: float  # in how many causal lists of the build's `density_k` the token is
    marks: tuple[Mark, ...]  # whether it is a hub, or untrained
    density: float  # in the first geometry, under `rule` at `density_k`; in `density_unit`
    mean_distance: float  # NaN where the rule leaves nothing to average
    averaged: int  # how many distances that is the mean of
    distinct_density: float  # under the rule `distinct`, by which tokens are compared
    rule: Rule
    density_k: int
    lists: Lists  # one is empty where it is `undefined`, and where no other token, or none of the subset, has a place
    overlap: Overlap | None  # of the first two lists; None where one of them is empty, or there is one list
    shared: tuple[Shared, ...]  # by rank in the first list
    compare_without: Callable[[], Apart] | None = field(default=None, repr=False, compare=False)  # of `without`
    among: Subset | None = None  # what the lists, but not the density, keep to
    undefined: tuple[Geometry, ...] = ()  # where the token's row is zero and has no direction
    approximate: Approximation | None = None  # what the lists are by, and the overlap is none; None: they are exact

    columns: ClassVar = {"token_id": int, "token": str, "geometry": str, **LISTED_COLUMNS}

    @property
    def density_unit(self) -> str:
        """The unit of `density`."""
        return "1/chord" if next(iter(self.lists)).angular else "1/logometers"

    @property
    def title(self) -> Words:
        """As a person would ask for it."""
        return ("nearest tokens of ", self.token)

    @property
    def verdict(self) -> Verdict | None:
        """The overlap in a word; None where a list is empty or too short."""
        return None if self.overlap is None else verdict_of(self.overlap, self.shared, self.twins)

    @cached_property
    def without(self) -> Apart | None:
        """The lists without untrained tokens and hubs, searched for at the first look; None without an overlap."""
        return None if self.compare_without is None else self.compare_without()

    def complete(self) -> Self:
        """Search for the lists without untrained tokens and hubs."""
        self.without  # noqa: B018 - is kept
        return self

    def why_none(self, geometry: Geometry) -> str:
        """Return why the list in a geometry is empty."""
        if geometry in self.undefined:
            return "this token's row is zero and has no direction"
        if self.approximate is not None:
            return "the approximate index finds none"
        return why_no_other(geometry, {self.token.row}, self.among)

    def rows(self) -> list[Row]:
        """Return one record for each geometry and neighbor."""
        token = {"token_id": self.token.id, "token": self.token.text}
        return [{**token, **place} for place in place_records(self.lists, self.approximate)]

    def json(self) -> dict[str, Any]:
        """Return the token, a list for each geometry, what they share."""
        return {
            "token": {
                **self.token.json(),
                "density": json_number(self.density),
                "mean_distance": json_number(self.mean_distance),
                "averaged": self.averaged,
                "distinct_density": json_number(self.distinct_density),
                "hubness": self.hubness,
                "marks": [mark.value for mark in self.marks],
                "twins": [twin.id for twin in self.twins],
            },
            **lists_json(self.lists),
            "overlap": self._overlap_json(),
            "verdict": None if self.verdict is None else self.verdict.value,
            **limits_json(self.among, self.approximate),
        }

    def page(self) -> list[Block]:
        """Return the token, how far its lists agree, and the lists."""
        return [Heading(self.token), self.center(), *self.overlap_and_lists()]

    def center(self) -> Block:
        """Return what there is to say of the token itself."""
        return facts(
            [
                ("text", self.token),
                ("id", str(self.token.id)),
                ("row", str(self.token.row)),
                *self.density_facts(),
                ("twins", twins_said(self.twins)),
                ("hubness", self.hubness_said()),
                *limits_facts(self.among, self.approximate),
            ]
        )

    def density_facts(self) -> list[tuple[str, str]]:
        """Return how dense it is here, of how many distances, and by the rule that tokens are compared by."""
        unit = self.density_unit.removeprefix("1/")
        rule = f" (rule '{self.rule.value}')"
        density = f"{self.density:.7g} {self.density_unit}{rule}"
        if self.averaged == 0 and self.twins:
            density = f"not defined{rule}: all its nearest are twins; it counts as {self.density:.7g}"
        mean = "undefined" if math.isnan(self.mean_distance) else f"{self.mean_distance:.7g} {unit}"
        rows = [("density", density), ("mean distance", f"{mean}, {self.averaging()}")]
        compared = f"{self.distinct_density:.7g} {self.density_unit} (rule 'distinct')"
        return rows if self.rule is Rule.DISTINCT else [*rows, ("as compared", compared)]

    def hubness_said(self) -> str:
        """Return in how many causal lists it is, and what that makes of it."""
        marks = f": {', '.join(self.marks)}" if self.marks else ""
        return f"among the nearest of {self.hubness:,.0f} tokens{marks}"

    def averaging(self) -> str:
        """Return how many distances a density is of, and why they are not as many as were asked for."""
        neighbors = counted(self.density_k, "neighbor")
        missing = self.density_k - self.averaged
        if missing == 0:
            return neighbors
        if self.rule is Rule.NOTEBOOK and next(iter(self.lists)) not in self.undefined:
            return f"{neighbors}: {counted(missing, 'zero')} dropped, {self.averaged} averaged"
        there = "vectors" if self.rule is Rule.DISTINCT else "tokens"
        return f"{neighbors}: {self.averaged} averaged, there are no more {there}"

    def overlap_and_lists(self) -> list[Block]:
        """Return how many tokens both lists share, then the lists, each with a token's rank in the other."""
        if self.approximate is not None:
            return [*list_blocks(self.lists, self.why_none, "found"), Sentence(LACKING, aside=True)]
        if self.overlap is None:
            return list_blocks(self.lists, self.why_none)
        said = (count_sentence(self.overlap), self.meaning, self.beside)
        lists = list_blocks(self.lists, self.why_none, others=others_of(list(self.lists)[:2], self.shared))
        return [Heading("Overlap"), *(Sentence(each) for each in said), *lists]

    @property
    def meaning(self) -> str:
        """The verdict and what it says; why there is none."""
        if self.verdict is None:
            return no_verdict(self.overlap) if self.overlap is not None else "No verdict: a list is empty."
        meaning = VERDICTS[self.verdict].format(*(geometry.words for geometry in self.lists))
        return f"{self.verdict.value.upper()}: {meaning}"

    @property
    def beside(self) -> str:
        """How many of the shared tokens are untrained or hubs, and what the lists share without such tokens."""
        return "" if self.without is None else beside(self.without, len(self.shared))

    def _overlap_json(self) -> dict[str, Any] | None:
        if self.overlap is None or self.without is None:
            return None
        shared = [each.json(list(self.lists)[:2]) for each in self.shared]
        return {**asdict(self.overlap), **self.without.json(), "tokens": shared}


def neighbors(
    bundle: Bundle,
    token: Annotated[
        TokenName, Doc("#id, an exact text, a piece, or a text without its space", metavar="TOKEN", many=True)
    ],
    *,
    top: Top = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.DISTINCT,
    geometries: ListedGeometries = CAUSAL_AND_COSINE,
    among: Among = None,
    without: Without = None,
    approximate: ByFactory = None,
) -> Neighborhood:
    """The nearest tokens in both geometries, and how far the two lists agree.

    Example: uv run query.py neighbors planet '#9966' --top 10

    Lists longer than the K kept are searched among the points themselves; `approximate` lists are by an index that may
    miss tokens. The density is of the first geometry, in the whole vocabulary also where lists are `among` some tokens.

    >>> index.open("data/indexes/smollm2-135m").neighbors("planet").overlap.count
    27
    """
    row, some = bundle.vocabulary.resolve(token), kept(bundle, among, without)
    by = approximation(bundle, approximate, geometries, some)
    return neighborhood(bundle, row, top, density_k_of(bundle, density_k), rule, geometries, some, by)


def neighborhood(
    bundle: Bundle,
    row: int,
    top: int | None,
    density_k: int,
    rule: Rule,
    geometries: Some,
    among: Subset | None,
    approximate: Approximation | None = None,
) -> Neighborhood:
    """Return what surrounds the token of a row."""
    length = list_length(bundle, top)
    spaces = [bundle.spaces[geometry] for geometry in geometries]
    first = spaces[0]
    if approximate is None:
        found = {space.geometry: ranked(space, row, length, among) for space in spaces}
    else:
        approximate, found = around(approximate, spaces, row, length)
    nearest = first.distances[row : row + 1], first.distinct_distances[row : row + 1]
    mean, averaged = (each(*nearest, rule, density_k) for each in (density.mean_distances, density.averaged))
    distinct = density.mean_distances(*nearest, Rule.DISTINCT, density_k)
    others = bundle.twins.others(row)
    twins = tuple(map(bundle.vocabulary.token, others))
    compared = spaces[:2] if approximate is None else []
    agreement, shared = agreement_of(
        bundle, row, compared, [found[space.geometry] for space in compared], length, among
    )
    return Neighborhood(
        bundle.vocabulary.token(row),
        twins,
        float(bundle.hubness[row]),
        marks_of(bundle, row),
        float(density.density(mean)[0]),
        float(mean[0]),
        int(averaged[0]),
        float(density.density(distinct)[0]),
        rule,
        density_k,
        {space.geometry: neighbor_list(bundle, space, *found[space.geometry], length, others) for space in spaces},
        agreement,
        shared,
        None if agreement is None else partial(apart, bundle, row, spaces[:2], agreement.k, shared, twins, among),
        among,
        tuple(space.geometry for space in spaces if row in space.excluded),
        approximate,
    )
