"""Scores that bound distances: what a fast product in few digits proves about each pair of points.

Every point x belongs to one group, with a center c_a, and the filter holds u = x - c_a rounded to few digits, u'.
For y in a group with center c_b, v = y - c_b, multiplying out gives

    |x - y|^2 = |x - c_b|^2 + |y - c_a|^2 - |c_a - c_b|^2 - 2 <u, v>                                            (1)

so half of it is A(x, b) + A(y, a) - <u, v> with A(x, b) = |x - c_b|^2 / 2 - |c_a - c_b|^2 / 4, and A is computed
once per point and group, in float64. Only <u, v> is computed for every pair, as the score s. Its error has three parts:

    rounding of u and v     <u, v> - <u', v'> = <u', v - v'> + <u - u', v>                                      (2)
    sums in float32         |<u', v'> - sum| <= g |u'| |v'|, g = D e / (1 - D e), e the unit roundoff           (3)
    rounding of the score   |sum - s| <= o |sum|, o = 2^-8 for bfloat16 scores, 0 for others                    (4)

(3) is Higham, Accuracy and Stability of Numerical Algorithms, section 3.1, with any order of summation. By the
Cauchy-Schwarz inequality (2) is at most |u'| |v - v'| + |u - u'| |v|, and |sum| at most (1 + g) |u'| |v'|. So with
n_u = |u| + |u - u'|, and e_u = |u - u'| + (g + o + g o) / 2 n_u, of each point alone,

    |<u, v> - s| <= n_u e_v + e_u n_v.                                                                          (5)

|u - u'| is measured, not assumed. What remains (A rounded to float32, the few float32 operations of the kernels that
apply (5), underflow in the product) is covered by slack that is taken off A for lower bounds and added for upper
bounds. It is 2^-18 of S = |x - c_b|^2 + |c_a - c_b|^2 and the same of y. Every term is at most 3 (S_x + S_y), because
|u|^2 <= 2 S_x and e_u <= |u|, and the kernels take fewer than 10 operations, each of which errs by 2^-24 of its result.

Integers of 8 bits are the fastest digits. There u is rotated first, see `rotation`, and u' is integers times a step of
the point's own, c_u: the longest coordinate is 127 of them. Their products sum up exactly, D 127^2 is below 2^31
(`scores` sees to it), so (3) and (4) vanish, and the score is c_u c_v times the integer that the product gives. No
coordinate is ever cut off, and whatever a point's shape does to its rounding stands in its own e_u.

The error is proportional to |u| |v|, and this is what the groups are for: thousands of near-identical tokens, which
training never moved, are all within the error of each other when u is counted from far away. Counted from a center
among them, u is as small as their distances are, and so is the error, among themselves and as seen from elsewhere.

Positions begin with the shortest points, those nearest to the mean, of all groups: they are near neighbors of most
points, so that a point that has met them has a limit that few others are within. Both parts go by group, and by |u|.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from index.compiled import compiled
from index.search.kernels import REORDER, Bounds, Floats, Ints, squared_distance
from index.search.rotation import ABREAST, ROTATION_ERROR, draw_signs, rotate, rotated_width
from index.search.scores import Arithmetic, Tile

MOST_GROUPS = 16
SAMPLE = 2048  # points among which a dense spot is looked for
DENSE_REACH = 1 / 16  # squared radius of a dense spot, in median squared residuals
DENSE_COUNT = 256  # fewer points than this are no burden
CHUNK_ROWS = 1024
BOUND_ROWS = 16 * CHUNK_ROWS
SLACK = 2.0**-18
ROUNDED_UP = 1.0 + 2.0**-22  # more than rounding to float32 takes off
LEAST_STEP = 1e-37  # of integers; a point that is shorter than this is zero to them
UNDERFLOW = 1e-30  # scaled residuals are at most 1 long, so a product loses at most D * 2^-126 to underflow


@dataclass(frozen=True, eq=False)
class Filter:
    """The distinct points as the product sees them: in groups, in few digits, with bounds of its errors."""

    points: Floats  # (V, D)
    arithmetic: Arithmetic
    bounds: Bounds
    centers: NDArray[np.float64]  # (G, D)
    scale: float  # a power of two that makes every residual at most 1 long
    shortest: int  # so many positions come first, and hold the points nearest to the mean

    def blocks(self, height: int) -> list[slice]:
        """Cut the positions into blocks of one group each, the shortest points apart from the others."""
        return one_group_blocks(self.bounds.group, (0, self.shortest, len(self.bounds.group)), height)

    def residuals(self, start: int, stop: int, pool: ThreadPoolExecutor) -> Tile:
        """Round the residuals of positions start to stop, a row each, bfloat16 as its bits, and write their bounds."""
        rounded: Tile = np.empty((stop - start, self.width), self.arithmetic.bits)  # type: ignore[assignment]

        def work(at: int) -> None:
            end = min(at + CHUNK_ROWS, stop)
            self._round(at, end, rounded[at - start : end - start])

        list(pool.map(work, range(start, stop, CHUNK_ROWS)))
        return rounded

    @property
    def width(self) -> int:
        """Return how many digits stand for a point."""
        return _rounded_width(self.points.shape[1], self.arithmetic)

    def _round(self, start: int, stop: int, rounded: Tile) -> None:
        """Round positions start to stop, and write what that makes of their bounds."""
        space = (self.points, self.centers, self.scale)
        if self.arithmetic.integers:
            _round_rotated(start, stop, *space, draw_signs(self.width), rounded, self.bounds)
        else:
            gamma = self.points.shape[1] * self.arithmetic.unit_roundoff
            sums, o = gamma / (1.0 - gamma), self.arithmetic.output_error
            _round(start, stop, *space, (sums + o + sums * o) / 2.0, rounded, self.bounds)


def one_group_blocks(group: NDArray[np.int32], edges: Sequence[int], height: int) -> list[slice]:
    """Cut positions, of groups (U,), at all edges and into blocks of one group and of `height` at most."""
    changes = np.flatnonzero(np.diff(group[edges[0] : edges[-1]])) + edges[0] + 1
    cuts = np.unique([*edges, *changes]).tolist()
    return [slice(at, min(at + height, stop)) for start, stop in pairwise(cuts) for at in range(start, stop, height)]


def rounded_bytes(D: int, arithmetic: Arithmetic) -> int:
    """Return how many bytes stand for a point of D coordinates."""
    return _rounded_width(D, arithmetic) * np.dtype(arithmetic.bits).itemsize


def _rounded_width(D: int, arithmetic: Arithmetic) -> int:
    return rotated_width(D) if arithmetic.integers else D


def build_filter(
    points: Floats, rows: Ints, arithmetic: Arithmetic, pool: ThreadPoolExecutor, *, shortest: int = 0
) -> Filter:
    """Group the points of the given rows, and say what is left of them after their centers, which is rounded later.

    So many of the shortest come first.
    """
    labels, centers = _groups(points, rows)
    U, G = len(rows), len(centers)
    lengths, to_mean = np.empty(U), np.empty(U)

    def measure(start: int) -> None:
        stop = min(start + BOUND_ROWS, U)
        _measure(start, stop, points, rows, labels, centers, lengths)
        _measure(start, stop, points, rows, np.zeros_like(labels), centers, to_mean)

    list(pool.map(measure, range(0, U, BOUND_ROWS)))
    later = np.ones(U, bool)
    later[np.argsort(to_mean, kind="stable")[:shortest]] = False
    order = np.lexsort((lengths, labels, later))
    rows, group = rows[order], labels[order].astype(np.int32)
    largest = max(float(points.max()), -float(points.min()), 1e-45)
    bounds = Bounds(
        rows=rows,
        group=group,
        low=np.empty((G, U), np.float32),
        high=np.empty((G, U), np.float32),
        norm=np.empty(U, np.float32),
        error=np.empty(U, np.float32),
        step=np.ones(U, np.float32),
        length=np.empty(0, np.float32),
    )
    scale = 2.0 ** -np.ceil(np.log2(2 * largest * np.sqrt(points.shape[1])))
    filtered = Filter(points, arithmetic, bounds, centers, scale, shortest)

    def offset(start: int) -> None:
        _offsets(start, min(start + BOUND_ROWS, U), points, centers, scale, bounds)

    list(pool.map(offset, range(0, U, BOUND_ROWS)))
    return filtered


def _groups(points: Floats, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each row's group, and the centers (G, D): the mean, then dense spots, dense spots within those, ..."""
    group = np.zeros(len(rows), np.int64)
    centers = [points.mean(axis=0, dtype=np.float64).astype(np.float32)]
    unsearched = [0]
    random = np.random.default_rng(0)  # decides speed alone
    while unsearched and len(centers) < MOST_GROUPS:
        searched = unsearched.pop()
        members = np.flatnonzero(group == searched)
        sample = random.choice(rows[members], min(SAMPLE, len(members)), replace=False)
        spot = _dense_spot(points[np.sort(sample)], centers[searched], len(members))
        if spot is None:
            continue
        center, squared_radius = spot
        inside = members[_within(points, rows[members], center, squared_radius)]
        if DENSE_COUNT <= len(inside) < len(members):
            group[inside] = len(centers)
            unsearched += [searched, len(centers)]
            centers.append(center)
    return group, np.array(centers, np.float64)


