"""Tokens as they are printed: forms that hide nothing and disturb nothing, and the bytes of those that are no text."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from functools import cache

SPACE_MARK = "␣"
DOTTED_CIRCLE = "◌"
NO_TEXT = "(no text)"
LONGEST_EXCERPT = 60
"""Characters of a token in a message; a tokenizer's longest has thousands."""
LEFT_TO_RIGHT_ISOLATE, FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2066", "\u2068", "\u2069"

_BYTE_PIECE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_NAMED = {escape[1]: character for character, escape in _NAMED_ESCAPES.items()}
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt\\])")
_ISOLATES = dict.fromkeys(map(ord, (LEFT_TO_RIGHT_ISOLATE, FIRST_STRONG_ISOLATE, POP_ISOLATE)))
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

    `text` is the decoded token, `piece` the entry of the tokenizer's vocabulary it stands for.
    """
    if _is_byte(text, piece):
        return bytes([int(piece[3:5], 16)])
    if "\ufffd" not in text or not all(character in byte_alphabet() for character in piece):
        return None
    raw = bytes(byte_alphabet()[character] for character in piece)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw
    return None


def byte_spelling(raw: bytes) -> str:
    """Return bytes as byte-level BPE writes them: `byte_spelling(b" planet")` is `Ġplanet`."""
    return "".join(_characters_of_bytes()[byte] for byte in raw)


@cache
def _characters_of_bytes() -> dict[int, str]:
    return {byte: character for character, byte in byte_alphabet().items()}


def _is_byte(text: str, piece: str) -> bool:
    """Whether a piece is a byte as SentencePiece writes it, `<0x0A>`, and not these six characters themselves."""
    return text != piece and _BYTE_PIECE.fullmatch(piece) is not None


def _visible(character: str) -> str:
    if character in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[character]
    if character == SPACE_MARK:
        return _escaped(character)
    if character == " " or unicodedata.category(character)[0] in _PLAIN_CATEGORIES:
        return character
    return _escaped(character)


def _escaped(character: str) -> str:
    point = ord(character)
    # From 0x80 on, \xNN is a byte that is no character.
    return f"\\x{point:02x}" if point < 0x80 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _visible_or_byte(character: str) -> str:
    """Show a byte that decoding with `surrogateescape` left over as one."""
    return f"\\x{ord(character) - 0xDC00:02x}" if "\udc80" <= character <= "\udcff" else _visible(character)


def display(text: str | None, piece: str | None = None) -> str:
    r"""Return a form of a token that is safe to print and hides nothing.

    Spaces at either end become `␣`; control, format and private characters, other spaces and stray bytes become
    escapes, a backslash a double one; a combining mark without its base stands on `◌`; text with right-to-left letters
    is isolated so that it cannot reorder what stands beside it. `display(" a\n")` is `␣a\n`, four characters.
    Different texts have different forms, also from that of no text; a byte that is a token has its piece's (`<0x0A>`).
    """
    if text is None:
        return NO_TEXT
    if text == NO_TEXT:  # a token that says so
        return _escaped(text[0]) + text[1:]
    if piece is not None and _is_byte(text, piece):
        return piece
    raw = stray_bytes(text, piece) if piece is not None else None
    if raw is not None:
        text = raw.decode("utf-8", errors="surrogateescape")
    core = text.strip(" ")
    before = len(text) - len(text.lstrip(" ")) if core else len(text)
    after = len(text) - before - len(core)
    visible = "".join(_visible(character) if raw is None else _visible_or_byte(character) for character in core)
    if _begins_with_a_mark(visible):
        visible = DOTTED_CIRCLE + visible
    elif visible.startswith(DOTTED_CIRCLE) and _begins_with_a_mark(visible[1:]):
        visible = _escaped(DOTTED_CIRCLE) + visible[1:]
    if any(unicodedata.bidirectional(character) in {"R", "AL", "AN"} for character in visible):
        # An escape reads from left to right wherever it stands.
        visible = (LEFT_TO_RIGHT_ISOLATE if "\\" in visible else FIRST_STRONG_ISOLATE) + visible + POP_ISOLATE
    return SPACE_MARK * before + visible + SPACE_MARK * after


def excerpt(text: str | None, piece: str | None = None) -> str:
    """Return what `display` makes of a token, for a message: of a long one the first characters, and an ellipsis."""
    if text is None or len(text) <= LONGEST_EXCERPT:
        return display(text, piece)
    return display(text[:LONGEST_EXCERPT]) + "…"


def quoted(text: str) -> str:
    r"""Return a text as JSON has it: in quotes, with escapes for what is no letter, mark, sign or plain space.

    What `json.loads` reads back as the same text. Unlike `display` it marks no space and keeps no direction of writing.
    """

    def written(character: str) -> str:
        if character == " " or (character.isascii() and character.isprintable()):
            return json.dumps(character)[1:-1]
        return character if unicodedata.category(character)[0] in _PLAIN_CATEGORIES else json.dumps(character)[1:-1]

    return f'"{"".join(map(written, text))}"'


def undisplayed(form: str) -> str:
    r"""Return the text that `display` shows in a form; a stray byte as `surrogateescape` decodes it.

    `undisplayed("␣a\n")` is ` a` before a line break. What is no such form comes back as it is.
    """
    bare = without_isolates(form)
    core = bare.strip(SPACE_MARK)
    before = len(bare) - len(bare.lstrip(SPACE_MARK))
    after = len(bare) - before - len(core)
    if core.startswith(DOTTED_CIRCLE) and _begins_with_a_mark(core[1:]):
        core = core[1:]
    return " " * before + _ESCAPE.sub(_unescaped, core) + " " * after


def without_isolates(form: str) -> str:
    """Return a printed form without what keeps right-to-left letters to themselves; a terminal may not copy it."""
    return form.translate(_ISOLATES)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if code in _NAMED:
        return _NAMED[code]
    point = int(code[1:], 16)
    if code[0] == "x" and point >= 0x80:
        return chr(0xDC00 + point)
    return chr(point) if point <= sys.maxunicode else escape[0]


def _begins_with_a_mark(text: str) -> bool:
    return text != "" and unicodedata.category(text[0])[0] == "M"
