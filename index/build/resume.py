"""A stopped build goes on where it stopped: which of its spaces are finished, and what they were made from.

Each finished space has a record `SPACE.json` beside the folder of the bundle being built. It is written last, and holds
what the space was made from, the SHA-256 of its files, and its facts. A space is used again only where all of what it
would be made from now is the same and its files are, bit by bit, what was written; whatever else is there is removed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from index.bundle.checksums import file_sha256

BUNDLE = "bundle"
"""The folder of the bundle being built, within the folder of the build."""


def keep(work: Path, space: str, inputs: dict[str, Any], files: Sequence[str], facts: dict[str, Any]) -> None:
    """Record that a space is finished, in the folder of the build.

    `inputs` are all that decides what is in the files, as JSON; `facts` the space's entry in the manifest.
    """
    record = {"inputs": inputs, "files": _checksums(work, files), "facts": facts}
    beside = work / f"{space}.unfinished"
    beside.write_text(json.dumps(record), encoding="utf-8")
    os.replace(beside, work / f"{space}.json")


def find(work: Path, space: str, inputs: dict[str, Any], files: Sequence[str]) -> dict[str, Any] | None:
    """Return the facts of a space that a stopped build finished and that is fit to be used again.

    Otherwise None, and its files are removed.
    """
    record = _read(work / f"{space}.json")
    if record is not None and record["inputs"] == inputs and record["files"] == _checksums(work, files):
        facts: dict[str, Any] = record["facts"]
        return facts
    # Removed, not overwritten: somebody may have the files of a bundle mapped that was replaced here.
    for path in (work / f"{space}.json", *(work / BUNDLE / name for name in (record or {}).get("files", files))):
        path.unlink(missing_ok=True)
    return None


def clear_unfinished(work: Path) -> tuple[str, ...]:
    """Remove all but the files of recorded spaces, unchecked; return the names of those spaces."""
    records = {path: record for path in work.glob("*.json") if (record := _read(path)) is not None}
    wanted = {work / BUNDLE / name for record in records.values() for name in record["files"]}
    for path in [*work.iterdir(), *(work / BUNDLE).glob("*")]:
        if path not in wanted and path not in records and path != work / BUNDLE:
            remove(path)
    return tuple(sorted(path.stem for path in records))


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing to remove is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
