"""What every reader of a file needs: is there something to read, and what a library said against it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from index.errors import SourceError

LONGEST_REASON = 200
MOST_JSON_BYTES = 1 << 25
MOST_JSON_VALUES = 2_000_000
"""Of configurations and indexes; the largest have some hundred thousand. Each takes up to a hundred bytes of memory."""
_SEPARATORS = (b",", b":", b"[", b"{")


def require_content(path: Path) -> None:
    """Raise SourceError unless `path` is a regular file with something in it."""
    if not os.path.isfile(path):  # Path.is_file raises for a path that no file system takes
        raise SourceError(f"{path} is no regular file")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty: 0 bytes")


def require_few_values(text: bytes, most: int, path: Path) -> None:
    """Raise SourceError when a JSON text may hold more than `most` values: each stands behind a separator."""
    count = sum(text.count(separator) for separator in _SEPARATORS)
    if count > most:
        raise SourceError(f"{path} is refused: its JSON holds some {count:,} values, more than {most:,}")


def parse_json(text: bytes, path: Path) -> dict[str, Any]:
    """Return the one JSON object that a text from `path` holds, in bounded memory."""
    require_few_values(text, MOST_JSON_VALUES, path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {brief(error)}") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path} holds a JSON {type(content).__name__}; wanted an object")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object."""
    require_content(path)
    size = path.stat().st_size
    if size > MOST_JSON_BYTES:
        raise SourceError(f"{path} is refused: it has {size:,} bytes, more than {MOST_JSON_BYTES:,}")
    return parse_json(path.read_bytes(), path)


def brief(error: BaseException | str) -> str:
    """Return what an error says as one short line without control characters."""
    line = " ".join((str(error).strip() or type(error).__name__).split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"
