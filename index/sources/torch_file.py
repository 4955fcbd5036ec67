"""PyTorch files, read without PyTorch: no line of what they carry is run, and no tensor is read before it is asked for.

torch.save writes a pickle of plain values and references, and beside it the bytes of each storage: records of an
uncompressed zip archive, or before PyTorch 1.6 one behind the other. Layout: torch/serialization.py. torch.load with
weights_only=True runs no code either, but allocates what a pickle asks for, and hashes what never ends.
"""

from __future__ import annotations

import io
import itertools
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import SourceError
from index.files import brief, require_content
from index.sources.pickle_data import PickleError, read_pickle
from index.sources.torch_contents import Contents, Layout, StoredTensor

MOST_PICKLE_BYTES = 1 << 26
MOST_DIRECTORY_BYTES = 1 << 23
"""Of a zip archive's directory, which takes some eighty bytes for each tensor."""

_LEGACY_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""How files of torch.save began before PyTorch 1.6, when they were not zip archives yet."""
_PROTOCOL_VERSION = 1001
_ZIP_MAGIC = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1
_OPCODES_SCANNED = 100_000
_LISTED_KEYS = 8


def load_torch(path: Path) -> Any:
    """Return what a `.pt` file holds: plain values, with a `StoredTensor` for each dense tensor.

    Raises
    ------
    SourceError
        When the file is damaged, compressed, or its pickle asks for a global that has no place in a file of tensors,
        which the message names.
    """
    require_content(path)
    with path.open("rb") as file:
        start = file.read(len(_LEGACY_MAGIC))
    if not start.startswith(_ZIP_MAGIC) and start != _LEGACY_MAGIC:
        asked = _first_global(path)
        raise SourceError(
            f"{path} is no file of torch.save" + (f": refused, as its pickle asks for {brief(asked)}" if asked else "")
        )
    try:
        return _load_legacy(path) if start == _LEGACY_MAGIC else _load_zip(path)
    except (
        PickleError,
        zipfile.BadZipFile,
        NotImplementedError,  # what zipfile raises for versions it does not know
        ValueError,
        OverflowError,
        OSError,
        struct.error,
    ) as error:
        raise SourceError(f"{path} is no whole file of torch.save: {brief(error)}") from error


def as_numpy(found: Any, name: str, path: Path) -> np.ndarray:
    """Return a dense tensor of `load_torch` as a memory-mapped, read-only array; bfloat16 stays bfloat16."""
    if not isinstance(found, StoredTensor):
        raise SourceError(f"{name} of {path} is no dense tensor")
    if found.dtype is None:
        raise SourceError(f"{name} of {path} has {found.storage.kind!r:.40} elements; wanted floating-point ones")
    if found.storage.key not in found.layout.places:
        raise SourceError(f"{path} is no whole file of torch.save: it lacks the elements of {name}")
    dtype = found.dtype.newbyteorder(">" if found.layout.big_endian else "<")
    if 0 in found.shape:
        return np.empty(found.shape, dtype)
    start, stored_bytes = found.layout.places[found.storage.key]
    reach = 1 + sum((length - 1) * stride for length, stride in zip(found.shape, found.strides, strict=True))
    if max(math.prod(found.shape), found.offset + reach) * dtype.itemsize > stored_bytes:
        raise SourceError(f"{name} of {path} claims shape {found.shape!s:.200}, but holds {stored_bytes} bytes")
    mapped = np.memmap(path, dtype, mode="r", offset=start + found.offset * dtype.itemsize, shape=(reach,))
    strides = [stride * dtype.itemsize for stride in found.strides]
    return np.lib.stride_tricks.as_strided(mapped, found.shape, strides, writeable=False)


def listed(content: Mapping[Any, Any]) -> str:
    """Return the first keys of a dict of `load_torch` for an error."""
    return brief(", ".join(f"{key!r:.40}" for key in itertools.islice(content, _LISTED_KEYS)) or "nothing")


def _load_zip(path: Path) -> Any:
    """Read an archive of PREFIX/data.pkl, PREFIX/byteorder, and PREFIX/data/KEY for each storage."""
    with _Archive(path) as file:
        records = file.records()
        pickles = [name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise PickleError(f"it has {len(pickles)} records data.pkl, wanted one")
        prefix = pickles[0].removesuffix("data.pkl")
        if records[pickles[0]][1] > MOST_PICKLE_BYTES:
            raise PickleError(f"its pickle takes more than {MOST_PICKLE_BYTES} bytes")
        content = io.BytesIO(file.part(*records[pickles[0]]))
        order = records.get(f"{prefix}byteorder")
        big_endian = order is not None and file.part(order[0], 3) == b"big"
    places = {name.removeprefix(f"{prefix}data/"): place for name, place in records.items()}
    contents = Contents(Layout(path, places, big_endian))
    return read_pickle(content, contents.find, contents.find_storage)


class _Archive(io.FileIO):
    """A zip archive whose directory is of a bounded size, and nothing in it compressed."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as a file does; zipfile asks for the whole directory at once and makes a kilobyte of each entry."""
        if size is not None and size > MOST_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its directory takes {size} bytes, more than {MOST_DIRECTORY_BYTES}")
        return super().read(size)

    def records(self) -> dict[str, tuple[int, int]]:
        """Return the first byte and the count of bytes of each record."""
        found: dict[str, tuple[int, int]] = {}
        with zipfile.ZipFile(self) as archive:
            entries = archive.infolist()
        whole = self.seek(0, io.SEEK_END)
        for entry in entries:
            # torch.save stores its records plainly; a compressed one can be a thousand times its size.
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
                raise SourceError(f"{self.name} is refused: its record {entry.filename!r:.80} is compressed")
            magic, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(self.part(entry.header_offset, _LOCAL_HEADER.size))
            if magic != _ZIP_MAGIC:
                raise zipfile.BadZipFile(f"its record {entry.filename!r:.80} is not where the directory says")
            start = entry.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
            if start + entry.file_size > whole:
                raise zipfile.BadZipFile(f"its record {entry.filename!r:.80} ends behind the file")
            found[entry.filename] = start, entry.file_size
        return found

    def part(self, start: int, size: int) -> bytes:
        """Return some bytes; `read` of a raw file may return fewer than are left, which the readers of them notice."""
        self.seek(start)
        return super().read(size)


