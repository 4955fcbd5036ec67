"""`shares`: what the neighbors of tokens have in common with them, against chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row, json_number
from index.answers.page import Block, Heading, Sentence, Words, facts, parts, share_bar, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry
from index.measures.shares import Trait
from index.measures.shares import shares as shares_of
from index.questions.among import Subset, kept
from index.questions.lists import among_facts, among_json
from index.questions.parameters import KEPT
from index.questions.question import Doc, Progress, silent
from index.questions.reading import TokenName
from index.tokens.meaning import form_of
from index.tokens.vocabulary import Token

USUAL_LENGTH = 10
LETTERS = 3
NEAR = 20
"""What is no further apart than a twentieth of the vocabulary, in the order of ids or norms, is near."""

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
class Shares(Answer):
    """What the k nearest have in common with the tokens they are nearest to."""

    k: int
    tokens: int  # whose lists are counted
    found: Mapping[Geometry, Mapping[str, Share]]
    chance: Mapping[str, float]  # a random other token's share, counted
    token: Token | None = None  # the one whose list it is
    among: Subset | None = None

    columns: ClassVar = {"geometry": str, "trait": str, "k": int, "tokens": int, "share": float, "low": float} | {
        "high": float,
        "chance": float,
    }

    @property
    def title(self) -> Words:
        """The token, where it is one."""
        return "" if self.token is None else ("shares of ", self.token)

    def rows(self) -> list[Row]:
        """Return one record for each geometry and trait."""
        return [
            {"geometry": geometry.label, "trait": trait, "k": self.k, "tokens": self.tokens, **vars(share)}
            | {"chance": self.chance[trait]}
            for geometry, traits in self.found.items()
            for trait, share in traits.items()
        ]

    def json(self) -> dict[str, Any]:
        """Return shares from 0 to 1 under the names of their geometries."""
        of = {} if self.token is None else {"token": self.token.json()}
        shown = {
            geometry.value: {trait: share.json() for trait, share in traits.items()}
            for geometry, traits in self.found.items()
        }
        chance = {trait: {"share": json_number(share)} for trait, share in self.chance.items()}
        return {"k": self.k, "tokens": self.tokens, **of, **among_json(self.among), **shown, "chance": chance}

    def page(self) -> list[Block]:
        """Return the shares in percent beside chance, and where the causal lists differ from cosine's for certain."""
        whose: Words = f"{self.tokens:,} tokens" if self.token is None else (self.token, f" (#{self.token.id})")
        lines = (
            (
                words,
                *(_percent(one[trait]) for one in self.found.values()),
                "" if math.isnan(self.chance[trait]) else f"{100 * self.chance[trait]:.2f}",
            )
            for trait, words in TRAITS.items()
        )
        head: list[tuple[str, Words]] = [("lists", (f"the {self.k} nearest of ", *parts(whose)))]
        blocks: list[Block] = [
            facts([*head, *among_facts(self.among)]),
            Heading("Percent of their places with what the token has"),
            table(("", *(geometry.label for geometry in self.found), "by chance"), lines),
        ]
        if self.token is None:
            blocks.append(Sentence(self.verdict))
        blocks += self._bars()
        if self.token is None:
            blocks.append(Sentence("±: half of what 95 % of bootstrap draws of tokens span", aside=True))
        blocks.append(Sentence(f"near: within {100 // NEAR} % of all tokens, in the order of norms or ids", aside=True))
        return blocks

    def _bars(self) -> list[Block]:
        """Return the shares as bars; nothing where no token has anything."""
        lines = [
            (words, *(share_bar(one[trait].share, self.chance[trait]) for one in self.found.values()))
            for trait, words in TRAITS.items()
            if not any(math.isnan(one[trait].share) for one in self.found.values())
        ]
        columns = ("", *(geometry.label for geometry in self.found))
        return [Heading("Bars from 0 to 100 %, with a line at chance"), table(columns, lines)] if lines else []

    @property
    def verdict(self) -> str:
        """What causal neighbors have in common with a token more often than cosine's, and less, for certain."""
        causal, cosine = self.found[Geometry.CAUSAL], self.found[Geometry.COSINE]
        more = [TRAITS[trait] for trait in TRAITS if causal[trait].low > cosine[trait].high]
        less = [TRAITS[trait] for trait in TRAITS if causal[trait].high < cosine[trait].low]
        said = [f"{how} often {', '.join(names)}" for how, names in (("more", more), ("less", less)) if names]
        if not said:
            return "No share of the causal metric's neighbors differs from cosine's for certain: their intervals meet."
        return f"Than cosine's, the causal metric's neighbors have {'; '.join(said)}."


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
        Doc("Only the lists of these: @SET, kind=word, script=Thai, or a FILE of ids or words.", metavar="SUBSET"),
    ] = None,
    without: Annotated[
        Subset | None,
        Doc("Not the lists of these, named as for among: @hubs,@untrained.", metavar="SUBSET"),
    ] = None,
    progress: Progress = silent,
) -> Shares:
    """What the nearest have in common with a token: its letters, kind, norm, id, and how much of it chance would give.

    Example: uv run query.py shares

    Chance is that of a random other token, counted over all of them. Lists are of the whole vocabulary.

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
    traits = _traits(bundle)
    found = {}
    for done, (geometry, space) in enumerate(bundle.spaces.items()):
        progress("lists", done / len(bundle.spaces))
        each = shares_of(rows, space.ids[rows][:, :k], list(traits.values()), V)
        found[geometry] = {name: Share(share, *sure) for name, (share, sure) in zip(traits, each, strict=True)}
    progress("lists", 1.0)
    chance = {name: trait.chance(rows) for name, trait in traits.items()}
    named = None if row is None else bundle.vocabulary.token(row)
    return Shares(k, len(rows), found, chance, named, some)


def _traits(bundle: Bundle) -> dict[str, Trait]:
    """Return what tokens can have in common, by the names of `TRAITS`."""
    stored = bundle.columns("script", "kind", "class", "causal_norm", "euclidean_norm", "twin_group")
    known = bundle.vocabulary.texts.to_pylist()
    texts = [None if text is None or "\ufffd" in text else form_of(text) for text in known]
    starts = [text[:LETTERS] if text and text[:LETTERS].isalpha() and len(text) >= LETTERS else None for text in texts]
    near = len(bundle) // NEAR
    return {
        "word": Trait(_codes([text or None for text in texts])),
        "letters": Trait(_codes(starts)),
        **{name: Trait(_codes(stored[name].to_pylist())) for name in ("script", "kind", "class")},
        "causal_norm": Trait(_places(np.array(stored["causal_norm"].to_pylist())), near),
        "norm": Trait(_places(np.array(stored["euclidean_norm"].to_pylist())), near),
        "id": Trait(_places(bundle.vocabulary.token_ids), near),
        "twin": Trait(_codes(stored["twin_group"].to_pylist())),
    }


def _codes(values: list[Any]) -> np.ndarray:
    """Return a number for each value, equal for equal ones, (V,) int64; -1 for None."""
    numbers: dict[Any, int] = {}
    return np.array([-1 if value is None else numbers.setdefault(value, len(numbers)) for value in values])


def _places(values: np.ndarray) -> np.ndarray:
    """Return the place of each value in their order, (V,) int64; equal ones by row."""
    places = np.empty(len(values), dtype=np.int64)
    places[np.argsort(values, kind="stable")] = np.arange(len(values))
    return places


def _percent(share: Share) -> str:
    if math.isnan(share.share):
        return ""
    sure = "" if math.isnan(share.low) else f" ±{50 * (share.high - share.low):.1f}"
    return f"{100 * share.share:.1f}{sure}"
