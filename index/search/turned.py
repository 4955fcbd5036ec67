"""Bounds for directions, from what bounds the distances to the points that they are directions of."""

from __future__ import annotations

import numpy as np

from index.search.swept import Bounds, Swept

_U = 2.0**-24
_BLOCK = 1 << 12
"""Numbers whose intermediate ones stay in the processor's cache."""


class TurnedBounds:
    """Bounds for directions of points, c = (p + m) / l with l = |p + m|, from the sketch of the points p.

    For a query q of length n, and any t > 0, A = |(p + m) - t q| is the distance from p to t q - m, which the sketch
    bounds. As A^2 = l^2 + t^2 n^2 - 2 t <p + m, q>,

        |c - q|^2 = 1 + n^2 - 2 <p + m, q> / l = (A^2 - (l - t) (l - t n^2)) / (t l).                           (6)

    (6) in float64 is off by 1e-15 of the sum of its terms, for which 1e-12 of them is added, and c is rounded: 2^-24.
    With t q - m close to a query that was just asked of the sketch, that need not be swept again.
    `own` rows have points of another making, and are bounded by 0 and infinity.
    """

    def __init__(self, swept: Swept, origin: np.ndarray, lengths: np.ndarray, own: np.ndarray) -> None:
        self._swept, self._origin, self._own = swept, origin, own
        self._lengths = np.maximum(lengths, 1e-300)
        # About the median, which any t may be; np.median loads NumPy's masked arrays.
        self._usual = float(np.partition(lengths, len(lengths) // 2)[len(lengths) // 2]) or 1.0

    def bounds(self, query: np.ndarray, rows: np.ndarray | None = None) -> Bounds:
        """Return the bounds for a query, (D,) float64; with `rows`, (n,) ascending, of those alone, in their order."""
        query = np.asarray(query, np.float64)  # in float32 the terms of (6) would be off by more than is allowed for
        t, near = self._scale(query, float(query @ query))
        lower, upper = self._swept.bounds(t * query - self._origin, rows, near=near)
        lengths = self._lengths if rows is None else self._lengths[rows]
        own = self._own if rows is None else np.flatnonzero(np.isin(rows, self._own))
        squared_length = float(query @ query)
        if self.quick:
            from index.search.code_kernels import turn

            turn(t, squared_length, lengths, lower, upper)
        else:
            for start in range(0, len(lengths), _BLOCK):
                where = slice(start, start + _BLOCK)
                lower[where], upper[where] = _turn(t, squared_length, lower[where], upper[where], lengths[where])
        lower[own], upper[own] = 0, np.inf
        return lower, upper

    def ask(self, queries: np.ndarray) -> None:
        """Prepare bounds for several queries, (Q, D): those that were not asked for nearby."""
        away = []
        for query in queries.astype(np.float64):
            t, near = self._scale(query, float(query @ query))
            if not near:
                away.append(t * query - self._origin)
        if away:
            self._swept.ask(np.array(away))

    @property
    def quick(self) -> bool:
        """Whether what sweeps the points is."""
        return self._swept.quick

    def _scale(self, query: np.ndarray, squared_length: float) -> tuple[float, float]:
        """Return t, and how near t q - m is to a query that was asked; 0 where none is near."""
        for asked, _, _ in tuple(self._swept.recent):
            vector = asked.astype(np.float64) + self._origin
            t = float(query @ vector) / squared_length if squared_length else 0.0
            near = 1e-5 * float(np.linalg.norm(vector))
            if t > 0 and np.linalg.norm(t * query - vector) <= near:
                return t, 2 * near
        return self._usual, 0.0


def _turn(t: float, squared_length: float, lower: np.ndarray, upper: np.ndarray, lengths: np.ndarray) -> Bounds:
    """Return (6) of bounds of A, as `code_kernels.turn` does."""
    with np.errstate(all="ignore"):
        shift, product = (lengths - t) * (lengths - t * squared_length), t * lengths
        terms = lengths**2 + t * t * squared_length + product * (1 + squared_length)
        least = np.sqrt(np.maximum((lower**2 - shift - 1e-12 * (terms + lower**2)) / product, 0)) - 2 * _U
        most = np.sqrt(np.maximum((upper**2 - shift + 1e-12 * (terms + upper**2)) / product, 0)) + 2 * _U
    open_ones = ~(np.isfinite(least) & np.isfinite(most) & (product > 1e-280))
    least[open_ones], most[open_ones] = 0, np.inf
    return np.maximum(least, 0), most
