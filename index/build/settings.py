"""What to build, and what of it can be refused before any work is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from index.errors import ParameterError
from index.files import brief

MOST_THREADS = 1024


@dataclass(frozen=True)
class Settings:
    """What to build.

    Attributes
    ----------
    source : str or None
        A Hub id, model folder or file; None for the bundled model.
    tokenizer : str or None
        Where the texts of a bare matrix come from.
    out : Path or None
        The bundle's own folder; `data/indexes/NAME` by default.
    metric_tensor : Path or None
        A given M, instead of the inverse covariance.
    ridge : float
        Added to the diagonal of Cov(gamma).
    sample : str or None
        How many tokens to draw, or a file that lists them.
    seed : int
        Of the draw.
    distances : Path or None
        A stored distance matrix to check against.
    neighbors : int
        K, the neighbors kept per token.
    density_k : int
        Neighbors averaged in a density.
    centered : bool
        Whether causal cosines are taken at the mean row instead of at zero.
    index_factories : tuple of str
        FAISS factory strings of approximate indexes to build beside the exact ones.
    device : str
        cpu, cuda, mps, or auto for what is there.
    threads : int or None
        For everything that runs in parallel; None for all cores.
    overwrite : bool
        Whether to replace a bundle that is there.
    """

    source: str | None = None
    tokenizer: str | None = None
    out: Path | None = None
    metric_tensor: Path | None = None
    ridge: float = 1e-6
    sample: str | None = None
    seed: int = 42
    distances: Path | None = None
    neighbors: int = 100
    density_k: int = 20
    centered: bool = False
    index_factories: tuple[str, ...] = ()
    device: str = "auto"
    threads: int | None = None
    overwrite: bool = False

    def check(self) -> None:
        """Raise ParameterError for what is wrong whatever the source holds."""
        if self.density_k < 1:
            raise ParameterError(f"--density-k must be 1 or more, got: {self.density_k}")
        if self.density_k > self.neighbors:
            raise ParameterError(
                f"--density-k {self.density_k} needs as many neighbors, but --neighbors is {self.neighbors}"
            )
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise ParameterError(f"--threads must be from 1 to {MOST_THREADS}, got: {brief(str(self.threads))}")


def chosen_device(wanted: str) -> str:
    """Return the device to multiply on: what was asked for, or for `auto` the fastest there is."""
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, there in available.items() if there)
    if wanted not in available:
        raise ParameterError(f"--device must be auto, cpu, cuda or mps, got: {wanted}")
    if not available[wanted]:
        raise ParameterError(f"--device {wanted}: there is none on this machine; pass --device auto")
    return wanted
