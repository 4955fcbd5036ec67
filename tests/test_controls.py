"""Controls: their moments against float64 sums of the test's own, and that every answer says what it is about."""

import csv
import json
from io import StringIO
from pathlib import Path

import ml_dtypes
import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
import smollm2_oracle
import synthetic
from conftest import Outcome, build, invoke, query
from numpy.typing import NDArray
from safetensors import safe_open
from threadpoolctl import threadpool_limits

import index
from index.api import QUESTIONS
from index.build.control import controlled
from index.errors import ParameterError
from index.geometry import controls
from index.geometry.controls import ControlKind, covariance_rows, gaussian_rows, shuffled_columns
from index.sources.load import load

KINDS = [kind.value for kind in ControlKind]
V, D = 300, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with twins and a zero row, its bundle, and a control of each kind beside it."""
    folder = tmp_path_factory.mktemp("controls")
    smollm2_oracle.build_small(folder)
    for kind in KINDS:
        build_control(folder, kind)
    return folder


def build_control(folder: Path, kind: str, *options: object, out: str | None = None) -> Path:
    """Build a control of the small model in a folder; return its bundle's."""
    path = folder / (out or kind)
    build(folder / "gamma.npy", "--tokenizer", folder / "tokenizer", "--out", path, "--control", kind, *options)
    return path


def gamma_of(bundle: Path) -> NDArray[np.float64]:
    with safe_open(bundle / "gamma.safetensors", "pt") as file:
        return file.get_tensor("gamma").double().numpy()


# --- what a control keeps, and what it does not -------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "width"), [(300, 12), (13, 12), (10, 12), (2, 3)])
def test_a_covariance_control_has_the_mean_and_the_covariance_itself(rows: int, width: int) -> None:
    gamma = synthetic.gaussian(rows, width, seed=3)
    made = np.concatenate(list(covariance_rows(gamma, 7)))
    (mean, cov), (made_mean, made_cov) = oracles.covariance(gamma), oracles.covariance(made)
    assert made.shape == gamma.shape
    np.testing.assert_allclose(made_mean, mean, rtol=0, atol=1e-14)
    # Draws that span no more dimensions than they are rows are turned by a nearly singular matrix.
    np.testing.assert_allclose(made_cov, cov, rtol=0, atol=1e-14 if rows > 2 * width else 1e-11)
    assert not np.allclose(made, gamma)


def test_a_gaussian_control_has_the_mean_norm_and_no_direction() -> None:
    gamma = synthetic.gaussian(4000, 12, seed=3)
    made = np.concatenate(list(gaussian_rows(gamma, 7)))
    assert np.linalg.norm(made, axis=1).mean() == pytest.approx(np.linalg.norm(gamma, axis=1).mean(), rel=1e-14)
    mean, cov = oracles.covariance(made)
    scale = np.trace(cov) / 12
    assert np.abs(mean).max() < 5 * np.sqrt(scale / 4000)
    assert np.abs(cov / scale - np.eye(12)).max() < 0.15


def test_a_shuffle_moves_every_column_by_itself() -> None:
    gamma = synthetic.gaussian(200, 6, seed=3)
    made = np.empty_like(gamma)
    for where, block in shuffled_columns(gamma, 7):
        made[:, where] = block
    assert (np.sort(made, axis=0) == np.sort(gamma, axis=0)).all()
    orders = [np.argsort(made[:, column]).tolist() for column in range(6)]
    assert len({tuple(order) for order in orders}) == 6
    assert np.abs(np.corrcoef(made.T) - np.eye(6)).max() < 0.3


