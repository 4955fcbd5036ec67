"""What to build, and what of it can be refused before any work is done."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.checks.stored_matrix import read_sample
from index.errors import ParameterError, parameter
from index.files import brief

MOST_THREADS = 1024


@dataclass(frozen=True)
class Settings:
    """What to build."""

    source: str | None = None  # a Hub id, model folder or file; None for the bundled model
    tokenizer: str | None = None  # where the texts of a bare matrix come from
    out: Path | None = None  # the bundle's own folder; `data/indexes/NAME` by default
    metric_tensor: Path | None = None  # a given M, instead of the inverse covariance
    ridge: float = 1e-6  # added to the diagonal of Cov(gamma)
    sample: str | None = None  # how many tokens to draw, or a file that lists them
    seed: int = 42  # of the draw
    distances: Path | None = None  # a stored distance matrix to check against
    neighbors: int = 100  # K, kept per token
    density_k: int = 20  # neighbors averaged in a density
    centered: bool = False  # whether causal cosines are taken at the mean row instead of at zero
    index_factories: tuple[str, ...] = ()  # FAISS factory strings of approximate indexes beside the exact ones
    device: str = "auto"  # cpu, cuda, mps, or auto for what is there
    threads: int | None = None  # for everything that runs in parallel; None for all cores
    overwrite: bool = False  # whether to replace a bundle that is there

    def check(self) -> None:
        """Raise ParameterError for what is wrong whatever the source holds."""
        if self.density_k < 1:
            raise ParameterError(f"{parameter('density_k')} must be 1 or more, got: {self.density_k}")
        if self.density_k > self.neighbors:
            raise ParameterError(
                f"{parameter('density_k', self.density_k)} needs as many neighbors, "
                f"but {parameter('neighbors')} is {self.neighbors}"
            )
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise ParameterError(
                f"{parameter('threads')} must be from 1 to {MOST_THREADS}, got: {brief(str(self.threads))}"
            )


def sampled_rows(settings: Settings, V: int) -> np.ndarray | None:
    """Return the rows to index in their order, (N,) of 0 to V - 1; None for all of them.

    Raises
    ------
    ParameterError
        When the sample is no list of different rows of the model.
    """
    if settings.sample is None:
        return None
    if re.fullmatch(r"[+-]?\d+", settings.sample):
        import torch

        n = int(settings.sample[:20])  # more digits are too many tokens, too
        if not 2 <= n <= V:
            raise ParameterError(
                f"--sample must be from 2 to {V}, the tokens of the model, got: {brief(settings.sample)}"
            )
        if not -(1 << 63) <= settings.seed < 1 << 63:
            raise ParameterError(f"--seed must fit into 64 bits, got: {brief(str(settings.seed))}")
        drawn: np.ndarray = torch.randperm(V, generator=torch.Generator().manual_seed(settings.seed))[:n].numpy()
        return drawn
    rows = read_sample(Path(settings.sample))
    outside = rows[(rows < 0) | (rows >= V)]
    if len(outside):
        raise ParameterError(
            f"--sample {settings.sample} names token {outside[0]}, but the model has {V} rows: 0 to {V - 1}"
        )
    if len(np.unique(rows)) < len(rows):
        raise ParameterError(f"--sample {settings.sample} names {len(rows) - len(np.unique(rows))} tokens twice")
    return rows


def chosen_device(wanted: str) -> str:
    """Return the device to multiply on: what was asked for, or for `auto` the fastest there is."""
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, there in available.items() if there)
    if wanted not in available:
        raise ParameterError(f"{parameter('device')} must be auto, cpu, cuda or mps, got: {wanted}")
    if not available[wanted]:
        raise ParameterError(
            f"{parameter('device', wanted)}: there is none on this machine; pass {parameter('device', 'auto')}"
        )
    return wanted
