"""A single build on several processes: the bytes of one, whatever becomes of workers, scheduler and the build."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import ROOT
from interrupted import contents, uninterrupted

from index.build import cluster, tiles
from index.build.build import Built, build
from index.build.cluster import Cluster
from index.build.settings import Settings

pytestmark = pytest.mark.slow("starts processes, each of which imports all that a build needs")

CHUNK = 200


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(3)
    rows = random.normal(size=(1000, 16)).astype(np.float32)
    rows[300:320], rows[900], rows[5] = rows[7], rows[2], 0
    path = tmp_path_factory.mktemp("source") / "gamma.npy"
    np.save(path, rows)
    return path


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return uninterrupted(source, tmp_path_factory.mktemp("whole"))


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four chunks, and so ten tiles of each space."""
    monkeypatch.setattr(tiles, "LEAST_CHUNK", CHUNK)


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What workers were asked to do, in order."""
    names: list[str] = []
    original = Cluster.spread

    def spread(self: Cluster, work: Callable[..., None], items: Iterable[tiles.Step], **options: object) -> Iterator:
        wanted = list(items)
        names.extend(f"{each.plan.folder.name} {each.step.name}" for each in wanted)
        return original(self, work, wanted, **options)

    monkeypatch.setattr(Cluster, "spread", spread)
    return names


class Once:
    """A progress that does something once, in the middle of the search in causal space."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act, self.acted = act, False

    def __call__(self, step: str, done: int, total: int) -> None:
        if not self.acted and step.endswith("causal space") and "neighbors" in step and 3 * done > total:
            self.acted = True
            self.act()


def build_at(
    folder: Path, source: Path, progress: Callable[[str, int, int], None] | None = None, **who: object
) -> Built:
    settings = Settings(source=str(source), out=folder / "bundle", threads=1)
    return build(settings, progress or (lambda step, done, total: None), **who)  # type: ignore[arg-type]


def a_worker() -> int:
    """The process of one of the workers that this process has started."""
    children = psutil.Process().children()
    return next(child.pid for child in children if "spawn_main" in " ".join(child.cmdline()))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_build_the_bytes_of_one_process(
    workers: int, source: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    before = dict(os.environ)
    build_at(tmp_path, source, workers=workers)
    assert contents(tmp_path / "bundle") == whole
    assert os.listdir(tmp_path) == ["bundle"]
    assert dict(os.environ) == before


def test_a_worker_that_is_killed_loses_nothing(source: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    kill = Once(lambda: os.kill(a_worker(), signal.SIGKILL))
    build_at(tmp_path, source, kill, workers=2)
    assert kill.acted
    assert contents(tmp_path / "bundle") == whole


def test_nobody_waits_for_a_slow_worker(
    source: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that does nothing more, and is not gone: another does what it was given."""
    monkeypatch.setattr(cluster, "SLOW_SECONDS", 0.5)
    stopped: list[int] = []

    def stop() -> None:
        stopped.append(a_worker())
        os.kill(stopped[0], signal.SIGSTOP)

    def progress(step: str, done: int, total: int) -> None:
        once(step, done, total)
        if stopped and step == "writing":
            os.kill(stopped[0], signal.SIGCONT)  # so that it can be ended

    once = Once(stop)
    build_at(tmp_path, source, progress, workers=2)
    assert stopped
    assert contents(tmp_path / "bundle") == whole


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
    build(Settings(source=sys.argv[1], out=Path(sys.argv[2]), threads=1), progress, workers=2)
"""


def test_a_build_that_is_killed_goes_on_with_its_tiles(
    source: Path, tmp_path: Path, whole: dict[str, bytes], handed_out: list[str]
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(source), str(tmp_path / "bundle"), str(CHUNK)]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (folder,) = (tmp_path / ".bundle.building").glob("causal-*.tiles")
    done = {f"{folder.name} {path.name}" for path in folder.iterdir()}
    assert sum("nearest" in name for name in done) == 4  # all of stage 1
    build_at(tmp_path, source, workers=1)
    assert not done.intersection(handed_out)
    assert contents(tmp_path / "bundle") == whole


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def started(port: int) -> list[subprocess.Popen[bytes]]:
    """A scheduler at a port, and a worker of it."""
    address = f"tcp://127.0.0.1:{port}"
    commands = (
        ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)),
        ("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"),
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *command, "--no-dashboard"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    while processes[0].poll() is None:
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    return processes


def test_a_scheduler_that_restarts_loses_nothing(
    source: Path, tmp_path: Path, whole: dict[str, bytes], handed_out: list[str]
) -> None:
    port = free_port()
    processes = started(port)

    def restart() -> None:
        for process in processes:
            process.kill()
            process.wait()
        processes[:] = started(port)

    once = Once(restart)
    try:
        build_at(tmp_path, source, once, scheduler=f"tcp://127.0.0.1:{port}")
    finally:
        for process in processes:
            process.terminate()
            process.wait()
    assert once.acted
    assert len(handed_out) == len(set(handed_out))
    assert contents(tmp_path / "bundle") == whole


def test_a_scheduler_that_does_not_come_back_leaves_what_was_done(
    source: Path, tmp_path: Path, whole: dict[str, bytes], handed_out: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "RETURN_SECONDS", 1)
    port = free_port()
    processes = started(port)

    def end() -> None:
        for process in processes:
            process.kill()
            process.wait()
        monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)

    try:
        with pytest.raises(cluster.UnfinishedError, match=r"went away .* and did not come back for 1 s"):
            build_at(tmp_path, source, Once(end), scheduler=f"tcp://127.0.0.1:{port}")
    finally:
        end()
    (folder,) = (tmp_path / ".bundle.building").glob("causal-*.tiles")
    done = {f"{folder.name} {path.name}" for path in folder.iterdir()}
    handed_out.clear()
    build_at(tmp_path, source, workers=1)
    assert not done.intersection(handed_out)
    assert contents(tmp_path / "bundle") == whole
