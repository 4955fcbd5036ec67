"""The vocabulary as a map, for embedding-atlas: UMAP on the exact graph."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from index.bundle.arrow import arrow_array
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError
from index.export.graph import Graph
from index.geometry.blocks import row_blocks

MAP_NEIGHBORS = 15
"""UMAP's and embedding-atlas's own default, the token itself counted."""

_SEED = 42
_FEWEST_POINTS = 5


@dataclass(frozen=True, eq=False)
class DistinctGraph:
    """The nearest distinct points of each distinct point."""

    rows: np.ndarray  # (U,) int64, the first row of each point
    places: np.ndarray  # (U, k) int32 places in `rows`, nearest first
    distances: np.ndarray  # (U, k) float32


def write_atlas(bundle: Bundle, space: Space, graph: Graph, path: Path) -> None:
    """Write every column of `tokens.parquet`, `projection_x`, `projection_y`, and `neighbors` {"ids", "distances"}."""
    projection = project(bundle, space)
    table = bundle.tokens
    texts = pc.if_else(pc.is_valid(table["text"]), table["text"], "")
    table = table.set_column(table.column_names.index("text"), "text", texts)
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):  # an infinite density would break the bins of a histogram
            finite = pc.if_else(pc.is_finite(table[field.name]), table[field.name], None)
            table = table.set_column(place, field.name, finite)
    for axis, name in enumerate(("projection_x", "projection_y")):
        column = arrow_array(projection[:, axis])
        table = table.append_column(name, pc.if_else(pc.is_nan(column), None, column))
    pq.write_table(table.append_column("neighbors", _neighbors(graph)), path)


def project(bundle: Bundle, space: Space) -> np.ndarray:
    """Return the UMAP projection of a space's points, (V, 2) float32; NaN for rows without a point.

    Tokens of one point are laid out once and share their place: exact duplicates, more of them than UMAP looks at
    neighbors, would each see only the others (umap #284). The layout starts from gamma's two leading principal
    components, which keep the coarse order as well as the spectral start does (Kobak and Linderman 2021,
    "Initialization is critical for preserving global data structure in both t-SNE and UMAP") and do not fail on a
    disconnected graph (umap #848). The seed is fixed, and UMAP runs on one thread: the same bundle gives the same map.
    ParameterError without umap-learn, and for too few points.
    """
    try:
        import umap
    except ImportError as error:
        raise ParameterError(
            "the map needs umap-learn, which is not installed; run it as `uv run --extra map query.py export atlas ...`"
        ) from error

    graph = distinct_graph(bundle, space)
    U = len(graph.rows)
    start = _principal_components(bundle, graph.rows)
    own = np.arange(U, dtype=np.int32)[:, None]
    indices = np.concatenate([own, graph.places], axis=1)
    distances = np.concatenate([np.zeros((U, 1), dtype=np.float32), graph.distances], axis=1)
    reducer = umap.UMAP(
        n_neighbors=indices.shape[1], precomputed_knn=(indices, distances), init=start, random_state=_SEED, n_jobs=1
    )
    with warnings.catch_warnings():
        # It cannot place new points without an index of its own. There are none.
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\] \(knn_search_index\)")
        layout = reducer.fit_transform(start)
    placed = np.full((len(bundle), 2), np.nan, dtype=np.float32)
    placed[graph.rows] = layout
    projection: np.ndarray = placed[space.groups.first]
    projection[list(space.excluded)] = np.nan
    return projection


def distinct_graph(bundle: Bundle, space: Space) -> DistinctGraph:
    """Return the exact graph of a space's distinct points, read off its stored lists."""
    first = space.groups.first
    V = len(first)
    chosen = first == np.arange(V)
    chosen[list(space.excluded)] = False
    rows = np.flatnonzero(chosen)
    U = len(rows)
    if U < _FEWEST_POINTS:
        raise ParameterError(f"a map needs {_FEWEST_POINTS} different points, but {bundle.name} holds {U}")
    k = min(MAP_NEIGHBORS - 1, bundle.manifest.K, U - 2)  # UMAP counts the token itself, and leaves one out
    place_of = np.zeros(V, dtype=np.int32)
    place_of[rows] = np.arange(U, dtype=np.int32)
    return DistinctGraph(rows, place_of[space.distinct_ids[rows][:, :k]], space.distinct_distances[rows][:, :k])


def _principal_components(bundle: Bundle, rows: np.ndarray) -> np.ndarray:
    """Return the two leading principal components of gamma, (U, 2) float32, of unit variance.

    They are the eigenvectors of M's smallest eigenvalues. Signs are fixed by the largest entry. Where all rows lie on
    a line, the second is drawn: UMAP makes NaN of a coordinate without any extent.
    """
    metric = bundle.metric
    axes = np.linalg.eigh(metric.matrix)[1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    start = np.zeros((len(bundle), 2))
    for block, values in row_blocks(bundle.gamma):
        start[block, : axes.shape[1]] = (values - metric.mean) @ axes
    spread = start[rows].std(axis=0)
    drawn = np.random.default_rng(_SEED).normal(size=(len(rows), 2))
    with np.errstate(invalid="ignore"):
        scaled: np.ndarray = np.where(spread > 0, start[rows] / spread, drawn)
    return scaled.astype(np.float32)


def _neighbors(graph: Graph) -> pa.StructArray:
    """Return {"ids", "distances"} for each row.

    embedding-atlas stacks the lists into a matrix, so a row without a point has one too: itself, which it drops.
    """
    V, k = graph.ids.shape
    alone = ~graph.has_point[:, None]
    ids = np.where(alone, np.arange(V, dtype=np.int32)[:, None], graph.ids)
    distances = np.where(alone, np.float32(0), graph.distances)
    offsets = cast("pa.Int32Array", arrow_array(np.arange(0, (V + 1) * k, k, dtype=np.int32)))
    lists: list[pa.Array[Any]] = [
        pa.ListArray.from_arrays(offsets, arrow_array(values.ravel())) for values in (ids, distances)
    ]
    return pa.StructArray.from_arrays(lists, ["ids", "distances"])
