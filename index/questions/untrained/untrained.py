"""`untrained`: the census of what training never moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row, json_number
from index.answers.page import TEXT, Block, Column, Heading, Sentence, Several, Words, facts, table
from index.bundle.arrow import numbers_or_nan
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.measures.untrained import BESIDE, LARGE_GROUP, reasons
from index.questions.asking.parameters import POSITIVE
from index.questions.asking.question import Doc
from index.questions.lists.lists import PIECE, TOKEN_COLUMNS
from index.questions.untrained.known import Known, KnownTokens, compare, known_tokens
from index.questions.untrained.moved import Moved
from index.tokens.classes import TokenClass, instead
from index.tokens.vocabulary import Token

INDICATORS = {
    "moved": "moved",
    "cosine": "unused_cosine",
    "centered": "unused_cosine_centered",
    "residual": "unused_cosine_residual",
    "norm": "euclidean_norm",
}
"""The indicators, and the columns of `tokens.parquet` they are in."""

_MEANING = {
    TokenClass.OK: "its own text becomes it",
    TokenClass.SPECIAL: "a control token, and its own text becomes it",
    TokenClass.BYTES: "no whole text; other text becomes it",
    TokenClass.UNDECODABLE: "no whole text, and no text becomes it",
    TokenClass.UNREACHABLE_SPECIAL: "a control token, and its own text becomes others",
    TokenClass.UNREACHABLE_ONE: "its own text becomes one other token",
    TokenClass.UNREACHABLE_SEVERAL: "its own text becomes several others, or none",
    TokenClass.ORPHAN: "a row without text",
    TokenClass.UNTESTED: "no tokenizer to ask",
}


@dataclass(frozen=True)
class Member:
    """A token that training never moved, as far as can be told."""

    token: Token
    kind: TokenClass
    reasons: tuple[str, ...]
    indicators: dict[str, float]  # by the names of `INDICATORS`; NaN where there is none
    instead: tuple[int, ...] | None  # the ids that its own text becomes; None where that is the token itself, or none

    def json(self) -> dict[str, Any]:
        """Return the token with what is known of it."""
        moved, *_ = self.indicators.values()
        return {
            **self.token.json(),
            "class": self.kind.value,
            "reasons": list(self.reasons),
            "indicator": json_number(moved),
            "indicators": {name: json_number(value) for name, value in self.indicators.items()},
            "instead": None if self.instead is None else list(self.instead),
        }

    def record(self) -> Row:
        """Return the token as a flat record."""
        undefined = {name: None if np.isnan(value) else value for name, value in self.indicators.items()}
        instead = None if self.instead is None else " ".join(map(str, self.instead))
        return {
            **self.token.json(),
            "class": self.kind.value,
            "reasons": " ".join(self.reasons),
            **undefined,
            "instead": instead,
        }


@dataclass(frozen=True, eq=False)
class Untrained(Answer):
    """What training never moved, and how that was told."""

    members: tuple[Member, ...]  # nearest first, then by row
    groups: tuple[tuple[Token, ...], ...]  # twins among them, largest first, then by first row
    classes: dict[TokenClass, tuple[int, int]]  # of all tokens: how many, and how many of them are members
    moved: Moved  # all tokens
    control: int  # control tokens that stand beside these and are not among them
    of: int  # tokens of the bundle
    known: Known | None
    listed: int  # how many members a page shows

    columns: ClassVar = {
        **TOKEN_COLUMNS,
        "class": str,
        "reasons": str,
        **dict.fromkeys(INDICATORS, float),
        "instead": str,
        **PIECE,
    }

    def rows(self) -> list[Row]:
        """Return one record for each member."""
        return [member.record() for member in self.members]

    def json(self) -> dict[str, Any]:
        """Return the threshold, classes, groups and members."""
        return {
            "tokens": len(self.members),
            "of": self.of,
            **self.moved.json(),
            "classes": {kind.value: count for kind, (count, _) in self.classes.items()},
            "groups": [
                {"size": len(group), "ids": [token.id for token in group], "texts": [token.text for token in group]}
                for group in self.groups
            ],
            "members": [member.json() for member in self.members],
            **({} if self.known is None else {"known": self.known.json()}),
        }

    def page(self) -> list[Block]:
        """Return the counts, the histogram with its gap, classes, twins and members."""
        share = 100 * len(self.members) / self.of
        rows: list[tuple[str, Words]] = [("untrained", f"{len(self.members):,} of {self.of:,} tokens, {share:.2f} %")]
        why = Counter(reason for member in self.members for reason in member.reasons)
        rows += [(f"  {reason}", f"{why[reason]:,} {meaning}") for reason, meaning in self._why().items()]
        blocks: list[Block] = [facts([*rows, ("gap", self.moved.gap_said())])]
        if self.known is not None:
            blocks += self.known.page()
        blocks += self.moved.page()
        blocks += [Heading("Classes"), self._classes()]
        if self.groups:
            lines = ((f"{len(group):,}", str(group[0].id), Several(group)) for group in self.groups[: self.listed])
            blocks += [
                Heading("Twins among them, by their first token"),
                table((Column("size", 7), "id", TEXT), lines),
            ]
        if self.members:
            blocks += [Heading("Tokens, nearest first"), self._members()]
        if len(self.members) > self.listed:
            said = f"and {len(self.members) - self.listed:,} more: a larger top shows them, CSV and JSON hold all"
            blocks.append(Sentence(said, aside=True))
        if self.control:
            said = f"{self.control:,} control tokens beside them are not counted: prompts and later training use these"
            blocks.append(Sentence(said, aside=True))
        return blocks

    def _why(self) -> dict[str, str]:
        gap = self.moved.gap
        near = BESIDE if gap is None else max(BESIDE, gap.threshold)
        meanings = {
            "orphan": "without text",
            "twins": f"with a vector that {LARGE_GROUP} tokens or more share",
            "unused": "that no text becomes, moved less than half as far as the median token",
            "beside": f"moved less than {near:.3g} of the way of the median token",
        }
        held = {reason for member in self.members for reason in member.reasons}
        return {reason: meaning for reason, meaning in meanings.items() if reason in held}

    def _classes(self) -> Block:
        return facts(
            (kind.value, f"{count:,}, of which {inside:,} untrained: {_MEANING[kind]}")
            for kind, (count, inside) in self.classes.items()
            if count
        )

    def _members(self) -> Block:
        lines = (
            (
                str(member.token.id),
                _figure(member.indicators["moved"]),
                _figure(member.indicators["cosine"]),
                member.kind.value,
                " ".join(member.reasons),
                member.token,
            )
            for member in self.members[: self.listed]
        )
        return table(("id", Column("moved", 8), Column("cosine", 8), "class", "reasons", TEXT), lines)


def untrained(
    bundle: Bundle,
    *,
    known: Annotated[
        Path | None,
        Doc("Unused tokens, an id or a text on each line: says precision and recall.", metavar="FILE"),
    ] = None,
    top: Annotated[int, Doc("Tokens and groups shown in the tables; JSON and CSV have them all."), POSITIVE] = 30,
) -> Untrained:
    """The tokens that training never moved, each with the reasons, and how far every token was moved.

    Example: uv run query.py untrained --top 5

    Said by texts and vectors alone: what a model was trained on is not in its files.
    """
    if bundle.manifest.control is not None:
        raise ParameterError(f"{bundle.name} is a control: nothing in it was trained; ask the bundle of the model")
    given: KnownTokens | None = None if known is None else known_tokens(bundle, known)
    stored = bundle.columns("class", "twin_group", *INDICATORS.values())
    kinds = [TokenClass(str(each)) for each in stored["class"].to_pylist()]
    values = {name: numbers_or_nan(stored[column]) for name, column in INDICATORS.items()}
    twins, moved = bundle.twins.first, values["moved"]
    why = reasons(
        orphan=np.array([kind is TokenClass.ORPHAN for kind in kinds]),
        unused=np.array([not kind.occurs for kind in kinds]),
        special=np.array([kind is TokenClass.SPECIAL for kind in kinds]),
        twins=twins,
        moved=moved,
    )
    rows = np.flatnonzero(bundle.untrained)
    rows = rows[np.lexsort((rows, moved[rows]))]
    inside = Counter(kinds[row] for row in rows)
    counted = Moved.of(moved)
    near = moved < max(BESIDE, counted.gap.threshold if counted.gap else 0)
    special = np.array([kind is TokenClass.SPECIAL for kind in kinds])
    return Untrained(
        members=_members(bundle, rows.tolist(), kinds, why, values),
        groups=_groups(bundle, rows, twins),
        classes={kind: (count, inside[kind]) for kind, count in _all_counted(kinds).items()},
        moved=counted,
        control=int((near & special & ~bundle.untrained).sum()),
        of=len(bundle),
        known=None if given is None else compare(bundle, given, rows),
        listed=top,
    )


def _members(
    bundle: Bundle,
    rows: list[int],
    kinds: Sequence[TokenClass],
    why: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
) -> tuple[Member, ...]:
    """Return the tokens of some rows, with the reasons and indicators that hold of them, (V,) each."""
    lost = [row for row in rows if not kinds[row].occurs and kinds[row] is not TokenClass.UNDECODABLE]
    becomes = instead(bundle.vocabulary, lost)
    return tuple(
        Member(
            bundle.vocabulary.token(row),
            kinds[row],
            tuple(reason for reason, holds in why.items() if holds[row]),
            {name: float(each[row]) for name, each in values.items()},
            becomes.get(row),
        )
        for row in rows
    )


def _all_counted(kinds: Sequence[TokenClass]) -> dict[TokenClass, int]:
    counted = Counter(kinds)
    return {kind: counted[kind] for kind in TokenClass}


def _groups(bundle: Bundle, rows: np.ndarray, twins: np.ndarray) -> tuple[tuple[Token, ...], ...]:
    firsts, sizes = np.unique(twins[rows], return_counts=True)
    order = np.lexsort((firsts, -sizes))
    return tuple(
        tuple(map(bundle.vocabulary.token, bundle.twins.members(int(firsts[at])).tolist()))
        for at in order
        if sizes[at] > 1
    )


def _figure(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3g}"
