"""Stored neighbor lists against gamma itself, in float64: nothing here reads a point.

The causal metric is computed again from gamma with another decomposition than the build's, unless M was given or comes
from tokens that the bundle, a sample, does not hold; then the stored M is taken. Distances to all tokens are first
expanded, |x|^2 + |y|^2 - 2 x.y, to choose candidates, and those are measured from differences. Of twins only the first
is measured: a product rounds equal rows differently in different places, and they would not tie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.bundle.bundle import Bundle, Space
from index.checks.stored_lists import ListCheck, check_list, total
from index.geometry.blocks import BLOCK_BYTES, row_blocks
from index.geometry.maps import Geometry
from index.geometry.twins import Groups, twin_groups
from index.progress import Share

SPARE = 33
"""Candidates kept beyond the K of a list: the row itself, and others, because the expansion rounds."""


@dataclass(frozen=True)
class DeepCheck:
    """Neighbors of random tokens in every geometry, against float64 brute force over gamma."""

    lists: dict[Geometry, ListCheck]
    metric_recomputed: bool  # whether M was computed again from gamma
    metric_difference: float  # of M's entries from the stored M's at most, by its largest; 0 for the stored M

    @property
    def passed(self) -> bool:
        """Whether every list passed."""
        return all(check.passed for check in self.lists.values())

    def json(self) -> dict[str, Any]:
        """Return what was found, by the geometries' names."""
        return {
            "passed": self.passed,
            "lists": lists_json(self.lists),
            "metric_recomputed": self.metric_recomputed,
            "metric_difference": self.metric_difference,
        }


def lists_json(lists: Mapping[Geometry, ListCheck]) -> dict[str, Any]:
    """Return checks of lists by the names of their geometries."""
    return {geometry.value: check.json() for geometry, check in lists.items()}


def deep_check(bundle: Bundle, rows: np.ndarray, progress: Share) -> DeepCheck:
    """Check the stored lists of some rows, (Q,); `progress` is called with the share done, from 0 to 1."""
    settings = bundle.manifest.settings
    stored = bundle.metric
    recomputed = settings.metric_tensor is None and settings.sample is None
    mean, M = _metric_of(bundle.gamma.whole, stored.ridge) if recomputed else (stored.mean, stored.matrix)
    difference = float(np.abs(M - stored.matrix).max() / np.abs(stored.matrix).max())
    centered = bundle.causal_cosine.facts.centered
    maps = _Maps(mean, np.linalg.cholesky((M + M.T) / 2), centered)
    twins = Groups(twin_groups(bundle.gamma.whole))
    nearest = _nearest(bundle, maps, rows, twins, progress)
    lists = {
        geometry: _check_lists(bundle, geometry, maps, rows, twins, candidates)
        for geometry, candidates in nearest.items()
    }
    return DeepCheck(lists, recomputed, difference)


