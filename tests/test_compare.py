"""`compare`: two bundles over the tokens that both have, against float64 brute force and what was planted."""

import csv
import json
import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow.parquet as pq
import pytest
from browsing import chromium
from conftest import build, invoke, query
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.stats import spearmanr
from synthetic import as_tensor, gaussian, planted
from tokenizers import Tokenizer

import index
from index.errors import ParameterError
from index.measures.partitions import group_changes
from index.measures.row_changes import row_changes
from index.tokens.matching import match
from index.tokens.vocabulary import Vocabulary

V, D, K = 300, 16, 30
TOPS = (5, 15)
GEOMETRIES = ("causal", "cosine", "causal_cosine")


def word(number: int) -> str:
    """The text of a token: a fifth of them are digits."""
    return f"w{number}" if number % 5 else f"{number}"


def bundle(folder: Path, name: str, gamma: NDArray, words: list[str] | None = None, neighbors: int = K) -> Path:
    """Build a bundle whose token i has the text `words[i]`."""
    from models import save_tokenizer
    from tokenizers import models

    source = folder / f"{name}-source"
    source.mkdir()
    save_file({"lm_head.weight": as_tensor(gamma)}, source / "model.safetensors")
    (source / "config.json").write_text('{"tie_word_embeddings": false}')
    words = words or list(map(word, range(len(gamma))))
    vocabulary = {word: number for number, word in enumerate(words)}
    save_tokenizer(source, Tokenizer(models.WordLevel(vocabulary, unk_token=words[0])))
    build(source, "--out", folder / name, "--neighbors", neighbors)
    return folder / name


@dataclass(frozen=True)
class Models:
    folder: Path
    gamma: NDArray  # of `a`
    order: NDArray  # token i of `permuted` is token order[i] of `a`
    moved: NDArray  # rows that `moved` has elsewhere


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    gamma = planted(V, D, seed=1, twin_sizes=(4, 3, 2), singles=5).gamma
    order = rng.permutation(V)
    moved = np.sort(rng.choice(np.setdiff1d(np.arange(V), twins_of(gamma)), 7, replace=False))
    other = gamma.copy()
    other[moved] = (gamma[moved].astype(np.float64) + 0.05 * rng.normal(size=(7, D))).astype(ml_dtypes.bfloat16)
    bundle(folder, "a", gamma)
    bundle(folder, "permuted", gamma[order], list(map(word, order)))
    bundle(folder, "moved", other)
    rest = np.concatenate([np.arange(40, V), np.arange(V, V + 20)])
    wide = np.concatenate([gaussian(V, D, seed=4), gaussian(20, D, seed=5)])[rest] @ rng.normal(size=(D, D + 8))
    bundle(folder, "wide", wide.astype(np.float32), list(map(word, rest)))
    return Models(folder, gamma, order, moved)


def twins_of(gamma: NDArray) -> NDArray:
    _, of_row, counts = np.unique(gamma.view(np.uint16), axis=0, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[of_row.ravel()] > 1)


def points(gamma: NDArray, geometry: str) -> NDArray:
    rows = gamma.astype(np.float64)
    M = np.linalg.inv(np.cov(rows.T, bias=True) + 1e-6 * np.eye(rows.shape[1]))
    mapped = rows if geometry == "cosine" else rows @ np.linalg.cholesky((M + M.T) / 2)
    return mapped if geometry == "causal" else mapped / np.linalg.norm(mapped, axis=1, keepdims=True)


def near(mapped: NDArray, k: int) -> list[set[int]]:
    apart = np.linalg.norm(mapped[:, None] - mapped, axis=2)
    np.fill_diagonal(apart, np.inf)
    return [set(row[:k].tolist()) for row in np.argsort(apart, axis=1, kind="stable")]


