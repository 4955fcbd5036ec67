"""`enrich`: which sets of tokens stand high in an order of all, and which low."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Row
from index.answers.page import Block, Column, Sentence, Words, facts, table
from index.bundle.bundle import Bundle
from index.bundle.saved_sets import read_set, saved_names
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry
from index.measures.enrichment import Order, Sets, false_discovery_rates, shuffled_p
from index.questions.among import AmongSome, Subset, kept, subset
from index.questions.lists import among_facts, among_json
from index.questions.named_sets import BUILT_IN, MARK, named_rows, usable
from index.questions.parameters import Among, Without
from index.questions.question import Doc, Limit, Progress, silent
from index.questions.rankings import Ranking, along_axis, along_concept, around, by_column
from index.questions.reading import TokenName

LEAST = 5
"""Vectors that a set must have, and lack."""
LEVEL = 0.05
"""The rate of false discoveries at which the sentence names sets."""
SHUFFLES = 999
COLUMNS = ("script", "kind", "class")
"""Columns each value of which is a set."""


def _width(bundle: Bundle) -> int:
    return bundle.manifest.D


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
class Enrichment(AmongSome):
    """Which sets stand high in an order, and which low."""

    ranking: Ranking
    tokens: int  # ranked
    vectors: int  # different ones
    shuffles: int
    seed: int
    sets: tuple[Enriched, ...]  # from the highest score to the lowest
    left_out: tuple[tuple[str, int], ...]  # sets with too few vectors, or with too few left outside, and how many
    among: Subset | None = None

    columns: ClassVar = {
        "set": str,
        **dict.fromkeys(("tokens", "vectors"), int),
        **dict.fromkeys(("score", "p", "q", "share", "within"), float),
    }

    def rows(self) -> list[Row]:
        """Return one record for each set."""
        return [
            {"set": each.name} | {name: getattr(each, name) for name in list(self.columns)[1:]} for each in self.sets
        ]

    def json(self) -> dict[str, Any]:
        """Return the order, and the sets from the highest score to the lowest."""
        return {
            "ranking": self.ranking.json(),
            "tokens": self.tokens,
            "vectors": self.vectors,
            "shuffles": self.shuffles,
            "seed": self.seed,
            "sets": [vars(each) for each in self.sets],
            "left_out": [{"name": name, "vectors": vectors} for name, vectors in self.left_out],
            **among_json(self.among),
        }

    @property
    def refusal(self) -> str | None:
        """Say that no set is large enough, where it is so."""
        if self.sets:
            return None
        named = ", ".join(f"{name} ({vectors:,})" for name, vectors in self.left_out[:LEAST]) or "none"
        return f"no set has, and lacks, {LEAST} of the {self.vectors:,} vectors ranked; there are {named}"

    @property
    def verdict(self) -> str:
        """Which sets stand high and low at a false discovery rate of `LEVEL`."""
        found = [each for each in self.sets if each.q <= LEVEL]
        high = [each.name for each in found if each.score > 0]
        low = [each.name for each in reversed(found) if each.score < 0]
        said = [f"{', '.join(names)} {where}" for names, where in ((high, "high"), (low, "low")) if names]
        at = f"At a false discovery rate of {100 * LEVEL:.0f} %"
        return f"{at} {'; '.join(said)}." if said else f"{at} no set stands high or low."

    def page(self) -> list[Block]:
        """Return what is ranked, the sets, and which of them stand high and low."""
        head: list[tuple[str, Words]] = [("high", self.ranking.words), *among_facts(self.among)]
        head.append(("ranked", f"{self.tokens:,} tokens, {self.vectors:,} different vectors"))
        blocks: list[Block] = [facts(head)]
        if self.sets:
            lines = (
                (
                    each.name,
                    f"{each.vectors:,}",
                    f"{each.score:+.3f}",
                    f"{each.p:.2g}",
                    f"{each.q:.2g}",
                    f"{100 * each.share:.1f} in {100 * each.within:.1f} %",
                )
                for each in self.sets
            )
            blocks.append(table(("", "vectors", Column("score", 6), "p", "q", "of it"), lines))
            blocks.append(Sentence(self.verdict))
            blocks += [Sentence(line, aside=True) for line in self._readings()]
        if self.left_out:
            named = ", ".join(f"{name} ({vectors:,})" for name, vectors in self.left_out)
            blocks.append(
                Sentence(f"left out, with fewer than {LEAST} vectors, or all but so few: {named}", aside=True)
            )
        return blocks

    def _readings(self) -> Iterator[str]:
        yield (
            "score: down the order a sum rises at members, the more the further from the middle, and falls at others; "
            "this is where it is furthest from 0. of it: percent of the set that stand before that, or, of a score "
            "below 0, behind it, in so many percent of all"
        )
        yield (
            f"p: how often, of {self.shuffles:,} random orders, a score is as far from 0; q: the rate of false "
            "discoveries, of all sets here. Among many vectors a small difference is sure, too: read the score"
        )


def enrich(
    bundle: Bundle,
    token: Annotated[
        TokenName | None,
        Doc("Order by nearness to this one: #id, a text, a piece.", metavar="TOKEN", default="one of the next three"),
    ] = None,
    *,
    column: Annotated[
        str | None, Doc("Order by a column of numbers of `tokens.parquet`: density_distinct, hubness.", metavar="NAME")
    ] = None,
    concept: Annotated[
        Path | None, Doc("Order along a concept: a file of word pairs, or what `concept` saved.", metavar="FILE")
    ] = None,
    axis: Annotated[
        int | None,
        Doc("Order along the N-th eigenvector of Cov(gamma), most variance first.", metavar="N"),
        Limit(1, _width, "the width"),
    ] = None,
    geometry: Annotated[Geometry | None, Doc("Of the distances from TOKEN.", metavar="G", default="causal")] = None,
    sets: Annotated[
        str,
        Doc(
            "Sets to look at, with commas between: script, kind, class (each of their values), @ (every set that has a "
            "name), or one: @SET, script=Thai, a FILE.",
            metavar="SETS",
        ),
    ] = "script,kind,@",
    patterns: Annotated[
        list[str] | None,
        Doc(
            "And the tokens whose text a regular expression finds; may be given again.",
            metavar="REGEX",
            option="--pattern",
        ),
    ] = None,
    among: Among = None,
    without: Without = None,
    shuffles: Annotated[int, Doc("Random orders.", metavar="N"), Limit(19, 100_000)] = SHUFFLES,
    seed: Annotated[int, Doc("Of the random orders."), Limit(0)] = 0,
    progress: Progress = silent,
) -> Enrichment:
    """Which sets of tokens stand high in an order of all, and which low: scripts, kinds, named sets, patterns of texts.

    Example: uv run query.py enrich planet --without @untrained

    Only the order counts, not how far values are apart. Equal values have no order, and a vector that several tokens
    share counts once.

    >>> answer = index.open("data/indexes/smollm2-135m").enrich(column="hubness", sets="@untrained", shuffles=19)
    >>> answer.sets[0].score > 0.99
    True
    """
    ranking = _ranking(bundle, token, column, concept, axis, geometry)
    some = kept(bundle, among, without)
    ranked = ~np.isnan(ranking.values)
    if some is not None:
        ranked &= np.isin(np.arange(len(bundle)), some.rows)
    rows = np.flatnonzero(ranked)
    if len(rows) == 0:
        raise ParameterError(f"no token of {bundle.name if some is None else some.name} has a place in this order")
    firsts, vector = np.unique(bundle.twins.first[rows], return_inverse=True)
    down = np.argsort(-ranking.values[firsts], kind="stable")
    place = np.empty(len(firsts), dtype=np.int64)
    place[down] = np.arange(len(firsts))
    order = Order.of(ranking.values[firsts][down])
    number = np.full(len(bundle), -1)
    number[rows] = place[vector]  # the place of each token's vector
    named = {name: number[rows][number[rows] >= 0] for name, rows in _sets(bundle, sets, patterns)}
    members = {name: np.unique(places) for name, places in named.items()}
    fit = {name: each for name, each in members.items() if LEAST <= len(each) <= len(order) - LEAST}
    left_out = tuple((name, len(each)) for name, each in members.items() if name not in fit)
    found = _enriched(fit, {name: len(named[name]) for name in fit}, order, shuffles, seed, progress) if fit else ()
    return Enrichment(ranking, len(rows), len(order), shuffles, seed, found, left_out, some)


def _ranking(
    bundle: Bundle,
    token: TokenName | None,
    column: str | None,
    concept: Path | None,
    axis: int | None,
    geometry: Geometry | None,
) -> Ranking:
    given = [each for each in (token, column, concept, axis) if each is not None]
    ways = ", ".join(map(parameter, ("token", "column", "concept")))
    if len(given) != 1:
        got = "none is given" if not given else f"{len(given)} are given"
        raise ParameterError(f"one order is asked about: {ways} or {parameter('axis')}, and {got}")
    if token is not None:
        return around(bundle, token, geometry or Geometry.CAUSAL)
    if geometry is not None:
        raise ParameterError(f"{parameter('geometry')} is of distances from {parameter('token')}, and none is given")
    if column is not None:
        return by_column(bundle, column)
    return along_concept(bundle, concept) if concept is not None else along_axis(bundle, axis or 1)


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
