"""Which sets stand high in an order of the tokens: what the sets are, and what twins count for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from index.bundle.bundle import Bundle
from index.bundle.saved_sets import read_set, saved_names
from index.errors import ParameterError, parameter
from index.measures.enrichment import Order, Sets, false_discovery_rates, shuffled_p
from index.progress import Progress, silent
from index.questions.asking.among import Subset, subset
from index.questions.asking.named_sets import BUILT_IN, MARK, named_rows, usable

LEAST = 5
"""Vectors that a set must have, and lack."""
LEVEL = 0.05
"""The rate of false discoveries at which sentences name sets."""
COLUMNS = ("script", "kind", "class")
"""Columns each value of which is a set."""
USUAL_SETS = "script,kind,@"


@dataclass(frozen=True)
class Enriched:
    """A set, and where it stands in an order."""

    name: str
    tokens: int  # its members that are ranked
    vectors: int  # different ones among them: twins are one witness
    score: float  # from -1 to 1: where the running sum is furthest from 0; above it for sets that stand high
    p: float  # how often a random order gives a score as far from 0
    q: float  # the false discovery rate at which it counts, among all the sets here
    share: float  # of its vectors, that stand before the score is reached; for a score below 0, behind
    within: float  # the share of all vectors that stand there


@dataclass(frozen=True)
class SetsInOrder:
    """Sets from the highest score to the lowest."""

    tokens: int  # ranked
    vectors: int  # different ones
    sets: tuple[Enriched, ...]
    left_out: tuple[tuple[str, int], ...]  # sets with too few vectors, or with too few left outside, and how many


def sets_in_order(
    bundle: Bundle,
    values: np.ndarray,
    some: Subset | None,
    sets: str = USUAL_SETS,
    patterns: list[str] | None = None,
    shuffles: int = 199,
    seed: int = 0,
    progress: Progress = silent,
) -> SetsInOrder:
    """Return where sets stand in the order of values (V,), the highest first; NaN, and what is not among some, is out.

    ParameterError where nothing is ranked, or for a set that is not there.
    """
    ranked = ~np.isnan(values)
    if some is not None:
        ranked &= np.isin(np.arange(len(bundle)), some.rows)
    rows = np.flatnonzero(ranked)
    if len(rows) == 0:
        raise ParameterError(f"no token of {bundle.name if some is None else some.name} has a place in this order")
    firsts, vector = np.unique(bundle.twins.first[rows], return_inverse=True)
    down = np.argsort(-values[firsts], kind="stable")
    place = np.empty(len(firsts), dtype=np.int64)
    place[down] = np.arange(len(firsts))
    order = Order.of(values[firsts][down])
    number = np.full(len(bundle), -1)
    number[rows] = place[vector]  # the place of each token's vector
    named = {name: number[rows][number[rows] >= 0] for name, rows in _sets(bundle, sets, patterns)}
    members = {name: np.unique(places) for name, places in named.items()}
    fit = {name: each for name, each in members.items() if LEAST <= len(each) <= len(order) - LEAST}
    left_out = tuple((name, len(each)) for name, each in members.items() if name not in fit)
    found = _enriched(fit, {name: len(named[name]) for name in fit}, order, shuffles, seed, progress) if fit else ()
    return SetsInOrder(len(rows), len(order), found, left_out)


def _enriched(
    members: dict[str, np.ndarray],
    tokens: dict[str, int],
    order: Order,
    shuffles: int,
    seed: int,
    progress: Progress,
) -> tuple[Enriched, ...]:
    among_all = Sets(list(members.values()), len(order))
    scores = among_all.scores(order)
    p = shuffled_p(among_all, order, scores.values, shuffles, seed, partial(progress, "random orders"))
    q = false_discovery_rates(p)
    found = []
    for at, (name, places) in enumerate(members.items()):
        score, reached = float(scores.values[at]), int(scores.places[at])
        before = int((places < reached).sum()) / len(places)
        share, within = (before, reached / len(order)) if score >= 0 else (1 - before, 1 - reached / len(order))
        found.append(Enriched(name, tokens[name], len(places), score, float(p[at]), float(q[at]), share, within))
    return tuple(sorted(found, key=lambda each: -each.score))


def _sets(bundle: Bundle, wanted: str, patterns: list[str] | None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the sets asked for, by their names, as rows; ParameterError for one that is not there."""
    for part in (each.strip() for each in wanted.split(",")):
        if part in COLUMNS:
            values = np.array(bundle.columns(part)[part].to_pylist(), dtype=object)
            for value in dict.fromkeys(each for each in values.tolist() if each is not None):
                yield f"{part}={value}", np.flatnonzero(values == value)
        elif part == MARK:
            for name in (*BUILT_IN, *saved_names(bundle)):
                held = None if name in BUILT_IN else read_set(bundle, name)
                if held is None or usable(bundle, held):
                    yield MARK + name, named_rows(bundle, name, parameter("sets"))
        elif part:
            yield part, subset(bundle, part, "sets").rows
        else:
            raise ParameterError(f"{parameter('sets')} has nothing before or behind a comma; wanted script,kind,@words")
    texts = bundle.vocabulary.texts.to_pylist()
    for pattern in [patterns] if isinstance(patterns, str) else patterns or ():
        try:
            compiled = re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ParameterError(
                f"{parameter('patterns')} {pattern!r:.60} is no regular expression: {error}"
            ) from error
        found = [row for row, text in enumerate(texts) if text is not None and compiled.search(text)]
        yield f"/{pattern}/", np.array(found, dtype=np.int64)
