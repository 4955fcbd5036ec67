"""`overlap`: how far two geometries agree over the whole vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np

from index.answers.answer import Row, json_number, jsonable
from index.answers.page import Block, Heading, Sentence, counted, facts, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.measures import density
from index.measures.density import Rule
from index.measures.overlap import chance
from index.measures.overlaps import OVERLAP_TOPS, TIE_FIGURES, OverlapAt, Overlaps, overlap_at, overlaps
from index.progress import Progress, silent
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.beside import Beside, BesideBundle, beside_json, beside_rows
from index.questions.asking.beside import beside as asked_beside
from index.questions.asking.parameters import (
    CAUSAL_AND_COSINE,
    KEPT,
    TOKENS,
    Among,
    Geometries,
    Without,
    density_k_of,
)
from index.questions.asking.question import Doc
from index.questions.asking.reading import Pair
from index.questions.lists.lists import among_facts, among_json, lists_among
from index.questions.lists.trained import TrainedOverlap, overlap_table, trained_overlap
from index.questions.overlap.overlap_parts import (
    Agreement,
    Decile,
    agreements_table,
    by_top,
    deciles_table,
    percent,
    tenths,
)

LISTED = 10


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
    beside: Beside[OverlapCensus] | None = None  # another bundle's

    def rows(self) -> list[Row]:
        """Return one record for each length of lists; the mean of each tenth by density is a column."""
        rows: list[Row] = [
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
        return beside_rows(rows, self.beside)

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
                    "mean": by_top(decile.means),
                }
                for decile in self.deciles
            ],
            "most": [each.json() for each in self.most],
            "least": [each.json() for each in self.least],
            **among_json(self.among),
            **beside_json(self.beside),
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
            *self._all_tokens(),
            *self.trained.blocks(),
            *self._ties(),
            Heading(f"Mean by density ({first.label}, 'distinct'), the sparsest tenth of the tokens first"),
            deciles_table(self.deciles, self.tops),
            *self._deciles_beside(),
            Heading(f"Agree most, at top {tops[-1]}"),
            agreements_table(self.most, tops),
            Heading(f"Agree least, at top {tops[-1]}"),
            agreements_table(self.least, tops),
        ]

    def _all_tokens(self) -> list[Block]:
        """Return how overlaps lie over all tokens, with another bundle's lines among these where one was asked."""
        if self.beside is None:
            return [overlap_table(self.tops)]
        found, whose = self.beside.answer, (self.beside.own, self.beside.other)
        return [overlap_table(self.tops, found.tops, whose), *self.beside.blocks(), *found.trained.beside()]

    def _deciles_beside(self) -> list[Block]:
        if self.beside is None:
            return []
        return [Heading(f"The same in the {self.beside.other}"), deciles_table(self.beside.answer.deciles, self.tops)]

    def _ties(self) -> list[Block]:
        """Return what ties at the last places could change; nothing where they change nothing."""
        moved = {top: at for top, at in self.tops.items() if at.tied}
        if not moved:
            return []
        lines = (
            (
                str(top),
                *map(percent, (at.lowest, at.highest)),
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
    beside: BesideBundle = None,
    progress: Progress = silent,
) -> OverlapCensus:
    """How far the neighbors of all tokens agree between two geometries. CSV: one line for each length of lists.

    Example: uv run query.py overlap --top 30 --geometry cosine,causal-cosine

    `among` some tokens, or `without` some, their lists hold these tokens alone, as if there were no others; densities
    stay those in the whole vocabulary. Lists nearly as long as those kept are searched for, which takes longer.

    >>> round(100 * index.open("data/indexes/smollm2-135m").overlap(tops=[30]).tops[30].mean, 1)
    32.1
    """
    some = kept(bundle, among, without)
    here = np.arange(len(bundle)) if some is None else some.rows
    others = _others(bundle, here, geometries)
    lengths = _lengths(bundle, others, tops)
    stands_beside = asked_beside(
        bundle,
        beside,
        lambda other: _at_lengths(other, lengths, tops, listed, geometries, some),
        k=lengths[-1],
        geometries=geometries,
        among=some,
    )
    rows, found = _overlaps(bundle, some, geometries, lengths, progress)
    first = bundle.spaces[geometries[0]]
    means = density.mean_distances(
        first.distances.whole, first.distinct_distances.whole, Rule.DISTINCT, density_k_of(bundle, None)
    )
    most, least = _ends(bundle, here[rows], found, LISTED if listed is None else listed)
    return OverlapCensus(
        geometries,
        len(rows),
        {top: overlap_at(each, chance(top, *others)) for top, each in found.items()},
        tenths(density.density(means)[here[rows]], {top: each.counts / top for top, each in found.items()}),
        most,
        least,
        trained_overlap(bundle, some, geometries, lengths, progress, asked=tops is not None),
        some,
        stands_beside,
    )


def _overlaps(
    bundle: Bundle, some: Subset | None, geometries: Pair, lengths: list[int], progress: Progress
) -> tuple[np.ndarray, dict[int, Overlaps]]:
    """Return which of the tokens, (n,) places among some, have lists as long in both geometries, and their overlaps.

    ParameterError where none has.
    """
    lists = [
        lists_among(bundle.spaces[geometry], some, lengths[-1], partial(progress, f"lists by {geometry.words}"))
        for geometry in geometries
    ]
    found = {top: overlaps(lists[0], lists[1], top) for top in lengths}
    rows = np.flatnonzero(~np.isnan(found[lengths[-1]].counts))
    if len(rows) == 0:
        whose = bundle.name if some is None else some.name
        said = f"no token of {whose} has {counted(lengths[-1], 'neighbor')} in both geometries"
        raise ParameterError(said + (f"; lower {parameter('tops')}" if lengths[-1] > 1 else ""))
    return rows, {top: each.of(rows) for top, each in found.items()}


def _ends(
    bundle: Bundle, rows: np.ndarray, found: dict[int, Overlaps], listed: int
) -> tuple[tuple[Agreement, ...], tuple[Agreement, ...]]:
    """Return those of rows, (n,), that agree most, and least, at the longest lists; ties by shorter ones, by row."""

    def agreements(sign: int) -> tuple[Agreement, ...]:
        order = np.lexsort((rows, *(sign * each.counts / top for top, each in found.items())))
        return tuple(
            Agreement(
                bundle.vocabulary.token(rows[at]),
                *(
                    {top: float(getattr(each, counts)[at]) / top for top, each in found.items()}
                    for counts in ("counts", "lowest", "highest")
                ),
            )
            for at in order[:listed]
        )

    return agreements(-1), agreements(1)


def _others(bundle: Bundle, here: np.ndarray, geometries: Pair) -> list[int]:
    """Return how many of the rows `here` another of them can list in each geometry, and in both: zero rows in none."""
    first, second = (bundle.spaces[geometry].excluded for geometry in geometries)
    return [max(0, int((~np.isin(here, rows)).sum()) - 1) for rows in (first, second, (*first, *second))]


def _lengths(bundle: Bundle, others: Sequence[int], tops: tuple[int, ...] | None) -> list[int]:
    """Return the lengths of lists to compare, ascending: as asked for, or as usual where lists go as far."""
    K = bundle.manifest.K
    longest = max(1, min(K, *others[:2]))
    lengths = sorted({min(top, longest) for top in OVERLAP_TOPS} if tops is None else set(tops))
    if not lengths:
        raise ParameterError(f"{parameter('tops')} must name one length of lists or more, from 1 to {K}, got none")
    return lengths


def _at_lengths(
    other: Bundle,
    lengths: list[int],
    tops: tuple[int, ...] | None,
    listed: int | None,
    geometries: Pair,
    some: Subset | None,
) -> OverlapCensus:
    """Ask another bundle at the same lengths, and where these are its usual ones, as one is usually asked."""
    here = np.arange(len(other)) if some is None else some.rows
    usual = tops is None and _lengths(other, _others(other, here, geometries), None) == lengths
    return overlap(other, tops=None if usual else tuple(lengths), listed=listed, geometries=geometries, among=some)
