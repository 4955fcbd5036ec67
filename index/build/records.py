"""Records of arrays in files that processes hand each other: each written once, as a whole, with a checksum."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
from safetensors import SafetensorError, safe_open
from xxhash import xxh3_64

from index.bundle import write as writer

CHECKSUM = "xxh3"
SCALARS = ("int", "float")
"""The types of fields that are numbers, and no arrays, as they are written in a record."""

Record = TypeVar("Record")


def write_records(path: Path, records: Sequence[Any]) -> None:
    """Write dataclasses of arrays and numbers as one safetensors file, whole or not at all."""
    arrays = {
        f"{number}.{each.name}": np.ascontiguousarray(getattr(record, each.name))
        for number, record in enumerate(records)
        for each in fields(record)
    }
    beside = path.with_name(f"{path.name}.{uuid4().hex}.unfinished")
    try:
        writer.save_tensors(beside, arrays, {CHECKSUM: _checksum(arrays)})
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        with suppress(OSError):
            beside.unlink()


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Read the records of a file; ValueError, SafetensorError or OSError unless they are what was written."""
    arrays = _checked(path)
    count = 1 + max(int(name.partition(".")[0]) for name in arrays)
    return [
        kind(**{each.name: _value(arrays[f"{number}.{each.name}"], str(each.type)) for each in fields(kind)})  # type: ignore[arg-type]
        for number in range(count)
    ]


def is_intact(path: Path) -> bool:
    """Whether a file holds what was written."""
    try:
        _checked(path)
    except (SafetensorError, OSError, ValueError):
        return False
    return True


def _checked(path: Path) -> dict[str, np.ndarray]:
    with safe_open(path, "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        written = (file.metadata() or {}).get(CHECKSUM)
    if written != _checksum(arrays):
        raise ValueError(f"{path.name} is damaged; the same command makes it again")
    return arrays


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    digest = xxh3_64()
    for name in sorted(arrays):
        digest.update(arrays[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _value(array: np.ndarray, kind: str) -> Any:
    return array.item() if kind in SCALARS else array
