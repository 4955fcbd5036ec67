"""From what was typed to what the library takes; from its errors to exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer

from index.cli.output import flush_answer
from index.errors import BundleError, LogoscopeError, ParameterError, one_line
from index.files import brief

if TYPE_CHECKING:
    from index.bundle.bundle import Bundle
    from index.geometry.maps import Geometry
    from index.questions.among import Subset

ROOT = Path("data/indexes")

CLOSED_PIPE = 141
"""What a shell says of a program that wrote to a pipe nobody reads: 128 + SIGPIPE."""


def as_option(name: str, value: str | None) -> str:
    """Spell a parameter as the command line does: `--density-k 20`, `--overwrite`."""
    option = "--" + name.replace("_", "-")
    return option if value in (None, "True") else f"{option} {value}"


@contextmanager
def answering() -> Iterator[None]:
    """Turn what a user can cause into one line on standard error and exit code 2; a closed pipe into `CLOSED_PIPE`."""
    try:
        try:
            with np.errstate(all="ignore"):  # of numbers that are none, the answer says so; a warning is a line more
                yield
        finally:
            flush_answer()
    except LogoscopeError as error:
        said = error.told(as_option)
    except BrokenPipeError:  # `| head` has read enough: nothing went wrong
        raise typer.Exit(CLOSED_PIPE) from None
    except OSError as error:  # a path that no file system takes, or a disk that fails
        said = brief(error)
    except MemoryError as error:
        said = f"memory ran out ({one_line(str(error)) or 'no more is known'}); free some, or ask for less"
    else:
        return
    print(f"error: {said}", file=sys.stderr)
    raise typer.Exit(2)


def open_index(path: Path | None) -> Bundle:
    """Open the bundle that was named, or the only one there is."""
    from index.bundle.bundle import open_bundle
    from index.bundle.manifest import MANIFEST

    if path is not None:
        return open_bundle(path)
    found = sorted(manifest.parent for manifest in ROOT.glob(f"[!.]*/{MANIFEST}"))
    if not found:
        raise BundleError(
            f"no bundle under {ROOT}; build one with `uv run build_index.py`, or name one with --index DIR"
        )
    if len(found) > 1:
        raise BundleError(f"{len(found)} bundles under {ROOT}: name one with --index ({', '.join(map(str, found))})")
    return open_bundle(found[0])


def geometry_named(name: str) -> Geometry:
    """Read `causal-cosine` as a geometry."""
    from index.geometry.maps import Geometry

    known = {geometry.label: geometry for geometry in Geometry}
    wanted = known.get(name.strip().replace("_", "-"))
    if wanted is None:
        raise ParameterError(f"--geometry must be one of {', '.join(known)}, got: {_shown(name)}")
    return wanted


def two_geometries(names: str) -> tuple[Geometry, Geometry]:
    """Read `causal,cosine` as two geometries."""
    from index.geometry.maps import Geometry

    known = {geometry.label: geometry for geometry in Geometry}
    listed = [name.strip().replace("_", "-") for name in names.split(",")]
    if len(listed) != 2 or not set(listed) <= set(known):
        raise ParameterError(
            f"--geometry must name two of {', '.join(known)}, as in causal,cosine; got: {_shown(names)}"
        )
    return known[listed[0]], known[listed[1]]


def whole_numbers(option: str, typed: str) -> list[int]:
    """Read `10,30,100` as numbers."""
    parts = [part.strip() for part in typed.split(",")]
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise ParameterError(
            f"{option} must be whole numbers with commas between, as in 10,30,100; got: {_shown(typed)}"
        )
    return [int(part) for part in parts]


def _shown(typed: str) -> str:
    from index.tokens.display import display

    return display(typed[:60])


def subset_of(bundle: Bundle, wanted: str | None) -> Subset | None:
    """Read `kind=word`, `script=Thai` or a file of ids as a subset of the tokens."""
    from index.questions.among import subset

    return None if wanted is None else subset(bundle, wanted)
