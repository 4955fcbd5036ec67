"""The columns of `tokens.parquet` that say what training never moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from index.build.rows import Rows
from index.geometry.metric import covariance
from index.measures.untrained import indicators, large_groups, reasons, unused_mean
from index.tokens.classes import TokenClass, token_classes


def census_columns(rows: Rows, reached: list[bool | None]) -> dict[str, Any]:
    """Return `class`, `untrained`, `moved` and the three cosine distances, V values each.

    `reached` says of each token whether its own text becomes it.
    """
    classes = token_classes(rows.vocabulary, reached)
    unused = np.array([not each.occurs for each in classes])
    mean, cov = covariance(rows.gamma)
    component = np.linalg.eigh(cov)[1][:, -1] if np.isfinite(cov).all() else np.zeros(len(mean))
    center = unused_mean(rows.gamma, unused | large_groups(rows.twins), mean)
    found = indicators(rows.gamma, center, mean, component)
    why = reasons(
        orphan=np.array([each is TokenClass.ORPHAN for each in classes]),
        unused=unused,
        special=np.array([each is TokenClass.SPECIAL for each in classes]),
        twins=rows.twins,
        moved=found.moved,
    )
    columns: dict[str, Any] = {
        "class": pa.array([str(each) for each in classes], pa.string()),
        "untrained": pa.array(np.any(list(why.values()), axis=0)),
    }
    measured = {
        "moved": found.moved,
        "unused_cosine": found.cosine,
        "unused_cosine_centered": found.centered,
        "unused_cosine_residual": found.residual,
    }
    return columns | {name: pa.array(values, mask=np.isnan(values)) for name, values in measured.items()}