def test_a_model_with_itself(models: Models) -> None:
    path = models.folder / "a"
    answer = query("compare", path, path, "--top", "5,15")
    assert (answer["matched"], answer["only_a"], answer["only_b"], answer["identical"]) == (V, 0, 0, V)
    assert answer["twins"] == {"kept": 3, "split": 0, "merged": 0}
    assert answer["rows"]["moved"] == 0
    assert set(answer["rows"]["steps"].values()) == {0}
    for geometry in GEOMETRIES:
        for top in TOPS:
            at = answer["overlap"][geometry][str(top)]
            assert at["mean"] == at["highest"] == 1
            assert at["chance"] == pytest.approx(top / (V - 1))
    assert all(rho == pytest.approx(1) for rho in answer["correlation"].values())
    assert answer["spectra"]["M"]["a"] == answer["spectra"]["M"]["b"]


def test_a_permuted_vocabulary(models: Models) -> None:
    """The same after matching, on both sides, whichever is first; the metric's last digits are another order's sums."""
    for pair in (("a", "permuted"), ("permuted", "a")):
        answer = query("compare", *(models.folder / name for name in pair), "--top", "5,15")
        assert (answer["matched"], answer["identical"]) == (V, V)
        assert answer["matched_by"] == {"piece": V, "text": 0, "id": 0}
        assert answer["twins"] == {"kept": 3, "split": 0, "merged": 0}
        for geometry in GEOMETRIES:
            for top in TOPS:
                assert answer["overlap"][geometry][str(top)]["highest"] == 1
                assert answer["overlap"][geometry][str(top)]["mean"] > 0.999
        assert all(rho > 0.999 for rho in answer["correlation"].values())


def test_planted_moves_are_exactly_those(models: Models) -> None:
    answer = query("compare", models.folder / "a", models.folder / "moved", "--tokens", 7)
    assert answer["moved_by"] == "rows"
    assert answer["identical"] == V - 7
    assert answer["rows"]["moved"] == 7
    assert {each["id"] for each in answer["most_moved"]} == set(models.moved.tolist())
    assert all(each["change"] == each["angle"] == 0 for each in answer["least_moved"])
    other = index.open(models.folder / "moved").gamma[:].astype(np.float64)
    for each in answer["most_moved"]:
        x, y = models.gamma[each["id"]].astype(np.float64), other[each["id"]]
        cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
        assert each["angle"] == pytest.approx(np.degrees(np.arccos(cosine)), rel=1e-9)
        assert each["change"] == pytest.approx(np.linalg.norm(x - y) / max(np.linalg.norm(x), np.linalg.norm(y)))


def test_planted_splits_and_merges_are_counted(models: Models, tmp_path: Path) -> None:
    """Of three groups of twins one loses a token, and the two others become one."""
    gamma = models.gamma.copy()
    _, of_row, counts = np.unique(gamma.view(np.uint16), axis=0, return_inverse=True, return_counts=True)
    four, three, pair = (np.flatnonzero(of_row.ravel() == of) for of in np.argsort(-counts)[:3])
    gamma[four[0]] = 2 * gamma[four[0]]
    gamma[pair] = gamma[three[0]]
    answer = query("compare", models.folder / "a", bundle(tmp_path, "other", gamma), "--top", 5)
    assert answer["identical"] == V - 3
    assert answer["twins"] == {"kept": 0, "split": 1, "merged": 1}
    assert query("compare", tmp_path / "other", models.folder / "a", "--top", 5)["twins"] == {
        "kept": 0,
        "split": 1,
        "merged": 1,
    }


def restricted(models: Models, name: str, words: list[str]) -> NDArray:
    opened = index.open(models.folder / name)
    texts = opened.vocabulary.texts.to_pylist()
    return np.array([texts.index(word) for word in words])


