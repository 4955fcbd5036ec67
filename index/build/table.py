"""Columns of `tokens.parquet` that say how a token is written and how it sits among the others."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from index.search.graph import KnnGraph
from index.tokens.tokenizer import encode, parse_tokenizer
from index.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

OVERLAP_TOPS = (10, 30, 100)
"""Lengths of the lists whose overlaps are kept, where the graph goes as far."""

COMMON, MIXED = "Common", "Mixed"
_SHARED_SCRIPTS = frozenset({"Common", "Inherited", "Unknown"})
_SPACE_MARKS = ("▁", "Ġ")
_BLOCK_ROWS = 1 << 14


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


def script(text: str) -> str:
    """Return the Unicode script a text is written in: `script(" planet")` is `Latin`.

    Every character has one script (Unicode Standard Annex #24). Those shared by many, as spaces, digits, punctuation
    and accents are, do not count: a text of nothing else is `Common`. Two scripts or more are `Mixed`.
    """
    found = {_script_of(character) for character in set(text)} - _SHARED_SCRIPTS
    if len(found) > 1:
        return MIXED
    return found.pop() if found else COMMON


@cache
def _script_of(character: str) -> str:
    from fontTools import unicodedata

    name: str = unicodedata.script_name(unicodedata.script(character))
    return name


def reachable(vocabulary: Vocabulary) -> list[bool | None]:
    """Say of each token whether the tokenizer makes it, and only it, out of its own decoded text.

    Parameters
    ----------
    vocabulary : Vocabulary

    Returns
    -------
    list of V bool or None
        None for a row without text, and everywhere without a tokenizer.

    Notes
    -----
    A tokenizer that puts a space before every text (Llama 2's) never starts one with `planet`, only with `▁planet`.
    With such a one, a token is also made if it is what the text becomes behind a line break.
    """
    answers: list[bool | None] = [None] * len(vocabulary)
    if vocabulary.tokenizer_json is None:
        return answers
    path = Path("tokenizer.json")
    tokenizer = parse_tokenizer(vocabulary.tokenizer_json.encode(), path)
    texts = {row: text for row, text in enumerate(vocabulary.texts.to_pylist()) if text is not None}
    ids: list[int] = vocabulary.token_ids.tolist()
    for row, encoding in zip(texts, encode(tokenizer, list(texts.values()), path), strict=True):
        answers[row] = encoding.ids == [ids[row]]
    if _puts_space_before(tokenizer, path):
        rest = [row for row in texts if not answers[row]]
        encodings = encode(tokenizer, ["\n" + texts[row] for row in rest], path)
        for row, encoding in zip(rest, encodings, strict=True):
            whole = (1, 1 + len(texts[row]))
            answers[row] = (encoding.ids[-1:], encoding.offsets[-1:]) == ([ids[row]], [whole])
    return answers


def _puts_space_before(tokenizer: Tokenizer, path: Path) -> bool:
    first = encode(tokenizer, ["a"], path)[0].tokens[:1]
    return any(piece.startswith(_SPACE_MARKS) for piece in first)


def hubness(ids: np.ndarray, k: int) -> np.ndarray:
    """Return how many tokens have each token among their k nearest: the k-occurrence N_k, whose mean is k.

    Radovanović, Nanopoulos and Ivanović, "Hubs in Space: Popular Nearest Neighbors in High-Dimensional Data" (JMLR
    2010), section 2.

    Parameters
    ----------
    ids : ndarray of shape (V, K)
        Rows of the nearest neighbors, nearest first, self left out; -1 where there are no more.
    k : int
        At most K.

    Returns
    -------
    ndarray of shape (V,), int32
    """
    nearest = ids[:, :k]
    return np.bincount(nearest[nearest >= 0], minlength=len(ids)).astype(np.int32)


def overlap_shares(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """Return the overlap of two neighbor lists of each token: the share of its k nearest that both hold.

    Parameters
    ----------
    a, b : ndarrays of shape (V, K)
        Rows of the nearest neighbors in two geometries, nearest first, ties by row; -1 where there are no more.
    k : int
        At most K.

    Returns
    -------
    ndarray of shape (V,), float64
        From 0 to 1; NaN where a list holds fewer than k.
    """
    shares = np.empty(len(a))
    for start in range(0, len(a), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        both = np.concatenate([a[rows, :k], b[rows, :k]], axis=1)
        both.sort(axis=1)  # no list holds a token twice, so equal neighbors are a token of both
        shares[rows] = (both[:, 1:] == both[:, :-1]).sum(axis=1) / k
    shares[(a[:, k - 1] < 0) | (b[:, k - 1] < 0)] = np.nan
    return shares
