"""System calls that fail during a build, and power cuts after one: each kind that the long runs have found.

The long runs, over every call with every error and every cut, are `benchmarks/faults.py` and `benchmarks/power.py`.
"""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import safetensors.numpy
from conftest import invoke
from interrupted import contents, rebuild

from index.build import disk
from index.build import place as workplace
from index.build.build import build
from index.build.settings import Settings
from index.bundle import write as writer
from index.errors import BundleError, SourceError
from index.files import open_file
from index.sources.matrix import read_matrix
from index.tokens.tokenizer import parse_tokenizer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits, and folders that are synced, of Unix")


def raising(number: int, *named: str) -> Callable[..., Any]:
    """A function that fails as a system call does."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), *named)

    return fail


# --- a file that cannot be opened is not called a bad one ----------------------------------------------------------


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let every open fail, as where too many files are open."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


TOO_MANY = "cannot be read: Too many open files; close some files, or raise the limit on open ones"


def test_a_source_that_cannot_be_opened(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "gamma.safetensors"
    safetensors.numpy.save_file({"gamma": np.eye(4, dtype=np.float32)}, path)
    array, tensors = open_file(source), open_file(path)
    for file in (array, tensors):
        read_matrix(file, ("gamma",))  # with what is imported for it
    with no_more_files():
        with pytest.raises(SourceError, match=f"gamma.npy {TOO_MANY}"):
            open_file(source)
        with pytest.raises(SourceError, match=f"gamma.npy {TOO_MANY}"):
            read_matrix(array, ("gamma",))
        with pytest.raises(SourceError, match="safetensors: it was removed, or too many files are open"):
            read_matrix(tensors, ("gamma",))


def test_a_tokenizer_where_too_many_files_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    content = models.word_tokenizer(5).to_str().encode()
    monkeypatch.setattr("index.tokens.tokenizer.open", raising(errno.EMFILE, os.devnull), raising=False)
    with pytest.raises(SourceError, match=f"tokenizer.json {TOO_MANY}"):
        parse_tokenizer(content, Path("tokenizer.json"))


def test_an_approximate_index_that_cannot_be_opened(tmp_path: Path) -> None:
    """FAISS raises a RuntimeError of its own, which a build would not have told from a fault of the program."""
    import faiss

    index = faiss.IndexFlatL2(3)
    index.add(np.eye(3, dtype=np.float32))
    writer.save_index(tmp_path / "three.faiss", index)
    found = writer.read_index(tmp_path / "three.faiss")
    assert found.reconstruct_n(0, 3).tolist() == np.eye(3).tolist()
    with no_more_files(), pytest.raises(OSError, match="Too many open files"):
        writer.read_index(tmp_path / "three.faiss")


# --- a build that fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "number", "said"),
    [
        ("version", errno.EIO, "{target} cannot be built: METADATA: Input/output error; see whether the disk fails"),
        ("describe", errno.EMFILE, "{target} cannot be built: METADATA: Too many open files; close some files, or "),
        ("find_space", errno.ENOMEM, "{target} cannot be built: METADATA: Cannot allocate memory; free some memory"),
        ("keep_space", errno.ENOSPC, "{target} cannot be built: METADATA: No space left on device; make room"),
    ],
)
def test_whatever_the_system_refuses_is_one_line(
    step: str, number: int, said: str, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(target)
    monkeypatch.setattr(f"index.build.build.{step}", raising(number, "METADATA"))
    found = invoke("build_index.py", source, "--out", target, "--overwrite")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert found.err.startswith(f"error: {said.format(target=target)}")
    assert contents(target) == before
    assert os.listdir(target.parent) == ["bundle"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EIO, "Input/output error; see whether the disk fails, or pass another out"),
        (errno.EMFILE, "Too many open files; close some files, or raise the limit on open ones (ulimit -n), or pass "),
        (errno.ENOSPC, "No space left on device; it needs 1.000 MB, and the disk of "),
        (None, "error closing file; pass another out"),  # as Arrow says it of a file that cannot be closed
    ],
)
def test_room_is_asked_for_only_where_it_lacks(number: int | None, advice: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as error, writer.saving(tmp_path / "causal.faiss", 1_000_000):
        raise OSError("error closing file") if number is None else OSError(number, os.strerror(number))
    assert str(error.value).startswith(f"causal.faiss cannot be written: {advice}")


# --- power cuts ----------------------------------------------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What a build syncs, renames and removes, in order, with the path; the files of a folder are not listed."""
    found: list[tuple[str, Path]] = []

    def listed(where: Any, name: str, said: str) -> None:
        real = getattr(where, name)

        def call(path: Path, *more: Any, **options: Any) -> Any:
            found.append((said, Path(path)))
            return real(path, *more, **options)

        monkeypatch.setattr(where, name, call)

    listed(workplace, "sync_folder", "sync")
    listed(disk, "sync_folder", "sync")
    listed(workplace, "exchange", "exchange")
    listed(workplace.shutil, "rmtree", "remove")
    listed(Path, "rename", "rename")
    return found


