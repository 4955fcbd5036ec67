"""`enrich`: which sets of tokens stand high in an order of all, and which low."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from index.answers.answer import Row
from index.answers.page import Block, Column, Sentence, Words, facts, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry
from index.progress import Progress, silent
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import Among, Without
from index.questions.asking.question import Doc, Limit
from index.questions.asking.reading import TokenName
from index.questions.enrich.rankings import Ranking, along_axis, along_concept, around, by_column
from index.questions.enrich.sets_in_order import COLUMNS, LEAST, LEVEL, USUAL_SETS, Enriched, sets_in_order
from index.questions.lists.lists import among_facts, among_json

SHUFFLES = 999


def _width(bundle: Bundle) -> int:
    return bundle.manifest.D


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
        str | None,
        Doc(
            "Order by a column of numbers of `tokens.parquet`: density_distinct, hubness.",
            metavar="NAME",
            on_page="Order by numbers that each token has: density_distinct, hubness.",
        ),
    ] = None,
    concept: Annotated[
        Path | None, Doc("Order along a concept: a file of word pairs, or what `concept` saved.", metavar="FILE")
    ] = None,
    axis: Annotated[
        int | None,
        Doc("Order along the N-th eigenvector of Cov(gamma), most variance first.", metavar="N"),
        Limit(1, _width, "the width"),
    ] = None,
    geometry: Annotated[
        Geometry | None,
        Doc("Of the distances from TOKEN.", metavar="G", default="causal", on_page="Of the distances from the token."),
    ] = None,
    sets: Annotated[
        str,
        Doc(
            "Sets to look at, with commas between: script, kind, class (each of their values), @ (every set that has a "
            "name), or one: @SET, script=Thai, a FILE.",
            metavar="SETS",
            parts=COLUMNS,
            on_page="Sets to look at, with commas between: script, kind, class (each of their values), @ (every set "
            "that has a name), or one: a set as @words, script=Thai.",
        ),
    ] = USUAL_SETS,
    patterns: Annotated[
        list[str] | None,
        Doc(
            "And the tokens whose text a regular expression finds; may be given again.",
            metavar="REGEX",
            option="--pattern",
            page=False,
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
    found = sets_in_order(bundle, ranking.values, some, sets, patterns, shuffles, seed, progress)
    return Enrichment(ranking, found.tokens, found.vectors, shuffles, seed, found.sets, found.left_out, some)


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