def _load_legacy(path: Path) -> Any:
    """Read pickles of a magic number, a version, the system, the content and its storages' keys; then the storages."""
    contents = Contents(Layout(path, {}))
    with path.open("rb") as file:
        head = io.BytesIO(file.read(MOST_PICKLE_BYTES))
        _, version, system = (read_pickle(head, contents.find) for _ in range(3))
        if version != _PROTOCOL_VERSION or not isinstance(system, dict):
            raise PickleError(f"it is of version {version!r:.40}, wanted {_PROTOCOL_VERSION}")
        contents.layout.big_endian = system.get("little_endian") is False
        content = read_pickle(head, contents.find, contents.find_storage)
        keys = read_pickle(head, contents.find)
        place = head.tell()
        for key in keys if isinstance(keys, list) else ():
            storage = contents.storages.get(key) if isinstance(key, str) else None
            if storage is None:
                raise PickleError(f"it holds the storage {key!r:.40}, which no tensor is a view of")
            file.seek(place)
            (elements,) = struct.unpack(">q" if contents.layout.big_endian else "<q", file.read(8))
            size = elements * storage.itemsize
            if elements != storage.elements or place + 8 + size > path.stat().st_size:
                raise PickleError(f"its storage {key!r:.40} is cut short")
            contents.layout.places[key] = place + 8, size
            place += 8 + size
    return content


def _first_global(path: Path) -> str | None:
    """Return the first global that a bare pickle would import, by reading its opcodes only."""
    strings: list[str] = []
    with path.open("rb") as file:
        head = io.BytesIO(file.read(MOST_PICKLE_BYTES))
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(head)):
            if opcode.name in ("GLOBAL", "INST"):
                return str(argument).replace(" ", ".")
            if opcode.name == "STACK_GLOBAL":
                return ".".join(strings[-2:])
            if isinstance(argument, str):
                strings.append(argument)
            if count > _OPCODES_SCANNED:
                break
    except (ValueError, OverflowError, MemoryError, LookupError):
        return None
    return None
