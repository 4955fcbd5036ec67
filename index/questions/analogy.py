"""`analogy`: the tokens nearest to a signed sum of tokens."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Row
from index.answers.page import Block, Words, facts
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.geometry.maps import Geometry, map_rows
from index.questions.among import AmongSome, Subset, kept
from index.questions.approximate import (
    LISTED_COLUMNS,
    Approximation,
    ByFactory,
    approximation,
    limits_facts,
    limits_json,
    nearest_by,
    place_records,
)
from index.questions.lists import (
    Lists,
    list_blocks,
    lists_json,
    neighbor_list,
    why_no_other,
)
from index.questions.parameters import OTHERS, Among, Without, list_length
from index.questions.question import Doc
from index.tokens.display import display
from index.tokens.vocabulary import Token

USUAL_LENGTH = 10

_TERM = re.compile(
    r"""\s* (?P<sign>[+-])? \s*
    (?: '(?P<single>(?:[^']|'')+)' | "(?P<double>(?:[^"]|"")+)" | (?P<bare>[^\s+'"-][^\s+-]*) ) \s*""",
    re.VERBOSE,
)
_HOW = "write terms with + or - between them, and quote a text that holds spaces or signs: vier - ' four' + 'e-mail'"


@dataclass(frozen=True)
class Term:
    """A token in a sum, with its sign: 1 or -1."""

    sign: int
    token: Token


@dataclass(frozen=True)
class Analogy(AmongSome):
    """What is nearest to a signed sum of tokens."""

    terms: tuple[Term, ...]
    lists: Lists  # one is empty where it is `undefined`, and where no other token, or none of the subset, has a place
    among: Subset | None = None  # what the lists keep to
    undefined: tuple[Geometry, ...] = ()  # where the sum is zero and has no direction
    fragments: tuple[tuple[Token, Token], ...] = ()  # terms that continue a word, each with the one that begins it
    approximate: Approximation | None = None  # what the lists are by; None: they are exact

    columns: ClassVar = {"terms": str, "geometry": str, **LISTED_COLUMNS}

    @property
    def note(self) -> str | None:
        """Say that a sum is zero, which terms continue a word that another token begins, and what was no token."""
        zero = "the sum is zero and has no direction: the causal list is of the rows nearest to zero"
        notes = (zero if self.undefined else None, self._fragments_note(), super().note)
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
        return [{"terms": terms, **place} for place in place_records(self.lists, self.approximate)]

    def json(self) -> dict[str, Any]:
        """Return the terms and a list for each geometry; a sign is 1 or -1."""
        return {
            "terms": [
                {"sign": term.sign, "id": term.token.id, "text": term.token.text, "piece": term.token.piece}
                for term in self.terms
            ],
            **lists_json(self.lists),
            **({"undefined": [geometry.value for geometry in self.undefined]} if self.undefined else {}),
            **limits_json(self.among, self.approximate),
        }

    def page(self) -> list[Block]:
        """Return the terms and the lists."""
        terms: list[tuple[str, Words]] = [
            ("plus" if term.sign > 0 else "minus", (f"#{term.token.id}  ", term.token)) for term in self.terms
        ]
        terms += limits_facts(self.among, self.approximate)
        nearest = "nearest" if self.approximate is None else "found"
        return [facts(terms), *list_blocks(self.lists, self.why_none, nearest)]


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
) -> Analogy:
    """The tokens nearest to a signed sum of tokens, in every geometry.

    Example: uv run query.py analogy "' Paris' - ' France' + ' Germany'"

    The sum is taken of rows of gamma and then mapped as one row, all in float64: times L in the causal geometry, to its
    direction in the angular ones, less the mean first where the bundle's causal cosines are centered.

    >>> answer = index.open("data/indexes/smollm2-135m").analogy("planets - planet + star", top=1)
    >>> answer.lists["cosine"][0].token.text
    'Star'
    """
    among, length = kept(bundle, among, without), list_length(bundle, top, USUAL_LENGTH)
    by = approximation(bundle, approximate, Geometry, among)
    parsed = parse_terms(expression)
    signed = [(sign, bundle.vocabulary.resolve(text)) for sign, text in parsed]
    vector = _signed_sum(bundle, signed)
    left_out = () if include_terms else tuple({row for _, row in signed})
    rows = None if among is None else among.rows
    twins = np.concatenate([bundle.twins.others(row) for _, row in signed])
    lists: Lists = {}
    undefined = []
    for geometry, space in bundle.spaces.items():
        query = mapped(bundle, geometry, vector)
        if geometry.angular and not query.any():
            lists[geometry] = ()
            undefined.append(geometry)
            continue
        exclude = (*left_out, *space.excluded)
        if by is None:
            found = space.finder.search_with_ties(query, length, space.resolution, exclude=exclude, rows=rows)
        else:
            found = nearest_by(by, space, query, length, left_out)
        lists[geometry] = neighbor_list(bundle, space, *found, length, twins)
    terms = tuple(Term(sign, bundle.vocabulary.token(row)) for sign, row in signed)
    fragments = _fragments(bundle, [text for _, text in parsed])
    return Analogy(terms, lists, among, tuple(undefined), fragments, by)


