"""Arrays in files: which bytes are checked when some rows are read."""

from pathlib import Path

import numpy as np
import pytest

from index.bundle.checksums import BLOCK_BYTES, StoredFile
from index.bundle.stored import StoredArray
from index.errors import BundleError

V, D, HEADER = 152_064, 3_584, 45
"""A real vocabulary whose points take more bytes than 31 bits count (Qwen2.5-7B)."""


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_rows_beyond_two_gibibytes(dtype: type, tmp_path: Path) -> None:
    row = 151_000
    with (tmp_path / "points").open("wb") as file:  # sparse: it takes no room
        file.truncate(HEADER + 4 * V * D)
    names = [f"{number:016x}" for number in range(-(-(HEADER + 4 * V * D) // BLOCK_BYTES))]  # the checksum of no block
    points = StoredArray(StoredFile(tmp_path / "points", names), HEADER, (V, D), np.float32)
    block = (HEADER + 4 * row * D) // BLOCK_BYTES
    with pytest.raises(BundleError, match=f"is not what was written, from byte {block * BLOCK_BYTES:,} on"):
        points[np.array([row], dtype)]
