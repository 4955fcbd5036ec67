"""The answer of `concept`: its records, its rows and its JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from index.answers.answer import Answer, Row, json_number, jsonable
from index.answers.page import Block
from index.questions.asking.among import Subset
from index.questions.concept.directions import LeftOut, Product
from index.questions.lists.lists import PIECE, TOKEN_COLUMNS, among_json
from index.questions.lists.marks import Mark
from index.tokens.vocabulary import Token
from index.tokens.words import Case, WordForm

ENDS = ("toward", "away", "toward_trained", "away_trained")
"""Of a concept's axis: of all tokens, and without untrained ones."""


@dataclass(frozen=True)
class Held:
    """How far pairs lie along the direction of the others, in one inner product."""

    mean_cosine: float  # of each pair's difference with the direction of the other groups'; NaN of one group
    random_cosine: float  # of random pairs with the same directions, on average
    effect: float  # by so many standard deviations of random pairs' cosines the mean exceeds theirs
    low: float  # of `effect`, at 95 %; NaN below three groups
    high: float
    p: float  # that as many random pairs are as much along each other
    crossed_cosine: float  # the mean of the same words in other pairs; NaN below three groups


NOT_HELD = Held(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
"""Where there is no other pair to be held against."""


@dataclass(frozen=True)
class HeldPair:
    """A pair, and how far it lies along the direction of the others."""

    first: Token
    second: Token
    cosine: Mapping[Product, float]
    p: Mapping[Product, float]  # that a random pair is as much along it


@dataclass(frozen=True)
class Place:
    """A token at its place along a concept."""

    rank: int  # from 1, at the end
    token: Token
    along: float  # the causal inner product with the direction, in logometers
    cosine: float  # of its row's angle with the direction, in M; NaN for a row without direction
    marks: tuple[Mark, ...]

    def json(self) -> dict[str, Any]:
        """Return the place with its token's fields among its own."""
        figures = {"along": self.along, "cosine": json_number(self.cosine)}
        return {"rank": self.rank, **self.token.json(), **figures, "marks": [mark.value for mark in self.marks]}


@dataclass(frozen=True)
class Concept:
    """A concept: the direction that its pairs have in common."""

    name: str
    pairs: int  # given
    left_out: tuple[LeftOut, ...]
    each: tuple[HeldPair, ...]  # those kept
    groups: int  # of pairs that share words; a group counts as one witness
    held: Mapping[Product, Held]
    ends: Mapping[str, tuple[Place, ...]]  # by the names of `ENDS`; empty without a direction

    @property
    def kept(self) -> int:
        """How many pairs are counted."""
        return len(self.each)

    def json(self) -> dict[str, Any]:
        """Return the concept with figures under the names of inner products."""
        pairs = [
            {"first": pair.first.json(), "second": pair.second.json()}
            | {
                product.value: {"cosine": json_number(pair.cosine[product]), "p": json_number(pair.p[product])}
                for product in pair.cosine
            }
            for pair in self.each
        ]
        return {
            "name": self.name,
            "pairs": self.pairs,
            "kept": self.kept,
            "groups": self.groups,
            "left_out": jsonable(self.left_out),
            "leave_one_out": {product.value: jsonable(held) for product, held in self.held.items()},
            **{end: [place.json() for place in places] for end, places in self.ends.items()},
            "each": pairs,
        }


@dataclass(frozen=True)
class Parallel:
    """The cosine of two differences of tokens, in every geometry."""

    terms: tuple[tuple[tuple[int, Token], ...], ...]  # of both: signs and tokens
    cosines: Mapping[str, float]  # by the names of geometries, and "euclidean"; NaN where a difference is zero
    p: Mapping[str, float]  # that random tokens in their places are as parallel

    def json(self) -> dict[str, Any]:
        """Return both differences, and a cosine for each geometry."""
        sides = [[{"sign": sign, **token.json()} for sign, token in terms] for terms in self.terms]
        found = {
            name: {"cosine": json_number(cosine), "p": json_number(self.p[name])}
            for name, cosine in self.cosines.items()
        }
        return {"a": sides[0], "b": sides[1], **found}


@dataclass(frozen=True)
class Concepts(Answer):
    """Directions of meaning, and how far they are such."""

    form: WordForm
    case: Case
    centered: bool  # whether tokens are measured from the mean row, and not from zero
    random: int  # sets of random pairs that each concept is held against
    seed: int
    concepts: tuple[Concept, ...]
    cosines: Mapping[Product, tuple[tuple[float, ...], ...]]  # of each concept's direction with each; NaN without one
    parallel: Parallel | None = None
    among: Subset | None = None  # the tokens that are listed and drawn
    saved: str | None = None  # the file that holds the direction

    columns: ClassVar = {
        **dict.fromkeys(("part", "concept", "other", "product"), str),
        **dict.fromkeys(("pairs", "kept", "groups"), int),
        **dict.fromkeys(("first", "second"), str),
        **dict.fromkeys(("cosine", "random_cosine", "effect", "low", "high", "p", "crossed_cosine"), float),
        "end": str,
        "rank": int,
        **TOKEN_COLUMNS,
        "along": float,
        "marks": str,
        **PIECE,
    }

    def rows(self) -> list[Row]:
        """Return one record for each concept and inner product, pair, token listed, and two concepts."""
        return [{**dict.fromkeys(self.columns), **row} for row in self._rows()]

    def _rows(self) -> Iterator[Row]:
        for each in self.concepts:
            yield from _concept_rows(each)
        names = [each.name for each in self.concepts]
        for product, matrix in self.cosines.items():
            for name, line in zip(names, matrix, strict=True):
                for other, cosine in zip(names, line, strict=True):
                    yield {"part": "cosine", "concept": name, "other": other} | {
                        "product": product.value,
                        "cosine": cosine,
                    }
        if self.parallel is not None:
            for name, cosine in self.parallel.cosines.items():
                yield {"part": "parallel", "product": name.replace("_", "-"), "cosine": cosine} | {
                    "p": self.parallel.p[name]
                }

    def token_ids(self) -> list[int]:
        """Return the ids of the tokens at both ends."""
        return [place.token.id for each in self.concepts for places in each.ends.values() for place in places]

    def json(self) -> dict[str, Any]:
        """Return the concepts, and the cosines between their directions."""
        asked = {"form": self.form.value, "case": self.case.value, "centered": self.centered}
        return {
            **asked,
            "random": self.random,
            "seed": self.seed,
            "concepts": [each.json() for each in self.concepts],
            "cosines": {product.value: jsonable(matrix) for product, matrix in self.cosines.items()},
            "between": {product.value: json_number(mean) for product, mean in self.between.items()},
            **({} if self.parallel is None else {"parallel": self.parallel.json()}),
            **among_json(self.among),
            **({} if self.saved is None else {"saved": self.saved}),
        }

    @property
    def between(self) -> dict[Product, float]:
        """How large cosines between different concepts are on average, whatever their sign; NaN of fewer than two."""
        found = {}
        for product, matrix in self.cosines.items():
            sizes = [abs(matrix[a][b]) for a in range(len(matrix)) for b in range(a) if not math.isnan(matrix[a][b])]
            found[product] = sum(sizes) / len(sizes) if sizes else math.nan
        return found

    @property
    def refusal(self) -> str | None:
        """Say that no pair of any concept is kept, where it is so."""
        if self.parallel is not None or any(each.kept for each in self.concepts):
            return None
        named = ", ".join(each.name for each in self.concepts)
        return f"no pair of {named} is kept: none is two single tokens of different vectors"

    @property
    def note(self) -> str | None:
        """Say which words of a subset were no token."""
        return None if self.among is None else self.among.note

    def page(self) -> list[Block]:
        """Return each concept's figures and ends, and the cosines between concepts."""
        from index.questions.concept.concept_page import page_of

        return page_of(self)


def _concept_rows(each: Concept) -> Iterator[Row]:
    counted = {"concept": each.name, "pairs": each.pairs, "kept": each.kept, "groups": each.groups}
    for product, held in each.held.items():
        figures = {name: value for name, value in vars(held).items() if name != "mean_cosine"}
        yield {"part": "concept", **counted, "product": product.value, "cosine": held.mean_cosine, **figures}
    for pair in each.each:
        words = {"first": pair.first.text, "second": pair.second.text}
        for product, cosine in pair.cosine.items():
            yield {"part": "pair", "concept": each.name, "product": product.value, **words} | {
                "cosine": cosine,
                "p": pair.p[product],
            }
    for end, places in each.ends.items():
        for place in places:
            yield {
                "part": "place",
                "concept": each.name,
                "product": Product.CAUSAL.value,
                "cosine": place.cosine,
                "end": end,
                "rank": place.rank,
                **place.token.json(),
                "along": place.along,
                "marks": " ".join(place.marks),
            }
