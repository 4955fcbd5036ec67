"""The built thing on disk: a folder of open formats, opened memory-mapped.

The files, their sizes and their checksums stand in `manifest.json`. `index.bundle.write` writes them, and nothing is
read of them that was not checked (`index.bundle.checksums`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from index.bundle.arrow import columns_fit, numbers, read_parquet
from index.bundle.checksums import DAMAGED, Checksums
from index.bundle.manifest import Manifest, SpaceFacts, read_manifest
from index.bundle.stored import StoredArray, flat_index_points, npy_array, safetensors_array
from index.errors import BundleError, ParameterError
from index.files import brief
from index.geometry.maps import Geometry, map_rows
from index.geometry.metric import Metric
from index.geometry.twins import Groups
from index.measures.density import Rule
from index.measures.lists import NeighborLists
from index.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

    from index.search.finder import Finder

TOKENS = "tokens.parquet"
TOKENIZER = "tokenizer.json"
GAMMA = "gamma.safetensors"
METRIC = "metric.safetensors"


class Space:
    """One geometry of an open bundle."""

    def __init__(
        self, geometry: Geometry, manifest: Manifest, checksums: Checksums, metric: Callable[[], Metric]
    ) -> None:
        self.geometry = geometry
        self.name = geometry.value  # files and JSON keys are called by it
        self.facts: SpaceFacts = getattr(manifest.spaces, self.name)
        self.resolution = float(self.facts.resolution)  # distances closer than this are tied: logometers, or of chords
        self.excluded = tuple(self.facts.excluded_rows)  # rows without a point: zero rows have no direction
        self._checksums, self._metric, self._searches = checksums, metric, 0
        self._shape, self._graph_shape = (manifest.V, manifest.D), (manifest.V, manifest.K)

    @cached_property
    def ids(self) -> StoredArray:
        """Rows of the K nearest neighbors of each token, (V, K) int32; -1 where there are no more."""
        return self._graph_array("ids", np.int32, below=self._shape[0])

    @cached_property
    def distances(self) -> StoredArray:
        """Euclidean distances between points, (V, K) float32, ascending; infinite where there are no more."""
        return self._graph_array("distances", np.float32)

    @cached_property
    def distinct_ids(self) -> StoredArray:
        """Rows of the K nearest distinct points, the first row of each, (V, K) int32; -1 where there are no more."""
        return self._graph_array("distinct_ids", np.int32, below=self._shape[0])

    @cached_property
    def distinct_distances(self) -> StoredArray:
        """Distances to the K nearest distinct points, (V, K) float32; infinite where there are no more."""
        return self._graph_array("distinct_distances", np.float32)

    @cached_property
    def groups(self) -> Groups:
        """Which tokens share a point, of any V tokens."""
        return Groups(npy_array(self._checksums.file(f"{self.name}.groups.npy"), self._shape[:1], np.int32).whole)

    @cached_property
    def lists(self) -> NeighborLists:
        """All neighbor lists, and what ties leave of them undecided."""
        return NeighborLists(
            self.ids,
            self.distances,
            self.distinct_ids,
            self.distinct_distances,
            self.groups.first,
            self.resolution,
            self._shape[0] - len(self.excluded),
        )

    @cached_property
    def points(self) -> StoredArray:
        """The points, (V, D) float32, mapped from the file of the FAISS index."""
        return flat_index_points(self._checksums.file(f"{self.name}.faiss"), self._shape)

    def map(self, rows: ArrayLike) -> np.ndarray:
        """Map rows of gamma's space, (n, D) or one (D,), into this one: float64, whose rounding to float32 is a point.

        A row without direction is zero in the angular spaces. ParameterError for another width.
        """
        given = np.asarray(rows)
        if given.ndim not in (1, 2) or given.shape[-1] != self._shape[1]:
            raise ParameterError(f"rows of {self._shape[1]} numbers are mapped, got an array of shape {given.shape}")
        block = np.atleast_2d(given).astype(np.float64)
        points: np.ndarray = map_rows(
            block, self.geometry, self._metric(), centered=self.facts.centered, out=np.empty_like(block)
        )
        return points.reshape(given.shape)

    @cached_property
    def finder(self) -> Finder:
        """For exact searches of any vectors, many in one process: it keeps a bfloat16 copy of the points.

        Rows without a point are in no answer.
        """
        from index.search.finder import Finder

        return Finder(self.points.whole, excluded=self.excluded)

    def finder_if_worth(self) -> Finder | None:
        """Return the finder to a question that would read all points: from the ninth on, for it costs about eight."""
        self._searches += 1
        return self.finder if self._searches > 8 or "finder" in self.__dict__ else None

    @cached_property
    def index(self) -> Any:
        """The FAISS index over the points, memory-mapped; the whole file is checked first."""
        import faiss

        self.points.whole  # noqa: B018 -- reading it all is the check
        path = self._checksums.folder / f"{self.name}.faiss"
        # IO_FLAG_MMAP maps IVF lists only; flat indexes need the _IFC form.
        try:
            index = faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise self._checksums.not_as_written(f"{path} cannot be read by FAISS: {brief(error)}") from error
        self._checksums.require_same()  # FAISS opens a file of its own
        return index

    def _graph_array(self, name: str, dtype: DTypeLike, *, below: int | None = None) -> StoredArray:
        return npy_array(self._checksums.file(f"{self.name}.{name}.npy"), self._graph_shape, dtype, below)


class Bundle:
    """An open bundle. Opening reads the manifest; every other file is read, and checked, when first asked for."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest, self.name = folder, manifest, manifest.name
        self.checksums = Checksums(folder, manifest.files, self.was_replaced)
        self.spaces = {geometry: Space(geometry, manifest, self.checksums, self._read_metric) for geometry in Geometry}

    def __len__(self) -> int:
        return self.manifest.V

    def __reduce__(self) -> tuple[Any, ...]:
        return open_bundle, (self.folder.absolute(),)

    def _read_metric(self) -> Metric:
        return self.metric

    def __repr__(self) -> str:
        facts = self.manifest
        return f"{type(self).__name__}({self.name!r}, {facts.V:,} x {facts.D:,}, {facts.K} neighbors)"

    def was_replaced(self) -> bool:
        """Whether another bundle lies in its folder by now. What was read before is still of this one."""
        try:
            return read_manifest(self.folder).checksum != self.manifest.checksum
        except BundleError:
            return False

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
        file = self.checksums.file(TOKENS)
        file.check(0, len(file.content))
        try:
            table = read_parquet(file.content, names)
        except (OSError, ValueError) as error:
            raise BundleError(f"{file.path} cannot be read: {brief(error)}; build the bundle again") from error
        if table.num_rows != len(self) or not columns_fit(table, names):
            raise BundleError(f"{file.path} holds other columns or rows than a bundle of {len(self)} tokens: {DAMAGED}")
        return table

    @property
    def tokens(self) -> pa.Table:
        """All columns of `tokens.parquet`."""
        return self.columns()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Ids, texts, pieces and kinds of the V tokens."""
        table = self.columns("token_id", "text", "piece", "kind")
        texts, pieces, kinds = (
            cast("pa.StringArray", table[name].combine_chunks()) for name in ("text", "piece", "kind")
        )
        tokenizer = None
        if TOKENIZER in self.checksums:
            file = self.checksums.file(TOKENIZER)
            try:
                tokenizer = file.read().decode()
            except UnicodeDecodeError as error:
                raise BundleError(f"{file.path} is no text: {brief(error)}; {DAMAGED}") from error
        return Vocabulary(_numbers(table["token_id"]), texts, pieces, kinds, tokenizer)

    @cached_property
    def twins(self) -> Groups:
        """Which tokens share a vector."""
        return Groups(_numbers(self.columns("twin_group")["twin_group"]))

    @cached_property
    def gamma(self) -> StoredArray:
        """The rows in the source's own dtype, (V, D), mapped."""
        return safetensors_array(self.checksums.file(GAMMA), "gamma", (len(self), self.manifest.D))

    @cached_property
    def metric(self) -> Metric:
        """The causal metric in float64."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        file = self.checksums.file(METRIC)
        try:
            tensors = load(file.read())
        except (SafetensorError, KeyError) as error:
            raise BundleError(f"{file.path} cannot be read: {brief(error)}; build the bundle again") from error
        facts = self.manifest.metric
        return Metric(
            tensors["mean"], tensors["M"], tensors["factor"], tensors["eigenvalues"], facts.ridge, facts.origin
        )

    def densities(self, rule: Rule) -> np.ndarray:
        """Return the stored densities under a rule at the build's `density_k`, (V,) float64."""
        column = density_column(rule)
        return _numbers(self.columns(column)[column])


def density_column(rule: Rule) -> str:
    """Return the column of `tokens.parquet` that holds the densities under a rule."""
    return f"density_{rule.value}"


Opened = TypeVar("Opened", bound=Bundle)


def open_bundle(path: str | Path) -> Bundle:
    """Open a built bundle, by its own folder, for questions; raises what `open_as` raises."""
    return open_as(Bundle, path)


def open_as(kind: type[Opened], path: str | Path) -> Opened:
    """Open a built bundle, by its own folder, as a kind of `Bundle`.

    Raises
    ------
    BundleError
        When there is none, its manifest is damaged, or it is of another format version.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    while True:
        try:
            return kind(folder, manifest)
        except BundleError:
            # A build may have put another bundle in its place after the manifest was read.
            before, manifest = manifest, read_manifest(folder)
            if manifest == before:
                raise


def _numbers(column: pa.ChunkedArray[Any]) -> np.ndarray:
    try:
        return numbers(column)
    except ValueError as error:
        raise BundleError(f"{TOKENS} lacks numbers: {DAMAGED}") from error
