"""Damage is seen before an answer: every file of a bundle in blocks, each with a checksum, checked when first read.

Two kinds, for two purposes. `manifest.json` has the SHA-256 of each whole file, for archives and for other tools.
`checksums.json` has the XXH3 of each block of 64 KiB, computed as fast as memory is read: a question checks the few
blocks it touches, and a search that reads all points checks each block on its way.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, Annotated, Any
from weakref import finalize

import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from xxhash import xxh3_64_hexdigest

from index import process
from index.errors import BundleError
from index.files import brief, why

CHECKSUMS = "checksums.json"
BLOCK_BYTES = 1 << 16
REGION_BYTES = 1 << 21
"""What newer systems map around a piece that is read, at most."""
REGIONS_HELD = 32
"""So many are let go of together."""
DAMAGED = "the bundle is damaged; build it again"


def unreadable(path: Path, error: OSError) -> BundleError:
    """Return the error of a file that is there and cannot be read, with what helps against its cause."""
    return BundleError(f"{path} cannot be read: {why(OSError(error.errno, error.strerror or brief(error)))}")


def damaged(said: str) -> BundleError:
    """Return the error of a bundle of which something is not as it was written."""
    return BundleError(f"{said}: {DAMAGED}")


class FileFacts(Struct, frozen=True, kw_only=True):
    """What a manifest says of a file."""

    bytes: Annotated[int, Meta(ge=0, lt=1 << 62)]
    sha256: str
    dtype: str | UnsetType = UNSET  # of an array's numbers, as `shape`
    shape: list[int] | UnsetType = UNSET


def describe(folder: Path) -> dict[str, FileFacts]:
    """Describe every file in a folder for its manifest, and write the checksums of their blocks to `checksums.json`."""
    blocks: dict[str, list[str]] = {}
    described: dict[str, FileFacts] = {}
    for path in sorted(folder.iterdir()):
        whole = sha256()
        blocks[path.name] = []
        for block in _read_blocks(path):
            whole.update(block)
            blocks[path.name].append(xxh3_64_hexdigest(block))
        facts = FileFacts(bytes=path.stat().st_size, sha256=whole.hexdigest())
        if path.suffix == ".npy":
            array = np.load(path, mmap_mode="r")
            facts = replace(facts, dtype=str(array.dtype), shape=list(array.shape))
        described[path.name] = facts
    text = json.dumps({"algorithm": "xxh3_64", "block_bytes": BLOCK_BYTES, "blocks": blocks})
    (folder / CHECKSUMS).write_text(text + "\n", encoding="utf-8")
    described[CHECKSUMS] = FileFacts(bytes=len(text) + 1, sha256=sha256(f"{text}\n".encode()).hexdigest())
    return described


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    whole = sha256()
    for block in _read_blocks(path):
        whole.update(block)
    return whole.hexdigest()


def _read_blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def seal(manifest: dict[str, Any]) -> str:
    """Return the checksum a manifest carries of itself: SHA-256 of its other keys as sorted, compact JSON."""
    others = {key: value for key, value in manifest.items() if key != "checksum"}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


class Checksums:
    """What the files of one bundle must hold, as `describe` found them.

    `replaced` says whether another bundle lies in the folder by now: then nothing is damaged.

    Raises
    ------
    BundleError
        When a file is not there, is a link, has another size, or lies outside the folder; or `checksums.json` is
        damaged.
    """

    def __init__(self, folder: Path, files: dict[str, FileFacts], replaced: Callable[[], bool]) -> None:
        self.folder, self.files, self._replaced = folder, files, replaced
        for name, facts in files.items():
            path = folder / name
            not_its_own = f"{folder} names a file that is not its own: {brief(name)}"
            if Path(name).name != name or name == "..":
                raise BundleError(f"{not_its_own}; {DAMAGED}")
            if path.is_symlink():
                raise BundleError(f"{not_its_own} is a link; copy the bundle with what its links lead to (cp -rL)")
            size = _size(path)
            if size != facts.bytes:
                raise damaged(f"{path} {'is missing' if size is None else f'has {size:,} bytes, not {facts.bytes:,}'}")
        self._blocks = self._read()

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def _read(self) -> dict[str, list[str]]:
        path = self.folder / CHECKSUMS
        try:
            raw = path.read_bytes() if CHECKSUMS in self.files else b""
        except OSError as error:
            raise unreadable(path, error) from error
        if CHECKSUMS not in self.files or sha256(raw).hexdigest() != self.files[CHECKSUMS].sha256:
            raise damaged(f"{path} is not what was written")
        try:
            blocks: dict[str, list[str]] = json.loads(raw)["blocks"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleError(f"{path} holds no checksums: {brief(error)}; {DAMAGED}") from error
        if not isinstance(blocks, dict) or not all(isinstance(each, list) for each in blocks.values()):
            raise damaged(f"{path} holds no lists of checksums")
        return blocks

    def file(self, name: str, *, to_copy: bool = False) -> StoredFile:
        """Map a file whose blocks are checked when they are first read; `to_copy`, of which much is copied."""
        if name not in self._blocks:
            raise damaged(f"{self.folder} has no {name}")
        return StoredFile(self.folder / name, self._blocks[name], self.not_as_written, to_copy=to_copy)

    def not_as_written(self, said: str) -> BundleError:
        """Return the error of a file that is not what was written: it is damaged, or another bundle's."""
        return self._replacement() or damaged(said)

    def require_same(self) -> None:
        """Raise BundleError where another bundle lies in the folder by now."""
        if error := self._replacement():
            raise error

    def _replacement(self) -> BundleError | None:
        if not self._replaced():
            return None
        return BundleError(f"{self.folder} was replaced by another bundle while it was open: open it again")


