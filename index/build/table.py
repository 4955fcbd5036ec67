"""`tokens.parquet`: every token, how it is written, and how it sits among the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from index.build.rows import Rows
from index.build.spaces import map_points
from index.bundle import write as writer
from index.bundle.arrow import columns_table
from index.bundle.bundle import density_column
from index.geometry.maps import Geometry, norms, uncentered_norms
from index.measures import density
from index.measures.density import Rule, hubness
from index.measures.overlap import OVERLAP_TOPS, overlap_shares
from index.search.graph import KnnGraph
from index.tokens.vocabulary import Vocabulary
from index.tokens.writing import reachable, script


def token_table(folder: Path, rows: Rows, density_k: int) -> pa.Table:
    """Return the table of the tokens of a bundle whose spaces are built."""
    gamma, vocabulary = rows.gamma, rows.vocabulary
    causal, cosine = (writer.map_graph(folder, each.value) for each in (Geometry.CAUSAL, Geometry.COSINE))
    counts = np.bincount(rows.twins, minlength=len(gamma))[rows.twins]
    columns: dict[str, Any] = {
        "row": np.arange(len(gamma), dtype=np.int32),
        "token_id": vocabulary.token_ids,
        "text": vocabulary.texts,
        "piece": vocabulary.pieces,
        "kind": vocabulary.kinds,
        "twin_group": rows.twins,
        "twin_count": counts.astype(np.int32),
        "euclidean_norm": norms(gamma),
        "causal_norm": uncentered_norms(map_points(folder, Geometry.CAUSAL, gamma.shape), gamma, rows.metric),
    }
    for rule in Rule:
        means = density.mean_distances(causal.distances, causal.distinct_distances, rule, density_k)
        columns[density_column(rule)] = density.density(means)
    columns |= token_columns(vocabulary, causal, cosine, density_k)
    return columns_table(columns)


def token_columns(vocabulary: Vocabulary, causal: KnnGraph, cosine: KnnGraph, density_k: int) -> dict[str, Any]:
    """Return `script`, `reachable`, `hubness` and `overlap_10`, `overlap_30`, `overlap_100`, V values each.

    Hubness counts a token in causal lists of length `density_k`. Overlaps are shares from 0 to 1, null where K is less
    or a list is shorter.
    """
    texts: list[str | None] = vocabulary.texts.to_pylist()
    columns: dict[str, Any] = {
        "script": pa.array([None if text is None else script(text) for text in texts], pa.string()),
        "reachable": pa.array(reachable(vocabulary), pa.bool_()),
        "hubness": hubness(causal.ids, density_k),
    }
    V, K = causal.ids.shape
    for top in OVERLAP_TOPS:
        shares = overlap_shares(causal.ids, cosine.ids, top) if top <= K else np.full(V, np.nan)
        columns[f"overlap_{top}"] = pa.array(shares, mask=np.isnan(shares))
    return columns