@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
def test_blocks_do_not_change_what_is_drawn(monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    gamma = synthetic.gaussian(100, 5, seed=3)
    whole = {make: np.concatenate(list(make(gamma, 7))) for make in (gaussian_rows, covariance_rows)}
    columns = np.concatenate([block for _, block in shuffled_columns(gamma, 7)], axis=1)
    steps = [slice(start, start + rows_at_once) for start in range(0, 100, rows_at_once)]
    monkeypatch.setattr(controls, "row_slices", lambda shape: iter(steps))
    monkeypatch.setattr(controls, "BLOCK_BYTES", 1)
    for make, rows in whole.items():
        np.testing.assert_allclose(np.concatenate(list(make(gamma, 7))), rows, rtol=0, atol=1e-14)
    assert (np.concatenate([block for _, block in shuffled_columns(gamma, 7)], axis=1) == columns).all()


# --- its bundle ---------------------------------------------------------------------------------------------------


def test_what_is_stored_has_the_moments_of_the_model(folder: Path) -> None:
    gamma, rounding = gamma_of(folder / "bundle"), 2.0**-24
    mean, cov = oracles.covariance(gamma)
    made_mean, made_cov = oracles.covariance(gamma_of(folder / "covariance"))
    np.testing.assert_allclose(made_mean, mean, rtol=0, atol=rounding * np.abs(gamma).max())
    # Twice for a product of two numbers rounded once, and the largest entries of a row are about four deviations off.
    np.testing.assert_allclose(made_cov, cov, rtol=0, atol=8 * rounding * cov.max())
    norms = [np.linalg.norm(gamma_of(folder / name), axis=1).mean() for name in ("bundle", "gaussian")]
    assert norms[0] == pytest.approx(norms[1], rel=rounding)
    assert (np.sort(gamma_of(folder / "shuffle"), axis=0) == np.sort(gamma, axis=0)).all()


def test_the_identities_hold_in_a_covariance_control(folder: Path) -> None:
    """Those of the metric, whose numbers are the model's own: it has the same covariance and the same mean row."""
    gamma, ridge = gamma_of(folder / "bundle"), 1e-6
    mean, cov = oracles.covariance(gamma)
    M = np.linalg.inv(cov + ridge * np.eye(len(cov)))
    rows, dimensions = len(gamma), len(cov) - ridge * np.trace(M)
    opened = index.open(folder / "covariance")
    points = np.asarray(opened.causal.points[:], np.float64)
    apart = np.square(points[:, None] - points).sum(axis=2)
    assert apart.sum() / (rows * (rows - 1)) == pytest.approx(2 * dimensions * rows / (rows - 1), rel=2e-7)
    norms = np.array(opened.columns("causal_norm")["causal_norm"].to_pylist())
    assert np.square(norms).mean() == pytest.approx(dimensions + mean @ M @ mean, rel=2e-7)


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(folder: Path, tmp_path: Path) -> None:
    source = load(str(folder / "gamma.npy"))
    for kind in ControlKind:
        made = []
        for threads, seed in ((1, 42), (2, 42), (2, 43)):
            with threadpool_limits(threads):
                found, said = controlled(source, kind, seed, tmp_path, lambda *step: None)
            assert (said.kind, said.seed) == (kind, seed)
            made.append(found.gamma.tobytes())
        assert made[0] == made[1] != made[2]
        assert made[0] == index.open(folder / kind).gamma[:].tobytes()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_point_of_a_control_is_untrained_or_a_twin_of_what_was_one(folder: Path, kind: str) -> None:
    table = pq.read_table(folder / kind / "tokens.parquet")
    model = pq.read_table(folder / "bundle" / "tokens.parquet")
    assert set(table["untrained"].to_pylist()) == {False}
    for name in ("moved", "unused_cosine", "unused_cosine_centered", "unused_cosine_residual"):
        assert set(table[name].to_pylist()) == {None}
        assert table[name].type == model[name].type
    assert table["twin_count"].to_pylist() == [1] * len(table)
    for name in ("text", "kind", "class", "script", "reachable"):  # labels
        assert table[name].to_pylist() == model[name].to_pylist()
    first, second = smollm2_oracle.TWINS
    assert not (gamma_of(folder / kind)[first] == gamma_of(folder / kind)[second]).all()
    refused = invoke("query.py", "untrained", "--index", folder / kind)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "is a control: nothing in it was trained" in refused.err


def test_a_control_has_the_dtype_of_the_model(tmp_path: Path) -> None:
    gamma = synthetic.gaussian(V, D, seed=5).astype(ml_dtypes.bfloat16)
    source = synthetic.write_model(tmp_path / "model.safetensors", gamma)
    for kind in ControlKind:
        found, _ = controlled(load(str(source)), kind, 1, tmp_path, lambda *step: None)
        assert found.gamma.dtype == ml_dtypes.bfloat16
        if kind is ControlKind.SHUFFLE:
            assert (np.sort(found.gamma.astype(float), axis=0) == np.sort(gamma.astype(float), axis=0)).all()


def test_a_control_of_a_sample_is_of_the_same_tokens(folder: Path, tmp_path: Path) -> None:
    model = (folder / "gamma.npy", "--tokenizer", folder / "tokenizer", "--sample", 150)
    build(*model, "--out", tmp_path / "model")
    build(*model, "--out", tmp_path / "control", "--control", "covariance")
    opened = [index.open(tmp_path / name) for name in ("model", "control")]
    assert (opened[0].vocabulary.token_ids == opened[1].vocabulary.token_ids).all()
    # Of the whole matrix, as M is.
    drawn = gamma_of(folder / "covariance")[opened[1].vocabulary.token_ids]
    assert (np.asarray(opened[1].gamma[:], np.float64) == drawn).all()
    np.testing.assert_allclose(opened[1].metric.matrix, opened[0].metric.matrix, rtol=1e-4)


def test_a_given_metric_measures_a_control_too(folder: Path, tmp_path: Path) -> None:
    M = np.diag(np.arange(1.0, smollm2_oracle.D + 1))
    np.save(tmp_path / "M.npy", M)
    path = build_control(folder, "covariance", "--metric-tensor", tmp_path / "M.npy", out="given")
    points, rows = index.open(path).causal.points[:3].astype(np.float64), gamma_of(path)[:3]
    wanted = np.sqrt((rows[0] - rows[1]) @ M @ (rows[0] - rows[1]))
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(wanted, rel=1e-6)


# --- what is refused ----------------------------------------------------------------------------------------------


def refused(*arguments: object) -> str:
    outcome = invoke("build_index.py", *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    return outcome.err


def test_what_a_control_cannot_be_built_with(folder: Path, tmp_path: Path) -> None:
    source = folder / "gamma.npy"
    np.save(tmp_path / "distances.npy", np.zeros((345, 345), np.float32))
    assert "--control must be one of gaussian, covariance, shuffle, got: random" in refused(
        source, "--control", "random"
    )
    said = refused(source, "--control", "shuffle", "--distances", tmp_path / "distances.npy")
    assert "--distances are of the model's vectors, and --control has others; leave one out" in said
    assert "--seed of a control must be from 0" in refused(source, "--control", "shuffle", "--seed", -1)
    large = np.full((40, 4), 6e4, np.float16) * np.random.default_rng(0).choice([-1, 1], (40, 4)).astype(np.float16)
    np.save(tmp_path / "large.npy", large)
    said = refused(tmp_path / "large.npy", "--control", "covariance", "--out", tmp_path / "large", "--neighbors", 20)
    assert "overflow its float16" in said
    assert not (tmp_path / "large").exists()


def test_a_control_takes_no_model_s_place(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / "bundle" / "manifest.json").read_bytes()
    said = refused(folder / "gamma.npy", "--control", "shuffle", "--out", folder / "bundle", "--overwrite")
    assert "is no control, and a control does not take its place; pass another --out" in said
    assert (folder / "bundle" / "manifest.json").read_bytes() == before
    monkeypatch.chdir(tmp_path)
    model = (folder / "gamma.npy", "--tokenizer", folder / "tokenizer")
    build(*model)
    build(*model, "--control", "shuffle", "--seed", 1)
    names = sorted(path.name for path in (tmp_path / "data" / "indexes").iterdir())
    assert names == ["gamma", "gamma-control-shuffle"]
    # Nothing is answered out of a control unless it is named.
    assert "control" not in query("densest")
    assert query("densest", "--index", "gamma-control-shuffle")["control"]["seed"] == 1


# --- every answer says what it is about ---------------------------------------------------------------------------


ASKED: dict[str, tuple[str, ...]] = {
    "neighbors": ("#40",),
    "within": ("#40", "--radius", "3"),
    "analogy": ("#40 - #41 + #42",),
    "distance": ("#40", "#41"),
    "rank": ("#40", "#41"),
    "extremes": ("density",),
    "find": ("a",),
    "export": ("edges", "--out", "edges.parquet"),
    "plot": ("#40", "--out", "figure.svg"),
    "report": ("#40", "--out", "report.html"),
    "evaluate": ("words.txt",),
    "search": ("--vectors", "probes.npy"),
    "enrich": ("#40",),
    "concept": ("pairs.txt",),
}
"""What questions need besides a bundle."""


def asked_of(name: str) -> tuple[str, ...]:
    return (name, *ASKED.get(name, ()))


ASKABLE = [name for name in QUESTIONS if name not in ("untrained", "compare")]


def ask(name: str, bundle: Path, *form: object) -> Outcome:
    outcome = invoke("query.py", *asked_of(name), "--index", bundle, *form)
    assert outcome.code in (0, 1), outcome.err
    return outcome


@pytest.mark.parametrize("name", ASKABLE)
def test_every_answer_says_that_it_is_about_a_control(
    folder: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("the\tof\t3\nand\tmoon\t5\nstar\tplanet\t7\n")
    (tmp_path / "pairs.txt").write_text("the\tof\nand\tmoon\nstar\tplanet\nhello\tworld\n")
    np.save(tmp_path / "probes.npy", np.random.default_rng(0).normal(size=(1, 12)))
    again = ("--overwrite",) if name in ("export", "plot", "report") else ()
    control, model = folder / "covariance", folder / "bundle"
    said = index.open(control).manifest.control
    assert said is not None
    assert said.source == str(folder / "gamma.npy")
    printed = ask(name, control)
    assert printed.out.startswith("A control, no model: random points with the mean and the covariance of ")
    assert "labels" in printed.said
    found = ask(name, control, "--json", *again).json
    for each in found if isinstance(found, list) else [found]:
        assert each["control"] == {"kind": "covariance", "seed": 42, "source": said.source, "sha256": said.sha256}
    lines = list(csv.DictReader(StringIO(ask(name, control, "--csv", *again).out)))
    assert {line["control"] for line in lines} <= {"covariance, seed 42"}
    if name not in ("export", "plot", "report"):
        assert ask(name, control, "--parquet", tmp_path / "rows.parquet").code in (0, 1)
        columns = pq.read_table(tmp_path / "rows.parquet")
        assert set(columns["control"].to_pylist()) <= {"covariance, seed 42"}
    # And one about the model says nothing of the kind.
    told = ask(name, model, *again)
    assert "A control" not in told.out
    whole = ask(name, model, "--json", *again).json
    assert not any(each.get("control") for each in (whole if isinstance(whole, list) else [whole]))


def test_a_comparison_says_which_of_the_two_is_a_control(folder: Path) -> None:
    printed = invoke("query.py", "compare", folder / "bundle", folder / "shuffle", "--top", 5)
    assert printed.code == 0
    assert "shuffle: 345 tokens x 12, float32, a control (shuffle, seed 42)" in printed.said
    assert printed.said.count("a control (") == 1
    sides = invoke("query.py", "compare", folder / "bundle", folder / "shuffle", "--json").json["sides"]
    assert [each["control"] for each in sides.values()] == [None, "shuffle, seed 42"]


def test_answers_in_python_say_so_too(folder: Path) -> None:
    opened = index.open(folder / "shuffle")
    assert "control" in repr(opened)
    answer = opened.neighbors("#40", top=5)
    assert answer.null_model is not None
    assert answer.null_model.kind is ControlKind.SHUFFLE
    assert set(answer.to_pandas()["control"]) == {"shuffle, seed 42"}
    assert "shuffle, seed 42" in answer._repr_html_()
    assert "control" not in index.open(folder / "bundle").neighbors("#40", top=5).to_pandas()
    with pytest.raises(ParameterError, match="nothing in it was trained"):
        opened.census()


def test_sets_of_a_control(folder: Path) -> None:
    """Those made of its vectors are empty, and leaving them out leaves all."""
    sizes = {each["name"]: each["size"] for each in query("sets", "--index", folder / "covariance")}
    assert sizes["untrained"] == sizes["twins"] == 0
    assert sizes["words"] > 0
    whole, rest = (query("overlap", *some, "--index", folder / "covariance") for some in ((), ("--without", "@twins")))
    assert [each["mean"] for each in whole["tops"].values()] == [each["mean"] for each in rest["tops"].values()]
    refused = invoke("query.py", "neighbors", "#40", "--among", "@untrained", "--index", folder / "covariance")
    assert (refused.code, refused.err.count("\n")) == (2, 1)


def test_many_tokens_at_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("#40\n#41\n")
    outcome = invoke("query.py", "neighbors", "--file", tmp_path / "tokens", "--json", "--index", folder / "gaussian")
    assert [json.loads(line)["control"]["kind"] for line in outcome.out.splitlines()] == ["gaussian", "gaussian"]
    found = query("neighbors", "#40", "#41", "--index", folder / "gaussian")
    assert [each["control"]["kind"] for each in found] == ["gaussian", "gaussian"]
