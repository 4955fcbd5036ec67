"""`lattice`: tokens that stand next to one another on the lattice of the source's own numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row
from index.answers.page import TEXT, Block, Column, Heading, Sentence, Several, Words, counted, facts, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.geometry.maps import distances_to
from index.measures import lattice as measure
from index.measures.groups import connected_groups
from index.questions.asking.parameters import POSITIVE
from index.questions.asking.question import Doc, Limit
from index.questions.lists.lists import PIECE, TOKEN_COLUMNS
from index.tokens.vocabulary import Token

GROWTH = (0, 1, 2, 4, 8, 16)
"""How many steps, or times the distance, groups are counted at besides."""
LONGEST = 65_534
"""Steps from one end of a 16-bit format to the other."""
_MOST_MEASURED = 4096
_CONTACTS = {1: "face", 2: "edge"}


@dataclass(frozen=True)
class Link:
    """Two points within the steps."""

    a: int  # the id of the first token at each
    b: int
    steps: int  # the most in any coordinate
    coordinates: int  # how many differ
    total: int  # the steps in all of them together

    @property
    def contact(self) -> str | None:
        """What the cells of two points share that are one step apart: a face, an edge, or less: a corner."""
        return None if self.steps > 1 else _CONTACTS.get(self.coordinates, "corner")

    def json(self) -> dict[str, Any]:
        """Return the link with its contact."""
        named = {"a": self.a, "b": self.b, "steps": self.steps, "coordinates": self.coordinates, "total": self.total}
        return {**named, "contact": self.contact}


@dataclass(frozen=True)
class Group:
    """Points that chains of links connect."""

    points: tuple[tuple[Token, ...], ...]  # the tokens at each, the largest first
    extent: float | None  # the most steps in a coordinate, or the largest distance; None of too many points
    coordinates: int | None  # how many coordinates it extends in; None without steps
    links: tuple[Link, ...]

    @property
    def size(self) -> int:
        """How many tokens are in it."""
        return sum(map(len, self.points))

    @property
    def contacts(self) -> dict[str, int]:
        """How many pairs of its points touch by a face, an edge, a corner."""
        found = Counter(link.contact for link in self.links)
        return {name: found[name] for name in ("face", "edge", "corner")}

    def json(self) -> dict[str, Any]:
        """Return the points with their tokens, and the links."""
        points = [
            {"population": len(each), "ids": [token.id for token in each], "texts": [token.text for token in each]}
            for each in self.points
        ]
        return {
            "size": self.size,
            "extent": self.extent,
            "coordinates": self.coordinates,
            "contacts": self.contacts,
            "points": points,
            "links": [link.json() for link in self.links],
        }


@dataclass(frozen=True)
class Grown:
    """How many groups there are at some reach."""

    reach: float  # steps, or logometers
    groups: int
    tokens: int  # in them
    largest: int


@dataclass(frozen=True)
class Cells(Answer):
    """Groups of tokens on the lattice of the source, or where it has none, by distance."""

    dtype: str | None  # whose steps are counted; None where steps are not defined
    source: str  # the source's own
    reach: float  # the longest link, in steps or logometers
    distinct: int  # points that tokens stand at
    growth: tuple[Grown, ...]
    groups: tuple[Group, ...]  # of two tokens or more, the largest first, then by first row
    listed: int  # how many groups a page shows

    columns: ClassVar = {"group": int, "size": int, "point": int, "population": int, **TOKEN_COLUMNS, **PIECE}

    @property
    def unit(self) -> str:
        """What distances are counted in."""
        return "logometers" if self.dtype is None else "steps"

    @property
    def tokens(self) -> int:
        """How many tokens are in a group."""
        return sum(group.size for group in self.groups)

    def rows(self) -> list[Row]:
        """Return one record for each token of a group; groups and their points count from 1."""
        return [
            {"group": number, "size": group.size, "point": at, "population": len(tokens), **token.json()}
            for number, group in enumerate(self.groups, 1)
            for at, tokens in enumerate(group.points, 1)
            for token in tokens
        ]

    def json(self) -> dict[str, Any]:
        """Return the groups, and how they grow."""
        return {
            "defined": self.dtype is not None,
            "dtype": self.dtype,
            "unit": self.unit,
            "reach": self.reach,
            "points": self.distinct,
            "tokens": self.tokens,
            "growth": [vars(each) for each in self.growth],
            "groups": [group.json() for group in self.groups],
        }

    def page(self) -> list[Block]:
        """Return what was counted, how groups grow, and the largest."""
        steps = counted(int(self.reach), "step")
        within = f"{self.reach:.4g} logometers" if self.dtype is None else f"{steps} in every coordinate"
        lattice = f"of the numbers that {self.dtype} has"
        if self.dtype is None:
            lattice = f"steps are not defined: the source is {self.source}, not bfloat16 or float16; distances instead"
        blocks: list[Block] = [
            facts(
                [
                    ("lattice", lattice),
                    ("points", f"{self.distinct:,} that tokens stand at"),
                    ("groups", f"{len(self.groups):,} linked within {within}"),
                    ("tokens", f"{self.tokens:,} in them"),
                ]
            ),
            Heading(f"Groups by the longest link, in {self.unit}"),
            table(
                (self.unit, Column("groups", 9), Column("tokens", 9), Column("largest", 9)),
                ((f"{n.reach:.4g}", f"{n.groups:,}", f"{n.tokens:,}", f"{n.largest:,}") for n in self.growth),
            ),
        ]
        if self.groups:
            blocks += [Heading("Largest groups"), table(self._head(), self._lines())]
        if len(self.groups) > self.listed:
            said = f"and {len(self.groups) - self.listed:,} more: a larger top shows them"
            blocks.append(Sentence(said, aside=True))
        return blocks

    def _head(self) -> tuple[str | Column, ...]:
        contacts = () if self.dtype is None else ("wide", "face", "edge", "corner")
        return (Column("tokens", 7), "points", "extent", *contacts, "id", TEXT)

    def _lines(self) -> Iterator[tuple[Words, ...]]:
        for group in self.groups[: self.listed]:
            touching: tuple[str, ...] = ()
            if self.dtype is not None:
                touching = (f"{group.coordinates:,}", *(f"{count:,}" for count in group.contacts.values()))
            extent = "" if group.extent is None else f"{group.extent:.4g}"
            first = group.points[0][0]
            counts = (f"{group.size:,}", f"{len(group.points):,}", extent, *touching, str(first.id))
            yield (*counts, Several(tuple(token for point in group.points for token in point)))


def lattice(
    bundle: Bundle,
    *,
    steps: Annotated[
        int,
        Doc("Link tokens that lie within N steps of each other in every coordinate.", metavar="N"),
        Limit(0, LONGEST),
    ] = 1,
    within: Annotated[
        float | None,
        Doc(
            "Where the source has no steps: link tokens no further apart, in logometers.",
            metavar="EPS",
            default="a hundredth of the median distance to the nearest",
        ),
        Limit(0, unit="logometers"),
    ] = None,
    top: Annotated[int, Doc("Groups shown in the table; JSON and CSV have them all."), POSITIVE] = 10,
) -> Cells:
    """Groups of tokens that are a step or a few apart in the source's own numbers, bfloat16 or float16.

    Example: uv run query.py lattice --steps 2

    A step leads from a number of the format to the next one. Chains of links make groups, exactly.
    """
    dtype = measure.narrow_dtype(bundle.gamma)
    if dtype is None:
        return _by_distance(bundle, within, top)
    if within is not None:
        raise ParameterError(f"{parameter('within')} is for a source without steps, but this one is {dtype}")
    pairs = measure.NearPairs(bundle.gamma, dtype, bundle.twins.first)
    if pairs.candidates(steps) > measure.MOST_PAIRS:
        raise ParameterError(
            f"{parameter('steps', str(steps))} links more than {measure.MOST_PAIRS:,} pairs; pass fewer steps"
        )
    counted_at = [each for each in GROWTH if each <= steps or pairs.candidates(each) <= measure.MOST_PAIRS]
    counted_at = sorted({*counted_at, steps})
    found = pairs.find(counted_at[-1])
    growth = tuple(_grown(each, measure.linked(found, each)) for each in counted_at)
    linked = measure.linked(found, steps)
    links = _links(bundle, found, linked, steps)
    groups = tuple(
        _group(bundle, found.points, rows, links.get(int(linked[rows[0]]), ()), dtype) for rows in _sorted(linked)
    )
    distinct = len(np.unique(found.points))
    return Cells(str(dtype), bundle.manifest.source.dtype, steps, distinct, growth, groups, top)


def _by_distance(bundle: Bundle, within: float | None, top: int) -> Cells:
    space, twins = bundle.causal, bundle.twins.first
    reach = within if within is not None else (space.facts.median_nearest or 0.0) / 100

    def linked(bound: float) -> np.ndarray:
        return connected_groups(space.points.whole, space.ids.whole, space.distances.whole, twins, bound)

    growth = tuple(_grown(times * reach, linked(times * reach)) for times in ((*GROWTH,) if reach else (0,)))
    groups = tuple(_group(bundle, twins, rows, (), None) for rows in _sorted(linked(reach)))
    source = bundle.manifest.source.dtype
    return Cells(None, source, reach, len(np.unique(twins)), growth, groups, top)


def _grown(reach: float, linked: np.ndarray) -> Grown:
    sizes = np.bincount(linked)
    sizes = sizes[sizes > 1]
    return Grown(reach, len(sizes), int(sizes.sum()), int(sizes.max(initial=0)))


def _sorted(linked: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each group of two or more, the largest group first, then by first row."""
    order = np.argsort(linked, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(linked[order])) + 1)
    return sorted((rows for rows in groups if len(rows) > 1), key=lambda rows: (-len(rows), rows[0]))


