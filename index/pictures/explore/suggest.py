"""Which tokens a person may mean while still typing."""

from __future__ import annotations

from collections.abc import Iterator

from index.errors import TokenError
from index.tokens.meaning import LONGEST, alike, form_of
from index.tokens.vocabulary import Vocabulary

SUGGESTED = 8


class Suggestions:
    """The texts of a vocabulary, made ready to be compared with what is typed."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._meanings = vocabulary.meanings
        self._forms = vocabulary.meanings.forms

    def rows(self, typed: str, *, count: int = SUGGESTED) -> list[int]:
        """Return the rows of the tokens that `typed` may mean, the likeliest first.

        The exact text, alone or behind a space; an exact piece; what is printed so; an id; what the tokenizer makes
        of it; the text in other cases; what begins with it, the shortest first; then what looks most like it
        (normalized indel similarity).
        """
        typed = typed[:LONGEST]
        found: dict[int, None] = {}
        for rows in self._ways(typed, count) if typed else ():
            found |= dict.fromkeys(rows)
            if len(found) >= count:
                break
        return list(found)[:count]

    def only(self, typed: str) -> int:
        """Return the row of the one token that `typed` names, or has for an id; TokenError for none, or several."""
        try:
            return self._vocabulary.resolve(typed)
        except TokenError:
            row = self.of_id(typed)
            if row is None or self.meant(typed):
                raise
            return row

    def of_id(self, typed: str) -> int | None:
        """Return the row of the id that is typed, with `#` before it or without; None where there is none."""
        digits = typed.strip().removeprefix("#")
        return self._vocabulary.row_of_id(int(digits)) if digits.isdecimal() else None

    def meant(self, typed: str) -> list[int]:
        """Return the rows of all tokens that `typed` names, none unless `Vocabulary.resolve` finds more than one."""
        if typed.startswith("#") and typed[1:].isdecimal():
            return []
        rows = self._meanings.named(typed).rows
        return rows if len(rows) > 1 else []

    def _ways(self, typed: str, count: int) -> Iterator[list[int]]:
        row = self.of_id(typed)
        of_id = [] if row is None else [row]
        if typed.startswith("#"):
            yield of_id
        yield self._meanings.exact(typed)
        yield self._meanings.with_space(typed)
        yield self._meanings.as_piece(typed)
        yield self._meanings.as_printed(typed)
        yield of_id
        made = self._vocabulary.single(typed)
        yield [] if made is None else [made]
        yield self._meanings.in_other_cases(typed)
        yield self._meanings.beginning_in_other_cases(typed)
        form = form_of(typed)
        if form:
            # Twice as many: those found already may be among them.
            yield alike(form, self._forms, 2 * count)
