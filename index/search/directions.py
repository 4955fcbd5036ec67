"""Bounds for directions, from the scores of the points that they are directions of: one product for two graphs.

A point x, with X = x + m of length l_x, has the direction X / l_x, which float32 holds to within 2^-24. For two,

    l_x l_y |X/l_x - Y/l_y|^2 / 2 = h - (l_x - l_y)^2 / 2,    h = |x - y|^2 / 2,                                (7)

and (1) to (5) of `filter` bound h. So half the squared distance of two directions is at most z only if the lower bound
of h less (l_x - l_y)^2 / 2 is at most z l_x l_y. What rounding adds is covered by slack, with L the longest length and
r = |x - c_b| + |c_a - c_b| of x, r of y likewise, so that |x - y| <= r_x + r_y:

    directions that are rounded     move their distance t by 2^-23, and as t^2 l_x l_y <= |x - y|^2, (7) by no more
                                    than 2^-23 t l_x l_y + 2^-47 l_x l_y <= 2^-23 L (r_x + r_y) + 2^-47 L^2
    lengths that are rounded        move l_x - l_y by 2^-23 L, and as |l_x - l_y| <= |x - y|, its half square by no
                                    more than 2^-23 L (r_x + r_y) + 2^-47 L^2
    z l_x l_y, and its inverse      are off by 2^-22 of themselves: where it matters, of no more than |x - y|^2
    few operations in float32       err by 2^-24 of h, and of (l_x - l_y)^2 / 2, which is no more

The slack of a point is 2^-21 L r + 2^-19 r^2 + 2^-45 L^2, twice what these are. Where some points are far nearer to the
origin than others, or all are far from it beside what they are from each other, it would leave all pairs to measure.
"""

import numpy as np

from index.search.filter import Filter
from index.search.kernels import Bounds, Doubles

SHORTEST, LONGEST = 2.0**-16, 2.0**8
"""The shortest length beside the longest, and the longest of points whose coordinates are 1 / (2 sqrt(D)) at most."""


def telling(lengths: Doubles) -> bool:
    """Return whether slack leaves few pairs of directions; lengths are scaled, as a filter's points are."""
    longest = float(lengths.max())
    return 0.0 < longest <= LONGEST and float(lengths.min()) >= SHORTEST * longest


def turned_bounds(filtered: Filter, lengths: Doubles) -> Bounds:
    """Return the bounds of directions, of a filter's points less some origin; `lengths`, (U,), are theirs from it."""
    bounds, centers, scale = filtered.bounds, filtered.centers, filtered.scale
    scaled = lengths * scale
    longest = float(scaled.max())
    low, high = np.empty_like(bounds.low), np.empty_like(bounds.high)
    for group, center in enumerate(centers):
        apart = centers - center
        between = (np.einsum("ij,ij->i", apart, apart) * scale * scale)[bounds.group]
        offset = bounds.high[group].astype(np.float64)  # of (1), and its slack
        reach = np.sqrt(np.maximum(2 * offset + between / 2, 0)) + np.sqrt(between)
        slack = 2.0**-21 * longest * reach + 2.0**-19 * reach**2 + 2.0**-45 * longest**2
        low[group], high[group] = bounds.low[group] - slack, bounds.high[group] + slack
    return bounds._replace(low=low, high=high, length=scaled.astype(np.float32))
