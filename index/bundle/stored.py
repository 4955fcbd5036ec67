"""Arrays in the files of a bundle: mapped, and checked where they are read.

The points are in flat FAISS indexes: a header and then the rows in float32, which FAISS itself would load slowly.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike

from index.bundle.checksums import BLOCK_BYTES, DAMAGED, StoredFile
from index.errors import BundleError
from index.geometry.blocks import Matrix

FLAT_HEADER = struct.Struct("<4siqqq?iQ")
"""What a flat FAISS index begins with: its name, D, V, two unused numbers, is trained, metric, number of floats."""
FLAT_L2, FLAT_INNER_PRODUCT = (b"IxF2", 1), (b"IxFI", 0)
"""The name and the metric of either kind."""


class StoredArray(NDArrayOperatorsMixin):
    """An array in a file of a bundle, to index, compare and compute with like one.

    A row, some rows or a slice of rows are read, and checked, alone; anything else takes the whole.
    """

    def __init__(
        self, file: StoredFile, offset: int, shape: tuple[int, ...], dtype: DTypeLike, below: int | None = None
    ) -> None:
        self._file, self._offset, self._below = file, offset, below
        self._array = np.frombuffer(file.content, dtype, math.prod(shape), offset).reshape(shape)
        self.shape, self.dtype = shape, self._array.dtype
        self._row_bytes = math.prod(shape[1:]) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"StoredArray(shape={self.shape}, dtype={self.dtype})"

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*map(plain, inputs), **kwargs)

    def __getitem__(self, key: Any) -> np.ndarray:
        self._check(key[0] if isinstance(key, tuple) else key)
        found: np.ndarray = self._array[key]
        self._check_values(found)
        self._file.let_go()
        return found

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.whole, dtype, copy=copy)

    @property
    def whole(self) -> np.ndarray:
        """All of it, checked: a plain, read-only, mapped array."""
        self._check_rows(0, len(self))
        self._check_values(self._array)
        return self._array

    def mapped(self, rows: np.ndarray) -> np.ndarray:
        """Return all of it, mapped, of which some rows, (n,), are checked and may be read."""
        if len(rows) == len(self):
            return self.whole
        self._check(rows)
        return self._array

    def reader(self) -> Callable[[slice], np.ndarray]:
        """Return a function that reads consecutive rows, checked, into memory that its next call takes again."""
        room = np.empty(0, np.uint8)

        def read(rows: slice) -> np.ndarray:
            nonlocal room
            start, stop = self._offset + rows.start * self._row_bytes, self._offset + rows.stop * self._row_bytes
            if len(room) < (needed := stop - start + 2 * BLOCK_BYTES):
                room = np.empty(needed, np.uint8)
            content = self._file.copied(start, stop, room)
            return np.frombuffer(content, self.dtype).reshape(-1, *self.shape[1:])

        return read

    def _check(self, rows: Any) -> None:
        if isinstance(rows, int | np.integer) and -len(self) <= rows < len(self):
            row = int(rows) % len(self)
            self._check_rows(row, row + 1)
        elif isinstance(rows, slice):
            here = range(*rows.indices(len(self)))
            if here:
                self._check_rows(min(here[0], here[-1]), max(here[0], here[-1]) + 1)
        elif isinstance(rows, list | np.ndarray) and np.asarray(rows).dtype.kind == "i" and np.size(rows):
            starts = self._offset + np.ravel(rows).astype(np.int64) % len(self) * self._row_bytes
            self._file.check_pieces(starts, self._row_bytes)
        else:
            self._check_rows(0, len(self))

    def _check_values(self, found: np.ndarray) -> None:
        if self._below is not None and found.size and not -1 <= found.min() <= found.max() < self._below:
            raise BundleError(f"{self._file.path} names rows that are not there: {DAMAGED}")

    def _check_rows(self, start: int, stop: int) -> None:
        self._file.check(self._offset + start * self._row_bytes, self._offset + stop * self._row_bytes)


class PatchedArray(NDArrayOperatorsMixin):
    """An array that is another but for some rows, (n,) ascending, which are kept apart: (n, ...) of the same width.

    It reads like either; nothing more of them is read than is asked for.
    """

    def __init__(self, base: Matrix, rows: np.ndarray, patches: Matrix) -> None:
        self._base, self._rows, self._patches = base, rows, patches
        self.shape, self.dtype = base.shape, base[:0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        found = self._base[key]
        if len(self._rows) == 0:
            return found
        of_rows, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        asked = np.arange(len(self))[of_rows]
        places = np.searchsorted(self._rows, asked)
        patched = self._rows[np.minimum(places, len(self._rows) - 1)] == asked
        if patched.any():
            found = np.array(found)
            if asked.ndim == 0:
                found[...] = self._patches[int(places)][rest]
            else:
                found[patched] = self._patches[places[patched]][(slice(None), *rest)]
            found.flags.writeable = False
        return found

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.whole, dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*map(plain, inputs), **kwargs)

    @property
    def whole(self) -> np.ndarray:
        """All of it: a plain, read-only array, mapped where no row differs."""
        return self[:]


def plain(values: Any) -> Any:
    """Return the whole of a stored array, and anything else as it is."""
    return values.whole if isinstance(values, StoredArray | PatchedArray) else values


def npy_array(file: StoredFile, shape: tuple[int, ...], dtype: DTypeLike, below: int | None = None) -> StoredArray:
    """Map a `.npy` file that must hold this shape and dtype, and with `below` only numbers from -1 to below that.

    Its header is compared, not read: NumPy would take what is there for Python source.
    """
    wanted, expected = np.dtype(dtype), BytesIO()
    facts = {"descr": np.lib.format.dtype_to_descr(wanted), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(expected, facts)
    header = expected.getvalue()
    file.check(0, min(len(header), len(file.content)))
    if file.content[: len(header)].tobytes() != header:
        raise BundleError(f"{file.path} is no .npy file of {wanted} of shape {shape}: {DAMAGED}")
    return _array(file, len(header), shape, wanted, below)


def flat_index_points(file: StoredFile, shape: tuple[int, int]) -> StoredArray:
    """Map the points of a flat FAISS index."""
    file.check(0, FLAT_HEADER.size)
    header = file.content[: FLAT_HEADER.size].tobytes()
    fields = FLAT_HEADER.unpack(header) if len(header) == FLAT_HEADER.size else (b"", 0, 0, 0)
    if (
        fields[0] not in (FLAT_L2[0], FLAT_INNER_PRODUCT[0])
        or fields[2:0:-1] != shape
        or fields[-1] != shape[0] * shape[1]
    ):
        raise BundleError(f"{file.path} is not a flat FAISS index of {shape[0]} x {shape[1]} points: {DAMAGED}")
    return _array(file, FLAT_HEADER.size, shape, np.float32)


SKETCH_HEADER = struct.Struct("<4siqqq?iiifQQQ")
"""What an 8-bit FAISS quantizer begins with: as a flat index, then kind, how its ranges were found, D, bytes a row.

