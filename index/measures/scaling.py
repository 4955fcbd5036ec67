"""Local scaling: how near two tokens are, measured by how near each is to others, which hubs are to everybody.

Both scalings take squared distances |x - y|^2 between points, in every geometry. Of directions that is twice one less
the cosine, so there they are what they are of cosines.

CSLS of Conneau, Lample, Ranzato, Denoyer and Jégou, "Word Translation Without Parallel Data" (ICLR 2018), equation 3:
2 cos(x, y) - r(x) - r(y), where r(x) is the mean cosine of x to its k nearest. With one minus half the squared distance
in place of the cosine that is (m(x) + m(y)) / 2 - |x - y|^2, where m(x) is the mean of the squared distances of x to
its k nearest. They map one language to another; here both sides are one vocabulary, and a token is left out of its own.

Mutual proximity of Schnitzer, Flexer, Schedl and Widmer, "Local and Global Scaling Reduce Hubs in Space" (JMLR 13,
2012), section 3.2: the probability that a random token is further from x than y is, and one further from y than x is.
Here in the form for independent distances, each normal with the mean and the variance of all squared distances from
that token: P(X > d) P(Y > d). Means and variances are of all other tokens, not of a sample.
"""

from __future__ import annotations

import numpy as np

from index.geometry.blocks import row_slices

CSLS_NEIGHBORS = 10
"""How many nearest the mean similarity of CSLS is of, in its paper."""

LEAST_SPREAD = 1e-12
"""A variance below so much of the squared mean is rounding: all other tokens are as far away."""


def moments(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the squared distances from each point to all other tokens, (U,) each.

    Points are (U, D), and `weights`, (U,), how many tokens stand at each: of a point the others there are at 0. With
    x and y less the mean point, |x - y|^2 = |x|^2 - 2 x.y + |y|^2, so both come of sums over y of products of y alone.
    The deviation is infinite where all others are as far away.
    """
    V = float(weights.sum())
    center = weights @ points.astype(np.float64) / V
    D = points.shape[1]
    second, third = np.zeros((D, D)), np.zeros(D)  # sums of y y^T, and of |y|^2 y
    lengths = np.empty(len(points))  # |y|^2
    for where in row_slices(points.shape):
        block = points[where].astype(np.float64) - center
        lengths[where] = np.einsum("ij,ij->i", block, block)
        weighted = block * weights[where, None]
        second += weighted.T @ block
        third += lengths[where] @ weighted
    first, fourth = float(weights @ lengths), float(weights @ lengths**2)
    mean, squares = np.empty(len(points)), np.empty(len(points))
    for where in row_slices(points.shape):
        block, own = points[where].astype(np.float64) - center, lengths[where]
        spread = np.einsum("ij,ij->i", block @ second, block)
        mean[where] = V * own + first
        squares[where] = V * own**2 + fourth + 4 * spread + 2 * own * first - 4 * (block @ third)
    mean /= V - 1
    variance = squares / (V - 1) - mean**2
    deviation = np.sqrt(np.maximum(variance, 0))
    deviation[variance <= LEAST_SPREAD * mean**2] = np.inf
    return mean, deviation


def farness(z: np.ndarray) -> np.ndarray:
    """Return -log P(Z > z) of a standard normal Z: 0 where nothing is nearer, more the farther."""
    from scipy.special import log_ndtr

    far: np.ndarray = -log_ndtr(-z)
    return far


def as_far(farness: np.ndarray) -> np.ndarray:
    """Return z whose `farness` is this, a little more rather than less."""
    from scipy.special import ndtri_exp

    z = -ndtri_exp(-np.asarray(farness, np.float64))
    widened: np.ndarray = np.maximum(z + 1e-6 * (1 + np.abs(z)), -37.0)  # beyond that, all farness is 0
    return widened
