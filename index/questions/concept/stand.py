"""How pairs of words stand against random pairs: of as many random tokens, in the same pattern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from index.bundle.bundle import Bundle
from index.errors import ParameterError, TokenError, parameter
from index.geometry.maps import Geometry
from index.geometry.metric import Metric
from index.geometry.views import View
from index.measures.concepts import (
    blocks_of_sets,
    cosines,
    crossed_cosine,
    directions_of_others,
    exact_p,
    jackknife,
    random_words,
)
from index.measures.pairs import random_pairs
from index.questions.analogy.terms import parse_terms
from index.questions.concept.concepts import NOT_HELD, Held, Parallel
from index.questions.concept.directions import KeptPairs, Product
from index.tokens.words import WordFinder

RANDOM_PAIRS = 10_000
"""So many random pairs each pair, and the mean of all, is held against."""


@dataclass(frozen=True, eq=False)
class Stand:
    """What pairs are held against."""

    bundle: Bundle
    candidates: np.ndarray  # (v,) int64, the rows that random words are drawn from
    sets: int
    seed: int

    def words(self, count: int) -> np.ndarray:
        """Return sets of `count` different random tokens, (sets, count) rows; ParameterError where there are fewer."""
        if count > len(self.candidates):
            raise ParameterError(
                f"random pairs are of {count:,} different tokens, and there are {len(self.candidates):,} to draw from; "
                f"leave out {parameter('among')} and {parameter('without')}, or take fewer pairs"
            )
        return random_words(np.random.default_rng(self.seed), self.candidates, count, self.sets)

    def differences(self, product: Product) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the differences of `RANDOM_PAIRS` random pairs with an inner product, float64, some hundred at once."""
        draw = np.random.default_rng(self.seed)
        first, second = random_pairs(draw, len(self.candidates), RANDOM_PAIRS)
        stored = product.stored(self.bundle)
        for where in blocks_of_sets(RANDOM_PAIRS, self.bundle.manifest.D):
            a, b = (stored[self.candidates[each[where]]].astype(np.float64) for each in (first, second))
            yield where, b - a


def stand_of(stand: Stand, kept: KeptPairs) -> tuple[dict[Product, Held], dict[Product, tuple[np.ndarray, np.ndarray]]]:
    """Return how the pairs of a concept lie along the direction of each other, and each pair's cosine and p, (n,) each.

    All NaN where there is no other pair to compare with.
    """
    n = len(kept.rows)
    groups = kept.pairs.groups if n else np.zeros(0, np.int64)
    if n == 0 or groups.max() == 0:
        nothing = np.full(n, np.nan)
        return dict.fromkeys(Product, NOT_HELD), dict.fromkeys(Product, (nothing, nothing))
    sets = stand.words(len(kept.words))
    found, pairs = {}, {}
    for product in Product:
        words = kept.vectors(stand.bundle, product)
        differences = kept.pairs.differences(words)
        own = cosines(differences, groups)
        across = _random_cosines(stand, product, directions_of_others(differences, groups))[groups]
        mean, spread = float(across.mean()), float(across.std())
        drawn = _means_of_sets(stand, product, kept, groups, sets)
        low, high = jackknife(differences, groups)
        mine = float(own.mean())
        effect, least, most = ((each - mean) / spread if spread > 0 else float("nan") for each in (mine, low, high))
        crossed = crossed_cosine(words, kept.pairs, groups)
        found[product] = Held(mine, mean, effect, least, most, exact_p(mine, drawn), crossed)
        pairs[product] = (own, np.array([exact_p(*each) for each in zip(own, across, strict=True)]))
    return found, pairs


def _random_cosines(stand: Stand, product: Product, directions: np.ndarray) -> np.ndarray:
    """Return the cosines of random pairs' differences with directions (m, D): (m, RANDOM_PAIRS); of twins 0."""
    found = np.empty((len(directions), RANDOM_PAIRS))
    for where, differences in stand.differences(product):
        lengths = np.linalg.norm(differences, axis=1)
        found[:, where] = directions @ differences.T / np.where(lengths > 0, lengths, np.inf)
    return found


