"""One matrix out of one file: safetensors, NumPy, PyTorch or GGUF.

Every reader maps the file and hands out a view of it, in the file's own dtype, wherever the format allows: a
quantized GGUF tensor is the exception. None of them runs code from a file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from index.errors import SourceError
from index.files import MOST_JSON_VALUES, brief, parse_json, require_content, require_few_values
from index.sources.gguf import read_header
from index.sources.numpy_file import map_npy
from index.sources.torch_contents import Opaque, StoredTensor
from index.sources.torch_file import as_numpy, load_torch

FLOATS = tuple(map(np.dtype, (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)))
GGUF_NAMES = ("output.weight", "token_embd.weight")
ROWS_PER_BLOCK = 4096
LISTED_NAMES = 5
MOST_ROWS = 3_000_000
"""Three times the largest vocabulary there is; each row takes some hundred bytes of memory even without a text."""
MOST_HEADER_BYTES = 1 << 25

_SAFETENSORS_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "U16": np.uint16,
}


@dataclass(frozen=True, eq=False)
class Tensor:
    """A matrix and the name it has in its file.

    Attributes
    ----------
    name : str
    values : ndarray of shape (V, D)
        float64, float32, float16 or bfloat16; C-contiguous, finite, memory-mapped where the format allows.
    """

    name: str
    values: np.ndarray


def read_safetensors(path: Path, wanted: Sequence[str]) -> Tensor:
    """Read the first of the `wanted` tensors that a `.safetensors` file holds.

    uint16 is taken as the bits of bfloat16. Raises SourceError when the file is damaged or holds none of them.
    """
    from safetensors import SafetensorError, safe_open

    require_content(path)
    with path.open("rb") as file:
        (header_bytes,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        if header_bytes > MOST_HEADER_BYTES:
            raise SourceError(f"{path} is no whole safetensors file: its header claims {header_bytes} bytes")
        text = file.read(header_bytes)
    require_few_values(text, MOST_JSON_VALUES, path)
    try:
        with safe_open(path, framework="np"):  # checks the whole header: every offset, shape and dtype
            pass
    except (SafetensorError, OSError) as error:
        raise SourceError(f"{path} is no whole safetensors file: {brief(error)}") from error
    header = parse_json(text, path)
    header.pop("__metadata__", None)
    name = _choose(wanted, {key: tuple(entry["shape"]) for key, entry in header.items()}, path)
    dtype, shape = header[name]["dtype"], tuple(header[name]["shape"])
    if dtype not in _SAFETENSORS_DTYPES:
        raise SourceError(f"{name} of {path} is stored as {dtype}; wanted F64, F32, F16 or BF16")
    start = 8 + header_bytes + header[name]["data_offsets"][0]
    return _matrix(name, _mapped(path, _SAFETENSORS_DTYPES[dtype], shape, start, name), path)


def read_npy(path: Path) -> Tensor:
    """Read a `.npy` file; uint16, and the two-byte void that NumPy writes for bfloat16, are taken as bfloat16."""
    return _matrix(path.name, map_npy(path), path)


def read_torch(path: Path, wanted: Sequence[str]) -> Tensor:
    """Read a bare tensor, or the first of the `wanted` tensors of a dict, out of a PyTorch file.

    Raises
    ------
    SourceError
        When the file is damaged, holds none of the tensors, or needs pickle to run code; then the message names the
        global it asked for.
    """
    content = load_torch(path)
    if isinstance(content, (StoredTensor, Opaque)):
        return _matrix(path.name, as_numpy(content, path.name, path), path)
    if not isinstance(content, Mapping):
        raise SourceError(f"{path} holds a {type(content).__name__}; wanted a tensor, or a dict of tensors")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, (StoredTensor, Opaque))}
    name = _choose(wanted, {key: value.shape for key, value in tensors.items()}, path)
    return _matrix(name, as_numpy(tensors[name], name, path), path)


def read_gguf(path: Path) -> Tensor:
    """Read the unembedding of a `.gguf` file: `output.weight`, or where it is tied `token_embd.weight`.

    Floating-point tensors keep their dtype; quantized ones are dequantized to float32.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    require_content(path)
    header = read_header(path)
    name = _choose(GGUF_NAMES, {key: tensor.shape for key, tensor in header.tensors.items()}, path)
    tensor = header.tensors[name]
    native = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
    try:
        kind = GGMLQuantizationType(tensor.quantization)
    except ValueError as error:
        raise SourceError(f"{name} of {path} has the unknown quantization type {tensor.quantization}") from error
    if kind.name in native:
        return _matrix(name, _mapped(path, native[kind.name], tensor.shape, tensor.offset, name), path)
    block_elements, block_bytes = GGML_QUANT_SIZES[kind]
    if len(tensor.shape) != 2 or tensor.shape[1] % block_elements:
        raise SourceError(
            f"{name} of {path} has shape {tensor.shape}; wanted (tokens, multiple of {block_elements}) for {kind.name}"
        )
    V, D = tensor.shape
    packed = _mapped(path, np.uint8, (V, D // block_elements * block_bytes), tensor.offset, name)
    try:
        with np.errstate(all="ignore"):  # what comes out infinite is refused below
            return _matrix(name, dequantize(packed, kind), path)
    except NotImplementedError as error:
        raise SourceError(f"{name} of {path} is quantized as {kind.name}, which gguf cannot dequantize") from error


def _choose(wanted: Sequence[str], shapes: Mapping[str, tuple[int, ...]], path: Path) -> str:
    """Return the first wanted name that is there, or say which matrices are."""
    for name in wanted:
        if name in shapes:
            return name
    matrices = sorted((name for name, shape in shapes.items() if len(shape) == 2), key=lambda name: -max(shapes[name]))
    listed = ", ".join(f"{name!r:.80} {shapes[name]}" for name in matrices[:LISTED_NAMES]) or "no matrix"
    more = f" and {len(matrices) - LISTED_NAMES} more" if len(matrices) > LISTED_NAMES else ""
    raise SourceError(
        f"{path} holds no unembedding matrix under a known name; it holds {listed}{more}"
        f"; wanted {', '.join(wanted[:4])}{', …' if len(wanted) > 4 else ''}"
    )


def _mapped(path: Path, dtype: Any, shape: tuple[int, ...], start: int, name: str) -> np.ndarray:
    _require_matrix(name, shape, path)
    needed = start + int(np.dtype(dtype).itemsize) * math.prod(shape)
    if needed > path.stat().st_size:
        raise SourceError(
            f"{path} is cut short: {name} with shape {shape} ends at byte {needed}, the file at {path.stat().st_size}"
        )
    return np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape)


def _matrix(name: str, values: np.ndarray, path: Path) -> Tensor:
    """Check that an array is a non-empty, finite matrix of floats, and return it C-contiguous."""
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype in (np.dtype(np.uint16), np.dtype("V2")):
        values = values.view(ml_dtypes.bfloat16)
    if values.dtype not in FLOATS:
        raise SourceError(f"{name} of {path} is {values.dtype}; wanted float64, float32, float16 or bfloat16")
    _require_matrix(name, values.shape, path)
    values = np.require(values, requirements=["C", "A"])
    _refuse_nonfinite(name, values, path)
    return Tensor(name, values)


def _require_matrix(name: str, shape: tuple[int, ...], path: Path) -> None:
    if len(shape) != 2 or 0 in shape:
        raise SourceError(f"{name} of {path} has shape {shape}; wanted (tokens, width), neither zero")
    if shape[0] > MOST_ROWS:
        raise SourceError(f"{name} of {path} has {shape[0]:,} rows; wanted at most {MOST_ROWS:,} tokens")


def _refuse_nonfinite(name: str, values: np.ndarray, path: Path) -> None:
    bad: list[int] = []
    for start in range(0, len(values), ROWS_PER_BLOCK):
        with np.errstate(invalid="ignore"):  # a signaling NaN
            finite = np.isfinite(values[start : start + ROWS_PER_BLOCK])
        if not finite.all():
            bad.extend((start + np.flatnonzero(~finite.all(axis=1))).tolist())
    if bad:
        listed = ", ".join(map(str, bad[:LISTED_NAMES])) + (", …" if len(bad) > LISTED_NAMES else "")
        raise SourceError(f"{name} of {path} has NaN or infinite values in {len(bad)} of {len(values)} rows: {listed}")