def _links(bundle: Bundle, found: measure.Lattice, linked: np.ndarray, steps: int) -> dict[int, tuple[Link, ...]]:
    """Return the links of each group, by its first row."""
    near = found.steps <= steps
    ids = bundle.vocabulary.token_ids
    links: dict[int, list[Link]] = {}
    columns = (found.a, found.b, found.steps, found.coordinates, found.total)
    for a, b, *numbers in zip(*(column[near].tolist() for column in columns), strict=True):
        links.setdefault(int(linked[a]), []).append(Link(int(ids[a]), int(ids[b]), *numbers))
    return {first: tuple(each) for first, each in links.items()}


def _group(
    bundle: Bundle, points: np.ndarray, rows: np.ndarray, links: tuple[Link, ...], dtype: np.dtype | None
) -> Group:
    firsts, counts = np.unique(points[rows], return_counts=True)
    tokens = tuple(
        tuple(map(bundle.vocabulary.token, rows[points[rows] == firsts[at]].tolist()))
        for at in np.lexsort((firsts, -counts))
    )
    if dtype is not None:
        numbers = measure.step_numbers(np.ascontiguousarray(bundle.gamma[firsts].astype(dtype)))
        spread = numbers.max(axis=0) - numbers.min(axis=0)
        return Group(tokens, int(spread.max()), int((spread > 0).sum()), links)
    extent = None
    if len(firsts) <= _MOST_MEASURED:
        members = bundle.causal.points[firsts]
        extent = float(max(distances_to(members, members[at : at + 1]).max() for at in range(len(firsts))))
    return Group(tokens, extent, None, links)
