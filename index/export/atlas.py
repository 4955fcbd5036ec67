"""The vocabulary as a map, for embedding-atlas."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from index.bundle.arrow import arrow_array
from index.bundle.bundle import Bundle, Space
from index.export.graph import Graph
from index.export.layout import lay_out, require_layout

MAP_NEIGHBORS = 15
"""embedding-atlas's own default, the token itself counted."""


def write_atlas(bundle: Bundle, space: Space, graph: Graph, path: Path) -> None:
    """Write every column of `tokens.parquet`, `projection_x`, `projection_y`, and `neighbors` {"ids", "distances"}."""
    require_layout("export atlas")
    projection = lay_out(bundle, space)
    table = bundle.tokens
    texts = pc.if_else(pc.is_valid(table["text"]), table["text"], "")
    table = table.set_column(table.column_names.index("text"), "text", texts)
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):  # an infinite density would break the bins of a histogram
            finite = pc.if_else(pc.is_finite(table[field.name]), table[field.name], None)
            table = table.set_column(place, field.name, finite)
    for axis, name in enumerate(("projection_x", "projection_y")):
        column = arrow_array(projection[:, axis])
        table = table.append_column(name, pc.if_else(pc.is_nan(column), None, column))
    pq.write_table(table.append_column("neighbors", _neighbors(graph)), path)


def _neighbors(graph: Graph) -> pa.StructArray:
    """Return {"ids", "distances"} for each row.

    embedding-atlas stacks the lists into a matrix, so a row without a point has one too: itself, which it drops.
    """
    V, k = graph.ids.shape
    alone = ~graph.has_point[:, None]
    ids = np.where(alone, np.arange(V, dtype=np.int32)[:, None], graph.ids)
    distances = np.where(alone, np.float32(0), graph.distances)
    offsets = cast("pa.Int32Array", arrow_array(np.arange(0, (V + 1) * k, k, dtype=np.int32)))
    lists: list[pa.Array[Any]] = [
        pa.ListArray.from_arrays(offsets, arrow_array(values.ravel())) for values in (ids, distances)
    ]
    return pa.StructArray.from_arrays(lists, ["ids", "distances"])
