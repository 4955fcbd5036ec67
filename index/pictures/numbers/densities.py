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
    """The densities of V tokens, and their histogram over B logarithmic bins."""

    geometry: Geometry
    unit: str  # "1/logometers" or "1/chord"
    rule: Rule
    k: int  # neighbors averaged
    values: (
        np.ndarray
    )  # (V,) float64: infinite where all distances are 0, 0 where none is averaged, NaN without a point
    edges: np.ndarray  # (B + 1,) float64: from the least to the greatest that is neither 0 nor infinite; or (0,)
    counts: np.ndarray  # (B,) int64: tokens in each bin
    zero: int  # tokens that are in no bin
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
    """Return the densities of all tokens over k neighbors, at most the K kept.

    It reads the whole graph, so the answer is worth keeping between charts.
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
