"""One geometry of an open bundle: its lists, its points, and what searches them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET
from numpy.typing import ArrayLike, DTypeLike

from index.bundle.checksums import Checksums, damaged
from index.bundle.manifest import Manifest, SpaceFacts
from index.bundle.stored import PatchedArray, StoredArray, flat_index_points, npy_array
from index.errors import BundleError, ParameterError
from index.files import brief
from index.geometry.maps import Geometry, map_rows
from index.geometry.metric import Metric
from index.geometry.twins import Groups
from index.measures.lists import NeighborLists

if TYPE_CHECKING:
    from index.search.finder import Finder


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
    def distinct_ids(self) -> PatchedArray:
        """Rows of the K nearest distinct points, the first row of each, (V, K) int32; -1 where there are no more."""
        patches = self._graph_array("distinct_ids", np.int32, len(self._distinct_rows), below=self._shape[0])
        return PatchedArray(self.ids, self._distinct_rows, patches)

    @cached_property
    def distinct_distances(self) -> PatchedArray:
        """Distances to the K nearest distinct points, (V, K) float32; infinite where there are no more."""
        patches = self._graph_array("distinct_distances", np.float32, len(self._distinct_rows))
        return PatchedArray(self.distances, self._distinct_rows, patches)

    @cached_property
    def _distinct_rows(self) -> np.ndarray:
        """Rows whose lists hold twins, (n,) ascending: only theirs are stored twice."""
        return self._rows_array("distinct_rows")

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
        """The FAISS index over the points, memory-mapped; the whole file is checked first.

        It holds all V points, the zero rows of an angular space, too: whoever searches it leaves `excluded` out.
        """
        import faiss

        self.points.whole  # noqa: B018 -- reading it all is the check
        path = self._checksums.folder / f"{self.name}.faiss"
        # IO_FLAG_MMAP maps IVF lists only; flat indexes need the _IFC form.
        try:
            index = faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            self._checksums.require_same()
            raise BundleError(f"{path} cannot be read by FAISS, and is as it was written: {brief(error)}") from error
        self._checksums.require_same()  # FAISS opens a file of its own
        return index

    def _graph_array(
        self, name: str, dtype: DTypeLike, rows: int | None = None, *, below: int | None = None
    ) -> StoredArray:
        V, K = self._graph_shape
        return npy_array(
            self._checksums.file(f"{self.name}.{name}.npy"), (V if rows is None else rows, K), dtype, below
        )

    def _rows_array(self, name: str) -> np.ndarray:
        """Return some of the V rows, ascending; the manifest says how many."""
        file = self._checksums.file(f"{self.name}.{name}.npy")
        shape = self._checksums.files[file.path.name].shape
        n = shape[0] if shape is not UNSET and len(shape) == 1 else -1
        rows = npy_array(file, (n,), np.int32, self._shape[0]).whole if 0 <= n <= self._shape[0] else np.array([-1])
        if len(rows) and not (rows[0] >= 0 and (np.diff(rows) > 0).all()):
            raise damaged(f"{file.path} holds no ascending rows")
        return rows
