"""The geometries as maps of rows, after which plain Euclidean distance is the metric; and that distance."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import numpy as np

from index.geometry.blocks import Matrix, row_blocks
from index.geometry.metric import Metric

Number = TypeVar("Number", float, np.ndarray)

_CACHE_ELEMENTS = 1 << 18
"""Elements of a float64 block: 2 MB, so that it stays in the processor's cache."""
_PAIRS_PER_BLOCK = 1024


class Geometry(StrEnum):
    """What nearness means."""

    CAUSAL = "causal"
    COSINE = "cosine"
    CAUSAL_COSINE = "causal_cosine"

    @property
    def angular(self) -> bool:
        """Whether points are directions: distances are chords |x - y|, which say the similarity, too."""
        return self is not Geometry.CAUSAL

    @property
    def label(self) -> str:
        """The geometry as a column's name and as a command line spells it."""
        return self.value.replace("_", "-")

    @property
    def words(self) -> str:
        """The geometry in words."""
        if self is Geometry.CAUSAL:
            return "the causal metric"
        return "cosine similarity" if self is Geometry.COSINE else "causal cosine"


def map_rows(
    rows: np.ndarray, geometry: Geometry, metric: Metric, *, centered: bool = False, out: np.ndarray | None = None
) -> np.ndarray:
    """Map rows of gamma (V, D) to the points of a geometry; `centered` is of causal cosines alone.

    Causal points are those of rows less the mean row, so that any row mapped here lies where the stored ones do.
    Points are float32, rounded once, unless `out` is something else.
    """
    if geometry is Geometry.CAUSAL:
        return causal_points(rows, metric, out=out)
    if geometry is Geometry.COSINE:
        return cosine_points(rows, out=out)
    return causal_cosine_points(rows, metric, centered=centered, out=out)


def causal_points(gamma: np.ndarray, metric: Metric, *, out: np.ndarray | None = None) -> np.ndarray:
    """Map rows (V, D) so that Euclidean distance is causal distance, in logometers: (gamma - mean) @ L.

    Multiplied in float64 and rounded once. The mean changes no distance, and off it, points are shorter and round less.
    """
    points = np.empty(gamma.shape, dtype=np.float32) if out is None else out
    for where, block in row_blocks(gamma):
        block -= metric.mean
        points[where] = block @ metric.factor
    return points


def uncentered_norms(points: Matrix, gamma: Matrix, metric: Metric) -> np.ndarray:
    """Return the causal norm of each row of gamma (V, D), not of its point, which is that of the row less the mean.

    In logometers, float64 of shape (V,); a row of zeros has 0.
    """
    lengths = np.empty(len(points))
    for where, block in row_blocks(points):
        block += metric.mean @ metric.factor
        lengths[where] = np.where(gamma[where].any(axis=1), np.linalg.norm(block, axis=1), 0)
    return lengths


def cosine_points(gamma: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Map rows (V, D) so that their inner product is cosine similarity: gamma / |gamma|, uncentered.

    Normalized in float64 and rounded once. A zero row has no direction and stays zero: find it with `zero_rows` and
    leave it out of searches.
    """
    points = np.empty(gamma.shape, dtype=np.float32) if out is None else out
    for where, block in row_blocks(gamma):
        points[where] = _directions(block)
    return points


def causal_cosine_points(
    gamma: np.ndarray, metric: Metric, *, centered: bool = False, out: np.ndarray | None = None
) -> np.ndarray:
    """Map rows (V, D) so that their inner product is the cosine of their angle in the causal metric.

    The angle is taken at zero, or where `centered` at the mean row. Rows of gamma @ L become 1 long, rounded once; a
    row that has no direction becomes zero.
    """
    points = np.empty(gamma.shape, dtype=np.float32) if out is None else out
    for where, block in row_blocks(gamma):
        if centered:
            block -= metric.mean
        points[where] = _directions(block @ metric.factor)
    return points


def _directions(rows: np.ndarray) -> np.ndarray:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest > 0, largest, 1)  # so that squares neither overflow nor vanish
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: np.ndarray = rows / np.where(lengths > 0, lengths, 1)
    return directions


def zero_rows(points: np.ndarray) -> np.ndarray:
    """Return the rows of `points` (V, D) that are zero in every entry, ascending."""
    return np.flatnonzero(~points.any(axis=1))


def norms(rows: np.ndarray) -> np.ndarray:
    """Return the Euclidean norm of each row of (V, D), float64 of shape (V,)."""
    lengths = np.empty(len(rows))
    for where, block in row_blocks(rows):
        lengths[where] = np.linalg.norm(block, axis=1)
    return lengths


def resolution(largest_norm: float) -> float:
    """Return how far apart two distances of a space must be for their order to be certain, in the space's unit.

    A coordinate rounded to float32 moves by at most 2^-24 of itself, so a point x by 2^-24 |x| and a distance by
    2^-24 (|x| + |y|) <= 2^-23 R, with R the largest norm among the points. Two distances are in certain order when they
    differ by more than twice that: 2^-22 R. It bounds the error of each distance, and that of their difference.
    """
    return float(2.0**-22 * largest_norm)


def similarity_of(chord: Number) -> Number:
    """Return the cosine of the angle between two directions that are a chord apart: |x - y|^2 = 2 - 2 cos."""
    return 1 - chord**2 / 2


def chord_of(similarity: float) -> float:
    """Return how far apart two directions are whose angle has this cosine: sqrt(2 - 2 cos)."""
    return float(np.sqrt(2 - 2 * similarity))


def row_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of each row of x (n, D) from that of y, (n, D) or (D,): float64, of differences."""
    differences = x.astype(np.float64) - y
    distances: np.ndarray = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return distances


def pair_distances(points: Matrix, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of each pair of rows (a[i], b[i]), float64 of shape (n,)."""
    distances = np.empty(len(a))
    for start in range(0, len(a), _PAIRS_PER_BLOCK):
        where = slice(start, start + _PAIRS_PER_BLOCK)
        distances[where] = row_distances(points[a[where]], points[b[where]])
    return distances


def distances_to(points: Matrix, queries: np.ndarray, *, rows: np.ndarray | None = None) -> np.ndarray:
    """Return the Euclidean distances from queries (Q, D) to points (V, D): (Q, V) float64, each point read once.

    With `rows`, (n,), only to those points, in this order: (Q, n).
    """
    count, D = len(points) if rows is None else len(rows), points.shape[1]
    height = max(1, _CACHE_ELEMENTS // D)
    distances = np.empty((len(queries), count))
    block, differences = np.empty((height, D)), np.empty((height, D))
    for start in range(0, count, height):
        where = slice(start, min(start + height, count))
        here, gaps = block[: where.stop - start], differences[: where.stop - start]
        np.copyto(here, points[where] if rows is None else points[rows[where]])
        for query, found in zip(queries, distances, strict=True):
            np.subtract(here, query, out=gaps)
            np.einsum("ij,ij->i", gaps, gaps, out=found[where])
    return np.sqrt(distances, out=distances)
