"""PyTorch files, read without running a line of what they carry."""

from __future__ import annotations

import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from index.errors import SourceError
from index.files import brief, require_content

if TYPE_CHECKING:
    import torch

_LEGACY_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""How files of torch.save began before PyTorch 1.6, when they were not zip archives yet."""
_ZIP_MAGIC = b"PK\x03\x04"
_OPCODES_SCANNED = 100_000


def load_torch(path: Path) -> Any:
    """Return what a `.pt` file holds, its tensors on the CPU and memory-mapped.

    Raises
    ------
    SourceError
        When the file is damaged, compressed, or its pickle asks for a global that could run code, which the message
        names.
    """
    import torch

    require_content(path)

    with path.open("rb") as file:
        start = file.read(len(_LEGACY_MAGIC))
    zipped = start.startswith(_ZIP_MAGIC)
    if not zipped and start != _LEGACY_MAGIC:
        asked = _first_global(path)
        raise SourceError(
            f"{path} is no file of torch.save"
            + (f": refused, as its pickle asks for {asked}, which could run code" if asked else "")
        )
    try:
        if zipped:
            _refuse_compressed(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, weights_only=True, map_location="cpu", mmap=zipped)
    except pickle.UnpicklingError as error:
        asked_for = re.search(r"GLOBAL (\S+)", str(error))
        if asked_for:
            raise SourceError(
                f"{path} is refused: its pickle asks for {brief(Exception(asked_for[1]))}, which could run code; "
                "save the tensor as .safetensors instead"
            ) from error
        raise SourceError(f"{path} is refused: its pickle holds more than tensors and plain values") from error
    except (
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        EOFError,
        OSError,
        OverflowError,
        MemoryError,
        AssertionError,
        struct.error,
        zipfile.BadZipFile,
    ) as error:
        raise SourceError(f"{path} is no whole file of torch.save: {brief(error)}") from error


def _refuse_compressed(path: Path) -> None:
    """torch.save stores its records plainly; a compressed one can be a thousand times its size."""
    with zipfile.ZipFile(path) as archive:
        for record in archive.infolist():
            if record.compress_type != zipfile.ZIP_STORED:
                raise SourceError(f"{path} is refused: its record {record.filename!r:.80} is compressed")


def _first_global(path: Path) -> str | None:
    """Return the first global that a pickle would import, by reading its opcodes only."""
    strings: list[str] = []
    with path.open("rb") as file:
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
                if opcode.name in ("GLOBAL", "INST"):
                    return str(argument).replace(" ", ".")
                if opcode.name == "STACK_GLOBAL":
                    return ".".join(strings[-2:])
                if isinstance(argument, str):
                    strings.append(argument)
                if count > _OPCODES_SCANNED:
                    break
        except (ValueError, OverflowError, MemoryError, LookupError, UnicodeError):
            return None
    return None


def as_numpy(tensor: torch.Tensor, name: str, path: Path) -> np.ndarray:
    """Return a dense tensor as an array that shares its memory; bfloat16 stays bfloat16."""
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise SourceError(f"{name} of {path} is no dense tensor")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise SourceError(
            f"{name} of {path} claims shape {tuple(tensor.shape)}, but holds {tensor.untyped_storage().nbytes()} bytes"
        )
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    try:
        return np.asarray(tensor.numpy())
    except (RuntimeError, TypeError) as error:
        raise SourceError(f"{name} of {path} is {tensor.dtype}; wanted a floating-point tensor") from error
