"""A vocabulary with the shape and the statistics of a real one, drawn at random: no weights needed.

Like Qwen3-4B-Instruct-2507 (151,936 x 2,560, bf16): a Gaussian whose covariance has eigenvalues that fall log-linearly
from 2.5e-3 to 1e-5, rows scaled to norms of 1.09 +- 0.17, and what makes it hard: 2,100 tokens that share 13 vectors, a
few bf16 steps apart around a common vector of norm 0.371, and 121 single tokens of the same kind.
"""

import numpy as np
import torch

TWIN_GROUPS = (814, 704, 306, 228, 11, 10, 6, 5, 4, 4, 3, 3, 2)
SINGLES = 121


def vocabulary(V: int, D: int, *, seed: int = 0) -> torch.Tensor:
    """Return gamma, (V, D) bfloat16. A smaller V or D keeps the spectrum and the share of twins."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.logspace(np.log10(2.5e-3), -5, D, dtype=torch.float32).sqrt()
    basis = torch.linalg.qr(torch.randn(D, D, generator=generator)).Q
    gamma = torch.empty(V, D, dtype=torch.bfloat16)
    for start in range(0, V, 8192):
        rows = (torch.randn(min(8192, V - start), D, generator=generator) * spread) @ basis
        norms = 1.09 + 0.17 * torch.randn(len(rows), 1, generator=generator).clamp(-4, 4)
        gamma[start : start + len(rows)] = rows / rows.norm(dim=1, keepdim=True) * norms
    share = min(1.0, V / 151_936)
    sizes = [max(2, round(size * share)) for size in TWIN_GROUPS]
    singles = max(1, round(SINGLES * share))
    common = torch.randn(D, generator=generator)
    common = (common / common.norm() * 0.371).bfloat16()
    places = torch.randperm(V, generator=generator)[: sum(sizes) + singles].split([*sizes, *[1] * singles])
    for place in places:
        steps = torch.randint(-2, 3, (D,), generator=generator) * (torch.rand(D, generator=generator) < 0.05)
        gamma[place] = (common.view(torch.int16) + steps.to(torch.int16)).view(torch.bfloat16)
    return gamma


def cosine_points(gamma: torch.Tensor) -> np.ndarray:
    """Return the rows divided by their lengths, float32."""
    points = np.empty(gamma.shape, np.float32)
    for start in range(0, len(gamma), 8192):
        rows = gamma[start : start + 8192].double()
        points[start : start + len(rows)] = (rows / rows.norm(dim=1, keepdim=True)).numpy()
    return points


def causal_points(gamma: torch.Tensor, *, ridge: float = 1e-6) -> np.ndarray:
    """Return the rows times a factor of the inverse covariance, float32."""
    mean = gamma.mean(dim=0, dtype=torch.float64)
    covariance = torch.zeros(gamma.shape[1], gamma.shape[1], dtype=torch.float64)
    for rows in gamma.split(8192):
        covariance += (rows.double() - mean).T @ (rows.double() - mean)
    covariance = covariance / len(gamma) + ridge * torch.eye(gamma.shape[1], dtype=torch.float64)
    factor = torch.linalg.cholesky(torch.linalg.inv(covariance))
    points = np.empty(gamma.shape, np.float32)
    for start in range(0, len(gamma), 8192):
        points[start : start + 8192] = (gamma[start : start + 8192].double() @ factor).numpy()
    return points
