"""The direction of a concept, as its word pairs give it: in a bundle's gamma, and in a file of its own.

Park, Choe and Veitch (2024): the unembedding vector of a concept is the mean difference of its pairs, of length 1 in
the causal inner product; M times that is its embedding vector, which lives where hidden states do (their theorem 3.2).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.bundle.saved_sets import rows_of
from index.errors import ParameterError, parameter
from index.files import brief, placing
from index.geometry.blocks import Matrix, row_blocks
from index.geometry.maps import Geometry
from index.geometry.views import View
from index.measures.concepts import Pairs, direction
from index.sources.judgments import WordPairs
from index.tokens.words import WordFinder

SUFFIX = ".safetensors"
PROBE, STEERING = "unembedding_to_probe", "embedding_to_steer"
"""The tensors of a saved direction, each called by what it is for."""

_FORMAT = "logoscope-concept"
_USES = {
    PROBE: (
        "the concept's unembedding vector, of length 1 in M: a hidden state's inner product with it is how far the "
        "state is for the concept. Not to be added to a hidden state"
    ),
    STEERING: (
        "M times the unembedding vector: added to a hidden state, after the last norm, it raises each token's logit by "
        "as many units as the token lies along the concept in logometers. Not a probe"
    ),
}


class Product(StrEnum):
    """What inner product angles and lengths are taken in."""

    CAUSAL = "causal"  # x^T M y
    EUCLIDEAN = "euclidean"  # x^T y

    @property
    def view(self) -> View:
        """The view whose flat rows have it as their plain inner product."""
        return View(Geometry.CAUSAL if self is Product.CAUSAL else Geometry.COSINE)

    def stored(self, bundle: Bundle) -> Matrix:
        """Return stored rows whose differences have it, (V, D)."""
        return bundle.causal.points if self is Product.CAUSAL else bundle.gamma


@dataclass(frozen=True)
class LeftOut:
    """A pair that is not counted, and why."""

    first: str
    second: str
    why: str


@dataclass(frozen=True, eq=False)
class KeptPairs:
    """The pairs of a concept whose words are one token each."""

    name: str
    given: int  # how many pairs there were
    rows: np.ndarray  # (n, 2) int64, the rows of each pair's tokens, from first to second
    left_out: tuple[LeftOut, ...]

    @property
    def words(self) -> np.ndarray:
        """The rows of their different words, ascending, (u,)."""
        return np.unique(self.rows)

    @property
    def pairs(self) -> Pairs:
        """Which of the words are pairs."""
        first, second = np.searchsorted(self.words, self.rows).T
        return Pairs(first, second)

    def vectors(self, bundle: Bundle, product: Product) -> np.ndarray:
        """Return the words' rows with an inner product, (u, D) float64."""
        return product.view.flat(bundle.gamma[self.words], bundle.metric)


def kept_pairs(bundle: Bundle, finder: WordFinder, concept: WordPairs) -> KeptPairs:
    """Return the pairs whose words are tokens, each once, and why the others are left out."""
    rows: dict[tuple[int, int], None] = {}
    left_out = []
    for first, second in concept.pairs:
        found = tuple(map(finder.row, (first, second)))
        missing = [word for word, row in zip((first, second), found, strict=True) if row is None]
        a, b = (-1 if row is None else row for row in found)
        if missing:
            why = f"{' and '.join(map(repr, missing))} {'are' if len(missing) > 1 else 'is'} not one token"
        elif bundle.twins.first[a] == bundle.twins.first[b]:
            why = "both have the same vector"
        elif (a, b) in rows:
            why = "it is there already"
        else:
            rows[a, b] = None
            continue
        left_out.append(LeftOut(first, second, why))
    array = np.array(list(rows), dtype=np.int64).reshape(-1, 2)
    return KeptPairs(concept.name, len(concept.pairs), array, tuple(left_out))


