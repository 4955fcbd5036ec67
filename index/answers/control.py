"""What every answer about a control says in every form: that it is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from index.geometry.controls import ControlKind
from index.tokens.display import display

COLUMN = "control"
"""In CSV and Parquet files and DataFrames; there only where a bundle is a control."""


@dataclass(frozen=True)
class Control:
    """Points that stand where a model's vectors would."""

    kind: ControlKind
    seed: int
    source: str  # where the model is, as it was named
    sha256: str  # of the model's numbers

    @property
    def short(self) -> str:
        """The control in a few words, for a column."""
        return f"{self.kind.value}, seed {self.seed}"

    @property
    def sentence(self) -> str:
        """What it is, and what its texts are worth."""
        return (
            f"A control, no model: {self.kind.words} {display(self.source)} ({self.short}). "
            "Its texts are labels, no more: they were dealt out to these points."
        )

    def json(self) -> dict[str, Any]:
        """Return the control as JSON has it."""
        return {"kind": self.kind.value, "seed": self.seed, "source": self.source, "sha256": self.sha256}
