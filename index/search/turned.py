"""Bounds for directions, from what bounds the distances to the points that they are directions of."""

from __future__ import annotations

import numpy as np

from index.search.swept import Bounds, Swept

_U = 2.0**-24


class TurnedBounds:
    """Bounds for directions of points, c = (p + m) / l with l = |p + m|, from the sketch of the points p.

    For a query q of length n, and any t > 0, A = |(p + m) - t q| is the distance from p to t q - m, which the sketch
    bounds. As A^2 = l^2 + t^2 n^2 - 2 t <p + m, q>,

        |c - q|^2 = 1 + n^2 - 2 <p + m, q> / l = (A^2 - (l - t) (l - t n^2)) / (t l).                           (6)

    (6) in float64 is off by 1e-15 of the sum of its terms, for which 1e-12 of them is added, and c is rounded: 2^-24.
    With t q - m close to a query that was just asked of the sketch, that need not be swept again.
    `own` rows have points of another making, and are bounded by 0 and infinity.
    """

    def __init__(self, sketch: Swept, origin: np.ndarray, lengths: np.ndarray, own: np.ndarray) -> None:
        self._sketch, self._origin, self._lengths, self._own = sketch, origin, lengths, own
        self._usual = float(np.median(lengths)) or 1.0

    def bounds(self, query: np.ndarray, rows: np.ndarray | None = None) -> Bounds:
        """Return the bounds for a query, (D,) float64."""
        query = np.asarray(query, np.float64)  # in float32 the terms of (6) would be off by more than is allowed for
        squared_length = float(query @ query)
        t, near = self._scale(query, squared_length)
        lower, upper = self._sketch.bounds(t * query - self._origin, rows, near=near)
        lengths = np.maximum(self._lengths, 1e-300)
        shift, product = (lengths - t) * (lengths - t * squared_length), t * lengths
        terms = lengths**2 + t * t * squared_length + t * lengths * (1 + squared_length)
        with np.errstate(all="ignore"):
            least = np.sqrt(np.maximum((lower**2 - shift - 1e-12 * (terms + lower**2)) / product, 0)) - 2 * _U
            most = np.sqrt(np.maximum((upper**2 - shift + 1e-12 * (terms + upper**2)) / product, 0)) + 2 * _U
        unknown = ~(np.isfinite(least) & np.isfinite(most) & (product > 1e-280))
        unknown[self._own] = True
        least[unknown], most[unknown] = 0, np.inf
        return np.maximum(least, 0), most

    def ask(self, queries: np.ndarray) -> None:
        """Prepare bounds for several queries, (Q, D): those that were not asked for nearby."""
        away = []
        for query in queries.astype(np.float64):
            t, near = self._scale(query, float(query @ query))
            if not near:
                away.append(t * query - self._origin)
        if away:
            self._sketch.ask(np.array(away))

    def _scale(self, query: np.ndarray, squared_length: float) -> tuple[float, float]:
        """Return t, and how near t q - m is to a query that was asked; 0 where none is near."""
        for asked, _, _ in tuple(self._sketch.recent):
            vector = asked.astype(np.float64) + self._origin
            t = float(query @ vector) / squared_length if squared_length else 0.0
            near = 1e-5 * float(np.linalg.norm(vector))
            if t > 0 and np.linalg.norm(t * query - vector) <= near:
                return t, 2 * near
        return self._usual, 0.0
