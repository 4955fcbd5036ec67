"""`--parquet` and `--svg`: whole or not at all, over no other file, into no bundle."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import build, invoke, run

from index.answers import parquet
from index.cli import many

FORMS = ("--parquet", "--svg")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "gamma.npy", np.random.default_rng(0).normal(size=(60, 4)))
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 10, "--density-k", 5)
    return folder / "bundle"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def refused(*arguments: object) -> str:
    outcome = invoke("query.py", *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    return outcome.err


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["tokens.parquet", "manifest.json", "new", "sub/new"])
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_nothing_is_put_into_a_bundle(form: str, name: str, more: list[str], bundle: Path) -> None:
    before = digests(bundle)
    arguments = ["neighbors", "#1", form, bundle / name, *more, "--index", bundle]
    said = "is no folder" if "/" in name else f"{form} {bundle / name} lies in a bundle's folder; pass another {form}"
    assert said in refused(*arguments)
    assert digests(bundle) == before


def test_a_folder_is_not_made_in_a_bundle(bundle: Path) -> None:
    arguments = ("export", "umap", "--out", bundle / "sub" / "knn.npz", "--index", bundle)
    assert "lies in a bundle's folder" in refused(*arguments)
    assert not (bundle / "sub").exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_replaced_only_when_that_is_said(form: str, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "answer"
    path.write_text("mine")
    asked = ["neighbors", "#1", form, path, "--index", bundle]
    assert f"{path} exists; pass --overwrite to replace it, or another {form}" in refused(*asked)
    assert path.read_text() == "mine"
    assert invoke("query.py", *asked, "--overwrite").code == 0
    assert path.read_bytes() != b"mine"
    assert [each.name for each in tmp_path.iterdir()] == ["answer"]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_file_is_not_replaced(form: str, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "link"):
        asked = ["densest", form, tmp_path / name, "--index", bundle]
        assert "exists; pass --overwrite" in refused(*asked)
        assert "is there and is not a file" in refused(*asked, "--overwrite")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "link"]


def test_an_old_file_is_refused_before_anything_is_asked(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "old.parquet").write_text("mine")
    (tmp_path / "none").touch()
    asked = ["neighbors", "--file", tmp_path / "none", "--parquet", tmp_path / "old.parquet", "--index", "no/bundle"]
    assert "exists; pass --overwrite" in refused(*asked)


def test_a_run_that_fails_in_the_middle_leaves_the_old_file(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some row groups were written; the cause is named, and not the file."""
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 20)
    path, lines = tmp_path / "old.parquet", tmp_path / "tokens"
    path.write_text("mine")
    lines.write_text("#1\n#2\n#3\n" + "x" * (many.LONGEST_LINE + 1))
    asked = ["neighbors", "--file", lines, "--parquet", path, "--overwrite", "--index", bundle]
    assert "line 4 has more than" in refused(*asked)
    assert path.read_text() == "mine"

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    lines.write_text("#1\n#2\n#3\n")
    monkeypatch.setattr(many, "numbered", fail)
    assert refused(*asked) == "error: [Errno 5] Input/output error\n"
    monkeypatch.undo()
    monkeypatch.setattr(parquet, "_table", fail)
    assert f"error: {path} cannot be written: [Errno 5] Input/output error; pass another --parquet" in refused(*asked)
    assert path.read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["old.parquet", "tokens"]


def test_a_file_is_not_replaced_that_came_while_the_answer_was_made(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, table = tmp_path / "new.parquet", parquet._table

    def slow(*given: object) -> object:
        path.write_text("theirs")
        return table(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(parquet, "_table", slow)
    assert "exists; pass --overwrite" in refused("neighbors", "#1", "--parquet", path, "--index", bundle)
    assert path.read_text() == "theirs"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("form", FORMS)
def test_devices_and_pipes_are_written_directly(form: str, bundle: Path, tmp_path: Path) -> None:
    asked = ["neighbors", "#1", form]
    assert f"error: {form} /dev/full cannot be written: " in refused(*asked, "/dev/full", "--index", bundle)
    assert Path("/dev/full").is_char_device()
    assert invoke("query.py", *asked, "/dev/null", "--index", bundle).code == 0
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert invoke("query.py", *asked, pipe, "--index", bundle).code == 0
    reader.join()
    assert read[0][:4] == (b"PAR1" if form == "--parquet" else b"<svg")
    done = run("query.py", *asked[:2], "--svg", "/dev/stdout", "--index", bundle)
    assert done.out.startswith("<svg")


def test_what_overwrite_goes_with(bundle: Path, tmp_path: Path) -> None:
    alone = refused("densest", "--overwrite", "--index", bundle)
    assert "error: --overwrite goes with --parquet, --svg and --save-set" in alone
    said = tmp_path / "said"
    options = ["export", "umap", "--out", tmp_path / "knn.npz", "--parquet", said, "--index", bundle]
    assert invoke("query.py", *options).code == 0
    assert "exists; pass --overwrite" in refused(*options)
    assert invoke("query.py", *options, "--overwrite").code == 0  # one flag for both
    assert pq.read_table(said).num_rows == 1
