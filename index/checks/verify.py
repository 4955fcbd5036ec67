"""A bundle against itself: every byte of its files, a sample of its graphs in float64, the quadratic form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from index.bundle.bundle import Bundle, Space
from index.bundle.checksums import DAMAGED, file_sha256
from index.bundle.manifest import MANIFEST
from index.checks.crosscheck import QuadraticForm, check_quadratic_form
from index.checks.deep import DeepCheck, deep_check, lists_json
from index.checks.stored_lists import ListCheck, check_list, total
from index.errors import BundleError, ParameterError, parameter
from index.geometry.maps import Geometry, distances_to
from index.measures.pairs import check_pairs

_SEED = 42
_QUERIES_PER_BLOCK = 64

Progress = Callable[[str, float], None]
"""Called with the step in words and the share of it that is done, from 0 to 1."""


@dataclass(frozen=True)
class Verification:
    """What `verify` found; damaged files are no finding but an error."""

    files: int  # checked against their SHA-256
    bytes: int  # of these files
    unlisted: tuple[str, ...]  # names of files in the folder that are none of the bundle's
    graphs: dict[Geometry, ListCheck]  # lists of random tokens, by float64 brute force over points
    quadratic_form: QuadraticForm
    deep: DeepCheck | None  # against gamma itself, where that was asked for
    versions: dict[str, str]  # of what built it

    @property
    def passed(self) -> bool:
        """Whether everything that was checked is right."""
        lists = all(check.passed for check in self.graphs.values())
        return lists and self.quadratic_form.passed and (self.deep is None or self.deep.passed)

    def json(self) -> dict[str, Any]:
        """Return what was found as `verify` prints it."""
        return {
            "passed": self.passed,
            "files": {"checked": self.files, "bytes": self.bytes, "unlisted": list(self.unlisted)},
            "graphs": lists_json(self.graphs),
            "quadratic_form": {"passed": self.quadratic_form.passed, **asdict(self.quadratic_form)},
            "deep": None if self.deep is None else self.deep.json(),
            "versions": self.versions,
        }


def verify(
    bundle: Bundle,
    *,
    rows: int = 100,
    pairs: int = 20_000,
    deep: bool = False,
    deep_rows: int = 1000,
    progress: Progress = lambda step, share: None,
) -> Verification:
    """Check a whole bundle.

    The stored lists of `rows` random tokens are compared with float64 brute force over the points, in every geometry,
    and where `deep` those of `deep_rows` with brute force over gamma itself; the quadratic form over `pairs` random
    pairs, and as many nearest ones.

    Raises
    ------
    BundleError
        When files are damaged; all of them are named.
    ParameterError
        When `rows`, `deep_rows` or `pairs` is out of range.
    """
    check_pairs(pairs)
    for name, number in (("rows", rows), ("deep_rows", deep_rows)):
        if number < 1:
            raise ParameterError(f"{parameter(name)} must be 1 or more, got: {number}")
    _check_files(bundle, progress)
    files = bundle.checksums.files
    present = {path.name for path in bundle.folder.iterdir()}
    sample = _sample(len(bundle), rows)
    graphs = {
        geometry: _check_graph(space, sample, partial(progress, f"{geometry.label} lists"))
        for geometry, space in bundle.spaces.items()
    }
    found = None
    if deep:
        found = deep_check(bundle, _sample(len(bundle), deep_rows), partial(progress, "lists from gamma"))
    return Verification(
        len(files),
        sum(facts.bytes for facts in files.values()),
        tuple(sorted(present - set(files) - {MANIFEST})),
        graphs,
        check_quadratic_form(bundle, pairs),
        found,
        dict(bundle.manifest.versions),
    )


def _sample(V: int, count: int) -> np.ndarray:
    drawn: np.ndarray = np.random.default_rng(_SEED).permutation(V)[: min(count, V)]
    return np.sort(drawn)


def _check_files(bundle: Bundle, progress: Progress) -> None:
    files = bundle.checksums.files
    damaged = []
    for done, (name, facts) in enumerate(files.items(), start=1):
        if file_sha256(bundle.folder / name) != facts.sha256:
            damaged.append(name)
        progress("files", done / len(files))
    if damaged:
        raise BundleError(f"{bundle.folder}: {', '.join(damaged)} not as written: {DAMAGED}")


def _check_graph(space: Space, rows: np.ndarray, progress: Callable[[float], None]) -> ListCheck:
    """Check the stored lists of some rows against float64 brute force over the points."""
    checks = []
    for start in range(0, len(rows), _QUERIES_PER_BLOCK):
        block = rows[start : start + _QUERIES_PER_BLOCK]
        distances = distances_to(space.points, space.points[block].astype(np.float64))
        distances[:, list(space.excluded)] = np.inf
        checks += [_check_row(space, int(row), found) for row, found in zip(block, distances, strict=True)]
        progress((start + len(block)) / len(rows))
    return total(checks, space.resolution)


def _check_row(space: Space, row: int, distances: np.ndarray) -> ListCheck:
    ids = space.ids[row].astype(np.int64)
    exact = distances[ids]
    others = np.where(np.arange(len(distances)) == row, np.inf, distances)
    if row in space.excluded:
        others = np.full_like(others, np.inf)
    order = np.argsort(others, kind="stable")[: len(ids)]
    there = np.isfinite(others[order])
    nearest = np.column_stack([np.where(there, order, -1), others[order]])
    return check_list(ids, space.distances[row], exact, nearest, row, space.resolution)