def unembedding(bundle: Bundle, kept: KeptPairs) -> np.ndarray:
    """Return a concept's unembedding vector, (D,) float64: of length 1 in M; zero where there is none."""
    differences = kept.pairs.differences(kept.vectors(bundle, Product.EUCLIDEAN))
    if len(differences) == 0 or not direction(differences).any():
        return np.zeros(bundle.manifest.D)
    mean = differences.mean(axis=0)
    vector: np.ndarray = mean / np.linalg.norm(mean @ bundle.metric.factor)
    return vector


def along(bundle: Bundle, vectors: np.ndarray, *, centered: bool = False) -> np.ndarray:
    """Return the causal inner products of all rows of gamma with unembedding vectors (n, D): (n, V) float64.

    In logometers, from zero, or where `centered` from the mean row. Twins have the same, to the last bit.
    """
    duals = bundle.metric.matrix @ vectors.T
    found = np.empty((len(vectors), len(bundle)))
    for where, rows in row_blocks(bundle.gamma):
        found[:, where] = (rows @ duals).T
    if centered:
        found -= (bundle.metric.mean @ duals)[:, np.newaxis]
    equal: np.ndarray = found[:, bundle.twins.first]
    return equal


def require_savable(path: Path, *, overwrite: bool, concepts: Sequence[WordPairs]) -> None:
    """Raise ParameterError where a direction cannot be saved to a path."""
    from index.files import require_free

    if path.suffix != SUFFIX:
        raise ParameterError(f"{parameter('save')} must end in {SUFFIX}, got: {path.name}")
    if len(concepts) != 1:
        raise ParameterError(f"{parameter('save')} keeps the direction of one concept, and {len(concepts)} are given")
    require_free([path], overwrite=overwrite, manifest=MANIFEST, named="save")


def save(bundle: Bundle, kept: KeptPairs, path: Path, *, overwrite: bool) -> None:
    """Write a concept's direction and its dual, (D,) float64 each, with what each is for, to a safetensors file."""
    from safetensors.numpy import save_file

    vector = unembedding(bundle, kept)
    ids = bundle.vocabulary.token_ids[kept.rows].tolist()
    facts = {
        "format": _FORMAT,
        "concept": kept.name,
        "bundle": bundle.name,
        "rows": rows_of(bundle),
        "metric": bundle.metric.origin,
        "pairs": json.dumps(ids),
        **_USES,
    }
    with placing([path], overwrite=overwrite, manifest=MANIFEST, named="save") as (written,):
        save_file({PROBE: vector, STEERING: bundle.metric.matrix @ vector}, written, metadata=facts)


def saved(bundle: Bundle, path: Path, named: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Read what `save` wrote of this bundle's rows: the concept's name, its unembedding vector, its words' rows.

    ParameterError, of the parameter `named`, for another file, or of other rows.
    """
    from safetensors import SafetensorError, safe_open

    where = f"{parameter(named)} {path}"
    try:
        with safe_open(path, "numpy") as file:
            facts, vector = file.metadata() or {}, file.get_tensor(PROBE)
        ids = np.unique(np.array(json.loads(facts["pairs"]), dtype=np.int64))
    except (SafetensorError, OSError, KeyError, ValueError, OverflowError, TypeError) as error:
        raise ParameterError(f"{where} holds no direction that `concept` saved: {brief(error)}") from error
    D = bundle.manifest.D
    right = vector.shape == (D,) and vector.dtype == np.float64 and np.isfinite(vector).all() and vector.any()
    if facts.get("format") != _FORMAT or not right:
        raise ParameterError(f"{where} holds no direction of width {D} that `concept` saved; save it again")
    if facts.get("rows") != rows_of(bundle):
        raise ParameterError(f"{where} is of other rows than {bundle.name} holds; save the concept again")
    rows = np.flatnonzero(np.isin(bundle.vocabulary.token_ids, ids))
    return brief(facts.get("concept", path.stem)), vector, rows
