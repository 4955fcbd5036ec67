"""Tokens as they are printed: forms that hide nothing and disturb nothing, and the bytes of those that are no text."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

SPACE_MARK = "␣"
DOTTED_CIRCLE = "◌"
LEFT_TO_RIGHT_ISOLATE, FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2066", "\u2068", "\u2069"

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_PLAIN_CATEGORIES = frozenset("LMNPS")


@cache
def byte_alphabet() -> dict[str, int]:
    """Return the character that byte-level BPE writes for each byte, as a map from character to byte.

    GPT-2's table (`bytes_to_unicode` in its encoder.py): printable Latin-1 bytes stand for themselves, the other 68
    are moved up from U+0100 on, so that `Ġplanet` is ` planet`.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(moved)}


def stray_bytes(text: str, piece: str) -> bytes | None:
    """Return the bytes of a token that is no whole UTF-8 text, None for every other token.

    Parameters
    ----------
    text, piece : str
        The decoded token, and the entry of the tokenizer's vocabulary it stands for.
    """
    if match := _BYTE_PIECE.fullmatch(piece):
        return bytes([int(match[1], 16)])
    if "\ufffd" not in text or not all(character in byte_alphabet() for character in piece):
        return None
    raw = bytes(byte_alphabet()[character] for character in piece)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw
    return None


def _visible(character: str) -> str:
    if character in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[character]
    if character == " " or unicodedata.category(character)[0] in _PLAIN_CATEGORIES:
        return character
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _visible_or_byte(character: str) -> str:
    """Show a byte that decoding with `surrogateescape` left over as one."""
    return f"\\x{ord(character) - 0xDC00:02x}" if "\udc80" <= character <= "\udcff" else _visible(character)


def display(text: str | None, piece: str | None = None) -> str:
    r"""Return a form of a token that is safe to print and hides nothing.

    Spaces at either end become `␣`; control, format and private characters, other spaces and stray bytes become
    escapes, a backslash a double one; a combining mark without its base stands on `◌`; text with right-to-left letters
    is isolated so that it cannot reorder what stands beside it. `display(" a\n")` is `␣a\n`, four characters.
    """
    if text is None:
        return "(no text)"
    raw = stray_bytes(text, piece) if piece is not None else None
    if raw is not None:
        text = raw.decode("utf-8", errors="surrogateescape")
    core = text.strip(" ")
    before = len(text) - len(text.lstrip(" ")) if core else len(text)
    after = len(text) - before - len(core)
    visible = "".join(_visible(character) if raw is None else _visible_or_byte(character) for character in core)
    if visible and unicodedata.category(visible[0])[0] == "M":
        visible = DOTTED_CIRCLE + visible
    if any(unicodedata.bidirectional(character) in {"R", "AL", "AN"} for character in visible):
        # An escape reads from left to right wherever it stands.
        visible = (LEFT_TO_RIGHT_ISOLATE if "\\" in visible else FIRST_STRONG_ISOLATE) + visible + POP_ISOLATE
    return SPACE_MARK * before + visible + SPACE_MARK * after
