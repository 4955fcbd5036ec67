"""Writing the files of a bundle, each from start to end; whoever cannot be written is named with the room it needs."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from index.bundle.checksums import seal
from index.bundle.manifest import MANIFEST, Manifest
from index.bundle.stored import FLAT_HEADER, FLAT_INNER_PRODUCT, FLAT_L2, PatchedArray, map_flat
from index.errors import BundleError, parameter
from index.files import brief, why
from index.geometry.blocks import Matrix, row_slices
from index.search.graph import KnnGraph
from index.search.sketch import encode, new_quantizer

if TYPE_CHECKING:
    import pyarrow as pa

SAFETENSORS_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
}
_UNUSED = 1 << 20  # what FAISS writes in the two unused numbers of a header
DISTINCT_ROWS = "distinct_rows"
STORED_ARRAYS = (*(field.name for field in fields(KnnGraph)), DISTINCT_ROWS)
"""Of a graph: each is a file."""
SKETCH, SKETCH_ERRORS = "sketch", "sketch_errors"
OWN_ROWS, OWN_POINTS, LENGTHS = "own_rows", "own_points", "lengths"
"""Of causal-cosine points: those that are not made of causal ones."""
_ROWS_COMPARED = 1 << 14


@contextmanager
def saving(path: Path, needed: int) -> Iterator[None]:
    """Say what could not be written, why, and how many bytes it needs, whatever a library raises in the block.

    Raises
    ------
    BundleError
    """
    try:
        yield
    except OSError as error:
        reason = OSError(error.errno, os.strerror(error.errno) if error.errno else brief(error))
        another = f"pass another {parameter('out')}"
        free = shutil.disk_usage(path.parent).free
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if not full and not (error.errno is None and free < needed):  # Arrow has no number for its reason
            raise BundleError(f"{path.name} cannot be written: {why(reason, another)}") from error
        raise BundleError(
            f"{path.name} cannot be written: {reason.strerror}; it needs {needed / 1e6:,.3f} MB, and "
            f"the disk of {path.parent} has {free / 1e6:,.3f} MB left; make room, or {another}"
        ) from error


def save_tensors(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Write arrays, mapped or not, of `SAFETENSORS_DTYPES` as safetensors."""
    # Not by the library: it puts metadata in another order each time, and its errors have no errno of a full disk.
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": SAFETENSORS_DTYPES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that what follows is aligned
    with saving(path, end), path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).view(np.uint8).data)


def save_text(path: Path, text: str) -> None:
    """Write a text as UTF-8."""
    with saving(path, len(text)):
        path.write_text(text, encoding="utf-8")


def save_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet."""
    import pyarrow.parquet as pq

    with saving(path, table.nbytes):
        pq.write_table(table, path, compression="zstd")


def save_points(path: Path, shape: tuple[int, int], blocks: Iterable[np.ndarray], *, inner_product: bool) -> np.ndarray:
    """Write points as a flat FAISS index, of inner products or of squared L2 distances; return them mapped, read-only.

    The blocks are (n, D) float32, in order, so that the points, (V, D), are never in memory as a whole. FAISS would
    write the same, byte for byte, but out of memory, and what it cannot write it only mentions on standard error.
    """
    V, D = shape
    name, metric = FLAT_INNER_PRODUCT if inner_product else FLAT_L2
    with saving(path, FLAT_HEADER.size + 4 * V * D), path.open("wb") as file:
        file.write(FLAT_HEADER.pack(name, D, V, _UNUSED, _UNUSED, True, metric, V * D))
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype="<f4").data)
    return map_flat(path, shape)


def save_sketch(folder: Path, name: str, points: np.ndarray) -> None:
    """Write the sketch of points, (V, D) float32, as FAISS writes its quantizer, and what it loses of each."""
    import faiss

    V, D = points.shape
    path, errors = folder / f"{name}.{SKETCH}.faiss", np.empty(V, np.float32)
    quantizer = new_quantizer(points)
    empty = faiss.serialize_index(quantizer).tobytes()  # its last eight bytes say that there are no codes
    with saving(path, len(empty) + V * D), path.open("wb") as file:
        file.write(empty[:8] + V.to_bytes(8, "little") + empty[16:-8] + (V * D).to_bytes(8, "little"))
        for where in row_slices(points.shape):
            codes, errors[where] = encode(quantizer, points[where])
            file.write(codes.data)
    save_array(folder / f"{name}.{SKETCH_ERRORS}.npy", errors)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as `.npy`."""
    # Not np.save: when the disk is full it says how many items it wrote, but not why no more.
    with saving(path, array.nbytes), path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(np.ascontiguousarray(array).data)


def save_graph(folder: Path, name: str, graph: KnnGraph) -> None:
    """Write a space's k-NN graph as `.npy` files: lists of distinct points only of the rows where they differ."""
    rows = _differing(graph)
    arrays = {
        "ids": graph.ids,
        "distances": graph.distances,
        DISTINCT_ROWS: rows,
        "distinct_ids": graph.distinct_ids[rows],
        "distinct_distances": graph.distinct_distances[rows],
        "groups": graph.groups,
    }
    for field, array in arrays.items():
        save_array(folder / f"{name}.{field}.npy", array)


def _differing(graph: KnnGraph) -> np.ndarray:
    """Return the rows whose nearest distinct points are not simply their nearest rows, ascending int32."""
    apart = np.zeros(len(graph.ids), bool)
    for start in range(0, len(apart), _ROWS_COMPARED):
        where = slice(start, start + _ROWS_COMPARED)
        apart[where] = (graph.ids[where] != graph.distinct_ids[where]).any(axis=1)
        apart[where] |= (graph.distances[where] != graph.distinct_distances[where]).any(axis=1)
    return np.flatnonzero(apart).astype(np.int32)


def map_graph(folder: Path, name: str) -> dict[str, Matrix]:
    """Map the arrays of a space's k-NN graph that this process has written or checked, under the names of a graph's."""
    found = {field: np.load(folder / f"{name}.{field}.npy", mmap_mode="r") for field in STORED_ARRAYS}
    rows = np.asarray(found.pop(DISTINCT_ROWS))
    distinct = {
        f"distinct_{field}": PatchedArray(found[field], rows, found[f"distinct_{field}"])
        for field in ("ids", "distances")
    }
    return found | distinct


def save_index(path: Path, index: Any) -> None:
    """Write a FAISS index."""
    import faiss

    # FAISS's own file writer only mentions on standard error what it cannot write when it closes the file.
    with saving(path, 4 * index.ntotal * index.d), path.open("wb") as file:
        writer = faiss.PyCallbackIOWriter(file.write)  # type: ignore[attr-defined] # SWIG makes it when faiss is loaded
        faiss.write_index(index, writer)


def read_index(path: Path) -> Any:
    """Read a FAISS index that this process has written; OSError when the system does not let it."""
    import faiss

    with path.open("rb") as file:  # FAISS would open it itself, and raise RuntimeError with the reason somewhere in it
        reader = faiss.PyCallbackIOReader(file.read)  # type: ignore[attr-defined] # SWIG makes it when faiss is loaded
        return faiss.read_index(reader)


def save_manifest(folder: Path, manifest: Manifest) -> int:
    """Write the manifest, sealed, beside the files it describes; return the bytes of all files."""
    whole = msgspec.to_builtins(manifest)
    text = json.dumps(whole | {"checksum": seal(whole)}, indent=2, ensure_ascii=False, allow_nan=False)
    with saving(folder / MANIFEST, len(text)):
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return sum(path.stat().st_size for path in folder.iterdir())
