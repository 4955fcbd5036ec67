"""The bundled model's points in every geometry by the oracle's arithmetic, made once; and a small model to build."""

from functools import cache
from pathlib import Path

import numpy as np
import oracles
from conftest import build
from models import byte_level_tokenizer, save_tokenizer
from numpy.typing import NDArray

GEOMETRIES = ("causal", "cosine", "causal_cosine")
V, D, ZERO, TWINS = 345, 12, 7, (40, 90)


@cache
def gamma() -> NDArray[np.float32]:
    return oracles.bundled_gamma()


@cache
def metric() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean row and M."""
    mean, cov = oracles.covariance(gamma())
    return mean, oracles.metric(cov, 1e-6)


@cache
def points(geometry: str) -> NDArray[np.float64]:
    """(V, D) float64: Euclidean distance between them is the geometry's distance."""
    if geometry == "cosine":
        return oracles.unit_rows(gamma())
    causal = oracles.causal_points(gamma(), metric()[1])
    return causal if geometry == "causal" else oracles.unit_rows(causal)


@cache
def tolerance(geometry: str) -> float:
    return oracles.rounding_tolerance(points(geometry))


def distances(geometry: str, row: int) -> NDArray[np.float64]:
    """From one row to all, (V,)."""
    return oracles.distances_from(points(geometry), [row])[0]


def small_gamma() -> NDArray[np.float32]:
    """345 rows with a pair of twins and a zero row."""
    rows = np.random.default_rng(11).normal(size=(V, D)).astype(np.float32)
    rows[TWINS[0]] = rows[TWINS[1]]
    rows[ZERO] = 0
    return rows


def paired_gamma() -> NDArray[np.float32]:
    """345 rows, from the 45th on in pairs of twins: an odd number of neighbors often ends between two of them."""
    rows = np.random.default_rng(12).normal(size=(V, D)).astype(np.float32)
    rows[46::2] = rows[45::2][: len(rows[46::2])]
    return rows


def build_small(folder: Path, *options: object, gamma: NDArray[np.float32] | None = None) -> Path:
    """Build `small_gamma`, or another of its size, and return the bundle's folder."""
    np.save(folder / "gamma.npy", small_gamma() if gamma is None else gamma)
    save_tokenizer(folder / "tokenizer", byte_level_tokenizer())
    build(folder / "gamma.npy", "--tokenizer", folder / "tokenizer", "--out", folder / "bundle", *options)
    return folder / "bundle"
