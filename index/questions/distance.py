"""`distance`: how far two tokens are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row
from index.answers.page import Block, Words, as_length, facts
from index.bundle.bundle import Bundle
from index.geometry.maps import Geometry, row_distances, similarity_of
from index.questions.asking.parameters import TokenText
from index.tokens.vocabulary import Token

PAIR_COLUMNS = {"a_id": int, "a": str, "b_id": int, "b": str, "geometry": str}
PAIR_PIECES = {"a_piece": str, "b_piece": str}


@dataclass(frozen=True)
class Distance(Answer):
    """How far apart two tokens are."""

    a: Token
    b: Token
    distances: dict[Geometry, float | None]  # logometers, or the chord; None where one of the two has no direction

    columns: ClassVar = {**PAIR_COLUMNS, "similarity": float, "distance": float, **PAIR_PIECES}

    def similarity(self, geometry: Geometry) -> float | None:
        """Return the cosine of the angle in an angular geometry."""
        chord = self.distances[geometry]
        return None if chord is None else similarity_of(chord)

    def rows(self) -> list[Row]:
        """Return one record for each geometry."""
        return [
            {
                **pair_record(self.a, self.b, geometry),
                "similarity": self.similarity(geometry) if geometry.angular else None,
                "distance": distance,
            }
            for geometry, distance in self.distances.items()
        ]

    def json(self) -> dict[str, Any]:
        """Return both tokens, and a distance or a similarity for each geometry."""
        return {
            "a": self.a.json(),
            "b": self.b.json(),
            **{
                geometry.value: {"similarity": self.similarity(geometry)}
                if geometry.angular
                else {"distance": distance}
                for geometry, distance in self.distances.items()
            },
        }

    def page(self) -> list[Block]:
        """Return both tokens, and a line for each geometry."""
        lines: list[tuple[str, Words]] = []
        for geometry, distance in self.distances.items():
            if distance is None:
                value = "undefined: a zero row has no direction"
            elif geometry.angular:
                value = f"{self.similarity(geometry):.6f} similarity, {as_length(distance)} chord"
            else:
                value = f"{as_length(distance)} logometers"
            lines.append((geometry.label, value))
        return [facts([*pair_facts(self.a, self.b), *lines])]


def distance(bundle: Bundle, a: TokenText, b: TokenText) -> Distance:
    """How far two tokens are apart, in every geometry.

    Example: uv run query.py distance planet star

    A token is 0 from itself.

    >>> distances = index.open("data/indexes/smollm2-135m").distance("planet", " planet")
    >>> round(float(distances.to_pandas()["distance"][0]), 4)
    17.4703
    """
    rows = [bundle.vocabulary.resolve(text) for text in (a, b)]
    apart = {}
    for geometry, space in bundle.spaces.items():
        points = space.points[rows]
        exact = row_distances(points[:1], points[1])[0]
        # As neighbor lists hold it, rounded to float32.
        apart[geometry] = None if set(rows) & set(space.excluded) else float(np.float32(exact))
    return Distance(bundle.vocabulary.token(rows[0]), bundle.vocabulary.token(rows[1]), apart)


def pair_facts(a: Token, b: Token) -> list[tuple[str, Words]]:
    """Return which tokens a and b are."""
    return [(name, (f"#{token.id}  ", token)) for name, token in (("a", a), ("b", b))]


def pair_record(a: Token, b: Token, geometry: Geometry) -> Row:
    """Return what each record of two tokens has: `PAIR_COLUMNS`, and `PAIR_PIECES` as its last columns."""
    texts = {"a_id": a.id, "a": a.text, "b_id": b.id, "b": b.text, "geometry": geometry.label}
    return {**texts, "a_piece": a.piece, "b_piece": b.piece}
