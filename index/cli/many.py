"""Many tokens at once: read from lines, answered one after another, written out as they are done."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from index.bundle.arrow import records_table
from index.errors import ParameterError, TokenError
from index.files import brief
from index.questions.neighbors import Neighborhood
from index.report import neighborhood_json, neighborhood_records, to_csv

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
    failing = partial(_failing, f"--file {path} cannot be read")
    with ExitStack() as stack:
        with failing():
            if str(path) == "-" and sys.stdin is None:  # as after `<&-`
                raise OSError("standard input is closed")
            file: BinaryIO = sys.stdin.buffer if str(path) == "-" else stack.enter_context(path.open("rb"))

        def read() -> bytes:
            with failing():
                # A device may have no end of line: no more is read than tells that a line is too long.
                return file.readline(LONGEST_LINE + 1)

        yield iter(read, b"")


@contextmanager
def _failing(said: str) -> Iterator[None]:
    """Raise what the system has against the block as a ParameterError; nothing else belongs in it."""
    try:
        yield
    except (OSError, ValueError) as error:  # a path with a zero in it is a ValueError
        raise ParameterError(f"{said}: {brief(error)}") from error


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


def json_lines(found: Iterable[Neighborhood]) -> Iterator[str]:
    """Yield each answer as one line of strict JSON, at once."""
    for each in found:
        yield json.dumps(neighborhood_json(each), allow_nan=False) + "\n"


def csv_lines(found: Iterable[Neighborhood]) -> Iterator[str]:
    """Yield a header, then one line per neighbor and geometry, those of each answer at once."""
    header = to_csv([])
    yield header
    for each in found:
        yield to_csv([each]).removeprefix(header)


def write_parquet(found: Iterable[Neighborhood], path: Path) -> None:
    """Write one row per neighbor and geometry into a Parquet file, some thousand rows at a time.

    Raises
    ------
    ParameterError
        When the file cannot be written.
    """
    failing = partial(_failing, f"--parquet {path} cannot be written")
    with failing():
        writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
    try:
        for table in _tables(found):
            with failing():
                writer.write_table(table)
    finally:
        with failing():
            writer.close()


def _tables(found: Iterable[Neighborhood]) -> Iterator[pa.Table]:
    """Yield the rows of all answers in tables of `ROWS_PER_GROUP` or a few more."""
    pending: list[dict[str, Any]] = []
    for each in found:
        pending += neighborhood_records([each])
        if len(pending) >= ROWS_PER_GROUP:
            yield records_table(pending, SCHEMA)
            pending.clear()
    if pending:
        yield records_table(pending, SCHEMA)
