"""What an answer shows, before it is known where: headings, facts, tables, sentences.

A terminal (`index.answers.terminal`) and the pages of `explore` make their own out of the same blocks. Numbers come as
the texts they are shown as, and tokens as records, because each place has its own printable form of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from index.tokens.vocabulary import Token


@dataclass(frozen=True)
class Reference:
    """Another question, to be asked next: a page leads to its answer, elsewhere it is named."""

    said: str  # as a command line names it
    question: str
    typed: Mapping[str, str] = field(default_factory=dict)  # the values of its parameters, as they are typed


Part: TypeAlias = "str | Token | Reference"
Words: TypeAlias = "Part | tuple[Part, ...] | Several"
"""A text, a token, a question, or several of them one behind the other."""

MOST_OF_SEVERAL = 12
"""How many tokens of a group are named before the rest is only counted."""

SMALLEST = 1e-4
"""Six decimals of less than this would be two digits, or none: a distance that is not zero shown as one."""

TEXT = "text"
"""The name of a column of tokens, always the last: no script, width or direction of writing can move another column."""


@dataclass(frozen=True)
class Several:
    """Tokens of a group side by side: a place names as many as it has room for, and counts the rest."""

    tokens: tuple[Token, ...]

    def parts(self, named: int = MOST_OF_SEVERAL) -> tuple[str | Token, ...]:
        """Return the first tokens, two spaces between them, and how many more there are."""
        texts = [part for token in self.tokens[:named] for part in ("  ", token)][1:]
        rest = len(self.tokens) - named
        return (*texts, f"  and {rest:,} more") if rest > 0 else tuple(texts)


@dataclass(frozen=True)
class Heading:
    """The name of a part; a token stands with its id."""

    text: str | Token


@dataclass(frozen=True)
class Facts:
    """Names and values side by side; a name behind spaces belongs to the one before."""

    rows: tuple[tuple[str, Words], ...]


@dataclass(frozen=True)
class Column:
    """A column that a terminal keeps wider than its name."""

    name: str
    cells: int


@dataclass(frozen=True)
class Table:
    """Figures, and perhaps tokens. A first column without a name holds the names of the rows."""

    columns: tuple[str | Column, ...]
    rows: tuple[tuple[Words, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column if isinstance(column, str) else column.name for column in self.columns)

    @property
    def of_tokens(self) -> bool:
        """Whether the last column holds tokens."""
        return self.names[-1] == TEXT


@dataclass(frozen=True)
class Sentence:
    """A line of words. An aside explains a mark or counts what is not shown."""

    text: str
    aside: bool = False


Block = Heading | Facts | Table | Sentence


def facts(rows: Iterable[tuple[str, Words]]) -> Facts:
    """Return names and values as a block."""
    return Facts(tuple(rows))


def table(columns: Sequence[str | Column], rows: Iterable[Sequence[Words]]) -> Table:
    """Return a table as a block."""
    return Table(tuple(columns), tuple(tuple(row) for row in rows))


def parts(words: Words) -> tuple[Part, ...]:
    """Return texts, tokens and questions one by one."""
    if isinstance(words, Several):
        return words.parts()
    return words if isinstance(words, tuple) else (words,)


def passed(whether: bool) -> str:
    """Return whether a check passed, in a word."""
    return "passed" if whether else "FAILED"


def as_length(value: float) -> str:
    """Return a distance as it is shown: with six decimals, or by powers of ten where these would hide it."""
    return f"{value:.2e}" if 0 < abs(value) < SMALLEST else f"{value:.6f}"


def counted(number: int, noun: str) -> str:
    """Return a number of things: `counted(1, "neighbor")` is `1 neighbor`, `counted(20, "neighbor")` `20 neighbors`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Return names, one or more, in a sentence: `a`, `a and b`, `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


SHARE_CELLS = 14
"""How long the bar of a whole is."""

BAR_CELLS = 10
"""How long the longest bar in a table is."""

_EIGHTHS = " ▏▎▍▌▋▊▉"


def bars(counts: Sequence[int]) -> list[str]:
    """Return bars for a column of a table, one for each count, on a logarithmic scale; none for 0, a stub for 1."""
    most = math.log(1 + max(counts, default=0)) or 1.0
    eighths = [max(1, round(8 * BAR_CELLS * math.log(1 + count) / most)) if count else 0 for count in counts]
    return [("█" * (length // 8) + _EIGHTHS[length % 8]).rstrip() for length in eighths]


def share_bar(share: float, chance: float) -> str:
    """Return a bar of a share from 0 to 1, as long as that of a whole, with a line at chance; none where there is none.

    The line stands between two cells, the nearest to chance.
    """
    if math.isnan(share):
        return ""
    eighths = round(8 * SHARE_CELLS * share)
    cells = ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(SHARE_CELLS, "░")
    at = SHARE_CELLS if math.isnan(chance) else round(SHARE_CELLS * chance)
    return f"{cells[:at]}{'' if math.isnan(chance) else '│'}{cells[at:]}"
