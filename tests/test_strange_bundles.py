"""Bundles whose checksums are right and whose content is not: whoever hands one on can make them so."""

import json
import os
import shutil
import struct
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Outcome, invoke
from safetensors.numpy import load_file, save_file

from index.build.build import build
from index.build.settings import Settings
from index.bundle.bundle import open_bundle
from index.bundle.checksums import seal
from index.bundle.manifest import read_manifest
from index.errors import BundleError

sys.path.append(str(ROOT / "benchmarks"))
import fuzz_inputs

V = 60


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    gamma = np.random.default_rng(0).normal(size=(V, 8)).astype(np.float32)
    gamma[40:43] = gamma[3]  # so that some lists of distinct points are stored
    np.save(folder / "gamma.npy", gamma)
    models.word_tokenizer(V).save(str(folder / "tokenizer.json"))
    names = {"source": str(folder / "gamma.npy"), "tokenizer": str(folder / "tokenizer.json")}
    build(Settings(**names, out=folder / "bundle", neighbors=30))
    return folder / "bundle"


@pytest.fixture
def bundle(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "bundle")
    return tmp_path / "bundle"


def refused(outcome: Outcome) -> str:
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome
    assert outcome.err[:-1].isprintable()
    return outcome.err


def change_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"checksum": seal(manifest)}))


def put(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        for key in keys[:-1]:
            manifest = manifest[key]
        manifest[keys[-1]] = value

    return change


def test_sealing_again_changes_nothing(bundle: Path) -> None:
    """Whatever the other tests see is due to what they change."""
    change_manifest(bundle, lambda manifest: None)
    assert invoke("query.py", "densest", "--index", bundle).code == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (put("name", value=7), "name"),
        (put("V", value=10**9), "files.causal.faiss"),
        (put("V", value=-1), "V"),
        (put("D", value=2.5), "D"),
        (put("K", value=V), "K"),
        (put("K", value=True), "K"),
        (put("settings", "density_k", value=31), "K"),
        (put("settings", "sample", value=[]), "settings.sample"),
        (put("spaces", "cosine", "resolution", value=float("nan")), "spaces.cosine.resolution"),
        (put("spaces", "cosine", "resolution", value=10**400), "spaces.cosine.resolution"),
        (put("spaces", "causal", "excluded_rows", value=[V]), "spaces.causal.excluded_rows"),
        (put("spaces", "causal", "approximate", value=[{"factory": "x"}]), "spaces.causal.approximate[0]"),
        (put("versions", "numpy", value=None), "versions[...]"),
        (put("settings", value=[]), "settings"),
        (put("files", value=[]), "files"),
        (put("files", "../secret", value={"bytes": 1, "sha256": ""}), "names a file that is not its own"),
        (put("files", "x" * 300, value={"bytes": 1, "sha256": ""}), "files"),
        (put("files", "\x1b[2J", value={"bytes": 1, "sha256": ""}), "files"),
        (lambda manifest: manifest.pop("source"), "source"),
        (lambda manifest: manifest["spaces"].pop("cosine"), "cosine"),
        (put("spaces", "cosine", "largest_norm", value=float("inf")), "spaces.cosine.largest_norm"),
        (put("spaces", "cosine", "largest_norm", value=-1), "spaces.cosine.largest_norm"),
        (put("settings", "ridge", value=float("-inf")), "settings.ridge"),
        (put("V", value=60.0), "V"),
        (put("source", "rows", value=2**31), "source.rows"),
        (put("files", "causal.faiss", "bytes", value=2**62), "files[...].bytes"),
        (put("crosscheck", value={"passed": True}), "crosscheck"),
        (put("files", value="\ud800"), "surrogates not allowed"),
    ],
)
def test_manifests_with_other_values(change: Callable[[dict[str, Any]], object], named: str, bundle: Path) -> None:
    change_manifest(bundle, change)
    said = refused(invoke("query.py", "info", "--index", bundle))
    assert "holds no valid bundle: " in said or "not its own" in said
    assert named in said.split(":")[-2]


@pytest.mark.parametrize("key", ["origin", "tensor", "name"])
def test_manifests_are_shown_and_not_obeyed(key: str, bundle: Path) -> None:
    evil = "\x1b[2J\u202e[red]x[/red]\r"
    parent = {"origin": ("metric",), "tensor": ("source",), "name": ()}[key]
    change_manifest(bundle, put(*parent, key, value=evil))
    for command in ("info", "densest"):
        outcome = invoke("query.py", command, "--index", bundle)
        assert outcome.code == 0
        assert all(character.isprintable() or character in "\n\u2066\u2068\u2069" for character in outcome.out)
    assert "\\x1b[2J\\u202e[red]x[/red]\\r" in invoke("query.py", "info", "--index", bundle).said


