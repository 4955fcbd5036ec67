"""Facts and tables as lines of a terminal, however narrow it is: texts give way first, and numbers never.

Token texts are shown in printable form (`display`), always in the last column, so that no script, width or direction of
writing can move another column. Lines are laid out here because rich takes 25 ms for the tables of one answer, and on a
narrow terminal drops columns and cuts numbers without a mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from index.answers.page import MOST_OF_SEVERAL, Column, Facts, Part, Reference, Several, Table, Words, parts
from index.errors import one_line
from index.tokens.display import display

if TYPE_CHECKING:
    from index.tokens.vocabulary import Token

TEXT_CELLS = 40
"""How wide a token's text may be in a table."""

LEAST_TEXT_CELLS = 8
"""How narrow it may become before the figures beside it are set more closely."""

LEAST_FACT_CELLS = 24
"""How narrow the values beside names may be before one that does not fit stands below its name."""

FIGURE_CELLS = {"row": 6, "id": 6, "logometers": 10, "similarity": 10, "chord": 8, "density": 9, "rule": 8}
"""How wide a column of figures is where there is room."""

GAP = 3
"""Spaces between columns, where there is room."""

PLAIN, BOLD, DIM = Style.null(), Style(bold=True), Style(dim=True)


def plain(words: Words) -> str:
    """Return texts, tokens and questions as one line of a terminal."""
    return "".join(map(_plain, parts(words)))


def _plain(part: Part) -> str:
    if isinstance(part, str | Reference):
        return one_line(part if isinstance(part, str) else part.said)
    return shown(part)


def shown(token: Token) -> str:
    """Return a token's printable form, cut to fit a table."""
    return _cut(display(token.text, token.piece), TEXT_CELLS)


@dataclass(frozen=True)
class Lines:
    """Facts or a table, for rich to print."""

    block: Facts | Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield its lines, none wider than the terminal but for a figure that is."""
        width = max(options.max_width, 1)
        lines = _facts(self.block, width, console) if isinstance(self.block, Facts) else _table(self.block, width)
        for line in lines:
            yield from line
            yield Segment.line()


Line = list[Segment]


def _facts(block: Facts, width: int, console: Console) -> Iterator[Line]:
    """Yield names and values side by side; below its name what would be torn beside it."""
    rows = [(name, plain(value)) for name, value in block.rows]
    names = max((cell_len(name) for name, _ in rows), default=0)
    values = max((cell_len(value) for _, value in rows), default=0)
    room = width - names - 2
    longest = max((cell_len(word) for _, value in rows for word in value.split()), default=0)
    if values > room and longest > room < LEAST_FACT_CELLS:
        for name, value in rows:
            yield [Segment(_cut(name, width), DIM)]
            yield from ([Segment(f"  {line}")] for line in _wrapped(value, max(width - 2, 1), console))
        return
    for name, value in rows:
        wrapped = [value] if cell_len(value) <= room else _wrapped(value, room, console)
        for n, line in enumerate(wrapped):
            beside = name if n == 0 else ""
            yield [Segment(_left(beside, names), DIM), Segment("  "), Segment(_left(line, min(values, room)), PLAIN)]


def _wrapped(text: str, width: int, console: Console) -> list[str]:
    return [line.plain.rstrip() for line in Text(text).wrap(console, width, overflow="fold")] or [""]


@dataclass(frozen=True)
class _Layout:
    """Where the cells of a row go."""

    lines: list[list[int]]  # the columns on each line: one line, where they fit
    widths: list[int]  # of the columns
    gap: int


def _table(block: Table, width: int) -> Iterator[Line]:
    """Yield figures to the right and, last, texts to the left; names of rows and marks to the left, too."""
    names, cells = block.names, [list(map(plain, row)) for row in block.rows]
    figures = [max(cell_len(row[n]) for row in (names, *cells)) for n in range(len(names))]
    layout = _layout(block, figures, width)
    for row, words in zip(cells, block.rows, strict=True):
        if isinstance(words[-1], Several):
            row[-1] = _as_many_as_fit(words[-1], layout.widths[-1])
    to_left = [not name for name in names]
    to_left[-1] = to_left[-1] or block.of_tokens

    def lines(row: Sequence[str]) -> Iterator[list[str]]:
        for columns in layout.lines:
            yield [(_left if to_left[n] else _right)(_cut(row[n], layout.widths[n]), layout.widths[n]) for n in columns]

    yield from (_spaced(line, layout.gap, [BOLD] * len(line)) for line in lines(names))
    if block.of_tokens:
        spans = (sum(layout.widths[n] for n in line) + layout.gap * (len(line) - 1) for line in layout.lines)
        yield [Segment("─" * max(spans))]
    first = PLAIN if names[0] or block.of_tokens else DIM
    for row in cells:
        for n, line in enumerate(lines(row)):
            if cell_len(line[0]) > width:  # one figure alone, such as `31,060 (31,058-31,064)`
                yield from ([Segment(part)] for part in wrap(line[0], width))
            else:
                yield _spaced(line, layout.gap, [first if n == 0 else PLAIN] + [PLAIN] * (len(line) - 1))


def _spaced(cells: Sequence[str], gap: int, styles: Sequence[Style]) -> Line:
    """Return cells with spaces between, each a segment of its own, as rich makes them."""
    line = [Segment(cells[0], styles[0])]
    for cell, style in zip(cells[1:], styles[1:], strict=True):
        line += (Segment(" " * gap), Segment(cell, style))
    return line


def _layout(block: Table, needed: list[int], width: int) -> _Layout:
    """Lay out columns that need some cells each: with room, closely, or a row on several lines."""
    *figures, last = needed
    least = min(last, LEAST_TEXT_CELLS) if block.of_tokens else last
    wide = [max(cells, _usual(column)) for column, cells in zip(block.columns, figures, strict=False)]
    if not block.of_tokens:
        wide = figures
    for widths, gap in ((wide, GAP), (figures, 1)):
        room = width - sum(widths) - gap * len(widths)
        if room >= least:
            return _Layout([list(range(len(needed)))], [*widths, min(last, room)], gap)
    lines: list[list[int]] = [[]]
    room = width
    for n, cells in enumerate([*figures, least]):
        if lines[-1] and room < cells:
            lines.append([])
            room = width
        lines[-1].append(n)
        room -= cells + 1
    return _Layout(lines, [*figures, min(last, least + max(room + 1, 0)) if block.of_tokens else last], 1)


def _usual(column: str | Column) -> int:
    return column.cells if isinstance(column, Column) else FIGURE_CELLS.get(column, max(len(column), 1))


def _as_many_as_fit(several: Several, cells: int) -> str:
    """Return whole tokens and how many more there are; of one that is too wide by itself, what fits."""
    texts = (plain(several.parts(named)) for named in range(min(len(several.tokens), MOST_OF_SEVERAL), 0, -1))
    return next((text for text in texts if cell_len(text) <= cells), plain(several.tokens[0]))


def _cut(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"


def _left(text: str, cells: int) -> str:
    return text + " " * (cells - cell_len(text))


def _right(text: str, cells: int) -> str:
    return " " * (cells - cell_len(text)) + text
