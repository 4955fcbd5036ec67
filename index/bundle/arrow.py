"""Tables in Arrow and Parquet, read and made without pandas, which would take half a second to import.

`pa.array`, `pa.scalar`, `pa.table`, `to_numpy` and `parquet.read_table` import it. Arrow itself is imported where a
table is: help needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from index.measures.density import Rule

if TYPE_CHECKING:
    import pyarrow as pa

COLUMN_TYPES = {
    **dict.fromkeys(("text", "piece", "kind", "script", "class"), "string"),
    **dict.fromkeys(("row", "twin_group", "twin_count"), "int32"),
    **dict.fromkeys(
        ("euclidean_norm", "causal_norm", "hubness", *(f"density_{rule.value}" for rule in Rule)), "double"
    ),
    **dict.fromkeys(("moved", "unused_cosine", "unused_cosine_centered", "unused_cosine_residual"), "double"),
    "token_id": "int64",
    "untrained": "bool",
}
"""Of `tokens.parquet`."""


def read_parquet(source: Path | np.ndarray, columns: Sequence[str] = ()) -> pa.Table:
    """Read a file, or its bytes: some columns of it, or all. OSError or ValueError: it is no whole Parquet of these."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source if isinstance(source, Path) else pa.BufferReader(source.data)) as parquet:
            # Arrow's threads may abort a process that ends soon after (apache/arrow issue 34314).
            table = parquet.read(columns=list(columns) or None, use_threads=False)
        table.validate(full=True)  # Parquet holds texts that are no Unicode, too
    except MemoryError:  # which Arrow's own is, too
        raise
    except (KeyError, pa.ArrowException) as error:
        raise ValueError(str(error)) from error
    return table


def columns_fit(table: pa.Table, wanted: Sequence[str]) -> bool:
    """Whether a table has the wanted columns, and each that is known has its type."""
    kinds = {name: str(kind) for name, kind in zip(table.column_names, table.schema.types, strict=True)}
    return set(wanted) <= set(kinds) and all(COLUMN_TYPES.get(name, kind) == kind for name, kind in kinds.items())


def numbers(column: pa.ChunkedArray[Any]) -> np.ndarray:
    """Return a column of numbers as an array. ValueError: it lacks some."""
    if column.null_count:
        raise ValueError("numbers are missing")
    return np.from_dlpack(column.combine_chunks())


def flags(column: pa.ChunkedArray[Any]) -> np.ndarray:
    """Return a column of bools as an array. ValueError: it lacks some.

    Arrow keeps them as bits, and would load all it computes with, a seventh of the time of a command, to unpack them.
    """
    if column.null_count:
        raise ValueError("numbers are missing")
    held: Any = column.combine_chunks()
    chunks = held.chunks if hasattr(held, "chunks") else [held]
    bits = [np.unpackbits(np.frombuffer(each.buffers()[1], np.uint8), bitorder="little") for each in chunks]
    parts = [part[each.offset : each.offset + len(each)] for part, each in zip(bits, chunks, strict=True)]
    return np.concatenate([np.empty(0, np.uint8), *parts]).astype(bool)


def numbers_or_nan(column: pa.ChunkedArray[Any]) -> np.ndarray:
    """Return a column of float64 as an array, NaN where it has no number."""
    import pyarrow.compute as pc

    filled: Any = pc.fill_null(cast("Any", column), float("nan")) if column.null_count else column
    return numbers(filled)


def arrow_array(values: np.ndarray) -> pa.Array[Any]:
    """Return numbers as an Arrow array that shares their memory."""
    import pyarrow as pa

    held = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(held.dtype), len(held), [None, pa.py_buffer(held.data)])


def columns_table(columns: dict[str, Any]) -> pa.Table:
    """Return columns as a table that shares their memory: arrays of numbers, or any of Arrow's."""
    import pyarrow as pa

    held = [arrow_array(each) if isinstance(each, np.ndarray) else each for each in columns.values()]
    return pa.Table.from_arrays(held, list(columns))
