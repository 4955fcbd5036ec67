"""One matrix out of one file: safetensors, NumPy, PyTorch or GGUF.

Every reader hands out a view of the mapped file, in the file's own dtype, wherever the format allows: a quantized GGUF
tensor is the exception. None of them runs code from a file.
"""

from __future__ import annotations

import tokenize
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import ml_dtypes
import numpy as np
from msgspec import Meta, Struct, ValidationError, convert

from index.errors import SourceError
from index.files import MOST_JSON_VALUES, MappedFile, brief, parse_json, refusal, require_few_values
from index.sources.gguf import GgufHeader
from index.sources.torch_file import Opaque, StoredTensor, as_numpy, load_torch

FLOATS = tuple(map(np.dtype, (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)))
GGUF_NAMES = ("output.weight", "token_embd.weight")
ROWS_PER_BLOCK = 4096
LISTED_NAMES = 5
MOST_ROWS = 3_000_000
"""Three times the largest vocabulary there is; each row takes some hundred bytes of memory even without a text."""
MOST_HEADER_BYTES = 1 << 25

_DTYPES: dict[str, Any] = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
"""As safetensors and GGUF name them."""
_INTEGERS: dict[str, Any] = {"U16": np.uint16, "I32": np.int32, "I64": np.int64, "U32": np.uint32, "U64": np.uint64}
_NPY_ERRORS = (OSError, ValueError, TypeError, OverflowError, MemoryError, RecursionError, SyntaxError)
"""What NumPy raises, beside `tokenize.TokenError`, for a header that is none; it reads one as a Python literal."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A matrix and the name it has in its file."""

    name: str
    values: np.ndarray  # (V, D) float64, float32, float16 or bfloat16; C-contiguous, finite, mapped where it can be


def read_matrix(file: MappedFile, wanted: Sequence[str]) -> Tensor:
    """Read the only matrix of a `.npy` file, or the first wanted one of a `.safetensors` or PyTorch file."""
    ending = file.path.suffix.lower()
    if ending == ".npy":
        return as_matrix(file.path.name, map_npy(file), file.path)
    return read_safetensors(file, wanted) if ending == ".safetensors" else read_torch(file, wanted)


def map_npy(file: MappedFile) -> np.ndarray:
    """Map the array in a `.npy` file, read-only; SourceError when the file is none, or holds Python objects."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header is read as Python source, which warns of much
            mapped: np.ndarray = np.lib.format.open_memmap(file.path, mode="r")
    except (*_NPY_ERRORS, tokenize.TokenError) as error:
        raise refusal(file.path, "is no .npy file of numbers", error) from error
    return mapped


def read_safetensors(file: MappedFile, wanted: Sequence[str]) -> Tensor:
    """Read the first of the wanted tensors that a `.safetensors` file holds; uint16 is taken as bits of bfloat16.

    SourceError when the file is damaged or holds none of them.
    """
    path = file.path
    header, start = safetensors_header(file)
    name = choose(wanted, {key: entry.shape for key, entry in header.items()}, path)
    _require_matrix(name, header[name].shape, path)
    return as_matrix(name, safetensors_values(file, name, header[name], start), path)


def map_safetensors(file: MappedFile) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the floats and the longer integers that a `.safetensors` file holds, mapped, by their names.

    SourceError when the file is damaged.
    """
    header, start = safetensors_header(file)
    for name, entry in header.items():
        if entry.dtype in _INTEGERS:
            yield name, file.array(name, _INTEGERS[entry.dtype], entry.shape, start + entry.data_offsets[0])
        elif entry.dtype in _DTYPES:
            yield name, safetensors_values(file, name, entry, start)


