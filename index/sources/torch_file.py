"""PyTorch files, read without PyTorch: no line of what they carry is run, and no tensor is read before it is asked for.

torch.save writes a pickle of plain values and references, and beside it the bytes of each storage: records of an
uncompressed zip archive, or before PyTorch 1.6 one behind the other. Layout: torch/serialization.py.

torch.load(weights_only=True, mmap=True) runs no code either. But a file of a kilobyte makes it allocate what it likes
(a bytearray of 4 GB) or hash without end (tuples in tuples), it maps no file from before 1.6, and to import torch takes
three seconds where this reader opens a file within a millisecond.
"""

from __future__ import annotations

import io
import itertools
import math
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from index.errors import SourceError
from index.files import MappedFile, brief, refusal
from index.sources.pickle_data import Global, PickleError, mapping, read_pickle

MOST_PICKLE_BYTES = 1 << 26
MOST_DIRECTORY_BYTES = 1 << 23
"""Of a zip archive's directory, which takes some eighty bytes for each tensor."""
MOST_AXES = 32

_LEGACY_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""How files of torch.save began before PyTorch 1.6, when they were not zip archives yet."""
_PROTOCOL_VERSION = 1001
_ZIP_MAGIC = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<26xHH")
_ENCRYPTED = 1
_OPCODES_SCANNED = 100_000
_LISTED_KEYS = 8
_DAMAGE = (ValueError, OverflowError, OSError, struct.error, zipfile.BadZipFile, NotImplementedError)
"""What reading a damaged file raises; zipfile the last one, for versions it does not know."""

_DTYPES: dict[str, Any] = {
    "Double": np.float64,
    "Float": np.float32,
    "Half": np.float16,
    "BFloat16": ml_dtypes.bfloat16,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
    "ComplexFloat": np.complex64,
    "ComplexDouble": np.complex128,
    "Untyped": np.uint8,
}
_NEW_DTYPES = {"torch.uint16": np.uint16, "torch.uint32": np.uint32, "torch.uint64": np.uint64}
"""Dtypes without a class of storages, which `_rebuild_tensor_v3` names."""
_STORAGE = re.compile(r"torch\.(?:storage\.|cuda\.)?(\w+)Storage")
_HARMLESS = re.compile(
    r"torch\.(b?float|uint|u?int|complex|bool|q|double|half|long|short|strided|sparse|Size|Tensor|device)\w*"
    r"|torch\.(_utils\._rebuild_\w+|_tensor\._rebuild_from_type_v2|serialization\._get_layout|nn\.parameter\.Parameter)"
    r"|collections\.Counter|_codecs\.encode|(__builtin__|builtins)\.(set|complex)"
)
"""Globals that files of tensors name: what they build is passed over."""


@dataclass(frozen=True)
class Opaque:
    """Something in a file that is neither a dense tensor nor a plain value."""

    name: str  # of the global that would build it
    shape: tuple[int, ...] = ()  # what it would be is not known


@dataclass(frozen=True)
class Storage:
    """What a pickle says of the bytes that tensors are views of: their key, how many elements, and of what kind."""

    key: str
    elements: int
    kind: str

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        if self.kind not in _DTYPES:
            raise PickleError(f"its storage {self.key!r:.40} has {self.kind!r:.40} elements")
        return int(np.dtype(_DTYPES[self.kind]).itemsize)


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A dense tensor of a file, not read yet."""

    contents: Contents
    storage: Storage
    dtype: np.dtype | None  # None for a kind that NumPy does not know
    offset: int  # of the first element in the storage, in elements
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