@pytest.mark.parametrize(("first", "second"), [("a", "moved"), ("a", "wide"), ("wide", "permuted")])
def test_agreement_is_that_of_brute_force(models: Models, first: str, second: str) -> None:
    """Over the tokens that both have, with lists of these alone; points of each metric over its whole vocabulary."""
    sides = [index.open(models.folder / name) for name in (first, second)]
    texts = [each.vocabulary.texts.to_pylist() for each in sides]
    words = [word for word in texts[0] if word in set(texts[1])]
    answer = query("compare", *(models.folder / name for name in (first, second)), "--top", "5,15")
    assert answer["matched"] == len(words)
    assert (answer["only_a"], answer["only_b"]) == (len(texts[0]) - len(words), len(texts[1]) - len(words))
    rows = [np.array([known.index(word) for word in words]) for known in texts]
    trained = ~(sides[0].untrained[rows[0]] | sides[1].untrained[rows[1]])
    density = sides[0].columns("density_distinct")["density_distinct"].to_numpy()[rows[0]]
    parts = np.array_split(np.argsort(density, kind="stable"), 10)
    digits = np.array([each.isdigit() for each in words])
    kinds = {"word": np.flatnonzero(~digits), "digits": np.flatnonzero(digits)}
    assert [(each["name"], each["tokens"]) for each in answer["by_kind"]] == [(of, len(at)) for of, at in kinds.items()]
    for geometry in GEOMETRIES:
        mapped = [points(side.gamma[:], geometry)[at] for side, at in zip(sides, rows, strict=True)]
        for top in TOPS:
            lists = [near(each, top) for each in mapped]
            shares = np.array([len(a & b) / top for a, b in zip(*lists, strict=True)])
            found = answer["overlap"][geometry][str(top)]
            assert found["lowest"] - 1e-9 <= shares.mean() <= found["highest"] + 1e-9
            assert found["mean"] == pytest.approx(shares.mean(), abs=2e-3)  # twins tie, and rows of equal distance too
            assert found["tokens"] == len(words)
            assert found["chance"] == pytest.approx(top / (len(words) - 1))
            for part, each in zip(parts, answer["by_density_decile"], strict=True):
                assert each["tokens"] == len(part)
                assert each["mean"][geometry][str(top)] == pytest.approx(shares[part].mean(), abs=2e-2)
            for part, each in zip(kinds.values(), answer["by_kind"], strict=True):
                assert each["mean"][geometry][str(top)] == pytest.approx(shares[part].mean(), abs=2e-2)
            kept = [near(each[trained], top) for each in mapped]
            alone = np.mean([len(a & b) / top for a, b in zip(*kept, strict=True)])
            assert answer["trained"]["overlap"][geometry][str(top)]["mean"] == pytest.approx(alone, abs=2e-3)
    assert answer["trained"]["untrained"] == (~trained).sum()
    names = {"density": "density_distinct", "hubness": "hubness", "causal_norm": "causal_norm"}
    for name, column in names.items():
        a, b = (side.columns(column)[column].to_numpy()[at] for side, at in zip(sides, rows, strict=True))
        assert answer["correlation"][name] == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)
    gammas = [side.gamma[:].astype(np.float64) for side in sides]
    lengths = [np.linalg.norm(gamma[at], axis=1) for gamma, at in zip(gammas, rows, strict=True)]
    assert answer["correlation"]["euclidean_norm"] == pytest.approx(spearmanr(*lengths).statistic, abs=1e-3)
    for side, gamma in zip("ab", gammas, strict=True):
        eigenvalues = np.linalg.eigvalsh(np.cov(gamma.T, bias=True))
        for name, own in (("covariance", eigenvalues), ("M", 1 / (eigenvalues + 1e-6))):
            found = answer["spectra"][name][side]
            expected = [own.max(), own.sum(), own.sum() ** 2 / (own**2).sum()]
            figures = [found[each] for each in ("highest", "trace", "participation_ratio")]
            if eigenvalues.min() > 1e-9:  # wide rows lie in fewer dimensions, and their lowest one is rounding
                expected += [own.min(), own.max() / own.min()]
                figures += [found["lowest"], found["condition"]]
            np.testing.assert_allclose(figures, expected, rtol=1e-6)


