"""Workers of this machine: the bytes of one process, for a build and for a sweep, whatever becomes of a worker."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import clusters
import numpy as np
import pytest
from clusters import Once, a_worker, assert_same_sweep, done_steps, sweep_into
from conftest import ROOT, invoke
from filelock import FileLock
from interrupted import contents, uninterrupted

import index.build.build
from index.build import cluster, tiles, together
from index.build.build import build
from index.build.cluster import Cluster, connected
from index.build.place import take_place
from index.build.settings import Settings
from index.build.step import Job
from index.build.sweep import Done

pytestmark = pytest.mark.slow("starts processes, each of which imports all that a build needs")

CHUNK = 200

two = pytest.mark.parametrize("started", [2], indirect=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clusters.write_rows(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return uninterrupted(source, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def stacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clusters.write_stack(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="module")
def swept(stacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept") / "out"
    sweep_into(folder, stacked)
    return folder


@pytest.fixture(scope="module")
def started(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """So many workers, for all tests that ask for these."""
    with connected(request.param, None, 1, "--workers") as found:
        yield found


@pytest.fixture
def workers(started: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The workers that builds and sweeps by `workers` have, in place of their own."""

    @contextmanager
    def there(count: int | None, *_: object) -> Iterator[Cluster | None]:
        yield started if count else None

    monkeypatch.setattr(index.build.build, "perhaps_connected", there)
    monkeypatch.setattr(together, "connected", there)
    return started


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four chunks of the points that are no twins, and so ten tiles of each space."""
    monkeypatch.setattr(tiles, "LEAST_CHUNK", CHUNK)


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return clusters.handed_out(monkeypatch)


Progress = Callable[[str, int, int], None]


def build_at(folder: Path, source: Path, progress: Progress = lambda step, done, total: None, **options: int) -> None:
    settings = Settings(source=str(source), out=folder / "bundle", threads=1, **options)  # type: ignore[arg-type]
    build(settings, progress, workers=1)


# --- the same bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("started", [1, 2, 4], indirect=True)
@pytest.mark.usefixtures("workers")
class TestBytesOfOneProcess:
    def test_of_a_build(self, source: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
        build_at(tmp_path, source)
        assert contents(tmp_path / "bundle") == whole
        assert os.listdir(tmp_path) == ["bundle"]

    def test_of_a_sweep(self, stacked: Path, swept: Path, tmp_path: Path) -> None:
        told: list[Done] = []
        record = sweep_into(tmp_path / "out", stacked, told.append, workers=1)
        assert [step.built for step in record.steps] == [True, True, True, True, False]
        assert sorted(done.step.name for done in told) == [f"step{number}" for number in range(5)]
        assert sum(done.built is not None for done in told) == 3
        assert_same_sweep(tmp_path / "out", swept)


@two
@pytest.mark.parametrize(
    ("rows", "chunk", "neighbors"),
    [(260, 60, 100), (12, 1, 6)],
    ids=["more neighbors than a tile has points, and twins across tiles", "tiles of one point"],
)
def test_tiles_that_are_small(
    rows: int,
    chunk: int,
    neighbors: int,
    workers: Cluster,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = np.load(source)[:rows]
    few[rows - 1] = few[1]
    np.save(tmp_path / "few.npy", few)
    (tmp_path / "alone").mkdir()
    settings = Settings(
        source=str(tmp_path / "few.npy"), out=tmp_path / "alone" / "bundle", neighbors=neighbors, density_k=5
    )
    build(settings)
    monkeypatch.setattr(tiles, "LEAST_CHUNK", chunk)
    sizes = np.diff(tiles.chunk_edges(rows))
    assert sizes.max() < neighbors
    assert (chunk == 1) == (sizes.max() == 1)
    build_at(tmp_path, tmp_path / "few.npy", neighbors=neighbors, density_k=5)
    assert contents(tmp_path / "bundle") == contents(tmp_path / "alone" / "bundle")


def test_commands_start_workers_and_end_them(
    source: Path, whole: dict[str, bytes], stacked: Path, swept: Path, tmp_path: Path
) -> None:
    """The environment is as it was: what Dask tells its workers by it is not what this process goes on with."""
    before = dict(os.environ)
    done = invoke("build_index.py", source, "--out", tmp_path / "bundle", "--workers", 2, "--threads", 1)
    assert done.code == 0, done.err
    assert contents(tmp_path / "bundle") == whole
    done = invoke(
        *("build_index.py", "--sweep", stacked, "--as", "bf16", "--out", tmp_path / "out", "--neighbors", 20),
        *("--workers", 1, "--json"),
    )
    assert [each["outcome"] for each in done.json] == ["built", "built", "built", "same", "failed"]
    assert_same_sweep(tmp_path / "out", swept)
    assert dict(os.environ) == before


# --- a worker that dies, or the build itself -------------------------------------------------------------------------


@two
def test_a_worker_that_dies_of_a_build_loses_nothing(
    workers: Cluster, source: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    kill = Once(lambda: os.kill(a_worker(), signal.SIGKILL))
    build_at(tmp_path, source, kill)
    assert kill.acted
    assert contents(tmp_path / "bundle") == whole


@two
def test_a_worker_that_dies_of_a_sweep_loses_nothing(
    workers: Cluster, stacked: Path, swept: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def told(done: Done) -> None:
        """Once a bundle is there, kill a process that builds another: its nanny starts the next one."""
        if done.built is not None and not killed and (busy := busy_worker(workers)):
            killed.append(busy)
            os.kill(busy, signal.SIGKILL)

    sweep_into(tmp_path / "out", stacked, told, workers=2)
    assert killed
    assert_same_sweep(tmp_path / "out", swept)


def busy_worker(workers: Cluster) -> int | None:
    """The process of a worker that has something to do."""
    tasks = workers.client.processing()
    processes = workers.client.run(os.getpid)
    return next((process for address, process in processes.items() if tasks.get(address)), None)


KILLED = """
import os, signal, sys
from pathlib import Path
from index.build import tiles
from index.build.build import build
from index.build.settings import Settings

