"""Stored distance matrices and samples, as other tools leave them.

`formats.md` of the reference pipeline: a compressed `.pt` holds the upper triangle as float16; a full `.npy` holds
every entry, and the `.pt` beside it says which tokens its rows are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import DistancesError, SourceError
from index.files import no_file, open_file
from index.sources.matrix import FLOATS, map_npy
from index.sources.torch_file import as_numpy, listed, load_torch


@dataclass(frozen=True, eq=False)
class StoredMatrix:
    """A symmetric N x N matrix in a file, read by blocks of rows."""

    path: Path
    N: int
    token_ids: np.ndarray | None  # (N,) int64; None where nothing says which tokens the rows are
    values: np.ndarray  # mapped: (N, N), or the upper triangle by rows, (N (N - 1) / 2,)

    @property
    def compressed(self) -> bool:
        """Whether only the upper triangle is stored."""
        return self.values.ndim == 1

    def tile(self, rows: slice, columns: slice) -> np.ndarray:
        """Return a tile as stored; of a triangle only what lies above the diagonal, zeros elsewhere."""
        if not self.compressed:
            return np.asarray(self.values[rows, columns])
        found = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=self.values.dtype)
        for row in range(rows.start, min(rows.stop, columns.stop - 1)):
            first = max(columns.start, row + 1)
            start = self._place(row, first)
            found[row - rows.start, first - columns.start :] = self.values[start : start + columns.stop - first]
        return found

    def row(self, row: int) -> np.ndarray:
        """Return one whole row, (N,); a triangle's lower half is mirrored."""
        if not self.compressed:
            return np.asarray(self.values[row])
        found = np.zeros(self.N, dtype=self.values.dtype)
        found[:row] = self.values[self._place(np.arange(row), row)]
        found[row + 1 :] = self.values[self._place(row, row + 1) : self._place(row, self.N - 1) + 1]
        return found

    def _place(self, row: Any, column: int) -> Any:
        """Where the entry (row, column) of a triangle stands; `row` may be an array."""
        return row * self.N - row * (row + 1) // 2 + column - row - 1


class MismatchError(DistancesError):
    """A matrix whose size or tokens rule out that it is of this bundle."""


def open_matrix(path: Path) -> StoredMatrix:
    """Open a stored distance matrix, a compressed `.pt` or a full `.npy`, without reading its entries.

    Raises
    ------
    DistancesError
        When the file is no matrix of distances; `MismatchError` when its size cannot be right.
    """
    if not os.path.isfile(path):  # Path.is_file raises for a path that no file system takes
        raise DistancesError(f"no distance matrix at {path}: {no_file(path)}")
    if path.suffix == ".npy":
        return _open_full(path)
    if path.suffix == ".pt":
        return _open_compressed(path)
    raise DistancesError(f"{path} is neither .npy (full) nor .pt (compressed); a distance matrix is one of these")


def _open_full(path: Path) -> StoredMatrix:
    try:
        values = map_npy(open_file(path))
    except SourceError as error:
        raise DistancesError(str(error)) from error
    if values.dtype.kind != "f":
        raise DistancesError(f"{path} holds {values.dtype}, not floating-point distances")
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) < 2:
        raise MismatchError(f"wrong size: {path} has shape {values.shape}, a distance matrix is square")
    beside = _metadata_beside(path)
    token_ids = None
    if beside is not None:
        token_ids = _token_ids(load_pt(beside), beside)
        if token_ids is not None and len(token_ids) != len(values):
            raise MismatchError(
                f"wrong size: {path} has N = {len(values)} rows, but {beside} names {len(token_ids)} tokens"
            )
    return StoredMatrix(path, len(values), token_ids, values)


def _open_compressed(path: Path) -> StoredMatrix:
    content = load_pt(path)
    if "triu_values" not in content:
        raise DistancesError(f"{path} holds no triu_values; it holds {listed(content)}")
    try:
        values = as_numpy(content["triu_values"], "triu_values", path).ravel()
    except SourceError as error:
        raise DistancesError(str(error)) from error
    if values.dtype not in FLOATS:
        raise DistancesError(f"{path} holds {values.dtype}, not floating-point distances")
    token_ids = _token_ids(content, path)
    N = content.get("N", len(token_ids) if token_ids is not None else 0)
    if not isinstance(N, int) or N >= 1 << 31:
        raise DistancesError(f"{path} says N = {N!r:.40}; wanted how many tokens it is of")
    if token_ids is not None and len(token_ids) != N:
        raise MismatchError(f"wrong size: {path} says N = {N}, but names {len(token_ids)} tokens")
    if N < 2 or len(values) != N * (N - 1) // 2:
        raise MismatchError(
            f"wrong size: {path} has N = {N}, which takes {N * (N - 1) // 2} values above the diagonal, "
            f"not {len(values)}"
        )
    return StoredMatrix(path, N, token_ids, values)


def load_pt(path: Path) -> Mapping[str, Any]:
    """Return the dict in a `.pt` file; DistancesError for anything else."""
    try:
        content = load_torch(open_file(path))
    except SourceError as error:
        raise DistancesError(str(error)) from error
    if not isinstance(content, Mapping):
        raise DistancesError(f"{path} holds a {type(content).__name__}; wanted a dict with token_indices")
    return content


def _metadata_beside(path: Path) -> Path | None:
    """Return the `.pt` that belongs to a full matrix: `x.pt` beside `x.npy`, or beside `x_full.npy`."""
    stems = (path.stem, path.stem.removesuffix("_full"))
    return next((path.with_name(f"{stem}.pt") for stem in stems if path.with_name(f"{stem}.pt").is_file()), None)


def _token_ids(content: Mapping[str, Any], path: Path) -> np.ndarray | None:
    found = content.get("token_indices")
    if found is None:
        return None
    try:
        token_ids = as_numpy(found, "token_indices", path)
    except SourceError as error:
        raise DistancesError(str(error)) from error
    if token_ids.ndim != 1 or token_ids.dtype.kind not in "iu":
        raise DistancesError(
            f"token_indices of {path} are {token_ids.dtype} of shape {token_ids.shape}, not a list of ids"
        )
    return token_ids.astype(np.int64)
