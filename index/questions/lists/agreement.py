"""How far two neighbor lists agree, and beside it always what they share without untrained tokens and hubs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.answers.page import TEXT, Table, Words, counted, table
from index.bundle.bundle import Bundle, Space
from index.geometry.maps import Geometry
from index.measures import overlap
from index.measures.overlap import FEWEST, Overlap, Verdict
from index.questions.asking.among import Subset
from index.questions.lists.lists import OtherList, ranked
from index.questions.lists.marks import suspect
from index.tokens.vocabulary import Token

VERDICTS = {
    Verdict.HIGH: "nearly the same neighborhoods: here {0} sees what {1} sees.",
    Verdict.MODERATE: "neighborhoods that agree in part: {0} keeps some of what {1} sees.",
    Verdict.LOW: "different neighborhoods: here {0} sees another structure than {1}.",
    Verdict.UNDECIDED: "ties alone could decide it either way: no verdict can be read from these two lists.",
    Verdict.EMPTY: "both lists hold twins of this token, nearest to it in any geometry, and share nothing else.",
}


@dataclass(frozen=True)
class Shared:
    """A token that both neighbor lists hold, with its rank in the first and in the second."""

    token: Token
    ranks: tuple[int, int]

    def json(self, geometries: Iterable[Geometry]) -> dict[str, Any]:
        """Return the token, and its rank in either geometry's list."""
        names = (f"{geometry.value}_rank" for geometry in geometries)
        token = self.token
        return {"id": token.id, "text": token.text, "piece": token.piece, **dict(zip(names, self.ranks, strict=True))}


@dataclass(frozen=True)
class Apart:
    """What two lists share besides untrained tokens and hubs, which are in many lists whoever's they are."""

    untrained: int  # of the shared tokens
    hubs: int  # of the shared tokens; an untrained one may be a hub, too
    either: int
    fewest_lists: float  # the least hubness of the untrained ones, or of the hubs where there are none
    overlap: Overlap | None  # of lists of all other tokens, as long if there are enough; None where one is empty
    verdict: Verdict | None

    def json(self) -> dict[str, Any]:
        """Return the counts among the shared tokens, and the overlap without such tokens."""
        without = None
        if self.overlap is not None:
            verdict = None if self.verdict is None else self.verdict.value
            found = self.overlap
            without = {"k": found.k, "count": found.count, "percent": found.percent, "verdict": verdict}
        return {"untrained": self.untrained, "hubs": self.hubs, "without": without}


def agreement_of(
    bundle: Bundle,
    row: int,
    spaces: Sequence[Space],
    lists: Sequence[tuple[np.ndarray, np.ndarray]],
    top: int,
    among: Subset | None,
) -> tuple[Overlap | None, tuple[Shared, ...]]:
    """Compare two ranked lists around a row, (ids, distances) each, at `top` or as far as both go.

    None of one list, or of an empty one.
    """
    k = min(top, *(len(ids) for ids, _ in lists)) if len(lists) > 1 else 0
    if k == 0:
        return None, ()
    (first, second), (a, b) = spaces, lists
    agreement = overlap.overlap(
        a[0][:k],
        b[0][:k],
        overlap.nearest(*a, k, first.resolution),
        overlap.nearest(*b, k, second.resolution),
        min(_others(bundle, row, space, among) for space in spaces),
    )
    place = {row: rank for rank, row in enumerate(b[0][:k].tolist(), 1)}
    shared = (
        Shared(bundle.vocabulary.token(row), (rank, place[row]))
        for rank, row in enumerate(a[0][:k].tolist(), 1)
        if row in place
    )
    return agreement, tuple(shared)


def _others(bundle: Bundle, row: int, space: Space, among: Subset | None) -> int:
    """Return how many tokens a list around a row could hold."""
    left_out = np.unique([row, *space.excluded])
    return len(bundle) - len(left_out) if among is None else len(among) - int(among.holds(left_out).sum())


def unsuspected(bundle: Bundle, among: Subset | None = None) -> Subset:
    """Return the tokens, of all or of some, that are neither untrained nor hubs."""
    left_out = suspect(bundle)
    rows = np.flatnonzero(~left_out) if among is None else among.rows[~left_out[among.rows]]
    return Subset("neither untrained nor hubs", rows.astype(np.int32))


