"""What to build, and what of it can be refused before any work is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from index.errors import ParameterError, parameter
from index.files import brief
from index.geometry.controls import ControlKind
from index.sources.load import DEFAULT_CACHE

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
    seed: int = 42  # of the draw, and of a control
    distances: Path | None = None  # a stored distance matrix to check against
    control: str | None = None  # what to index in place of the source's matrix: a `ControlKind`
    neighbors: int = 100  # K, kept per token
    density_k: int = 20  # neighbors averaged in a density
    centered: bool = False  # whether causal cosines are taken at the mean row instead of at zero
    index_factories: tuple[str, ...] = ()  # FAISS factory strings of approximate indexes beside the exact ones
    device: str = "auto"  # cpu, cuda, mps, or auto for what is there
    cache: Path = DEFAULT_CACHE  # where what is fetched of a file on the Hub is kept
    threads: int | None = None  # for everything that runs in parallel; None for all cores
    overwrite: bool = False  # whether to replace a bundle that is there

    @property
    def control_kind(self) -> ControlKind | None:
        """The control asked for; ParameterError where there is none such."""
        try:
            return None if self.control is None else ControlKind(self.control)
        except ValueError:
            known = ", ".join(ControlKind)
            raise ParameterError(
                f"{parameter('control')} must be one of {known}, got: {brief(self.control or repr(''))}"
            ) from None

    def check(self) -> None:
        """Raise ParameterError for what is wrong whatever the source holds."""
        if self.density_k < 1:
            raise ParameterError(f"{parameter('density_k')} must be 1 or more, got: {self.density_k}")
        if self.density_k > self.neighbors:
            raise ParameterError(
                f"{parameter('density_k', self.density_k)} needs as many neighbors, "
                f"but {parameter('neighbors')} is {self.neighbors}"
            )
        if self.control_kind is not None and not 0 <= self.seed < 1 << 63:
            raise ParameterError(
                f"{parameter('seed')} of a control must be from 0 to {(1 << 63) - 1}, got: {brief(str(self.seed))}"
            )
        if self.control_kind is not None and self.distances is not None:
            raise ParameterError(
                f"{parameter('distances')} are of the model's vectors, and {parameter('control')} has others; "
                "leave one out"
            )
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise ParameterError(
                f"{parameter('threads')} must be from 1 to {MOST_THREADS}, got: {brief(str(self.threads))}"
            )


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
