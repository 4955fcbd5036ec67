"""Which rows a text can mean: by its letters, behind a space, as a piece, in other cases and forms, as a beginning."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from index.tokens.display import byte_spelling, display, undisplayed, without_isolates
from index.tokens.text_bytes import TextBytes

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST = 200
"""How many letters of a text are compared with others for likeness."""

_ALIKE = 50
"""Below this indel similarity, in percent, two texts are not alike."""

_SCANS = 64
"""So many scans of a column cost about as much as an index of it."""


class Named(NamedTuple):
    """What a text names."""

    rows: list[int]  # ascending; empty where it names no token
    how: str  # what of these tokens it is: their "text", their "piece", their "printed form"
    text: str  # as they have it: as asked for, or behind a space


@dataclass(frozen=True, eq=False)
class Meanings:
    """The texts of a vocabulary, to be compared with one. Rows come in ascending order where nothing else is said."""

    texts: pa.StringArray  # (V,) null where a row has no text
    pieces: pa.StringArray  # (V,) null where a row has no text

    @cached_property
    def forms(self) -> list[str | None]:
        """The form of each text, (V,)."""
        return [None if text is None else form_of(text) for text in self.texts.to_pylist()]

    def named(self, text: str) -> Named:
        """Return the tokens that `text` names in the first way that any answers to.

        As text, as piece, behind a space, as printed; what else is printed so is named beside the first, because it may
        have been copied from a table. Cheap: nothing is made of all the texts.
        """
        ways = (
            (self.exact, "text", text),
            (self.as_piece, "piece", text),
            (self.with_space, "text", " " + text),
        )
        printed = self.as_printed(text) if undisplayed(text) != text else []
        for rows_of, how, spelled in ways:
            rows = rows_of(text)
            if rows and set(printed) <= set(rows):
                return Named(rows, how, spelled)
            if rows:
                return Named(sorted({*rows, *printed}), f"{how} or the printed form", text)
        return Named(printed, "printed form", text)

    def exact(self, text: str) -> list[int]:
        """Return the rows whose text it is."""
        return self._by_text.rows(text)

    def with_space(self, text: str) -> list[int]:
        """Return the rows whose text it is behind a space."""
        return self._by_text.rows(" " + text)

    def as_piece(self, text: str) -> list[int]:
        """Return the rows whose entry in the tokenizer's own spelling it is (`Ġplanet`)."""
        return self._by_piece.rows(text)

    @cached_property
    def _by_text(self) -> _Lookup:
        return _Lookup(self.texts)

    @cached_property
    def _by_piece(self) -> _Lookup:
        return _Lookup(self.pieces)

    def as_printed(self, form: str) -> list[int]:
        """Return the rows that are printed in this form (`␣planet`), with or without what isolates its letters."""
        text, bare = undisplayed(form), without_isolates(form)
        if _encoded(form) is None:
            return []
        if _encoded(text) is not None:
            rows = self.exact(text)
        else:  # stray bytes
            try:
                rows = self.as_piece(byte_spelling(text.encode("utf-8", errors="surrogateescape")))
            except UnicodeEncodeError:
                return []
        return [row for row in rows if without_isolates(self._display(row)) == bare]

    def _display(self, row: int) -> str:
        return display(self.texts[row].as_py(), self.pieces[row].as_py())

    def in_other_cases(self, text: str) -> list[int]:
        """Return the rows whose text differs in no more than its form does not show, equal ones among them."""
        form = form_of(text)
        if not form:
            return []
        rows = self._bytes_of_texts.may_fold_to(len(form.encode()) if form.isascii() else None)
        return [row for row in rows.tolist() if form_of(self.texts[row].as_py()) == form]

    def beginning(self, text: str) -> list[int]:
        """Return the rows whose text begins with it, behind a space or not, the shortest first."""
        encoded = _encoded(text)
        if encoded is None:
            return []
        held = self._bytes_of_texts
        rows: list[int] = np.union1d(held.beginning(encoded), held.beginning(b" " + encoded)).tolist()
        return sorted(rows, key=lambda row: len(self.texts[row].as_py()))

    @cached_property
    def _bytes_of_texts(self) -> TextBytes:
        return TextBytes(self.texts)

    def beginning_in_other_cases(self, text: str) -> list[int]:
        """Return the rows whose form begins with that of `text`, the shortest first."""
        form = form_of(text)
        found = [(len(each), row) for row, each in enumerate(self.forms) if form and each and each.startswith(form)]
        return [row for _, row in sorted(found)]


class _Lookup:
    """Finds the rows of a column that hold a text: by a scan of it, and when asked often by an index."""

    def __init__(self, column: pa.StringArray) -> None:
        self._column, self._bytes, self._scans = column, TextBytes(column), 0

    def rows(self, text: str) -> list[int]:
        """Return the rows, ascending."""
        self._scans += 1
        if self._scans > _SCANS:
            return list(self._index.get(text, ()))
        encoded = _encoded(text)
        return [] if encoded is None else self._bytes.equal(encoded).tolist()

    @cached_property
    def _index(self) -> dict[str, list[int]]:
        index: dict[str, list[int]] = {}
        for row, text in enumerate(self._column.to_pylist()):
            if text is not None:
                index.setdefault(text, []).append(row)
        return index


def form_of(text: str) -> str:
    """Return what a text has in common with its other cases and compatible forms: `form_of(" Planet")` is `planet`."""
    stripped = text.strip()
    return stripped.lower() if stripped.isascii() else unicodedata.normalize("NFKC", stripped).casefold()


def alike(text: str, texts: Sequence[str | None], count: int) -> list[int]:
    """Return the places of the texts that look most like one (normalized indel similarity), best first."""
    from rapidfuzz import fuzz, process

    # Not the default scorer: by the best part, every letter of a word is as close to it as the word itself.
    found = process.extract(text, texts, scorer=fuzz.ratio, limit=count, score_cutoff=_ALIKE)
    return [place for _, _, place in found]


def _encoded(text: str) -> bytes | None:
    """Return a text in UTF-8; None for a lone surrogate, as an argument that is no UTF-8 has it: no token does."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None
