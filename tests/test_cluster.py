"""A Dask scheduler in a process of its own: the bytes of one process, whatever becomes of the scheduler."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import clusters
import pytest
from clusters import Once, Scheduler, assert_same_sweep, done_steps, sweep_into
from conftest import invoke
from interrupted import contents, uninterrupted

from index.build import cluster, tiles
from index.build.build import build
from index.build.settings import Settings
from index.build.sweep import Done
from index.errors import ParameterError

pytestmark = pytest.mark.slow("starts processes, each of which imports all that a build needs")


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
def scheduler() -> Iterator[Scheduler]:
    found = Scheduler()
    found.start()
    yield found
    found.end()


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four chunks of the points that are no twins, and so ten tiles of each space."""
    monkeypatch.setattr(tiles, "LEAST_CHUNK", 200)


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return clusters.handed_out(monkeypatch)


def inodes(folder: Path) -> dict[str, int]:
    """Which files the bundles of a sweep have: one that is built anew has others."""
    return {path.parent.name: path.stat().st_ino for path in folder.glob("step*/manifest.json")}


def test_a_sweep_loses_nothing_when_the_scheduler_restarts(
    scheduler: Scheduler, stacked: Path, swept: Path, tmp_path: Path
) -> None:
    """The worker of the one before may still be at work, with the lock of what it builds."""
    before: dict[str, int] = {}
    told: list[Done] = []

    def tell(done: Done) -> None:
        told.append(done)
        if done.built is not None and not before:
            before.update(inodes(tmp_path / "out"))
            scheduler.kill()
            scheduler.start()

    sweep_into(tmp_path / "out", stacked, tell, scheduler=scheduler.address)
    assert before
    assert sorted(done.step.name for done in told) == [f"step{number}" for number in range(5)]
    assert_same_sweep(tmp_path / "out", swept)
    assert before.items() <= inodes(tmp_path / "out").items()
    # And all that is there is kept by the next run.
    told.clear()
    after = inodes(tmp_path / "out")
    sweep_into(tmp_path / "out", stacked, told.append, scheduler=scheduler.address)
    assert all(done.built is None for done in told)
    assert inodes(tmp_path / "out") == after
    assert_same_sweep(tmp_path / "out", swept)


def test_a_build_loses_nothing_when_the_scheduler_restarts(
    scheduler: Scheduler, source: Path, tmp_path: Path, whole: dict[str, bytes], handed_out: list[str]
) -> None:

    def restart() -> None:
        scheduler.kill()
        scheduler.start()

    once = Once(restart)
    settings = Settings(source=str(source), out=tmp_path / "bundle", threads=1)
    build(settings, once, scheduler=scheduler.address)
    assert once.acted
    assert len(handed_out) == len(set(handed_out))
    assert contents(tmp_path / "bundle") == whole


def test_a_scheduler_that_does_not_come_back_leaves_what_was_done(
    scheduler: Scheduler, source: Path, tmp_path: Path, whole: dict[str, bytes], handed_out: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(cluster, "RETURN_SECONDS", 1)

    def end() -> None:
        scheduler.kill()
        monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)

    settings = Settings(source=str(source), out=tmp_path / "bundle", threads=1)
    with pytest.raises(cluster.UnfinishedError, match=r"went away .* and did not come back for 1 s"):
        build(settings, Once(end), scheduler=scheduler.address)
    done = done_steps(tmp_path)
    handed_out.clear()
    scheduler.start()
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 15)
    build(settings, scheduler=scheduler.address)
    assert not done.intersection(handed_out)
    assert contents(tmp_path / "bundle") == whole


def test_who_is_waited_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler until it answers, and a worker until there is one."""
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.0)
    refusals = [OSError("refused"), OSError("refused")]

    class Client:
        threads: ClassVar = {"a": 0}

        def close(self, timeout: float) -> None:
            pass

        def nthreads(self) -> dict[str, int]:
            return self.threads

    def connect() -> Client:
        if refusals:
            raise refusals.pop()
        return Client()

    said: list[tuple[str, int, int]] = []
    found = cluster.Cluster(connect, "tcp://x:1", 1, Client())
    found._reconnect(OSError("gone"), lambda *told: said.append(told))
    assert said == [("waiting for the scheduler tcp://x:1", done, 1) for done in (0, 1)]
    said.clear()
    for threads in (0, 0, 1, 1):
        Client.threads["a"] = threads
        found._hand_out(str, deque(), lambda *told: said.append(told))
    assert said == [("waiting for a worker of tcp://x:1", done, 1) for done in (0, 0, 1)]


def test_a_client_that_gave_up_by_itself_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask closes one that was not answered for a while, which is no reason to end."""

    class Closed:
        status = "closed"

        def close(self, timeout: float) -> None:
            pass

        def nthreads(self) -> dict[str, int]:
            raise RuntimeError("ConnectionPool is closed")

    class Broken(Closed):
        status = "running"

    found = cluster.Cluster(Broken, "tcp://x:1", 1, Closed())
    with pytest.raises(RuntimeError):
        list(found.spread(str, [1], lambda *told: None))
    assert isinstance(found.client, Broken)


def test_a_worker_without_logoscope_is_named(scheduler: Scheduler, source: Path, tmp_path: Path) -> None:
    scheduler.start_worker(
        "import sys; sys.modules['index'] = None; from distributed.cli.dask_worker import main; main()"
    )
    done = invoke("build_index.py", source, "--out", tmp_path / "bundle", "--scheduler", scheduler.address)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert f"--scheduler {scheduler.address} has a worker, tcp://127.0.0.1:" in done.err
    assert "without logoscope: " in done.err


class Failed:
    """A future that ended in an error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def exception(self) -> BaseException:
        return self.error


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'index'"),
        AttributeError("Can't get attribute 'do' on <module 'index.build.tiles'>"),
        RuntimeError("Error during deserialization of the task graph. This frequently\n occurs if"),
    ],
)
def test_workers_without_logoscope_are_told_of(error: Exception) -> None:
    with pytest.raises(cluster.UnfinishedError, match="has not the same logoscope, or not the same libraries: "):
        cluster._made(Failed(error))


def test_what_is_wrong_is_said_in_one_line(stacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.build.cluster.CONNECT_SECONDS", 1)
    swept = ("--sweep", stacked, "--as", "bf16", "--out", tmp_path / "out")
    for arguments, words in (
        ((*swept, "--workers", 0), "--workers must be from 1 to 256, got: 0"),
        ((*swept, "--workers", 2, "--scheduler", "tcp://127.0.0.1:9"), "leave --workers out"),
        ((*swept, "--scheduler", "tcp://127.0.0.1:9"), "--scheduler tcp://127.0.0.1:9 does not answer"),
        (("--out", tmp_path / "one", "--workers", 0), "--workers must be from 1 to 256, got: 0"),
        (("--out", tmp_path / "one", "--scheduler", "tcp://127.0.0.1:9"), "--scheduler tcp://127.0.0.1:9 does not"),
    ):
        done = invoke("build_index.py", *arguments)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert words in done.err
    with pytest.raises(ParameterError, match="workers must be from 1"):
        sweep_into(tmp_path / "out", stacked, workers=-1)
