"""Where a bundle is built: in a locked folder beside its place, which it takes in one step.

::

    NAME                    the bundle
    .NAME.building/bundle   the next one, until it is whole
    .NAME.building/*.json   which of its spaces are finished, and what they were made from
    .NAME.building/*.tiles  what workers have found for a space that is not finished (`tiles`)
    .NAME.replaced          the one before, for an instant, where a file system cannot exchange two folders
    .NAME.lock              locked by the build that runs; the system unlocks it when that process ends, however it ends
    .aside-XXX/NAME         the same in a sweep, where the build that has the lock is slow, or cut off from who waits

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
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from index.build.disk import exchange, make_folder, remove, sync_files, sync_folder
from index.build.finished import BUNDLE, TILES, clear_unfinished
from index.bundle.manifest import MANIFEST
from index.errors import BundleError, parameter
from index.files import why

ASIDE = ".aside-"
"""What the folder begins with, beside the bundles of a sweep, in which one is built a second time."""


class Stopped(KeyboardInterrupt):
    """A build was stopped from the keyboard; it left `folder`, with the finished spaces `kept` for the next run.

    `tiles` says whether there are tiles of a further one. With nothing kept there is no folder either.
    """

    def __init__(self, folder: Path, kept: tuple[str, ...], *, tiles: bool = False) -> None:
        super().__init__()
        self.folder, self.kept, self.tiles = folder, kept, tiles


class UnfinishedError(BundleError):
    """A build cannot go on, and what it has done is kept: the same command goes on from there."""


class BusyError(BundleError):
    """A bundle is being built by another process."""


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
        When `target` exists and may not be replaced, or cannot be written; BusyError when another process builds it.
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
                _put_in_place(place.bundle, place.target, place.replaced)
        except KeyboardInterrupt:
            kept, tiles = clear_unfinished(place.folder), any(place.folder.glob(f"*{TILES}"))
            if not kept and not tiles:
                remove(place.folder)
            raise Stopped(place.folder, kept, tiles=tiles) from None
        except UnfinishedError:
            clear_unfinished(place.folder)
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
def aside(target: Path) -> Iterator[Path]:
    """Give a place for the same bundle in a folder of its own, for as long as the block takes."""
    with (
        _reported(target.parent),
        TemporaryDirectory(prefix=ASIDE, dir=target.parent, ignore_cleanup_errors=True) as folder,
    ):
        yield Path(folder) / target.name


def take_place(bundle: Path, target: Path, *, overwrite: bool) -> bool:
    """Move a bundle that was built aside to its place; False where another was quicker.

    `overwrite` says whether a bundle that is there may be replaced.
    """
    with _reported(target.parent):
        if target.exists() and not overwrite:
            return False
        _put_in_place(bundle, target, bundle.with_name(f"{bundle.name}.replaced"))
        sync_folder(target.parent)
    return True


def clear_abandoned(target: Path) -> None:
    """Remove what a build that is no more has left beside a bundle that another one has put in its place."""
    place = Workplace(target.resolve())
    if place.folder.exists() or place.lock.exists():
        with suppress(BusyError), _locked(place):
            shutil.rmtree(place.folder, ignore_errors=True)


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
            raise BusyError(
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
            remove(place.replaced)
        else:
            place.replaced.rename(place.target)
    if place.folder.is_symlink() or not place.folder.is_dir():
        remove(place.folder)
    else:
        clear_unfinished(place.folder)


def _put_in_place(bundle: Path, target: Path, replaced: Path) -> None:
    if not target.exists():
        bundle.rename(target)
    elif not exchange(bundle, target):
        target.rename(replaced)
        try:
            bundle.rename(target)
        except BaseException:
            replaced.rename(target)
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
