"""A bundle against itself: every byte of its files, a sample of its graphs in float64, the quadratic form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from index.bundle.bundle import Bundle, Geometry, Space
from index.bundle.checksums import DAMAGED, file_sha256
from index.bundle.manifest import MANIFEST
from index.checks.crosscheck import QuadraticForm, check_pairs, check_quadratic_form
from index.checks.deep import DeepCheck, deep_check
from index.checks.stored_lists import ListCheck, check_list, total
from index.errors import BundleError, ParameterError
from index.search.search import distances_to

_SEED = 42
_QUERIES_PER_BLOCK = 64

Progress = Callable[[str, float], None]
"""Called with the step in words and the share of it that is done, from 0 to 1."""


@dataclass(frozen=True)
class Verification:
    """What `verify` found; damaged files are no finding but an error.

    Attributes
    ----------
    files, bytes : int
        Checked against their SHA-256.
    unlisted : tuple of str
        Files in the folder that are none of the bundle's.
    graphs : dict of Geometry to ListCheck
        Stored lists of random tokens against float64 brute force over the points.
    quadratic_form : QuadraticForm
    deep : DeepCheck or None
        Against gamma itself, where that was asked for.
    versions : dict of str to str
        What built it.
    """

    files: int
    bytes: int
    unlisted: tuple[str, ...]
    graphs: dict[Geometry, ListCheck]
    quadratic_form: QuadraticForm
    deep: DeepCheck | None
    versions: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether everything that was checked is right."""
        lists = all(check.passed for check in self.graphs.values())
        return lists and self.quadratic_form.passed and (self.deep is None or self.deep.passed)


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

    Parameters
    ----------
    bundle : Bundle
    rows : int
        Random tokens whose stored lists are compared with float64 brute force over the points, in every geometry.
    pairs : int
        Random pairs, and nearest pairs, for the quadratic form.
    deep : bool
        Also compare with float64 brute force over gamma itself.
    deep_rows : int
        Random tokens for that.
    progress : callable, optional

    Raises
    ------
    BundleError
        When files are damaged; all of them are named.
    ParameterError
        When `rows`, `deep_rows` or `pairs` is out of range.
    """
    check_pairs(pairs)
    for option, number in (("--rows", rows), ("--deep-rows", deep_rows)):
        if number < 1:
            raise ParameterError(f"{option} must be 1 or more, got: {number}")
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
