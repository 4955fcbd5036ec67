"""Schedulers, workers and what befalls them; and what builds and sweeps are to be the same as."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
import trained
from conftest import ROOT
from interrupted import contents
from safetensors.numpy import save_file

from index.build.cluster import Cluster
from index.build.settings import Settings
from index.build.sweep import Done, sweep
from index.build.tiles import Step
from index.bundle.sweep import Sweep
from index.progress import Progress


def write_rows(folder: Path) -> Path:
    """A vocabulary with twins in one chunk and in two, and a row without direction."""
    rows = np.random.default_rng(3).normal(size=(1000, 16)).astype(np.float32)
    rows[300:320], rows[900], rows[5] = rows[7], rows[2], 0
    np.save(folder / "gamma.npy", rows)
    return folder / "gamma.npy"


def write_stack(folder: Path) -> Path:
    """Five steps, of which the third and the fourth are the same, and the last one is no matrix."""
    bits = trained.trained()[9:14].copy()
    bits[4, 0] = np.array(np.nan, np.float32).view(np.uint32) >> 16
    save_file({"W": bits}, folder / "stack.safetensors")
    return folder / "stack.safetensors"


def sweep_into(folder: Path, stack: Path, told: Callable[[Done], None] = lambda done: None, **who: object) -> Sweep:
    """Sweep a stack into a folder, by whom it is said."""
    return sweep(str(stack), Settings(out=folder, neighbors=20), bits="bf16", told=told, **who)  # type: ignore[arg-type]


def assert_same_sweep(found: Path, whole: Path) -> None:
    """Two sweeps have the same bytes, and one left nothing that the other did not."""
    assert sorted(os.listdir(found)) == sorted(os.listdir(whole))
    assert (found / "sweep.json").read_bytes() == (whole / "sweep.json").read_bytes()
    for folder in sorted(whole.glob("step*")):
        assert contents(found / folder.name) == contents(folder)


def handed_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What workers are asked to do for a graph from now on, in order."""
    names: list[str] = []
    original = Cluster.spread

    def spread(self: Cluster, work: Callable[..., None], items: Iterable[Step], progress: Progress) -> Iterator:
        wanted = list(items)
        names.extend(f"{each.plan.folder.name} {each.step.name}" for each in wanted)
        return original(self, work, wanted, progress)

    monkeypatch.setattr(Cluster, "spread", spread)
    return names


def done_steps(folder: Path) -> set[str]:
    """What workers have done of the causal space of a build that did not end."""
    (found,) = (folder / ".bundle.building").glob("causal-*.tiles")
    return {f"{found.name} {path.name}" for path in found.iterdir()}


def a_worker() -> int:
    """The process of one of the workers that this process has started."""
    children = psutil.Process().children()
    return next(child.pid for child in children if "spawn_main" in " ".join(child.cmdline()))


class Once:
    """A progress that does something once, in the middle of the search in causal space."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act, self.acted = act, False

    def __call__(self, step: str, done: int, total: int) -> None:
        if not self.acted and step.endswith("causal space") and "neighbors" in step and 3 * done > total:
            self.acted = True
            self.act()


@dataclass
class Scheduler:
    """A scheduler in a process of its own, and a worker of it."""

    port: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)  # all that were started
    scheduler: subprocess.Popen[bytes] | None = None  # the last of them

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start a scheduler, at the port of the one before, and a worker."""
        if not self.port:
            with socket.socket() as listening:
                listening.bind(("127.0.0.1", 0))
                self.port = int(listening.getsockname()[1])
        self.scheduler = self._run(
            "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port)
        )
        self._run("-m", "distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-nanny")
        while self.scheduler.poll() is None:
            with socket.socket() as asking:
                if asking.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.1)

    def start_worker(self, code: str) -> None:
        """Start another worker, by a code that reads its command line, and wait until it is known."""
        from distributed import Client

        with Client(self.address) as client:
            known = len(client.nthreads())
            self._run("-c", code, self.address, "--nthreads", "1", "--no-nanny")
            client.wait_for_workers(known + 1, timeout=60)

    def kill(self) -> None:
        """End the scheduler at once; its worker is left to itself."""
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()

    def end(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.kill()
            process.wait()

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, *command, "--no-dashboard"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.processes.append(subprocess.Popen(arguments, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL))
        return self.processes[-1]
