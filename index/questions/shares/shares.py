"""`shares`: what the neighbors of tokens have in common with them, against chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry
from index.measures.shares import Trait, token_draws
from index.measures.shares import shares as shares_of
from index.progress import Progress, silent
from index.questions.asking.among import Subset, kept
from index.questions.asking.parameters import KEPT
from index.questions.asking.question import Doc
from index.questions.asking.reading import TokenName
from index.questions.shares.in_common import Counted, Share, Shares
from index.questions.shares.traits import traits_of

USUAL_LENGTH = 10


def shares(
    bundle: Bundle,
    token: Annotated[
        TokenName | None,
        Doc("The one whose list it is: #id, a text, a piece.", metavar="TOKEN", default="every token"),
    ] = None,
    *,
    top: Annotated[int | None, Doc("Length of the lists.", default="10, or all"), KEPT] = None,
    among: Annotated[
        Subset | None,
        Doc(
            "Only the lists of these: @SET, kind=word, script=Thai, or a FILE of ids or words.",
            metavar="SUBSET",
            on_page="Only the lists of these: a set as @words, kind=word, script=Thai.",
        ),
    ] = None,
    without: Annotated[
        Subset | None,
        Doc("Not the lists of these, named as for among: @hubs,@untrained.", metavar="SUBSET"),
    ] = None,
    progress: Progress = silent,
) -> Shares:
    """What the nearest have in common with a token: its letters, kind, norm, id, and how much of it chance would give.

    Example: uv run query.py shares

    Lists are of the whole vocabulary, and chance is that of a random other token of it, counted over all of them; of
    some tokens' lists also that of another of these tokens. Beside the shares of all places stand those of the nearest
    trained tokens alone, for a few untrained ones may fill many lists.

    >>> answer = index.open("data/indexes/smollm2-135m").shares("planet")
    >>> answer.found["causal_cosine"]["word"].share, answer.found["cosine"]["word"].share
    (0.2, 0.2)
    """
    some = kept(bundle, among, without)
    if token is not None and some is not None:
        option = parameter("without" if among is None else "among")
        raise ParameterError(f"a token's own list is asked for, or those that {option} names; pass one")
    k = min(USUAL_LENGTH, bundle.manifest.K) if top is None else top
    row = None if token is None else bundle.vocabulary.resolve(token)
    rows = np.arange(len(bundle)) if some is None else some.rows.astype(np.int64)
    rows = rows if row is None else np.array([row])
    traits, trained, everyone = traits_of(bundle), ~bundle.untrained, np.ones(len(bundle), dtype=bool)
    drawn = token_draws(len(bundle))
    found: dict[Geometry, _Found] = {}
    for done, (geometry, space) in enumerate(bundle.spaces.items()):
        progress("lists", done / len(bundle.spaces))
        found[geometry] = _found(space, rows, k, traits, trained, drawn)
    progress("lists", 1.0)
    return Shares(
        k,
        len(rows),
        _against_chance({each: of.every for each, of in found.items()}, traits, rows, everyone, some),
        _against_chance({each: of.trained for each, of in found.items()}, traits, rows, trained, some),
        {each: of.short for each, of in found.items()},
        {each: of.untrained for each, of in found.items()},
        None if row is None else bundle.vocabulary.token(row),
        some,
    )


@dataclass(frozen=True)
class _Found:
    """What lists of one geometry share with their tokens."""

    every: Mapping[str, Share]
    trained: Mapping[str, Share]  # of the nearest trained tokens alone
    short: int  # lists that end before so many trained tokens
    untrained: float  # the share of places that untrained tokens hold


def _found(
    space: Space, rows: np.ndarray, k: int, traits: Mapping[str, Trait], trained: np.ndarray, drawn: np.ndarray
) -> _Found:
    """Count the k nearest of rows, (n,), and their k nearest trained, (V,) bool, tokens."""

    def counted(lists: np.ndarray) -> dict[str, Share]:
        each = shares_of(rows, lists, list(traits.values()), drawn)
        return {name: Share(share, *sure) for name, (share, sure) in zip(traits, each, strict=True)}

    lists = space.ids[rows][:, : k + np.count_nonzero(~trained)]
    held, left = lists[:, :k] >= 0, _first(lists, trained, k)
    every = counted(lists[:, :k])
    refilled = every if (left == lists[:, :k]).all() else counted(left)
    untrained = float((~trained[lists[:, :k]] & held).sum() / held.sum()) if held.any() else math.nan
    return _Found(every, refilled, int((left < 0).any(axis=1).sum()), untrained)


def _against_chance(
    found: Mapping[Geometry, Mapping[str, Share]],
    traits: Mapping[str, Trait],
    rows: np.ndarray,
    pool: np.ndarray,
    some: Subset | None,
) -> Counted:
    """Put beside the shares of rows, (n,), what random others in a pool, (V,) bool, have, and those of some in it."""

    def chance(others: np.ndarray) -> dict[str, float]:
        return {name: trait.chance(rows, others) for name, trait in traits.items()}

    among = None if some is None else chance(pool & some.holds(np.arange(len(pool))))
    return Counted(found, chance(pool), among)


def _first(lists: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    """Return the first k wanted ones, (V,) bool, of lists (n, m), (n, k); -1 where a list has no more."""
    there = (lists >= 0) & wanted[lists]
    front = np.argsort(~there, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(there, front, axis=1), np.take_along_axis(lists, front, axis=1), -1)
