"""The geometries as maps of rows, after which plain Euclidean distance is the metric; and that distance."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import numpy as np

from index.geometry.blocks import Matrix, row_blocks, row_slices
from index.geometry.metric import Metric

Number = TypeVar("Number", float, np.ndarray)

_CACHE_ELEMENTS = 1 << 16
"""Elements of a float64 block: 512 KB, so that it and what is made of it stay in the processor's cache."""
_FEW_ELEMENTS = 1 << 20
_FEW_CACHE_ELEMENTS = 1 << 14
"""Of a block of so few in all: more memory than this the system takes back after each call, and clears for the next."""
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
        block += metric.mean_point
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

    The angle is taken at zero, or where `centered` at the mean row. Points are those that `turned` makes of causal
    points, which are float32 whatever `out` is; where these are off by more than rounding the direction itself
    would be, they are that. A row that has no direction becomes zero.
    """
    points = np.empty(gamma.shape, dtype=np.float32) if out is None else out
    origin = angle_origin(metric, centered=centered)
    for where in row_slices(gamma.shape):
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is off
            made = turned(causal_points(gamma[where], metric), origin)
        exact = own_directions(gamma[where], metric, centered=centered)
        points[where] = np.where(turned_off(made, exact)[:, np.newaxis], exact, made)
    return points


def angle_origin(metric: Metric, *, centered: bool) -> np.ndarray:
    """Return mean @ L, (D,): what a causal point lacks to gamma @ L, which angles are taken of; 0 where `centered`."""
    return np.zeros_like(metric.mean) if centered else metric.mean_point


def turned(points: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return the directions (p + origin) / |p + origin| of causal points p, (n, D) float32, rounded once.

    How far off they are. p is off by at most 2^-24 |p| (`resolution`), and so is u = p + origin. Of any two vectors,
    |u/|u| - v/|v||^2 |u| |v| = |u - v|^2 - (|u| - |v|)^2, so directions are off by 2^-24 |p| / |u| and, rounded
    themselves, by 2^-24 more, at the worst; usually by half of that. A bundle makes of causal points only those
    directions that were found to be off by no more than 2^-24 (`turned_off`), and stores the others: so all are as
    close as points of length 1 that were rounded once, and `resolution(1)` holds for them.
    """
    directions = np.empty(points.shape, np.float32)
    for where, block in row_blocks(points):
        block += origin
        directions[where] = _directions(block)
    return directions


def turned_off(directions: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return which directions, (n, D), are further than 2^-24 from the exact ones, float64: (n,)."""
    off: np.ndarray = ~(np.linalg.norm(directions - exact, axis=1) <= 2.0**-24)
    return off


def turned_lengths(points: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return |p + origin| of causal points p, (n,) float64."""
    lengths = np.empty(len(points))
    for where, block in row_blocks(points):
        block += origin
        lengths[where] = np.linalg.norm(block, axis=1)
    return lengths


def own_directions(gamma: np.ndarray, metric: Metric, *, centered: bool) -> np.ndarray:
    """Return the directions of gamma @ L, (n, D) float64, from the rows themselves; zero of a row without one."""
    rows = gamma.astype(np.float64)
    if centered:
        rows -= metric.mean
    return _directions(rows @ metric.factor)


def _directions(rows: np.ndarray) -> np.ndarray:
    """Return the directions of rows, (n, D) float64, in their place."""
    room = np.abs(rows)
    largest = room.max(axis=1, keepdims=True)
    rows /= np.where(largest > 0, largest, 1)  # so that squares neither overflow nor vanish
    lengths = np.sqrt(np.square(rows, out=room).sum(axis=1, keepdims=True))
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


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
    elements = _FEW_CACHE_ELEMENTS if count * D <= _FEW_ELEMENTS else _CACHE_ELEMENTS
    height = max(1, min(count, elements // D))
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
