"""A sweep on several processes: the same bytes as on one, whatever becomes of the workers."""

import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
import trained
from conftest import invoke
from interrupted import contents
from safetensors.numpy import save_file

from index.build.cluster import environment_kept
from index.build.settings import Settings
from index.build.sweep import Done, sweep
from index.errors import ParameterError

pytestmark = pytest.mark.slow("starts processes, each of which imports all that a build needs")


@pytest.fixture(scope="module")
def stacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stack") / "stack.safetensors"
    bits = trained.trained()[9:14].copy()  # the third and the fourth are the same
    bits[4, 0] = np.array(np.nan, np.float32).view(np.uint32) >> 16  # and the last one is no matrix
    save_file({"W": bits}, path)
    return path


@pytest.fixture(scope="module")
def whole(stacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "out"
    sweep(str(stacked), Settings(out=folder, neighbors=20), bits="bf16")
    return folder


def assert_same(found: Path, whole: Path) -> None:
    assert sorted(os.listdir(found)) == sorted(os.listdir(whole))
    assert (found / "sweep.json").read_bytes() == (whole / "sweep.json").read_bytes()
    for folder in sorted(whole.glob("step*")):
        assert contents(found / folder.name) == contents(folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_build_the_bytes_of_one_process(workers: int, stacked: Path, whole: Path, tmp_path: Path) -> None:
    told: list[Done] = []
    settings = Settings(out=tmp_path / "out", neighbors=20)
    record = sweep(str(stacked), settings, bits="bf16", workers=workers, told=told.append)
    assert [step.built for step in record.steps] == [True, True, True, True, False]
    assert sorted(done.step.name for done in told) == [f"step{number}" for number in range(5)]
    assert sum(done.built is not None for done in told) == 3
    assert_same(tmp_path / "out", whole)


def test_the_environment_is_as_it_was(stacked: Path, tmp_path: Path) -> None:
    """What Dask tells its workers by it, one thread of BLAS for one, is not what this process goes on with."""
    before = dict(os.environ)
    sweep(str(stacked), Settings(out=tmp_path / "out", neighbors=20), bits="bf16", workers=1)
    assert dict(os.environ) == before


def test_a_worker_that_is_killed_loses_nothing(stacked: Path, whole: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def told(done: Done) -> None:
        """Once a bundle is there, kill a process that builds another: the nanny of a worker starts the next one."""
        if done.built is None or killed:
            return
        for worker in psutil.Process().children():
            if "spawn_main" in " ".join(worker.cmdline()):
                killed.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)
                return

    sweep(str(stacked), Settings(out=tmp_path / "out", neighbors=20), bits="bf16", workers=2, told=told)
    assert killed
    assert_same(tmp_path / "out", whole)


def test_a_scheduler_of_its_own_is_asked_and_what_was_done_is_kept(stacked: Path, whole: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    settings = Settings(out=tmp_path / "out", neighbors=20)
    with (
        environment_kept(),
        LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
    ):
        sweep(str(stacked), settings, bits="bf16", scheduler=cluster.scheduler_address)
        assert_same(tmp_path / "out", whole)
        told: list[Done] = []
        sweep(str(stacked), settings, bits="bf16", scheduler=cluster.scheduler_address, told=told.append)
    assert all(done.built is None for done in told)
    assert_same(tmp_path / "out", whole)


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
        sweep(str(stacked), Settings(out=tmp_path / "out"), bits="bf16", workers=-1)