def test_two_widths_are_told_by_lists(models: Models) -> None:
    answer = query("compare", models.folder / "a", models.folder / "wide")
    assert answer["moved_by"] == "lists"
    assert answer["identical"] is None
    assert answer["rows"] is None
    means = [
        np.mean([max_top(each["overlap"][geometry]) for geometry in GEOMETRIES])
        for each in (*answer["most_moved"], *reversed(answer["least_moved"]))
    ]
    assert means == sorted(means)


def max_top(shares: dict[str, float]) -> float:
    return shares[max(shares, key=int)]


def test_two_bases_are_told_by_lists_and_said(models: Models, tmp_path: Path) -> None:
    """An orthogonal map moves every row, and no list."""
    rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))
    path = bundle(tmp_path, "turned", models.gamma.astype(np.float64) @ rotation)
    done = invoke("query.py", "compare", models.folder / "a", path, "--top", 10, "--json")
    assert "these are two bases" in done.err
    assert done.json["moved_by"] == "lists"
    assert all(done.json["overlap"][geometry]["10"]["mean"] > 0.999 for geometry in GEOMETRIES)


def groups(labels: NDArray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == each).tolist()) for each in np.unique(labels)}


def test_groups_kept_split_and_merged() -> None:
    known = group_changes(np.array([0, 0, 1, 1, 2, 3]), np.array([5, 5, 1, 2, 2, 2]))
    assert (known.kept, known.parted, known.joined) == (1, 1, 1)
    rng = np.random.default_rng(0)
    for _ in range(50):
        before, after = rng.integers(0, 6, (2, 14))
        old, new = groups(before), groups(after)
        kept = {each for each in old & new if len(each) > 1}
        split = {each for each in old if sum(bool(each & other) for other in new) > 1}
        merged = {each for each in new if sum(bool(each & other) for other in old) > 1}
        found = group_changes(before, after)
        assert (found.kept, found.parted, found.joined) == (len(kept), len(split), len(merged))


def test_changes_of_rows() -> None:
    a = np.array([[1, 0], [1, 0], [0, 0], [0, 0], [1, 1], [3, 4]], np.float16)
    b = np.array([[0, 1], [2, 0], [1, 0], [0, 0], [1, 1 + 2**-10], [3, 4]], np.float16)
    rows = np.arange(6)
    found = row_changes(a, rows, b, rows)
    assert found.identical.tolist() == [False, False, False, True, False, True]
    np.testing.assert_allclose(found.angles, [90, 0, np.nan, np.nan, np.degrees(np.arctan(1 + 2**-10)) - 45, 0], 1e-9)
    np.testing.assert_allclose(found.changes[:4], [np.sqrt(2), 0.5, 1, 0])
    assert found.steps is not None
    assert found.coordinates is not None
    assert found.steps[[1, 4, 5]].tolist() == [1024, 1, 0]
    assert found.coordinates.tolist() == [2, 1, 1, 0, 1, 0]
    assert row_changes(a.astype(np.float32) + np.float32(1e-7), rows, b, rows).steps is None
    assert row_changes(a.astype(np.float32), rows, a, rows).identical.all()


