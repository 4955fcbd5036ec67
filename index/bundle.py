"""The built thing on disk: a folder of open formats, opened memory-mapped.

The files, their sizes and their checksums stand in `manifest.json`. `index.writer` writes them.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index.density import Rule
from index.errors import BundleError
from index.files import brief
from index.spaces import Metric
from index.vocabulary import Vocabulary

if TYPE_CHECKING:
    from index.finder import Finder

FORMAT = "logoscope-bundle"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TOKENS = "tokens.parquet"
TOKENIZER = "tokenizer.json"
GAMMA = "gamma.safetensors"
METRIC = "metric.safetensors"

_FLAT_HEADER = struct.Struct("<4siqqq?iQ")
"""What a flat FAISS index begins with: its name, D, V, two unused numbers, is trained, metric, number of floats."""
_FLAT_NAMES = (b"IxF2", b"IxFI")


class Geometry(StrEnum):
    """What nearness means."""

    CAUSAL = "causal"
    COSINE = "cosine"
    CAUSAL_COSINE = "causal_cosine"

    @property
    def angular(self) -> bool:
        """Whether points are directions: distances are chords |x - y|, and 1 - |x - y|^2 / 2 is the similarity."""
        return self is not Geometry.CAUSAL

    @property
    def label(self) -> str:
        """The geometry as a column's name and as a command line spells it."""
        return self.value.replace("_", "-")

    @property
    def words(self) -> str:
        """The geometry in words."""
        if self is Geometry.CAUSAL:
            return "the causal metric"
        return "cosine similarity" if self is Geometry.COSINE else "causal cosine"


class Space:
    """One geometry of an open bundle.

    Attributes
    ----------
    geometry : Geometry
    name : str
        The geometry's value; files and JSON keys are called by it.
    resolution : float
        Distances closer than this are tied: in logometers, or of the chord.
    excluded : tuple of int
        Rows that have no point in this space: zero rows have no direction.
    """

    def __init__(self, folder: Path, geometry: Geometry, facts: dict[str, Any], shape: tuple[int, int]) -> None:
        self._folder, self._shape = folder, shape
        self.geometry, self.name = geometry, geometry.value
        self.resolution = float(facts["resolution"])
        self.excluded = tuple(facts["excluded_rows"])

    @cached_property
    def ids(self) -> np.ndarray:
        """Rows of the K nearest neighbors of each token, (V, K) int32; -1 where there are no more."""
        return _map_array(self._folder / f"{self.name}.ids.npy")

    @cached_property
    def distances(self) -> np.ndarray:
        """Euclidean distances between points, (V, K) float32, ascending; infinite where there are no more."""
        return _map_array(self._folder / f"{self.name}.distances.npy")

    @cached_property
    def distinct_distances(self) -> np.ndarray:
        """Distances to the K nearest distinct points, (V, K) float32; infinite where there are no more."""
        return _map_array(self._folder / f"{self.name}.distinct_distances.npy")

    @cached_property
    def index(self) -> Any:
        """The FAISS index over the points, memory-mapped."""
        import faiss

        path = self._folder / f"{self.name}.faiss"
        try:
            # IO_FLAG_MMAP maps IVF lists only; flat indexes need the _IFC form.
            found = faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise BundleError(f"{path} is not a readable FAISS index; build the bundle again") from error
        if (found.ntotal, found.d) != self._shape:
            raise BundleError(f"{path} holds {found.ntotal} x {found.d} points, but the bundle {self._shape}")
        return found

    @cached_property
    def finder(self) -> Finder:
        """For exact searches of any vectors, many in one process: it keeps a bfloat16 copy of the points."""
        from index.finder import Finder

        return Finder(self.points)

    @cached_property
    def points(self) -> np.ndarray:
        """The points, (V, D) float32, read-only, mapped from the file of the FAISS index: FAISS itself loads slowly."""
        return _map_flat_index(self._folder / f"{self.name}.faiss", self._shape)


