"""Rows of answers in a Parquet file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from index.answers.answer import Row

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 50_000
"""After how many rows a file is written on."""


def write_parquet(columns: Mapping[str, type], rows: Iterable[Sequence[Row]], path: Path) -> None:
    """Write rows into a Parquet file as they come, some thousand at a time; OSError when it cannot be written."""
    import pyarrow.parquet as pq

    schema = _schema(columns)
    # Arrow's own files seek, which a pipe does not.
    with path.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(_table(group, columns, schema))


def _schema(columns: Mapping[str, type]) -> pa.Schema:
    import pyarrow as pa

    types: dict[type, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    return pa.schema([pa.field(name, types[kind]) for name, kind in columns.items()])


def _groups(rows: Iterable[Sequence[Row]]) -> Iterator[list[Row]]:
    """Yield all rows, `ROWS_PER_GROUP` or a few more at a time."""
    pending: list[Row] = []
    for each in rows:
        pending += each
        if len(pending) >= ROWS_PER_GROUP:
            yield pending
            pending = []
    if pending:
        yield pending


def _table(rows: list[Row], columns: Mapping[str, type], schema: pa.Schema) -> pa.Table:
    # By way of JSON, because pa.array and pa.table import pandas: half a second.
    import pyarrow.json as pa_json

    texts = [name for name, kind in columns.items() if kind is str]
    for row in rows:  # a column of any values is one of texts
        row |= {name: str(row[name]) for name in texts if row[name] is not None}
    lines = "\n".join(map(json.dumps, rows)).encode()
    return pa_json.read_json(
        BytesIO(lines),
        read_options=pa_json.ReadOptions(block_size=len(lines) + 1),
        parse_options=pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
    )
