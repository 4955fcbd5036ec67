"""3CosMul: cosines multiplied instead of added, for the tokens nearest to a signed sum.

Levy and Goldberg, "Linguistic Regularities in Sparse and Explicit Word Representations" (CoNLL 2014), equation 4:
cos(x, a) cos(x, c) / (cos(x, b) + e) for a - b + c, each cosine moved to (1 + cos) / 2, their footnote 7, and e of 1e-6
as in gensim. More plus terms multiply into the numerator, more minus terms into the denominator.
"""

from __future__ import annotations

import numpy as np

from index.geometry.blocks import Matrix, row_blocks

EPSILON = 1e-6
COSINE_ERROR = 2.0**-23
"""Two directions in float32 are each off by 2^-24 of themselves, and their cosine by twice that, at most."""


def products(points: Matrix, terms: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of each point (V, D) for terms (T, D) with signs 1 and -1, and how far off it may be.

    All of directions; (V,) float64 both. What is off is what rounding points to float32 does to the score: the sum of
    what it does to each factor.
    """
    scores, off = np.empty(len(points)), np.empty(len(points))
    for where, block in row_blocks(points):
        shifted = (1 + block @ terms.T) / 2
        above, below = shifted[:, signs > 0], shifted[:, signs < 0]
        divisor = below.prod(axis=1) + EPSILON
        scores[where] = above.prod(axis=1) / divisor
        moved = np.zeros(len(block))
        for n in range(above.shape[1]):
            moved += np.delete(above, n, axis=1).prod(axis=1) / divisor
        for n in range(below.shape[1]):
            moved += scores[where] * np.delete(below, n, axis=1).prod(axis=1) / divisor
        off[where] = moved * COSINE_ERROR / 2
    return scores, off
