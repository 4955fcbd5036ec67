"""Damage is seen before an answer: flipped bits, files cut off, files of another bundle, and what no writer writes.

The long run, over thousands of places, is `benchmarks/damage.py`; this is the same with few.
"""

import errno
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import invoke

import index
from benchmarks import damage
from index.bundle.bundle import Bundle, open_bundle
from index.bundle.checksums import BLOCK_BYTES, Checksums, seal
from index.errors import BundleError

ALLOWED = {"same answer", "refused"}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return damage.two_bundles(tmp_path_factory.mktemp("damage"))


@pytest.fixture
def copy(bundles: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundles[0], tmp_path / "copy"))


@pytest.mark.slow("asks every question after each of 20 flips")
def test_every_flipped_bit_is_seen(bundles: tuple[Path, Path]) -> None:
    found = Counter(outcome for _, outcome, _ in damage.flips(bundles[0], 20, seed=1))
    assert set(found) == ALLOWED, found


def test_every_cut_is_seen(bundles: tuple[Path, Path]) -> None:
    found = Counter(outcome for _, outcome, _ in damage.cuts(bundles[0], 1, seed=1))
    assert set(found) == {"refused"}, found


def test_files_of_another_bundle_are_seen(bundles: tuple[Path, Path]) -> None:
    outcomes = list(damage.swaps(*bundles))
    assert {outcome for _, outcome, _ in outcomes} == ALLOWED
    assert {file for file, outcome, _ in outcomes if outcome == "refused"} >= {
        "causal.faiss",
        "cosine.ids.npy",
        "gamma.safetensors",
        "manifest.json",
        "tokens.parquet",
    }


def test_a_question_reads_on_past_damage_it_does_not_touch(bundles: tuple[Path, Path]) -> None:
    """Only the block that is read is checked: the last rows' damage does not concern the first."""
    bundle = bundles[0]
    points = bundle / "causal.faiss"
    assert points.stat().st_size > 2 * BLOCK_BYTES
    with damage.flipped(points, points.stat().st_size - 1, 3):
        opened = index.open(bundle)
        assert opened.distance("#7", "#338").distances[index.Geometry.CAUSAL] > 0
        with pytest.raises(BundleError, match=r"causal\.faiss is not what was written, from byte"):
            opened.causal.points[-1]
        with pytest.raises(BundleError, match=r"causal\.faiss"):
            _ = opened.causal.points.whole


def resealed(bundle: Path, **changes: object) -> None:
    """Write a manifest that was changed by somebody who knows how it is sealed."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8")) | changes
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"checksum": seal(manifest)}), encoding="utf-8")


def test_a_newer_format_names_the_version_to_install(copy: Path) -> None:
    resealed(copy, format_version=5, versions={"logoscope": "0.9.1"})
    outcome = invoke("query.py", "info", "--index", copy)
    assert outcome.code == 2
    assert "has bundle format 5, this version reads 4; install logoscope 0.9.1" in outcome.said


@pytest.mark.parametrize("former", [2, 3])
def test_a_former_format_is_to_be_built_again(copy: Path, former: int) -> None:
    """Its files hold other things: a question would read past their ends, or take one for another."""
    resealed(copy, format_version=former)
    outcome = invoke("query.py", "analogy", "#7", "--index", copy)
    assert outcome.code == 2
    assert f"has bundle format {former}, this version reads 4; build it again" in outcome.said
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "..", "folder/file"])
def test_a_manifest_that_names_files_elsewhere_is_refused(copy: Path, name: str) -> None:
    files = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))["files"]
    (copy.parent / "outside").write_text("x")
    resealed(copy, files=files | {name: {"bytes": 1, "sha256": "0"}})
    outcome = invoke("query.py", "info", "--index", copy)
    assert outcome.code == 2
    assert "names a file that is not its own" in outcome.said


def test_a_link_in_place_of_a_file_is_refused(copy: Path) -> None:
    (copy / "causal.faiss").rename(copy.parent / "elsewhere")
    (copy / "causal.faiss").symlink_to(copy.parent / "elsewhere")
    outcome = invoke("query.py", "neighbors", "#7", "--index", copy)
    assert outcome.code == 2
    assert "names a file that is not its own: causal.faiss" in outcome.said


def test_verify_names_all_damaged_files(copy: Path) -> None:
    with (
        damage.flipped(copy / "cosine.groups.npy", 200, 0),
        damage.flipped(copy / "gamma.safetensors", 90_000, 7),
    ):
        outcome = invoke("query.py", "verify", "--index", copy)
    assert outcome.code == 2
    assert "cosine.groups.npy, gamma.safetensors not as written" in outcome.said


def test_a_bundle_replaced_while_open_gives_no_mixed_answer(bundles: tuple[Path, Path], copy: Path) -> None:
    opened = index.open(copy)
    shutil.rmtree(copy)
    shutil.copytree(bundles[1], copy)
    with pytest.raises(BundleError, match="copy was replaced by another bundle while it was open: open it again"):
        opened.neighbors("#7")
    assert opened.was_replaced()
    assert index.open(copy).neighbors("#7").token.id == 7


def put_in_place(other: Path, folder: Path) -> None:
    """Put another bundle in the place of one, as a build does; what is mapped of the old one stays."""
    folder.rename(folder.with_name("before"))
    shutil.copytree(other, folder)


@pytest.mark.parametrize("times", [(1,), (1, 2)])
def test_a_bundle_replaced_while_it_is_opened_is_opened_once_more(
    times: tuple[int, ...], bundles: tuple[Path, Path], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one takes its place between the reading of its manifest and of its checksums, so many times over."""
    opened, others = [], [bundles[1], bundles[0]]

    def replace_and_read(*of: Any) -> Checksums:
        opened.append(copy)
        if len(opened) in times:
            shutil.rmtree(copy)
            shutil.copytree(others.pop(0), copy)
        return Checksums(*of)

    monkeypatch.setattr("index.bundle.bundle.Checksums", replace_and_read)
    found = index.open(copy).neighbors("#7")
    assert len(opened) == len(times) + 1
    assert found.json() == index.open(bundles[len(times) % 2]).neighbors("#7").json()


