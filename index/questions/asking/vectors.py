"""Vectors that people bring: arrays, or files of them, as float64 rows that a question takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import ParameterError, SourceError, parameter
from index.files import brief
from index.sources.arrays import read_array

LARGEST = 1e30
"""Of an entry: what is longer has distances that float32 does not hold."""
LISTED = 5
_BLOCK_ROWS = 4096

NORM_NAMES = (
    "model.norm.weight",
    "model.language_model.norm.weight",
    "language_model.model.norm.weight",
    "transformer.ln_f.weight",
    "gpt_neox.final_layer_norm.weight",
    "model.decoder.final_layer_norm.weight",
    "model.final_layernorm.weight",
    "backbone.norm_f.weight",
    "norm.weight",
    "ln_f.weight",
    "output_norm.weight",  # in GGUF
)
"""What model families call the weight of their final norm."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """What was given for vectors: a file that is read when it is needed, or an array."""

    name: str  # of the parameter that it was given for
    path: Path | None
    values: np.ndarray | None

    @property
    def where(self) -> str:
        """What messages call it."""
        return parameter(self.name) if self.path is None else f"{parameter(self.name)} {self.path}"

    def array(self, wanted: Sequence[str], axes: Sequence[int]) -> np.ndarray:
        """Return the array; ParameterError for a file that holds none, or several of which none is wanted."""
        if self.path is None or self.values is not None:
            return np.asarray(self.values)
        try:
            return read_array(self.path, wanted, axes=axes)
        except SourceError as error:
            several = f"; name one with {parameter('tensor')}" if "; it holds" in str(error) else ""
            raise ParameterError(f"{parameter(self.name)}: {brief(error)}{several}") from error

    def rows(self, D: int, tensor: str | None) -> np.ndarray:
        """Return the vectors, (Q, D) in their own dtype of floats; one by itself, (D,), is one row."""
        values = self.array([] if tensor is None else [tensor], (1, 2))
        if values.ndim not in (1, 2) or values.shape[-1] != D or 0 in values.shape:
            raise ParameterError(f"{self.where} has shape {values.shape}; wanted (Q, {D}) or ({D},), as rows are wide")
        rows = np.atleast_2d(values)
        self._check(rows)
        return rows

    def norm_weight(self, D: int) -> np.ndarray:
        """Return the weight of a final norm, (D,) float64."""
        values = self.array(NORM_NAMES, (1,))
        if values.shape != (D,):
            raise ParameterError(f"{self.where} has shape {values.shape}; wanted ({D},), the weight of the final norm")
        self._check(values[np.newaxis])
        return values.astype(np.float64)

    def _check(self, rows: np.ndarray) -> None:
        """Raise ParameterError for entries that are no number, or too large."""
        bad: list[int] = []
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = rows[start : start + _BLOCK_ROWS].astype(np.float64)
            with np.errstate(invalid="ignore"):
                bad.extend((start + np.flatnonzero(~(np.abs(block) <= LARGEST).all(axis=1))).tolist())
        if bad:
            listed = ", ".join(map(str, bad[:LISTED])) + (", …" if len(bad) > LISTED else "")
            raise ParameterError(
                f"{self.where}: {len(bad):,} of {len(rows):,} vectors hold NaN, infinity or an entry beyond "
                f"{LARGEST:g}: {listed}"
            )


def given_vectors(name: str, value: Any) -> Vectors:
    """Return what was given for a parameter: a path, or anything that is an array of numbers."""
    if isinstance(value, Vectors):
        return value
    if isinstance(value, str | Path):
        return Vectors(name, Path(value), None)
    try:
        values = np.asarray(value)
        if values.dtype.kind in "iu":
            values = values.astype(np.float64)
        wrong = values.dtype.kind not in "fV"
    except (TypeError, ValueError):
        wrong = True
    if wrong:
        raise ParameterError(f"{parameter(name)} must be numbers, or a file of them, got: {type(value).__name__}")
    return Vectors(name, None, values)
