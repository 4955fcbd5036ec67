"""`overlap`: how far two geometries agree over the whole vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from index.answers.answer import Row, json_number, jsonable
from index.answers.page import TEXT, Block, Heading, Sentence, Table, Words, as_length, counted, facts, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.measures import density
from index.measures.density import Rule
from index.measures.overlap import chance
from index.measures.overlaps import OVERLAP_TOPS, TIE_FIGURES, OverlapAt, overlap_at, overlaps
from index.questions.among import AmongSome, Subset, kept
from index.questions.lists import among_facts, among_json, lists_among
from index.questions.parameters import (
    CAUSAL_AND_COSINE,
    KEPT,
    TOKENS,
    Among,
    Geometries,
    Without,
    density_k_of,
)
from index.questions.question import Doc
from index.questions.reading import Pair
from index.questions.trained import TrainedOverlap, overlap_table, trained_overlap
from index.tokens.vocabulary import Token

DECILES = 10
LISTED = 10


@dataclass(frozen=True)
class Decile:
    """A tenth of the tokens by density, the sparsest first; ties by row."""

    decile: int  # from 1
    tokens: int
    lowest: float  # their densities, of the rule 'distinct' in the first geometry
    highest: float
    means: dict[int, float]  # the mean overlap at each length of lists, a share


@dataclass(frozen=True)
class Agreement:
    """A token, and the share of its nearest that both geometries name, at each length of lists."""

    token: Token
    shares: dict[int, float]
    lowest: dict[int, float]  # the least share of every way to break the ties at the last places
    highest: dict[int, float]  # the most

    def json(self) -> dict[str, Any]:
        """Return the token with its shares, and the range that ties allow."""
        return {
            **self.token.json(),
            "overlap": _by_top(self.shares),
            "lowest": _by_top(self.lowest),
            "highest": _by_top(self.highest),
        }


@dataclass(frozen=True)
class OverlapCensus(AmongSome):
    """How far the neighbor lists of two geometries agree over a vocabulary."""

    geometries: Pair
    tokens: int  # those that have lists as long in both
    tops: dict[int, OverlapAt]
    deciles: tuple[Decile, ...]
    most: tuple[Agreement, ...]  # at the longest lists, ties by the shorter ones, then by row
    least: tuple[Agreement, ...]
    trained: TrainedOverlap  # beside that of all
    among: Subset | None = None  # whose lists these are, of these tokens alone

    def rows(self) -> list[Row]:
        """Return one record for each length of lists; the mean of each tenth by density is a column."""
        return [
            {
                "top": top,
                "tokens": self.tokens,
                "mean": at.mean,
                **{f"quartile_{number}": value for number, value in enumerate(at.quartiles, 1)},
                "chance": at.chance,
                "none": at.none,
                "whole": at.whole,
                **{f"decile_{decile.decile}": decile.means[top] for decile in self.deciles},
                **{name: getattr(at, name) for name in TIE_FIGURES},
                **self.trained.columns(top),
            }
            for top, at in self.tops.items()
        ]

    def token_ids(self) -> list[int]:
        """Return the ids of the tokens that agree most, and least."""
        return [each.token.id for each in (*self.most, *self.least)]

    def json(self) -> dict[str, Any]:
        """Return shares from 0 to 1."""
        return {
            "geometries": [geometry.value for geometry in self.geometries],
            "tokens": self.tokens,
            "tops": {str(top): jsonable(at) for top, at in self.tops.items()},
            "trained": self.trained.json(),
            "by_density_decile": [
                {
                    "decile": decile.decile,
                    "tokens": decile.tokens,
                    "density": [json_number(decile.lowest), json_number(decile.highest)],
                    "mean": _by_top(decile.means),
                }
                for decile in self.deciles
            ],
            "most": [each.json() for each in self.most],
            "least": [each.json() for each in self.least],
            **among_json(self.among),
        }

    def page(self) -> list[Block]:
        """Return all tokens, the tenths by density, and who agrees most and least; shares in percent."""
        first, second = self.geometries
        tops = list(self.tops)
        return [
            Heading(
                f"Overlap of the nearest by {first.words} and by {second.words}, in percent: {self.tokens:,} tokens"
            ),
            *([facts(among_facts(self.among))] if self.among is not None else []),
            overlap_table(self.tops),
            *self.trained.blocks(),
            *self._ties(),
            Heading(f"Mean by density ({first.label}, 'distinct'), the sparsest tenth of the tokens first"),
            self._deciles_table(),
            Heading(f"Agree most, at top {tops[-1]}"),
            _agreements(self.most, tops),
            Heading(f"Agree least, at top {tops[-1]}"),
            _agreements(self.least, tops),
        ]

    def _ties(self) -> list[Block]:
        """Return what ties at the last places could change; nothing where they change nothing."""
        moved = {top: at for top, at in self.tops.items() if at.tied}
        if not moved:
            return []
        lines = (
            (
                str(top),
                *map(_percent, (at.lowest, at.highest)),
                *(f"{count:,}" for count in (at.none_always, at.whole_always, at.tied)),
            )
            for top, at in moved.items()
        )
        blocks: list[Block] = [
            Heading("What other orders of tied tokens at the last place would give"),
            table(("top", "mean from", "to", "always none", "always all", "tokens with ties"), lines),
        ]
        for top, at in moved.items():
            if at.bounded:
                said = (
                    f"top {top}: what comes after the neighbors kept of {at.bounded:,} tokens may tie, too; "
                    "the range allows for any"
                )
                blocks.append(Sentence(said, aside=True))
        return blocks

    def _deciles_table(self) -> Table:
        columns = ("tenth", "tokens", "density from", "to", *(f"top {top}" for top in self.tops))
        lines = (
            (
                str(each.decile),
                f"{each.tokens:,}",
                as_length(each.lowest),
                as_length(each.highest),
                *(_percent(each.means[top]) for top in self.tops),
            )
            for each in self.deciles
        )
        return table(columns, lines)


def overlap(
    bundle: Bundle,
    *,
    tops: Annotated[
        tuple[int, ...] | None,
        Doc("Lengths of the lists compared.", metavar="K,...", default="10,30,100 up to those kept", option="--top"),
        KEPT,
    ] = None,
    listed: Annotated[
        int | None,
        Doc("How many tokens that agree most, and least, to list.", default="10, or all", option="--tokens"),
        TOKENS,
    ] = None,
    geometries: Geometries = CAUSAL_AND_COSINE,
    among: Among = None,
    without: Without = None,
) -> OverlapCensus:
    """How far the neighbors of all tokens agree between two geometries. CSV: one line for each length of lists.

    Example: uv run query.py overlap --top 30 --geometry cosine,causal-cosine

    `among` some tokens, or `without` some, their lists hold these tokens alone, as if there were no others; densities
    stay those in the whole vocabulary. Lists nearly as long as those kept are searched for, which takes longer.

    >>> round(100 * index.open("data/indexes/smollm2-135m").overlap(tops=[30]).tops[30].mean, 1)
    32.1
    """
    K, some = bundle.manifest.K, kept(bundle, among, without)
    here = np.arange(len(bundle)) if some is None else some.rows
    first, second = (bundle.spaces[geometry] for geometry in geometries)
    # A zero row is in no list, so that lists may be shorter than K.
    left_out = first.excluded, second.excluded, (*first.excluded, *second.excluded)
    # Of a token: those with a place in each, and in both.
    others = [max(0, int((~np.isin(here, rows)).sum()) - 1) for rows in left_out]
    longest = max(1, min(K, *others[:2]))
    lengths = sorted({min(top, longest) for top in OVERLAP_TOPS} if tops is None else set(tops))
    if not lengths:
        raise ParameterError(f"{parameter('tops')} must name one length of lists or more, from 1 to {K}, got none")
    lists = [lists_among(space, some, lengths[-1]) for space in (first, second)]
    found = {top: overlaps(lists[0], lists[1], top) for top in lengths}
    means = density.mean_distances(
        first.distances.whole, first.distinct_distances.whole, Rule.DISTINCT, density_k_of(bundle, None)
    )
    rows = np.flatnonzero(~np.isnan(found[lengths[-1]].counts))
    if len(rows) == 0:
        whose = bundle.name if some is None else some.name
        said = f"no token of {whose} has {counted(lengths[-1], 'neighbor')} in both geometries"
        raise ParameterError(said + (f"; lower {parameter('tops')}" if lengths[-1] > 1 else ""))
    found = {top: each.of(rows) for top, each in found.items()}
    shares = {top: each.counts / top for top, each in found.items()}
    upward = np.lexsort((rows, *(shares[top] for top in lengths)))
    downward = np.lexsort((rows, *(-shares[top] for top in lengths)))

    def agreements(order: np.ndarray) -> tuple[Agreement, ...]:
        return tuple(
            Agreement(
                bundle.vocabulary.token(here[rows[at]]),
                *(
                    {top: float(getattr(found[top], counts)[at]) / top for top in lengths}
                    for counts in ("counts", "lowest", "highest")
                ),
            )
            for at in order[: LISTED if listed is None else listed]
        )

    return OverlapCensus(
        geometries,
        len(rows),
        {top: overlap_at(each, chance(top, *others)) for top, each in found.items()},
        _deciles(density.density(means)[here[rows]], shares),
        agreements(downward),
        agreements(upward),
        trained_overlap(bundle, some, geometries, lengths, asked=tops is not None),
        some,
    )


def _deciles(densities: np.ndarray, shares: dict[int, np.ndarray]) -> tuple[Decile, ...]:
    parts = np.array_split(np.argsort(densities, kind="stable"), min(DECILES, len(densities)))
    return tuple(
        Decile(
            number,
            len(part),
            float(densities[part[0]]),
            float(densities[part[-1]]),
            {top: float(values[part].mean()) for top, values in shares.items()},
        )
        for number, part in enumerate(parts, 1)
    )


def _by_top(shares: dict[int, float]) -> dict[str, float]:
    return {str(top): share for top, share in shares.items()}


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _with_range(each: Agreement, top: int) -> str:
    share, lowest, highest = _percent(each.shares[top]), each.lowest[top], each.highest[top]
    return f"{share} ({_percent(lowest)}-{_percent(highest)})" if lowest < highest else share


def _agreements(agreements: Sequence[Agreement], tops: Sequence[int]) -> Table:
    lines: Iterator[tuple[Words, ...]] = (
        (str(each.token.id), *(_with_range(each, top) for top in tops), each.token) for each in agreements
    )
    return table(("id", *(f"top {top}" for top in tops), TEXT), lines)
