"""The two programs as a person meets them: one clear line for every mistake, and what the commands print."""

import csv
import json
import os
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Built
from models import SPECIAL, byte_level_tokenizer, save_tokenizer
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

import build_index
import query

V, D = 345, 12
"""Five rows more than the tokenizer of `models` has tokens."""


def build(*arguments: object) -> Result:
    return CliRunner().invoke(build_index.app, [str(argument) for argument in arguments])


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(query.app, [str(argument) for argument in arguments])


def refused(result: Result) -> str:
    """The one line that a mistake is answered with."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    line = result.stderr
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    return line


@pytest.fixture(scope="module")
def gamma() -> NDArray[np.float32]:
    rows = np.random.default_rng(11).normal(size=(V, D)).astype(np.float32)
    rows[40] = rows[90]
    rows[7] = 0
    return rows


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, byte_level_tokenizer())
    return folder


@pytest.fixture(scope="module")
def small(gamma: NDArray[np.float32], tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built bundle with orphans, twins and a zero row."""
    folder = tmp_path_factory.mktemp("small")
    np.save(folder / "gamma.npy", gamma)
    result = build(folder / "gamma.npy", "--tokenizer", tokenizer, "--out", folder / "bundle")
    assert result.exit_code == 0, result.output
    assert "345 tokens x 12, 100 neighbors in each geometry" in result.stderr
    assert "5 of the 345 rows are orphans" in result.stderr
    assert "zero rows have no direction and no cosine neighbors: #7" in result.stderr
    return folder / "bundle"


# --- building ---------------------------------------------------------------------------------------------------------


