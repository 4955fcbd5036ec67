"""What the pickle in a PyTorch file may speak of: dense tensors, plain values, and things to pass over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from index.errors import SourceError
from index.files import brief
from index.sources.pickle_data import Global, PickleError, mapping

MOST_AXES = 32

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
    """Something in a file that is neither a dense tensor nor a plain value.

    Attributes
    ----------
    name : str
        The global that would build it.
    shape : tuple
        Empty: what it would be is not known.
    """

    name: str
    shape: tuple[int, ...] = ()


@dataclass(eq=False)
class Layout:
    """Where the storages of a file lie.

    Attributes
    ----------
    path : Path
    places : dict of str to (int, int)
        First byte and count of bytes of each storage.
    big_endian : bool
    """

    path: Path
    places: dict[str, tuple[int, int]]
    big_endian: bool = False


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
    """A dense tensor of a file, not read yet.

    Attributes
    ----------
    layout : Layout
    storage : Storage
    dtype : np.dtype or None
        None for a kind that NumPy does not know.
    offset : int
        Of the first element in the storage, in elements.
    shape, strides : tuple of int
        Strides in elements.
    """

    layout: Layout
    storage: Storage
    dtype: np.dtype | None
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Contents:
    """What stands for the globals and the storages that one file's pickle names.

    Attributes
    ----------
    layout : Layout
    storages : dict of str to Storage
        All that were named so far, by key.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.storages: dict[str, Storage] = {}

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
            f"{self.layout.path} is refused: its pickle asks for {brief(name)}, which could run code or take "
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
        return StoredTensor(self.layout, storage, None if known is None else np.dtype(known), offset, shape, strides)

    def _tensor_of_new_dtype(
        self, storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
    ) -> StoredTensor:
        return self._tensor(storage, offset, shape, strides, dtype=dtype.name)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62
