"""What every reader of a file needs: is there something to read, and what a library said against it."""

from __future__ import annotations

from pathlib import Path

from index.errors import SourceError

LONGEST_REASON = 200


def require_content(path: Path) -> None:
    """Raise SourceError unless `path` is a regular file with something in it."""
    if not path.is_file():
        raise SourceError(f"{path} is no regular file")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty: 0 bytes")


def brief(error: BaseException) -> str:
    """Return what an error says as one short line without control characters."""
    line = " ".join((str(error).strip() or type(error).__name__).split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"
