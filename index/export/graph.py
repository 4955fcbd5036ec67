"""The exact k-NN graph in the forms that scikit-learn, umap-learn, igraph and NetworkX read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from index.bundle.arrow import columns_table
from index.bundle.bundle import Bundle, Space
from index.geometry.maps import similarity_of


@dataclass(frozen=True, eq=False)
class Graph:
    """The k nearest neighbors of each token, k of them wherever there is a point."""

    ids: np.ndarray  # (V, k) int32 rows, nearest first; -1 in rows without a point
    distances: np.ndarray  # (V, k) float32; infinite in rows without a point
    has_point: np.ndarray  # (V,) bool; zero rows have none in an angular geometry


def graph_of(space: Space, top: int) -> Graph:
    """Return a space's graph, cut to `top` of the neighbors that it keeps."""
    has_point = np.ones(len(space.ids), dtype=bool)
    has_point[list(space.excluded)] = False
    k = min(top, max(0, int(has_point.sum()) - 1))  # where zero rows leave fewer others
    return Graph(np.asarray(space.ids[:, :k]), np.asarray(space.distances[:, :k]), has_point)


def with_self(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Return ids (V, k + 1) int32 and distances (V, k + 1) float32 with the row itself, at zero, in front."""
    V = len(graph.ids)
    ids = np.concatenate([np.arange(V, dtype=np.int32)[:, None], graph.ids], axis=1)
    return ids, np.concatenate([np.zeros((V, 1), dtype=np.float32), graph.distances], axis=1)


def write_knn_csr(graph: Graph, path: Path) -> None:
    """Write what `scipy.sparse.load_npz` reads as a CSR matrix of distances, (V, V).

    As scikit-learn's KNeighborsTransformer leaves it: each row holds the token itself first, then its neighbors sorted
    by distance, zeros explicit. The keys are those of `scipy.sparse.save_npz`.
    """
    ids, distances = with_self(graph)
    there = ids >= 0
    lengths = there.sum(axis=1)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    narrow = indptr[-1] <= np.iinfo(np.int32).max  # SciPy wants one dtype for both
    with path.open("wb") as file:
        np.savez(
            file,
            format=np.array(b"csr"),
            shape=np.array([len(ids), len(ids)]),
            data=distances[there],
            indices=ids[there] if narrow else ids[there].astype(np.int64),
            indptr=indptr.astype(np.int32 if narrow else np.int64),
        )


def write_umap(graph: Graph, path: Path) -> None:
    """Write `indices` (V, k + 1) int32 and `distances` float32, self first: the pair for `umap.UMAP(precomputed_knn=)`.

    Rows without a point hold -1 at infinity after themselves, as UMAP itself marks disconnected ones.
    """
    indices, distances = with_self(graph)
    with path.open("wb") as file:
        np.savez(file, indices=indices, distances=distances)


def write_edges(bundle: Bundle, space: Space, graph: Graph, path: Path) -> None:
    """Write one row per neighbor: rows and ids of both ends, distance, and in angular geometries the similarity."""
    rows = np.flatnonzero(graph.has_point).astype(np.int32)
    k = graph.ids.shape[1]
    source, target = np.repeat(rows, k), graph.ids[rows].ravel()
    distance = graph.distances[rows].ravel()
    token_ids = bundle.vocabulary.token_ids
    columns = {
        "source": source,
        "target": target,
        "source_id": token_ids[source],
        "target_id": token_ids[target],
        "distance": distance,
    }
    if space.geometry.angular:
        columns["similarity"] = similarity_of(distance.astype(np.float64))
    pq.write_table(columns_table(columns), path)
