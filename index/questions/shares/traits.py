"""What tokens can have in common with each other, as codes and places in orders."""

from __future__ import annotations

from typing import Any

import numpy as np

from index.bundle.bundle import Bundle
from index.measures.shares import Trait
from index.tokens.meaning import form_of

LETTERS = 3
NEAR = 20
"""What is no further apart than a twentieth of the vocabulary, in the order of ids or norms, is near."""


def traits_of(bundle: Bundle) -> dict[str, Trait]:
    """Return what tokens can have in common, by the names that `shares` has for it."""
    stored = bundle.columns("script", "kind", "class", "causal_norm", "euclidean_norm", "twin_group")
    known = bundle.vocabulary.texts.to_pylist()
    texts = [None if text is None or "\ufffd" in text else form_of(text) for text in known]
    starts = [text[:LETTERS] if text and text[:LETTERS].isalpha() and len(text) >= LETTERS else None for text in texts]
    near = len(bundle) // NEAR
    return {
        "word": Trait(_codes([text or None for text in texts])),
        "letters": Trait(_codes(starts)),
        **{name: Trait(_codes(stored[name].to_pylist())) for name in ("script", "kind", "class")},
        "causal_norm": Trait(_places(np.array(stored["causal_norm"].to_pylist())), near),
        "norm": Trait(_places(np.array(stored["euclidean_norm"].to_pylist())), near),
        "id": Trait(_places(bundle.vocabulary.token_ids), near),
        "twin": Trait(_codes(stored["twin_group"].to_pylist())),
    }


def _codes(values: list[Any]) -> np.ndarray:
    """Return a number for each value, equal for equal ones, (V,) int64; -1 for None."""
    numbers: dict[Any, int] = {}
    return np.array([-1 if value is None else numbers.setdefault(value, len(numbers)) for value in values])


def _places(values: np.ndarray) -> np.ndarray:
    """Return the place of each value in their order, (V,) int64; equal ones by row."""
    places = np.empty(len(values), dtype=np.int64)
    places[np.argsort(values, kind="stable")] = np.arange(len(values))
    return places
