"""The spaces of a bundle: points, FAISS indexes, exact graphs.

Points are written block by block and mapped from the file they are in, and a graph is let go of once it is written:
what a build holds in memory is what the exact search needs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.build.approximate import build_approximate, file_name, measure_recall
from index.build.rows import Rows
from index.build.settings import Settings
from index.bundle import write as writer
from index.bundle.manifest import FLAT, Recall, SpaceFacts
from index.bundle.stored import map_flat
from index.errors import MetricError, parameter
from index.geometry import maps
from index.geometry.blocks import row_slices
from index.geometry.maps import Geometry
from index.progress import Progress, Share
from index.search.graph import KnnGraph, knn_graph, knn_graphs

if TYPE_CHECKING:
    from index.search.tile import Find

SHORTEST = 2.0**-50
"""In logometers, of the longest point: the search squares in float32, which holds nothing below 2^-149."""


def space_files(geometry: Geometry, settings: Settings) -> list[str]:
    """Return the names of the files of a space that is built."""
    name = geometry.value
    arrays = list(writer.STORED_ARRAYS)
    if geometry is Geometry.CAUSAL_COSINE:
        arrays += [writer.OWN_ROWS, writer.OWN_POINTS, writer.LENGTHS]
    else:
        arrays += [writer.SKETCH_ERRORS]
    flat = [f"{name}.faiss", f"{name}.{writer.SKETCH}.faiss"] if name in FLAT else []
    approximate = (file_name(name, factory) for factory in settings.index_factories)
    return [*flat, *(f"{name}.{array}.npy" for array in arrays), *approximate]


def map_points(folder: Path, geometry: Geometry, shape: tuple[int, int]) -> np.ndarray:
    """Map the points (V, D) of a space that is built."""
    return map_flat(folder / f"{geometry.value}.faiss", shape)


@dataclass(frozen=True)
class _Approximate:
    """An approximate index that is written and still lacks its recall."""

    factory: str
    file: str
    seconds: float


@dataclass(frozen=True, eq=False)
class _Mapped:
    """A space whose points are written and whose graph is not."""

    geometry: Geometry
    centered: bool
    points: np.ndarray  # (V, D), mapped
    excluded: np.ndarray  # rows without a direction
    own: int  # rows whose directions causal points do not give
    largest: float  # norm of a point
    approximate: list[_Approximate]


def build_space(
    folder: Path,
    geometry: Geometry,
    rows: Rows,
    settings: Settings,
    device: str,
    progress: Progress,
    find: Find | None = None,
) -> SpaceFacts:
    """Map gamma into one space; write its FAISS index, the approximate ones asked for, and its graph; describe it.

    `find` finds the nearest points in place of this process alone.
    """
    space = _map(folder, geometry, rows, settings, progress)
    return _finish(folder, space, _graph(folder, space, settings, device, progress, find))


def build_causal_spaces(
    folder: Path, rows: Rows, settings: Settings, device: str, progress: Progress
) -> Iterator[tuple[Geometry, SpaceFacts]]:
    """Build the causal and the causal-cosine space as `build_space` does, with one product for both graphs.

    Where some directions are not those of causal points, or there is none, each graph has its own.
    """
    spaces = [_map(folder, each, rows, settings, progress) for each in (Geometry.CAUSAL, Geometry.CAUSAL_COSINE)]
    causal, turned = spaces
    if turned.own or len(turned.excluded):
        graphs: Iterator[KnnGraph] = (_graph(folder, space, settings, device, progress) for space in spaces)
    else:
        graphs = knn_graphs(
            causal.points,
            turned.points,
            np.load(folder / f"{turned.geometry.value}.{writer.LENGTHS}.npy"),
            k=settings.neighbors,
            threads=settings.threads,
            device=device,
            progress=_told(progress, settings.neighbors, len(causal.points), "causal and causal-cosine spaces"),
        )
    for space in spaces:
        yield space.geometry, _finish(folder, space, next(graphs))


def _map(folder: Path, geometry: Geometry, rows: Rows, settings: Settings, progress: Progress) -> _Mapped:
    """Map gamma into one space; write the points and what is made of them but for the graph."""
    centered = geometry is Geometry.CAUSAL or (geometry is Geometry.CAUSAL_COSINE and settings.centered)
    progress(f"mapping into {geometry.label} space", 0, 1)
    points, own = _write_points(folder, geometry, rows, centered=centered)
    progress(f"mapping into {geometry.label} space", 1, 1)
    excluded = maps.zero_rows(points) if geometry.angular else np.empty(0, dtype=np.int64)
    largest = float(maps.norms(points).max())
    if geometry is Geometry.CAUSAL:
        _check_length(largest, rows)
    approximate = [_approximate(folder, geometry, points, factory) for factory in settings.index_factories]
    return _Mapped(geometry, centered, points, excluded, own, largest, approximate)


def _graph(
    folder: Path,
    space: _Mapped,
    settings: Settings,
    device: str,
    progress: Progress,
    find: Find | None = None,
) -> KnnGraph:
    """Return the graph of one space."""
    k, V = settings.neighbors, len(space.points)
    told = _told(progress, k, V, f"{space.geometry.label} space")
    search = partial(knn_graph, device=device, threads=settings.threads, progress=told, find=find)
    if len(space.excluded):
        return _graph_without(folder, space.points, space.excluded, k, search)
    return search(space.points, k=k)


def _told(progress: Progress, k: int, V: int, spaces: str) -> Share:
    """Return what is told how far the search in some spaces is, by tokens."""
    return lambda share: progress(f"{k} neighbors in {spaces}", round(share * V), V)


def _finish(folder: Path, space: _Mapped, graph: KnnGraph) -> SpaceFacts:
    """Write the graph of a space, and describe the space."""
    geometry, resolution = space.geometry, maps.resolution(space.largest)
    writer.save_graph(folder, geometry.value, graph)
    if geometry is Geometry.CAUSAL_COSINE:
        (folder / f"{geometry.value}.faiss").unlink()  # a copy for the search: readers make these points of causal ones
    return SpaceFacts(
        unit="of the chord" if geometry.angular else "logometers",
        search="inner product" if geometry.angular else "squared L2",
        centered=space.centered,
        largest_norm=space.largest,
        resolution=resolution,
        median_nearest=_median_nearest(graph),
        excluded_rows=space.excluded.tolist(),
        approximate=[_with_recall(folder, each, space.points, graph, resolution) for each in space.approximate],
    )


def _write_points(folder: Path, geometry: Geometry, rows: Rows, *, centered: bool) -> tuple[np.ndarray, int]:
    """Map gamma, and write the points, (V, D), with what readers need beside them.

    Returns the points, mapped, and how many of them are directions that the causal points do not give.
    """
    name = geometry.value
    turned = _Turned(folder, rows, centered=centered) if geometry is Geometry.CAUSAL_COSINE else None
    blocks = turned.blocks() if turned else _point_blocks(rows, geometry)
    points = writer.save_points(folder / f"{name}.faiss", rows.gamma.shape, blocks, inner_product=geometry.angular)
    _move_to_twins(folder / f"{name}.faiss", points, rows.twins)
    if turned:
        own = np.flatnonzero(np.isin(rows.twins, rows.twins[turned.own])).astype(np.int32)  # and their twins
        writer.save_array(folder / f"{name}.{writer.OWN_ROWS}.npy", own)
        writer.save_array(folder / f"{name}.{writer.OWN_POINTS}.npy", points[own])
        writer.save_array(folder / f"{name}.{writer.LENGTHS}.npy", np.concatenate(turned.lengths))
        return points, len(own)
    writer.save_sketch(folder, name, points)
    return points, 0


def _check_length(largest: float, rows: Rows) -> None:
    """Raise MetricError unless the causal points, `largest` long at most, have squares that float32 holds."""
    alike = bool((rows.twins == rows.twins[0]).all())  # then all distances are 0, in truth
    if alike or (largest >= SHORTEST and np.isfinite(largest)):
        return
    variance = rows.metric.eigenvalues[-1]
    short = f"no two tokens are further apart than {2 * largest:.3g} logometers" if largest < 1 else "points overflow"
    advice = f"; pass a smaller {parameter('ridge')}" if rows.metric.ridge and largest < 1 else ""
    raise MetricError(
        f"{short} in the metric of {rows.metric.origin}: Cov(gamma) has eigenvalues up to {variance:.3g}{advice}"
    )


def _median_nearest(graph: KnnGraph) -> float | None:
    """Return the median distance from a token to the nearest one at another point; None where there is none."""
    nearest = graph.distinct_distances[:, 0]
    nearest = nearest[np.isfinite(nearest)]
    return float(np.median(nearest)) if len(nearest) else None


def _point_blocks(rows: Rows, geometry: Geometry) -> Iterator[np.ndarray]:
    """Yield the causal or cosine points of consecutive blocks of rows."""
    for where in row_slices(rows.gamma.shape):
        yield maps.map_rows(rows.gamma[where], geometry, rows.metric)


class _Turned:
    """Causal-cosine points as readers make them: of the causal points that are stored."""

    def __init__(self, folder: Path, rows: Rows, *, centered: bool) -> None:
        self._causal, self._rows, self._centered = map_points(folder, Geometry.CAUSAL, rows.gamma.shape), rows, centered
        self.own: list[int] = []  # rows whose directions causal points do not give
        self.lengths: list[np.ndarray] = []  # of what each point is the direction of, block by block

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the points of consecutive blocks of rows."""
        origin = maps.angle_origin(self._rows.metric, centered=self._centered)
        for where in row_slices(self._causal.shape):
            causal, gamma = self._causal[where], self._rows.gamma[where]
            block, exact = (
                maps.turned(causal, origin),
                maps.own_directions(gamma, self._rows.metric, centered=self._centered),
            )
            own = np.flatnonzero(maps.turned_off(block, exact))
            block[own] = exact[own]
            self.own += (where.start + own).tolist()
            self.lengths.append(maps.turned_lengths(causal, origin))
            yield block


