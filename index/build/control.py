"""A control in place of a model's matrix: written block by block, and mapped as a file without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from threadpoolctl import threadpool_limits

from index.answers.control import Control
from index.build.rows import numbers_sha256
from index.bundle.places import is_control
from index.bundle.write import saving
from index.errors import BundleError, ParameterError, parameter
from index.geometry.blocks import row_slices
from index.geometry.controls import ControlKind, covariance_rows, gaussian_rows, shuffled_columns
from index.progress import Progress
from index.sources.load import Source


def bundle_name(source: Source, kind: ControlKind | None) -> str:
    """Return what a bundle is called by default: a control never as its model."""
    return source.name if kind is None else f"{source.name}-control-{kind.value}"


def require_no_model(target: Path) -> None:
    """Raise BundleError where a model's bundle is in the place that a control would take."""
    if target.exists() and not is_control(target):
        raise BundleError(
            f"{target} is no control, and a control does not take its place; pass another {parameter('out')}"
        )


def controlled(
    source: Source, kind: ControlKind, seed: int, folder: Path, progress: Progress
) -> tuple[Source, Control]:
    """Return a source with a control for its matrix, of its shape and dtype, and what that is.

    The matrix is mapped from a file in `folder` that has no name and goes with it.
    """
    step = f"making the control ({kind.value})"
    progress(step, 0, len(source.gamma))
    said = Control(kind, seed, source.location, numbers_sha256(source.gamma))
    with saving(folder / step, source.gamma.nbytes), tempfile.TemporaryFile(dir=folder) as file:
        # One thread: how many there are must not move the last bit of a sum.
        with threadpool_limits(1):
            if kind is ControlKind.SHUFFLE:
                _write_columns(file, source, seed, progress, step)
            else:
                made = gaussian_rows if kind is ControlKind.GAUSSIAN else covariance_rows
                _write_rows(file, source, made(source.gamma, seed), progress, step)
        file.flush()
        gamma = np.memmap(file, source.gamma.dtype, mode="r", shape=source.gamma.shape)
    progress(step, len(gamma), len(gamma))
    return replace(source, gamma=np.asarray(gamma)), said


def _write_rows(file: BinaryIO, source: Source, blocks: Iterator[np.ndarray], progress: Progress, step: str) -> None:
    done = 0
    for block in blocks:
        with np.errstate(over="ignore"):
            rounded = block.astype(source.gamma.dtype)
        if not np.isfinite(rounded).all():
            raise ParameterError(
                f"{parameter('control')}: random points as long as the rows of {source.location} overflow its "
                f"{source.gamma.dtype}; convert it to float32"
            )
        file.write(rounded.view(np.uint8).data)
        done += len(block)
        progress(step, done, len(source.gamma))


def _write_columns(file: BinaryIO, source: Source, seed: int, progress: Progress, step: str) -> None:
    gamma, (V, D) = source.gamma, source.gamma.shape
    for where in row_slices(gamma.shape):  # all its room is taken first: a full disk cannot refuse a mapped page
        file.write(np.zeros_like(gamma[where]).view(np.uint8).data)
    file.flush()
    mapped = np.memmap(file, gamma.dtype, mode="r+", shape=gamma.shape)
    for where, columns in shuffled_columns(gamma, seed):
        mapped[:, where] = columns
        progress(step, where.stop * V // D, V)
    mapped.flush()
