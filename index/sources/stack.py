"""Many matrices of one model in one file, (T, V, D): safetensors, NumPy or HDF5; one step is read at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from index.errors import ParameterError, SourceError, parameter
from index.files import brief, open_file, require
from index.sources.folder_tokens import orphans
from index.sources.load import Source, read_tokens
from index.sources.matrix import FLOATS, as_matrix, map_npy, map_safetensors

HDF5_ENDINGS = (".h5", ".hdf5")
ENDINGS = (".safetensors", ".npy", *HDF5_ENDINGS)
STEPS = "steps"
"""What a tensor of T whole numbers may be called, which name the steps."""
AXES = 3


@dataclass(frozen=True, eq=False)
class Stack:
    """A file of T matrices."""

    path: Path
    tensor: str
    names: tuple[str, ...]  # of the T steps
    matrix: Callable[[int], np.ndarray]  # (V, D) of a step, as stored

    def load(self, step: int, tokenizer: str | None) -> Source:
        """Read a step and the tokens of its rows; SourceError where it is no matrix of finite floats."""
        location = f"{self.path}[{step}]"
        gamma = as_matrix(f"{self.tensor}[{step}]", self.matrix(step), self.path).values
        vocabulary = orphans(len(gamma)) if tokenizer is None else read_tokens(tokenizer, len(gamma))
        return Source(self.names[step], location, self.tensor, gamma, vocabulary)


def open_stack(path: Path, *, bits: str | None) -> Stack:
    """Open a file of T matrices; `bits` is `bf16` where its uint16 are the bits of bfloat16.

    Raises
    ------
    SourceError
        When it holds no tensor of three axes, or several.
    ParameterError
        When it holds uint16 and `bits` does not say what they are.
    """
    arrays = _hdf5(path) if path.suffix.lower() in HDF5_ENDINGS else _mapped(path)
    stacks = {name: array for name, array in arrays.items() if len(array.shape) == AXES}
    if len(stacks) != 1:
        held = ", ".join(f"{brief(name)} {array.shape}" for name, array in list(arrays.items())[:5]) or "nothing"
        raise SourceError(f"{path} is no stack of matrices: wanted one tensor (steps, tokens, width), it holds {held}")
    ((tensor, array),) = stacks.items()
    if 0 in array.shape:
        raise SourceError(
            f"{brief(tensor)} of {path} has shape {array.shape}; wanted (steps, tokens, width), none zero"
        )
    is_bits = array.dtype in (np.dtype(np.uint16), np.dtype("V2"))
    if is_bits and bits is None:
        raise ParameterError(
            f"{path} holds uint16; pass {parameter('as', 'bf16')} if these are the bits of bfloat16 numbers"
        )
    if not is_bits and (bits is not None or array.dtype not in FLOATS):
        wanted = "uint16, of which it says what they are" if bits else "float64, float32, float16, bfloat16 or uint16"
        raise ParameterError(
            f"{path} holds {array.dtype}; {parameter('as', bits) if bits else 'a stack'} is of {wanted}"
        )

    def matrix(step: int) -> np.ndarray:
        values: np.ndarray = np.asarray(array[step])
        return values.view(ml_dtypes.bfloat16) if is_bits else values

    return Stack(path, tensor, _names(arrays.get(STEPS), array.shape[0], path), matrix)


def _names(steps: Any, count: int, path: Path) -> tuple[str, ...]:
    if steps is None:
        return tuple(f"step{number}" for number in range(count))
    numbers = np.asarray(steps[:]) if steps.shape == (count,) and steps.dtype.kind in "iu" else np.empty(0)
    if len(numbers) != count or len(set(numbers.tolist())) < count or numbers.min() < 0:
        raise SourceError(
            f"{STEPS} of {path} names no {count} different steps; wanted whole numbers, one for each matrix"
        )
    return tuple(f"step{number}" for number in numbers.tolist())


def _mapped(path: Path) -> dict[str, Any]:
    file = open_file(path)
    return {path.stem: map_npy(file)} if path.suffix.lower() == ".npy" else dict(map_safetensors(file))


def _hdf5(path: Path) -> dict[str, Any]:
    """Return the datasets at the root of an HDF5 file, unread; none that lies in another file."""
    require("h5py", extra="hdf5", command="--sweep", program="build_index.py")
    import h5py

    open_file(path)  # says in one line what is no file
    try:
        file = h5py.File(path, "r")
        hard = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
        found = {name: file[name] for name in hard if isinstance(file[name], h5py.Dataset)}
        if any(each.external or each.is_virtual for each in found.values()):
            raise SourceError(f"{path} is refused: its numbers lie in other files")
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise SourceError(f"{path} is no HDF5 file that can be read: {brief(error)}") from error
    return found