def _dense_spot(sample: Floats, center: Floats, population: int) -> tuple[Floats, float] | None:
    """Return center and squared radius of the densest spot of a sample, unless it holds few of the population."""
    residuals = sample.astype(np.float64) - center
    squares = np.einsum("ij,ij->i", residuals, residuals)
    squared_radius = float(np.median(squares)) * DENSE_REACH
    largest = np.sqrt(squares.max()) or np.float64(1.0)
    rounded = (residuals / largest).astype(np.float32)  # far finer than a radius, and no product overflows
    near = squares[:, None] + squares - 2.0 * largest**2 * (rounded @ rounded.T) <= squared_radius
    most = near.sum(axis=1).argmax()
    if near[most].sum() * population < DENSE_COUNT * len(sample):
        return None
    return sample[near[most]].mean(axis=0, dtype=np.float64).astype(np.float32), squared_radius


@compiled()
def _within(points, rows, center, squared_radius):
    inside = np.empty(rows.size, np.bool_)
    for n in range(rows.size):
        inside[n] = squared_distance(points[rows[n]], center) <= squared_radius
    return inside


@compiled()
def _measure(start, stop, points, rows, labels, centers, lengths):
    """Write the squared distances of rows[start:stop] from their centers."""
    for n in range(start, stop):
        lengths[n] = squared_distance(points[rows[n]], centers[labels[n]])