def _fragments(bundle: Bundle, texts: list[str]) -> tuple[tuple[Token, Token], ...]:
    """Return of the terms' texts those that a token has and another has behind a space: both tokens, once each."""
    vocabulary = bundle.vocabulary
    words = [text for text in dict.fromkeys(texts) if text.isalpha()]
    pairs = [(vocabulary.meanings.exact(word), vocabulary.meanings.with_space(word)) for word in words]
    return tuple(
        (vocabulary.token(part[0]), vocabulary.token(word[0])) for part, word in pairs if len(part) == len(word) == 1
    )


def parse_terms(expression: str) -> list[tuple[int, str]]:
    """Read a signed sum: `parse_terms("vier - ' four' + #7")` is `[(1, "vier"), (-1, " four"), (1, "#7")]`.

    Terms stand between signs, the first may have none. A text with spaces or signs, or one that begins with a quotation
    mark, is quoted with ' or "; the same mark inside is doubled.

    ParameterError where a term, a sign or a quotation mark is missing.
    """
    terms: list[tuple[int, str]] = []
    at = 0
    while at < len(expression) or not terms:
        match = _TERM.match(expression, at)
        rest = expression[at : at + 40].strip()
        if match is None:
            missing = "a term" if rest.lstrip("+- ")[:1] not in ("'", '"') else "a text or a closing quotation mark"
            raise ParameterError(f"{missing} is missing in {expression[:80]!r}, at {rest!r}; {_HOW}")
        if terms and match["sign"] is None:
            raise ParameterError(f"+ or - is missing in {expression[:80]!r}, before {rest!r}; {_HOW}")
        quoted = (match["single"] or "").replace("''", "'") or (match["double"] or "").replace('""', '"')
        terms.append((-1 if match["sign"] == "-" else 1, quoted or match["bare"]))
        at = match.end()
    return terms


def mapped(bundle: Bundle, geometry: Geometry, vector: np.ndarray) -> np.ndarray:
    """Map a vector of gamma's space, (D,), into a geometry as its tokens are, (D,) float64; zero without direction."""
    row = vector[np.newaxis]
    point = np.empty_like(row)  # the maps round to float32 only where what they fill is float32
    centered = bundle.spaces[geometry].facts.centered
    mapped_row: np.ndarray = map_rows(row, geometry, bundle.metric, centered=centered, out=point)[0]
    return mapped_row


def _signed_sum(bundle: Bundle, signed: list[tuple[int, int]]) -> np.ndarray:
    """Return the sum of sign * row of gamma, (D,) float64; what cancels is exactly zero."""
    times: Counter[int] = Counter()
    for sign, row in signed:
        times[row] += sign
    signs = np.array(list(times.values()), dtype=np.float64)
    total: np.ndarray = signs @ bundle.gamma[list(times)].astype(np.float64)
    return total