def apart(
    bundle: Bundle,
    row: int,
    spaces: Sequence[Space],
    k: int,
    shared: Sequence[Shared],
    twins: tuple[Token, ...],
    among: Subset | None,
) -> Apart:
    """Count the untrained tokens and hubs among the shared ones, and compare lists of k without all such tokens."""
    left_out, rest = suspect(bundle), unsuspected(bundle, among)
    rows = np.array([each.token.row for each in shared], np.int64)
    found, others = agreement_of(bundle, row, spaces, [ranked(space, row, k, rest) for space in spaces], k, rest)
    either, untrained = rows[left_out[rows]], rows[bundle.untrained[rows]]
    return Apart(
        len(untrained),
        int(bundle.hubs[rows].sum()),
        len(either),
        float(bundle.hubness[untrained if len(untrained) else either].min(initial=np.inf)),
        found,
        None if found is None else verdict_of(found, others, twins),
    )


def verdict_of(found: Overlap, shared: Sequence[Shared], twins: Sequence[Token]) -> Verdict | None:
    """Return the overlap in a word; EMPTY where the shared tokens are only twins of the one the lists are around."""
    rows = {twin.row for twin in twins}
    only_twins = bool(shared) and all(each.token.row in rows for each in shared)
    return Verdict.EMPTY if found.verdict is not None and only_twins else found.verdict


def beside(found: Apart, shared: int) -> str:
    """Say how many of the shared tokens are untrained or hubs, and what the lists share without such tokens."""
    rest = found.overlap
    if rest is None:
        return f"{_who(found, shared)}; there are no lists without untrained tokens and hubs."
    verdict = "" if found.verdict is None else f": {found.verdict.value.upper()}"
    return (
        f"{_who(found, shared)}; without untrained tokens and hubs {rest.count} of {rest.k} "
        f"({rest.percent:.1f} %){verdict}."
    )


def _who(found: Apart, shared: int) -> str:
    """Return how many are untrained or hubs: `20 of the 27 are untrained tokens, each in over 9,000 lists`."""
    if found.either == 0:
        return f"None of the {shared} is an untrained token or a hub" if shared else "No token is shared"
    untrained, hubs = found.untrained, found.either - found.untrained
    leading = 10 ** (len(str(int(found.fewest_lists))) - 1)
    rounded = int(found.fewest_lists) // leading * leading
    in_lists = f", each in over {rounded:,} lists" if found.fewest_lists > rounded >= 100 else ""
    if untrained == 0:
        return f"{hubs} of the {shared} {'is a hub' if hubs == 1 else 'are hubs'}{in_lists}"
    are = "is an untrained token" if untrained == 1 else "are untrained tokens"
    said = f"{untrained} of the {shared} {are}{in_lists}"
    return f"{said}, and {hubs} more {'is a hub' if hubs == 1 else 'are hubs'}" if hubs else said


def shared_table(lists: Iterable[Geometry], shared: Iterable[Shared]) -> Table:
    """Return the tokens of the first two lists, named by their geometries, with their ranks in each."""
    lines: Iterator[tuple[Words, ...]] = ((*map(str, each.ranks), str(each.token.id), each.token) for each in shared)
    return table((*[geometry.label for geometry in lists][:2], "id", TEXT), lines)


def no_verdict(found: Overlap) -> str:
    """Return why lists as short, or as long, as these have no verdict."""
    if found.k >= FEWEST and found.others is not None:
        return (
            f"No verdict: two lists of {found.k} out of {found.others:,} tokens share {found.forced} whatever they "
            f"are; it takes lists of at most half of the tokens."
        )
    are = "is" if found.k == 1 else "are"
    return f"No verdict: {counted(found.k, 'neighbor')} {are} too few for one, which takes {FEWEST}."


def others_of(compared: Sequence[Geometry], shared: Iterable[Shared]) -> dict[Geometry, OtherList]:
    """Return the list that each of two is compared with, with the ranks there of the tokens that both hold."""
    first, second = compared
    ranks = {each.token.row: each.ranks for each in shared}
    return {
        first: OtherList(second.label, {row: rank for row, (_, rank) in ranks.items()}),
        second: OtherList(first.label, {row: rank for row, (rank, _) in ranks.items()}),
    }


def count_sentence(found: Overlap) -> str:
    """Return how many tokens are in both lists, and what ties could make of it."""
    border = "" if found.lowest == found.highest else " (ties at the last place decide)"
    return (
        f"{found.count} of {found.k} tokens in both lists ({found.percent:.1f} %), "
        f"Jaccard {found.jaccard:.3f}; lowest {found.lowest}, highest {found.highest}{border}"
    )