def test_tokens_are_matched_by_text_and_kind() -> None:
    a = Vocabulary.from_tokens(
        [" one", "two", "\ufffd", "\ufffd", "same", "same", None, None, "only", "x"],
        ["Ġone", "two", "<0x80>", "<0x81>", "s1", "s2", None, None, "only", "x"],
        special={9},
    )
    b = Vocabulary.from_tokens(
        ["two", " one", "\ufffd", "\ufffd", "same", "x", None, "same", "new"],
        ["two", "▁one", "<0x81>", "<0x82>", "s3", "x", None, "s2", "new"],
    )
    found = match(a, b)
    pairs = dict(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert pairs == {
        0: 1,
        1: 0,
        3: 2,
        4: 4,
        5: 7,
        6: 6,
    }  # once `s2` has found its own, one `same` is left on either side
    assert (found.by_piece, found.by_text, found.by_id) == (3, 2, 1)


def test_every_form(models: Models, tmp_path: Path) -> None:
    paths = [models.folder / "a", models.folder / "moved"]
    answer = index.open(paths[0]).compare(paths[1], tops=[5])
    assert index.open(paths[0]).compare(index.open(paths[1]), tops=[5]).json() == answer.json()
    lines = list(csv.DictReader(StringIO(invoke("query.py", "compare", *paths, "--top", 5, "--csv").out)))
    assert [(line["geometry"], line["trained"]) for line in lines] == [
        (geometry, trained) for trained in ("False", "True") for geometry in ("causal", "cosine", "causal-cosine")
    ]
    assert invoke("query.py", "compare", *paths, "--top", 5, "--parquet", tmp_path / "c.parquet").code == 0
    stored = pq.read_table(tmp_path / "c.parquet").to_pylist()
    rows: list[dict[str, Any]] = answer.rows()
    assert [row["mean"] for row in stored] == [row["mean"] for row in rows]
    shown = invoke("query.py", "compare", *paths, "--top", 5).out
    for said in ("in both", "293 rows", "3 kept, 0 split, 0 merged", "Moved most, by their rows", "Spectrum of M"):
        assert said in shown


@pytest.mark.parametrize(("first", "second"), [("a", "moved"), ("a", "wide")])
def test_rows_by_token_are_those_of_brute_force(models: Models, first: str, second: str, tmp_path: Path) -> None:
    paths = [models.folder / first, models.folder / second]
    sides = [index.open(path) for path in paths]
    answer = sides[0].compare(paths[1], tops=TOPS, by_token=True)
    rows = answer.rows()
    assert answer.json() == sides[0].compare(paths[1], tops=TOPS).json()
    texts = [side.vocabulary.texts.to_pylist() for side in sides]
    words = [word for word in texts[0] if word in set(texts[1])]
    assert [row["text"] for row in rows] == words
    places = [np.array([known.index(word) for word in words]) for known in texts]
    assert [(row["id"], row["other_id"]) for row in rows] == list(zip(*(each.tolist() for each in places), strict=True))
    assert [row["kind"] for row in rows] == [sides[0].vocabulary.kinds[row].as_py() for row in places[0].tolist()]
    gammas = [np.asarray(side.gamma[:]).astype(np.float64)[at] for side, at in zip(sides, places, strict=True)]
    if second == "wide":
        assert {row["degrees"] for row in rows} == {row["identical"] for row in rows} == {None}
    else:
        lengths = np.linalg.norm(gammas, axis=2)
        cosines = np.clip((gammas[0] * gammas[1]).sum(axis=1) / lengths.prod(axis=0), -1, 1)
        degrees = [row["degrees"] for row in rows]  # the oracle's arc cosine has half of the digits
        np.testing.assert_allclose(degrees, np.degrees(np.arccos(cosines)), atol=2e-6)
        assert [row["identical"] for row in rows] == (gammas[0] == gammas[1]).all(axis=1).tolist()
    for geometry in GEOMETRIES:
        mapped = [points(side.gamma[:], geometry)[at] for side, at in zip(sides, places, strict=True)]
        for top in TOPS:
            lists = [near(each, top) for each in mapped]
            shares = np.array([len(a & b) / top for a, b in zip(*lists, strict=True)])
            found = np.array([row[f"{geometry}_{top}"] for row in rows])
            assert (np.abs(found - shares) < 1e-9).mean() > 0.9  # twins tie, and lists that end in them
            assert found.mean() == pytest.approx(answer.json()["overlap"][geometry][str(top)]["mean"])
    lines = list(
        csv.DictReader(StringIO(invoke("query.py", "compare", *paths, "--top", "5,15", "--by-token", "--csv").out))
    )
    assert [float(line["causal_15"]) for line in lines] == [row["causal_15"] for row in rows]
    written = invoke("query.py", "compare", *paths, "--top", "5,15", "--by-token", "--parquet", tmp_path / "t.parquet")
    assert written.code == 0
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == rows


def test_what_is_refused(models: Models, tmp_path: Path) -> None:
    a = models.folder / "a"
    few = bundle(tmp_path, "few", gaussian(40, D, seed=9).astype(np.float32), [f"other{n}" for n in range(40)], 20)
    for arguments, said in (
        ((a, few), "a and few share 0 tokens by text and kind; wanted two or more to compare"),
        ((a, tmp_path / "none"), "none"),
        ((a,), "B"),
        ((a, a, "--top", 31), "--top must be from 1 to 30"),
    ):
        done = invoke("query.py", "compare", *arguments)
        assert done.code == 2
        assert said in done.said
    with pytest.raises(ParameterError, match="other must be a path"):
        index.open(a).compare(3)


@pytest.fixture(scope="module")
def page(models: Models, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The report of two bundles, and the answer that it is of."""
    out = tmp_path_factory.mktemp("page") / "compared.html"
    paths = [models.folder / "a", models.folder / "moved"]
    done = invoke("query.py", "compare", *paths, "--top", "5,15", "--out", out, "--json")
    assert (done.code, done.err) == (0, "")
    return out, done.json


def test_the_report_has_what_the_answer_has(page: tuple[Path, Any]) -> None:
    out, answer = page
    text = out.read_text(encoding="utf-8")
    for each in answer["most_moved"]:
        assert f'<bdi class="token" translate="no">{each["text"]}</bdi>' in text
    assert f"<td>{answer['identical']} rows</td>" in text
    charts = json.loads(re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text)[0])
    by_length, by_density = (charts[f"chart-{number}"]["data"]["values"] for number in (1, 2))
    for each in by_length:
        at = answer["overlap"][each["geometry"].replace("-", "_")][str(each["top"])]
        assert [each[name] for name in ("mean", "lowest", "highest", "chance")] == [
            at[name] for name in ("mean", "lowest", "highest", "chance")
        ]
    assert len(by_length) == 6
    tenths = {each["name"]: each["mean"] for each in answer["by_density_decile"]}
    assert len(by_density) == 30
    for each in by_density:
        assert each["mean"] == tenths[str(each["tenth"])][each["geometry"].replace("-", "_")]["15"]


def test_the_report_draws_both_charts_and_asks_no_network(page: tuple[Path, Any]) -> None:
    with chromium() as browser:
        view = browser.new_page()
        said: list[str] = []
        asked: list[str] = []
        view.on("console", lambda message: said.append(message.text))
        view.on("pageerror", lambda error: said.append(str(error)))
        view.on("request", lambda request: asked.append(request.url))
        view.goto(page[0].as_uri())
        view.wait_for_function("document.querySelectorAll('.chart svg').length === 2")
        assert (said, asked) == ([], [page[0].as_uri()])


def test_a_report_is_not_written_over_another(models: Models, page: tuple[Path, Any]) -> None:
    arguments = ("compare", models.folder / "a", models.folder / "a", "--top", 5, "--out", page[0])
    done = invoke("query.py", *arguments)
    assert done.code == 2
    assert "--overwrite" in done.err


def test_texts_of_a_report_are_no_markup(models: Models, tmp_path: Path) -> None:
    words = [f"<b>w{number}</b>&<script>" for number in range(V)]
    path = bundle(tmp_path, "marked", models.gamma, words)
    assert invoke("query.py", "compare", path, path, "--top", 5, "--out", tmp_path / "c.html").code == 0
    text = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;w0&lt;/b&gt;&amp;&lt;script&gt;" in text
    assert "<b>w" not in text
