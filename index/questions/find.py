"""Which tokens a text can mean, and how the model's tokenizer splits it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from index.answers.answer import Tabular
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.questions.lists import tokens_at
from index.tokens.vocabulary import Token


@dataclass(frozen=True)
class Matches:
    """Tokens that answer to a text in one way: how many, and the first of them."""

    count: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Part:
    """One token of a split text.

    Attributes
    ----------
    id : int
    text : str
        The characters of the text that it stands for; tokens smaller than a character share it.
    piece : str
        Its entry in the tokenizer's own spelling.
    row : int or None
        None where the bundle does not hold the token.
    """

    id: int
    text: str
    piece: str
    row: int | None


@dataclass(frozen=True)
class Found(Tabular):
    """What a text can mean. Every token is named once, in the first way that fits.

    Attributes
    ----------
    text : str
    exact : Matches
        Tokens whose text it is.
    with_space : Matches
        Whose text it is behind a space.
    other_cases : Matches
        Whose text differs in upper and lower case, in compatible forms of characters (NFKC), or in the space around it.
    pieces : Matches
        Whose entry in the tokenizer's own spelling it is (`Ġplanet`).
    prefixes : Matches
        Whose text begins with it, behind a space or not: shortest first.
    split : tuple of Part
        The tokens that the tokenizer makes of it; empty without a tokenizer.
    """

    text: str
    exact: Matches
    with_space: Matches
    other_cases: Matches
    pieces: Matches
    prefixes: Matches
    split: tuple[Part, ...]

    @property
    def ways(self) -> dict[str, Matches]:
        """The matches by name."""
        return {
            "exact": self.exact,
            "with_space": self.with_space,
            "other_cases": self.other_cases,
            "pieces": self.pieces,
            "prefixes": self.prefixes,
        }

    @property
    def any(self) -> bool:
        """Whether the text can mean a token at all."""
        return any(matches.count for matches in self.ways.values())


def find(bundle: Bundle, text: str, *, top: int = 10) -> Found:
    """Find the tokens that a text can mean.

    Parameters
    ----------
    bundle : Bundle
    text : str
        Not empty.
    top : int
        How many tokens to name in each way; all are counted.

    Raises
    ------
    ParameterError
        When `text` is empty or `top` is not 1 or more.
    """
    if not text:
        raise ParameterError("TEXT is empty; every token begins with that")
    if top < 1:
        raise ParameterError(f"--top must be 1 or more, got: {top}")
    vocabulary = bundle.vocabulary
    texts: list[str | None] = vocabulary.texts.to_pylist()
    pieces: list[str | None] = vocabulary.pieces.to_pylist()
    named: set[int] = set()

    def matches(rows: list[int]) -> Matches:
        new = [row for row in rows if row not in named]
        named.update(new)
        return Matches(len(new), tuple(tokens_at(bundle, new[:top])))

    spaced, form = " " + text, _form(text)
    beginning = [row for row, each in enumerate(texts) if each is not None and each.startswith((text, spaced))]
    return Found(
        text,
        matches([row for row in beginning if texts[row] == text]),
        matches([row for row in beginning if texts[row] == spaced]),
        matches([row for row, each in enumerate(texts) if each is not None and form and _form(each) == form]),
        matches([row for row, each in enumerate(pieces) if each == text]),
        matches(sorted(beginning, key=lambda row: (len(texts[row] or ""), row))),
        _split(bundle, text),
    )


def _form(text: str) -> str:
    """Return what a text has in common with its other cases and forms: `_form(" Planet")` is `planet`."""
    stripped = text.strip()
    return stripped.lower() if stripped.isascii() else unicodedata.normalize("NFKC", stripped).casefold()


def _split(bundle: Bundle, text: str) -> tuple[Part, ...]:
    vocabulary = bundle.vocabulary
    encoding = vocabulary.encode(text)
    if encoding is None:
        return ()
    rows = {token_id: row for row, token_id in enumerate(vocabulary.token_ids.tolist())}
    return tuple(
        Part(token_id, text[start:end], piece, rows.get(token_id))
        for token_id, piece, (start, end) in zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True)
    )
