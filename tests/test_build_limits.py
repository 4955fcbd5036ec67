"""What a build needs and does not get: a disk that is full, memory that is limited; and the files it writes itself."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import faiss
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from conftest import ROOT, Outcome, invoke
from interrupted import contents

from index.build import place as workplace
from index.build import resources
from index.build.build import build
from index.build.resources import BuildSize, Room, check_memory, holds_two
from index.build.settings import Settings
from index.bundle import write as writer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")


@contextmanager
def largest_file(limit: int) -> Iterator[None]:
    """Have every write beyond `limit` bytes of a file fail, as on a full disk, but for the reason given."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def refused(outcome: Outcome) -> str:
    assert outcome.code == 2, outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    return outcome.err


# --- the disk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options", "limit", "file", "needed"),
    [
        ((600, 16), (), 30_000, "gamma.safetensors", "0.038 MB"),
        ((100, 64), ("--neighbors", 20), 40_000, "metric.safetensors", "0.067 MB"),
        ((600, 16), (), 39_000, "causal.ids.npy", "0.240 MB"),
        ((600, 16), ("--neighbors", 20, "--index-factory", "HNSW64"), 100_000, "causal.hnsw64.faiss", "0.038 MB"),
        ((3000, 4), ("--neighbors", 3, "--density-k", 3), 60_000, "tokens.parquet", "0.625 MB"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_written(
    shape: tuple[int, int], options: tuple[object, ...], limit: int, file: str, needed: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "gamma.npy", tmp_path / "out" / "bundle"
    rows = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    np.save(source, rows)
    build(Settings(source=str(source), out=out, neighbors=3, density_k=3))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with largest_file(limit):
        said = refused(invoke("build_index.py", source, "--out", out, "--overwrite", *options))
    assert f"error: {file} cannot be written: File too large; it needs {needed}, and the disk of " in said
    assert "make room, or pass another --out" in said
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert os.listdir(out.parent) == ["bundle"]


def test_a_disk_that_fills_up_when_files_are_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems find out no sooner."""
    source = tmp_path / "gamma.npy"
    np.save(source, np.random.default_rng(5).normal(size=(300, 8)).astype(np.float32))

    def full(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(workplace.os, "fsync", full)
    said = refused(invoke("build_index.py", source, "--out", tmp_path / "bundle"))
    assert os.strerror(errno.EDQUOT) in said
    assert os.listdir(tmp_path) == ["gamma.npy"]


def test_a_disk_without_enough_room_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "gamma.npy"
    np.save(source, np.random.default_rng(5).normal(size=(3000, 32)).astype(np.float32))
    usage = workplace.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda path: usage._replace(free=15_000_000))
    said = refused(invoke("build_index.py", source, "--out", tmp_path / "bundle"))
    # 3,000 rows: gamma and three times points of 128 bytes, three graphs of 4 x 400 bytes
    assert "a build of 3,000 tokens x 32 with 100 neighbors needs about 0.016 GB on the disk of " in said
    assert "which has 0.015 GB left" in said
    assert os.listdir(tmp_path) == ["gamma.npy"]
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda path: usage._replace(free=18_000_000))
    assert invoke("build_index.py", source, "--out", tmp_path / "bundle").code == 0


# --- memory ------------------------------------------------------------------------------------------------------

SIZE = BuildSize.of(151_936, 2_560, 2, Settings(threads=2))


@pytest.mark.parametrize(
    ("room", "needed"),
    [
        (Room("this machine", 0), SIZE.private + SIZE.points),
        (Room("ulimit -v", 0, address_space=True), SIZE.private + SIZE.points + SIZE.gamma),
        (Room("ulimit -d", 0, private=True), SIZE.private),
    ],
    ids=lambda value: value.name if isinstance(value, Room) else "",
)
def test_too_little_memory(room: Room, needed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "memory_left", lambda: [replace(room, left=needed)])
    check_memory(SIZE)
    monkeypatch.setattr(resources, "memory_left", lambda: [replace(room, left=1 << 62), replace(room, left=needed - 1)])
    with pytest.raises(resources.ParameterError) as caught:
        check_memory(SIZE)
    assert str(caught.value).startswith(
        f"a build of 151,936 tokens x 2,560 with 100 neighbors needs about {needed / 1e9:.2f} GB more memory, "
        f"but {room.name} leaves {(needed - 1) / 1e9:.2f} GB; "
    )


@pytest.mark.parametrize(
    ("room", "points"),
    [
        (Room("this machine", 0), 2),
        (Room("ulimit -v", 0, address_space=True), 2),
        (Room("ulimit -d", 0, private=True), 0),
    ],
    ids=lambda value: value.name if isinstance(value, Room) else "",
)
def test_two_spaces_at_once(room: Room, points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """124 near points of each token, 12 bytes each, and what else there is of a token, twice; and both their points."""
    needed = SIZE.private + 151_936 * (124 * 12 + 160) + points * 151_936 * 2_560 * 4
    needed += SIZE.gamma if room.address_space else 0
    monkeypatch.setattr(resources, "memory_left", lambda: [replace(room, left=needed)])
    assert holds_two(SIZE)
    monkeypatch.setattr(resources, "memory_left", lambda: [replace(room, left=1 << 62), replace(room, left=needed - 1)])
    assert not holds_two(SIZE)


@pytest.mark.parametrize("two", [True, False])
def test_a_build_that_has_memory_for_one_space_is_the_same(
    two: bool, source: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.build.build.holds_two", lambda size: two)
    steps: list[str] = []
    build(Settings(source=str(source), out=tmp_path / "bundle"), lambda step, done, total: steps.append(step))
    assert contents(tmp_path / "bundle") == whole
    assert ("100 neighbors in causal and causal-cosine spaces" in steps) == two
    assert ("100 neighbors in causal-cosine space" in steps) != two


def test_the_reach_of_a_large_vocabulary() -> None:
    """Points + 2 GB for the whole process, of which its imports take 0.6."""
    assert SIZE.points == 151_936 * 2_560 * 4
    assert SIZE.private < 1.4e9


@pytest.mark.skipif(sys.platform != "linux", reason="limits that Linux heeds")
@pytest.mark.parametrize(("kind", "said"), [("RLIMIT_DATA", "ulimit -d"), ("RLIMIT_AS", "ulimit -v")])
def test_a_limit_is_seen_before_the_work(kind: str, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", np.ones((2000, 8), np.float32))
    # What the process holds by then differs from machine to machine, so the limit is set from within, 100 MB above it.
    code = (
        "import resource, sys\n"
        "import psutil, build_index\n"
        "from index.build import resources\n"
        "check = resources.check_memory\n"
        "def limited(size):\n"
        "    used = psutil.Process().memory_info()\n"
        f"    held = used.vms if {kind!r} == 'RLIMIT_AS' else used.data\n"
        f"    resource.setrlimit(resource.{kind}, (held + 100_000_000,) * 2)\n"
        "    check(size)\n"
        "from index.build import build\n"
        "build.check_memory = limited\n"
        "build_index.app(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "gamma.npy"), "--out", str(tmp_path / "bundle")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    line = refused(Outcome(done.returncode, done.stdout, done.stderr))
    assert f"({said}) leaves 0.10 GB" in line
    assert os.listdir(tmp_path) == ["gamma.npy"]


def test_memory_that_runs_out_during_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "gamma.npy"
    np.save(source, np.random.default_rng(5).normal(size=(300, 8)).astype(np.float32))
    arguments = ("build_index.py", source, "--out", tmp_path / "bundle")
    with monkeypatch.context() as patch:
        patch.setattr("index.build.spaces.knn_graph", lambda *_, **__: np.empty(1 << 59))
        said = refused(invoke(*arguments))
    assert said.startswith("error: memory ran out (Unable to allocate 4.00 EiB for an array with shape ")
    assert said.endswith("); free some, or ask for less\n")
    assert os.listdir(tmp_path) == ["gamma.npy"]
    assert invoke(*arguments).code == 0
    monkeypatch.setattr("index.questions.neighbors.ranked", lambda *_: np.empty(1 << 59))
    assert refused(invoke("query.py", "neighbors", "#3", "--index", tmp_path / "bundle")) == said


def test_control_groups_of_both_versions(tmp_path: Path) -> None:
    membership, root = tmp_path / "cgroup", tmp_path / "sys"
    for folder, files in {
        "memory/a/b": {"memory.limit_in_bytes": "9223372036854771712", "memory.usage_in_bytes": "5"},
        "memory/a": {
            "memory.limit_in_bytes": "1000",
            "memory.usage_in_bytes": "700",
            "memory.stat": "inactive_file 1\ntotal_inactive_file 40\ntotal_active_file 60\n",
        },
        "c": {"memory.max": "max", "memory.current": "10"},
        ".": {"memory.max": "500", "memory.current": "450", "memory.stat": "anon 7\ninactive_file 3\nactive_file 4\n"},
    }.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (root / folder / name).write_text(text + "\n")
    membership.write_text("4:memory:/a/b\n3:cpuset:/\n0::/c\n")
    rooms = list(resources._cgroups(membership, root))
    assert [(room.name, room.left) for room in rooms] == [
        ("the control group b", 9223372036854771712 - 5),
        ("the control group a", 1000 - 700 + 40 + 60),
        ("the control group /", 500 - 450 + 3 + 4),
    ]
    assert list(resources._cgroups(tmp_path / "none", root)) == []


# --- the files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner_product", [False, True])
def test_points_are_written_as_faiss_writes_them(inner_product: bool, tmp_path: Path) -> None:
    points = np.random.default_rng(1).normal(size=(57, 12)).astype(np.float32)
    flat = faiss.IndexFlatIP(12) if inner_product else faiss.IndexFlatL2(12)
    flat.add(points)
    faiss.write_index(flat, str(tmp_path / "faiss"))
    blocks = (points[:20], points[20:21], points[21:])
    mapped = writer.save_points(tmp_path / "ours", points.shape, blocks, inner_product=inner_product)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "faiss").read_bytes()
    np.testing.assert_array_equal(mapped, points)


def test_an_approximate_index_is_written_as_faiss_writes_it(tmp_path: Path) -> None:
    index = faiss.index_factory(8, "HNSW8,Flat")
    index.add(np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32))
    faiss.write_index(index, str(tmp_path / "faiss"))
    writer.save_index(tmp_path / "ours", index)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "faiss").read_bytes()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_tensors_are_read_by_their_library(dtype: type, tmp_path: Path) -> None:
    tensors = {"gamma": np.arange(35).reshape(7, 5).astype(dtype), "mean": np.ones(3)}
    writer.save_tensors(tmp_path / "file", tensors, {"ridge": "1e-06", "origin": "über"})
    read = safetensors.numpy.load_file(tmp_path / "file")
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        np.testing.assert_array_equal(read[name], tensor)
    with safetensors.safe_open(tmp_path / "file", framework="np") as file:
        assert file.metadata() == {"ridge": "1e-06", "origin": "über"}