def _means_of_sets(stand: Stand, product: Product, kept: KeptPairs, groups: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Return the mean cosine of each set of random tokens in a concept's pattern, (sets,)."""
    stored, pairs = product.stored(stand.bundle), kept.pairs
    means = np.empty(len(sets))
    for where in blocks_of_sets(len(sets), sets.shape[1] * stand.bundle.manifest.D):
        words = stored[sets[where].ravel()].astype(np.float64).reshape(*sets[where].shape, -1)
        means[where] = cosines(pairs.differences(words), groups).mean(axis=1)
    return means


# --- two differences ----------------------------------------------------------------------------------------------

_RAW = {"causal": Product.CAUSAL.view, "euclidean": Product.EUCLIDEAN.view}
_UNIT = (Geometry.COSINE, Geometry.CAUSAL_COSINE)


def parallel_of(stand: Stand, finder: WordFinder, given: tuple[str, str], *, centered: bool) -> Parallel:
    """Return the cosine of two differences in each geometry; in the angular ones of rows made 1 long."""
    bundle = stand.bundle
    sides = [_difference(bundle, finder, text) for text in given]
    rows = np.array(sorted({row for side in sides for row in side}), dtype=np.int64)
    weights = np.array([[side.get(row, 0) for row in rows.tolist()] for side in sides], dtype=np.float64)
    drawn = stand.words(len(rows))
    maps = {name: partial(view.flat, metric=bundle.metric) for name, view in _RAW.items()}
    maps |= {each.value: partial(_unit_rows, view=View(each, centered), metric=bundle.metric) for each in _UNIT}
    found, p = {}, {}
    for name, mapped in maps.items():
        found[name] = float(_cosine(weights, mapped(bundle.gamma[rows])))
        random = np.empty(len(drawn))
        for where in blocks_of_sets(len(drawn), len(rows) * bundle.manifest.D):
            words = mapped(bundle.gamma[drawn[where].ravel()]).reshape(*drawn[where].shape, -1)
            random[where] = np.nan_to_num(_cosine(weights, words))
        p[name] = exact_p(found[name], random)
    terms = tuple(tuple((sign, bundle.vocabulary.token(row)) for row, sign in side.items()) for side in sides)
    return Parallel(terms, found, p)


def _unit_rows(rows: np.ndarray, view: View, metric: Metric) -> np.ndarray:
    """Map rows of gamma (n, D) and make them 1 long; one without direction is zero."""
    flat = view.flat(rows, metric)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    unit: np.ndarray = flat / np.where(lengths > 0, lengths, 1)
    return unit


def _cosine(weights: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Return the cosine of two sums with weights (2, u) of vectors (..., u, D); NaN where one is zero."""
    a, b = (np.einsum("u,...ud->...d", each, words) for each in weights)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    products = np.einsum("...d,...d->...", a, b)
    found: np.ndarray = np.where(lengths > 0, products / np.where(lengths > 0, lengths, 1), np.nan)
    return found


def _difference(bundle: Bundle, finder: WordFinder, text: str) -> dict[int, int]:
    """Return the rows of a difference with their signs; ParameterError where as many are not added as taken off."""
    counts: Counter[int] = Counter()
    for sign, term in parse_terms(text):
        counts[_row(bundle, finder, term)] += sign
    if sum(counts.values()):
        raise ParameterError(
            f"{parameter('parallel')} {text!r:.60} is no difference: as many tokens are added as taken off, as in "
            "'king - man'"
        )
    if not any(counts.values()):
        raise ParameterError(f"{parameter('parallel')} {text!r:.60} is nothing: its tokens cancel")
    return {row: sign for row, sign in counts.items() if sign}


def _row(bundle: Bundle, finder: WordFinder, term: str) -> int:
    """Return the row of a word as in files of pairs, or of a token by `#id`, exact text or piece."""
    row = None if term.startswith(("#", " ")) else finder.row(term)
    try:
        return bundle.vocabulary.resolve(term) if row is None else row
    except TokenError as error:
        raise ParameterError(f"{parameter('parallel')}: {error}") from error
