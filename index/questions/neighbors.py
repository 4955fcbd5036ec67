"""`neighbors`: a token's nearest others in two geometries, and how far the two lists agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Row, json_number
from index.answers.page import TEXT, Block, Heading, Sentence, Table, Words, counted, facts, table
from index.bundle.bundle import Bundle, Space
from index.geometry.maps import Geometry
from index.measures import density, overlap
from index.measures.density import Rule
from index.measures.overlap import FEWEST, Overlap, Verdict
from index.questions.among import AmongSome, Subset, kept
from index.questions.lists import (
    PIECE,
    PLACE_COLUMNS,
    Lists,
    among_facts,
    among_json,
    list_blocks,
    lists_json,
    neighbor_list,
    ranked,
    why_no_other,
)
from index.questions.parameters import (
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
from index.questions.question import Doc
from index.questions.reading import Some, TokenName
from index.tokens.vocabulary import Token

NAMED_TWINS = 5

VERDICTS = {
    Verdict.HIGH: "nearly the same neighborhoods: here {0} sees what {1} sees.",
    Verdict.MODERATE: "neighborhoods that agree in part: {0} keeps some of what {1} sees.",
    Verdict.LOW: "different neighborhoods: here {0} sees another structure than {1}.",
    Verdict.UNDECIDED: "ties alone could decide it either way: no verdict can be read from these two lists.",
}


@dataclass(frozen=True)
class Shared:
    """A token that both neighbor lists hold, with its rank in the first and in the second."""

    token: Token
    ranks: tuple[int, int]


@dataclass(frozen=True)
class Neighborhood(AmongSome):
    """A token and its nearest others, in two geometries, in one or in all."""

    token: Token
    twins: tuple[Token, ...]  # the other tokens with the same vector
    density: float  # in the first geometry, under `rule` at `density_k`; in `density_unit`
    mean_distance: float  # NaN where the rule leaves nothing to average
    rule: Rule
    density_k: int
    lists: Lists  # one is empty where it is `undefined`, and where no other token, or none of the subset, has a place
    overlap: Overlap | None  # of the first two lists; None where one of them is empty, or there is one list
    shared: tuple[Shared, ...]  # by rank in the first list
    among: Subset | None = None  # what the lists, but not the density, keep to
    undefined: tuple[Geometry, ...] = ()  # where the token's row is zero and has no direction

    columns: ClassVar = {"token_id": int, "token": str, "geometry": str, **PLACE_COLUMNS, **PIECE}

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
        return None if self.overlap is None else self.overlap.verdict

    def why_none(self, geometry: Geometry) -> str:
        """Return why the list in a geometry is empty."""
        if geometry in self.undefined:
            return "this token's row is zero and has no direction"
        return why_no_other(geometry, {self.token.row}, self.among)

    def rows(self) -> list[Row]:
        """Return one record for each geometry and neighbor."""
        return [
            {"token_id": self.token.id, "token": self.token.text, "geometry": geometry.label, **neighbor.record()}
            for geometry, neighbors in self.lists.items()
            for neighbor in neighbors
        ]

    def json(self) -> dict[str, Any]:
        """Return the token, a list for each geometry, what they share."""
        return {
            "token": {
                **self.token.json(),
                "density": json_number(self.density),
                "mean_distance": json_number(self.mean_distance),
                "twins": [twin.id for twin in self.twins],
            },
            **lists_json(self.lists),
            "overlap": None if self.overlap is None else {**asdict(self.overlap), "tokens": self._shared_json()},
            "verdict": None if self.verdict is None else self.verdict.value,
            **among_json(self.among),
        }

    def page(self) -> list[Block]:
        """Return the token, the lists, and their overlap."""
        return [Heading(self.token), self.center(), *self.lists_and_overlap()]

    def center(self) -> Block:
        """Return what there is to say of the token itself."""
        unit = self.density_unit.removeprefix("1/")
        mean = "undefined" if math.isnan(self.mean_distance) else f"{self.mean_distance:.7g} {unit}"
        return facts(
            [
                ("text", self.token),
                ("id", str(self.token.id)),
                ("row", str(self.token.row)),
                ("density", f"{self.density:.7g} {self.density_unit}"),
                ("mean distance", f"{mean}, {self.density_k} neighbors"),
                ("twins", _twins(self.twins)),
                *among_facts(self.among),
            ]
        )

    def lists_and_overlap(self) -> list[Block]:
        """Return both lists, how many tokens they share, and which."""
        blocks = list_blocks(self.lists, self.why_none)
        if self.overlap is None:
            return blocks
        blocks += [Heading("Overlap"), Sentence(_overlap(self.overlap)), Sentence(self._verdict(self.overlap))]
        return [*blocks, self.shared_table()] if self.shared else blocks

    def shared_table(self) -> Table:
        """Return the tokens of both lists with their ranks in each."""
        lines: Iterator[tuple[Words, ...]] = (
            (*map(str, each.ranks), str(each.token.id), each.token) for each in self.shared
        )
        return table((*[geometry.label for geometry in self.lists][:2], "id", TEXT), lines)

    def _verdict(self, found: Overlap) -> str:
        if found.verdict is None:
            return no_verdict(found)
        meaning = VERDICTS[found.verdict].format(*(geometry.words for geometry in self.lists))
        return f"{found.verdict.value.upper()}: {meaning}"

    def _shared_json(self) -> list[dict[str, Any]]:
        names = [f"{geometry.value}_rank" for geometry in self.lists][:2]
        return [
            {
                "id": each.token.id,
                "text": each.token.text,
                "piece": each.token.piece,
                **dict(zip(names, each.ranks, strict=True)),
            }
            for each in self.shared
        ]


def neighbors(
    bundle: Bundle,
    token: Annotated[
        TokenName, Doc("#id, an exact text, a piece, or a text without its space", metavar="TOKEN", many=True)
    ],
    *,
    top: Top = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometries: ListedGeometries = CAUSAL_AND_COSINE,
    among: Among = None,
    without: Without = None,
) -> Neighborhood:
    """The nearest tokens in both geometries, and how far the two lists agree.

    Example: uv run query.py neighbors planet '#9966' --top 10

    Lists longer than the K kept are searched among the points themselves. The density is of the first geometry, and
    stays that in the whole vocabulary where the lists are `among` some tokens, or `without` some.

    >>> index.open("data/indexes/smollm2-135m").neighbors("planet").overlap.count
    27
    """
    row, some = bundle.vocabulary.resolve(token), kept(bundle, among, without)
    return neighborhood(bundle, row, top, density_k_of(bundle, density_k), rule, geometries, some)


def neighborhood(
    bundle: Bundle,
    row: int,
    top: int | None,
    density_k: int,
    rule: Rule,
    geometries: Some,
    among: Subset | None,
) -> Neighborhood:
    """Return what surrounds the token of a row."""
    length = list_length(bundle, top)
    spaces = [bundle.spaces[geometry] for geometry in geometries]
    first = spaces[0]
    found = {space.geometry: ranked(space, row, length, among) for space in spaces}
    mean = density.mean_distances(
        first.distances[row : row + 1], first.distinct_distances[row : row + 1], rule, density_k
    )
    agreement: Overlap | None = None
    shared: tuple[Shared, ...] = ()
    if len(spaces) > 1:
        second = spaces[1]
        agreement, shared = _agreement(bundle, first, second, found[first.geometry], found[second.geometry], length)
    return Neighborhood(
        bundle.vocabulary.token(row),
        tuple(map(bundle.vocabulary.token, bundle.twins.others(row))),
        float(density.density(mean)[0]),
        float(mean[0]),
        rule,
        density_k,
        {space.geometry: neighbor_list(bundle, space, *found[space.geometry], length) for space in spaces},
        agreement,
        shared,
        among,
        tuple(space.geometry for space in spaces if row in space.excluded),
    )


def _agreement(
    bundle: Bundle,
    first: Space,
    second: Space,
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
    top: int,
) -> tuple[Overlap | None, tuple[Shared, ...]]:
    """Compare two ranked lists, (ids, distances) each, at `top` or as far as both go."""
    k = min(top, len(a[0]), len(b[0]))
    if k == 0:
        return None, ()
    agreement = overlap.overlap(
        a[0][:k],
        b[0][:k],
        overlap.nearest(*a, k, first.resolution),
        overlap.nearest(*b, k, second.resolution),
    )
    place = {row: rank for rank, row in enumerate(b[0][:k].tolist(), 1)}
    shared = (
        Shared(bundle.vocabulary.token(row), (rank, place[row]))
        for rank, row in enumerate(a[0][:k].tolist(), 1)
        if row in place
    )
    return agreement, tuple(shared)


def _twins(twins: tuple[Token, ...]) -> Words:
    if not twins:
        return "none"
    named: list[str | Token] = [f"{len(twins)}: "]
    for number, twin in enumerate(twins[:NAMED_TWINS]):
        named += [", " if number else "", twin, f" #{twin.id}"]
    return (*named, ", …" if len(twins) > NAMED_TWINS else "")


def no_verdict(found: Overlap) -> str:
    """Return why lists as short as these have no verdict."""
    are = "is" if found.k == 1 else "are"
    return f"No verdict: {counted(found.k, 'neighbor')} {are} too few for one, which takes {FEWEST}."


def _overlap(found: Overlap) -> str:
    border = "" if found.lowest == found.highest else " (ties at the last place decide)"
    return (
        f"{found.count} of {found.k} tokens in both lists ({found.percent:.1f} %), "
        f"Jaccard {found.jaccard:.3f}; lowest {found.lowest}, highest {found.highest}{border}"
    )