@compiled()
def _offsets(start, stop, points, centers, scale, bounds):
    """Write A of (1) of positions start to stop toward every group, less and plus its slack."""
    for p in range(start, stop):
        x, own = points[bounds.rows[p]], centers[bounds.group[p]]
        for g in range(len(centers)):
            to_center = squared_distance(x, centers[g]) * scale * scale
            between = squared_distance(own, centers[g]) * scale * scale
            offset = to_center / 2.0 - between / 4.0
            slack = (to_center + between) * SLACK + UNDERFLOW
            bounds.low[g, p] = offset - slack
            bounds.high[g, p] = offset + slack


@compiled(fastmath=REORDER)
def _round_residual(x, center, scale, rounded):
    """Write scale * (x - center) in the digits of `rounded`; return the squares of its length and of its error."""
    squared_norm = squared_error = 0.0
    for d in range(x.size):
        exact = (np.float64(x[d]) - center[d]) * scale
        if isinstance(rounded[d], np.float32):
            rounded[d] = exact
            kept = np.float64(rounded[d])
        else:
            bits = np.float32(exact).view(np.uint32)
            bits = np.uint32((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))
            if bits & np.uint32(0x7F80) == 0:  # bfloat16 units take subnormal numbers for zero
                bits = np.uint32(0)
            rounded[d] = np.uint16(bits)
            kept = np.float64(np.uint32(bits << np.uint32(16)).view(np.float32))
        squared_norm += exact * exact
        squared_error += (exact - kept) * (exact - kept)
    return squared_norm, squared_error


@compiled()
def _keep_bounds(p, norm, lost, relative, bounds):
    """Write n and e of (5), rounded up: `lost` is |u - u'|, `relative` what (3) and (4) add of the larger length."""
    larger = norm + lost
    bounds.norm[p] = larger * ROUNDED_UP
    bounds.error[p] = (lost + relative * larger) * ROUNDED_UP


@compiled()
def _round(start, stop, points, centers, scale, relative, rounded, bounds):
    """Round positions start to stop to floating point."""
    for p in range(start, stop):
        own = centers[bounds.group[p]]
        squared_norm, squared_error = _round_residual(points[bounds.rows[p]], own, scale, rounded[p - start])
        _keep_bounds(p, np.sqrt(squared_norm), np.sqrt(squared_error), relative, bounds)


@compiled(fastmath=REORDER)
def _round_integers(v, step, rounded):
    """Write v in steps; return the square of the error."""
    squared_error = 0.0
    inverse = np.float32(1.0) / step if step > LEAST_STEP else np.float32(0.0)
    for d in range(v.size):
        kept = np.rint(v[d] * inverse)
        rounded[d] = np.int8(kept)
        lost = np.float64(v[d]) - np.float64(kept) * np.float64(step)
        squared_error += lost * lost
    return squared_error


@compiled()
def _round_rotated(start, stop, points, centers, scale, signs, rounded, bounds):
    """Rotate positions start to stop, and round them to 8-bit integers."""
    D, width = points.shape[1], signs.shape[1]
    abreast, dealt = np.empty((width, ABREAST), np.float32), np.empty((width, ABREAST), np.float32)
    for first in range(start, stop, ABREAST):
        count = min(ABREAST, stop - first)
        abreast[:] = 0.0
        for r in range(count):
            x, own = points[bounds.rows[first + r]], centers[bounds.group[first + r]]
            for d in range(D):
                abreast[d, r] = (np.float64(x[d]) - own[d]) * scale
        rotate(abreast, dealt, signs)
        for r in range(count):
            p = first + r
            v = np.ascontiguousarray(abreast[:, r])
            norm = np.sqrt(squared_distance(points[bounds.rows[p]], centers[bounds.group[p]])) * scale
            step = np.float32(np.abs(v).max() / np.float32(127.0))
            squared_error = _round_integers(v, step, rounded[p - start])
            bounds.step[p] = step
            _keep_bounds(p, norm, np.sqrt(squared_error) + ROTATION_ERROR * norm, 0.0, bounds)
