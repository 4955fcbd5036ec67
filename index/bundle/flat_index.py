"""Flat FAISS indexes as files, written block by block, so that the points are never in memory as a whole.

Such a file is a header and then the points, row by row, in float32. FAISS would write the same, byte for byte, but out
of memory, and what it cannot write when it closes the file it only mentions on standard error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

FLAT_HEADER = struct.Struct("<4siqqq?iQ")
"""What a flat FAISS index begins with: its name, D, V, two unused numbers, is trained, metric, number of floats."""
_UNUSED = 1 << 20
_L2, _INNER_PRODUCT = (b"IxF2", 1), (b"IxFI", 0)
FLAT_NAMES = (_L2[0], _INNER_PRODUCT[0])


def write_flat(path: Path, shape: tuple[int, int], blocks: Iterable[np.ndarray], *, inner_product: bool) -> None:
    """Write an index of V points.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        V and D.
    blocks : iterable of ndarrays of shape (n, D), float32
        The points in their order.
    inner_product : bool
        Whether the index compares inner products instead of squared L2 distances.
    """
    V, D = shape
    name, metric = _INNER_PRODUCT if inner_product else _L2
    with path.open("wb") as file:
        file.write(FLAT_HEADER.pack(name, D, V, _UNUSED, _UNUSED, True, metric, V * D))
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype="<f4").data)


def map_flat(path: Path, shape: tuple[int, int], *, writable: bool = False) -> np.ndarray:
    """Map the points of an index that this process has written or checked, (V, D) float32."""
    mode: Literal["r", "r+"] = "r+" if writable else "r"
    return np.asarray(np.memmap(path, np.float32, mode=mode, offset=FLAT_HEADER.size, shape=shape))
