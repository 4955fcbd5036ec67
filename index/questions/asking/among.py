"""A part of the vocabulary that a question keeps to: a named set, a kind of token, a script, what a file lists.

::

    @words                        a set that comes with every bundle, or one that was kept beside this one
    kind=word,word-start          what the columns `kind` and `script` of `tokens.parquet` say
    ids.txt                       a file of ids, a mask, or a list of words
    @hubs,@untrained,script=Thai  several, with commas between: all that any of them holds
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.answers.answer import Answer
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.questions.asking.named_sets import MARK, named_rows
from index.questions.asking.token_files import HOLDS, ids_of_mask, read_tokens, resolve_words

COLUMNS = ("kind", "script")
"""What of `tokens.parquet` a subset can be named by: `kind=word`, `script=Thai,Lao`."""

LISTED_VALUES = 12
LISTED_WORDS = 5

_WANTED = f"wanted @SET, {', '.join(f'{column}=VALUE' for column in COLUMNS)}, or a file of {HOLDS}"


@dataclass(frozen=True, eq=False)
class Subset:
    """Some tokens of a bundle."""

    name: str  # as it was asked for: `@words without @hubs`, a file, `kind=word`
    rows: np.ndarray  # (n,) int32, ascending, each once
    unresolved: tuple[str, ...] = ()  # words of a list that name no single token

    def __len__(self) -> int:
        return len(self.rows)

    def holds(self, rows: np.ndarray) -> np.ndarray:
        """Return which of some rows, (n,), are among these, (n,) bool."""
        if len(self.rows) == 0:
            return np.zeros(len(rows), bool)
        wanted = np.asarray(rows, self.rows.dtype)
        places = np.searchsorted(self.rows, wanted).clip(max=len(self.rows) - 1)
        return np.asarray(self.rows[places] == wanted)

    @property
    def note(self) -> str | None:
        """Say which words of a list are no single token; None where all are."""
        if not self.unresolved:
            return None
        named = ", ".join(map(repr, self.unresolved[:LISTED_WORDS]))
        more = f" and {len(self.unresolved) - LISTED_WORDS:,} more" if len(self.unresolved) > LISTED_WORDS else ""
        return f"{self.name}: left out as no single token: {named}{more}"


class AmongSome(Answer):
    """An answer that may keep to some tokens."""

    among: Subset | None

    @property
    def note(self) -> str | None:
        """Say which words of a list were no token."""
        return None if self.among is None else self.among.note


def kept(bundle: Bundle, among: Subset | None, without: Subset | None) -> Subset | None:
    """Return the tokens that a question keeps to: some, less others; None for the whole vocabulary.

    ParameterError where none is left.
    """
    if without is None:
        if among is not None and len(among) == 0:
            raise ParameterError(f"{parameter('among')} {among.name} holds none of the {len(bundle):,} tokens here")
        return among
    rows = np.arange(len(bundle), dtype=np.int32) if among is None else among.rows
    rows = rows[~np.isin(rows, without.rows)]
    name = f"{'all' if among is None else among.name} without {without.name}"
    if len(rows) == 0:
        raise ParameterError(f"{parameter('without')} {without.name} leaves no token of {bundle.name} to ask about")
    return Subset(name, rows, (*(() if among is None else among.unresolved), *without.unresolved))


def subset(bundle: Bundle, wanted: str, named: str = "among") -> Subset:
    """Return the tokens that `wanted` names; ParameterError, about the parameter `named`, for such as are not there."""
    found = [_part(bundle, each, named) for each in _parts(wanted)]
    rows = np.unique(np.concatenate([rows for rows, _ in found])).astype(np.int32)
    return Subset(wanted, rows, tuple(word for _, words in found for word in words))


def listed_subset(bundle: Bundle, values: Sequence[int] | Sequence[str] | np.ndarray, named: str = "among") -> Subset:
    """Return the tokens of ids, of words, or of a mask of bools; ParameterError for ids that are not there, or none."""
    where = parameter(named)
    if len(values) == 0:
        raise ParameterError(f"{where} is empty; wanted token ids")
    if isinstance(values, np.ndarray) and values.dtype == bool:
        return Subset("a mask", _rows_of_ids(bundle, ids_of_mask(bundle, values, where), "as a mask", where))
    if all(isinstance(each, str) for each in values):
        ids, words = resolve_words(bundle, map(str, values), where)
        return Subset("words", _rows_of_ids(bundle, ids, "as words", where), words)
    name = "ids" if len(values) > 1 else f"#{values[0]}"
    return Subset(name, _rows_of_ids(bundle, np.array(values, dtype=np.int64), name, where))


def files_in(wanted: str) -> list[str]:
    """Return the names of the files among what a text names, none of which is read."""
    return [each for each in _parts(wanted) if not each.startswith(MARK) and _column_of(each) is None]


def _parts(wanted: str) -> Iterator[str]:
    """Yield what stands between commas; the values of a column are one part."""
    if _is_file(wanted):
        yield wanted
        return
    held = ""
    for each in map(str.strip, wanted.split(",")):
        if _column_of(held) is not None and not each.startswith(MARK) and _column_of(each) is None:
            held += f",{each}"
            continue
        if held:
            yield held
        held = each
    yield held


def _is_file(wanted: str) -> bool:
    """Whether a text with commas is the name of one file."""
    if wanted.startswith(MARK) or _column_of(wanted) is not None:
        return False
    try:
        return Path(wanted).is_file()
    except (OSError, ValueError):
        return False


def _column_of(part: str) -> str | None:
    column, equals, _ = part.partition("=")
    return column if equals and column in COLUMNS else None


def _part(bundle: Bundle, part: str, named: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the rows of one part, and the words in it that are no token."""
    where = f"{parameter(named)} {part}"
    if not part:
        raise ParameterError(f"{parameter(named)} has nothing before or behind a comma; {_WANTED}")
    if part.startswith(MARK):
        return named_rows(bundle, part.removeprefix(MARK), where), ()
    column = _column_of(part)
    if column is not None:
        values = part.partition("=")[2]
        return _rows_where(bundle, column, [value.strip() for value in values.split(",")], parameter(named)), ()
    ids, words = read_tokens(bundle, Path(part), where, _WANTED)
    return _rows_of_ids(bundle, ids, part, parameter(named)), words


