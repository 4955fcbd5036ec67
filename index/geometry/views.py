"""The geometries with both conventions of an angle: taken at zero, or at the mean row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from index.geometry.maps import Geometry, map_rows
from index.geometry.metric import Metric


class View(NamedTuple):
    """A geometry, and where its angles are taken. A distance does not depend on it."""

    geometry: Geometry
    centered: bool = False

    @property
    def key(self) -> str:
        """The view as a key of JSON."""
        return f"{self.geometry.value}_centered" if self.centered else self.geometry.value

    @property
    def label(self) -> str:
        """The view as a table's row."""
        return f"{self.geometry.label}, centered" if self.centered else self.geometry.label

    def flat(self, rows: np.ndarray, metric: Metric) -> np.ndarray:
        """Map rows of gamma (n, D) without taking their lengths off, float64: sums of weight 1 stay sums."""
        rows = rows.astype(np.float64)
        if self.centered or not self.geometry.angular:
            rows -= metric.mean
        flat: np.ndarray = rows if self.geometry is Geometry.COSINE else rows @ metric.factor
        return flat

    def points(self, rows: np.ndarray, metric: Metric) -> np.ndarray:
        """Map rows of gamma (n, D) to points, float64; a row without direction is zero in the angular views."""
        rows = rows.astype(np.float64)
        if self.centered and self.geometry is Geometry.COSINE:
            rows -= metric.mean
        return map_rows(rows, self.geometry, metric, centered=self.centered, out=np.empty_like(rows))


VIEWS = (
    View(Geometry.CAUSAL),
    View(Geometry.COSINE),
    View(Geometry.CAUSAL_COSINE),
    View(Geometry.COSINE, centered=True),
    View(Geometry.CAUSAL_COSINE, centered=True),
)
