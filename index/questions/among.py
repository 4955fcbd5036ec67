"""A part of the vocabulary that a question keeps to: a list of ids, a kind of token, a script."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter

COLUMNS = ("kind", "script")
"""What of `tokens.parquet` a subset can be named by: `kind=word`, `script=Thai,Lao`."""

LISTED_VALUES = 12
MOST_BYTES = 1 << 26
"""Of a text file of ids."""

_AMONG = parameter("among")


@dataclass(frozen=True, eq=False)
class Subset:
    """Some tokens of a bundle."""

    name: str  # as it was asked for: a file, or `kind=word`
    rows: np.ndarray  # (n,) int32, ascending, each once

    def __len__(self) -> int:
        return len(self.rows)


def subset(bundle: Bundle, wanted: str) -> Subset:
    """Return the tokens that `wanted` names; ParameterError for such as are not there.

    `kind=VALUE` or `script=VALUE` (several with commas between), or a file of token ids: text, with spaces or lines
    between them, `.npy`, or the `token_indices` of a `.pt`.
    """
    column, equals, values = wanted.partition("=")
    if equals and column in COLUMNS:
        return Subset(wanted, _rows_where(bundle, column, [value.strip() for value in values.split(",")]))
    return Subset(wanted, _rows_of_ids(bundle, _read_ids(Path(wanted)), wanted))


def ids_subset(bundle: Bundle, ids: Sequence[int]) -> Subset:
    """Return the tokens of these ids; ParameterError for such as are not there, or for none."""
    if not ids:
        raise ParameterError(f"{_AMONG} is empty; wanted token ids")
    wanted = "ids" if len(ids) > 1 else f"#{ids[0]}"
    return Subset(wanted, _rows_of_ids(bundle, np.array(ids, dtype=np.int64), wanted))


def _rows_where(bundle: Bundle, column: str, values: list[str]) -> np.ndarray:
    """Return the rows whose column holds one of the values, upper and lower case alike."""
    table = bundle.columns(column)
    entries = [None if entry is None else str(entry) for entry in table[column].to_pylist()]
    known = {entry.casefold(): entry for entry in entries if entry is not None}
    unknown = [value for value in values if value.casefold() not in known]
    if unknown:
        counts = Counter(entry for entry in entries if entry is not None)
        listed = ", ".join(f"{entry} ({count:,})" for entry, count in counts.most_common(LISTED_VALUES))
        more = f" and {len(counts) - LISTED_VALUES} more" if len(counts) > LISTED_VALUES else ""
        raise ParameterError(f"{_AMONG} {column}={unknown[0]!r:.60}: no token has it; there are {listed}{more}")
    chosen = {known[value.casefold()] for value in values}
    return np.array([row for row, entry in enumerate(entries) if entry in chosen], dtype=np.int32)


def _read_ids(path: Path) -> np.ndarray:
    if path.suffix in (".npy", ".pt") and os.path.isfile(path):
        from index.sources.sample import read_sample

        return read_sample(path, named="among")
    try:
        if path.exists() and not path.is_file():
            raise ParameterError(f"{_AMONG} {path} is no regular file; wanted a list of token ids")
        if path.stat().st_size > MOST_BYTES:
            raise ParameterError(f"{_AMONG} {path} has more than {MOST_BYTES:,} bytes; wanted a list of token ids")
        words = path.read_text(encoding="utf-8-sig").replace(",", " ").split()
    except (OSError, ValueError):
        raise ParameterError(
            f"{_AMONG} {path}: no such file of ids (wanted a text file, a .npy, a .pt, "
            f"or {' or '.join(f'{column}=VALUE' for column in COLUMNS)})"
        ) from None
    wrong = [word for word in words if not word.removeprefix("#").isdecimal() or len(word) > 18]
    if wrong or not words:
        found = f"holds {wrong[0]!r:.60}" if wrong else "is empty"
        raise ParameterError(f"{_AMONG} {path} {found}; wanted token ids with spaces or lines between them")
    return np.array([int(word.removeprefix("#")) for word in words], dtype=np.int64)


def _rows_of_ids(bundle: Bundle, ids: np.ndarray, wanted: str) -> np.ndarray:
    known = bundle.vocabulary.token_ids
    missing = np.setdiff1d(ids, known)
    if len(missing):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ParameterError(
            f"{_AMONG} {wanted} names token {missing[0]}{more}, which {bundle.name} has not: "
            f"its {len(bundle)} ids lie between {known.min()} and {known.max()}"
        )
    return np.flatnonzero(np.isin(known, ids)).astype(np.int32)
