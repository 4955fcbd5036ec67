"""Scores that bound distances: what a fast product in few digits proves about each pair of points.

Every point x belongs to one group, with a center c_a, and the filter holds u = x - c_a rounded to few digits, u'.
For y in a group with center c_b, v = y - c_b, multiplying out gives

    |x - y|^2 = |x - c_b|^2 + |y - c_a|^2 - |c_a - c_b|^2 - 2 <u, v>                                            (1)

so half of it is A(x, b) + A(y, a) - <u, v> with A(x, b) = |x - c_b|^2 / 2 - |c_a - c_b|^2 / 4, and A is computed
once per point and group, in float64. Only <u, v> is computed for every pair, as the score s. Its error has three parts:

    rounding of u and v     |<u, v> - <u', v'>| <= |u| |v| ((1 + r_u) (1 + r_v) - 1), r_u = |u - u'| / |u|      (2)
    sums in float32         |<u', v'> - sum| <= g |u'| |v'|, g = D e / (1 - D e), e the unit roundoff           (3)
    rounding of the score   |sum - s| <= o |s|, o = 2^-8 for bfloat16 scores, 0 for float32                     (4)

(2) is the Cauchy-Schwarz inequality, (3) Higham, Accuracy and Stability of Numerical Algorithms, section 3.1, with
any order of summation. With w_u = (1 + r_u) sqrt(1 + g), (2) and (3) add up to at most |u| |v| (w_u w_v - 1), and

    |<u, v> - s| <= |u| |v| (w_u w_v - 1) + o |s|.                                                              (5)

r_u is measured, not assumed. What remains (A rounded to float32, the few float32 operations of the kernels that apply
(5), underflow in the product) is covered by slack that is taken off A for lower bounds and added for upper bounds: the
kernels take fewer than 10 operations on terms that are each at most |x - c_b|^2 + |c_a - c_b|^2 + the same of y.

The error is proportional to |u| |v|, and this is what the groups are for: thousands of near-identical tokens, which
training never moved, are all within the error of each other when u is counted from far away. Counted from a center
among them, u is as small as their distances are, and so is the error, among themselves and as seen from elsewhere.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.search.compiled import compiled
from index.search.kernels import REORDER, Bounds, Floats, as_float, squared_distance
from index.search.scores import Arithmetic, Tile

MOST_GROUPS = 16
SAMPLE = 2048  # points among which a dense spot is looked for
DENSE_REACH = 1 / 16  # squared radius of a dense spot, in median squared residuals
DENSE_COUNT = 256  # fewer points than this are no burden
CHUNK_ROWS = 1024
BOUND_ROWS = 16 * CHUNK_ROWS
SLACK = 2.0**-18
UNDERFLOW = 1e-30  # scaled residuals are at most 1 long, so a product loses at most D * 2^-126 to underflow


@dataclass(frozen=True, eq=False)
class Filter:
    """The distinct points as the product sees them: in groups, in few digits, with bounds of its errors."""

    points: Floats  # (V, D)
    arithmetic: Arithmetic
    bounds: Bounds
    centers: NDArray[np.float64]  # (G, D)
    scale: float  # a power of two that makes every residual at most 1 long
    group_starts: NDArray[np.int64]  # (G + 1,) positions of group g are group_starts[g] to group_starts[g + 1]

    def blocks(self, height: int) -> list[slice]:
        """Cut the positions into blocks of one group each."""
        edges = zip(self.group_starts[:-1].tolist(), self.group_starts[1:].tolist(), strict=True)
        return [slice(at, min(at + height, stop)) for start, stop in edges for at in range(start, stop, height)]

    def residuals(self, start: int, stop: int, pool: ThreadPoolExecutor) -> Tile:
        """Return the rounded residuals of positions start to stop, (stop - start, D); bfloat16 as its bits."""
        shape = (stop - start, self.points.shape[1])
        rounded: Tile = np.empty(shape, self.arithmetic.bits)  # type: ignore[assignment] # either type of Tile

        def work(at: int) -> None:
            end = min(at + CHUNK_ROWS, stop)
            self._recenter(at, end, rounded[at - start : end - start])

        list(pool.map(work, range(start, stop, CHUNK_ROWS)))
        return rounded

    def _recenter(self, start: int, stop: int, rounded: Tile) -> None:
        gamma = self.points.shape[1] * self.arithmetic.unit_roundoff
        sums = 1.0 + gamma / (1.0 - gamma)
        _recenter(start, stop, self.points, self.centers, self.scale, sums, rounded, self.bounds)


def build_filter(points: Floats, rows: NDArray[np.int64], arithmetic: Arithmetic, pool: ThreadPoolExecutor) -> Filter:
    """Group the points of the given rows, and bound what rounding does to what is left after their centers."""
    labels, centers = _groups(points, rows)
    order = np.argsort(labels, kind="stable")
    rows, group = rows[order], labels[order].astype(np.int32)
    U, D, G = len(rows), points.shape[1], len(centers)
    largest = max(float(points.max()), -float(points.min()), 1e-45)
    bounds = Bounds(
        rows=rows,
        group=group,
        low=np.empty((G, U), np.float32),
        high=np.empty((G, U), np.float32),
        norm=np.empty(U, np.float32),
        weight=np.empty(U, np.float32),
        output_error=np.float32(arithmetic.output_error),
    )
    scale = 2.0 ** -np.ceil(np.log2(2 * largest * np.sqrt(D)))
    filtered = Filter(points, arithmetic, bounds, centers, scale, np.searchsorted(group, np.arange(G + 1)))
    for start in range(0, U, BOUND_ROWS):  # fills the bounds; the residuals are rounded again when they are wanted
        filtered.residuals(start, min(start + BOUND_ROWS, U), pool)
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
    near = squares[:, None] + squares - 2.0 * (residuals @ residuals.T) <= squared_radius
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
def _recenter(start, stop, points, centers, scale, sums, rounded, bounds):
    """Fill rounded[0], ... and the bounds of positions start to stop; `sums` is 1 + g of (3)."""
    for p in range(start, stop):
        x = points[bounds.rows[p]]
        own = centers[bounds.group[p]]
        squared_norm, squared_error = _round_residual(x, own, scale, rounded[p - start])
        norm = np.sqrt(squared_norm)
        relative_error = np.sqrt(squared_error) / norm if norm > 0.0 else 0.0
        bounds.norm[p] = norm * (1.0 + 2.0**-22)
        bounds.weight[p] = (1.0 + relative_error) * np.sqrt(sums) * (1.0 + 2.0**-22)
        for g in range(len(centers)):
            to_center = squared_distance(x, centers[g]) * scale * scale
            between = squared_distance(own, centers[g]) * scale * scale
            offset = to_center / 2.0 - between / 4.0
            slack = (to_center + between) * SLACK + UNDERFLOW
            bounds.low[g, p] = offset - slack
            bounds.high[g, p] = offset + slack


@compiled(fastmath=REORDER)
def _score(residual, v):
    total = np.float32(0.0)
    for d in range(v.size):
        total += as_float(residual[d]) * v[d]
    return total


@compiled()
def bound_query(start, stop, g, v, squared_norm, residuals, bounds, lower, upper):
    """Bound half the squared distances of a query from positions start to stop, all of group g.

    v is the query's residual from that group's center, in float32; it is of no group, so only u is rounded coarsely.
    """
    norm = np.sqrt(squared_norm)
    weight = 1.0 + v.size * 2.0**-23
    half = squared_norm / 2.0
    slack = squared_norm * SLACK + UNDERFLOW
    for p in range(start, stop):
        score = _score(residuals[p], v)
        error = np.float64(bounds.norm[p]) * norm * (bounds.weight[p] * weight - 1.0) + slack
        lower[p] = bounds.low[g, p] + half - score - error
        upper[p] = bounds.high[g, p] + half - score + error
