"""A sweep: a folder of bundles, one for each step, and `sweep.json`, which says what the steps are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from index.errors import BundleError
from index.files import brief, read_bytes

RECORD = "sweep.json"
MOST_RECORD_BYTES = 1 << 25


class Step(Struct, frozen=True, kw_only=True):
    """One source of a sweep."""

    name: str  # of the step, and of its bundle's folder where it has one
    source: str  # as it was listed
    same_as: str | None = None  # the step whose matrix and tokens it has, bit for bit: it has no bundle of its own
    error: str | None = None  # why it was not built; None where it was, or was not tried yet
    built: bool = False  # whether there is a bundle, its own or that of the step it is the same as


class Sweep(Struct, frozen=True, kw_only=True):
    """All sources of a sweep, in order."""

    format: Literal["logoscope-sweep"] = "logoscope-sweep"
    version: Literal[1] = 1
    listed: str  # what was swept: a list, a pattern or a stack
    settings: dict[str, str]  # all that decides what a bundle holds, besides its source
    steps: tuple[Step, ...]

    def folder(self, sweep: Path, step: Step) -> Path:
        """Return where the bundle of a step lies."""
        return sweep / (step.same_as or step.name)


def read_sweep(folder: Path) -> Sweep:
    """Read what a folder says of its steps; BundleError where it is no sweep."""
    path = folder / RECORD
    if not os.path.isfile(path):
        raise BundleError(f"{folder} holds no sweep ({RECORD}); build one with `build_index.py --sweep LIST --out DIR`")
    try:
        sweep = msgspec.json.decode(read_bytes(path, MOST_RECORD_BYTES), type=Sweep)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} is damaged: {brief(error)}; run the sweep again") from error
    names = [step.name for step in sweep.steps]
    for name in (*names, *(step.same_as for step in sweep.steps if step.same_as is not None)):
        if name not in names or Path(name).name != name or name in ("", ".."):
            raise BundleError(f"{path} is damaged: it names the step {brief(name)!r}; run the sweep again")
    if len(set(names)) < len(names):
        raise BundleError(f"{path} is damaged: it names a step twice; run the sweep again")
    return sweep


def write_sweep(folder: Path, sweep: Sweep) -> None:
    """Write what a folder's steps are, whole or not at all."""
    beside = folder / f".{RECORD}.{os.getpid()}"
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(sweep), indent=1) + b"\n")
    beside.replace(folder / RECORD)