class Contents:
    """Where the storages of one file lie, and what stands for the globals and storages that its pickle names."""

    def __init__(self, file: MappedFile) -> None:
        self.file = file
        self.storages: dict[str, Storage] = {}  # all that were named so far, by key
        self.places: dict[str, tuple[int, int]] = {}  # first byte and count of bytes of each storage
        self.big_endian = False

    def find(self, name: str) -> Global:
        """Return what stands for a global; SourceError, naming it, for one that has no place in a file of tensors."""
        if name == "collections.OrderedDict":
            return Global(name, mapping)
        if name in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
            return Global(name, self._tensor)
        if name == "torch._utils._rebuild_tensor_v3":
            return Global(name, self._tensor_of_new_dtype)
        if name == "torch._utils._rebuild_parameter":
            return Global(name, lambda data, *_: data)
        if _STORAGE.fullmatch(name):
            return Global(name)
        if _HARMLESS.fullmatch(name):
            return Global(name, lambda *_: Opaque(name))
        raise SourceError(
            f"{self.file.path} is refused: its pickle asks for {brief(name)}, which could run code or take "
            "any amount of memory; save the tensor as .safetensors instead"
        )

    def find_storage(self, key: Any) -> Storage:
        """Read a reference: ("storage", class, key, device, count of elements), and in old files a sixth, None."""
        if not isinstance(key, tuple) or len(key) not in (5, 6) or key[0] != "storage" or key[5:] not in ((), (None,)):
            raise PickleError("it refers to what is no storage")
        kind = _STORAGE.fullmatch(key[1].name) if isinstance(key[1], Global) else None
        if kind is None or not isinstance(key[2], str) or not _is_count(key[4]):
            raise PickleError("it refers to a storage of unknown kind, name or size")
        return self.storages.setdefault(key[2], Storage(key[2], key[4], kind[1]))

    def _tensor(
        self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any, dtype: str | None = None
    ) -> StoredTensor:
        if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
            raise PickleError("it holds a tensor without a storage, a shape or strides")
        if not all(map(_is_count, (offset, *shape, *strides))) or not len(shape) == len(strides) <= MOST_AXES:
            raise PickleError("it holds a tensor with a shape or strides that cannot be")
        known = _DTYPES.get(storage.kind) if dtype is None else _NEW_DTYPES.get(dtype)
        return StoredTensor(self, storage, None if known is None else np.dtype(known), offset, shape, strides)

    def _tensor_of_new_dtype(
        self, storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
    ) -> StoredTensor:
        return self._tensor(storage, offset, shape, strides, dtype=dtype.name)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def load_torch(file: MappedFile) -> Any:
    """Return what a `.pt` file holds: plain values, with a `StoredTensor` for each dense tensor.

    SourceError when the file is damaged, compressed, or its pickle asks for a global that has no place in a file of
    tensors, which the message names.
    """
    start = file.content[: len(_LEGACY_MAGIC)].tobytes()
    contents = Contents(file)
    if not start.startswith(_ZIP_MAGIC) and start != _LEGACY_MAGIC:
        asked = _first_global(file)
        raise SourceError(
            f"{file.path} is no file of torch.save"
            + (f": refused, as its pickle asks for {brief(asked)}" if asked else "")
        )
    try:
        return _load_legacy(contents) if start == _LEGACY_MAGIC else _load_zip(contents)
    except _DAMAGE as error:
        raise refusal(file.path, "is no whole file of torch.save", error) from error


def as_numpy(found: Any, name: str, path: Path) -> np.ndarray:
    """Return a dense tensor of `load_torch` as a read-only view of the mapped file; bfloat16 stays bfloat16."""
    if not isinstance(found, StoredTensor):
        raise SourceError(f"{name} of {path} is no dense tensor")
    if found.dtype is None:
        raise SourceError(f"{name} of {path} has {found.storage.kind!r:.40} elements; wanted floating-point ones")
    contents = found.contents
    if found.storage.key not in contents.places:
        raise SourceError(f"{path} is no whole file of torch.save: it lacks the elements of {name}")
    dtype = found.dtype.newbyteorder(">" if contents.big_endian else "<")
    if 0 in found.shape:
        return np.empty(found.shape, dtype)
    start, stored_bytes = contents.places[found.storage.key]
    reach = 1 + sum((length - 1) * stride for length, stride in zip(found.shape, found.strides, strict=True))
    if max(math.prod(found.shape), found.offset + reach) * dtype.itemsize > stored_bytes:
        raise SourceError(f"{name} of {path} claims shape {found.shape!s:.200}, but holds {stored_bytes} bytes")
    elements = contents.file.array(name, dtype, (reach,), start + found.offset * dtype.itemsize)
    strides = [stride * dtype.itemsize for stride in found.strides]
    return np.lib.stride_tricks.as_strided(elements, found.shape, strides, writeable=False)


def listed(content: Mapping[Any, Any]) -> str:
    """Return the first keys of a dict of `load_torch` for an error."""
    return brief(", ".join(f"{key!r:.40}" for key in itertools.islice(content, _LISTED_KEYS)) or "nothing")


