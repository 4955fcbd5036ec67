"""Causal-cosine points, which no file holds: they are made of causal points as they are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from index.geometry.blocks import Matrix
from index.geometry.maps import turned


class TurnedPoints:
    """The directions of causal points (V, D) from an origin (D,), float32: `index.geometry.maps.turned`.

    A row, some rows or a slice of rows take those rows of the causal points alone.
    """

    def __init__(self, causal: Matrix, origin: np.ndarray) -> None:
        self._causal, self._origin = causal, origin
        self.shape = causal.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        of_rows, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        causal = self._causal[of_rows]
        found = turned(np.atleast_2d(causal), self._origin).reshape(causal.shape)
        found.flags.writeable = False
        part: np.ndarray = found[(*(slice(None),) * (causal.ndim - 1), *rest)]
        return part
