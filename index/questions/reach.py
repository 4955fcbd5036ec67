"""Who is within reach of a token, and who is nearest to a signed sum of tokens."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from index.answers.answer import Tabular
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError
from index.geometry.maps import Geometry, chord_of, map_rows
from index.questions.among import Subset
from index.questions.lists import Neighbor, checked_top, neighbor_list, token_at
from index.search.finder import search, search_with_ties
from index.tokens.vocabulary import Token

_TERM = re.compile(
    r"""\s* (?P<sign>[+-])? \s*
    (?: '(?P<single>(?:[^']|'')+)' | "(?P<double>(?:[^"]|"")+)" | (?P<bare>[^\s+'"-][^\s+-]*) ) \s*""",
    re.VERBOSE,
)
_HOW = "write terms with + or - between them, and quote a text that holds spaces or signs: vier - ' four' + 'e-mail'"


@dataclass(frozen=True)
class Within(Tabular):
    """All tokens within a radius or a cone around a token.

    Attributes
    ----------
    token : Token
    geometry : Geometry
    threshold : float
        The radius in logometers, or in an angular geometry the least similarity.
    count : int
        Tokens no further away than that, the token itself aside.
    lowest, highest : int
        The range of `count` when the tokens at the border, within the resolution, are all out or all in; twins are
        certain.
    neighbors : tuple of Neighbor
        The nearest of them, as many as were asked for.
    twins : frozenset of int
        Rows with the same vector as the token.
    has_direction : bool
        False for a zero row in an angular geometry: nothing is within reach of it.
    """

    token: Token
    geometry: Geometry
    threshold: float
    count: int
    lowest: int
    highest: int
    neighbors: tuple[Neighbor, ...]
    twins: frozenset[int]
    has_direction: bool


@dataclass(frozen=True)
class Term:
    """A token in a sum, with its sign: 1 or -1."""

    sign: int
    token: Token


@dataclass(frozen=True)
class Analogy(Tabular):
    """What is nearest to a signed sum of tokens.

    Attributes
    ----------
    terms : tuple of Term
    lists : dict of Geometry to tuple of Neighbor
        Nearest first; one is empty where it is `undefined`, and where no other token, or none of the subset, has a
        place in it.
    among : Subset or None
        What the lists keep to.
    undefined : tuple of Geometry
        Those in which the sum is zero and has no direction.
    """

    terms: tuple[Term, ...]
    lists: dict[Geometry, tuple[Neighbor, ...]]
    among: Subset | None = None
    undefined: tuple[Geometry, ...] = ()


def within(
    bundle: Bundle,
    token: str,
    *,
    radius: float | None = None,
    similarity: float | None = None,
    geometry: Geometry | None = None,
    top: int | None = None,
) -> Within:
    """Find all tokens within a causal radius, or within a cone, around a token.

    Parameters
    ----------
    bundle : Bundle
    token : str
        As in `questions.neighbors`.
    radius : float, optional
        In logometers, for the causal geometry.
    similarity : float, optional
        From -1 to 1, for the angular geometries. One of the two must be given.
    geometry : Geometry, optional
        Causal for a radius, cosine for a similarity.
    top : int, optional
        How many neighbors to list at most; all by default. The count is of all.

    Raises
    ------
    TokenError
        When `token` is not one token.
    ParameterError
        When the threshold is missing, doubled, out of range, or not of this geometry.
    """
    geometry, threshold = _threshold(radius, similarity, geometry)
    if top is not None:
        checked_top(bundle, top)
    row = bundle.vocabulary.resolve(token)
    space = bundle.spaces[geometry]
    # NumPy would round a plain float to the float32 of the distances.
    limit = np.float64(chord_of(threshold) if geometry.angular else threshold)
    ids, distances = _within_distance(space, row, limit + space.resolution)
    count = int((distances <= limit).sum())
    twins = bundle.twins.others(row)
    return Within(
        token_at(bundle, row),
        geometry,
        threshold,
        count,
        int(((distances < limit - space.resolution) | np.isin(ids, twins)).sum()),
        len(distances),
        neighbor_list(bundle, space, ids, distances, count if top is None else min(top, count)),
        frozenset(twins.tolist()),
        row not in space.excluded,
    )