def _load_zip(contents: Contents) -> Any:
    """Read an archive of PREFIX/data.pkl, PREFIX/byteorder, and PREFIX/data/KEY for each storage."""
    records, whole = _records(contents.file), contents.file.content
    pickles = [name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise PickleError(f"it has {len(pickles)} records data.pkl, wanted one")
    prefix = pickles[0].removesuffix("data.pkl")
    start, size = records[pickles[0]]
    if size > MOST_PICKLE_BYTES:
        raise PickleError(f"its pickle takes more than {MOST_PICKLE_BYTES} bytes")
    order, _ = records.get(f"{prefix}byteorder", (len(whole), 0))
    contents.big_endian = whole[order : order + 3].tobytes() == b"big"
    contents.places = {name.removeprefix(f"{prefix}data/"): place for name, place in records.items()}
    return read_pickle(io.BytesIO(whole[start : start + size].tobytes()), contents.find, contents.find_storage)


class _Archive(io.FileIO):
    """A zip archive whose directory is of a bounded size."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as a file does; zipfile asks for the whole directory at once and makes a kilobyte of each entry."""
        if size is not None and size > MOST_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its directory takes {size} bytes, more than {MOST_DIRECTORY_BYTES}")
        return super().read(size)


def _records(file: MappedFile) -> dict[str, tuple[int, int]]:
    """Return the first byte and the count of bytes of each record of a zip archive, none of them compressed."""
    with _Archive(file.path) as raw, zipfile.ZipFile(raw) as archive:
        entries = archive.infolist()
    found: dict[str, tuple[int, int]] = {}
    for entry in entries:
        # torch.save stores its records plainly; a compressed one can be a thousand times its size.
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
            raise SourceError(f"{file.path} is refused: its record {entry.filename!r:.80} is compressed")
        at, end = entry.header_offset, entry.header_offset + _LOCAL_HEADER.size
        header = file.content[at:end].tobytes() if at >= 0 else b""  # zipfile may count back beyond the first byte
        if len(header) < _LOCAL_HEADER.size or not header.startswith(_ZIP_MAGIC):
            raise zipfile.BadZipFile(f"its record {entry.filename!r:.80} is not where the directory says")
        name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        start = end + name_bytes + extra_bytes
        if start + entry.file_size > len(file.content):
            raise zipfile.BadZipFile(f"its record {entry.filename!r:.80} ends behind the file")
        found[entry.filename] = start, entry.file_size
    return found


def _load_legacy(contents: Contents) -> Any:
    """Read pickles of a magic number, a version, the system, the content and its storages' keys; then the storages."""
    whole = contents.file.content
    head = io.BytesIO(whole[:MOST_PICKLE_BYTES].tobytes())
    _, version, system = (read_pickle(head, contents.find) for _ in range(3))
    if version != _PROTOCOL_VERSION or not isinstance(system, dict):
        raise PickleError(f"it is of version {version!r:.40}, wanted {_PROTOCOL_VERSION}")
    contents.big_endian = system.get("little_endian") is False
    content = read_pickle(head, contents.find, contents.find_storage)
    keys = read_pickle(head, contents.find)
    place = head.tell()
    for key in keys if isinstance(keys, list) else ():
        storage = contents.storages.get(key) if isinstance(key, str) else None
        if storage is None:
            raise PickleError(f"it holds the storage {key!r:.40}, which no tensor is a view of")
        (elements,) = struct.unpack(">q" if contents.big_endian else "<q", whole[place : place + 8].tobytes())
        size = elements * storage.itemsize
        if elements != storage.elements or place + 8 + size > len(whole):
            raise PickleError(f"its storage {key!r:.40} is cut short")
        contents.places[key] = place + 8, size
        place += 8 + size
    return content


def _first_global(file: MappedFile) -> str | None:
    """Return the first global that a bare pickle would import, by reading its opcodes only."""
    strings: list[str] = []
    opcodes = pickletools.genops(io.BytesIO(file.content[:MOST_PICKLE_BYTES].tobytes()))
    with suppress(ValueError, OverflowError, MemoryError, LookupError):
        for opcode, argument, _ in itertools.islice(opcodes, _OPCODES_SCANNED):
            if opcode.name in ("GLOBAL", "INST"):
                return str(argument).replace(" ", ".")
            if opcode.name == "STACK_GLOBAL":
                return ".".join(strings[-2:])
            if isinstance(argument, str):
                strings.append(argument)
    return None
