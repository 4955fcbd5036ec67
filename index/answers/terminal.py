"""A terminal report as an SVG picture of a terminal."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType

from index.errors import ParameterError
from index.files import brief

COLUMNS = 84
"""How many characters wide the terminal is."""

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


def terminal_svg(report: RenderableType, *, title: str) -> str:
    """Return a picture of a terminal that shows a report. The same report gives the same text.

    Parameters
    ----------
    report : rich renderable
    title : str
        Of the terminal's window.
    """
    console = Console(record=True, width=COLUMNS, file=StringIO(), highlight=False, color_system="truecolor")
    console.print(report)
    return console.export_svg(title=title, code_format=_FORMAT)


def write_terminal_svg(report: RenderableType, path: Path, *, title: str) -> None:
    """Write `terminal_svg` to a file, in place of what is there.

    Raises
    ------
    ParameterError
        When the file cannot be written.
    """
    try:
        path.write_text(terminal_svg(report, title=title), encoding="utf-8", newline="\n")
    except OSError as error:
        raise ParameterError(f"--svg {path} cannot be written: {brief(error)}") from error