def safetensors_header(file: MappedFile) -> tuple[dict[str, HeaderEntry], int]:
    """Return what the header of a `.safetensors` file says of each tensor, and where their bytes begin; all checked.

    SourceError when the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = file.path
    header_bytes = int.from_bytes(file.content[:8].tobytes().ljust(8, b"\xff"), "little")
    if header_bytes > MOST_HEADER_BYTES:
        raise SourceError(f"{path} is no whole safetensors file: its header claims {header_bytes} bytes")
    text = file.content[8 : 8 + header_bytes].tobytes()
    require_few_values(text, MOST_JSON_VALUES, path)
    try:
        with safe_open(path, framework="np"):  # checks the whole header: every offset, shape and dtype
            pass
    except OSError as error:  # the library says of any reason that there is no such file
        raise SourceError(
            f"{path} cannot be opened again by safetensors: it was removed, or too many files are open (ulimit -n)"
        ) from error
    except SafetensorError as error:
        raise refusal(path, "is no whole safetensors file", error) from error
    return parse_header(text, path), 8 + header_bytes


def safetensors_values(file: MappedFile, name: str, entry: HeaderEntry, start: int) -> np.ndarray:
    """Map one tensor of a `.safetensors` file, by its entry in the header; SourceError for no floats."""
    dtype = np.uint16 if entry.dtype == "U16" else _DTYPES.get(entry.dtype)
    if dtype is None:
        raise SourceError(f"{name} of {file.path} is stored as {entry.dtype}; wanted F64, F32, F16 or BF16")
    return file.array(name, dtype, entry.shape, start + entry.data_offsets[0])


class HeaderEntry(Struct, frozen=True):
    """What the header of a safetensors file says of a tensor."""

    dtype: str
    shape: tuple[Annotated[int, Meta(ge=0)], ...]
    data_offsets: tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]]  # in bytes, from the header's end


def parse_header(text: bytes, path: Path | str) -> dict[str, HeaderEntry]:
    """Return the tensors that the header of a safetensors file names, by their names."""
    header = parse_json(text, path)
    header.pop("__metadata__", None)
    try:
        return convert(header, dict[str, HeaderEntry])
    except ValidationError as error:
        raise SourceError(f"{path} is no whole safetensors file: {brief(error)}") from error


def read_torch(file: MappedFile, wanted: Sequence[str]) -> Tensor:
    """Read a bare tensor, or the first of the wanted tensors of a dict, out of a PyTorch file.

    SourceError when the file is damaged, holds none of them, or needs pickle to run code: then the message names the
    global it asked for.
    """
    path = file.path
    content = load_torch(file)
    if isinstance(content, (StoredTensor, Opaque)):
        return as_matrix(path.name, as_numpy(content, path.name, path), path)
    if not isinstance(content, Mapping):
        raise SourceError(f"{path} holds a {type(content).__name__}; wanted a tensor, or a dict of tensors")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, (StoredTensor, Opaque))}
    name = choose(wanted, {key: value.shape for key, value in tensors.items()}, path)
    return as_matrix(name, as_numpy(tensors[name], name, path), path)


def read_gguf(header: GgufHeader) -> Tensor:
    """Read the unembedding of a `.gguf` file: `output.weight`, or where it is tied `token_embd.weight`.

    Floating-point tensors keep their dtype; quantized ones are dequantized to float32.
    """
    path = header.file.path
    name = choose(GGUF_NAMES, {key: tensor.shape for key, tensor in header.tensors.items()}, path)
    _require_matrix(name, header.tensors[name].shape, path)
    return as_matrix(name, gguf_values(header, name), path)


def gguf_values(header: GgufHeader, name: str) -> np.ndarray:
    """Read a tensor of a `.gguf` file, mapped where its numbers are floats, else dequantized to float32."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    file, path, tensor = header.file, header.file.path, header.tensors[name]
    try:
        kind = GGMLQuantizationType(tensor.quantization)
    except ValueError as error:
        raise SourceError(f"{name} of {path} has the unknown quantization type {tensor.quantization}") from error
    if kind.name in _DTYPES:
        return file.array(name, _DTYPES[kind.name], tensor.shape, tensor.offset)
    block_elements, block_bytes = GGML_QUANT_SIZES[kind]
    if not tensor.shape or tensor.shape[-1] % block_elements:
        raise SourceError(
            f"{name} of {path} has shape {tensor.shape}; wanted rows of a multiple of {block_elements} for {kind.name}"
        )
    packed_shape = (*tensor.shape[:-1], tensor.shape[-1] // block_elements * block_bytes)
    packed = file.array(name, np.uint8, packed_shape, tensor.offset)
    try:
        with np.errstate(all="ignore"):  # what comes out infinite is refused by who takes it
            values: np.ndarray = dequantize(packed, kind)
    except NotImplementedError as error:
        raise SourceError(f"{name} of {path} is quantized as {kind.name}, which gguf cannot dequantize") from error
    return values


def choose(wanted: Sequence[str], shapes: Mapping[str, tuple[int, ...]], path: Path | str) -> str:
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


def as_matrix(name: str, values: np.ndarray, path: Path) -> Tensor:
    """Check that an array is a non-empty, finite matrix of floats, and return it C-contiguous."""
    values = native_floats(name, values, path)
    _require_matrix(name, values.shape, path)
    values = np.require(values, requirements=["C", "A"])
    _refuse_nonfinite(name, values, path)
    return Tensor(name, values)


def native_floats(name: str, values: np.ndarray, path: Path) -> np.ndarray:
    """Return an array of floats in this machine's order of bytes, uint16 as bits of bfloat16; else SourceError."""
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype in (np.dtype(np.uint16), np.dtype("V2")):
        values = values.view(ml_dtypes.bfloat16)
    if values.dtype not in FLOATS:
        raise SourceError(f"{name} of {path} is {values.dtype}; wanted float64, float32, float16 or bfloat16")
    return values


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
