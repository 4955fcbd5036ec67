"""A part of a model's rows: drawn at random, or listed in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from index.errors import ParameterError, SourceError, parameter
from index.files import brief, no_file, open_file
from index.sources.matrix import map_npy
from index.sources.torch_file import as_numpy, listed, load_torch


def sampled_rows(sample: str | None, seed: int, V: int) -> np.ndarray | None:
    """Return the rows that a sample names, in its order, (N,) of 0 to V - 1; None for all of them.

    A whole number is how many to draw with the seed; anything else is a file, for `read_sample`.

    Raises
    ------
    ParameterError
        When the sample is no list of different rows of the model.
    """
    if sample is None:
        return None
    if re.fullmatch(r"[+-]?\d+", sample):
        n = int(sample[:20])  # more digits are too many tokens, too
        if not 2 <= n <= V:
            raise ParameterError(
                f"{parameter('sample')} must be from 2 to {V}, the tokens of the model, got: {brief(sample)}"
            )
        return drawn_rows(n, seed, V)
    rows = read_sample(Path(sample))
    outside = rows[(rows < 0) | (rows >= V)]
    if len(outside):
        raise ParameterError(
            f"{parameter('sample')} {sample} names token {outside[0]}, but the model has {V} rows: 0 to {V - 1}"
        )
    if len(np.unique(rows)) < len(rows):
        raise ParameterError(f"{parameter('sample')} {sample} names {len(rows) - len(np.unique(rows))} tokens twice")
    return rows


def drawn_rows(n: int, seed: int, V: int) -> np.ndarray:
    """Draw rows as the reference pipeline does: the first n, at most V, of a permutation by torch."""
    import torch

    if not -(1 << 63) <= seed < 1 << 63:
        raise ParameterError(f"{parameter('seed')} must fit into 64 bits, got: {brief(str(seed))}")
    drawn: np.ndarray = torch.randperm(V, generator=torch.Generator().manual_seed(seed))[:n].numpy()
    return drawn


def read_sample(path: Path, *, named: str = "sample") -> np.ndarray:
    """Read a list of token ids, (N,) int64, from a `.pt` (`token_indices`, or a bare tensor) or a `.npy`.

    `named` is the parameter that names the file, for messages. ParameterError when it holds no list of whole numbers.
    """
    where = f"{parameter(named)} {path}"
    if not os.path.isfile(path):
        raise ParameterError(f"{where}: {no_file(path)} (a sample is a number, a .pt or a .npy)")
    try:
        file = open_file(path)
        if path.suffix == ".npy":
            ids = map_npy(file)
        else:
            content = load_torch(file)
            found = content.get("token_indices") if isinstance(content, Mapping) else content
            if found is None and isinstance(content, Mapping):
                raise ParameterError(f"{where} holds no token_indices; it holds {listed(content)}")
            ids = as_numpy(found, "token_indices", path)
    except SourceError as error:
        raise ParameterError(f"{where} cannot be read: {brief(error)}") from error
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or len(ids) == 0:
        raise ParameterError(f"{where} holds {ids.dtype} of shape {ids.shape}; wanted a list of whole numbers")
    whole: np.ndarray = ids.astype(np.int64)
    return whole
