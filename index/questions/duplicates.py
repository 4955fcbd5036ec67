"""`duplicates`: the groups of twins, and of near-twins."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Row
from index.answers.page import TEXT, Block, Column, Heading, Sentence, Several, facts, table
from index.bundle.bundle import Bundle
from index.measures.groups import connected_groups
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import POSITIVE, Among, Without
from index.questions.asking.question import Doc, Limit
from index.questions.lists.lists import PIECE, TOKEN_COLUMNS, among_facts, among_json
from index.tokens.vocabulary import Token


@dataclass(frozen=True)
class Duplicates(AmongSome):
    """Groups of tokens with the same vector, or of near-twins."""

    within: float | None  # logometers: the longest link within a group; None for twins proper, bit-identical
    groups: tuple[tuple[Token, ...], ...]  # largest first, then by first row; two tokens or more in each
    listed: int  # how many groups a page shows
    among: Subset | None = None  # of what tokens the groups, and the links within them, are

    columns: ClassVar = {"group": int, "size": int, **TOKEN_COLUMNS, **PIECE}

    @property
    def tokens(self) -> int:
        """How many tokens are in a group."""
        return sum(map(len, self.groups))

    def rows(self) -> list[Row]:
        """Return one record for each token of a group; groups count from 1."""
        return [
            {"group": number, "size": len(group), **token.json()}
            for number, group in enumerate(self.groups, 1)
            for token in group
        ]

    def json(self) -> dict[str, Any]:
        """Return every group."""
        return {
            "tokens": self.tokens,
            "groups": [
                {
                    "size": len(group),
                    "ids": [token.id for token in group],
                    "texts": [token.text for token in group],
                    "pieces": [token.piece for token in group],
                }
                for group in self.groups
            ],
            **among_json(self.among),
        }

    def page(self) -> list[Block]:
        """Return the counts, and the largest groups."""
        what = "twins, with bit-identical rows"
        if self.within is not None:
            what = f"near-twins, linked within {self.within:g} logometers"
        counts = facts(
            [
                *among_facts(self.among),
                ("groups", f"{len(self.groups):,} of {what}"),
                ("tokens", f"{self.tokens:,} in them"),
            ]
        )
        if not self.groups:
            return [counts]
        lines = ((f"{len(group):,}", str(group[0].id), Several(group)) for group in self.groups[: self.listed])
        blocks: list[Block] = [
            counts,
            Heading("Groups, by their first token"),
            table((Column("size", 7), "id", TEXT), lines),
        ]
        rest = len(self.groups) - self.listed
        if rest > 0:
            size = len(self.groups[self.listed])
            said = f"and {rest:,} more, of {size:,} tokens or fewer: a larger top shows them"
            blocks.append(Sentence(said, aside=True))
        return blocks


def duplicates(
    bundle: Bundle,
    *,
    within: Annotated[
        float | None,
        Doc("Also near-twins: connect tokens no further apart, in logometers.", metavar="EPS"),
        Limit(0, unit="logometers"),
    ] = None,
    top: Annotated[int, Doc("Groups shown in the table; JSON and CSV have them all."), POSITIVE] = 30,
    among: Among = None,
    without: Without = None,
) -> Duplicates:
    """Groups of tokens with the same vector; within a distance, groups that chains of near-twins connect, exactly.

    Example: uv run query.py duplicates --within 0.5

    The answer is exact, also where a group is larger than a neighbor list. `among` some tokens, or `without` some, no
    chain leads over another: what only such a one connects is two groups.

    >>> [len(group) for group in index.open("data/indexes/smollm2-135m").duplicates().groups]
    [7, 4, 2, 2]
    """
    some = kept(bundle, among, without)
    here = np.ones(len(bundle), bool) if some is None else np.isin(np.arange(len(bundle)), some.rows)
    groups = _alone(bundle.twins.first, here)
    if within is not None:
        space, own = bundle.causal, np.arange(len(bundle), dtype=np.int32)[:, None]
        ids, distances = space.ids.whole, space.distances.whole
        if some is not None:  # others are linked to themselves, and seen to be far from all
            ids = np.where(here[ids] & here[:, None], ids, own)
            distances = np.where(here[:, None], distances, np.float32(np.inf))
        groups = connected_groups(space.points.whole, ids, distances, groups, within)
    rows = np.flatnonzero(np.bincount(groups, minlength=len(groups))[groups] > 1)
    rows = rows[np.argsort(groups[rows], kind="stable")]
    found = [
        tuple(map(bundle.vocabulary.token, members)) for _, members in groupby(rows.tolist(), key=groups.__getitem__)
    ]
    return Duplicates(within, tuple(sorted(found, key=lambda group: (-len(group), group[0].row))), top, some)


def _alone(groups: np.ndarray, here: np.ndarray) -> np.ndarray:
    """Return groups, (V,) first rows, of which all but some members, `here`, are alone."""
    rows = np.arange(len(groups))
    _, first_at, of_row = np.unique(groups[here], return_index=True, return_inverse=True)
    parted: np.ndarray = rows.copy()
    parted[here] = rows[here][first_at][of_row]
    return parted
