"""Builds that go on where they stopped: what is used again, and what never is."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import invoke
from interrupted import ALL_DONE, CAUSAL_DONE, FIRST_DONE, contents, rebuild, stop

import index.build.build
from index.build.build import build
from index.build.place import Stopped
from index.build.settings import Settings
from index.geometry.maps import Geometry

CAUSAL, COSINE, ANGLE = Geometry


# --- going on ----------------------------------------------------------------------------------------------------


def test_a_finished_space_is_not_built_again(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stopped):
        stop(source, tmp_path / "bundle")
    built: list[Geometry] = []
    original = index.build.build.build_space

    def counted(folder: Path, geometry: Geometry, *rest: object) -> object:
        built.append(geometry)
        return original(folder, geometry, *rest)

    monkeypatch.setattr(index.build.build, "build_space", counted)
    assert rebuild(source, tmp_path / "bundle").reused == (CAUSAL, ANGLE)
    assert built == [COSINE]


@pytest.mark.parametrize(
    ("options", "reused"),
    [
        ({}, (CAUSAL, COSINE, ANGLE)),
        ({"threads": 1}, (CAUSAL, COSINE, ANGLE)),
        ({"density_k": 10}, (CAUSAL, COSINE, ANGLE)),
        ({"ridge": 0.1}, (COSINE,)),
        ({"neighbors": 50}, ()),
        ({"sample": "500"}, ()),
        ({"index_factories": ("Flat",)}, ()),
    ],
    ids=str,
)
def test_what_is_used_again(
    options: dict[str, object], reused: tuple[Geometry, ...], source: Path, tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        stop(source, tmp_path / "bundle", ALL_DONE)
    assert rebuild(source, tmp_path / "bundle", **options).reused == reused
    rebuild(source, tmp_path / "fresh", **options)
    fresh = contents(tmp_path / "fresh") | {"manifest.json": b""}
    assert contents(tmp_path / "bundle") | {"manifest.json": b""} == fresh or "index_factories" in options


def test_another_model_and_other_libraries_use_nothing_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        stop(source, tmp_path / "bundle")
    kept = shutil.copytree(tmp_path / ".bundle.building", tmp_path / "kept")
    other = np.load(source)
    other[7, 3] += 1
    np.save(tmp_path / "other.npy", other)
    assert rebuild(tmp_path / "other.npy", tmp_path / "bundle").reused == ()
    shutil.move(kept, tmp_path / ".bundle.building")
    monkeypatch.setattr(index.build.build, "version", lambda library: "0")
    assert rebuild(source, tmp_path / "bundle").reused == ()


@pytest.mark.parametrize("name", ["causal.faiss", "causal.ids.npy", "causal.distinct_distances.npy"])
def test_a_damaged_space_is_built_again(name: str, source: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    with pytest.raises(Stopped):
        stop(source, tmp_path / "bundle")
    path = tmp_path / ".bundle.building" / "bundle" / name
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert rebuild(source, tmp_path / "bundle").reused == (ANGLE,)
    assert contents(tmp_path / "bundle") == whole


@pytest.mark.parametrize("record", ["{", "[]", '{"inputs": {}, "files": {"../../x": ""}, "facts": {}}', "[" * 100_000])
def test_a_strange_record_is_removed(record: str, source: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    with pytest.raises(Stopped):
        stop(source, tmp_path / "bundle")
    (tmp_path / ".bundle.building" / "causal.json").write_text(record)
    (tmp_path / "x").write_text("not of this build")
    assert rebuild(source, tmp_path / "bundle").reused == (ANGLE,)
    assert contents(tmp_path / "bundle") == whole
    assert (tmp_path / "x").exists()


# --- stopped and failed ------------------------------------------------------------------------------------------


def test_a_stopped_build_says_what_it_keeps(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[Stopped] = []
    for number, at in enumerate((FIRST_DONE, CAUSAL_DONE)):
        with pytest.raises(Stopped) as caught:
            stop(source, tmp_path / str(number) / "bundle", at)
        stopped.append(caught.value)
        assert caught.value.folder == tmp_path / str(number) / ".bundle.building"
        assert os.listdir(tmp_path / str(number)) == [".bundle.building"]
    assert [each.kept for each in stopped] == [("causal",), ("causal", "causal_cosine")]

    def again(*_: object, **__: object) -> None:
        raise stopped.pop()

    stopped.append(Stopped(stopped[0].folder, (), tiles=True))

    monkeypatch.setattr("index.build.build.build", again)
    for said in (
        "0 of 3 spaces are kept, and tiles of the next, for the next run, in ",
        "2 of 3 spaces are kept for the next run, in ",
        "1 of 3 spaces is kept for the next run, in ",
    ):
        folder = stopped[-1].folder
        outcome = invoke("build_index.py", source, "--out", tmp_path / "bundle")
        assert outcome.code == 130
        assert outcome.err == f"stopped: {said}{folder}\n"


def test_stopped_before_a_space_was_finished(source: Path, tmp_path: Path) -> None:
    def progress(step: str, done: int, total: int) -> None:
        if step.startswith("100 neighbors"):
            raise KeyboardInterrupt

    with pytest.raises(Stopped) as caught:
        build(Settings(source=str(source), out=tmp_path / "bundle"), progress)
    assert caught.value.kept == ()
    assert os.listdir(tmp_path) == []


def test_the_rerun_says_what_was_kept(source: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        stop(source, tmp_path / "bundle")
    outcome = invoke("build_index.py", source, "--out", tmp_path / "bundle")
    assert "kept from a build that did not end: causal, causal-cosine\n" in outcome.err
