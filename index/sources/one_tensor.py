"""One tensor of a safetensors file on the Hub, kept as a safetensors file of its own.

::

    CACHE/OWNER--NAME/KEY/header                        the first bytes of the file, as they are: all its tensors
    CACHE/OWNER--NAME/KEY/lm_head.weight.safetensors    one of them
    CACHE/OWNER--NAME/KEY/lm_head.weight.part           the same, as far as it has come
    CACHE/OWNER--NAME/seen/KEY                          the ETag of a file at a commit, for use without the Hub

KEY stands for the file's content, by its ETag: revisions that share a file share what is kept of it. All of it may be
removed at any time. What is written is one file whose header names the tensor and where it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from index.errors import SourceError
from index.files import why
from index.progress import Progress
from index.sources.matrix import MOST_HEADER_BYTES, HeaderEntry, choose, parse_header
from index.sources.ranges import RemoteFile

LENGTH_BYTES = 8
"""Of the count of bytes of a safetensors header, which the file begins with."""
SYNC_BYTES = 1 << 24
"""After how many bytes the disk is made to have them: a power cut takes no more than so many."""
MEGA = 1_000_000


class Interrupted(KeyboardInterrupt):
    """Fetching was stopped from the keyboard; what has come is in `path`, and the next run goes on from there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


