"""What dots of the map can be colored and filtered by: a byte for each token, and what the bytes mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.bundle.bundle import Bundle
from index.tokens.vocabulary import Kind

NONE = 255
"""The byte of a token that has no value."""

STEPS = 250
"""Into how many steps numbers are divided: five to a bar of a histogram."""

NAMED = 10
"""Values of a category with a color of their own; the rest share one."""

REST = "other"

TELLING = 3
"""Letters from which on the start of a word is named before others."""


@dataclass(frozen=True, eq=False)
class Coloring:
    """A byte for each token: the place of its value in `labels`, or its step from `low` to `high`."""

    name: str
    title: str
    meaning: str
    codes: np.ndarray  # (V,) uint8
    labels: tuple[str, ...] = ()  # of a category, the most frequent first
    low: float = 0.0  # of a number: what the first step begins with
    high: float = 0.0
    logarithmic: bool = False
    values: np.ndarray | None = None  # (V,) float64 of a number, NaN without one

    def described(self) -> dict[str, Any]:
        """Return all but the codes, as the page reads it."""
        about = {"name": self.name, "title": self.title, "meaning": self.meaning}
        if self.labels:
            return {**about, "labels": self.labels}
        scale = "log" if self.logarithmic else "linear"
        return {**about, "low": self.low, "high": self.high, "scale": scale, "steps": STEPS}


def colorings(bundle: Bundle, kept: Mapping[str, np.ndarray]) -> dict[str, Coloring]:
    """Return every coloring that a bundle's columns, and what a map keeps of neighborhoods, allow."""
    table = bundle.tokens
    made: list[Coloring] = []
    for name, title, meaning in _CATEGORIES:
        if name in table.column_names:
            made.append(category(name, title, meaning, table[name].to_pylist()))
    marks = np.where(bundle.untrained, "untrained", np.where(bundle.hubs, "hub", "neither")).tolist()
    made.append(category("marks", "untrained tokens and hubs", "Tokens that fill lists whoever's they are.", marks))
    for name, title, meaning, logarithmic in _NUMBERS:
        if name in table.column_names:
            values = np.array([np.nan if value is None else value for value in table[name].to_pylist()], np.float64)
            made.append(number(name, title, meaning, values, logarithmic=logarithmic))
    for name, values in kept.items():
        made.append(number(f"kept_{name}", f"neighbors kept, {name} map", _KEPT.format(name), values))
    return {each.name: each for each in made if _tells(each)}


def named_rows(bundle: Bundle) -> np.ndarray:
    """Return the rows that a map may name, the likeliest to be known first: words that tell something by themselves.

    Starts of words with `TELLING` letters or more, then other words and parts of them, then the rest, each by id.
    Of tokens with one vector the first stands for all; the untrained are never named.
    """
    vocabulary = bundle.vocabulary
    kinds = np.array(vocabulary.kinds.to_pylist())
    long = np.array([len((text or "").strip()) >= TELLING for text in vocabulary.texts.to_pylist()])
    telling = (kinds == Kind.WORD_START) & long
    others = ~np.isin(kinds, (Kind.WORD, Kind.WORD_START))
    rows = np.lexsort((vocabulary.token_ids, others, ~telling))
    first = bundle.twins.first == np.arange(len(bundle))
    named: np.ndarray = rows[(first & ~bundle.untrained)[rows]]
    return named


def category(name: str, title: str, meaning: str, values: list[str | None]) -> Coloring:
    """Return the coloring of a category: the `NAMED` most frequent values, then all others as one."""
    known, counts = np.unique([value for value in values if value is not None], return_counts=True)
    labels = [str(known[place]) for place in np.argsort(-counts, kind="stable")]
    if len(labels) > NAMED + 1:
        labels = [*labels[:NAMED], REST]
    code_of = {label: code for code, label in enumerate(labels)}
    rest = code_of.get(REST, NONE)
    codes = [NONE if value is None else code_of.get(value, rest) for value in values]
    return Coloring(name, title, meaning, np.array(codes, dtype=np.uint8), tuple(labels))


def number(name: str, title: str, meaning: str, values: np.ndarray, *, logarithmic: bool = False) -> Coloring:
    """Return the coloring of numbers: equal steps of the value or its logarithm, infinite ones in the last.

    Numbers that have no logarithm are in the first.
    """
    known = values[np.isfinite(values) & ((values > 0) if logarithmic else True)]
    if len(known) == 0:
        return Coloring(name, title, meaning, np.full(len(values), NONE, dtype=np.uint8), values=values)
    low, high = float(known.min()), float(known.max())
    scale: Callable[[Any], Any] = np.log if logarithmic else np.asarray
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (scale(np.maximum(values, low)) - scale(low)) / ((scale(high) - scale(low)) or 1.0)
    steps = np.clip(np.nan_to_num(share * STEPS, posinf=STEPS), 0, STEPS - 1).astype(np.uint8)
    steps[np.isnan(values)] = NONE
    return Coloring(name, title, meaning, steps, (), low, high, logarithmic, values)


def _tells(coloring: Coloring) -> bool:
    """Whether a coloring tells any tokens apart."""
    return len(coloring.codes) > 0 and bool((coloring.codes != coloring.codes[0]).any())


_CATEGORIES = (
    ("kind", "kind", "What a token is: a word, the start of one, punctuation, a byte."),
    ("script", "script", "The script of its letters."),
    ("class", "class", "Whether the tokenizer ever makes it."),
)
_NUMBERS = (
    ("density_distinct", "density", "1 / mean causal distance to the nearest other vectors, in 1/logometers.", True),
    ("hubness", "hubness", "Of how many tokens it is among the nearest in the causal metric.", True),
    ("causal_norm", "causal norm", "Length of its row in the causal metric, in logometers.", False),
    ("euclidean_norm", "Euclidean norm", "Length of its row.", False),
    ("twin_count", "twins", "How many tokens have its vector, itself among them.", True),
    ("overlap_30", "overlap", "The share of its 30 nearest that is in both lists, causal and cosine.", False),
    ("token_id", "id", "Where tokens are merges: the order in which they were made, a proxy of frequency.", False),
)
_KEPT = (
    "The share of a token's 15 nearest by {} that are among its 15 nearest on that map. Where it is low, "
    "the map misleads. Among tokens that training moved."
)
