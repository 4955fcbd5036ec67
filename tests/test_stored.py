"""Arrays that are another but for some rows, and what a bundle stores of lists that hold twins."""

from pathlib import Path

import numpy as np
import oracles
import pytest
from xxhash import xxh3_64_hexdigest

from index.build.build import build
from index.build.settings import Settings
from index.bundle import checksums
from index.bundle.bundle import open_bundle
from index.bundle.stored import PatchedArray
from index.errors import BundleError

V, D, K = 80, 5, 12
KEYS = [
    0, 2, -1, np.int64(7), slice(3, 9), slice(9, 3, -2), slice(5, 5), slice(None), [4, 0, 4, 2], np.array([-1, 2]), [],
    (2, 5), (3, 5), (slice(None), slice(2)), ([2, 3], slice(1, 3)), np.arange(10) % 2 == 0, (0, slice(3)),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("rows", [[], [2], [0, 2, 3, 9], list(range(10))], ids=str)
def test_a_patched_array_indexes_like_the_array_it_stands_for(key: object, rows: list[int]) -> None:
    base = np.arange(60, dtype=np.int32).reshape(10, 6)
    wanted = base.copy()
    wanted[rows] *= -1
    patched = PatchedArray(base, np.array(rows, np.int32), wanted[rows])
    if isinstance(key, list) and not key:
        key = np.array(key, np.int64)
    np.testing.assert_array_equal(patched[key], wanted[key])  # type: ignore[index]
    assert np.asarray(patched[key]).dtype == np.int32
    np.testing.assert_array_equal(np.asarray(patched), wanted)
    np.testing.assert_array_equal(patched == wanted, np.ones_like(wanted, bool))
    assert (patched.shape, len(patched), patched.ndim) == (wanted.shape, 10, 2)
    with pytest.raises(IndexError):
        patched[10]


@pytest.mark.parametrize("twins", [0, 1, 40, V - 2])
def test_only_lists_that_hold_twins_are_stored_twice(twins: int, tmp_path: Path) -> None:
    gamma = np.random.default_rng(twins).normal(size=(V, D))
    gamma[V - twins :] = gamma[3]
    np.save(tmp_path / "gamma.npy", gamma)
    build(Settings(source=str(tmp_path / "gamma.npy"), out=tmp_path / "bundle", neighbors=K, density_k=5))
    space = open_bundle(tmp_path / "bundle").causal
    points = space.points[:].astype(np.float64)
    _, first = np.unique(points, axis=0, return_index=True)
    wanted = np.full((V, K), np.inf)
    for row, exact in enumerate(oracles.all_distances(points)):
        others = np.sort(exact[first][(points[first] != points[row]).any(axis=1)])[:K]
        wanted[row, : len(others)] = others
    np.testing.assert_allclose(space.distinct_distances[:], wanted, rtol=2e-7)
    stored = np.load(tmp_path / "bundle" / "causal.distinct_rows.npy")
    near_twins = (space.distances[:] != space.distinct_distances[:]).any(axis=1)
    assert set(np.flatnonzero(near_twins)) <= set(stored.tolist())
    assert len(stored) == len(np.load(tmp_path / "bundle" / "causal.distinct_ids.npy"))
    if twins == 0:
        assert len(stored) == 0


@pytest.mark.parametrize("damaged", [None, 0, 7, 15])
def test_pieces_in_many_blocks_are_checked_and_read(
    damaged: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that are let go of after they were checked are read again as they are, and a damaged one is seen."""
    monkeypatch.setattr(checksums, "BLOCKS_HELD", 3)
    content = np.random.default_rng(1).integers(0, 256, 16 * checksums.BLOCK_BYTES - 5, dtype=np.uint8)
    blocks = [
        xxh3_64_hexdigest(content[start : start + checksums.BLOCK_BYTES].tobytes())
        for start in range(0, len(content), checksums.BLOCK_BYTES)
    ]
    if damaged is not None:
        content[damaged * checksums.BLOCK_BYTES + 11] ^= 1
    content.tofile(tmp_path / "file")
    file = checksums.StoredFile(tmp_path / "file", blocks)
    starts = np.arange(16) * checksums.BLOCK_BYTES + 100
    if damaged is not None:
        with pytest.raises(BundleError, match="is not what was written, from byte"):
            file.check_pieces(starts, 64)
        return
    for _ in range(2):
        file.check_pieces(starts, 64)
        for start in starts.tolist():
            np.testing.assert_array_equal(file.content[start : start + 64], content[start : start + 64])
