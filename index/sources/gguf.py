"""The header of a GGUF file: its metadata, and where each tensor lies.

The `gguf` package's own reader makes an array object of every string, which takes seconds for a vocabulary and is
without bound for a file whose counts lie. This reads the same layout in one pass and checks each count against the
bytes that are left. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.errors import SourceError
from index.files import MappedFile

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32

MAX_ENTRIES = 100_000
"""The most metadata keys, and the most tensors; models have a few dozen and a few thousand."""
MAX_STRINGS = 1_000_000
"""The most strings in all arrays together; the largest vocabularies and their merges have some 650,000."""
MAX_TEXT_BYTES = 1 << 27
"""The most bytes in all strings together; a vocabulary and its merges have some ten million."""
MAX_DIMENSIONS = 4

_SCALARS = dict(enumerate(("<u1", "<i1", "<u2", "<i2", "<u4", "<i4", "<f4", "?"))) | {10: "<u8", 11: "<i8", 12: "<f8"}
_STRING, _ARRAY = 8, 9
_KIND, _LENGTH = struct.Struct("<I"), struct.Struct("<Q")


@dataclass(frozen=True)
class GgufTensor:
    """Where a tensor lies."""

    name: str
    shape: tuple[int, ...]  # outermost axis first, as NumPy counts them; the file counts the other way round
    quantization: int  # a `gguf.GGMLQuantizationType`
    offset: int  # of its first byte, from the start of the file


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says of itself: metadata by key, tensors by name."""

    file: MappedFile
    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]


def read_header(file: MappedFile) -> GgufHeader:
    """Read the header of a GGUF file.

    SourceError when the file is no GGUF, of an unknown version, cut short, or holds counts that cannot be true.
    """
    reader, path = _Reader(file), file.path
    if reader.raw(4) != MAGIC:
        raise SourceError(f"{path} is no GGUF file: it does not start with 'GGUF'")
    version = reader.integer(_KIND)
    if version not in VERSIONS:
        what = "big-endian" if version >= 1 << 16 else f"of version {version}"
        raise SourceError(f"{path} is a GGUF file {what}; wanted little-endian, version 2 or 3")
    tensor_count, key_count = reader.integer(_LENGTH), reader.integer(_LENGTH)
    for count, what in ((tensor_count, "tensors"), (key_count, "metadata keys")):
        if count > MAX_ENTRIES:
            raise SourceError(f"{path} is damaged: it claims {count} {what}, more than {MAX_ENTRIES}")
    metadata: dict[str, Any] = {}
    for _ in range(key_count):
        key = reader.string()
        metadata[key] = reader.value(reader.integer(_KIND))
    located = [_tensor(reader) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise SourceError(f"{path} is damaged: general.alignment is {alignment!r:.40}, wanted a positive integer")
    start = math.ceil(reader.position / alignment) * alignment
    tensors = {name: GgufTensor(name, shape, kind, start + offset) for name, shape, kind, offset in located}
    return GgufHeader(file, metadata, tensors)


def _tensor(reader: _Reader) -> tuple[str, tuple[int, ...], int, int]:
    name = reader.string()
    dimensions = reader.integer(_KIND)
    if dimensions > MAX_DIMENSIONS:
        reader.damaged(f"tensor {name!r:.80} claims {dimensions} dimensions")
    shape = tuple(reader.integer(_LENGTH) for _ in range(dimensions))
    return name, shape[::-1], reader.integer(_KIND), reader.integer(_LENGTH)


class _Reader:
    """A place in a mapped file, moved on by each read; no read goes past the end."""

    def __init__(self, file: MappedFile) -> None:
        self.path = file.path
        self.bytes = file.content.data
        self.position = 0
        self.strings = self.text_bytes = 0

    def damaged(self, why: str) -> None:
        raise SourceError(f"{self.path} is damaged: {why}")

    def raw(self, size: int) -> memoryview:
        end = self.position + size
        if end > len(self.bytes):
            self.damaged(f"byte {self.position} asks for {size} more, but the file ends at {len(self.bytes)}")
        taken = self.bytes[self.position : end]
        self.position = end
        return taken

    def integer(self, layout: struct.Struct) -> int:
        value: int = layout.unpack(self.raw(layout.size))[0]
        return value

    def string(self) -> str:
        # A token may hold bytes that are no whole UTF-8 text; they show as U+FFFD, as stray bytes do everywhere.
        size = self.integer(_LENGTH)
        self.text_bytes += size
        if self.text_bytes > MAX_TEXT_BYTES:
            self.damaged(f"it claims strings of {self.text_bytes} bytes, more than {MAX_TEXT_BYTES}")
        return str(self.raw(size), "utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self.array()
        if kind not in _SCALARS:
            self.damaged(f"byte {self.position} has a value of unknown type {kind}")
        dtype = np.dtype(_SCALARS[kind])
        return np.frombuffer(self.raw(dtype.itemsize), dtype)[0].item()

    def array(self) -> list[str] | np.ndarray:
        kind, count = self.integer(_KIND), self.integer(_LENGTH)
        if kind == _STRING:
            self.strings += count
            if self.strings > MAX_STRINGS:
                self.damaged(f"it claims arrays of {self.strings} strings, more than {MAX_STRINGS}")
            return [self.string() for _ in range(count)]
        if kind not in _SCALARS:
            self.damaged(f"byte {self.position} has an array of type {kind}, wanted numbers or strings")
        dtype = np.dtype(_SCALARS[kind])
        return np.frombuffer(self.raw(count * dtype.itemsize), dtype)
