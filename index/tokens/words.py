"""Words of a test set as tokens: behind a space or bare, in their own case or any, of one token or of several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from enum import StrEnum

from index.tokens.vocabulary import Vocabulary


class WordForm(StrEnum):
    """Which token a word is."""

    SPACE = "space"  # the one behind a space, which begins a word
    BARE = "bare"  # the one without
    BEST = "best"  # the one behind a space, or where there is none, the bare one


class Case(StrEnum):
    """Which tokens a word's letters name."""

    EXACT = "exact"
    ANY = "any"  # where none is spelled as the word, one in another case


class WordRows(StrEnum):
    """What a word of several tokens is."""

    SINGLE = "single"  # left out
    MEAN = "mean"  # the mean of their rows


class WordFinder:
    """Finds the rows of words. Rows without a point are no words."""

    def __init__(
        self, vocabulary: Vocabulary, form: WordForm, case: Case, rows: WordRows, without_point: Collection[int] = ()
    ) -> None:
        self._vocabulary, self._case, self._rows = vocabulary, case, rows
        self._prefixes = {WordForm.SPACE: (" ",), WordForm.BARE: ("",), WordForm.BEST: (" ", "")}[form]
        self._without_point = frozenset(without_point)
        self._exact: dict[str, int] = {}
        self._folded: dict[str, list[int]] = defaultdict(list)
        for row, text in enumerate(vocabulary.texts.to_pylist()):
            if text is not None and row not in self._without_point:
                self._exact.setdefault(text, row)
                if case is Case.ANY:
                    self._folded[text.casefold()].append(row)

    def rows(self, word: str) -> tuple[int, ...]:
        """Return the row of a word's token, or of each of its tokens; none where it is left out."""
        row = self.row(word)
        if row is not None:
            return (row,)
        if self._rows is WordRows.SINGLE:
            return ()
        parts = [part.row for part in self._vocabulary.split(self._prefixes[0] + word)]
        known = tuple(row for row in parts if row is not None and row not in self._without_point)
        return known if len(known) == len(parts) else ()

    def row(self, word: str) -> int | None:
        """Return the row of the one token a word is; of several in other cases the first."""
        for prefix in self._prefixes:
            if (row := self._exact.get(prefix + word)) is not None:
                return row
            if self._case is Case.ANY and (found := self._folded.get((prefix + word).casefold())):
                return found[0]
        return None

    def spellings(self, word: str) -> tuple[int, ...]:
        """Return the rows that stand for a word of one token: that one, and where case is nothing, those in others."""
        row = self.row(word)
        if row is None:
            return ()
        if self._case is Case.EXACT:
            return (row,)
        others = {each for prefix in self._prefixes for each in self._folded.get((prefix + word).casefold(), ())}
        return (row, *sorted(others - {row}))
