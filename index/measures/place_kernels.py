"""The loop that counts places, compiled by numba; `places` says what is counted."""

import numpy as np

from index.compiled import compiled


@compiled()
def count(starts, words, weights, of_words, halves, above, below, nearer, reached):
    """Add, for each sum of words, how many points score more than `above`, and how many `below` or more.

    Sums are as in a CSR array; `of_words`, (W, n), are the words' products with n points.
    """
    scores = np.empty(halves.size)
    for q in range(above.size):
        for n in range(scores.size):
            scores[n] = -halves[n]
        for term in range(starts[q], starts[q + 1]):
            weight, products = weights[term], of_words[words[term]]
            for n in range(scores.size):
                scores[n] += weight * products[n]
        highest, lowest, more, enough = above[q], below[q], 0, 0
        for n in range(scores.size):
            more += scores[n] > highest
            enough += scores[n] >= lowest
        nearer[q] += more
        reached[q] += enough