def _size(path: Path) -> int | None:
    """Return the bytes of a regular file; None where there is none."""
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def _descriptor(owner: object, file: IO[bytes]) -> int | None:
    """Return a descriptor of a file for as long as its owner lives; None where none can read at an offset."""
    if not hasattr(os, "preadv"):
        return None
    descriptor = os.dup(file.fileno())
    finalize(owner, os.close, descriptor)
    return descriptor


class StoredFile:
    """A mapped file of a bundle; `not_as_written` makes the error of one that is not what was written."""

    def __init__(
        self,
        path: Path,
        blocks: list[str],
        not_as_written: Callable[[str], BundleError] = damaged,
        *,
        to_copy: bool = False,
    ) -> None:
        self.path, self._not_as_written = path, not_as_written
        try:
            with path.open("rb") as file:
                mapped = np.memmap(file, np.uint8, mode="r")
                self._descriptor = _descriptor(self, file) if to_copy else None
        except (FileNotFoundError, NotADirectoryError) as error:
            raise not_as_written(f"{path} is missing") from error
        except OSError as error:
            raise unreadable(path, error) from error
        except ValueError as error:
            raise not_as_written(f"{path} is empty") from error
        self._mapped: mmap.mmap = mapped._mmap  # type: ignore[attr-defined]
        self.content = mapped.view(np.ndarray)  # `check` what is read of it
        if len(blocks) != -(-len(self.content) // BLOCK_BYTES):
            raise not_as_written(f"{path} has {len(self.content):,} bytes, but {len(blocks):,} checksums")
        self._blocks = blocks
        self._checked = np.zeros(len(blocks), bool)
        self._held = 0

    def check(self, start: int, stop: int) -> None:
        """Raise BundleError unless bytes start to stop are those that were written."""
        for block in self._unchecked(start, stop):
            self._check_block(block, self._block(block))

    def check_pieces(self, starts: np.ndarray, length: int) -> None:
        """Check many pieces of one length, (n,) byte offsets, as `check` does; `let_go` once they are copied."""
        first, last = starts // BLOCK_BYTES, (starts + length - 1) // BLOCK_BYTES
        # Not np.unique, here and where a cold question passes: it loads NumPy's masked arrays.
        ends = np.concatenate([first, last])
        for block in sorted({*ends[~self._checked[ends]].tolist()}):
            self._check_block(block, self._block(block))
        if length > BLOCK_BYTES:  # whole blocks lie between the ends
            self.check(int(starts.min()), int(starts.max()) + length)
        self._held += 1 + int(np.count_nonzero(np.diff(starts // REGION_BYTES)))

    def let_go(self) -> None:
        """Take what was mapped around pieces out of the memory of a process that asks once."""
        if self._held >= REGIONS_HELD and not process.goes_on() and hasattr(mmap, "MADV_DONTNEED"):
            self._held = 0
            self._mapped.madvise(mmap.MADV_DONTNEED)

    def copied(self, start: int, stop: int, room: np.ndarray) -> np.ndarray:
        """Read bytes start to stop into `room`, uint8, checked, and return the part of it that holds them.

        There must be room for the blocks that they lie in. A file that is opened `to_copy` is not mapped for it, where
        the system can read so: to map a few bytes may map 2 MiB around them.
        """
        begin, end = start, stop
        if unchecked := self._unchecked(start, stop):  # whole blocks are, then
            begin = start // BLOCK_BYTES * BLOCK_BYTES
            end = min(-(-stop // BLOCK_BYTES) * BLOCK_BYTES, len(self.content))
        found = room[: end - begin]
        self._copy(begin, found)
        for block in unchecked:
            self._check_block(block, found[block * BLOCK_BYTES - begin :][:BLOCK_BYTES])
        return found[start - begin : stop - begin]

    def _unchecked(self, start: int, stop: int) -> list[int]:
        """Return the blocks of bytes start to stop that are still to be checked."""
        first, last = start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)
        blocks: list[int] = (first + np.flatnonzero(~self._checked[first:last])).tolist()
        return blocks

    def _block(self, block: int) -> np.ndarray:
        return self.content[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]

    def _copy(self, start: int, into: np.ndarray) -> None:
        """Fill `into` with the bytes from `start` on."""
        if self._descriptor is None:
            into[:] = self.content[start : start + len(into)]
            return
        done = 0
        while done < len(into):
            try:
                read = os.preadv(self._descriptor, [into[done:].data], start + done)
            except OSError as error:
                raise unreadable(self.path, error) from error
            if read == 0:
                raise self._not_as_written(f"{self.path} was cut off: it has no byte {start + done:,}")
            done += read

    def _check_block(self, block: int, content: np.ndarray) -> None:
        if xxh3_64_hexdigest(content.data) != self._blocks[block]:
            start = block * BLOCK_BYTES
            raise self._not_as_written(f"{self.path} is not what was written, from byte {start:,} on")
        self._checked[block] = True

    def read(self) -> bytes:
        """Return the whole file, checked."""
        self.check(0, len(self.content))
        return self.content.tobytes()