def write_bad(kind: str, path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 8))
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not an array\n")
    elif kind == "one axis":
        np.save(path, rows.ravel())
    elif kind == "NaN":
        rows[[3, 9]] = np.nan
        np.save(path, rows)
    elif kind == "few rows":
        np.save(path, rows[:50])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "no such file"),
        ("empty", "empty"),
        ("text", ".npy"),
        ("one axis", "shape (1600,)"),
        ("NaN", "2 of 200 rows: 3, 9"),
        ("few rows", "k=100 needs at least 101 tokens, but there are 50; pass --neighbors 49 or less"),
    ],
)
def test_bad_sources(kind: str, said: str, tmp_path: Path) -> None:
    source = tmp_path / "in" / "gamma.npy"
    source.parent.mkdir()
    write_bad(kind, source)
    assert said in refused(build(source, "--out", tmp_path / "out" / "bundle"))
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric-tensor", "wide.npy"], "M has shape (9, 9), but gamma has width 8"),
        (["--metric-tensor", "absent.pt"], "no such file"),
        (["--metric-tensor", "metric.txt"], "wanted a .pt, .safetensors or .npy file"),
        (["--ridge", "-1"], "ridge must be 0 or more, got: -1"),
        (["--neighbors", "0"], "--density-k 20 needs as many neighbors"),
        (["--density-k", "0"], "--density-k must be 1 or more, got: 0"),
        (["--neighbors", "10"], "--density-k 20 needs as many neighbors, but --neighbors is 10"),
        (["--neighbors", "200"], "pass --neighbors 199 or less"),
        (["--sample", "1"], "--sample must be from 2 to 200, the tokens of the model, got: 1"),
        (["--sample", "-5"], "--sample must be from 2 to 200"),
        (["--sample", "201"], "got: 201"),
        (["--sample", "absent.pt"], "no such file"),
        (["--sample", "outside.npy"], "names token 200, but the model has 200 rows"),
        (["--sample", "twice.npy"], "names 1 tokens twice"),
        (["--sample", "wide.npy"], "wanted a list of whole numbers"),
        (["--device", "abacus"], "--device must be auto, cpu, cuda or mps, got: abacus"),
        (["--distances", "absent.npy"], "there is no such file"),
    ],
)
def test_bad_options(options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("gamma.npy", np.random.default_rng(0).normal(size=(200, 8)))
    np.save("wide.npy", np.eye(9))
    np.save("outside.npy", np.array([1, 200]))
    np.save("twice.npy", np.array([1, 2, 2]))
    Path("metric.txt").write_text("1 0\n0 1\n")
    assert said in refused(build("gamma.npy", "--out", "out/bundle", *options))
    assert not Path("out").exists() or not any(Path("out").iterdir())


def test_a_pickle_that_would_run_code(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(ran),)

    torch.save({"gamma": torch.zeros(300, 4), "metadata": Payload()}, tmp_path / "gamma.pt")
    line = refused(build(tmp_path / "gamma.pt", "--out", tmp_path / "bundle"))
    assert "gamma.pt" in line
    assert "asks for " in line
    assert "mkdir" in line
    assert not ran.exists()


def test_a_bundle_is_replaced_only_when_asked(small: Path, tmp_path: Path) -> None:
    before = (small / "manifest.json").read_bytes()
    source = small.parent / "gamma.npy"
    assert "exists; pass --overwrite" in refused(build(source, "--out", small))
    assert (small / "manifest.json").read_bytes() == before
    assert build(source, "--out", tmp_path / "new").exit_code == 0
    assert build(source, "--out", tmp_path / "new", "--overwrite", "--ridge", "0.5").exit_code == 0
    assert json.loads((tmp_path / "new" / "manifest.json").read_text())["metric"]["ridge"] == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "is not a bundle and will not be replaced" in refused(build("--out", tmp_path, "--overwrite"))
    assert (tmp_path / "thesis.tex").exists()


def test_a_sample_file_keeps_its_order(gamma: NDArray[np.float32], tokenizer: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", gamma)
    chosen = np.random.default_rng(2).permutation(V)[:150]
    torch.save({"token_indices": torch.from_numpy(chosen)}, tmp_path / "sample.pt")
    options = ["--tokenizer", tokenizer, "--sample", tmp_path / "sample.pt", "--out", tmp_path / "bundle"]
    assert build(tmp_path / "gamma.npy", *options).exit_code == 0
    found = json.loads(ask("neighbors", f"#{chosen[3]}", "--index", tmp_path / "bundle", "--json").stdout)
    assert found[0]["token"]["row"] == 3
    assert found[0]["causal"][0]["id"] == chosen[found[0]["causal"][0]["row"]]


# --- asking -----------------------------------------------------------------------------------------------------------


def test_no_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no bundle under data/indexes; build one with `uv run build_index.py`" in refused(ask("densest"))
    assert "no bundle in nowhere" in refused(ask("info", "--index", "nowhere"))


def test_one_bundle_needs_no_index_and_two_do(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/indexes").mkdir(parents=True)
    Path("data/indexes/one").symlink_to(small)
    assert ask("info").exit_code == 0
    Path("data/indexes/two").symlink_to(small)
    assert "2 bundles under data/indexes: name one with --index (data/indexes/one, data/indexes/two)" in refused(
        ask("info")
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["neighbors", "planett"], "closest: "),
        (["neighbors", "planett"], "'␣planet' (#"),
        (["neighbors", "hello world"], "tokens: "),
        (["neighbors", "#9999"], "the 345 ids here lie between 0 and 344"),
        (["neighbors", "the", "--top", "0"], "--top must be from 1 to 344"),
        (["neighbors", "the", "--top", "345"], "got: 345"),
        (["densest", "--density-k", "101"], "--density-k must be from 1 to 100, the neighbors kept"),
        (["densest", "--json", "--csv"], "exclude each other"),
        (["crosscheck", "--pairs", "0"], "--pairs must be from 1 to 10,000,000, got: 0"),
        (["crosscheck", "--distances", "absent.pt"], "there is no such file"),
    ],
)
def test_bad_questions(arguments: list[str], said: str, small: Path) -> None:
    assert said in refused(ask(*arguments, "--index", small))


def test_a_damaged_bundle_says_what_is_damaged(small: Path, tmp_path: Path) -> None:
    for name, content, said in [
        ("manifest.json", b"{", "manifest.json cannot be read"),
        ("manifest.json", b'{"format": "other"}', "is not the manifest of a logoscope bundle"),
        ("tokens.parquet", b"PAR1", "tokens.parquet has 4 bytes, not "),
        ("causal.ids.npy", b"", "causal.ids.npy has 0 bytes, not "),
        ("tokenizer.json", None, "tokenizer.json is missing"),
    ]:
        bundle = tmp_path / f"{name} {content!r}"
        shutil.copytree(small, bundle)
        if content is None:
            (bundle / name).unlink()
        else:
            (bundle / name).write_bytes(content)
        assert said in refused(ask("densest", "--index", bundle))


def test_a_zero_row_has_no_cosine_neighbors(small: Path) -> None:
    found = json.loads(ask("neighbors", "#7", "--index", small, "--json").stdout)[0]
    assert found["cosine"] == []
    assert found["overlap"] is None
    assert found["verdict"] is None
    assert len(found["causal"]) == 30
    assert "this token's row is zero" in ask("neighbors", "#7", "--index", small).stdout
    everyone = json.loads(ask("neighbors", "#8", "--top", "344", "--index", small, "--json").stdout)[0]
    assert 7 in [place["id"] for place in everyone["causal"]]
    assert 7 not in [place["id"] for place in everyone["cosine"]]
    assert len(everyone["cosine"]) == 343


def test_twins_are_named(small: Path) -> None:
    found = json.loads(ask("neighbors", "#40", "--index", small, "--json").stdout)[0]
    assert found["token"]["twins"] == [90]
    assert found["causal"][0] | {"text": None, "piece": None} == {
        "rank": 1, "row": 90, "id": 90, "text": None, "piece": None, "distance": 0.0, "tied": False,
        "marks": ["twin"], "hubness": found["causal"][0]["hubness"],
    }  # fmt: skip


def test_a_list_longer_than_the_stored_one_begins_with_it(small: Path) -> None:
    short = json.loads(ask("neighbors", "the", "--top", "99", "--index", small, "--json").stdout)[0]
    long = json.loads(ask("neighbors", "the", "--top", "250", "--index", small, "--json").stdout)[0]
    for geometry in ("causal", "cosine"):
        assert len(long[geometry]) == 250
        assert long[geometry][:99] == short[geometry]


def test_csv_is_the_json(small: Path) -> None:
    answer = ask("neighbors", "the", "#7", "--top", "5", "--index", small, "--csv")
    lines = list(csv.DictReader(StringIO(answer.stdout)))
    found = json.loads(ask("neighbors", "the", "#7", "--top", "5", "--index", small, "--json").stdout)
    expected = [
        (str(around["token"]["id"]), geometry, str(place["rank"]), str(place["id"]), place["text"] or "")
        for around in found
        for geometry in ("causal", "cosine")
        for place in around[geometry]
    ]
    read = [(line["token_id"], line["geometry"], line["rank"], line["id"], line["text"]) for line in lines]
    assert read == expected


def test_tables_hold_what_json_holds(smollm2: Built) -> None:
    """The terminal report of `densest` shows every figure of its JSON, to the digits shown."""
    shown = " ".join(ask("densest", "--index", smollm2.path).stdout.split())
    report = smollm2.report
    for value in (report["density"][name] for name in ("min", "max", "mean", "median")):
        assert f"{value:.7g}" in shown
    overlap = report["overlap"]
    ranks = {each["id"]: (each["causal_rank"], each["cosine_rank"]) for each in overlap["tokens"]}
    for place in report["causal"]:  # its rank in the other list stands beside its own
        both = f"{place['rank']} {ranks[place['id']][1]}"
        assert f"{both} {place['row']} {place['id']} {place['distance']:.6f}" in shown
    for place in report["cosine"]:
        both = f"{place['rank']} {ranks[place['id']][0]}"
        numbers = f"{place['similarity']:.6f} {place['distance']:.6f}"
        assert f"{both} {place['row']} {place['id']} {numbers}" in shown
    assert f"{overlap['count']} of {overlap['k']} tokens in both lists ({overlap['percent']:.1f} %)" in shown
    assert f"lowest {overlap['lowest']}, highest {overlap['highest']}" in shown
    assert report["verdict"].upper() in shown


@pytest.mark.parametrize("arguments", [["densest"], ["neighbors", "#190", "#37468", "#0"], ["info"], ["crosscheck"]])
def test_no_line_is_wider_than_the_terminal(
    arguments: list[str], smollm2: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", "80")
    shown = ask(*arguments, "--index", smollm2.path).stdout
    assert max(map(cell_len, shown.splitlines())) <= 80
    assert all(character.isprintable() or character in "\n\u2066\u2068\u2069" for character in shown)


def test_info_shows_the_manifest(smollm2: Built) -> None:
    manifest = json.loads(ask("info", "--index", smollm2.path, "--json").stdout)
    assert manifest == json.loads((smollm2.path / "manifest.json").read_text())
    shown = " ".join(ask("info", "--index", smollm2.path).stdout.split())
    assert "49,152 x 576" in shown
    assert manifest["source"]["sha256"] in shown
    assert f"faiss-cpu {manifest['versions']['faiss-cpu']}" in shown


def test_the_manifest_describes_every_file(smollm2: Built) -> None:
    from hashlib import sha256

    manifest = json.loads((smollm2.path / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in smollm2.path.iterdir()} - {"manifest.json"}
    for name, facts in manifest["files"].items():
        content = (smollm2.path / name).read_bytes()
        assert (facts["bytes"], facts["sha256"]) == (len(content), sha256(content).hexdigest())


@pytest.mark.parametrize("command", ["densest", "neighbors", "crosscheck", "info"])
def test_help_has_an_example(command: str) -> None:
    shown = ask(command, "--help")
    assert shown.exit_code == 0
    assert f"query.py {command}" in " ".join(shown.stdout.split())


def test_special_tokens_keep_their_kind(small: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(small / "tokens.parquet")
    assert table["kind"].to_pylist()[table["text"].to_pylist().index(SPECIAL)] == "special"
    assert table["kind"].to_pylist()[-5:] == ["orphan"] * 5
