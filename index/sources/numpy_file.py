"""NumPy files, memory-mapped; nothing in them is unpickled."""

from __future__ import annotations

import tokenize
import warnings
from pathlib import Path

import numpy as np

from index.errors import SourceError
from index.files import brief, require_content

_HEADER_ERRORS = (ValueError, TypeError, OverflowError, MemoryError, RecursionError, SyntaxError, tokenize.TokenError)
"""What NumPy raises for a header that is none; it reads one as a Python literal."""


def map_npy(path: Path) -> np.ndarray:
    """Map the array in a `.npy` file, read-only; SourceError when the file is none, or holds Python objects."""
    require_content(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header is read as Python source, which warns of much
            mapped: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except (OSError, *_HEADER_ERRORS) as error:
        raise SourceError(f"{path} is no .npy file of numbers: {brief(error)}") from error
    return mapped
