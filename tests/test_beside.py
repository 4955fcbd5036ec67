"""What another bundle answers beside a bundle's own answer: the same as asked by itself, named, or refused in words."""

import csv
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
import smollm2_oracle
import synthetic
from conftest import build, invoke, query
from numpy.typing import NDArray

import index
from index.api import OpenVocabulary
from index.errors import ParameterError
from index.geometry.controls import covariance_rows

ASKED = ("overlap", "densest", "hubness")
K = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, a control of it, and other bundles that cannot stand beside it, or not without a word."""
    folder = tmp_path_factory.mktemp("beside")
    smollm2_oracle.build_small(folder, "--neighbors", K)
    model = (folder / "gamma.npy", "--tokenizer", folder / "tokenizer", "--control", "covariance")
    build(*model, "--out", folder / "control", "--neighbors", K)
    build(*model, "--out", folder / "short", "--neighbors", 20)
    build(*model, "--out", folder / "averaged", "--neighbors", K, "--density-k", 10)
    build(*model, "--out", folder / "sample", "--neighbors", K, "--sample", 100)
    build(*model, "--out", folder / "centered", "--neighbors", K, "--centered", "--ridge", 0.5)
    other = smollm2_oracle.paired_gamma()
    np.save(folder / "other.npy", other)
    build(folder / "other.npy", "--tokenizer", folder / "tokenizer", "--out", folder / "other", "--neighbors", K)
    return folder


def opened(folder: Path, name: str) -> OpenVocabulary:
    return index.open(folder / name)


# --- the answer is the one that the other bundle gives ------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("options", [(), ("--top", 12), ("--geometry", "cosine,causal-cosine")])
def test_beside_stands_what_the_other_answers_by_itself(folder: Path, name: str, options: tuple[object, ...]) -> None:
    found = query(name, *options, "--index", folder / "bundle", "--beside", folder / "control")
    alone = query(name, *options, "--index", folder / "control")
    facts = alone.pop("control")
    beside = found.pop("beside")
    assert (beside.pop("bundle"), beside.pop("control"), beside.pop("notes")) == ("control", facts, [])
    assert beside == alone
    assert found == query(name, *options, "--index", folder / "bundle")


@pytest.mark.parametrize("name", ["overlap", "densest"])
def test_parts_of_the_vocabulary_are_the_same_in_both(folder: Path, name: str) -> None:
    options = ("--top", 10, "--without", "script=Latin,@untrained,@twins")
    found = query(name, *options, "--index", folder / "bundle", "--beside", folder / "control")
    model = opened(folder, "bundle")
    ids = model.vocabulary.token_ids[model.subset("script=Latin,@untrained,@twins").rows]
    (folder / "left_out.txt").write_text(" ".join(map(str, ids)))
    alone = query(name, "--top", 10, "--without", folder / "left_out.txt", "--index", folder / "control")
    assert found["among"]["size"] == found["beside"]["among"]["size"] == 345 - len(ids)
    for key in set(alone) - {"control", "among"}:
        assert found["beside"][key] == alone[key], key


@pytest.mark.parametrize("name", ASKED)
def test_csv_and_parquet_have_the_lines_of_both(folder: Path, name: str) -> None:
    where = ("--index", folder / "bundle", "--beside", folder / "control")
    lines = list(csv.DictReader(StringIO(invoke("query.py", name, *where, "--csv").out)))
    wanted = []
    for bundle in ("bundle", "control"):
        alone = list(csv.DictReader(StringIO(invoke("query.py", name, "--index", folder / bundle, "--csv").out)))
        wanted += [{key: each[key] for key in each if key != "control"} | {"bundle": bundle} for each in alone]
    assert lines == wanted
    path = folder / f"{name}.parquet"
    assert invoke("query.py", name, *where, "--parquet", path).code == 0
    assert pq.read_table(path)["bundle"].to_pylist() == [each["bundle"] for each in wanted]


def test_python_takes_an_open_bundle_a_path_or_a_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, control = opened(folder, "bundle"), opened(folder, "control")
    found = model.overlap(beside=control)
    assert found.beside is not None
    assert found.beside.answer.tops == control.overlap().tops
    frame = found.to_pandas()
    assert frame["bundle"].tolist() == ["bundle"] * 3 + ["control"] * 3
    assert model.overlap(beside=str(folder / "control")).beside.answer == found.beside.answer
    (tmp_path / "data" / "indexes").mkdir(parents=True)
    (tmp_path / "data" / "indexes" / "made").symlink_to(folder / "control", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    assert model.hub_shares(beside="made").beside.bundle == "control"
    assert model.overlap().beside is None


@pytest.mark.parametrize("name", ASKED)
def test_the_page_names_both(folder: Path, name: str) -> None:
    printed = invoke("query.py", name, "--index", folder / "bundle", "--beside", folder / "control")
    assert "covariance control" in printed.out
    assert "random points with the mean and the covariance of " in printed.said
    assert "They have no other structure." in printed.said
    assert "A control, no model" not in printed.out
    assert printed.err == ""
    if name == "overlap":
        assert "Of its points none is untrained: its lines stand beside the trained tokens, too." in printed.said
        means = query(name, "--index", folder / "control")["tops"]
        shown = [line.split() for line in printed.out.splitlines() if line.startswith("covariance control")]
        assert [(top, mean) for _, _, top, mean, *_ in shown] == [
            (top, f"{100 * each['mean']:.1f}") for top, each in means.items()
        ]


# --- what cannot stand beside, and what is said of the rest -------------------------------------------------------

REFUSED: list[tuple[str, tuple[object, ...], str]] = [
    ("sample", (), "--beside sample holds 100 tokens x 12, and bundle 345 x 12; wanted one of the same shape"),
    ("short", ("--top", 30), "--beside short keeps 20 neighbors, and lists of 30 are asked for"),
    ("averaged", (), "--beside averaged averages 10 neighbors in its densities, and bundle 20"),
    ("nothing", (), "no bundle in"),
    (
        "centered",
        ("--geometry", "causal,causal-cosine"),
        "--beside centered takes its causal cosines at the mean row, and bundle at zero",
    ),
]


@pytest.mark.parametrize(("other", "options", "said"), REFUSED)
def test_what_cannot_stand_beside(folder: Path, other: str, options: tuple[object, ...], said: str) -> None:
    for name in ("overlap", "hubness"):
        outcome = invoke("query.py", name, *options, "--index", folder / "bundle", "--beside", folder / other)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert said in outcome.err
        assert "--beside" in outcome.err


def test_a_part_of_the_vocabulary_has_no_meaning_among_other_tokens(folder: Path, tmp_path: Path) -> None:
    for number, source in enumerate((folder / "gamma.npy", folder / "other.npy")):
        ids = np.arange(100) + 100 * number
        np.save(tmp_path / "ids.npy", ids)
        model = (source, "--tokenizer", folder / "tokenizer", "--sample", tmp_path / "ids.npy", "--neighbors", K)
        build(*model, "--out", tmp_path / f"{number}")
    first, second = (index.open(tmp_path / f"{number}") for number in range(2))
    with pytest.raises(ParameterError, match="beside 1 holds other tokens than 0, so @words means nothing there"):
        first.densest(beside=second, among="@words")
    notes = first.hub_shares(beside=second).beside.notes
    assert "The rows of 1 are of other tokens than those of 0." in notes


NOTED: list[tuple[str, str, str]] = [
    ("bundle", "other", "other is no control: its points are a model's, with a structure of their own."),
    ("other", "control", "control is a control of another matrix: what it keeps is not of other."),
    ("control", "bundle", "control is a control itself: what stands beside it is no measure of it."),
    ("bundle", "centered", "centered has another metric (inverse of Cov(gamma) + 0.5 I;"),
]


@pytest.mark.parametrize(("one", "other", "said"), NOTED)
def test_what_is_no_control_of_this_model_is_said_to_be_none(folder: Path, one: str, other: str, said: str) -> None:
    asked = ("hubness", "--geometry", "causal,cosine", "--index", folder / one, "--beside", folder / other)
    printed = invoke("query.py", *asked)
    assert said in printed.said
    assert f"  {other} " in printed.out
    assert "  covariance control" not in printed.out
    found = query(*asked)["beside"]
    assert any(said in note for note in found["notes"])


# --- hubness falls to that of Gaussian points ---------------------------------------------------------------------


def shares_of_places(points: NDArray[np.float64], k: int) -> list[float]:
    """The places of all lists of k that the top 0.1, 0.5 and 1 % of the points hold, by sorting every distance."""
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    counts = np.bincount(np.argsort(apart, axis=1)[:, :k].ravel(), minlength=len(points))
    descending = np.sort(counts)[::-1].cumsum() / counts.sum()
    return [float(descending[max(1, round(len(points) * percent / 100)) - 1]) for percent in (0.1, 0.5, 1)]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_heap_of_hubs_is_gone_from_a_covariance_control(tmp_path: Path, seed: int) -> None:
    """Twenty of the planted rows lie close to the mean row, and fill the lists of all others."""
    gamma = synthetic.gaussian(1000, 24, seed=seed)
    rng = np.random.default_rng(seed)
    gamma[:20] = gamma.mean(axis=0) + 1e-3 * (gamma[:20] - gamma.mean(axis=0))
    np.save(tmp_path / "gamma.npy", gamma)
    build(tmp_path / "gamma.npy", "--out", tmp_path / "model")
    build(tmp_path / "gamma.npy", "--out", tmp_path / "control", "--control", "covariance", "--seed", seed)
    found = query("hubness", "--index", tmp_path / "model", "--beside", tmp_path / "control")
    # In the causal metric points with any covariance are alike in all directions.
    drawn = [shares_of_places(rng.normal(size=(1000, 24)), 30) for _ in range(12)]
    middle, spread = np.mean(drawn, axis=0), np.std(drawn, axis=0)
    control = list(found["beside"]["causal"]["share"].values())
    model = list(found["causal"]["share"].values())
    assert (np.abs(control - middle) < 5 * spread).all(), (control, middle, spread)
    assert (np.array(model) > 2.5 * middle).all()
    # The stored numbers are those of the control's own points, counted here.
    _, cov = oracles.covariance(gamma)
    made = np.concatenate(list(covariance_rows(gamma, seed)))
    points = oracles.causal_points(made, np.linalg.inv(cov + 1e-6 * np.eye(24)))
    assert control == pytest.approx(shares_of_places(points, 30), abs=2e-3)


def test_a_question_without_a_control_takes_none(folder: Path) -> None:
    ask: Callable[..., Any] = opened(folder, "bundle").neighbors
    with pytest.raises(TypeError):
        ask("#40", beside=opened(folder, "control"))
