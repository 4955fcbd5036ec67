"""Vectors in a file: one array of one or two axes out of a `.npy`, a `.pt`, a `.safetensors` or a `.gguf`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from index.errors import SourceError
from index.files import MappedFile, open_file
from index.sources.gguf import read_header
from index.sources.matrix import gguf_values, map_npy, native_floats, safetensors_header, safetensors_values
from index.sources.torch_file import StoredTensor, as_numpy, load_torch

ENDINGS = (".npy", ".pt", ".pth", ".bin", ".safetensors", ".gguf")
LISTED_NAMES = 5
_AXES = (1, 2)


class _Held(NamedTuple):
    """An array in a file, not read yet."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def read_array(path: Path, wanted: Sequence[str] = (), *, axes: Sequence[int] = _AXES) -> np.ndarray:
    """Read the first wanted array that a file holds, else the only one of so many axes, in its own dtype of floats.

    SourceError when the file is damaged, of another kind, holds none or several, or values that are no numbers.
    """
    if path.suffix.lower() not in ENDINGS:
        raise SourceError(f"{path} ends in {path.suffix!r:.20}; wanted {', '.join(ENDINGS)}")
    file = open_file(path)
    held = _held(file)
    fitting = [name for name, each in held.items() if len(each.shape) in axes and 0 not in each.shape]
    named = [name for name in wanted if name in held]
    if not named and len(fitting) != 1:
        shown = list(held.items())[:LISTED_NAMES]
        listed = ", ".join(f"{name!r:.80} {each.shape!s:.40}" for name, each in shown) or "nothing"
        more = f" and {len(held) - LISTED_NAMES} more" if len(held) > LISTED_NAMES else ""
        what = f"no {' or '.join(wanted[:2])}" if wanted else "no one array of vectors"
        raise SourceError(f"{path} holds {what}; it holds {listed}{more}")
    name = (named or fitting)[0]
    values = held[name].read()
    if values.ndim not in axes or 0 in values.shape:
        raise SourceError(f"{name} of {path} has shape {values.shape!s:.60}; wanted {_shapes(axes)}")
    return native_floats(name, values, path)


def _shapes(axes: Sequence[int]) -> str:
    return " or ".join("(D,)" if count == 1 else "(Q, D)" for count in axes)


def _held(file: MappedFile) -> Mapping[str, _Held]:
    """Return all arrays of a file by their names."""
    path = file.path
    if path.suffix.lower() == ".npy":
        values = map_npy(file)
        return {path.name: _Held(values.shape, lambda: values)}
    if path.suffix.lower() == ".safetensors":
        header, start = safetensors_header(file)
        return {
            name: _Held(entry.shape, partial(safetensors_values, file, name, entry, start))
            for name, entry in header.items()
        }
    if path.suffix.lower() == ".gguf":
        gguf = read_header(file)
        return {name: _Held(each.shape, partial(gguf_values, gguf, name)) for name, each in gguf.tensors.items()}
    content = load_torch(file)
    tensors = content if isinstance(content, Mapping) else {path.name: content}
    return {
        str(name): _Held(each.shape, partial(as_numpy, each, str(name), path))
        for name, each in tensors.items()
        if isinstance(each, StoredTensor)
    }
