"""What a tokenizer does with each token: whether any text leads to it, and what its own text becomes instead.

The classes are those of Land and Bartolo, "Fishing for Magikarp: Automatically Detecting Under-trained Tokens in Large
Language Models" (EMNLP 2024), section 3.1, and two more: bytes that other text leads to, and rows without text.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from index.tokens.display import stray_bytes
from index.tokens.fragments import met_in_texts
from index.tokens.tokenizer import parse_tokenizer
from index.tokens.vocabulary import Kind, Vocabulary
from index.tokens.writing import made_of

_PATH = Path("tokenizer.json")


class TokenClass(StrEnum):
    """Whether, and how, text becomes a token."""

    OK = "ok"  # its own text becomes it
    SPECIAL = "special"  # so, and it is a control token
    BYTES = "bytes"  # no whole text, and other text becomes it
    UNDECODABLE = "undecodable"  # no whole text, and no text becomes it
    UNREACHABLE_SPECIAL = "unreachable-special"  # a control token whose text becomes others
    UNREACHABLE_ONE = "unreachable-one"  # its text becomes one other token
    UNREACHABLE_SEVERAL = "unreachable-several"  # its text becomes several others, or none
    ORPHAN = "orphan"  # a row without text
    UNTESTED = "untested"  # there is no tokenizer to ask

    @property
    def occurs(self) -> bool:
        """Whether text may hold it, as far as is known."""
        return self in (TokenClass.OK, TokenClass.SPECIAL, TokenClass.BYTES, TokenClass.UNTESTED)


def token_classes(vocabulary: Vocabulary, reached: Sequence[bool | None]) -> list[TokenClass]:
    """Return the class of each of V tokens, of which it is known whether its own text becomes it (`reachable`)."""
    if vocabulary.tokenizer_json is None:
        named = vocabulary.texts.null_count < len(vocabulary)
        absent = TokenClass.ORPHAN if named else TokenClass.UNTESTED
        return [absent if text is None else TokenClass.UNTESTED for text in vocabulary.texts.to_pylist()]
    texts: list[Any] = vocabulary.texts.to_pylist()
    pieces: list[Any] = vocabulary.pieces.to_pylist()
    ids: list[int] = vocabulary.token_ids.tolist()
    special = [kind == Kind.SPECIAL for kind in vocabulary.kinds.to_pylist()]
    classes = [
        TokenClass.ORPHAN if whether is None else TokenClass.SPECIAL if control else TokenClass.OK
        for whether, control in zip(reached, special, strict=True)
    ]
    missed = [row for row, whether in enumerate(reached) if whether is False]
    if not missed:
        return classes
    tokenizer = parse_tokenizer(vocabulary.tokenizer_json.encode(), _PATH)
    raw = {row: stray_bytes(texts[row], pieces[row]) for row in missed if not special[row]}
    met = met_in_texts(tokenizer, {ids[row]: each for row, each in raw.items() if each is not None}, _PATH)
    for row, made in zip(missed, made_of(tokenizer, [texts[row] for row in missed], _PATH), strict=True):
        if special[row]:
            classes[row] = TokenClass.UNREACHABLE_SPECIAL
        elif ids[row] in met:
            classes[row] = TokenClass.BYTES
        elif raw[row] is not None and "\ufffd" in texts[row]:
            classes[row] = TokenClass.UNDECODABLE
        else:
            classes[row] = TokenClass.UNREACHABLE_ONE if len(made) == 1 else TokenClass.UNREACHABLE_SEVERAL
    return classes


def instead(vocabulary: Vocabulary, rows: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Return the ids of the tokens that the text of each of some rows becomes; rows without text are left out."""
    texts = {row: text for row in rows if (text := vocabulary.text(row)) is not None}
    if not texts or vocabulary.tokenizer_json is None:
        return {}
    tokenizer = parse_tokenizer(vocabulary.tokenizer_json.encode(), _PATH)
    return dict(zip(texts, made_of(tokenizer, list(texts.values()), _PATH), strict=True))
