"""Which tokens a person may mean while still typing."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from index.tokens.vocabulary import Vocabulary

SUGGESTED = 8
LONGEST = 200
"""How many letters of what was typed are looked at."""

_ALIKE = 50
"""Below this indel similarity, in percent, a text is not offered."""


class Suggestions:
    """The texts of a vocabulary, ready to be compared with what is typed.

    Parameters
    ----------
    vocabulary : Vocabulary
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._texts: list[str | None] = vocabulary.texts.to_pylist()
        self._pieces: list[str | None] = vocabulary.pieces.to_pylist()
        self._rows = {token_id: row for row, token_id in enumerate(vocabulary.token_ids.tolist())}
        self._forms = [None if text is None else _form(text) for text in self._texts]

    def rows(self, typed: str, *, count: int = SUGGESTED) -> list[int]:
        """Return the rows of the tokens that `typed` may mean, the likeliest first.

        An id; the exact text, alone or behind a space; an exact piece; the text in other cases; what begins with it,
        the shortest first; then what looks most like it (normalized indel similarity).
        """
        typed = typed[:LONGEST]
        if not typed:
            return []
        found: dict[int, None] = {}
        for ways in (self._exact, self._beginning, self._alike):
            found |= dict.fromkeys(ways(typed, count))
            if len(found) >= count:
                break
        return list(found)[:count]

    def meant(self, typed: str) -> list[int]:
        """Return the rows of all tokens that `typed` names, none unless `Vocabulary.resolve` finds more than one."""
        if typed.startswith("#") and typed[1:].isdecimal():
            return []
        for column, wanted in ((self._texts, typed), (self._pieces, typed), (self._texts, " " + typed)):
            rows = [row for row, each in enumerate(column) if each == wanted]
            if rows:
                return rows if len(rows) > 1 else []
        return []

    def _exact(self, typed: str, count: int) -> Iterator[int]:
        digits = typed.strip().removeprefix("#")
        if digits.isdecimal() and int(digits) in self._rows:
            yield self._rows[int(digits)]
        form = _form(typed)
        for column, wanted in (
            (self._texts, typed),
            (self._texts, " " + typed),
            (self._pieces, typed),
            (self._forms, form),
        ):
            if wanted:
                yield from heapq.nsmallest(count, (row for row, each in enumerate(column) if each == wanted))

    def _beginning(self, typed: str, count: int) -> list[int]:
        form = _form(typed)
        if not form:
            return []
        rows = (row for row, each in enumerate(self._forms) if each is not None and each.startswith(form))
        # As many more as `_exact` may have named already.
        return heapq.nsmallest(2 * count, rows, key=lambda row: (len(self._forms[row] or ""), row))

    def _alike(self, typed: str, count: int) -> list[int]:
        from rapidfuzz import fuzz, process

        form = _form(typed)
        if not form:
            return []
        ranked = process.extract(form, self._forms, scorer=fuzz.ratio, limit=2 * count, score_cutoff=_ALIKE)
        return [row for _, _, row in ranked]


def _form(text: str) -> str:
    """Return what a text has in common with its other cases: `_form(" Planet")` is `planet`."""
    return text.strip().casefold()
