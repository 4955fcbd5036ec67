"""Arrays in files: read by rows, checked, and another but for some rows; what is stored of lists that hold twins."""

import errno
import os
from pathlib import Path

import numpy as np
import oracles
import pytest
from xxhash import xxh3_64_hexdigest

from index import process
from index.build.build import build
from index.build.settings import Settings
from index.bundle import checksums
from index.bundle.bundle import open_bundle
from index.bundle.stored import PatchedArray, StoredArray
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


BLOCK = checksums.BLOCK_BYTES


def stored(path: Path, content: np.ndarray, damaged: int | None = None) -> StoredArray:
    """Return rows of numbers as a bundle has them after 3 other bytes, with a bit flipped in one block of the file."""
    held = np.frombuffer(b"..." + content.tobytes(), np.uint8).copy()
    blocks = [xxh3_64_hexdigest(held[start : start + BLOCK].tobytes()) for start in range(0, len(held), BLOCK)]
    if damaged is not None:
        held[damaged * BLOCK + 11] ^= 1
    held.tofile(path)
    return StoredArray(checksums.StoredFile(path, blocks, to_copy=True), 3, content.shape, content.dtype)


@pytest.mark.parametrize("sweeps", [-1, 1 << 30])
@pytest.mark.parametrize("shape", [(10,), (10, 6), (10, 30_000), (10, 6, 5)], ids=str)
def test_a_stored_array_indexes_like_the_array_it_holds(
    shape: tuple[int, ...], sweeps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read before or not, held or let go of; a row of the third shape is longer than a block."""
    monkeypatch.setattr(process, "FEW_SWEEPS", sweeps)
    monkeypatch.setattr(checksums, "REGIONS_HELD", 2)
    wanted = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    kept = stored(tmp_path / "kept", wanted)
    keys = [key for key in KEYS if len(shape) > 1 or not isinstance(key, tuple)]
    for key in [*keys, np.array([[0, 3], [9, -1]]), np.array(4), *keys]:
        fresh = stored(tmp_path / "fresh", wanted)
        for array in (kept, fresh):
            np.testing.assert_array_equal(array[key], wanted[key])  # type: ignore[index]
            assert np.asarray(array[key]).dtype == np.float32
    for key in (10, -11, [0, 10]):
        with pytest.raises(IndexError):
            stored(tmp_path / "fresh", wanted)[key]
    read_all(kept, wanted)
    monkeypatch.delattr(os, "preadv", raising=False)  # as on Windows
    read_all(stored(tmp_path / "fresh", wanted), wanted)


def read_all(array: StoredArray, wanted: np.ndarray) -> None:
    """Read consecutive rows, one part after the other, as a sweep does."""
    read = array.reader()
    for rows in (slice(2, 5), slice(0, 10), slice(9, 10), slice(3, 3)):
        np.testing.assert_array_equal(read(rows), wanted[rows])


@pytest.mark.parametrize("damaged", [None, 0, 7, 15])
def test_scattered_rows_are_checked(damaged: int | None, tmp_path: Path) -> None:
    """A block that is damaged is seen by those whose rows it holds, and by no others."""
    content = np.random.default_rng(1).integers(0, 256, (16 * BLOCK // 64 - 1, 64), dtype=np.uint8)
    array = stored(tmp_path / "file", content, damaged)
    for block in [*range(16), *range(16)]:
        rows = np.array([1, 40, 3]) + block * BLOCK // 64
        if block == damaged:
            with pytest.raises(BundleError, match=f"is not what was written, from byte {block * BLOCK:,} on"):
                array[rows]
        else:
            np.testing.assert_array_equal(array[rows], content[rows])
    if damaged is not None:
        with pytest.raises(BundleError, match="is not what was written, from byte"):
            array.reader()(slice(0, len(content)))


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="what is copied is mapped here")
def test_a_file_that_was_cut_off_while_it_was_open_ends_in_an_error(tmp_path: Path) -> None:
    """What is mapped of it would end the process."""
    content = np.ones((4 * BLOCK // 64, 64), np.uint8)
    array = stored(tmp_path / "file", content)
    read = array.reader()
    os.truncate(tmp_path / "file", BLOCK + 5)
    assert read(slice(0, 5)).all()
    with pytest.raises(BundleError, match="file was cut off: it has no byte 196,608: the bundle is damaged"):
        read(slice(3 * BLOCK // 64, 3 * BLOCK // 64 + 2))


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="what is copied is mapped here")
def test_a_disk_that_fails_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    array = stored(tmp_path / "file", np.ones((4, 64), np.uint8))
    monkeypatch.setattr(os, "preadv", fail, raising=False)
    with pytest.raises(BundleError, match=r"file cannot be read: .*nput/output error"):
        array.reader()(slice(0, 2))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="what is mapped is counted by Linux")
def test_rows_that_are_read_alone_take_no_memory_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Around a row that is mapped the system maps what it read with it, 2 MiB or more; what is copied it does not."""
    monkeypatch.setattr(process, "FEW_SWEEPS", 1 << 30)
    monkeypatch.setattr(checksums, "REGIONS_HELD", 16)
    content = np.zeros((1 << 14, 4096), np.uint8)  # 32 regions of 2 MiB
    array = stored(tmp_path / "file", content)
    array.reader()(slice(1000, 9000))
    assert mapped_bytes(tmp_path / "file") <= 2 * BLOCK
    for _ in range(2):
        array[np.arange(0, len(content), 64)]
        assert mapped_bytes(tmp_path / "file") == 0
    assert array.whole.sum() == 0
    assert mapped_bytes(tmp_path / "file") >= content.nbytes, "of what is counted"


def mapped_bytes(path: Path) -> int:
    """Return how many bytes of a mapped file count as memory of this process."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line.endswith(f" {path}")]
    assert starts
    sizes = (next(line for line in lines[start:] if line.startswith("Rss:")) for start in starts)
    return sum(int(size.split()[1]) << 10 for size in sizes)