def test_the_manifest_of_a_build_fits(built: Path) -> None:
    """Key by key, in the same order."""
    written = json.loads((built / "manifest.json").read_text())
    assert json.dumps(msgspec.to_builtins(read_manifest(built))) == json.dumps(written)


@pytest.mark.parametrize("row", [V, 2**31 - 1, -2, -(2**31)])
@pytest.mark.parametrize("name", ["causal.ids.npy", "causal.distinct_ids.npy", "causal.groups.npy"])
def test_rows_that_are_not_there(row: int, name: str, bundle: Path) -> None:
    array = np.load(bundle / name)
    array[...] = row
    np.save(bundle / name, array)
    fuzz_inputs.seal_file(name, bundle)
    space = open_bundle(bundle).causal
    for read in (lambda: space.ids[3], lambda: space.ids.whole, lambda: space.distinct_ids[[3]], lambda: space.groups):
        try:
            read()
        except BundleError as error:
            assert "rows that are not there" in str(error)  # noqa: PT017 - one of them must
            return
    pytest.fail("no reader saw it")


@pytest.mark.parametrize("rows", [[-1], [V], [3, 3], [40, 3]])
def test_rows_of_distinct_lists_that_are_not_there(rows: list[int], bundle: Path) -> None:
    array = np.load(bundle / "causal.distinct_rows.npy")
    array[: len(rows)] = rows
    np.save(bundle / "causal.distinct_rows.npy", array)
    fuzz_inputs.seal_file("causal.distinct_rows.npy", bundle)
    with pytest.raises(BundleError, match=r"holds no ascending rows|rows that are not there"):
        _ = open_bundle(bundle).causal.distinct_ids


@pytest.mark.parametrize("shape", [None, [], [V + 1], [2, 2], [-1]])
def test_distinct_lists_of_no_number_of_rows(shape: list[int] | None, bundle: Path) -> None:
    change_manifest(bundle, put("files", "causal.distinct_rows.npy", "shape", value=shape or []))
    if shape is None:
        change_manifest(bundle, lambda manifest: manifest["files"]["causal.distinct_rows.npy"].pop("shape"))
    assert "causal.distinct_rows.npy" in refused(invoke("query.py", "densest", "--index", bundle))


def test_lists_with_gaps(bundle: Path) -> None:
    array = np.load(bundle / "causal.ids.npy")
    row = np.setdiff1d(np.arange(V), np.load(bundle / "causal.distinct_rows.npy"))[0]  # whose distinct list is this one
    array[row, :-1] = -1  # the last place is taken, so that the list seems to be filled
    np.save(bundle / "causal.ids.npy", array)
    fuzz_inputs.seal_file("causal.ids.npy", bundle)
    assert "holds fewer than 30 tokens" in refused(invoke("query.py", "overlap", "--top", 30, "--index", bundle))


def test_rows_that_are_there(bundle: Path) -> None:
    space = open_bundle(bundle).causal
    assert space.ids[3].shape == space.distinct_ids[3].shape == (30,)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<i4', 'shape': (",
        b"{'descr': '<i4', '1e6for: '<i4', ",  # Python, which NumPy asks, warns of this
        b"\0" * 50,
        b"[" * 100,
        b"{}",
        b"\xff" * 60,
    ],
)
def test_headers_of_arrays(header: bytes, bundle: Path) -> None:
    whole = (bundle / "causal.ids.npy").read_bytes()
    (bundle / "causal.ids.npy").write_bytes(whole[:10] + header + whole[10 + len(header) :])
    fuzz_inputs.seal_file("causal.ids.npy", bundle)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "causal.ids.npy" in refused(invoke("query.py", "neighbors", "#3", "--index", bundle))


def test_the_header_of_an_index(bundle: Path) -> None:
    whole = bytearray((bundle / "causal.faiss").read_bytes())
    whole[4:8] = struct.pack("<i", 9)
    (bundle / "causal.faiss").write_bytes(whole)
    fuzz_inputs.seal_file("causal.faiss", bundle)
    assert "causal.faiss is not a flat FAISS index of 60 x 8" in refused(
        invoke("query.py", "neighbors", "#3", "--top", "40", "--index", bundle)
    )


def columns_changed(change: Callable[[pa.Table], pa.Table], bundle: Path) -> str:
    path = bundle / "tokens.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    fuzz_inputs.seal_file("tokens.parquet", bundle)
    return refused(invoke("query.py", "neighbors", "#3", "--index", bundle))


def test_other_rows_and_types_of_columns(bundle: Path) -> None:
    assert "other columns or rows" in columns_changed(lambda table: table.slice(0, V - 1), bundle)