def progress(step, done, total):
    if step.endswith("causal space") and "neighbors" in step and 2 * done > total:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    tiles.LEAST_CHUNK = int(sys.argv[3])
    build(Settings(source=sys.argv[1], out=Path(sys.argv[2]), threads=1), progress, workers=1)
"""


@two
def test_a_build_that_is_killed_goes_on_with_its_tiles(
    workers: Cluster, source: Path, tmp_path: Path, whole: dict[str, bytes], handed_out: list[str]
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(source), str(tmp_path / "bundle"), str(CHUNK)]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    done = done_steps(tmp_path)
    assert sum("nearest" in name for name in done) == 4  # all of stage 1
    build_at(tmp_path, source)
    assert not done.intersection(handed_out)
    assert contents(tmp_path / "bundle") == whole


# --- a worker that is slow, or that nobody can reach ------------------------------------------------------------------


@dataclass
class Stopper:
    """Stops a worker, which does nothing more then, and is not gone."""

    workers: Cluster
    stopped: int | None = None

    def stop(self, process: int) -> None:
        os.kill(process, signal.SIGSTOP)
        self.stopped = process

    def go_on(self) -> None:
        """Let it go on, and come to an end with what it was given."""
        if self.stopped is not None:
            os.kill(self.stopped, signal.SIGCONT)
        until = time.monotonic() + 30
        while not all(future.done() for future in self.workers.running) and time.monotonic() < until:
            time.sleep(0.05)


@pytest.fixture
def stopper(workers: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stopper]:
    monkeypatch.setattr(cluster, "SLOW_SECONDS", 0.5)
    found = Stopper(workers)
    yield found
    found.go_on()


@two
def test_nobody_waits_for_a_slow_worker_of_a_build(
    stopper: Stopper, source: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    """Another does what it was given."""
    build_at(tmp_path, source, Once(lambda: stopper.stop(a_worker())))
    assert stopper.stopped
    assert contents(tmp_path / "bundle") == whole
    stopper.go_on()
    assert contents(tmp_path / "bundle") == whole
    assert os.listdir(tmp_path) == ["bundle"]


@two
def test_nobody_waits_for_a_slow_worker_of_a_sweep(
    stopper: Stopper, stacked: Path, swept: Path, tmp_path: Path
) -> None:
    """Another builds the same, which is there once and whole, whenever the slow one goes on."""

    def told(done: Done) -> None:
        if done.built is not None and not stopper.stopped and (busy := busy_worker(stopper.workers)):
            stopper.stop(busy)

    sweep_into(tmp_path / "out", stacked, told, workers=2)
    assert stopper.stopped
    before = {path: path.stat().st_ino for path in (tmp_path / "out").glob("step*/manifest.json")}
    assert len(before) == 3
    stopper.go_on()
    assert_same_sweep(tmp_path / "out", swept)
    assert {path: path.stat().st_ino for path in before} == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_another_process_has_locked_is_built_aside(
    overwrite: bool, stacked: Path, swept: Path, tmp_path: Path
) -> None:
    """Whoever holds it may be cut off from the sweep, and never let go."""
    settings = Settings(out=tmp_path, neighbors=20, overwrite=overwrite)
    job = Job("step1", f"{stacked}[1]", settings, stacked, 1, "bf16")
    if overwrite:
        shutil.copytree(swept / "step0", job.folder)
    with FileLock(tmp_path / ".step1.lock"):
        built = together._build(job, str(tmp_path))
    assert built is not None
    assert built.folder == job.folder
    assert contents(job.folder) == contents(swept / "step1")
    assert sorted(os.listdir(tmp_path)) == [".step1.lock", "step1"]


def test_whose_bundle_is_whole_first_has_the_place(stacked: Path, swept: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(swept / "step0", tmp_path / name)
    number = (tmp_path / "first").stat().st_ino
    assert take_place(tmp_path / "first", tmp_path / "bundle", overwrite=False)
    assert not take_place(tmp_path / "second", tmp_path / "bundle", overwrite=False)
    assert (tmp_path / "bundle").stat().st_ino == number
    assert take_place(tmp_path / "second", tmp_path / "bundle", overwrite=True)
    assert (tmp_path / "bundle").stat().st_ino != number


def test_what_is_abandoned_is_removed_and_what_is_locked_stays(stacked: Path, swept: Path, tmp_path: Path) -> None:
    out = shutil.copytree(swept, tmp_path / "out")
    for name in (".step0.building", ".step1.building", ".aside-x"):
        (out / name / "bundle").mkdir(parents=True)
    with FileLock(out / ".step1.lock"):
        sweep_into(out, stacked)
        assert {name for name in os.listdir(out) if name not in os.listdir(swept)} == {".step1.building", ".step1.lock"}
    sweep_into(out, stacked)
    assert_same_sweep(out, swept)
