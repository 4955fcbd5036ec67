"""Columns of `tokens.parquet` that say how a token is written and how it sits among the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from index.measures.density import hubness
from index.measures.overlap import OVERLAP_TOPS, overlap_shares
from index.search.graph import KnnGraph
from index.tokens.vocabulary import Vocabulary
from index.tokens.writing import reachable, script


def token_columns(vocabulary: Vocabulary, causal: KnnGraph, cosine: KnnGraph, density_k: int) -> dict[str, Any]:
    """Return the columns `script`, `reachable`, `hubness` and `overlap_10`, `overlap_30`, `overlap_100`.

    Parameters
    ----------
    vocabulary : Vocabulary
        Of V tokens.
    causal, cosine : KnnGraph
        Over the same V tokens; ids (V, K), -1 where a list has no more.
    density_k : int
        Length of the causal lists in which `hubness` counts a token.

    Returns
    -------
    dict of str to array of length V
        `overlap_...` are shares from 0 to 1 (`overlap_shares`), null where K is less or a list is shorter.
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