def test_other_types_of_columns(bundle: Path) -> None:
    assert "other columns or rows" in columns_changed(
        lambda table: table.set_column(1, "token_id", pa.array([str(row) for row in range(V)])), bundle
    )


def test_columns_that_are_not_there(bundle: Path) -> None:
    assert "other columns or rows" in columns_changed(lambda table: table.drop_columns(["piece"]), bundle)


def test_texts_that_are_no_unicode(bundle: Path) -> None:
    bad = pa.array([b"\xff\xfe"] * V, pa.binary()).view(pa.string())
    assert "tokens.parquet cannot be read: " in columns_changed(
        lambda table: table.set_column(table.column_names.index("text"), "text", bad), bundle
    )


def test_a_tokenizer_without_end(bundle: Path) -> None:
    tokenizer = json.loads((bundle / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"Regex": "a*"}, "content": "a" * 999}
    (bundle / "tokenizer.json").write_text(json.dumps(tokenizer))
    fuzz_inputs.seal_file("tokenizer.json", bundle)
    assert "can make a text 1e+03 times as long" in refused(invoke("query.py", "neighbors", "xyzzy", "--index", bundle))


@pytest.mark.parametrize("last", [10**9, 2**31])
def test_ids_of_a_tokenizer_far_apart(last: int, bundle: Path) -> None:
    """What a text splits into was counted off up to the largest id: gigabytes, for a file of 60 bytes."""
    tokenizer = {"model": {"type": "WordLevel", "vocab": {"w1": last, "w2": 2}, "unk_token": "w2"}}
    (bundle / "tokenizer.json").write_text(json.dumps(tokenizer))
    fuzz_inputs.seal_file("tokenizer.json", bundle)
    tracemalloc.start()
    parts = open_bundle(bundle).vocabulary.split("w1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(part.id, part.text, part.row) for part in parts] == [(last, "w1", None)]
    assert peak < 10_000_000


@pytest.mark.parametrize("content", [b"[]", b'{"blocks": []}', b'{"blocks": {"a": 1}}', b"[" * 100_000, b"\xff"])
def test_checksums_that_are_none(content: bytes, bundle: Path) -> None:
    (bundle / "checksums.json").write_bytes(content)
    fuzz_inputs.seal_file("checksums.json", bundle)
    assert "checksums.json holds no " in refused(invoke("query.py", "info", "--index", bundle))


def test_a_tokenizer_that_is_no_text(bundle: Path) -> None:
    (bundle / "tokenizer.json").write_bytes(b"\xff\xfe")
    fuzz_inputs.seal_file("tokenizer.json", bundle)
    assert "tokenizer.json is no text" in refused(invoke("query.py", "find", "the", "--index", bundle))


def test_names_of_columns_that_are_no_unicode(bundle: Path) -> None:
    path = bundle / "tokens.parquet"
    path.write_bytes(path.read_bytes().replace(b"piece", b"pie\xffe"))
    fuzz_inputs.seal_file("tokens.parquet", bundle)
    assert "tokens.parquet" in refused(invoke("query.py", "neighbors", "#3", "--index", bundle))


def test_a_pipe_for_a_manifest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    assert "manifest.json" in refused(invoke("query.py", "info", "--index", tmp_path))


def safetensors_header(name: str, **changes: Any) -> Callable[[bytes], bytes]:
    """Change what a safetensors file says of one tensor."""

    def change(content: bytes) -> bytes:
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:end])
        header[name] |= changes
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + content[end:]

    return change


@pytest.mark.parametrize("offsets", [[], [1e30, 1e31], [10**30, 10**31], [float("inf"), 0], [-8, 0], "ab", None])
def test_offsets_of_gamma_that_lead_nowhere(offsets: Any, bundle: Path) -> None:
    path = bundle / "gamma.safetensors"
    path.write_bytes(safetensors_header("gamma", data_offsets=offsets)(path.read_bytes()))
    fuzz_inputs.seal_file(path.name, bundle)
    with pytest.raises(BundleError, match=r"no tensor gamma|too short for numbers|from byte -8"):
        _ = open_bundle(bundle).gamma


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"mean": np.zeros(7)}, "mean of shape (7,)"),
        ({"M": np.eye(8, dtype=np.float32)}, "other numbers than float64"),
        ({"factor": np.zeros((8, 7))}, "factor of shape (8, 7)"),
        ({"eigenvalues": np.zeros((8, 1))}, "eigenvalues of shape (8, 1)"),
    ],
)
def test_a_metric_of_another_width(tensors: dict[str, Any], said: str, bundle: Path) -> None:
    path = bundle / "metric.safetensors"
    save_file(load_file(path) | tensors, path)
    fuzz_inputs.seal_file(path.name, bundle)
    assert f"holds {said}" in refused(invoke("query.py", "metric", "--index", bundle))
