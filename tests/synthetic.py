"""Small vocabularies whose twins and near-twins are known, because they were planted.

bfloat16 throughout, as models are: two rows "a few ulps apart" differ in a few coordinates by the smallest step that
bfloat16 has there. Files are written in the layouts users hold: safetensors, and the notebook's three inputs.
"""

from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

QWEN3_TWINS = (814, 704, 306, 228, 11, 10, 6, 5, 4, 4, 3, 3, 2)


@dataclass(frozen=True, eq=False)
class Planted:
    """A vocabulary with a knot of never-trained tokens.

    gamma : ndarray of shape (V, D), bfloat16
    twins : rows of each twin group
    singles : rows near the twins and equal to no other
    """

    gamma: NDArray
    twins: tuple[tuple[int, ...], ...]
    singles: tuple[int, ...]


def gaussian(V: int, D: int, *, seed: int, largest: float = 2.5e-3, smallest: float = 1e-5) -> NDArray[np.float64]:
    """Rows (V, D) with a full covariance whose eigenvalues fall log-linearly, around a mean that is not zero."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(D, D)))
    scales = np.sqrt(np.geomspace(largest, smallest, D))
    mean = 0.5 * np.sqrt(largest) * rng.normal(size=D)
    return rng.normal(size=(V, D)) * scales @ rotation.T + mean


def nudged(vector: NDArray, ulps: int, rng: np.random.Generator) -> NDArray:
    """The vector (D,) with `ulps` different coordinates moved by one bfloat16 step each."""
    bits = vector.view(np.uint16).copy()
    chosen = rng.choice(len(bits), size=ulps, replace=False)
    bits[chosen] = bits[chosen].astype(np.int32) + rng.choice([-1, 1], size=ulps)
    return bits.view(ml_dtypes.bfloat16)


def planted(
    V: int, D: int, *, seed: int, twin_sizes: tuple[int, ...] = (5, 3, 2), singles: int = 12, norm: float | None = None
) -> Planted:
    """A Gaussian vocabulary, some rows of which are overwritten by a knot of twin groups and singles.

    Every vector of the knot is a common one with one to four coordinates moved by one bfloat16 step; all are distinct.
    """
    rng = np.random.default_rng(seed)
    rows = gaussian(V, D, seed=seed)
    common = rows[0] if norm is None else rows[0] * norm / np.linalg.norm(rows[0])
    center = common.astype(ml_dtypes.bfloat16)
    gamma = rows.astype(ml_dtypes.bfloat16)

    vectors: dict[bytes, NDArray] = {}
    while len(vectors) < len(twin_sizes) + singles:
        vector = nudged(center, int(rng.integers(1, 5)), rng)
        vectors[vector.tobytes()] = vector
    sizes = (*twin_sizes, *([1] * singles))
    free = iter(rng.permutation(V))
    groups: list[tuple[int, ...]] = []
    for vector, size in zip(vectors.values(), sizes, strict=True):
        group = tuple(sorted(int(next(free)) for _ in range(size)))
        gamma[list(group)] = vector
        groups.append(group)
    return Planted(gamma, tuple(groups[: len(twin_sizes)]), tuple(group[0] for group in groups[len(twin_sizes) :]))


def qwen3_like(V: int = 151_936, D: int = 2_560, *, seed: int = 0) -> Planted:
    """A vocabulary of Qwen3-4B's shape: its spectrum, its norms (1.09 +- 0.17), its 13 twin groups and 121 singles.

    The knot's common vector has norm 0.371. The planted rows are 2,221, so V must be larger than that.
    """
    rng = np.random.default_rng(seed)
    model = planted(V, D, seed=seed, twin_sizes=QWEN3_TWINS, singles=121, norm=0.371)
    knot = np.zeros(V, dtype=bool)
    for group in (*model.twins, model.singles):
        knot[list(group)] = True
    ordinary = model.gamma[~knot].astype(np.float32)
    norms = np.clip(rng.normal(1.09, 0.17, size=len(ordinary)), 0.36, 1.6).astype(np.float32)
    ordinary *= (norms / np.linalg.norm(ordinary, axis=1))[:, None]
    model.gamma[~knot] = ordinary.astype(ml_dtypes.bfloat16)
    return model


# --- files -------------------------------------------------------------------------------------------------------


def as_tensor(gamma: NDArray) -> torch.Tensor:
    """The same bits as a torch tensor; bfloat16 has no NumPy dtype that torch takes."""
    if gamma.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(gamma.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(gamma.copy())


def write_model(path: Path, gamma: NDArray) -> Path:
    save_file({"lm_head.weight": as_tensor(gamma)}, path)
    return path


def write_metric(path: Path, M: NDArray) -> Path:
    """A metric tensor `.pt` as `formats.md` lays it out."""
    torch.save({"M": torch.from_numpy(M.astype(np.float32)), "metadata": {"hidden_dim": len(M)}}, path)
    return path


def write_compressed(path: Path, distances: NDArray, token_indices: NDArray) -> Path:
    """A compressed matrix `.pt`: the upper triangle in float16, with the tokens its rows stand for."""
    N = len(distances)
    upper = torch.from_numpy(distances[np.triu_indices(N, 1)].astype(np.float16))
    stored = {
        "triu_values": upper,
        "token_indices": torch.from_numpy(np.asarray(token_indices, dtype=np.int64)),
        "N": N,
    }
    torch.save({**stored, "metadata": {"model": "planted", "dtype": "float16"}}, path)
    return path


def write_distances(folder: Path, name: str, full: NDArray, token_indices: NDArray) -> Path:
    """`NAME_full.npy` (float32) with `NAME.pt` beside it; returns the path of the full one."""
    write_compressed(folder / f"{name}.pt", full, token_indices)
    np.save(folder / f"{name}_full.npy", full.astype(np.float32))
    return folder / f"{name}_full.npy"


def through_float16(distances: NDArray[np.float64]) -> NDArray[np.float32]:
    """What a float16 pipeline leaves of a matrix of distances: the squares rounded first, then their roots."""
    squared = (distances**2).astype(np.float16)
    return np.sqrt(squared.astype(np.float32)).astype(np.float16).astype(np.float32)
