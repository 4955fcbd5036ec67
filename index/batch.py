"""Many tokens at once: read from lines, answered one after another, written out as they are done."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.json as pa_json
import pyarrow.parquet as pq

from index.errors import ParameterError, TokenError
from index.files import brief
from index.questions import Neighborhood
from index.report import NEIGHBOR_COLUMNS, neighborhood_json, neighborhood_records

LONGEST_LINE = 1 << 20
ROWS_PER_GROUP = 50_000
"""After how many rows a Parquet file is written on."""

_TYPES: list[tuple[str, pa.DataType]] = [
    ("token_id", pa.int64()),
    ("token", pa.string()),
    ("geometry", pa.string()),
    ("rank", pa.int64()),
    ("row", pa.int64()),
    ("id", pa.int64()),
    ("text", pa.string()),
    ("similarity", pa.float64()),
    ("distance", pa.float64()),
    ("tied", pa.bool_()),
]
SCHEMA = pa.schema(_TYPES)
"""The types of `report.NEIGHBOR_COLUMNS`."""


def numbered_tokens(lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yield what stands on each line, without its end, and the line's number from 1; empty lines are passed over.

    Spaces count: ` planet` and `planet` are different tokens. What is no UTF-8 becomes a text that no token has.
    """
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise ParameterError(f"line {number} has more than {LONGEST_LINE:,} bytes, wanted one token on each line")
        text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="surrogateescape").removesuffix("\n")
        if token := text.removesuffix("\r"):
            yield number, token


@contextmanager
def open_lines(path: Path) -> Iterator[Iterator[bytes]]:
    """Open a file of tokens, `-` for standard input, and give its lines; ParameterError when it cannot be read."""
    with ExitStack() as stack:
        try:
            file = sys.stdin.buffer if str(path) == "-" else stack.enter_context(path.open("rb"))
            # A device may have no end of line: no more is read than tells that a line is too long.
            yield iter(partial(file.readline, LONGEST_LINE + 1), b"")
        except (OSError, ValueError) as error:  # a path with a zero in it is a ValueError
            raise ParameterError(f"--file {path} cannot be read: {brief(error)}") from error


def answers(
    tokens: Iterable[tuple[int, str]],
    ask: Callable[[str], Neighborhood],
    refuse: Callable[[int, TokenError], None],
) -> Iterator[Neighborhood]:
    """Yield the answer for each token as soon as it is known.

    Parameters
    ----------
    tokens : iterable of (line number, token)
    ask : callable
        `questions.neighbors` with everything but the token settled.
    refuse : callable
        Told the line number and what is wrong where a token does not resolve; the others are answered.
    """
    for number, token in tokens:
        try:
            answer = ask(token)
        except TokenError as error:
            refuse(number, error)
        else:
            yield answer


def write_json_lines(found: Iterable[Neighborhood], out: TextIO) -> None:
    """Write each answer as one line of strict JSON, at once."""
    for each in found:
        out.write(json.dumps(neighborhood_json(each), allow_nan=False) + "\n")
        out.flush()


def write_csv(found: Iterable[Neighborhood], out: TextIO) -> None:
    """Write one line per neighbor and geometry, under one header, at once."""
    writer = csv.DictWriter(out, fieldnames=NEIGHBOR_COLUMNS, lineterminator="\n")
    writer.writeheader()
    out.flush()
    for each in found:
        writer.writerows(neighborhood_records([each]))
        out.flush()


def write_parquet(found: Iterable[Neighborhood], path: Path) -> None:
    """Write one row per neighbor and geometry into a Parquet file, some thousand rows at a time.

    Raises
    ------
    ParameterError
        When the file cannot be written.
    """
    pending: list[dict[str, Any]] = []
    try:
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            for each in found:
                pending += neighborhood_records([each])
                if len(pending) >= ROWS_PER_GROUP:
                    writer.write_table(_table(pending))
                    pending.clear()
            if pending:
                writer.write_table(_table(pending))
    except OSError as error:
        raise ParameterError(f"--parquet {path} cannot be written: {brief(error)}") from error


def _table(records: list[dict[str, Any]]) -> pa.Table:
    # By way of JSON, because pa.array and pa.table import pandas: half a second.
    lines = "\n".join(map(json.dumps, records)).encode()
    return pa_json.read_json(
        BytesIO(lines),
        read_options=pa_json.ReadOptions(block_size=len(lines) + 1),
        parse_options=pa_json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="error"),
    )
