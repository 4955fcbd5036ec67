"""What a build that did not end has finished: its spaces, and tiles of the next, for the next run.

The record of a finished space is written last, and holds what the space was made from, the SHA-256 of its files, and
its facts. A space is used again only where all of what it would be made from now is the same and its files are, bit by
bit, what was written; whatever else is there is removed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from index.build.disk import remove
from index.bundle.checksums import file_sha256
from index.bundle.manifest import SpaceFacts

BUNDLE = "bundle"
"""The folder of the bundle being built, within the folder of the build."""
TILES = ".tiles"
"""What the folder of a graph that is made tile by tile ends in, within the folder of the build."""


def keep_space(work: Path, space: str, inputs: dict[str, Any], files: Sequence[str], facts: SpaceFacts) -> None:
    """Record that a space is finished, in the folder of the build.

    `inputs` are all that decides what is in the files, as JSON.
    """
    record = {"inputs": inputs, "files": _checksums(work, files), "facts": msgspec.to_builtins(facts)}
    beside = work / f"{space}.unfinished"
    beside.write_text(json.dumps(record), encoding="utf-8")
    os.replace(beside, work / f"{space}.json")


def find_space(work: Path, space: str, inputs: dict[str, Any], files: Sequence[str]) -> SpaceFacts | None:
    """Return the facts of a space that a stopped build finished and that is fit to be used again.

    Otherwise None, and its files are removed.
    """
    record = _read(work / f"{space}.json")
    if record is not None and record["inputs"] == inputs and record["files"] == _checksums(work, files):
        with suppress(msgspec.ValidationError):
            return msgspec.convert(record["facts"], SpaceFacts)
    # Removed, not overwritten: somebody may have the files of a bundle mapped that was replaced here.
    for path in (work / f"{space}.json", *(work / BUNDLE / name for name in (record or {}).get("files", files))):
        path.unlink(missing_ok=True)
    return None


def clear_tiles(work: Path, space: str) -> None:
    """Remove the tiles of a space whose graph is written."""
    for folder in work.glob(f"{space}-*{TILES}"):
        shutil.rmtree(folder, ignore_errors=True)


def clear_unfinished(work: Path) -> tuple[str, ...]:
    """Remove all but tiles and the files of recorded spaces, unchecked; return the names of those spaces."""
    records = {path: record for path in work.glob("*.json") if (record := _read(path)) is not None}
    wanted = {work / BUNDLE / name for record in records.values() for name in record["files"]}
    for path in [*work.iterdir(), *(work / BUNDLE).glob("*")]:
        tiles = path.suffix == TILES and path.is_dir() and not path.is_symlink()
        if path not in wanted and path not in records and path != work / BUNDLE and not tiles:
            remove(path)
    return tuple(sorted(path.stem for path in records))


def _checksums(work: Path, files: Sequence[str]) -> dict[str, str]:
    paths = [work / BUNDLE / name for name in files]
    return {path.name: file_sha256(path) for path in paths if path.is_file() and not path.is_symlink()}


def _read(path: Path) -> dict[str, Any] | None:
    """Return a record; None where there is none, or something else."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and set(record) == {"inputs", "files", "facts"}
    return record if whole and all(Path(name).name == name for name in record["files"]) else None
