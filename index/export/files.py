"""Putting exported files in place: written beside their targets, renamed when all of them are whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from index.bundle.manifest import MANIFEST
from index.errors import ParameterError
from index.files import brief


@contextmanager
def placing(
    targets: Sequence[Path], *, overwrite: bool, folder_of: frozenset[str] = frozenset()
) -> Iterator[list[Path]]:
    """Give a path to write for each target; put them in place when the block ends well, else remove them.

    Parameters
    ----------
    targets : sequence of Path
        In one folder.
    overwrite : bool
        Whether what an earlier export left there may be replaced.
    folder_of : frozenset of str
        The files of a target that is a folder: one with anything else in it is not replaced. Empty for files.

    Raises
    ------
    ParameterError
        When a target may not be replaced, or cannot be written.
    """
    _check(targets, overwrite, folder_of)
    parent = targets[0].parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{targets[0].name}.writing-", dir=parent))
    except OSError as error:
        raise ParameterError(f"{parent} cannot be written: {brief(error)}; pass another --out") from error
    try:
        yield [beside / target.name for target in targets]
        _check(targets, overwrite, folder_of)
        for target in targets:
            if target.is_dir():
                target.rename(beside / "replaced")
            (beside / target.name).replace(target)
    except OSError as error:
        raise ParameterError(f"{targets[0]} cannot be written: {brief(error)}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _check(targets: Sequence[Path], overwrite: bool, folder_of: frozenset[str]) -> None:
    for target in targets:
        if (target.parent / MANIFEST).is_file():
            raise ParameterError(f"--out {target} lies in a bundle's folder; pass another --out")
        if not target.exists():
            continue
        if not overwrite:
            raise ParameterError(f"{target} exists; pass --overwrite to replace it, or another --out")
        if target.is_dir() != bool(folder_of) or not (folder_of or target.is_file()):
            wanted = "a folder" if folder_of else "a file"
            raise ParameterError(f"{target} is there and is not {wanted}; pass another --out")
        others = {path.name for path in target.iterdir()} - folder_of if folder_of else set()
        if others:
            raise ParameterError(f"{target} holds {min(others)}, which no export wrote; pass another --out")
