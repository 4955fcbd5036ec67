"""Where a bundle is built: in a locked folder beside its place, which it takes in one step.

::

    NAME                    the bundle
    .NAME.building/bundle   the next one, until it is whole
    .NAME.building/*.json   which of its spaces are finished, and what they were made from
    .NAME.building/*.tiles  what workers have found for a space that is not finished (`tiles`)
    .NAME.replaced          the one before, for an instant, where a file system cannot exchange two folders
    .NAME.lock              locked by the build that runs; the system unlocks it when that process ends, however it ends

A build that ends takes all but the bundle with it. One that is stopped leaves its finished spaces, one that is killed
all of this, to the next build of the same bundle.

The record of a finished space is written last, and holds what the space was made from, the SHA-256 of its files, and
its facts. A space is used again only where all of what it would be made from now is the same and its files are, bit by
bit, what was written; whatever else is there is removed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from index.build.disk import exchange, make_folder, sync_files, sync_folder
from index.bundle.checksums import file_sha256
from index.bundle.manifest import MANIFEST, SpaceFacts
from index.errors import BundleError, parameter
from index.files import why

BUNDLE = "bundle"
"""The folder of the bundle being built, within the folder of the build."""
TILES = ".tiles"
"""What the folder of a graph that is made tile by tile ends in, within the folder of the build."""


class Stopped(KeyboardInterrupt):
    """A build was stopped from the keyboard; it left `folder`, with the finished spaces `kept` for the next run.

    `tiles` says whether there are tiles of a further one. With nothing kept there is no folder either.
    """

    def __init__(self, folder: Path, kept: tuple[str, ...], *, tiles: bool = False) -> None:
        super().__init__()
        self.folder, self.kept, self.tiles = folder, kept, tiles


class UnfinishedError(BundleError):
    """A build cannot go on, and what it has done is kept: the same command goes on from there."""


@dataclass(frozen=True)
class Workplace:
    """The paths of one build."""

    target: Path  # where the bundle will be; no link

    @property
    def folder(self) -> Path:
        """All that a build writes before it is done."""
        return self._beside("building")

    @property
    def bundle(self) -> Path:
        """The bundle being built."""
        return self.folder / BUNDLE

    @property
    def replaced(self) -> Path:
        """The bundle before, between two renames."""
        return self._beside("replaced")

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self._beside("lock")

    def _beside(self, role: str) -> Path:
        return self.target.with_name(f".{self.target.name}.{role}")


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise BundleError unless a bundle may be written to `target`."""
    if not target.exists():
        return
    if not overwrite:
        raise BundleError(
            f"{target} exists; pass {parameter('overwrite', True)} to replace it, or another {parameter('out')}"
        )
    if not (target / MANIFEST).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise BundleError(f"{target} is not a bundle and will not be replaced; pass another {parameter('out')}")


@contextmanager
def building(target: Path, *, overwrite: bool) -> Iterator[Workplace]:
    """Give a folder to build in; put its bundle in place of `target` when the block ends well.

    `overwrite` says whether a bundle that is there may be replaced.

    Raises
    ------
    BundleError
        When `target` exists and may not be replaced, is being built by another process, or cannot be written.
    Stopped
        In place of a KeyboardInterrupt. Any other exception but UnfinishedError leaves nothing behind.
    """
    place = Workplace(target.resolve())
    with _locked(place):
        with _reported(place.target.parent):
            _clear_leftovers(place)
            check_target(target, overwrite=overwrite)
            place.bundle.mkdir(parents=True, exist_ok=True)
        try:
            yield place
            check_target(target, overwrite=overwrite)
            with _reported(place.target.parent):
                sync_files(place.bundle)
                _put_in_place(place)
        except KeyboardInterrupt:
            kept, tiles = _clear_unfinished(place.folder), any(place.folder.glob(f"*{TILES}"))
            if not kept and not tiles:
                _remove(place.folder)
            raise Stopped(place.folder, kept, tiles=tiles) from None
        except UnfinishedError:
            _clear_unfinished(place.folder)
            raise
        except BaseException as error:
            shutil.rmtree(place.folder, ignore_errors=True)
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                raise BundleError(f"{place.target} cannot be built: {why(error)}") from error
            raise
        _confirm(place)
        for old in (place.folder, place.replaced):
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _reported(parent: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        another = f"pass another {parameter('out')}"
        raise BundleError(f"{parent} cannot be written: {why(error, another)}") from error


@contextmanager
def _locked(place: Workplace) -> Iterator[None]:
    """Hold the lock of a build. Its file is removed while locked: who waits for a removed one starts anew."""
    lock = FileLock(place.lock, timeout=0)
    with _reported(place.target.parent):
        make_folder(place.target.parent)
        try:
            lock.acquire()
        except Timeout:
            raise BundleError(
                f"{place.target} is being built by another process; wait for it, or pass another {parameter('out')}"
            ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file
            place.lock.unlink()
        with suppress(OSError):  # the file is gone, and what is locked of it ends with the process
            lock.release()


def _clear_leftovers(place: Workplace) -> None:
    """Mend what a killed build left half done, and keep of its work the finished spaces."""
    if os.path.lexists(place.replaced) or os.path.lexists(place.folder):
        # Perhaps with the bundle that was replaced, of which the disk may not know yet.
        sync_folder(place.target.parent)
    if place.replaced.exists():
        if place.target.exists():
            _remove(place.replaced)
        else:
            place.replaced.rename(place.target)
    if place.folder.is_symlink() or not place.folder.is_dir():
        _remove(place.folder)
    else:
        _clear_unfinished(place.folder)


def _put_in_place(place: Workplace) -> None:
    if not place.target.exists():
        place.bundle.rename(place.target)
    elif not exchange(place.bundle, place.target):
        place.target.rename(place.replaced)
        try:
            place.bundle.rename(place.target)
        except BaseException:
            place.replaced.rename(place.target)
            raise


def _confirm(place: Workplace) -> None:
    """Have on the disk which bundle is in place before the other is removed: a power cut must not leave neither.

    Raises
    ------
    BundleError
        When the disk does not confirm it: then nothing is removed.
    """
    try:
        sync_folder(place.target.parent)
    except OSError as error:
        raise BundleError(
            f"{place.target} is built and in place, but the disk did not confirm it: {why(error)}; "
            f"a power cut may undo it, so what was there before is kept beside it until the next build"
        ) from error


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


def _clear_unfinished(work: Path) -> tuple[str, ...]:
    """Remove all but tiles and the files of recorded spaces, unchecked; return the names of those spaces."""
    records = {path: record for path in work.glob("*.json") if (record := _read(path)) is not None}
    wanted = {work / BUNDLE / name for record in records.values() for name in record["files"]}
    for path in [*work.iterdir(), *(work / BUNDLE).glob("*")]:
        tiles = path.suffix == TILES and path.is_dir() and not path.is_symlink()
        if path not in wanted and path not in records and path != work / BUNDLE and not tiles:
            _remove(path)
    return tuple(sorted(path.stem for path in records))


def _remove(path: Path) -> None:
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
