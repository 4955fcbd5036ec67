"""`analogy`: the tokens nearest to a signed sum of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Row
from index.answers.page import Block, Words, facts
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry
from index.questions.analogy.expected import Expected, Scale, Standing, fit, standing
from index.questions.analogy.multiplied import Products, product_blocks, scores_of
from index.questions.analogy.terms import Term, fragments_of, mapped, parse_terms, signed_sum
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import OTHERS, Among, Without, list_length
from index.questions.asking.question import Doc
from index.questions.asking.reading import TokenName
from index.questions.lists.approximate import (
    Approximation,
    ByFactory,
    approximation,
    limits_facts,
    limits_json,
    nearest_by,
    place_records,
)
from index.questions.lists.lists import (
    PIECE,
    PLACE_COLUMNS,
    Lists,
    list_blocks,
    lists_json,
    neighbor_list,
    why_no_other,
)
from index.tokens.display import display
from index.tokens.vocabulary import Token

USUAL_LENGTH = 10


class Method(StrEnum):
    """How the terms of a sum are put together."""

    ADD = "add"
    MUL = "mul"


@dataclass(frozen=True)
class Analogy(AmongSome):
    """What is nearest to a signed sum of tokens."""

    terms: tuple[Term, ...]
    lists: Lists  # one is empty where it is `undefined`, and where no other token, or none of the subset, has a place
    among: Subset | None = None  # what the lists keep to
    undefined: tuple[Geometry, ...] = ()  # where the sum is zero and has no direction
    fragments: tuple[tuple[Token, Token], ...] = ()  # terms that continue a word, each with the one that begins it
    approximate: Approximation | None = None  # what the lists are by; None: they are exact
    expected: Expected | None = None  # where an expected answer stands
    products: Products | None = None  # the lists by 3CosMul, in place of `lists`

    columns: ClassVar = {"terms": str, "geometry": str, **PLACE_COLUMNS, "recall": float, "score": float, **PIECE}

    @property
    def note(self) -> str | None:
        """Say that a sum is zero, which terms continue a word that another token begins, and what was no token."""
        zero = "the sum is zero and has no direction: the causal list is of the rows nearest to zero"
        notes = (zero if self.undefined and self.products is None else None, self._fragments_note(), super().note)
        return "; ".join(filter(None, notes)) or None

    def _fragments_note(self) -> str | None:
        if not self.fragments:
            return None
        named = (
            f"'{display(part.text)}' (#{part.id}) continues a word, '{display(word.text)}' (#{word.id}) begins one"
            for part, word in self.fragments
        )
        written = {part.id: f"' {part.text}'" for part, _ in self.fragments}
        terms = " ".join(
            f"{'+' if term.sign > 0 else '-'} {written.get(term.token.id, f'#{term.token.id}')}" for term in self.terms
        )
        return f'{"; ".join(named)}: "{terms.removeprefix("+ ")}"'

    def why_none(self, geometry: Geometry) -> str:
        """Return why the list in a geometry is empty."""
        if geometry in self.undefined:
            return "the sum is zero and has no direction"
        if self.approximate is not None:
            return "the approximate index finds none"
        return why_no_other(geometry, {term.token.row for term in self.terms}, self.among)

    def rows(self) -> list[Row]:
        """Return one record for each geometry and neighbor; terms are signed ids."""
        terms = " ".join(f"{'+' if term.sign > 0 else '-'}#{term.token.id}" for term in self.terms)
        if self.products is None:
            return [{"terms": terms, **place, "score": None} for place in place_records(self.lists, self.approximate)]
        return [
            {"terms": terms, "geometry": geometry.label, **place.record(), "recall": None}
            for geometry, found in self.products.items()
            for place in found
        ]

    def json(self) -> dict[str, Any]:
        """Return the terms and a list for each geometry; a sign is 1 or -1."""
        return {
            "terms": [
                {"sign": term.sign, "id": term.token.id, "text": term.token.text, "piece": term.token.piece}
                for term in self.terms
            ],
            **(lists_json(self.lists) if self.products is None else {"method": Method.MUL.value}),
            **{geometry.value: [place.json() for place in found] for geometry, found in (self.products or {}).items()},
            **({"undefined": [geometry.value for geometry in self.undefined]} if self.undefined else {}),
            **limits_json(self.among, self.approximate),
            **({} if self.expected is None else {"expected": self.expected.json()}),
        }

    def page(self) -> list[Block]:
        """Return the terms and the lists."""
        terms: list[tuple[str, Words]] = [
            ("plus" if term.sign > 0 else "minus", (f"#{term.token.id}  ", term.token)) for term in self.terms
        ]
        terms += limits_facts(self.among, self.approximate)
        nearest = "nearest" if self.approximate is None else "found"
        expected = [] if self.expected is None else self.expected.blocks()
        if self.products is not None:
            return [facts(terms), *expected, *product_blocks(self.products, self.undefined)]
        return [facts(terms), *expected, *list_blocks(self.lists, self.why_none, nearest)]


def analogy(
    bundle: Bundle,
    expression: Annotated[
        str,
        Doc(
            "Tokens with + or - between them; texts with spaces or signs in quotes: \"vier - ' four' + #7\".",
            metavar="TERMS",
            minus=True,
        ),
    ],
    *,
    top: Annotated[int | None, Doc("Tokens listed.", default="10, or all"), OTHERS] = None,
    include_terms: Annotated[bool, Doc("List the terms, too.")] = False,
    among: Among = None,
    without: Without = None,
    approximate: ByFactory = None,
    method: Annotated[
        Method, Doc("Terms are added, or their cosines multiplied: 3CosMul, without a causal list.")
    ] = Method.ADD,
    expect: Annotated[
        TokenName | None, Doc("The expected answer: says its rank in each geometry.", metavar="TOKEN", default="none")
    ] = None,
    scale: Annotated[
        Scale | None,
        Doc(
            "With an expected answer: also the factor on all but the first term that comes nearest to it.", default="1"
        ),
    ] = None,
) -> Analogy:
    """The tokens nearest to a signed sum of tokens, in every geometry.

    Example: uv run query.py analogy "' Paris' - ' France' + ' Germany'" --expect " Berlin"

    The sum is taken of rows of gamma and then mapped as one row, all in float64: times L in the causal geometry, to its
    direction in the angular ones, less the mean first where the bundle's causal cosines are centered. By the method
    mul cosines are of each term by itself, as `index.measures.products` defines them, over all tokens in float64.

    >>> answer = index.open("data/indexes/smollm2-135m").analogy("planets - planet + star", top=1)
    >>> answer.lists["cosine"][0].token.text
    'Star'
    """
    among, length = kept(bundle, among, without), list_length(bundle, top, USUAL_LENGTH)
    by = approximation(bundle, approximate, Geometry, among)
    parsed = parse_terms(expression)
    signed = [(sign, bundle.vocabulary.resolve(text)) for sign, text in parsed]
    left_out = () if include_terms else tuple({row for _, row in signed})
    wanted = None if expect is None else bundle.vocabulary.resolve(expect)
    _require_fitting(method, scale, by, signed, wanted, left_out)
    terms = tuple(Term(sign, bundle.vocabulary.token(row)) for sign, row in signed)
    fragments = fragments_of(bundle, [text for _, text in parsed])
    asked = _Asked(bundle, signed, left_out, None if among is None else among.rows, length, wanted)
    if method is Method.MUL:
        products, undefined, expected = _multiplied(asked)
        return Analogy(terms, {}, among, undefined, fragments, None, expected, products)
    lists, undefined = _added(asked, by)
    return Analogy(terms, lists, among, undefined, fragments, by, _expected(asked, scale))


@dataclass(frozen=True, eq=False)
class _Asked:
    """A signed sum of rows, and what its lists are to hold."""

    bundle: Bundle
    signed: list[tuple[int, int]]
    left_out: tuple[int, ...]
    rows: np.ndarray | None  # what lists keep to
    top: int
    wanted: int | None  # the row of the expected answer

    @property
    def twins(self) -> np.ndarray:
        """The rows with the same vector as a term, which lists mark."""
        return np.concatenate([self.bundle.twins.others(row) for _, row in self.signed])


def _require_fitting(
    method: Method,
    scale: Scale | None,
    by: Approximation | None,
    signed: list[tuple[int, int]],
    wanted: int | None,
    left_out: tuple[int, ...],
) -> None:
    """Raise ParameterError for options that do not go together."""
    scaled, expect = parameter("scale"), parameter("expect")
    multiplied = parameter("method", Method.MUL.value)
    if method is Method.MUL and by is not None:
        raise ParameterError(f"{multiplied} is exact alone; leave out {parameter('approximate')}")
    if method is Method.MUL and scale is not None:
        raise ParameterError(f"{multiplied} multiplies cosines and has no sum to put a factor in; leave out {scaled}")
    if method is Method.MUL and all(sign < 0 for sign, _ in signed):
        raise ParameterError(f"{multiplied} needs a term with a plus")
    if scale is not None and wanted is None:
        raise ParameterError(f"{scaled} is fitted to an answer: say which with {expect} TOKEN")
    if scale is not None and len(signed) < 2:
        raise ParameterError(f"{scaled} is a factor on all terms but the first, and there is one alone")
    if wanted is not None and wanted in left_out:
        raise ParameterError(f"{expect} names a term, which lists leave out; pass {parameter('include_terms')}, too")


def _added(asked: _Asked, by: Approximation | None) -> tuple[Lists, tuple[Geometry, ...]]:
    """Return the lists around a sum, and where it has no direction."""
    bundle, vector = asked.bundle, signed_sum(asked.bundle, asked.signed)
    lists: Lists = {}
    undefined = []
    for geometry, space in bundle.spaces.items():
        query = mapped(bundle, geometry, vector)
        if geometry.angular and not query.any():
            lists[geometry] = ()
            undefined.append(geometry)
            continue
        if by is None:
            exclude = (*asked.left_out, *space.excluded)
            found = space.finder.search_with_ties(query, asked.top, space.resolution, exclude=exclude, rows=asked.rows)
        else:
            found = nearest_by(by, space, query, asked.top, asked.left_out)
        lists[geometry] = neighbor_list(bundle, space, *found, asked.top, asked.twins)
    return lists, tuple(undefined)


def _expected(asked: _Asked, scale: Scale | None) -> Expected | None:
    """Return where the expected answer stands around a sum."""
    if asked.wanted is None:
        return None
    bundle, row = asked.bundle, asked.wanted
    first = signed_sum(bundle, asked.signed[:1])
    rest = signed_sum(bundle, asked.signed[1:]) if len(asked.signed) > 1 else np.zeros_like(first)
    standings: dict[Geometry, Standing | None] = {}
    fits = {}
    for geometry, space in bundle.spaces.items():

        def stand(vector: np.ndarray, space: Space = space) -> Standing | None:
            return standing(space, mapped(bundle, space.geometry, vector), row, asked.left_out, asked.rows)

        standings[geometry] = stand(signed_sum(bundle, asked.signed))
        if scale is not None and standings[geometry] is not None:
            fits[geometry] = fit(bundle, geometry, first, rest, row, stand)
    return Expected(bundle.vocabulary.token(row), standings, None if scale is None else fits)


def _multiplied(asked: _Asked) -> tuple[Products, tuple[Geometry, ...], Expected | None]:
    """Return the lists by 3CosMul, where a term has no direction, and where the expected answer stands."""
    bundle = asked.bundle
    products: Products = {}
    standings: dict[Geometry, Standing | None] = {}
    for geometry, space in bundle.spaces.items():
        if not geometry.angular:
            continue
        found = scores_of(space, asked.signed)
        rows = np.arange(len(bundle)) if asked.rows is None else asked.rows
        rows = rows[~np.isin(rows, [*asked.left_out, *space.excluded])]
        products[geometry] = () if found is None else found.listed(bundle, rows, asked.top, asked.twins)
        standings[geometry] = None
        if found is not None and asked.wanted is not None and asked.wanted not in space.excluded:
            place = found.place(asked.wanted, rows)
            standings[geometry] = Standing(place, score=float(found.scores[asked.wanted]))
    undefined = tuple(each for each in products if set(bundle.spaces[each].excluded) & {row for _, row in asked.signed})
    expected = None if asked.wanted is None else Expected(bundle.vocabulary.token(asked.wanted), standings)
    return products, undefined, expected