class Bundle:
    """An open bundle. Opening reads the manifest; every other file is read when first asked for.

    Attributes
    ----------
    folder : Path
    manifest : dict
    name : str
    spaces : dict of Geometry to Space
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.name: str = manifest["name"]
        shape = (manifest["V"], manifest["D"])
        self.spaces = {each: Space(folder, each, manifest["spaces"][each.value], shape) for each in Geometry}

    def __len__(self) -> int:
        return int(self.manifest["V"])

    def __repr__(self) -> str:
        m = self.manifest
        return f"{type(self).__name__}({self.name!r}, {m['V']:,} x {m['D']:,}, {m['K']} neighbors)"

    @property
    def causal(self) -> Space:
        """The space whose distances are in logometers."""
        return self.spaces[Geometry.CAUSAL]

    @property
    def cosine(self) -> Space:
        """The space of directions of raw rows."""
        return self.spaces[Geometry.COSINE]

    @property
    def causal_cosine(self) -> Space:
        """The space of directions in the causal metric."""
        return self.spaces[Geometry.CAUSAL_COSINE]

    def columns(self, *names: str) -> pa.Table:
        """Return columns of `tokens.parquet`, V rows."""
        path = self.folder / TOKENS
        try:
            with pq.ParquetFile(path, memory_map=True) as file:  # read_table would import pyarrow.dataset and pandas
                return file.read(columns=list(names) or None)
        except (OSError, pa.ArrowException) as error:
            raise BundleError(f"{path} cannot be read: {brief(error)}; build the bundle again") from error

    @property
    def tokens(self) -> pa.Table:
        """All columns of `tokens.parquet`."""
        return self.columns()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Ids, texts, pieces and kinds of the V tokens."""
        table = self.columns("token_id", "text", "piece", "kind")
        path = self.folder / TOKENIZER
        texts, pieces, kinds = (
            cast("pa.StringArray", table[name].combine_chunks()) for name in ("text", "piece", "kind")
        )
        tokenizer = path.read_text(encoding="utf-8") if path.exists() else None
        return Vocabulary(_numbers(table["token_id"]), texts, pieces, kinds, tokenizer)

    @cached_property
    def twin_groups(self) -> np.ndarray:
        """The first row with the same vector, for each row: (V,) int32."""
        return _numbers(self.columns("twin_group")["twin_group"])

    @cached_property
    def gamma(self) -> np.ndarray:
        """The rows in the source's own dtype, (V, D)."""
        return self._tensors(GAMMA)["gamma"]

    def gamma_rows(self, rows: Sequence[int]) -> np.ndarray:
        """Return some rows in the source's own dtype, (n, D), without reading the others."""
        import ml_dtypes  # noqa: F401 -- teaches NumPy bfloat16
        from safetensors import SafetensorError, safe_open

        path = self.folder / GAMMA
        try:
            with safe_open(path, framework="np") as file:
                gamma = file.get_slice("gamma")
                return np.concatenate([gamma[row : row + 1] for row in rows])
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{path} cannot be read: {brief(error)}; build the bundle again") from error

    @cached_property
    def metric(self) -> Metric:
        """The causal metric in float64."""
        tensors = self._tensors(METRIC)
        facts = self.manifest["metric"]
        return Metric(
            tensors["mean"], tensors["M"], tensors["factor"], tensors["eigenvalues"], facts["ridge"], facts["origin"]
        )

    def densities(self, rule: Rule) -> np.ndarray:
        """Return the stored densities under a rule at the build's `density_k`, (V,) float64."""
        column = density_column(rule)
        return _numbers(self.columns(column)[column])

    def _tensors(self, name: str) -> dict[str, np.ndarray]:
        import ml_dtypes  # noqa: F401 -- teaches NumPy bfloat16
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.folder / name
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{path} cannot be read: {brief(error)}; build the bundle again") from error


def density_column(rule: Rule) -> str:
    """Return the column of `tokens.parquet` that holds the densities under a rule."""
    return f"density_{rule.value}"


def open_bundle(path: str | Path) -> Bundle:
    """Open a built bundle for questions.

    Parameters
    ----------
    path : str or Path
        The bundle's own folder.

    Raises
    ------
    BundleError
        When there is none, its manifest is damaged, or it is of another format version.
    """
    folder = Path(path)
    manifest_path = folder / MANIFEST
    try:
        manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"no bundle in {folder}: it has no {MANIFEST}; build one with build_index.py") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{manifest_path} cannot be read: {brief(error)}; build the bundle again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{manifest_path} is not the manifest of a logoscope bundle")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise BundleError(
            f"{folder} has bundle format {manifest.get('format_version')}, this version reads {FORMAT_VERSION}; "
            "build it again, or install the version that wrote it"
        )
    try:
        bundle = Bundle(folder, manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{manifest_path} is damaged: {brief(error)}; build the bundle again") from error
    for name, facts in manifest["files"].items():
        file = folder / name
        size = file.stat().st_size if file.is_file() else None
        if size != facts["bytes"]:
            found = "is missing" if size is None else f"has {size:,} bytes, not {facts['bytes']:,}"
            raise BundleError(f"{file} {found}: the bundle is damaged; build it again")
    return bundle


def _numbers(column: pa.ChunkedArray[Any]) -> np.ndarray:
    """Return a column of numbers as an array; `to_numpy` would import pandas."""
    return np.from_dlpack(column.combine_chunks())


def _map_flat_index(path: Path, shape: tuple[int, int]) -> np.ndarray:
    with path.open("rb") as file:
        header = file.read(_FLAT_HEADER.size)
    fields = _FLAT_HEADER.unpack(header) if len(header) == _FLAT_HEADER.size else (b"", 0, 0, 0)
    if fields[0] not in _FLAT_NAMES or fields[2:0:-1] != shape or fields[-1] != shape[0] * shape[1]:
        raise BundleError(f"{path} is not a flat FAISS index of {shape[0]} x {shape[1]} points; build the bundle again")
    return np.asarray(np.memmap(path, np.float32, mode="r", offset=_FLAT_HEADER.size, shape=shape))


def _map_array(path: Path) -> np.ndarray:
    try:
        mapped: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return mapped
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"{path} cannot be read: {brief(error)}; build the bundle again") from error
