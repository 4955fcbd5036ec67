"""Builds that are killed or stopped at a chosen step, and what they leave."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from conftest import ROOT

from index.build.build import Built, build
from index.build.settings import Settings

V, D = 600, 16

KILLED = """
import os, signal, sys
from pathlib import Path
from index.build import place as workplace
from index.build.build import build
from index.build.settings import Settings

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def progress(step, done, total):
    if (step, done) == (sys.argv[3], int(sys.argv[4])):
        die()

if sys.argv[3] == "replaced":
    workplace.shutil.rmtree = die
build(Settings(source=sys.argv[1], out=Path(sys.argv[2]), overwrite=True), progress)
"""
"""A build that kills itself at one call of its progress, or once the old bundle has given up its place."""


def write_source(folder: Path) -> Path:
    """A vocabulary small enough to be built in a blink."""
    path = folder / "gamma.npy"
    np.save(path, np.random.default_rng(3).normal(size=(V, D)).astype(np.float32))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file, but for what the manifest says of the time and of itself."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    manifest = json.loads(found["manifest.json"])
    del manifest["build_seconds"], manifest["checksum"]
    return found | {"manifest.json": json.dumps(manifest).encode()}


def uninterrupted(source: Path, folder: Path) -> dict[str, bytes]:
    """The files of a build that nothing interrupts."""
    build(Settings(source=str(source), out=folder / "bundle"))
    return contents(folder / "bundle")


def another(source: Path, folder: Path) -> Path:
    """A bundle of the same rows with other distances."""
    build(Settings(source=str(source), out=folder / "bundle", ridge=0.5))
    return folder / "bundle"


def kill(source: Path, target: Path, step: str, done: int) -> None:
    command = [sys.executable, "-c", KILLED, str(source), str(target), step, str(done)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def rebuild(source: Path, target: Path, **options: object) -> Built:
    return build(Settings(source=str(source), out=target, overwrite=True, **options))  # type: ignore[arg-type]


class StepError(Exception):
    """Raised out of a build's progress."""


FIRST_DONE = ("100 neighbors in causal and causal-cosine spaces", V)
CAUSAL_DONE = ("mapping into cosine space", 0)
ALL_DONE = ("writing", 0)
"""The calls of a build's progress at which its first space is finished, its two causal ones, and all three."""


def stop(
    source: Path, target: Path, at: tuple[str, int] = CAUSAL_DONE, error: type[BaseException] = KeyboardInterrupt
) -> None:
    """Build, and raise an error at a call of the progress."""

    def progress(step: str, done: int, total: int) -> None:
        if (step, done) == at:
            raise error

    build(Settings(source=str(source), out=target, overwrite=True), progress)
