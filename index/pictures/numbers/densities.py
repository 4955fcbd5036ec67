"""The densities of a whole vocabulary as charts show them: the values, and a histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle
from index.geometry.maps import Geometry
from index.measures import density
from index.measures.density import Rule

DENSITY_BINS = 60


@dataclass(frozen=True, eq=False)
class Densities:
    """The densities of a vocabulary, and their histogram over logarithmic bins.

    Attributes
    ----------
    geometry : Geometry
    unit : str
        "1/logometers" or "1/chord".
    rule : Rule
    k : int
        Neighbors averaged.
    values : ndarray of shape (V,), float64
        By row: 0 where there is nothing to average, infinite where all distances averaged are 0, NaN for a row without
        a point.
    edges : ndarray of shape (B + 1,), float64
        Ascending; the bins span the densities that are neither 0 nor infinite. Empty where there are none.
    counts : ndarray of shape (B,), int64
        Tokens in each bin.
    zero, infinite : int
        Tokens that are in no bin.
    """

    geometry: Geometry
    unit: str
    rule: Rule
    k: int
    values: np.ndarray
    edges: np.ndarray
    counts: np.ndarray
    zero: int
    infinite: int

    def denser_than(self, value: float) -> str:
        """Return the percent of tokens of a lower density than `value`, with digits enough to tell tokens apart.

        Rounded down: of 49,152 tokens one is denser than 99.997 % at most, never than all.
        """
        known = self.values[~np.isnan(self.values)]
        lower, digits = int((known < value).sum()), max(1, len(str(len(known) - 1)) - 2)
        steps = lower * 10 ** (2 + digits) // len(known)
        return f"{steps // 10**digits}.{steps % 10**digits:0{digits}} %"


def all_densities(bundle: Bundle, geometry: Geometry, rule: Rule, k: int) -> Densities:
    """Return the densities of all tokens; a reading of the whole graph, so worth keeping between charts.

    Parameters
    ----------
    bundle : Bundle
    geometry : Geometry
    rule : Rule
    k : int
        Neighbors averaged, at most the K of the bundle.
    """
    space = bundle.spaces[geometry]
    values = density.density(density.mean_distances(space.distances[:, :k], space.distinct_distances[:, :k], rule, k))
    values[list(space.excluded)] = np.nan
    binned = values[np.isfinite(values) & (values > 0)]
    edges = _logarithmic_edges(binned, DENSITY_BINS)
    return Densities(
        geometry,
        f"1/{unit(geometry)}",
        rule,
        k,
        values,
        edges,
        np.histogram(binned, edges)[0] if len(binned) else np.empty(0, np.int64),
        int((values == 0).sum()),
        int(np.isposinf(values).sum()),
    )


def _logarithmic_edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Return the edges of equal bins of log(value), the first and the last at the extremes."""
    if len(values) == 0:
        return np.empty(0)
    low, high = ends(values)
    edges = np.geomspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    return edges


def ends(values: np.ndarray) -> tuple[float, float]:
    """Return the extremes of some numbers from 0 on; where float32 could not tell these apart, half and double them."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if high - low > 1e-9 * high else (low / 2, 2 * high or 1.0)


def unit(geometry: Geometry) -> str:
    """Return the unit of distances in a geometry."""
    return "chord" if geometry.angular else "logometers"
