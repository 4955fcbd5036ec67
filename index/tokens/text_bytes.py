"""The bytes of a column of texts, scanned as they lie: to load Arrow's functions takes longer than all scans here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_SPACES = np.zeros(256, bool)
_SPACES[[ord(each) for each in map(chr, range(128)) if each.isspace()]] = True


class TextBytes:
    """V texts in UTF-8; a null is no text, and answers to nothing."""

    def __init__(self, column: pa.StringArray) -> None:
        held: Any = column
        validity, offsets, content = held.buffers()
        V, at = len(held), held.offset
        edges = np.frombuffer(offsets, np.int32, V + 1 + at)[at:] if V else np.zeros(1, np.int32)
        self._content = np.frombuffer(content if content is not None else b"", np.uint8)
        self._starts = edges[:-1].astype(np.int64)
        self._lengths = np.diff(edges)
        self._there = np.ones(V, bool)
        if validity is not None:
            bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
            self._there = bits[at : at + V].astype(bool)

    def equal(self, text: bytes) -> np.ndarray:
        """Return the rows that are a text, (n,) ascending."""
        return self._beginning(np.flatnonzero(self._there & (self._lengths == len(text))), text)

    def beginning(self, text: bytes) -> np.ndarray:
        """Return the rows that begin with a text, (n,) ascending."""
        return self._beginning(np.flatnonzero(self._there & (self._lengths >= len(text))), text)

    def _beginning(self, rows: np.ndarray, text: bytes) -> np.ndarray:
        """Return those of some rows, each at least as long as a text, that begin with it."""
        for place, byte in enumerate(text):
            if len(rows) == 0:
                break
            rows = rows[self._content[self._starts[rows] + place] == byte]
        return rows

    def may_fold_to(self, length: int | None) -> np.ndarray:
        """Return the rows that may have, in some case and without spaces around it, a form of so many ASCII letters.

        All that are not ASCII, and such as are, but for spaces, as long. None for a form that is not ASCII: only texts
        that are not, either, have one.
        """
        ascii_only = self._ascii()
        foreign = np.flatnonzero(self._there & ~ascii_only)
        if length is None:
            return foreign
        rows = np.flatnonzero(self._there & ascii_only & (self._lengths >= length))
        ends = self._starts[rows] + self._lengths[rows] - 1
        over = self._lengths[rows] - length
        full = over == 0
        filled = rows[~full]
        first, last = _SPACES[self._content[self._starts[filled]]], _SPACES[self._content[ends[~full]]]
        more = over[~full] > 1
        second = np.zeros(len(filled), bool)
        second[more] = _SPACES[self._content[self._starts[filled[more]] + 1]]
        before = np.zeros(len(filled), bool)
        before[more] = _SPACES[self._content[ends[~full][more] - 1]]
        spaced = np.where(more, (first & (second | last)) | (last & before), first | last)
        return np.union1d(np.union1d(rows[full], filled[spaced]), foreign)

    def _ascii(self) -> np.ndarray:
        """Whether each text is ASCII alone, (V,)."""
        before = np.concatenate([[0], np.cumsum(self._content >= 128)])
        beyond: np.ndarray = before[self._starts + self._lengths] == before[self._starts]
        return beyond