@pytest.mark.parametrize("arguments", [["neighbors", "#7"], ["within", "#7", "--radius", "1"], ["verify"]])
def test_a_command_asks_the_bundle_that_came_in_its_place(
    arguments: list[str], bundles: tuple[Path, Path], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time that it was opened, it is replaced before anything is read of it."""
    expected = invoke("query.py", *arguments, "--json", "--index", bundles[1])
    opened = []

    def open_and_replace(path: Path) -> Bundle:
        bundle = open_bundle(path)
        if not opened:
            put_in_place(bundles[1], copy)
        opened.append(bundle)
        return bundle

    monkeypatch.setattr("index.bundle.bundle.open_bundle", open_and_replace)
    found = invoke("query.py", *arguments, "--json", "--index", copy)
    assert (found.code, found.err) == (0, expected.err)
    assert len(opened) == 2
    if arguments != ["verify"]:
        assert found.json == expected.json


def test_a_bundle_that_is_replaced_again_and_again_is_not_called_damaged(
    bundles: tuple[Path, Path], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def open_and_replace(path: Path) -> Bundle:
        bundle = open_bundle(path)
        opened.append(bundle)
        shutil.rmtree(copy)
        shutil.copytree(bundles[len(opened) % 2], copy)
        return bundle

    monkeypatch.setattr("index.bundle.bundle.open_bundle", open_and_replace)
    found = invoke("query.py", "neighbors", "#7", "--index", copy)
    assert (found.code, len(opened)) == (2, 2)
    assert found.err == f"error: {copy} was replaced by another bundle while it was open: open it again\n"


def test_what_damage_there_is_is_still_called_so(bundles: tuple[Path, Path], copy: Path) -> None:
    opened = index.open(copy)
    assert not opened.was_replaced()
    (copy / "tokens.parquet").unlink()
    with pytest.raises(BundleError, match=r"tokens\.parquet is missing: the bundle is damaged; build it again"):
        opened.neighbors("#7")


# --- what is no damage ------------------------------------------------------------------------------------------------


def test_a_file_is_no_bundle(copy: Path) -> None:
    for path, said in (
        (copy / "manifest.json", f"{copy / 'manifest.json'} is a file; pass a bundle's folder, {copy}"),
        (Path(__file__), f"{__file__} is a file; pass a bundle's folder"),
    ):
        assert invoke("query.py", "info", "--index", path).err == f"error: {said}\n"


def test_a_bundle_of_links_says_so(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    for path in bundles[0].iterdir():
        (tmp_path / "links" / path.name).symlink_to(path)
    said = invoke("query.py", "info", "--index", tmp_path / "links").err
    assert " is a link; copy the bundle with what its links lead to (cp -rL)" in said
    assert "damaged" not in said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOMEM, "Cannot allocate memory; free some memory, or raise the limit on it, and ask again"),
        (errno.EMFILE, "Too many open files; close some files, or raise the limit on open ones (ulimit -n)"),
        (errno.EACCES, "Permission denied; whoever owns it can allow it"),
        (errno.EIO, "Input/output error; see whether the disk fails"),
        (errno.ESTALE, "Stale file handle"),
    ],
)
def test_what_the_system_refuses_is_not_called_damage(
    number: int, said: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    opened = index.open(copy)
    for module in ("numpy.memmap", "pathlib.Path.read_text", "pathlib.Path.read_bytes", "pathlib.Path.open"):
        with monkeypatch.context() as patched:
            patched.setattr(module, fail)
            with pytest.raises(BundleError) as error:
                _ = index.open(copy).cosine.points if module != "pathlib.Path.open" else opened.verify()
        assert str(error.value).endswith(f" cannot be read: {said}")


def test_memory_that_runs_out_in_arrow_is_not_called_damage(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr("pyarrow.parquet.ParquetFile.read", fail)
    found = invoke("query.py", "neighbors", "#7", "--index", copy)
    assert found.err == "error: memory ran out (malloc of size 64 failed); free some, or ask for less\n"
