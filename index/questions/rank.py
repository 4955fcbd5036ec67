"""`rank`: where each of two tokens stands in the other's list of all tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from index.answers.answer import Row
from index.answers.page import Block, Sentence, facts, table
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import Among, TokenText, Without
from index.questions.distance import PAIR_COLUMNS, PAIR_PIECES, pair_facts, pair_record
from index.questions.lists.lists import among_facts, among_json
from index.questions.lists.place import Place, place_among, place_around, tied_places
from index.tokens.vocabulary import Token

_PLACES = ("b_in_a", "b_in_a_lowest", "b_in_a_highest", "a_in_b", "a_in_b_lowest", "a_in_b_highest")


@dataclass(frozen=True)
class Ranks(AmongSome):
    """The places of two tokens in each other's list."""

    a: Token
    b: Token
    b_in_a: dict[Geometry, Place | None]  # None where one of the two has no direction
    a_in_b: dict[Geometry, Place | None]
    lengths: dict[Geometry, int]  # how many tokens such a list holds
    among: Subset | None = None  # the tokens of the lists, beside the two

    columns: ClassVar = {**PAIR_COLUMNS, **dict.fromkeys(_PLACES, int), **PAIR_PIECES}

    def rows(self) -> list[Row]:
        """Return one record for each geometry."""
        return [
            {
                **pair_record(self.a, self.b, geometry),
                **_place_record("b_in_a", b_in_a),
                **_place_record("a_in_b", a_in_b),
            }
            for geometry, b_in_a, a_in_b in self._places()
        ]

    def json(self) -> dict[str, Any]:
        """Return both ranks; `tied` has the first and last place each could have, within the resolution."""
        return {
            "a": self.a.json(),
            "b": self.b.json(),
            **{
                geometry.value: {
                    "b_in_a": None if b_in_a is None else b_in_a.rank,
                    "a_in_b": None if a_in_b is None else a_in_b.rank,
                    "tied": {"b_in_a": _range(b_in_a), "a_in_b": _range(a_in_b)},
                }
                for geometry, b_in_a, a_in_b in self._places()
            },
            **among_json(self.among),
        }

    def page(self) -> list[Block]:
        """Return both tokens, and their places in each geometry."""
        lines = (
            (geometry.label, _words(b_in_a), _words(a_in_b), f"{self.lengths[geometry]:,}")
            for geometry, b_in_a, a_in_b in self._places()
        )
        blocks: list[Block] = [
            facts([*pair_facts(self.a, self.b), *among_facts(self.among)]),
            Sentence(""),
            table(("", "b in a's list", "a in b's list", "of"), lines),
        ]
        places = (*self.b_in_a.values(), *self.a_in_b.values())
        if any(place and place.lowest < place.highest for place in places):
            blocks.append(Sentence("(from-to): the places of what is as far away within the resolution", aside=True))
        if None in places:
            blocks.append(Sentence("undefined: a zero row has no direction", aside=True))
        return blocks

    def _places(self) -> Iterator[tuple[Geometry, Place | None, Place | None]]:
        for geometry, place in self.b_in_a.items():
            yield geometry, place, self.a_in_b[geometry]


def rank(bundle: Bundle, a: TokenText, b: TokenText, *, among: Among = None, without: Without = None) -> Ranks:
    """The place of each of two tokens in the other's list of all tokens, nearest first, in every geometry.

    Example: uv run query.py rank planet star

    `among` some tokens, or `without` some, a list holds these alone, and the other of the two, whatever it is.
    """
    some = kept(bundle, among, without)
    rows = [bundle.vocabulary.resolve(text) for text in (a, b)]
    if rows[0] == rows[1]:
        token = bundle.vocabulary.display(rows[0])
        raise ParameterError(f"two tokens are ranked in each other's lists, but both are '{token}' (row {rows[0]})")
    ranked = np.full(len(bundle), some is None)  # which are in the lists, besides the two
    ranked[rows if some is None else some.rows] = some is not None
    ranked[rows] = False
    others = np.flatnonzero(ranked).astype(np.int32)
    places = {
        geometry: _places(space, rows[0], rows[1]) if some is None else _places_among(space, rows[0], rows[1], others)
        for geometry, space in bundle.spaces.items()
    }
    return Ranks(
        bundle.vocabulary.token(rows[0]),
        bundle.vocabulary.token(rows[1]),
        {geometry: found[0] for geometry, found in places.items()},
        {geometry: found[1] for geometry, found in places.items()},
        {
            geometry: max(0, int(np.count_nonzero(ranked)) + 1 - len(_out(each, ranked, rows)))
            for geometry, each in bundle.spaces.items()
        },
        some,
    )


def _out(space: Space, ranked: np.ndarray, rows: list[int]) -> list[int]:
    """Return the rows without a point among those of the lists, and the two themselves."""
    return [row for row in space.excluded if ranked[row] or row in rows]


def _places(space: Space, a: int, b: int) -> tuple[Place | None, Place | None]:
    """Return b's place in a's list and a's in b's."""
    if {a, b} & set(space.excluded):
        return None, None
    stored = _stored_place(space, a, b), _stored_place(space, b, a)
    if None not in stored:
        return stored
    return stored[0] or _found_place(space, a, b), stored[1] or _found_place(space, b, a)


def _places_among(space: Space, a: int, b: int, others: np.ndarray) -> tuple[Place | None, Place | None]:
    """Return the same two places in lists of others, (n,) rows, and the one of the two."""
    if {a, b} & set(space.excluded):
        return None, None
    others = others[~np.isin(others, space.excluded)]
    found = [
        place_among(space, space.points[[center]].astype(np.float64)[0], other, others)
        for center, other in ((a, b), (b, a))
    ]
    return found[0], found[1]


def _found_place(space: Space, center: int, other: int) -> Place:
    """Return the place of `other` in the list around `center`; the list the other way is asked for next."""
    query = space.points[[center]].astype(np.float64)[0]
    return place_around(space, query, other, (center,), then=space.points[[other]])


def _stored_place(space: Space, center: int, other: int) -> Place | None:
    """Return the place of `other` where the stored list shows it and all its ties, else None."""
    at = np.flatnonzero(space.ids[center] == other)
    distances = space.distances[center]
    if len(at) == 0 or not distances[-1] > distances[at[0]] + space.resolution:
        return None
    return Place(int(at[0]) + 1, *tied_places(distances, distances[at[0]], space.resolution))


def _range(place: Place | None) -> list[int] | None:
    return None if place is None else [place.lowest, place.highest]


def _words(place: Place | None) -> str:
    return "undefined" if place is None else place.words


def _place_record(name: str, place: Place | None) -> Row:
    fields = (None, None, None) if place is None else (place.rank, place.lowest, place.highest)
    return dict(zip((name, f"{name}_lowest", f"{name}_highest"), fields, strict=True))
