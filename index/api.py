"""An open bundle as people use it from Python: every question is a method.

>>> import index
>>> vocabulary = index.open("data/indexes/smollm2-135m")
>>> vocabulary.neighbors("planet", top=3).to_pandas()["text"].tolist()
[' planet', ' Planet', ' planets', ' Planet', ' planet', ' planets']
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index import census_report, reach_report, report
from index.bundle.bundle import Bundle, open_bundle
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.questions import among, census, pairs, reach
from index.questions import extremes as ends
from index.questions import find as finding
from index.questions import metric as spectra
from index.questions import neighbors as questions
from index.questions.census import Duplicates, OverlapCensus
from index.questions.extremes import Extremes
from index.questions.find import Found
from index.questions.metric import MetricReport
from index.questions.neighbors import Densest, Neighborhood
from index.questions.pairs import Distance, Ranks
from index.questions.reach import Analogy, Within

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["OpenVocabulary", "open_vocabulary"]
_REGISTERED = (report, reach_report, census_report)
"""Imported because they say how each answer becomes flat records."""


class OpenVocabulary(Bundle):
    """A bundle with its questions as methods. Opening reads the manifest alone; threads may share one.

    A token is given as on the command line: `#id`, an exact text, a piece, or a text without its leading space. Answers
    are frozen records: they have `to_pandas()`, and show themselves as tables in a notebook.
    """

    def densest(
        self,
        *,
        top: int | None = None,
        density_k: int | None = None,
        rule: str = "notebook",
        geometries: Sequence[str] = ("causal", "cosine"),
        among: str | None = None,
    ) -> Densest:
        """Find the token of highest k-NN density, and its neighbors in two geometries.

        >>> index.open("data/indexes/smollm2-135m").densest().neighborhood.token.text
        '<gh_stars>'
        """
        return questions.densest(
            self, top=top, density_k=density_k, rule=Rule(rule), geometries=_two(geometries), among=_subset(self, among)
        )

    def neighbors(
        self,
        token: str,
        *,
        top: int | None = None,
        density_k: int | None = None,
        rule: str = "notebook",
        geometries: Sequence[str] = ("causal", "cosine"),
        among: str | None = None,
    ) -> Neighborhood:
        """Find a token's nearest others in two geometries, and how far the two lists agree.

        >>> index.open("data/indexes/smollm2-135m").neighbors("planet").overlap.count
        27
        """
        return questions.neighbors(
            self,
            token,
            top=top,
            density_k=density_k,
            rule=Rule(rule),
            geometries=_two(geometries),
            among=_subset(self, among),
        )

    def within(
        self, token: str, *, radius: float | None = None, similarity: float | None = None, geometry: str | None = None
    ) -> Within:
        """Find all tokens inside a causal radius (logometers), or a cone of similarity.

        >>> index.open("data/indexes/smollm2-135m").within("planet", radius=22).count
        3
        """
        space = None if geometry is None else Geometry(geometry)
        return reach.within(self, token, radius=radius, similarity=similarity, geometry=space)

    def analogy(
        self, expression: str, *, top: int | None = None, include_terms: bool = False, among: str | None = None
    ) -> Analogy:
        """Find the tokens nearest to a signed sum of tokens, in every geometry.

        >>> answer = index.open("data/indexes/smollm2-135m").analogy("planets - planet + star", top=1)
        >>> answer.lists["cosine"][0].token.text
        'Star'
        """
        return reach.analogy(self, expression, top=top, include_terms=include_terms, among=_subset(self, among))

    def distance(self, a: str, b: str) -> Distance:
        """Measure how far apart two tokens are, in every geometry.

        >>> distances = index.open("data/indexes/smollm2-135m").distance("planet", " planet")
        >>> round(float(distances.to_pandas()["distance"][0]), 4)
        17.4703
        """
        return pairs.distance(self, a, b)

    def rank(self, a: str, b: str) -> Ranks:
        """Find b's place in a's list and a's in b's, from 1, in every geometry."""
        return pairs.rank(self, a, b)

    def overlap(
        self,
        *,
        tops: Sequence[int] | None = None,
        listed: int | None = None,
        geometries: Sequence[str] = ("causal", "cosine"),
    ) -> OverlapCensus:
        """Measure how far two geometries agree over the whole vocabulary.

        >>> round(100 * index.open("data/indexes/smollm2-135m").overlap(tops=[30]).tops[30].mean, 1)
        32.1
        """
        return census.overlap(self, tops=tops, listed=listed, geometries=_two(geometries))

    def duplicates(self, *, within: float | None = None) -> Duplicates:
        """Find the groups of twins; with `within` (logometers), the connected groups of near-twins.

        >>> [len(group) for group in index.open("data/indexes/smollm2-135m").duplicates().groups]
        [7, 4, 2, 2]
        """
        return census.duplicates(self, within=within)

    def extremes(
        self, measure: str, *, top: int | None = None, geometries: Sequence[str] = ("causal", "cosine")
    ) -> Extremes:
        """Find the tokens at either end of `norm`, `density`, `overlap` or `hubness`."""
        return ends.extremes(self, ends.measure_named(measure), top=top, geometries=_two(geometries))

    def spectrum(self, *, pairs: int = 20_000) -> MetricReport:
        """Describe Cov(gamma) and M, and compare random pairs with what the identities say they must be.

        >>> round(index.open("data/indexes/smollm2-135m").spectrum().covariance.condition, 1)
        2507.3
        """
        return spectra.metric(self, pairs=pairs)

    def find(self, text: str, *, top: int = 10) -> Found:
        """Find the tokens a text can mean, and how the tokenizer splits it."""
        return finding.find(self, text, top=top)

    def kneighbors_graph(self, n_neighbors: int | None = None, *, geometry: str = "causal") -> csr_array:
        """Return the k-NN graph as a SciPy sparse array of distances, (V, V), rows sorted by distance.

        As scikit-learn's `kneighbors_graph(mode="distance")`: zero distances are stored, self is left out.

        >>> index.open("data/indexes/smollm2-135m").kneighbors_graph(10).nnz
        491520
        """
        from scipy.sparse import csr_array

        space = self.spaces[Geometry(geometry)]
        k = space.ids.shape[1] if n_neighbors is None else n_neighbors
        census.check_length("n_neighbors", k, self)
        ids, distances = space.ids[:, :k], space.distances[:, :k]
        kept = ids >= 0
        bounds = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        return csr_array((distances[kept], ids[kept], bounds), shape=(len(self), len(self)))


def open_vocabulary(path: str | Path) -> OpenVocabulary:
    """Open a built bundle for questions.

    Parameters
    ----------
    path : str or Path
        The bundle's own folder.

    Raises
    ------
    BundleError
        When there is none, it is damaged, or of another format version.
    """
    found = open_bundle(path)
    return OpenVocabulary(found.folder, found.manifest)


def _two(names: Collection[str]) -> tuple[Geometry, Geometry]:
    first, second = (Geometry(name) for name in names)
    return first, second


def _subset(bundle: Bundle, wanted: str | None) -> among.Subset | None:
    return None if wanted is None else among.subset(bundle, wanted)
