"""The columns of `tokens.parquet` that say what training never moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from index.build.rows import Rows
from index.geometry.metric import covariance
from index.measures.untrained import (
    APART,
    Indicators,
    beside,
    find_gap,
    indicators,
    large_groups,
    unused_mean,
)
from index.tokens.classes import TokenClass, token_classes


def census_columns(rows: Rows, reached: list[bool | None]) -> dict[str, Any]:
    """Return `class`, `untrained`, `moved` and the three cosine distances, V values each.

    `reached` says of each token whether its own text becomes it.
    """
    classes = token_classes(rows.vocabulary, reached)
    unused = np.array([not each.occurs for each in classes])
    mean, cov = covariance(rows.gamma)
    component = np.linalg.eigh(cov)[1][:, -1] if np.isfinite(cov).all() else np.zeros(len(mean))
    center = unused_mean(rows.gamma, unused | large_groups(rows.twins))
    found = indicators(rows.gamma, center, mean, component)
    columns: dict[str, Any] = {
        "class": pa.array([str(each) for each in classes], pa.string()),
        "untrained": pa.array(untrained(classes, rows.twins, found)),
    }
    measured = {
        "moved": found.moved,
        "unused_cosine": found.cosine,
        "unused_cosine_centered": found.centered,
        "unused_cosine_residual": found.residual,
    }
    return columns | {name: pa.array(values, mask=np.isnan(values)) for name, values in measured.items()}


def untrained(classes: list[TokenClass], twins: np.ndarray, found: Indicators) -> np.ndarray:
    """Return which of V tokens training never moved, as far as their vectors and texts say.

    Rows without text, and twins in bulk; what cannot occur by its text, unless it stands more than halfway off; and
    what stands beside these. A control token there needs a twin, too: no text of the training holds it, and what is
    trained later on little moves it little.
    """
    special = np.array([each is TokenClass.SPECIAL for each in classes])
    orphan = np.array([each is TokenClass.ORPHAN for each in classes])
    unused = np.array([not each.occurs for each in classes])
    twin = np.bincount(twins, minlength=len(twins))[twins] > 1
    near = beside(found.moved, find_gap(found.moved)) & (twin | ~special)
    proposed: np.ndarray = orphan | large_groups(twins) | (unused & (found.moved < APART)) | near
    return proposed