Then come the number of its ranges, 2 D, these in float32, the number of codes, and the codes.
"""
_SKETCH_KIND, _SQUARED_L2 = (b"IxSQ", 0), 1


def sketch_codes(file: StoredFile, shape: tuple[int, int]) -> StoredArray:
    """Map the codes of an 8-bit FAISS quantizer, (V, D) uint8, all of whose header is compared with what it must be."""
    V, D = shape
    file.check(0, min(SKETCH_HEADER.size + 8 * D + 8, len(file.content)))
    header = file.content[: SKETCH_HEADER.size].tobytes()
    fields = SKETCH_HEADER.unpack(header) if len(header) == SKETCH_HEADER.size else ()
    ranges = file.content[SKETCH_HEADER.size :][: 8 * D].view(np.uint8)
    count = file.content[SKETCH_HEADER.size + 8 * D :][:8].tobytes()
    name, kind = _SKETCH_KIND
    known = len(fields) == 13 and (fields[0], *fields[1:3], *fields[5:8]) == (name, D, V, True, _SQUARED_L2, kind)
    if (
        not known
        or fields[10:] != (D, D, 2 * D)
        or len(ranges) != 8 * D
        or not np.isfinite(np.frombuffer(ranges.tobytes(), "<f4")).all()
        or int.from_bytes(count, "little") != V * D
    ):
        raise BundleError(f"{file.path} is no 8-bit FAISS quantizer of {V} x {D} points: {DAMAGED}")
    return _array(file, SKETCH_HEADER.size + 8 * D + 8, shape, np.uint8)


def map_flat(path: Path, shape: tuple[int, int], *, writable: bool = False) -> np.ndarray:
    """Map the points of an index that this process has written, unchecked, (V, D) float32."""
    mode: Literal["r", "r+"] = "r+" if writable else "r"
    return np.asarray(np.memmap(path, np.float32, mode=mode, offset=FLAT_HEADER.size, shape=shape))


def safetensors_array(file: StoredFile, name: str, shape: tuple[int, ...]) -> StoredArray:
    """Map one tensor of a safetensors file, in its own dtype."""
    import ml_dtypes

    kinds: dict[str, DTypeLike] = {
        "BF16": ml_dtypes.bfloat16,
        "F16": np.float16,
        "F32": np.float32,
        "F64": np.float64,
    }
    file.check(0, 8)
    length = int.from_bytes(file.content[:8].tobytes(), "little")
    file.check(8, min(8 + length, len(file.content)))
    try:
        facts = json.loads(file.content[8 : 8 + length].tobytes())[name]
        kind, found, begin = kinds[facts["dtype"]], tuple(facts["shape"]), int(facts["data_offsets"][0])
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise BundleError(f"{file.path} holds no tensor {name}: {DAMAGED}") from error
    if found != shape or begin < 0:
        raise BundleError(f"{file.path} holds {name} of shape {found} from byte {begin}, not {shape}: {DAMAGED}")
    return _array(file, 8 + length + begin, shape, kind)


def _array(
    file: StoredFile, offset: int, shape: tuple[int, ...], dtype: DTypeLike, below: int | None = None
) -> StoredArray:
    try:
        return StoredArray(file, offset, shape, dtype, below)
    except (ValueError, OverflowError) as error:
        raise BundleError(f"{file.path} is too short for numbers of shape {shape}: {DAMAGED}") from error
