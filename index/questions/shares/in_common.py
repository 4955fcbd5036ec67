"""The answer of `shares`: its records, its rows, its page, and where lists in M differ from cosine's for certain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from index.answers.answer import Answer, Row, json_number
from index.answers.page import Block, Heading, Sentence, Table, Words, facts, parts, share_bar, table
from index.geometry.maps import Geometry
from index.questions.asking.among import Subset
from index.questions.lists.lists import among_facts, among_json
from index.questions.shares.traits import NEAR
from index.tokens.vocabulary import Token

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

_FIGURES = ("share", "low", "high", "chance", "chance_among")


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
    chance_among: Mapping[str, float] | None = None  # that of one of the set whose lists are counted, where it is one

    def json(self) -> dict[str, Any]:
        """Return shares from 0 to 1 under the names of their geometries."""
        shown = {
            geometry.value: {trait: share.json() for trait, share in traits.items()}
            for geometry, traits in self.found.items()
        }
        chance = {
            trait: {"share": json_number(share)}
            | ({} if self.chance_among is None else {"among": json_number(self.chance_among[trait])})
            for trait, share in self.chance.items()
        }
        return {**shown, "chance": chance}

    def figures(self, geometry: Geometry, trait: str) -> dict[str, float | None]:
        """Return the figures of one share by the names that their columns have."""
        among = None if self.chance_among is None else self.chance_among[trait]
        return {**vars(self.found[geometry][trait]), "chance": self.chance[trait], "chance_among": among}

    def table(self) -> Table:
        """Return the shares in percent beside chance."""
        beside = {"by chance": self.chance} | ({} if self.chance_among is None else {"in the set": self.chance_among})
        lines = (
            (
                words,
                *(_percent(one[trait]) for one in self.found.values()),
                *("" if math.isnan(of[trait]) else f"{100 * of[trait]:.2f}" for of in beside.values()),
            )
            for trait, words in TRAITS.items()
        )
        return table(("", *(geometry.label for geometry in self.found), *beside), lines)

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
        (*_FIGURES[:4], *(f"trained_{name}" for name in _FIGURES[:4]), "chance_among", "trained_chance_among"), float
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
                for name, value in of.figures(geometry, trait).items()
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
        return [*blocks, *(Sentence(each, aside=True) for each in self._reading())]

    def _reading(self) -> Iterator[str]:
        """Yield how the figures are to be read."""
        if any(self.short.values()) and self.mixed:
            ends = ", ".join(f"{count:,} by {geometry.label}" for geometry, count in self.short.items() if count)
            yield f"stored lists that end before {self.k} trained tokens: {ends}"
        if self.among is not None:
            yield (
                "the lists are of the whole vocabulary, and by chance is what a random other token of it has in "
                "common with these; in the set: what another of these has"
            )
        if self.token is None:
            yield "±: half of what 95 % of bootstrap draws of tokens span"
        yield f"near: within {100 // NEAR} % of all tokens, in the order of norms or ids"

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


def _percent(share: Share) -> str:
    if math.isnan(share.share):
        return ""
    sure = "" if math.isnan(share.low) else f" ±{50 * (share.high - share.low):.1f}"
    return f"{100 * share.share:.1f}{sure}"
