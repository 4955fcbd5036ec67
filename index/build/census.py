"""The columns of `tokens.parquet` that say what training never moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from index.build.rows import Rows
from index.geometry.metric import covariance
from index.measures.untrained import indicators, large_groups, reasons, unused_mean
from index.tokens.classes import TokenClass, token_classes

MEASURED = ("moved", "unused_cosine", "unused_cosine_centered", "unused_cosine_residual")


def census_columns(rows: Rows, reached: list[bool | None]) -> dict[str, Any]:
    """Return `class`, `untrained`, `moved` and the three cosine distances, V values each.

    `reached` says of each token whether its own text becomes it. Of a control only the classes say anything.
    """
    classes = token_classes(rows.vocabulary, reached)
    named = {"class": pa.array([str(each) for each in classes], pa.string())}
    if rows.control is not None:  # nothing was trained, whatever the texts say
        nothing = {name: pa.nulls(len(classes), pa.float64()) for name in MEASURED}
        return named | {"untrained": pa.array(np.zeros(len(classes), dtype=bool))} | nothing
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
    columns = named | {"untrained": pa.array(np.any(list(why.values()), axis=0))}
    measured = zip(MEASURED, (found.moved, found.cosine, found.centered, found.residual), strict=True)
    return columns | {name: pa.array(values, mask=np.isnan(values)) for name, values in measured}
