"""`find`: which tokens a text can mean, and how the model's tokenizer splits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from index.answers.answer import Row
from index.answers.page import TEXT, Block, Column, Heading, Words, counted, facts, table
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import POSITIVE, Among, Without
from index.questions.asking.question import Doc
from index.questions.lists.lists import PIECE, TOKEN_COLUMNS, among_facts, among_json
from index.tokens.display import display
from index.tokens.vocabulary import Part, Token

WAYS = {
    "by_id": "this id",
    "exact": "this text",
    "with_space": "behind a space",
    "tokenized": "as tokenized",
    "other_cases": "in other cases",
    "pieces": "this piece",
    "printed": "printed so",
    "prefixes": "beginning with it",
}
"""How a token can answer to a text, in words: the fields of `Found`."""


@dataclass(frozen=True)
class Matches:
    """Tokens that answer to a text in one way: how many, and the first of them."""

    count: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Found(AmongSome):
    """What a text can mean. Every token is named once, in the first way that fits."""

    text: str
    by_id: Matches  # the token whose id it is, as in `#7`
    exact: Matches  # tokens whose text it is
    with_space: Matches  # whose text it is behind a space
    tokenized: Matches  # the one token that the tokenizer makes of it, as one that normalizes does of other texts
    other_cases: Matches  # whose text differs in case, in compatible forms (NFKC), or in the space around it
    pieces: Matches  # whose entry in the tokenizer's own spelling it is (`Ġplanet`)
    printed: Matches  # whose printed form it is (`␣planet`)
    prefixes: Matches  # whose text begins with it, behind a space or not: shortest first
    split: tuple[Part, ...]  # the tokens that the tokenizer makes of it; empty without a tokenizer
    absent: str | None = None  # where a sample lacks a token of this text: which one
    among: Subset | None = None  # of what tokens these are

    no = "none"
    columns: ClassVar = {"match": str, "count": int, **TOKEN_COLUMNS, **PIECE}

    @property
    def ways(self) -> dict[str, Matches]:
        """The matches by name."""
        return {name: getattr(self, name) for name in WAYS}

    @property
    def any(self) -> bool:
        """Whether the text can mean a token at all."""
        return any(matches.count for matches in self.ways.values())

    @property
    def refusal(self) -> str | None:
        """A text that can mean no token is answered with no."""
        why = f"; {self.absent}" if self.absent else ""
        of = "" if self.among is None else f" of {display(self.among.name)}"
        return None if self.any else f"no token{of} can be meant by '{display(self.text[:60])}'{why}"

    def rows(self) -> list[Row]:
        """Return one record for each token named, and for each part of the split text."""
        named = [
            {"match": way, "count": matches.count, **token.json()}
            for way, matches in self.ways.items()
            for token in matches.tokens
        ]
        parts = [{"match": "split", "count": len(self.split), **part.json()} for part in self.split]
        return named + parts

    def json(self) -> dict[str, Any]:
        """Return the tokens by way, and the split."""
        return {
            "text": self.text,
            **{
                way: {"count": matches.count, "tokens": [token.json() for token in matches.tokens]}
                for way, matches in self.ways.items()
            },
            "split": [part.json() for part in self.split],
            **among_json(self.among),
        }

    def page(self) -> list[Block]:
        """Return the split, and the tokens by way."""
        length = f"{counted(len(self.split), 'token')}: {', '.join(map(str, self.split))}"
        split = facts(
            [
                ("text", display(self.text)),
                ("split into", length if self.split else "not known: no tokenizer"),
                *among_facts(self.among),
            ]
        )
        if not self.any:
            return [split]
        width = max(map(len, WAYS.values()))
        return [
            split,
            Heading("Tokens it can mean"),
            table((Column("match", width), Column("count", 7), "id", TEXT), self._lines()),
        ]

    def _lines(self) -> list[tuple[Words, ...]]:
        lines: list[tuple[Words, ...]] = []
        for way, matches in self.ways.items():
            for at, token in enumerate(matches.tokens):
                name = (WAYS[way], f"{matches.count:,}") if at == 0 else ("", "")
                lines.append((*name, str(token.id), token))
        return lines


def find(
    bundle: Bundle,
    text: Annotated[str, Doc("Any text; it need not be a token.")],
    *,
    top: Annotated[int, Doc("Tokens named in each way; all are counted."), POSITIVE] = 10,
    among: Among = None,
    without: Without = None,
) -> Found:
    """Which tokens a text can mean, and how the tokenizer splits it.

    Example: uv run query.py find planet
    """
    if not text:
        raise ParameterError(f"{parameter('text')} is empty; every token begins with that")
    vocabulary, meanings = bundle.vocabulary, bundle.vocabulary.meanings
    made, some = vocabulary.single(text), kept(bundle, among, without)
    here = None if some is None else set(some.rows.tolist())
    named: set[int] = set()

    def matches(rows: list[int]) -> Matches:
        new = [row for row in rows if row not in named and (here is None or row in here)]
        named.update(new)
        return Matches(len(new), tuple(map(vocabulary.token, new[:top])))

    return Found(
        text,
        matches(vocabulary.with_id(text)),
        matches(meanings.exact(text)),
        matches(meanings.with_space(text)),
        matches([] if made is None else [made]),
        matches(meanings.in_other_cases(text)),
        matches(meanings.as_piece(text)),
        matches(meanings.as_printed(text)),
        matches(meanings.beginning(text)),
        vocabulary.split(text),
        vocabulary.absent(text),
        some,
    )