def _rows_where(bundle: Bundle, column: str, values: list[str], where: str) -> np.ndarray:
    """Return the rows whose column holds one of the values, upper and lower case alike."""
    table = bundle.columns(column)
    entries = [None if entry is None else str(entry) for entry in table[column].to_pylist()]
    known = {entry.casefold(): entry for entry in entries if entry is not None}
    unknown = [value for value in values if value.casefold() not in known]
    if unknown:
        counts = Counter(entry for entry in entries if entry is not None)
        listed = ", ".join(f"{entry} ({count:,})" for entry, count in counts.most_common(LISTED_VALUES))
        more = f" and {len(counts) - LISTED_VALUES:,} more" if len(counts) > LISTED_VALUES else ""
        raise ParameterError(f"{where} {column}={unknown[0]!r:.60}: no token has it; there are {listed}{more}")
    chosen = {known[value.casefold()] for value in values}
    return np.array([row for row, entry in enumerate(entries) if entry in chosen], dtype=np.int32)


def _rows_of_ids(bundle: Bundle, ids: np.ndarray, wanted: str, where: str) -> np.ndarray:
    known = bundle.vocabulary.token_ids
    missing = np.setdiff1d(ids, known)
    if len(missing):
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise ParameterError(
            f"{where} {wanted} names token {missing[0]}{more}, which {bundle.name} has not: "
            f"its {len(bundle):,} ids lie between {known.min()} and {known.max()}"
        )
    return np.flatnonzero(np.isin(known, ids)).astype(np.int32)
