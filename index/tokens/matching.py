"""Which tokens of two vocabularies are the same: by text and kind."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from index.tokens.vocabulary import Vocabulary

UNDECODED = "\ufffd"
"""Stands in a text for bytes that are none by themselves."""

Key = Callable[[int], Hashable | None]


@dataclass(frozen=True, eq=False)
class Matched:
    """The tokens that two vocabularies have in common."""

    a: np.ndarray  # (n,) rows of the first, ascending
    b: np.ndarray  # (n,) the row of the same token in the second
    by_piece: int  # of the n, how many have one text, kind and piece in both,
    by_text: int  # how many only text and kind: their tokenizers spell them differently,
    by_id: int  # and how many, which share text, kind and piece with others or have none, the same id


def match(a: Vocabulary, b: Vocabulary) -> Matched:
    """Match tokens by text, kind and piece; what is left by text and kind; then what is equal but for others like it.

    Each step takes only what is one of a kind in what is left of both. A text with bytes that are no character names no
    token without its piece. Tokens that repeat each other, and rows without a text, are the same where their ids are.
    """
    sides = (_Side(a), _Side(b))
    steps = (
        _step(sides, lambda side: side.full),
        _step(sides, lambda side: side.spoken),
        _step(sides, lambda side: side.numbered),
    )
    rows = np.array([pair for step in steps for pair in step], dtype=np.int64).reshape(-1, 2)
    rows = rows[np.argsort(rows[:, 0])]
    return Matched(rows[:, 0], rows[:, 1], *map(len, steps))


class _Side:
    """One vocabulary, and which of its rows are not matched yet."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._texts: Sequence[str | None] = vocabulary.texts.to_pylist()
        self._pieces: Sequence[str | None] = vocabulary.pieces.to_pylist()
        self._kinds: Sequence[str | None] = vocabulary.kinds.to_pylist()
        self._ids = vocabulary.token_ids.tolist()
        self.left = set(range(len(vocabulary)))

    def full(self, row: int) -> Hashable | None:
        """Return text, kind and piece; None for a row without a text."""
        return None if self._texts[row] is None else (self._texts[row], self._kinds[row], self._pieces[row])

    def spoken(self, row: int) -> Hashable | None:
        """Return text and kind, where the text says all."""
        text = self._texts[row]
        return None if text is None or UNDECODED in text else (text, self._kinds[row])

    def numbered(self, row: int) -> Hashable | None:
        """Return all that there is, with the id."""
        return self._texts[row], self._kinds[row], self._pieces[row], self._ids[row]

    def single(self, key: Key) -> dict[Hashable, int]:
        """Return the rows left by their keys, those whose key no other has."""
        found: dict[Hashable, int] = {}
        repeated = set()
        for row in sorted(self.left):
            name = key(row)
            if name is None:
                continue
            if name in found:
                repeated.add(name)
            found[name] = row
        return {name: row for name, row in found.items() if name not in repeated}


def _step(sides: tuple[_Side, _Side], key_of: Callable[[_Side], Key]) -> list[tuple[int, int]]:
    """Match what is left by one key, and take it out."""
    first, second = (side.single(key_of(side)) for side in sides)
    pairs = [(row, second[name]) for name, row in first.items() if name in second]
    for a, b in pairs:
        sides[0].left.discard(a)
        sides[1].left.discard(b)
    return pairs
