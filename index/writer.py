"""Writing a bundle: whole or not at all.

Everything is written to a folder beside the target and renamed into place, the manifest last.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from index.bundle import FORMAT, FORMAT_VERSION, MANIFEST
from index.errors import BundleError
from index.files import brief
from index.neighbors import KnnGraph


@contextmanager
def writing(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a folder to build in; put it in place of `target` when the block ends well, else remove it.

    Parameters
    ----------
    target : Path
        The bundle's own folder.
    overwrite : bool
        Whether a bundle that is there may be replaced.

    Raises
    ------
    BundleError
        When `target` exists and may not be replaced, or cannot be written.
    """
    check_target(target, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.building-", dir=target.parent))
        folder.chmod(0o755)  # mkdtemp makes it private
    except OSError as error:
        raise BundleError(f"{target.parent} cannot be written: {brief(error)}") from error
    try:
        yield folder
        check_target(target, overwrite=overwrite)
        if target.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{target.name}.replaced-", dir=target.parent))
            target.rename(retired / target.name)
            folder.rename(target)
            shutil.rmtree(retired)
        else:
            folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise BundleError unless a bundle may be written to `target`."""
    if not target.exists():
        return
    if not overwrite:
        raise BundleError(f"{target} exists; pass --overwrite to replace it, or another --out")
    if not (target / MANIFEST).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise BundleError(f"{target} is not a bundle and will not be replaced; pass another --out")


def save_tensors(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Write arrays as safetensors."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path, metadata)
    path.chmod(0o644)  # save_file makes it private


def save_graph(folder: Path, name: str, graph: KnnGraph) -> None:
    """Write a space's k-NN graph as `.npy` files."""
    np.save(folder / f"{name}.ids.npy", graph.ids)
    np.save(folder / f"{name}.distances.npy", graph.distances)
    np.save(folder / f"{name}.distinct_distances.npy", graph.distinct_distances)


def empty_index(V: int, D: int, *, inner_product: bool) -> tuple[Any, np.ndarray]:
    """Return a flat FAISS index of V zero points and a writable view of them, (V, D) float32.

    Filling the view fills the index: points of a whole vocabulary are held once, not copied by `add`.
    """
    import faiss

    flat = faiss.IndexFlatIP(D) if inner_product else faiss.IndexFlatL2(D)
    flat.codes.resize(V * D * np.dtype(np.float32).itemsize)
    flat.ntotal = V
    return flat, faiss.rev_swig_ptr(flat.get_xb(), V * D).reshape(V, D)


def save_index(path: Path, index: Any) -> None:
    """Write a FAISS index."""
    import faiss

    faiss.write_index(index, os.fspath(path))


def save_manifest(folder: Path, manifest: dict[str, Any]) -> int:
    """Describe every file in `folder`, then write the manifest beside them; return the bytes of all files."""
    files = {path.name: _describe(path) for path in sorted(folder.iterdir())}
    whole = {"format": FORMAT, "format_version": FORMAT_VERSION, **manifest, "files": files}
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return sum(path.stat().st_size for path in folder.iterdir())


def _describe(path: Path) -> dict[str, Any]:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    described: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
    if path.suffix == ".npy":
        array = np.load(path, mmap_mode="r")
        described |= {"dtype": str(array.dtype), "shape": list(array.shape)}
    return described
