"""Approximate FAISS indexes beside the exact graph, each with the recall it reaches here.

Whitening removes the cluster structure that approximate indexes live on: what recalls 0.8 of the nearest neighbors by
cosine similarity may recall 0.2 in the causal metric. So none is built without its recall, measured on these points.
"""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np

from index.errors import ParameterError, parameter
from index.files import brief
from index.geometry.maps import row_distances
from index.search.graph import KnnGraph

LONGEST_FACTORY = 200
RECALL_AT = 30
ROWS_ASKED = 1000
_SEED = 42


def check_factory(factory: str, D: int) -> None:
    """Raise ParameterError unless FAISS knows the factory string for points of width D."""
    import faiss

    if len(factory) > LONGEST_FACTORY:  # FAISS takes it apart recursively, and a very long one overflows the stack
        raise ParameterError(f"{parameter('index_factory')} has {len(factory)} characters, more than {LONGEST_FACTORY}")
    try:
        faiss.index_factory(D, factory)
    except (RuntimeError, TypeError) as error:  # TypeError: a text that is no Unicode
        raise ParameterError(
            f"{parameter('index_factory')} {factory!r:.80} is none of FAISS's for width {D}: {_reason(error)}"
        ) from None


def build_approximate(points: np.ndarray, factory: str, *, inner_product: bool) -> tuple[Any, float]:
    """Train and fill an index of points (V, D) float32; return it with the seconds that took.

    ParameterError when the points cannot train it.
    """
    import faiss

    started = time.perf_counter()
    metric = faiss.METRIC_INNER_PRODUCT if inner_product else faiss.METRIC_L2
    try:
        index = faiss.index_factory(points.shape[1], factory, metric)
        index.train(points)
        index.add(points)
    except RuntimeError as error:
        raise ParameterError(
            f"{parameter('index_factory')} {factory!r:.80} cannot hold these points: {_reason(error)}"
        ) from None
    return index, time.perf_counter() - started


def measure_recall(index: Any, points: np.ndarray, graph: KnnGraph, resolution: float) -> tuple[int, int, float | None]:
    """Return k, the rows asked, and the share of their k nearest neighbors that a FAISS index finds.

    It is searched as it is: with its default `nprobe`, `efSearch` and the like. `graph` is the exact one of the points,
    (V, D) float32. A found token counts when it is no further than the k-th neighbor by more than `resolution`, and has
    a place in the graph: a zero row, which the index holds too, is nobody's neighbor.
    """
    k = min(RECALL_AT, graph.ids.shape[1])
    answerable = np.flatnonzero((graph.ids[:, :k] >= 0).all(axis=1))
    asked = np.random.default_rng(_SEED).permutation(answerable)[:ROWS_ASKED]
    if len(asked) == 0:
        return k, 0, None
    placed = graph.ids[:, 0] >= 0
    _, found = index.search(points[asked], k + 1)
    hits = 0
    for row, ids in zip(asked.tolist(), found, strict=True):
        others = np.unique(ids[(ids >= 0) & (ids != row)])
        others = others[placed[others]]
        distances = row_distances(points[others], points[row])
        hits += min(k, int((distances <= np.float64(graph.distances[row, k - 1]) + resolution).sum()))
    return k, len(asked), hits / (k * len(asked))


def file_name(space: str, factory: str) -> str:
    """Return the file an approximate index is kept in: `causal.ivf1024_flat.faiss`."""
    return f"{space}.{re.sub(r'[^a-z0-9]+', '_', factory.lower()).strip('_')}.faiss"


def _reason(error: Exception) -> str:
    """FAISS puts the C++ function and file before what it has to say."""
    return brief(RuntimeError(re.sub(r"^Error in .*? at .*?:\d+: ", "", str(error))))
