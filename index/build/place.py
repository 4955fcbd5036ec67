"""Where a bundle is built: in a locked folder beside its place, which it takes in one step.

::

    NAME                    the bundle
    .NAME.building/bundle   the next one, until it is whole
    .NAME.building/*.json   which of its spaces are finished (`resume`)
    .NAME.replaced          the one before, for an instant, where a file system cannot exchange two folders
    .NAME.lock              locked by the build that runs; the system unlocks it when that process ends, however it ends

A build that ends takes all but the bundle with it. One that is stopped leaves its finished spaces, one that is killed
all of this, to the next build of the same bundle.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from index.build import resume
from index.build.exchange import exchange
from index.bundle.manifest import MANIFEST
from index.errors import BundleError, parameter
from index.files import brief


class Stopped(KeyboardInterrupt):
    """A build was stopped from the keyboard; it left `folder`, with the finished spaces `kept` for the next run.

    With none kept there is no folder either.
    """

    def __init__(self, folder: Path, kept: tuple[str, ...]) -> None:
        super().__init__()
        self.folder, self.kept = folder, kept


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
        return self.folder / resume.BUNDLE

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
        In place of a KeyboardInterrupt. Any other exception leaves nothing behind.
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
                _make_durable(place.bundle)
                _put_in_place(place)
        except KeyboardInterrupt:
            kept = resume.clear_unfinished(place.folder)
            if not kept:
                resume.remove(place.folder)
            raise Stopped(place.folder, kept) from None
        except BaseException:
            shutil.rmtree(place.folder, ignore_errors=True)
            raise
        shutil.rmtree(place.folder, ignore_errors=True)  # with the bundle that was replaced


@contextmanager
def _reported(parent: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleError(f"{parent} cannot be written: {brief(error)}; pass another {parameter('out')}") from error


@contextmanager
def _locked(place: Workplace) -> Iterator[None]:
    """Hold the lock of a build. Its file is removed while locked: who waits for a removed one starts anew."""
    lock = FileLock(place.lock, timeout=0)
    with _reported(place.target.parent):
        place.target.parent.mkdir(parents=True, exist_ok=True)
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
        lock.release()


def _clear_leftovers(place: Workplace) -> None:
    """Mend what a killed build left half done, and keep of its work the finished spaces."""
    if place.replaced.exists():
        if place.target.exists():
            resume.remove(place.replaced)
        else:
            place.replaced.rename(place.target)
    if place.folder.is_symlink() or not place.folder.is_dir():
        resume.remove(place.folder)
    else:
        resume.clear_unfinished(place.folder)


def _make_durable(folder: Path) -> None:
    """Have the files on the disk before their folder takes the old one's place: a power cut must not leave neither."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


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
        shutil.rmtree(place.replaced, ignore_errors=True)
    _sync_folder(place.target.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # has no such thing
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
