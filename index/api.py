"""Every question that can be asked of an open bundle, a line each: a method in Python, a command of `query.py`, a page.

>>> import index
>>> vocabulary = index.open("data/indexes/smollm2-135m")
>>> vocabulary.neighbors("planet", top=3).to_pandas()["text"].tolist()
[' planet', ' Planet', ' planets', ' Planet', ' planet', ' planets']
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index.answers.answer import Answer
from index.bundle.bundle import Bundle, open_as
from index.errors import LogoscopeError
from index.files import require
from index.geometry.maps import Geometry
from index.lazy import lazy_imports
from index.questions.asking.among import Subset, kept
from index.questions.asking.named_sets import save_set
from index.questions.asking.parameters import KEPT
from index.questions.asking.question import Question
from index.questions.asking.reading import TokenName, read
from index.tokens.vocabulary import Token

with lazy_imports(__name__):  # a module is loaded when its question is asked
    from index.checks.crosscheck import crosscheck
    from index.checks.verify import verify
    from index.export.export import export
    from index.pictures.page.compare import compare
    from index.pictures.page.report import report
    from index.pictures.plot.plot import plot
    from index.questions.analogy.analogy import analogy
    from index.questions.axes import axes
    from index.questions.concept.concept import concept
    from index.questions.densest import densest
    from index.questions.distance import distance
    from index.questions.duplicates import duplicates
    from index.questions.enrich.enrich import enrich
    from index.questions.evaluate.evaluate import evaluate
    from index.questions.extremes.extremes import extremes
    from index.questions.find import find
    from index.questions.findings.findings import findings
    from index.questions.hubness import hubness
    from index.questions.info import info
    from index.questions.lattice import lattice
    from index.questions.metric import metric
    from index.questions.neighbors import neighbors
    from index.questions.overlap.overlap import overlap
    from index.questions.rank import rank
    from index.questions.search.search import search
    from index.questions.sets import sets
    from index.questions.shares.shares import shares
    from index.questions.untrained.untrained import untrained
    from index.questions.within import within

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["QUESTIONS", "OpenVocabulary", "open_vocabulary"]


class OpenVocabulary(Bundle):
    """A bundle with its questions as methods. Opening reads the manifest alone; threads may share one.

    A token is given as on the command line, `#id`, an exact text, a piece, or a text without its leading space; or as
    its id, or as a Token. Answers are frozen records: they have `to_pandas()`, and show themselves as tables in a
    notebook.
    """

    findings = Question(findings)
    densest = Question(densest)
    neighbors = Question(neighbors)
    within = Question(within)
    analogy = Question(analogy)
    search = Question(search)
    distance = Question(distance)
    rank = Question(rank)
    sets = Question(sets)
    overlap = Question(overlap, seldom_long=True)
    compare = Question(compare)
    duplicates = Question(duplicates)
    extremes = Question(extremes)
    hub_shares = Question(hubness, "hubness")  # `hubness` is the number of lists of each token
    census = Question(untrained, "untrained")  # `untrained` are the tokens themselves
    lattice = Question(lattice)
    axes = Question(axes)
    spectrum = Question(metric, "metric")  # `metric` is M itself
    evaluate = Question(evaluate)
    shares = Question(shares)
    concept = Question(concept)
    enrich = Question(enrich)
    find = Question(find)
    plot = Question(plot)
    report = Question(report)
    info = Question(info)
    export = Question(export)
    crosscheck = Question(crosscheck)
    verify = Question(verify)

    def map(self, token: TokenName | None = None, *, color: str = "", map_file: Path | None = None) -> Any:
        """Return the map of `explore` for a notebook: a widget where anywidget is installed, and else a picture.

        It is the map that `explore --map` keeps beside the bundle, or in `map_file`. `token` is picked in it; `color`
        names what its dots are colored by. The widget's `token` is the id of the one that is picked there. Needs
        the extra `notebook`; the picture, the extra `plot`.
        """
        for library in ("jinja2", "starlette"):
            require(library, extra="notebook", command="map")
        from index.pictures.explore.widget import show_map

        return show_map(self, None if token is None else self._row(token), color, map_file)

    def __getitem__(self, token: TokenName) -> Token:
        """Return the token that a text, an id or a piece names; TokenError for none or several.

        >>> index.open("data/indexes/smollm2-135m")["planet"].id
        46835
        """
        return self.vocabulary.token(self._row(token))

    def __contains__(self, token: object) -> bool:
        """Whether it names one token."""
        try:
            self._row(token)
        except LogoscopeError:
            return False
        return True

    def __iter__(self) -> Iterator[Token]:
        return map(self.vocabulary.token, range(len(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return open_vocabulary, (self.folder.absolute(),)

    def vector(self, token: TokenName) -> np.ndarray:
        """Return a token's row of gamma, (D,): float64 where the source is, float32 for every narrower dtype."""
        row = self.gamma[self._row(token)]
        return row.astype(np.float64 if row.dtype == np.float64 else np.float32)

    def subset(self, among: Any, without: Any = None) -> Subset:
        """Return the tokens that questions would keep to: `@words`, a file, ids, words, a mask, less others.

        >>> len(index.open("data/indexes/smollm2-135m").subset("@words", without="@twins"))
        47529
        """
        some = read("among", Subset, among, self)
        return kept(self, some, None if without is None else read("without", Subset, without, self)) or some

    def save_set(self, name: str, tokens: Any, *, overwrite: bool = False) -> None:
        """Keep tokens beside the bundle as the set `@name`: those an answer lists, or any that `subset` takes.

        ParameterError for a name that is bad or taken, or for no tokens.
        """
        if isinstance(tokens, Answer):
            ids, said = tokens.token_ids(), f"what an answer of {type(tokens).__name__} lists"
        else:
            found = self.subset(tokens)
            ids, said = self.vocabulary.token_ids[found.rows].tolist(), found.name
        save_set(self, name, ids, said, overwrite=overwrite, named="name")

    def _row(self, token: object) -> int:
        return self.vocabulary.resolve(read("token", TokenName, token, self))

    def kneighbors_graph(self, n_neighbors: int | None = None, *, geometry: str = "causal") -> csr_array:
        """Return the k-NN graph as a SciPy sparse array of distances, (V, V), rows sorted by distance.

        As scikit-learn's `kneighbors_graph(mode="distance")`: zero distances are stored, self is left out.

        >>> index.open("data/indexes/smollm2-135m").kneighbors_graph(10).nnz
        491520
        """
        from scipy.sparse import csr_array

        space = self.spaces[read("geometry", Geometry, geometry, self)]
        k = space.ids.shape[1] if n_neighbors is None else read("n_neighbors", int, n_neighbors, self)
        KEPT.check("n_neighbors", k, self)
        ids, distances = space.ids[:, :k], space.distances[:, :k]
        kept = ids >= 0
        bounds = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        return csr_array((distances[kept], ids[kept], bounds), shape=(len(self), len(self)))


QUESTIONS: dict[str, Question[Any, Any]] = {
    each.name: each for each in vars(OpenVocabulary).values() if isinstance(each, Question)
}
"""By the names of their commands."""


def open_vocabulary(path: str | Path) -> OpenVocabulary:
    """Open a built bundle, by its own folder, for questions.

    BundleError when there is none, it is damaged, or of another format version.
    """
    return open_as(OpenVocabulary, path)
