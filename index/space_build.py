"""One space of a bundle: points, FAISS indexes, the exact graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index import spaces, writer
from index.approximate import Recall, build_approximate, file_name, measure_recall
from index.bundle import Geometry
from index.neighbors import KnnGraph, knn_graph
from index.settings import Settings
from index.spaces import Metric

Progress = Callable[[str, int, int], None]
"""Called with the step in words, how many of its items are done, and how many there are."""


@dataclass(frozen=True, eq=False)
class BuiltSpace:
    """What the rest of a build needs of a written space: its manifest entry, its graph, its points' norms (V,)."""

    facts: dict[str, Any]
    graph: KnnGraph
    norms: np.ndarray


def build_space(
    folder: Path,
    geometry: Geometry,
    gamma: np.ndarray,
    metric: Metric,
    settings: Settings,
    device: str,
    progress: Progress,
) -> BuiltSpace:
    """Map gamma into one space; write its FAISS index, the approximate ones asked for, and its graph.

    Parameters
    ----------
    folder : Path
        Of the bundle.
    geometry : Geometry
    gamma : ndarray of shape (V, D)
    metric : Metric
    settings : Settings
    device : str
    progress : callable
    """
    name, k = geometry.value, settings.neighbors
    progress(f"mapping into {geometry.label} space", 0, 1)
    V, D = gamma.shape
    index, points = writer.empty_index(V, D, inner_product=geometry.angular)
    centered = geometry is Geometry.CAUSAL_COSINE and settings.centered
    if geometry is Geometry.CAUSAL:
        spaces.causal_points(gamma, metric, out=points)
    elif geometry is Geometry.COSINE:
        spaces.cosine_points(gamma, out=points)
    else:
        spaces.causal_cosine_points(gamma, metric, centered=centered, out=points)
    writer.save_index(folder / f"{name}.faiss", index)
    progress(f"mapping into {geometry.label} space", 1, 1)
    excluded = spaces.zero_rows(points) if geometry.angular else np.empty(0, dtype=np.int64)
    step = f"{k} neighbors in {geometry.label} space"
    norms = spaces.norms(points)
    largest = float(norms.max())
    resolution = spaces.resolution(largest)
    approximate = [_approximate(folder, name, points, factory, geometry) for factory in settings.index_factories]
    graph = _graph_without(
        points, excluded, k, device, settings.threads, lambda share: progress(step, round(share * V), V)
    )
    writer.save_graph(folder, name, graph)
    facts = {
        "unit": "of the chord" if geometry.angular else "logometers",
        "search": "inner product" if geometry.angular else "squared L2",
        "centered": centered,
        "largest_norm": largest,
        "resolution": resolution,
        "excluded_rows": excluded.tolist(),
        "approximate": [_with_recall(each, points, graph, resolution) for each in approximate],
    }
    return BuiltSpace(facts, graph, norms)


def _graph_without(
    points: np.ndarray,
    excluded: np.ndarray,
    k: int,
    device: str,
    threads: int | None,
    progress: Callable[[float], None],
) -> KnnGraph:
    """Return the graph of all points but the excluded, whose rows, like every missing place, hold -1 and infinity."""
    if len(excluded) == 0:
        return knn_graph(points, k=k, device=device, threads=threads, progress=progress)
    kept = np.setdiff1d(np.arange(len(points)), excluded)
    width = min(k, len(kept) - 1)
    ids = np.full((len(points), k), -1, dtype=np.int32)
    distances = np.full((len(points), k), np.inf, dtype=np.float32)
    distinct = distances.copy()
    if width > 0:
        inner = knn_graph(points[kept], k=width, device=device, threads=threads, progress=progress)
        ids[kept, :width] = kept[inner.ids]
        distances[kept, :width] = inner.distances
        distinct[kept, :width] = inner.distinct_distances
    return KnnGraph(ids, distances, distinct)


@dataclass(frozen=True, eq=False)
class _Approximate:
    """An approximate index that still lacks its recall."""

    index: Any
    factory: str
    file: str
    seconds: float


def _approximate(folder: Path, name: str, points: np.ndarray, factory: str, geometry: Geometry) -> _Approximate:
    index, seconds = build_approximate(points, factory, inner_product=geometry.angular)
    file = file_name(name, factory)
    writer.save_index(folder / file, index)
    return _Approximate(index, factory, file, seconds)


def _with_recall(built: _Approximate, points: np.ndarray, graph: KnnGraph, resolution: float) -> dict[str, Any]:
    k, rows, recall = measure_recall(built.index, points, graph, resolution)
    return asdict(Recall(built.factory, built.file, k, rows, recall, built.seconds))