def analogy(
    bundle: Bundle, expression: str, *, top: int | None = None, include_terms: bool = False, among: Subset | None = None
) -> Analogy:
    """Find the tokens nearest to a signed sum of tokens, in every geometry.

    The sum is taken of rows of gamma and then mapped as one row, all in float64: times L in the causal geometry, to its
    direction in the angular ones, less the mean first where the bundle's causal cosines are centered.

    Parameters
    ----------
    bundle : Bundle
    expression : str
        `vier - four + planet`: see `parse_terms`.
    top : int, optional
        Length of the lists: 10 by default, or all tokens but one where they are fewer.
    include_terms : bool
        Whether the terms themselves may be listed.
    among : Subset, optional
        The only tokens to list.

    Raises
    ------
    TokenError
        When a term is not one token.
    ParameterError
        When the expression cannot be read, or `top` is out of range.
    """
    top = checked_top(bundle, top, usual=10)
    signed = [(sign, bundle.vocabulary.resolve(text)) for sign, text in parse_terms(expression)]
    vector = _signed_sum(bundle, signed)
    left_out = () if include_terms else tuple({row for _, row in signed})
    rows = None if among is None else among.rows
    lists: dict[Geometry, tuple[Neighbor, ...]] = {}
    undefined = []
    for geometry, space in bundle.spaces.items():
        query = mapped(bundle, geometry, vector)
        if geometry.angular and not query.any():
            lists[geometry] = ()
            undefined.append(geometry)
            continue
        exclude = (*left_out, *space.excluded)
        found = search_with_ties(space.points, query, top, space.resolution, exclude=exclude, rows=rows)
        lists[geometry] = neighbor_list(bundle, space, *found, top)
    terms = tuple(Term(sign, token_at(bundle, row)) for sign, row in signed)
    return Analogy(terms, lists, among, tuple(undefined))


def parse_terms(expression: str) -> list[tuple[int, str]]:
    """Read a signed sum: `parse_terms("vier - ' four' + #7")` is `[(1, "vier"), (-1, " four"), (1, "#7")]`.

    Terms stand between signs, the first may have none. A text with spaces or signs, or one that begins with a quotation
    mark, is quoted with ' or "; the same mark inside is doubled.

    Raises
    ------
    ParameterError
        When there is no term, or a term, a sign or a quotation mark is missing; the message says where.
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


def _threshold(radius: float | None, similarity: float | None, geometry: Geometry | None) -> tuple[Geometry, float]:
    if radius is not None and similarity is None:
        if geometry is not None and geometry.angular:
            raise ParameterError(f"--radius is in logometers and causal; {geometry.label} takes a --similarity")
        if not (math.isfinite(radius) and radius >= 0):
            raise ParameterError(f"--radius must be 0 logometers or more, got: {radius:g}")
        return Geometry.CAUSAL, radius
    if similarity is not None and radius is None:
        if geometry is Geometry.CAUSAL:
            raise ParameterError("--similarity is of cosine or causal-cosine; the causal geometry takes a --radius")
        if not -1 <= similarity <= 1:
            raise ParameterError(f"--similarity must be from -1 to 1, got: {similarity:g}")
        return geometry or Geometry.COSINE, similarity
    raise ParameterError("one threshold is needed: --radius in logometers, or --similarity from -1 to 1")


def _within_distance(space: Space, row: int, limit: np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Return the other tokens no further from a stored one than `limit`: (n,) int32 and float32, nearest first."""
    if row in space.excluded:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    ids, distances = space.ids[row], space.distances[row]
    if distances[-1] <= limit:  # the stored list may end too early
        ids, exact = search(space.points, space.points[row], k=len(space.ids), exclude=(row, *space.excluded))
        distances = exact.astype(np.float32)
    n = int((distances <= limit).sum())
    return ids[:n], distances[:n]
