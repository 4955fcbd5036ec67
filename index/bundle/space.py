"""One geometry of an open bundle: its lists, its points, and what searches them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET
from numpy.typing import ArrayLike, DTypeLike

from index.bundle.checksums import Checksums, StoredFile, damaged
from index.bundle.manifest import Manifest, SpaceFacts
from index.bundle.stored import PatchedArray, StoredArray, flat_index_points, npy_array, sketch_codes
from index.bundle.turned import TurnedPoints
from index.errors import BundleError, ParameterError
from index.files import brief
from index.geometry.blocks import row_slices
from index.geometry.maps import Geometry, angle_origin, map_rows
from index.geometry.metric import Metric
from index.geometry.twins import Groups
from index.measures.lists import NeighborLists

if TYPE_CHECKING:
    from index.search.finder import Finder
    from index.search.sketch import Sketch
    from index.search.swept import Swept


class Space:
    """One geometry of an open bundle."""

    def __init__(
        self,
        geometry: Geometry,
        manifest: Manifest,
        checksums: Checksums,
        metric: Callable[[], Metric],
        causal: Callable[[], Space],
    ) -> None:
        self.geometry = geometry
        self.name = geometry.value  # files and JSON keys are called by it
        self.facts: SpaceFacts = getattr(manifest.spaces, self.name)
        self.resolution = float(self.facts.resolution)  # distances closer than this are tied: logometers, or of chords
        self.excluded = tuple(self.facts.excluded_rows)  # rows without a point: zero rows have no direction
        self._checksums, self._metric, self._causal = checksums, metric, causal
        self._approximate: dict[str, Any] = {}
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
    def points(self) -> StoredArray | PatchedArray:
        """The points, (V, D) float32: of the FAISS index, mapped; causal-cosine ones are made of the causal."""
        if self.geometry is not Geometry.CAUSAL_COSINE:
            return flat_index_points(self._checksums.file(f"{self.name}.faiss"), self._shape)
        made = TurnedPoints(self._causal().points, angle_origin(self._metric(), centered=self.facts.centered))
        file = self._checksums.file(f"{self.name}.own_points.npy")
        own = npy_array(file, (len(self._own_rows), self._shape[1]), np.float32)
        return PatchedArray(made, self._own_rows, own)

    @cached_property
    def _own_rows(self) -> np.ndarray:
        """Rows whose causal-cosine points are not made of causal ones, ascending."""
        return self._rows_array("own_rows")

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
    def sketch(self) -> Sketch:
        """The points in one byte a coordinate, by FAISS's 8-bit quantizer; of the causal and the cosine space."""
        from index.search.sketch import Sketch

        file = self._checksums.file(f"{self.name}.sketch.faiss", to_copy=True)
        codes = sketch_codes(file, self._shape)
        quantizer = self._read_in_place(file)
        errors = npy_array(self._checksums.file(f"{self.name}.sketch_errors.npy"), self._shape[:1], np.float32)
        return Sketch(quantizer, codes, errors.whole, reader=codes.reader)

    def approximate(self, name: str) -> Any:
        """The FAISS index of a file that the build put beside the exact ones, for any vectors; all V points are in it.

        What it answers is no more than its recall, which the manifest states.
        """
        if name not in self._approximate:
            file = self._checksums.file(name)
            file.check(0, len(file.content))
            index = self._read_in_place(file)
            if (index.ntotal, index.d) != self._shape:
                held = f"{index.ntotal} x {index.d} points"
                raise self._checksums.not_as_written(
                    f"{file.path} holds {held}, not {self._shape[0]} x {self._shape[1]}"
                )
            self._approximate[name] = index
        return self._approximate[name]

    def _read_in_place(self, file: StoredFile) -> Any:
        """Return FAISS's index of a mapped file, whose checked bytes it may go on reading."""
        import faiss as module

        faiss: Any = module
        try:
            index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(file.content), file.content.size))
        except RuntimeError as error:
            raise self._checksums.not_as_written(f"{file.path} cannot be read by FAISS: {brief(error)}") from error
        index.referenced_objects = [file]  # the name that FAISS has for what must live as long
        return index

    @cached_property
    def flat(self) -> Swept:
        """The flat index of the causal or the cosine space, which bounds distances closer than the sketch."""
        from index.search.swept import flat_bounds

        points = flat_index_points(self._checksums.file(f"{self.name}.faiss", to_copy=True), self._shape)
        return flat_bounds(points, reader=points.reader)

    @cached_property
    def finder(self) -> Finder:
        """For exact searches of any vectors. Rows without a point are in no answer.

        It reads the sketch of the space, and those points that this does not exclude.
        """
        from index.search.finder import Finder
        from index.search.turned import TurnedBounds

        if self.geometry is not Geometry.CAUSAL_COSINE:
            return Finder(
                self.points,
                bounder=self.sketch,
                finer=lambda: self.flat,
                excluded=self.excluded,
                directions=self.geometry.angular,
            )
        lengths = npy_array(self._checksums.file(f"{self.name}.lengths.npy"), self._shape[:1], np.float64).whole
        origin = angle_origin(self._metric(), centered=self.facts.centered)

        def turned(swept: Swept) -> TurnedBounds:
            return TurnedBounds(swept, origin, lengths, self._own_rows)

        causal = self._causal()
        return Finder(
            self.points,
            bounder=turned(causal.sketch),
            finer=lambda: turned(causal.flat),
            excluded=self.excluded,
            directions=True,
        )

    @cached_property
    def index(self) -> Any:
        """The FAISS index over the points, memory-mapped; the whole file is checked first.

        It holds all V points, the zero rows of an angular space, too: whoever searches it leaves `excluded` out. That
        of causal cosines is made of the points, in memory.
        """
        import faiss

        if self.geometry is Geometry.CAUSAL_COSINE:
            made = faiss.IndexFlatIP(self._shape[1])
            for where in row_slices(self._shape):
                made.add(self.points[where])
            return made
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
