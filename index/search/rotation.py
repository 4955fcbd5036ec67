"""A fixed rotation after which the coordinates of a vector are of like size, whatever they were.

Rounding a vector to 8-bit integers by one step for all its coordinates loses as much as the largest of them is longer
than the others. An orthogonal map changes no inner product, and one that mixes every coordinate into every other makes
them all much alike: signs drawn once, and a Hadamard transform, as in Ailon and Chazelle, The Fast
Johnson-Lindenstrauss Transform. Here it is two rounds of transforms of 64 coordinates each; what one transform of the
first round has mixed is dealt out to different ones of the second, so any width that is a multiple of 64 will do.
"""

import numpy as np

from index.compiled import compiled
from index.search.kernels import Floats

MIXED = 64  # coordinates that one transform mixes
ROTATION_ERROR = 2.0**-20
"""Of a vector's length, how far rounding moves it: once to float32, and 12 layers of additions, each by 2^-24 of it."""
ABREAST = 16  # vectors rotated at once, one in each lane of the processor's registers


def rotated_width(D: int) -> int:
    """Return how many coordinates a vector of D has once it is rotated: it is filled up with zeros before."""
    return -(-D // MIXED) * MIXED


def draw_signs(width: int) -> Floats:
    """Return the signs of both rounds, (2, width)."""
    return np.random.default_rng(0).choice(np.array([-1, 1], np.float32), (2, width))


@compiled()
def _transform(v):
    """Transform along the first axis of v, (64, n): each column becomes 8 times as long."""
    half = 1
    while half < MIXED:
        for start in range(0, MIXED, 2 * half):
            for i in range(start, start + half):
                near, far = v[i], v[i + half]
                for n in range(near.size):
                    a, b = near[n], far[n]
                    near[n] = a + b
                    far[n] = a - b
        half *= 2


@compiled()
def rotate(v, dealt, signs):
    """Rotate the columns of v, (width, ABREAST), in place; `dealt` is room for as many. Dividing by 64 is exact."""
    width = len(v)
    blocks = width // MIXED
    for d in range(width):
        for r in range(ABREAST):
            v[d, r] *= signs[0, d]
    _transform(v.reshape(MIXED, blocks * ABREAST))
    for i in range(MIXED):
        for b in range(blocks):
            for r in range(ABREAST):
                dealt[b * MIXED + i, r] = v[i * blocks + b, r] * signs[1, b * MIXED + i]
    _transform(dealt.reshape(MIXED, blocks * ABREAST))
    for d in range(width):
        for r in range(ABREAST):
            v[d, r] = dealt[d, r] * np.float32(1.0 / MIXED)
