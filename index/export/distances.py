"""Causal distance matrices in the two layouts that `index.checks.stored_matrix` reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter

LARGEST_N = 40_000
"""The largest matrix written without being forced: 6.4 GB full and 1.6 GB compressed."""

_BLOCK_ROWS = 512
_PAIRS_PER_BLOCK = 8192
_FLOAT16_PATTERNS = 1 << 16
_FLOAT16_INFINITY = 0x7C00
_SMALLEST = float(np.finfo(np.float16).smallest_subnormal) / 2
_CLOSE = 1e-5
"""Below this share of the squared norms, a squared distance by expansion no longer has the digits of a float32: in
float64 its error is some 1e-13 of them."""


def check_size(N: int, folder: Path, *, force: bool) -> None:
    """Raise ParameterError where the matrix of N tokens is too large for sense, unless forced, or for the disk."""
    size = 4 * N**2 + N * (N - 1)
    distances = f"the distances of {N:,} tokens are {size / 1e9:,.1f} GB"
    if N > LARGEST_N and not force:
        smaller, forced = parameter("sample", LARGEST_N), parameter("force", True)
        raise ParameterError(f"{distances}; pass {smaller} or less, or {forced}")
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(there).free
    if size > free:
        raise ParameterError(
            f"{distances}, but {there} has {free / 1e9:,.1f} GB left; pass a smaller {parameter('sample')}"
        )


def write_distances(bundle: Bundle, rows: np.ndarray, compressed: Path, full: Path, *, seed: int | None) -> None:
    """Write the causal distances between rows, (N,): the upper triangle as float16, `.pt`, and all as float32, `.npy`.

    The seed that the rows were drawn with is written beside them.
    """
    import torch

    resolution = bundle.causal.resolution
    points = bundle.causal.points[rows].astype(np.float64)
    points -= points.mean(axis=0)  # distances stay, rounding shrinks
    N = len(points)
    triangle = np.empty(N * (N - 1) // 2, dtype=np.float16)
    matrix = np.lib.format.open_memmap(full, mode="w+", dtype=np.float32, shape=(N, N))
    written = 0
    for start in range(0, N, _BLOCK_ROWS):
        block = distances_from(points, start, min(start + _BLOCK_ROWS, N))
        matrix[start : start + len(block), start:] = block
        matrix[start:, start : start + len(block)] = block.T
        with np.errstate(over="ignore", under="ignore"):  # refused below
            halves = block.astype(np.float16)
        if (halves[block > resolution] == 0).any():
            raise ParameterError(
                f"some distances are below {_SMALLEST:.2g} logometers, 0 in float16: no matrix was written"
            )
        for row, values in enumerate(halves):
            above = values[row + 1 :]
            triangle[written : written + len(above)] = above
            written += len(above)
    matrix.flush()
    content = {
        "triu_values": torch.from_numpy(triangle),
        "token_indices": torch.from_numpy(bundle.vocabulary.token_ids[rows].astype(np.int64)),
        "N": N,
        "metadata": {
            "model": bundle.manifest.source.location,
            "dtype": "float16",
            "random_seed": seed,
            "distance_stats": _statistics(triangle),
            "metric": bundle.manifest.metric.origin,
        },
    }
    torch.save(content, compressed)


def distances_from(points: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return the distances of points, (N, D) float64, from `start` to `stop` to these and all later ones.

    Exact to float32, (stop - start, N - start) float64; the first columns are a symmetric square with a zero diagonal.
    By expansion |x|^2 + |y|^2 - 2 <x, y>; where that leaves too few digits, from differences.
    """
    block, others = points[start:stop], points[start:]
    squares = np.einsum("ij,ij->i", others, others)
    sums = squares[: len(block), None] + squares
    squared = block @ others.T
    squared *= -2
    squared += sums
    left, right = np.nonzero(squared < _CLOSE * sums)
    for first in range(0, len(left), _PAIRS_PER_BLOCK):
        a, b = left[first : first + _PAIRS_PER_BLOCK], right[first : first + _PAIRS_PER_BLOCK]
        differences = block[a] - others[b]
        squared[a, b] = np.einsum("ij,ij->i", differences, differences)
    distances: np.ndarray = np.sqrt(squared, out=squared)
    own = np.triu(distances[:, : len(block)], k=1)
    distances[:, : len(block)] = own + own.T
    return distances


def _statistics(triangle: np.ndarray) -> dict[str, Any]:
    """Return minimum, maximum, mean, median and standard deviation of float16 values, none of them negative.

    Counted by bit pattern, which for such values stand in the values' order: there are 65,536 patterns and up to
    billions of values.
    """
    counts = np.zeros(_FLOAT16_PATTERNS, dtype=np.int64)
    for start in range(0, len(triangle), 1 << 24):
        counts += np.bincount(triangle[start : start + (1 << 24)].view(np.uint16), minlength=_FLOAT16_PATTERNS)
    if counts[_FLOAT16_INFINITY:].any():
        raise ParameterError("some distances are beyond 65,504 logometers, the largest float16: no matrix was written")
    seen = np.flatnonzero(counts)
    values = seen.astype(np.uint16).view(np.float16).astype(np.float64)
    weights, below = counts[seen], np.cumsum(counts[seen])
    mean = float(np.average(values, weights=weights))
    middle = np.searchsorted(below, [(below[-1] - 1) // 2, below[-1] // 2], side="right")
    return {
        "min": float(values[0]),
        "max": float(values[-1]),
        "mean": mean,
        "median": float(values[middle].mean()),
        "std": float(np.sqrt(np.average((values - mean) ** 2, weights=weights))),
    }
