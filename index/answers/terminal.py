"""Answers on a terminal, and as an SVG picture of one.

Token texts are shown in printable form (`display`), always in the last column, so that no script, width or direction of
writing can move another column.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from index.answers.page import Block, Column, Facts, Heading, Table, Words, parts
from index.errors import one_line
from index.tokens.display import display

if TYPE_CHECKING:
    from index.tokens.vocabulary import Token

TEXT_CELLS = 40
"""How wide a token's text may be in a table."""

FIGURE_CELLS = {"row": 6, "id": 6, "logometers": 10, "similarity": 10, "chord": 8, "density": 9, "rule": 8}
"""How wide a column of figures always is."""

COLUMNS = 84
"""How many characters wide the terminal of a picture is."""

_FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: {fonts}; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
""".replace("{fonts}", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")
"""Rich's own template, but with fonts of the viewer: rich's loads one from the network."""


def renderable(page: Iterable[Block]) -> RenderableType:
    """Return a page as what rich prints."""
    return Group(*map(_block, page))


def plain(words: Words) -> str:
    """Return texts and tokens as one line of a terminal."""
    return "".join(one_line(part) if isinstance(part, str) else shown(part) for part in parts(words))


def shown(token: Token) -> str:
    """Return a token's printable form, cut to fit a table."""
    text = display(token.text, token.piece)
    return text if cell_len(text) <= TEXT_CELLS else set_cell_size(text, TEXT_CELLS - 1) + "…"


def terminal_svg(page: Iterable[Block], *, title: str) -> str:
    """Return a picture of a terminal that shows a page, in a window of this title. The same page, the same text."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), highlight=False, color_system="truecolor")
    console.print(renderable(page))
    return console.export_svg(title=title, code_format=_FORMAT)


def _block(block: Block) -> RenderableType:
    if isinstance(block, Heading):
        named = block.text if isinstance(block.text, str) else f"{shown(block.text)}  #{block.text.id}"
        return Text(f"\n{named}", style="bold")
    if isinstance(block, Facts):
        return _facts(block)
    if isinstance(block, Table):
        return _figures(block) if block.of_tokens else _grid(block)
    return Text(block.text, "dim" if block.aside else "")


def _facts(block: Facts) -> RichTable:
    table = RichTable.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in block.rows:
        table.add_row(Text(name, style="dim"), Text(plain(value)))
    return table


def _figures(block: Table) -> RichTable:
    """Return right-aligned figures and, last, texts, which alone give way on a narrow terminal."""
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in block.columns[:-1]:
        name = column.name if isinstance(column, Column) else column
        cells = column.cells if isinstance(column, Column) else FIGURE_CELLS.get(name, len(name))
        if name:
            table.add_column(name, justify="right", no_wrap=True, min_width=cells)
        else:  # of marks
            table.add_column("", no_wrap=True, min_width=1)
    table.add_column(block.names[-1], overflow="ellipsis")  # not no_wrap: rich does not shrink such a column
    for row in block.rows:
        table.add_row(*map(Text, map(plain, row[:-1])), Text(plain(row[-1]), no_wrap=True, overflow="ellipsis"))
    return table


def _grid(block: Table) -> RichTable:
    """Return right-aligned figures behind the names of their rows, if they have any."""
    table = RichTable.grid(padding=(0, 3))
    for name in block.names:
        table.add_column(no_wrap=True, justify="right" if name else "left")
    table.add_row(*(Text(name, "bold") for name in block.names))
    for row in block.rows:
        first = Text(plain(row[0]), "" if block.names[0] else "dim")
        table.add_row(first, *map(Text, map(plain, row[1:])))
    return table
