"""The bundle behind the pages: opened again when another takes its place, with what all pages share computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar, cast

import numpy as np

from index.answers.answer import Answer
from index.bundle.bundle import Bundle, open_bundle
from index.bundle.manifest import MANIFEST
from index.errors import BundleError
from index.files import brief
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.pictures.explore.colorings import Coloring, colorings, named_rows
from index.pictures.explore.jobs import Job, Jobs
from index.pictures.explore.map import VocabularyMap, make_map, read_map
from index.pictures.explore.suggest import Suggestions
from index.pictures.numbers.densities import Densities, all_densities
from index.pictures.numbers.vocabulary_series import overlap_census
from index.progress import Progress
from index.questions.asking.among import Subset
from index.questions.asking.question import Question
from index.questions.densest import Densest, densest
from index.questions.findings.findings import Findings, findings
from index.questions.lists.agreement import unsuspected
from index.questions.neighbors import Neighborhood
from index.questions.overlap.overlap import OverlapCensus

ABOUT = ("kind", "script", "reachable", "euclidean_norm", "causal_norm")
"""Columns of `tokens.parquet` that the page of a token shows."""

FINDINGS, WHOLE = Question(findings), {"quick": False}
ALL_FINDINGS = "all findings"
"""They are kept as long as the program runs, however many other answers are asked for."""

Made = TypeVar("Made")
Identity = tuple[int, int, int]


class OpenedBundle:
    """One opened bundle, and what is computed from the whole of it: each once, when first asked for.

    Threads may share it: two that ask for the same wait for one computation.
    """

    def __init__(self, vocabulary: Bundle, map_path: Path) -> None:
        self.vocabulary = vocabulary
        self._jobs = Jobs()
        self._map_path = map_path
        self._made: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, RLock] = {}
        self._lock = RLock()

    @property
    def suggestions(self) -> Suggestions:
        """The texts of all tokens, ready to be searched."""
        return self._once("suggestions", lambda: Suggestions(self.vocabulary.vocabulary))

    @property
    def densest(self) -> Densest:
        """The densest token, with the winner under each rule."""
        return self._once("densest", lambda: densest(self.vocabulary, top=1))

    @property
    def findings(self) -> Findings:
        """What one would quote of the vocabulary: without what takes long, until `findings_job` has answered."""
        whole: Findings | None = self._made.get(ALL_FINDINGS) or self._jobs.answer(_key(FINDINGS, WHOLE))
        if whole is None:
            return self._once("quick findings", lambda: findings(self.vocabulary, quick=True))
        there = whole
        return self._once(ALL_FINDINGS, lambda: there)

    @property
    def map(self) -> VocabularyMap | None:
        """The map of this bundle, None where none was made."""
        return self._once("map", lambda: read_map(self._map_path, self.vocabulary))

    @property
    def colorings(self) -> dict[str, Coloring]:
        """What the dots of the map can be colored by."""
        kept = {} if self.map is None else self.map.kept
        return self._once("colorings", lambda: colorings(self.vocabulary, kept))

    @property
    def named_rows(self) -> np.ndarray:
        """The rows in the order in which the map names them: words first, as they were merged, the untrained never."""
        return self._once("named rows", lambda: named_rows(self.vocabulary))

    @property
    def unsuspected(self) -> Subset:
        """The tokens that are neither untrained nor hubs."""
        return self._once("unsuspected", lambda: unsuspected(self.vocabulary))

    def densities(self, found: Neighborhood) -> Densities:
        """Return all densities, of an answer's first geometry and k, by the rule that orders every token."""
        geometry = next(iter(found.lists))
        key = ("densities", geometry, found.density_k)
        return self._once(key, lambda: all_densities(self.vocabulary, geometry, Rule.DISTINCT, found.density_k))

    def overlap(self, geometries: tuple[Geometry, Geometry]) -> OverlapCensus | None:
        """Return how far two geometries agree over the vocabulary; None where no token has neighbors in both."""
        return self._once(("overlap", geometries), lambda: overlap_census(self.vocabulary, geometries))

    def about(self, row: int) -> dict[str, Any]:
        """Return what `tokens.parquet` says of a token, by the names of `ABOUT`; older bundles lack some."""
        table = self._once("about", lambda: self.vocabulary.columns(*ABOUT))
        return {name: table[name][row].as_py() for name in table.column_names}

    def job(self, question: Question[Any, Any], given: Mapping[str, Any], patience: float) -> Job:
        """Return the answer to a question that takes long, or how far it is after some seconds."""

        def ask(progress: Progress) -> Answer:
            answer: Answer = question(self.vocabulary, **given, progress=progress)
            return answer

        return self._jobs.get(_key(question, given), ask, patience)

    def findings_job(self, patience: float) -> Job:
        """Return the job of all findings, done or not after some seconds: that of the question with `quick` false."""
        return self.job(FINDINGS, WHOLE, patience)

    def map_job(self, patience: float) -> Job:
        """Return the job that lays out the maps, done or not after some seconds.

        ParameterError where they cannot be laid out, or kept.
        """

        def make(progress: Progress) -> None:
            make_map(self.vocabulary, self._map_path, progress)
            with self._lock:  # what was read without a map is read again
                self._made.pop("map", None)
                self._made.pop("colorings", None)

        return self._jobs.get("map", make, patience)

    def _once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        with self._lock:
            lock = self._locks.setdefault(key, RLock())
        with lock:
            if key not in self._made:
                self._made[key] = make()
            return cast(Made, self._made[key])


def _key(question: Question[Any, Any], given: Mapping[str, Any]) -> Hashable:
    return (question.name, tuple(sorted((name, str(value)) for name, value in given.items())))


class WatchedBundle:
    """The bundle in a folder, whichever it is at the moment, and the map of it that may be in a file."""

    def __init__(self, folder: Path, map_path: Path) -> None:
        self.folder, self.map_path = folder, map_path
        self._lock = RLock()
        self._identity: Identity | None = None
        self._opened: OpenedBundle | None = None

    def current(self) -> OpenedBundle:
        """Return the opened bundle, another one where its manifest is no longer the same file.

        BundleError when there is none, or the one that is there cannot be opened.
        """
        with self._lock:
            identity = self._manifest_identity()
            if self._opened is None or identity != self._identity:
                self._opened = None
                self._opened = OpenedBundle(open_bundle(self.folder), self.map_path)
                self._identity = identity
            return self._opened

    def _manifest_identity(self) -> Identity:
        path = self.folder / MANIFEST
        try:
            found = path.stat()
        except FileNotFoundError:
            raise BundleError(
                f"no bundle in {self.folder}: it has no {MANIFEST}; build one with build_index.py"
            ) from None
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {brief(error)}") from error
        return found.st_ino, found.st_mtime_ns, found.st_size
