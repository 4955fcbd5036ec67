"""The terms of an analogy: how a signed sum of tokens is read, and the vector it is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.geometry.maps import Geometry, map_rows
from index.tokens.vocabulary import Token

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


def fragments_of(bundle: Bundle, texts: list[str]) -> tuple[tuple[Token, Token], ...]:
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


def term_of(bundle: Bundle, row: int) -> str:
    """Return how a token is written in a signed sum: by its text in quotes, where that names it alone, or its id."""
    vocabulary = bundle.vocabulary
    text = vocabulary.text(row)
    if text and text.isprintable() and vocabulary.resolve_all([text])[text] == row:
        return f"'{text.replace(chr(39), chr(39) * 2)}'"
    return f"#{vocabulary.token_ids[row]}"


def mapped(bundle: Bundle, geometry: Geometry, vector: np.ndarray) -> np.ndarray:
    """Map a vector of gamma's space, (D,), into a geometry as its tokens are, (D,) float64; zero without direction."""
    row = vector[np.newaxis]
    point = np.empty_like(row)  # the maps round to float32 only where what they fill is float32
    centered = bundle.spaces[geometry].facts.centered
    mapped_row: np.ndarray = map_rows(row, geometry, bundle.metric, centered=centered, out=point)[0]
    return mapped_row


def signed_sum(bundle: Bundle, signed: list[tuple[int, int]]) -> np.ndarray:
    """Return the sum of sign * row of gamma, (D,) float64; what cancels is exactly zero."""
    times: Counter[int] = Counter()
    for sign, row in signed:
        times[row] += sign
    signs = np.array(list(times.values()), dtype=np.float64)
    total: np.ndarray = signs @ bundle.gamma[list(times)].astype(np.float64)
    return total