@dataclass(frozen=True)
class TensorCache:
    """What is kept of one repository."""

    folder: Path

    @classmethod
    def of(cls, root: Path, repository: str) -> TensorCache:
        """Return what is kept under `root` of a repository of the Hub."""
        return cls(root / repository.replace("/", "--"))

    def fetch(self, remote: RemoteFile, wanted: Sequence[str], progress: Progress) -> Path:
        """Return a safetensors file that holds the first of the wanted tensors of a file on the Hub, and no other.

        What is there is not asked for again. Raises what `RemoteFile.stream` raises, and Interrupted.
        """
        folder = self.folder / _key(remote.etag)
        with _writing(folder), _alone(folder, progress):
            head = _kept_head(folder, remote.size)
            if head is None:
                head = _fetched_head(remote)
                _place(folder / "header", head)
            tensor = _Tensor.chosen(_entries(head, remote.size, remote.name), wanted, remote, len(head))
            path = folder / f"{tensor.name}.safetensors"
            if not tensor.is_whole(path):
                tensor.fetch(remote, path, progress)
            return path

    def remember(self, commit: str, file: str, etag: str, size: int) -> None:
        """Note the ETag of a file at a commit."""
        path = self.folder / "seen" / _key(commit, file)
        with _writing(path.parent):
            _place(path, json.dumps([etag, size]).encode())

    def find(self, commit: str, file: str, wanted: Sequence[str]) -> Path | None:
        """Return what `fetch` would, of a file at a commit, if all of it is here."""
        try:
            etag, size = json.loads((self.folder / "seen" / _key(commit, file)).read_bytes())
            folder = self.folder / _key(str(etag))
            head = _kept_head(folder, int(size))
        except (OSError, ValueError, TypeError):
            return None
        if head is None:
            return None
        entries = _entries(head, size, str(folder / "header"))
        name = choose(wanted, {key: entry.shape for key, entry in entries.items()}, folder / "header")
        path = folder / f"{name}.safetensors"
        return path if path.is_file() else None


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor lies in a file on the Hub, and how the file of its own begins."""

    name: str
    start: int  # its first byte in the file on the Hub
    end: int
    head: bytes  # of the file of its own

    @classmethod
    def chosen(
        cls, entries: Mapping[str, HeaderEntry], wanted: Sequence[str], remote: RemoteFile, head_bytes: int
    ) -> _Tensor:
        shapes = {key: entry.shape for key, entry in entries.items()}
        name = choose(wanted, shapes, remote.name)
        entry = entries[name]
        first, last = entry.data_offsets
        start, end = head_bytes + first, head_bytes + last
        about = {"file": remote.path, "etag": remote.etag, "bytes": f"{start}-{end - 1}/{remote.size}"}
        own = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": [0, last - first]}
        text = json.dumps({"__metadata__": about, name: own}).encode()
        text += b" " * (-len(text) % LENGTH_BYTES)  # so that the numbers are aligned
        return cls(name, start, end, len(text).to_bytes(LENGTH_BYTES, "little") + text)

    @property
    def bytes(self) -> int:
        """Of the file of its own."""
        return len(self.head) + self.end - self.start

    def is_whole(self, path: Path) -> bool:
        """Whether its own file is there."""
        return path.is_file() and path.stat().st_size == self.bytes and self.begins(path)

    def begins(self, path: Path) -> bool:
        """Whether a file begins as its own does."""
        with path.open("rb") as file:
            return file.read(len(self.head)) == self.head

    def fetch(self, remote: RemoteFile, path: Path, progress: Progress) -> None:
        """Fetch what is missing of its own file, and put it in place."""
        part = path.with_suffix(".part")
        size = part.stat().st_size if part.is_file() and self.begins(part) else 0
        # The disk has all before the last place where it was made to have it.
        kept = max(min(size, self.bytes) - 1, 0) // SYNC_BYTES * SYNC_BYTES
        step, total = f"MB of {self.name} from the Hub", max(1, self.bytes // MEGA)
        with part.open("r+b" if size else "wb") as file:
            if kept < len(self.head):
                file.write(self.head)
                kept = len(self.head)
            file.truncate(kept)
            file.seek(kept)
            progress(step, kept // MEGA, total)
            try:
                for chunk in remote.stream(self.start + kept - len(self.head), self.end):
                    for piece in _cut(chunk, kept):
                        file.write(piece)
                        kept += len(piece)
                        if kept % SYNC_BYTES == 0:
                            file.flush()
                            os.fsync(file.fileno())
                    progress(step, min(kept // MEGA, total), total)
            except KeyboardInterrupt:
                raise Interrupted(part) from None
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        progress(step, total, total)


def _cut(chunk: bytes, at: int) -> Iterator[bytes]:
    """Yield what stands at a place of a file in pieces, none of which reaches over a place of a sync."""
    while chunk:
        room = SYNC_BYTES - at % SYNC_BYTES
        piece, chunk = chunk[:room], chunk[room:]
        at += len(piece)
        yield piece


def _fetched_head(remote: RemoteFile) -> bytes:
    length = remote.read(0, LENGTH_BYTES) if remote.size >= LENGTH_BYTES else b""
    header_bytes = int.from_bytes(length.ljust(LENGTH_BYTES, b"\xff"), "little")
    if header_bytes > min(MOST_HEADER_BYTES, remote.size - LENGTH_BYTES):
        raise SourceError(f"{remote.name} is no whole safetensors file: its header claims {header_bytes} bytes")
    head = length + remote.read(LENGTH_BYTES, LENGTH_BYTES + header_bytes)
    _entries(head, remote.size, remote.name)
    return head


def _entries(head: bytes, size: int, name: str) -> dict[str, HeaderEntry]:
    """Return the tensors that a header names; SourceError unless they lie within, and fill, the file's bytes."""
    entries = parse_header(head[LENGTH_BYTES:], name)
    room = size - len(head)
    reach = max((entry.data_offsets[1] for entry in entries.values()), default=0)
    if reach != room:
        raise SourceError(
            f"{name} is no whole safetensors file: its tensors take {reach:,} bytes, and {room:,} are there"
        )
    return entries


def _kept_head(folder: Path, size: int) -> bytes | None:
    """Return a header that was fetched before; None where there is none, or it is not whole."""
    path = folder / "header"
    if not path.is_file() or path.stat().st_size > LENGTH_BYTES + MOST_HEADER_BYTES:
        return None
    head = path.read_bytes()
    whole = LENGTH_BYTES + int.from_bytes(head[:LENGTH_BYTES], "little") == len(head) <= size
    return head if whole else None


def _place(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Make a folder of the cache; SourceError where the system has something against that, or against the block."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno is None:  # the Hub's own errors are OSErrors, too, and no system call's
            raise
        raise SourceError(f"what comes from the Hub cannot be kept in {folder}: {why(error)}") from error


@contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Fetch by one process at a time: the others wait, and find what it fetched."""
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("waiting for another process that fetches the same", 0, 1)
        lock.acquire()
        progress("waiting for another process that fetches the same", 1, 1)
    try:
        yield
    finally:
        lock.release()


def _key(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]