def _metric_of(gamma: np.ndarray, ridge: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and M = (Cov(gamma) + ridge I)^-1, by LAPACK's inverse of a symmetric positive matrix."""
    from scipy.linalg import cho_factor, cho_solve

    D = gamma.shape[1]
    mean = sum(block.sum(axis=0) for _, block in row_blocks(gamma)) / len(gamma)
    moment = sum(((block - mean).T @ (block - mean) for _, block in row_blocks(gamma)), np.zeros((D, D)))
    covariance = moment / len(gamma) + (ridge or 0.0) * np.eye(D)
    return np.asarray(mean), np.asarray(cho_solve(cho_factor(covariance), np.eye(D)))


@dataclass(frozen=True, eq=False)
class _Maps:
    """From rows of gamma to float64 vectors whose Euclidean distances are those of a geometry."""

    mean: np.ndarray
    factor: np.ndarray
    centered: bool

    def __call__(self, rows: np.ndarray) -> dict[Geometry, np.ndarray]:
        rows = rows.astype(np.float64)
        causal = self._causal(rows)
        return {
            Geometry.CAUSAL: causal,
            Geometry.COSINE: _unit(rows),
            Geometry.CAUSAL_COSINE: _unit(self._angles(causal)),
        }

    def one(self, geometry: Geometry, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of one geometry."""
        rows = rows.astype(np.float64)
        if geometry is Geometry.COSINE:
            return _unit(rows)
        causal = self._causal(rows)
        return causal if geometry is Geometry.CAUSAL else _unit(self._angles(causal))

    def _causal(self, rows: np.ndarray) -> np.ndarray:
        """Centered first: distances are the same, and the expansion loses fewer digits."""
        causal: np.ndarray = (rows - self.mean) @ self.factor
        return causal

    def _angles(self, causal: np.ndarray) -> np.ndarray:
        return causal if self.centered else causal + self.mean @ self.factor


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def _nearest(
    bundle: Bundle, maps: _Maps, rows: np.ndarray, twins: Groups, progress: Share
) -> dict[Geometry, np.ndarray]:
    """Return candidates for the nearest of each of Q rows, firsts of twins, (Q, K + SPARE) at most, in every geometry.

    A row's own first is among them; -1 stands where there are no more.
    """
    V, keep = len(bundle), bundle.manifest.K + SPARE
    queries = maps(bundle.gamma[rows])
    best = {each: (np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0))) for each in queries}
    for where, block in row_blocks(bundle.gamma):
        ids = np.arange(where.start, where.start + len(block))
        for geometry, mapped in maps(block).items():
            squared = _expanded(queries[geometry], mapped)
            squared[:, np.isin(ids, bundle.spaces[geometry].excluded) | (twins.first[ids] != ids)] = np.inf
            ids_so_far, squared_so_far = best[geometry]
            ids_here = np.concatenate([ids_so_far, np.broadcast_to(ids, squared.shape)], axis=1)
            squared_here = np.concatenate([squared_so_far, squared], axis=1)
            if squared_here.shape[1] > keep:
                chosen = np.argpartition(squared_here, keep - 1, axis=1)[:, :keep]
                ids_here, squared_here = (
                    np.take_along_axis(values, chosen, axis=1) for values in (ids_here, squared_here)
                )
            best[geometry] = ids_here, squared_here
        progress(min(where.stop, V) / V)
    return {geometry: np.where(np.isinf(squared), -1, ids) for geometry, (ids, squared) in best.items()}


def _expanded(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    lengths = np.einsum("ij,ij->i", points, points)
    return np.asarray(np.einsum("ij,ij->i", queries, queries)[:, None] + lengths - 2 * (queries @ points.T))


def _check_lists(
    bundle: Bundle, geometry: Geometry, maps: _Maps, rows: np.ndarray, twins: Groups, candidates: np.ndarray
) -> ListCheck:
    """Measure the candidates of a block of rows together: a product of many rows takes little more than one of few."""
    space, K = bundle.spaces[geometry], bundle.manifest.K
    height = max(1, BLOCK_BYTES // (8 * bundle.manifest.D * (2 * K + SPARE)))

    def checks() -> Iterator[ListCheck]:
        for start in range(0, len(rows), height):
            block, near = rows[start : start + height], candidates[start : start + height]
            ids = space.ids[block].astype(np.int64)
            firsts = np.unique(np.concatenate([twins.first[block], twins.first[ids].ravel(), near[near >= 0]]))
            vectors = maps.one(geometry, bundle.gamma[firsts])
            for row, listed, found in zip(block.tolist(), ids, near, strict=True):
                yield _check_row(space, row, listed, found[found >= 0], _Measured(firsts, vectors, twins), K)

    return total(checks(), space.resolution)


@dataclass(frozen=True, eq=False)
class _Measured:
    """The float64 vectors of some firsts of twins."""

    firsts: np.ndarray  # (n,) ascending
    vectors: np.ndarray  # (n, D)
    twins: Groups

    def from_row(self, row: int, others: np.ndarray) -> np.ndarray:
        """Return the distances from a row to others; twins are measured as their first."""
        own = self.vectors[np.searchsorted(self.firsts, self.twins.first[row])]
        places = np.searchsorted(self.firsts, self.twins.first[others])
        distances: np.ndarray = np.linalg.norm(self.vectors[places] - own, axis=1)
        return distances


def _check_row(space: Space, row: int, ids: np.ndarray, found: np.ndarray, measured: _Measured, K: int) -> ListCheck:
    nearest = np.full((K, 2), (-1, np.inf))
    if row not in space.excluded:
        others = np.concatenate([np.empty(0, np.int64), *map(measured.twins.members, found.tolist())])
        others = others[others != row]
        distances = measured.from_row(row, others)
        order = np.lexsort((others, distances))[:K]
        nearest[: len(order)] = np.column_stack([others[order], distances[order]])
    return check_list(ids, space.distances[row], measured.from_row(row, ids), nearest, row, space.resolution)
