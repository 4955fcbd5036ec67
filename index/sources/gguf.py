"""The header of a GGUF file: its metadata, and where each tensor lies.

The `gguf` package's own reader makes an array object of every string, which takes seconds for a vocabulary and is
without bound for a file whose counts lie. This reads the same layout in one pass and checks each count against the
bytes that are left. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import SourceError
from index.files import require_content

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

_SCALARS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "?",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class GgufTensor:
    """Where a tensor lies.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Outermost axis first, as NumPy counts them (the file counts the other way round).
    quantization : int
        A `gguf.GGMLQuantizationType`.
    offset : int
        First byte, counted from the start of the file.
    """

    name: str
    shape: tuple[int, ...]
    quantization: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says of itself: metadata by key, tensors by name."""

    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file.

    Raises
    ------
    SourceError
        When the file is no GGUF, of an unknown version, cut short, or holds counts that cannot be true.
    """
    reader = _Reader(path)
    if reader.raw(4) != MAGIC:
        raise SourceError(f"{path} is no GGUF file: it does not start with 'GGUF'")
    version = reader.integer("<I")
    if version not in VERSIONS:
        what = "big-endian" if version >= 1 << 16 else f"of version {version}"
        raise SourceError(f"{path} is a GGUF file {what}; wanted little-endian, version 2 or 3")
    tensor_count, key_count = reader.integer("<Q"), reader.integer("<Q")
    for count, what in ((tensor_count, "tensors"), (key_count, "metadata keys")):
        if count > MAX_ENTRIES:
            raise SourceError(f"{path} is damaged: it claims {count} {what}, more than {MAX_ENTRIES}")
    metadata: dict[str, Any] = {}
    for _ in range(key_count):
        key = reader.string()
        metadata[key] = reader.value(reader.integer("<I"))
    located = [_tensor(reader) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise SourceError(f"{path} is damaged: general.alignment is {alignment!r:.40}, wanted a positive integer")
    start = math.ceil(reader.position / alignment) * alignment
    tensors = {name: GgufTensor(name, shape, kind, start + offset) for name, shape, kind, offset in located}
    return GgufHeader(metadata, tensors)


def _tensor(reader: _Reader) -> tuple[str, tuple[int, ...], int, int]:
    name = reader.string()
    dimensions = reader.integer("<I")
    if dimensions > MAX_DIMENSIONS:
        reader.damaged(f"tensor {name!r:.80} claims {dimensions} dimensions")
    shape = tuple(reader.integer("<Q") for _ in range(dimensions))
    return name, shape[::-1], reader.integer("<I"), reader.integer("<Q")


class _Reader:
    """A place in a mapped file, moved on by each read; no read goes past the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        require_content(path)
        with path.open("rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.position = 0
        self.strings = self.text_bytes = 0

    def damaged(self, why: str) -> None:
        raise SourceError(f"{self.path} is damaged: {why}")

    def raw(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.bytes):
            self.damaged(f"byte {self.position} asks for {size} more, but the file ends at {len(self.bytes)}")
        taken = self.bytes[self.position : end]
        self.position = end
        return taken

    def integer(self, layout: str) -> int:
        value: int = struct.unpack(layout, self.raw(struct.calcsize(layout)))[0]
        return value

    def string(self) -> str:
        # A token may hold bytes that are no whole UTF-8 text; they show as U+FFFD, as stray bytes do everywhere.
        size = self.integer("<Q")
        self.text_bytes += size
        if self.text_bytes > MAX_TEXT_BYTES:
            self.damaged(f"it claims strings of {self.text_bytes} bytes, more than {MAX_TEXT_BYTES}")
        return self.raw(size).decode("utf-8", errors="replace")

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
        kind, count = self.integer("<I"), self.integer("<Q")
        if kind == _STRING:
            self.strings += count
            if self.strings > MAX_STRINGS:
                self.damaged(f"it claims arrays of {self.strings} strings, more than {MAX_STRINGS}")
            return [self.string() for _ in range(count)]
        if kind not in _SCALARS:
            self.damaged(f"byte {self.position} has an array of type {kind}, wanted numbers or strings")
        dtype = np.dtype(_SCALARS[kind])
        return np.frombuffer(self.raw(count * dtype.itemsize), dtype)
