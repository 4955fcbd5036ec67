"""`tokens.parquet`: every token, how it is written, and how it sits among the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from index.build.census import census_columns
from index.build.rows import Rows
from index.build.spaces import map_points
from index.bundle import write as writer
from index.bundle.arrow import columns_table
from index.bundle.bundle import density_column
from index.bundle.manifest import SpaceFacts
from index.geometry.maps import Geometry, norms, uncentered_norms
from index.measures import density
from index.measures.density import Rule
from index.measures.hubness import hubness
from index.measures.lists import NeighborLists
from index.measures.overlaps import OVERLAP_TOPS, overlaps
from index.tokens.vocabulary import Vocabulary
from index.tokens.writing import reachable, script


def token_table(folder: Path, rows: Rows, facts: dict[Geometry, SpaceFacts], density_k: int) -> pa.Table:
    """Return the table of the tokens of a bundle whose spaces are built."""
    gamma, vocabulary = rows.gamma, rows.vocabulary
    causal, cosine = (_lists(folder, each, facts[each]) for each in (Geometry.CAUSAL, Geometry.COSINE))
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
        means = density.mean_distances(causal.distances[:], causal.distinct_distances[:], rule, density_k)
        columns[density_column(rule)] = density.density(means)
    columns |= token_columns(vocabulary, causal, cosine, density_k)
    columns |= census_columns(rows, columns["reachable"].to_pylist())
    return columns_table(columns)


def _lists(folder: Path, geometry: Geometry, facts: SpaceFacts) -> NeighborLists:
    graph = writer.map_graph(folder, geometry.value)
    groups = graph["groups"][:]
    return NeighborLists(
        graph["ids"],
        graph["distances"],
        graph["distinct_ids"],
        graph["distinct_distances"],
        groups,
        float(facts.resolution),
        len(groups) - len(facts.excluded_rows),
    )


def token_columns(
    vocabulary: Vocabulary, causal: NeighborLists, cosine: NeighborLists, density_k: int
) -> dict[str, Any]:
    """Return `script`, `reachable`, `hubness`, `overlap_10`, `overlap_30`, `overlap_100`, and the ranges of these.

    V values each. Hubness counts a token in causal lists of length `density_k`. Overlaps are shares from 0 to 1, null
    where K is less or a list is shorter.
    """
    texts: list[str | None] = vocabulary.texts.to_pylist()
    columns: dict[str, Any] = {
        "script": pa.array([None if text is None else script(text) for text in texts], pa.string()),
        "reachable": pa.array(reachable(vocabulary), pa.bool_()),
        "hubness": hubness(causal, density_k),
    }
    V, K = causal.ids.shape
    found = {top: overlaps(causal, cosine, top) if top <= K else None for top in OVERLAP_TOPS}
    for name in ("counts", "lowest", "highest"):
        for top, each in found.items():
            shares = np.full(V, np.nan) if each is None else getattr(each, name) / top
            column = f"overlap_{top}" if name == "counts" else f"overlap_{top}_{name}"
            columns[column] = pa.array(shares, mask=np.isnan(shares))
    return columns
