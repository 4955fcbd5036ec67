"""Which dots of a chart lie on one spot, so that a label can count them."""

from __future__ import annotations

from collections import Counter

import numpy as np

LEAST_ALONE = 5
"""So many dots on one spot are counted where none of them has a name."""


def spots(x: np.ndarray, y: np.ndarray, reach: tuple[float, float]) -> np.ndarray:
    """Return the spot of each dot, (n,) int64: the place of the first dot that it is drawn over.

    `reach` is how far dots may be from that one, as shares of all that x and y, (n,) each and finite, span.
    """
    scaled = [
        (each - each.min()) / (np.ptp(each) * share or 1.0) for each, share in zip((x, y), reach, strict=True) if len(x)
    ]
    of = np.arange(len(x))
    for place in range(len(x)):
        near = np.all([np.abs(each[:place] - each[place]) <= 1 for each in scaled], axis=0)
        first = np.flatnonzero(near & (of[:place] == np.arange(place)))
        if len(first):
            of[place] = first[0]
    return of


def counted_labels(texts: list[str], of: np.ndarray) -> list[str]:
    """Return the labels of dots, empty ones where there is none, one for each spot: `planet (x 14)` names one of 14.

    That is the first text of the spot; where none has one, the count alone, of `LEAST_ALONE` dots or more.
    """
    counts, labels = Counter(of.tolist()), [""] * len(texts)
    for spot, count in counts.items():
        here = np.flatnonzero(of == spot).tolist()
        at = next((place for place in here if texts[place]), spot)
        if texts[at] or count >= LEAST_ALONE:
            labels[at] = f"{texts[at]} (x {count})".strip() if count > 1 else texts[at]
    return labels
