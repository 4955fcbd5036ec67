"""Which tokens that are no whole text are met inside of other texts: parts of the bytes of a character, mostly."""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING

from index.tokens.tokenizer import encode

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ROUNDS = (16, 240, 3840)
"""How many texts are tried for each fragment, and for those that are still left then."""
_TOGETHER = 1 << 14
_EMPTY_PLANES = (0x40000, 0x80000, 0xF0000, 0x100000)  # of no character, or of private ones
_OF_AN_EMPTY_PLANE = 256


@dataclass(frozen=True, eq=False)
class _Characters:
    """Characters by what their UTF-8 bytes begin with, end with, and hold in between."""

    beginning: dict[bytes, list[str]] = field(default_factory=lambda: defaultdict(list))
    ending: dict[bytes, list[str]] = field(default_factory=lambda: defaultdict(list))
    holding: dict[bytes, list[str]] = field(default_factory=lambda: defaultdict(list))


def met_in_texts(tokenizer: Tokenizer, fragments: Mapping[int, bytes], path: Path) -> set[int]:
    """Return which tokens, named by id with their bytes, the tokenizer makes of some text that holds these bytes.

    Texts are one or two characters with what the fragment has between them. A fragment that none of some thousand
    texts leads to is taken for one that no text does.
    """
    if not fragments:
        return set()
    characters = _characters()
    ways = {token_id: _texts(raw, characters) for token_id, raw in fragments.items()}
    met: set[int] = set()
    for count in ROUNDS:
        pending: list[str] = []
        for token_id, texts in ways.items():
            if token_id not in met:
                pending += islice(texts, count)
            if len(pending) >= _TOGETHER:
                met |= _made_of(tokenizer, pending, path)
                pending = []
        met |= _made_of(tokenizer, pending, path)
    return met & set(fragments)


def _made_of(tokenizer: Tokenizer, texts: list[str], path: Path) -> set[int]:
    return {token_id for encoding in encode(tokenizer, texts, path) for token_id in encoding.ids}


def _texts(raw: bytes, characters: _Characters) -> Iterator[str]:
    """Yield texts whose UTF-8 bytes hold the given ones; none where no text's do."""
    head = next((n for n, byte in enumerate(raw) if byte & 0xC0 != 0x80), len(raw))
    if head == len(raw):
        yield from characters.holding[raw]
        return
    tail = next((n for n in range(1, 4) if raw[-n:][:1] >= b"\xc0"), 0)
    middle = raw[head : len(raw) - tail]
    try:
        between = (middle + raw[len(raw) - tail :]).decode()  # its last character is whole
        tail = 0
    except UnicodeDecodeError:
        try:
            between = middle.decode()
        except UnicodeDecodeError:
            return
    before = characters.ending[raw[:head]] if head else [""]
    after = characters.beginning[raw[len(raw) - tail :]] if tail else [""]
    # Diagonal first: each character of either side soon.
    yield from (a + between + b for a, b in zip(before, after, strict=False))
    yield from (a + between + b for a, b in product(before, after))


def _characters() -> _Characters:
    """Return all characters there are, and some code points of each plane that has none."""
    found = _Characters()
    for code in _code_points():
        character = chr(code)
        raw = character.encode()
        for start in range(len(raw)):
            for stop in range(start + 1, len(raw) + 1):
                if start == 0:
                    found.beginning[raw[:stop]].append(character)
                if stop == len(raw):
                    found.ending[raw[start:]].append(character)
                if start:
                    found.holding[raw[start:stop]].append(character)
    return found


def _code_points() -> Iterator[int]:
    for code in range(0x80, sys.maxunicode + 1):
        if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co"):
            yield code
    for start in (0xE000, *_EMPTY_PLANES):
        yield from range(start, start + _OF_AN_EMPTY_PLANE)