def _move_to_twins(path: Path, points: np.ndarray, twins: np.ndarray) -> None:
    """Give each row the point of the first row like it: BLAS may round a matrix's last rows otherwise than the others.

    The points, (V, D), are mapped from their file; `twins`, (V,), are the first rows.
    """
    later = np.flatnonzero(twins != np.arange(len(twins)))
    for where in row_slices((len(later), points.shape[1])):
        rows = later[where]
        apart = rows[(points[rows] != points[twins[rows]]).any(axis=1)]
        if len(apart):
            map_flat(path, points.shape, writable=True)[apart] = points[twins[apart]]


def _graph_without(
    folder: Path, points: np.ndarray, excluded: np.ndarray, k: int, search: Callable[..., KnnGraph]
) -> KnnGraph:
    """Return the graph of all points but the excluded, whose rows, like every missing place, hold -1 and infinity."""
    V = len(points)
    kept = np.setdiff1d(np.arange(V), excluded)
    width = min(k, len(kept) - 1)
    ids = np.full((V, k), -1, dtype=np.int32)
    distances = np.full((V, k), np.inf, dtype=np.float32)
    distinct, distinct_ids, groups = distances.copy(), ids.copy(), np.arange(V, dtype=np.int32)
    if width > 0:
        inner = search(_points_of(folder, points, kept), k=width)
        ids[kept, :width] = kept[inner.ids]
        distances[kept, :width] = inner.distances
        distinct[kept, :width] = inner.distinct_distances
        distinct_ids[kept, :width] = np.where(inner.distinct_ids < 0, -1, kept[inner.distinct_ids])
        groups[kept] = kept[inner.groups]
    return KnnGraph(ids, distances, distinct, distinct_ids, groups)


def _points_of(folder: Path, points: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the points of some rows, (n, D), mapped from a file without a name instead of copied in memory."""
    shape = (len(rows), points.shape[1])
    wanted = folder / "a copy of the points but the zero ones"
    with writer.saving(wanted, 4 * shape[0] * shape[1]), tempfile.TemporaryFile(dir=folder) as file:
        for where in row_slices(shape):
            file.write(points[rows[where]].data)
        file.flush()
        return np.asarray(np.memmap(file, np.float32, mode="r", shape=shape))


def _approximate(folder: Path, geometry: Geometry, points: np.ndarray, factory: str) -> _Approximate:
    """Build an index before the graph: what the points cannot train is to fail before the long search."""
    index, seconds = build_approximate(points, factory, inner_product=geometry.angular)
    file = file_name(geometry.value, factory)
    writer.save_index(folder / file, index)
    return _Approximate(factory, file, seconds)


def _with_recall(folder: Path, built: _Approximate, points: np.ndarray, graph: KnnGraph, resolution: float) -> Recall:
    index = writer.read_index(folder / built.file)
    k, rows, recall = measure_recall(index, points, graph, resolution)
    return Recall(factory=built.factory, file=built.file, k=k, rows=rows, recall=recall, seconds=built.seconds)
