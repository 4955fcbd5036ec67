"""Fonts for token texts in any script, and escapes for the characters that no font here can draw."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from rich.cells import cell_len

from index.tokens.display import FIRST_STRONG_ISOLATE, LEFT_TO_RIGHT_ISOLATE, POP_ISOLATE, SPACE_MARK

PACKAGES = ("fonts-noto-core", "fonts-noto-cjk", "fonts-symbola")
"""The Debian packages whose fonts are looked for; other systems have them under similar names."""

LABEL_CELLS = 24
"""How wide a label may be, in cells of a terminal: half the width of a Chinese character."""

_FALLBACKS = re.compile(r"NotoSans.*-Regular|Symbola.*|Arial Unicode")
"""File names of the fonts tried after matplotlib's own; the last is what macOS has."""

_GAPS = re.compile(" {2,}")

_ISOLATES = str.maketrans("", "", LEFT_TO_RIGHT_ISOLATE + FIRST_STRONG_ISOLATE + POP_ISOLATE)


@dataclass(frozen=True)
class Typeface:
    """Fonts that together draw some texts."""

    families: tuple[str, ...]  # matplotlib takes each character from the first that has it
    missing: frozenset[str]  # characters that none of them has
    outlined: frozenset[str] = frozenset()  # characters of fonts with PostScript outlines (CFF), as Noto's Chinese one

    def label(self, text: str, cells: int = LABEL_CELLS) -> str:
        r"""Return the form of a text to draw: `\uXXXX` for what is missing, and an ellipsis where it is too wide.

        The text is a printable form (`tokens.display`). Its bidi isolates are dropped: a label stands alone, and
        matplotlib's PDF misplaces what follows one. Spaces that follow each other become `␣`, or two texts would seem
        to stand there.
        """
        seen = _GAPS.sub(lambda gap: SPACE_MARK * len(gap[0]), bare(text))
        parts = [_escape(character) if character in self.missing else character for character in seen]
        room = cells
        for place, part in enumerate(parts):
            if cell_len(part) > room:
                return _cut(parts[:place], cells - 1)
            room -= cell_len(part)
        return "".join(parts)


def typeface(texts: Iterable[str]) -> Typeface:
    """Find fonts on this machine for all characters of some texts.

    The files are listed anew each time: matplotlib's own list is of the day it was first used, and would miss fonts
    installed since.
    """
    missing = {character for text in texts for character in bare(text)} | {SPACE_MARK, "…"}
    families: list[str] = []
    outlined: set[str] = set()
    for path in _font_files():
        font = FT2Font(path)
        drawn = {character for character in missing if font.get_char_index(ord(character))}
        if drawn or not families:
            font_manager.fontManager.addfont(path)
            families.append(font.family_name)
            outlined |= drawn if _is_postscript(path) else set()
            missing -= drawn
        if not missing:
            break
    return Typeface(tuple(families), frozenset(missing), frozenset(outlined))


def bare(text: str) -> str:
    """Return a printable form without its bidi isolates; right-to-left letters among escapes become escapes, too."""
    if LEFT_TO_RIGHT_ISOLATE in text:
        text = "".join(_escape(each) if unicodedata.bidirectional(each) in {"R", "AL", "AN"} else each for each in text)
    return text.translate(_ISOLATES)


def _cut(parts: list[str], cells: int) -> str:
    while parts and sum(map(cell_len, parts)) > cells:
        parts = parts[:-1]
    return "".join(parts) + "…"


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _is_postscript(path: Path) -> bool:
    with TTFont(path, fontNumber=0, lazy=True) as font:  # of a collection, the first, as FT2Font reads it
        return bool(font.sfntVersion == "OTTO")


def _font_files() -> list[Path]:
    """Return matplotlib's own sans-serif font, then the fallbacks found on this machine."""
    own = Path(font_manager.findfont("DejaVu Sans"))
    found = {Path(path) for path in font_manager.findSystemFonts()}
    fallbacks = [path for path in found if _FALLBACKS.fullmatch(path.stem)]
    return [own, *sorted(fallbacks, key=_preference)]


def _preference(path: Path) -> tuple[int, str, str]:
    groups = ("NotoSans-Regular", "NotoSansCJK-Regular", "NotoSans", "Symbola", "Arial Unicode")
    return next(place for place, start in enumerate(groups) if path.stem.startswith(start)), path.stem, str(path)
