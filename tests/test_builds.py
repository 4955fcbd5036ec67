"""Builds that are killed, fail, or run twice at once: the old bundle stays, or the new one is there as a whole."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, invoke
from interrupted import StepError, V, contents, kill, rebuild, stop

import index
from index.build import place as workplace
from index.build.build import build
from index.build.place import building
from index.build.settings import Settings
from index.errors import BundleError
from index.geometry.maps import Geometry

CAUSAL, COSINE, ANGLE = Geometry


# --- killed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "done", "reused"),
    [
        ("measuring the metric", 1, ()),
        ("mapping into cosine space", 1, (CAUSAL, ANGLE)),
        ("100 neighbors in causal and causal-cosine spaces", V, (CAUSAL,)),
        ("100 neighbors in cosine space", V, (CAUSAL, ANGLE)),
        ("writing", 1, (CAUSAL, COSINE, ANGLE)),
    ],
)
def test_a_killed_build(
    step: str, done: int, reused: tuple[Geometry, ...], source: Path, target: Path, old: Path, whole: dict[str, bytes]
) -> None:
    kill(source, target, step, done)
    assert contents(target) == contents(old)
    assert index.open(target).neighbors("#5").to_pandas().equals(index.open(old).neighbors("#5").to_pandas())
    left = target.with_name(".bundle.building")
    with pytest.raises(BundleError, match="no bundle in"):
        index.open(left)
    assert rebuild(source, target).reused == reused
    assert contents(target) == whole
    assert os.listdir(target.parent) == ["bundle"]


def test_killed_once_the_new_bundle_is_in_place(source: Path, target: Path, whole: dict[str, bytes]) -> None:
    kill(source, target, "replaced", 0)
    assert contents(target) == whole
    assert target.with_name(".bundle.building").exists()
    # What is left are the old bundle's files, under the new one's records. Its ridge made no difference to one space.
    assert rebuild(source, target).reused == (COSINE,)
    assert contents(target) == whole
    assert os.listdir(target.parent) == ["bundle"]


def test_killed_between_the_renames_of_a_file_system_that_cannot_exchange(source: Path, target: Path) -> None:
    before = contents(target)
    target.rename(target.with_name(".bundle.replaced"))
    with pytest.raises(BundleError, match="exists; pass overwrite=True"):
        build(Settings(source=str(source), out=target))
    assert contents(target) == before
    shutil.copytree(target, target.with_name(".bundle.replaced"))  # killed after them
    rebuild(source, target)
    assert os.listdir(target.parent) == ["bundle"]


def test_an_error_leaves_nothing(source: Path, target: Path, old: Path) -> None:
    with pytest.raises(StepError):
        stop(source, target, error=StepError)
    assert contents(target) == contents(old)
    assert os.listdir(target.parent) == ["bundle"]


# --- two at once, and one step -----------------------------------------------------------------------------------


def test_a_second_build_of_the_same_bundle_is_refused(source: Path, target: Path) -> None:
    with building(target, overwrite=True) as place:
        shutil.copytree(target, place.bundle, dirs_exist_ok=True)
        outcome = invoke("build_index.py", source, "--out", target, "--overwrite")
        assert (outcome.code, outcome.err) == (
            2,
            f"error: {target} is being built by another process; wait for it, or pass another --out\n",
        )
    assert os.listdir(target.parent) == ["bundle"]


@pytest.mark.slow("two builds at once, each a process")
def test_of_two_builds_at_once_one_wins(source: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    command = [sys.executable, str(ROOT / "build_index.py"), str(source), "--out", str(tmp_path / "bundle")]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    said = {process.returncode: err.decode() for process in both for err in [process.communicate()[1]]}
    assert sorted(said) == [0, 2]
    assert "is being built by another process" in said[2] or "exists; pass --overwrite" in said[2]
    assert contents(tmp_path / "bundle") == whole
    assert os.listdir(tmp_path) == ["bundle"]


@contextmanager
def readers(target: Path) -> Iterator[list[Exception]]:
    """Open a bundle again and again in a thread while the block runs; collects what went wrong."""
    failures: list[Exception] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            try:
                index.open(target)
            except (BundleError, OSError) as error:
                failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield failures
    finally:
        ended.set()
        thread.join()


def replace(target: Path, times: int) -> None:
    kept = shutil.copytree(target, target.with_name("kept"))
    for _ in range(times):
        with building(target, overwrite=True) as place:
            shutil.copytree(kept, place.bundle, dirs_exist_ok=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no exchange of two folders")
def test_a_bundle_is_there_at_every_moment(target: Path) -> None:
    with readers(target) as failures:
        replace(target, 60)
    assert failures == []


def test_without_an_exchange_a_reader_would_see_it(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_two_steps(one: Path, other: Path) -> bool:
        other.rename(one.with_name("aside"))
        time.sleep(0.02)
        one.rename(other)
        return True

    monkeypatch.setattr(workplace, "exchange", in_two_steps)
    with readers(target) as failures:
        replace(target, 5)
    assert failures


def test_a_replacement_that_fails_half_way_is_undone(
    source: Path, target: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workplace, "exchange", lambda one, other: False)
    rename = Path.rename

    def failing(path: Path, to: Path) -> Path:
        if path.name == "bundle" and path.parent.name == ".bundle.building":
            raise OSError(5, "Input/output error")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(BundleError, match="cannot be written"):
        rebuild(source, target)
    assert contents(target) == contents(old)
    assert os.listdir(target.parent) == ["bundle"]


def test_a_linked_target_is_replaced_where_it_lies(source: Path, target: Path) -> None:
    link = target.with_name("link")
    link.symlink_to(target)
    rebuild(source, link)
    assert link.is_symlink()
    assert json.loads((target / "manifest.json").read_text())["metric"]["ridge"] == 1e-6
    assert sorted(os.listdir(target.parent)) == ["bundle", "link"]