@pytest.mark.parametrize("exchanged", [True, False])
def test_nothing_is_removed_before_the_disk_knows_what_is_in_place(
    exchanged: bool,
    source: Path,
    target: Path,
    whole: dict[str, bytes],
    steps: list[tuple[str, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not exchanged:
        monkeypatch.setattr(workplace, "exchange", lambda one, other: False)
    rebuild(source, target)
    building, replaced = (target.with_name(f".bundle.{role}") for role in ("building", "replaced"))
    renamed = (
        [("exchange", building / "bundle")] if exchanged else [("rename", target), ("rename", building / "bundle")]
    )
    expected = [("sync", building / "bundle"), *renamed, ("sync", target.parent), ("remove", building)]
    assert steps == [*expected, ("remove", replaced)]
    assert contents(target) == whole
    assert os.listdir(target.parent) == ["bundle"]


@pytest.mark.parametrize("left", ["building", "replaced"])
def test_what_a_killed_build_replaced_is_not_removed_before_either(
    left: str, source: Path, target: Path, steps: list[tuple[str, Path]]
) -> None:
    shutil.copytree(target, target.with_name(f".bundle.{left}"))
    rebuild(source, target)
    assert steps[0] == ("sync", target.parent)
    assert os.listdir(target.parent) == ["bundle"]


def test_a_lock_that_cannot_be_given_back_fails_no_build(
    source: Path, target: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workplace.FileLock, "release", raising(errno.ENOLCK))
    rebuild(source, target)
    assert contents(target) == whole
    assert os.listdir(target.parent) == ["bundle"]


def test_new_folders_are_on_the_disk(source: Path, tmp_path: Path, steps: list[tuple[str, Path]]) -> None:
    build(Settings(source=str(source), out=tmp_path / "some" / "where" / "bundle"))
    assert steps[:2] == [("sync", tmp_path / "some"), ("sync", tmp_path)]


def test_a_disk_that_does_not_confirm_the_new_bundle(
    source: Path, target: Path, old: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then neither is removed: which one a power cut would leave in place is not known."""
    with monkeypatch.context() as patch:
        patch.setattr(workplace, "sync_folder", raising(errno.EIO))
        found = invoke("build_index.py", source, "--out", target, "--overwrite")
    assert (found.code, found.err) == (
        2,
        f"error: {target} is built and in place, but the disk did not confirm it: Input/output error; see whether the "
        "disk fails; a power cut may undo it, so what was there before is kept beside it until the next build\n",
    )
    assert contents(target) == whole
    assert contents(target.with_name(".bundle.building") / "bundle") == contents(old)
    rebuild(source, target)
    assert contents(target) == whole
    assert os.listdir(target.parent) == ["bundle"]
