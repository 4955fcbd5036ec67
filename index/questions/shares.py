"""`shares`: what the neighbors of tokens have in common with them, against chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row, json_number
from index.answers.page import Block, Heading, Sentence, Table, Words, facts, parts, share_bar, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry
from index.measures.shares import shares as shares_of
from index.questions.among import Subset, kept
from index.questions.lists import among_facts, among_json
from index.questions.parameters import KEPT
from index.questions.question import Doc, Progress, silent
from index.questions.reading import TokenName
from index.questions.traits import NEAR, traits_of
from index.tokens.vocabulary import Token

USUAL_LENGTH = 10

TRAITS = {
    "word": "the same word",
    "letters": "the same letters",
    "script": "the same script",
    "kind": "the same kind",
    "class": "the same class",
    "causal_norm": "a near causal norm",
    "norm": "a near norm",
    "id": "a near id",
    "twin": "the same vector",
}
"""What a token may have in common with another."""

_FIGURES = ("share", "low", "high", "chance")


@dataclass(frozen=True)
class Share:
    """A share of the places of lists."""

    share: float  # NaN where there is no place
    low: float  # at 95 %; NaN of one token's list
    high: float

    def json(self) -> dict[str, Any]:
        """Return the share, and its interval where it has one."""
        return {name: json_number(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Counted:
    """What neighbors have in common with a token: all of them, or the trained ones."""

    found: Mapping[Geometry, Mapping[str, Share]]
    chance: Mapping[str, float]  # a random other token's share, of all or of the trained ones, counted

    def json(self) -> dict[str, Any]:
        """Return shares from 0 to 1 under the names of their geometries."""
        shown = {
            geometry.value: {trait: share.json() for trait, share in traits.items()}
            for geometry, traits in self.found.items()
        }
        return {**shown, "chance": {trait: {"share": json_number(share)} for trait, share in self.chance.items()}}

    def table(self) -> Table:
        """Return the shares in percent beside chance."""
        lines = (
            (
                words,
                *(_percent(one[trait]) for one in self.found.values()),
                "" if math.isnan(self.chance[trait]) else f"{100 * self.chance[trait]:.2f}",
            )
            for trait, words in TRAITS.items()
        )
        return table(("", *(geometry.label for geometry in self.found), "by chance"), lines)

    def bars(self) -> Table | None:
        """Return the shares as bars; nothing where no token has anything."""
        lines = [
            (words, *(share_bar(one[trait].share, self.chance[trait]) for one in self.found.values()))
            for trait, words in TRAITS.items()
            if not any(math.isnan(one[trait].share) for one in self.found.values())
        ]
        return table(("", *(geometry.label for geometry in self.found)), lines) if lines else None

    def against_cosine(self, geometry: Geometry) -> str:
        """What a geometry's neighbors have in common with a token more often than cosine's, and less, for certain."""
        one, cosine = self.found[geometry], self.found[Geometry.COSINE]
        more = [TRAITS[trait] for trait in TRAITS if one[trait].low > cosine[trait].high]
        less = [TRAITS[trait] for trait in TRAITS if one[trait].high < cosine[trait].low]
        said = [f"{how} often {', '.join(names)}" for how, names in (("more", more), ("less", less)) if names]
        return "; ".join(said) or "no share that differs for certain: the intervals meet"


@dataclass(frozen=True)
class Shares(Answer):
    """What the k nearest have in common with the tokens they are nearest to."""

    k: int
    tokens: int  # whose lists are counted
    every: Counted  # all places
    trained: Counted  # those of the k nearest trained tokens, as far as stored lists reach
    short: Mapping[Geometry, int]  # lists that end before k trained tokens
    untrained: Mapping[Geometry, float]  # the share of the places that untrained tokens hold; NaN where there is none
    token: Token | None = None  # the one whose list it is
    among: Subset | None = None

    columns: ClassVar = {"geometry": str, "trait": str, "k": int, "tokens": int} | dict.fromkeys(
        (*_FIGURES, *(f"trained_{name}" for name in _FIGURES)), float
    )

    @property
    def found(self) -> Mapping[Geometry, Mapping[str, Share]]:
        """The shares of all places."""
        return self.every.found

    @property
    def chance(self) -> Mapping[str, float]:
        """A random other token's share."""
        return self.every.chance

    @property
    def title(self) -> Words:
        """The token, where it is one."""
        return "" if self.token is None else ("shares of ", self.token)

    def rows(self) -> list[Row]:
        """Return one record for each geometry and trait."""
        return [
            {"geometry": geometry.label, "trait": trait, "k": self.k, "tokens": self.tokens}
            | {
                f"{prefix}{name}": value
                for prefix, of in (("", self.every), ("trained_", self.trained))
                for name, value in (*vars(of.found[geometry][trait]).items(), ("chance", of.chance[trait]))
            }
            for geometry, traits in self.found.items()
            for trait in traits
        ]

    def json(self) -> dict[str, Any]:
        """Return shares from 0 to 1 under the names of their geometries, and those of trained tokens' places."""
        of = {} if self.token is None else {"token": self.token.json()}
        untrained = {geometry.value: json_number(share) for geometry, share in self.untrained.items()}
        return {
            "k": self.k,
            "tokens": self.tokens,
            **of,
            **among_json(self.among),
            **self.every.json(),
            "trained": self.trained.json() | {"short": {each.value: count for each, count in self.short.items()}},
            "untrained": untrained,
        }

    @property
    def mixed(self) -> bool:
        """Whether untrained tokens hold any of the places."""
        return any(share > 0 for share in self.untrained.values())

    def page(self) -> list[Block]:
        """Return the shares in percent beside chance, and where lists in M differ from cosine's for certain."""
        whose: Words = f"{self.tokens:,} tokens" if self.token is None else (self.token, f" (#{self.token.id})")
        held = ", ".join(f"{100 * share:.1f} % by {geometry.label}" for geometry, share in self.untrained.items())
        blocks: list[Block] = [
            facts(
                [
                    ("lists", (f"the {self.k} nearest of ", *parts(whose))),
                    *among_facts(self.among),
                    *([("untrained", f"hold of their places {held}")] if self.mixed else []),
                ]
            ),
            Heading("Percent of their places with what the token has"),
            self.every.table(),
        ]
        if self.mixed:
            blocks += [Heading(f"Of the {self.k} nearest trained tokens alone"), self.trained.table()]
        if self.token is None:
            blocks.append(Sentence(self.verdict))
        bars = self.trained.bars()
        if bars is not None:
            trained = "Trained tokens alone, bars" if self.mixed else "Bars"
            blocks += [Heading(f"{trained} from 0 to 100 %, with a line at chance"), bars]
        if any(self.short.values()) and self.mixed:
            ends = ", ".join(f"{count:,} by {geometry.label}" for geometry, count in self.short.items() if count)
            blocks.append(Sentence(f"stored lists that end before {self.k} trained tokens: {ends}", aside=True))
        if self.token is None:
            blocks.append(Sentence("±: half of what 95 % of bootstrap draws of tokens span", aside=True))
        blocks.append(Sentence(f"near: within {100 // NEAR} % of all tokens, in the order of norms or ids", aside=True))
        return blocks

    @property
    def verdict(self) -> str:
        """What neighbors in M have in common with a token more often than cosine's, and less, for certain."""
        told = {Geometry.CAUSAL: "causal distance", Geometry.CAUSAL_COSINE: "causal cosine"}
        of = (
            {"trained neighbors": self.trained, "all neighbors": self.every}
            if self.mixed
            else {"neighbors": self.every}
        )
        return " ".join(
            f"Than cosine's, {whose} by {name} have {counted.against_cosine(geometry)}."
            for whose, counted in of.items()
            for geometry, name in told.items()
        )


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

    Chance is that of a random other token, counted over all of them. Lists are of the whole vocabulary; beside the
    shares of all places stand those of the nearest trained tokens alone, for a few untrained ones may fill many lists.

    >>> answer = index.open("data/indexes/smollm2-135m").shares("planet")
    >>> answer.found["causal_cosine"]["word"].share, answer.found["cosine"]["word"].share
    (0.2, 0.2)
    """
    some = kept(bundle, among, without)
    if token is not None and some is not None:
        option = parameter("without" if among is None else "among")
        raise ParameterError(f"a token's own list is asked for, or those that {option} names; pass one")
    k = min(USUAL_LENGTH, bundle.manifest.K) if top is None else top
    V = len(bundle)
    row = None if token is None else bundle.vocabulary.resolve(token)
    rows = np.array([row]) if row is not None else np.arange(V) if some is None else some.rows.astype(np.int64)
    traits = traits_of(bundle)
    trained = ~bundle.untrained

    def counted(lists: np.ndarray) -> dict[str, Share]:
        each = shares_of(rows, lists, list(traits.values()), V)
        return {name: Share(share, *sure) for name, (share, sure) in zip(traits, each, strict=True)}

    every: dict[Geometry, Mapping[str, Share]] = {}
    refilled: dict[Geometry, Mapping[str, Share]] = {}
    short, untrained = {}, {}
    for done, (geometry, space) in enumerate(bundle.spaces.items()):
        progress("lists", done / len(bundle.spaces))
        lists = space.ids[rows][:, : k + np.count_nonzero(~trained)]
        held, left = lists[:, :k] >= 0, _first(lists, trained, k)
        every[geometry] = counted(lists[:, :k])
        refilled[geometry] = every[geometry] if (left == lists[:, :k]).all() else counted(left)
        short[geometry] = int((left < 0).any(axis=1).sum())
        untrained[geometry] = float((~trained[lists[:, :k]] & held).sum() / held.sum()) if held.any() else math.nan
    progress("lists", 1.0)
    chances = [{name: trait.chance(rows, of) for name, trait in traits.items()} for of in (None, trained)]
    named = None if row is None else bundle.vocabulary.token(row)
    both = Counted(every, chances[0]), Counted(refilled, chances[1])
    return Shares(k, len(rows), *both, short, untrained, named, some)


def _first(lists: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    """Return the first k wanted ones, (V,) bool, of lists (n, m), (n, k); -1 where a list has no more."""
    there = (lists >= 0) & wanted[lists]
    front = np.argsort(~there, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(there, front, axis=1), np.take_along_axis(lists, front, axis=1), -1)


def _percent(share: Share) -> str:
    if math.isnan(share.share):
        return ""
    sure = "" if math.isnan(share.low) else f" ±{50 * (share.high - share.low):.1f}"
    return f"{100 * share.share:.1f}{sure}"
