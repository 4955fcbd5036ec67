"""Answers on a terminal, and as an SVG picture of one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape
from io import StringIO

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from index.answers.lines import Lines, shown
from index.answers.page import Block, Heading, Sentence

COLUMNS = 84
"""How many cells wide the terminal of a picture is."""

CELL_WIDTH = 12.2
"""Width of a cell in the picture: rich draws lines 20 high in a font whose characters are 0.61 as wide."""

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


def terminal_svg(page: Iterable[Block], *, title: str) -> str:
    """Return a picture of a terminal that shows a page, in a window of this title. The same page, the same text."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), highlight=False, color_system="truecolor")
    console.print(renderable(page))
    return _TEXT.sub(_as_wide_as_its_cells, console.export_svg(title=title, code_format=_FORMAT))


_TEXT = re.compile(r'textLength="[^"]*"([^>]*>)([^<]*)<')


def _as_wide_as_its_cells(found: re.Match[str]) -> str:
    """Give a piece of text the width of its cells: rich counts characters, and would press Chinese ones together."""
    return f'textLength="{CELL_WIDTH * cell_len(unescape(found[2])):g}"{found[1]}{found[2]}<'


def _block(block: Block) -> RenderableType:
    if isinstance(block, Heading):
        named = block.text if isinstance(block.text, str) else f"{shown(block.text)}  #{block.text.id}"
        return Text(f"\n{named}", style="bold")
    if isinstance(block, Sentence):
        return Text(block.text, "dim" if block.aside else "")
    return Lines(block)
