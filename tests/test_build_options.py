"""Approximate indexes with their recall, threads, and a build that is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import oracles
import pytest
from conftest import ROOT
from interrupted import contents
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

import build_index
import query
from index.checks import crosscheck
from index.checks.crosscheck import PairCheck, QuadraticForm

V, D = 600, 16


def build(*arguments: object) -> Result:
    return CliRunner().invoke(build_index.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("options") / "gamma.npy"
    rows = np.random.default_rng(21).normal(size=(V, D)).astype(np.float32)
    rows[300:320] = rows[20]  # twins: any of them is as good an answer as another
    np.save(path, rows)
    return path


def recall(file: Path, points: NDArray, k: int, rows: int) -> tuple[float, float]:
    """The least and the most recall that `rows` of the points can have given, by brute force."""
    _, found = faiss.read_index(str(file)).search(points.astype(np.float32), k + 1)
    distances = oracles.all_distances(points)
    np.fill_diagonal(distances, np.inf)
    borders = np.sort(distances, axis=1)[:, k - 1] + 1e-5
    hits = [
        min(k, int((distances[row][[n for n in set(ids.tolist()) if n not in (-1, row)]] <= borders[row]).sum()))
        for row, ids in enumerate(found)
    ]
    ordered = np.sort(hits)
    return float(ordered[:rows].sum() / (k * rows)), float(ordered[-rows:].sum() / (k * rows))


def test_an_approximate_index_states_its_recall(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    assert build(source, "--out", out, "--index-factory", "IVF16,Flat", "--index-factory", "Flat").exit_code == 0
    manifest = json.loads((out / "manifest.json").read_text())
    gamma = np.load(source).astype(np.float64)
    factor = np.linalg.cholesky(oracles.metric(oracles.covariance(gamma)[1], 1e-6))
    whitened = gamma @ factor
    for name, points in {
        "causal": whitened,
        "cosine": oracles.unit_rows(gamma),
        "causal_cosine": oracles.unit_rows(whitened),
    }.items():
        rough, exact = manifest["spaces"][name]["approximate"]
        assert (rough["factory"], rough["k"], rough["rows"]) == ("IVF16,Flat", 30, V)
        if name == "cosine":  # the oracle's causal points are rotated against the stored ones: another clustering
            least, most = recall(out / rough["file"], points, 30, V)
            assert rough["recall"] == pytest.approx(least) == pytest.approx(most)
        assert 0.02 < rough["recall"] < 0.9
        assert exact["recall"] == 1.0
        assert exact["file"] == f"{name}.flat.faiss"
    shown = CliRunner().invoke(query.app, ["info", "--index", str(out)]).stdout
    assert (
        f"IVF16,Flat: recall at 30 is {manifest['spaces']['causal']['approximate'][0]['recall']:.3f} over 600 rows"
        in (" ".join(shown.split()))
    )


@pytest.mark.parametrize(
    ("factory", "said"),
    [("Nonsense17", "is none of FAISS's for width 16"), ("IVF5000,Flat", "cannot hold these points")],
)
def test_a_factory_that_faiss_refuses(factory: str, said: str, source: Path, tmp_path: Path) -> None:
    result = build(source, "--out", tmp_path / "bundle", "--index-factory", factory)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_threads_change_no_answer(source: Path, tmp_path: Path) -> None:
    for threads in (1, 2):
        assert build(source, "--out", tmp_path / str(threads), "--threads", threads).exit_code == 0
    for name in ("causal", "cosine", "causal_cosine"):
        for array in ("ids", "distances", "distinct_distances"):
            files = [tmp_path / threads / f"{name}.{array}.npy" for threads in ("1", "2")]
            assert files[0].read_bytes() == files[1].read_bytes()
    result = build(source, "--out", tmp_path / "none", "--threads", "0")
    assert result.exit_code == 2
    assert "--threads must be from 1 to 1024, got: 0" in result.stderr


def test_threads_change_no_byte(tmp_path: Path) -> None:
    """So wide that BLAS shares an eigenvalue decomposition out among its threads, which moves its last digits."""
    rows = np.random.default_rng(3).normal(size=(1200, 576)) * np.linspace(0.1, 2, 576)
    np.save(tmp_path / "gamma.npy", rows.astype(np.float32))
    built = []
    for threads in (1, 2):
        out = tmp_path / str(threads) / "bundle"
        assert build(tmp_path / "gamma.npy", "--out", out, "--threads", threads).exit_code == 0
        built.append(contents(out))
    assert built[0] == built[1]


@pytest.mark.slow("builds the first space of the bundled model")
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
def test_a_stopped_build_ends_at_once_and_keeps_what_is_finished(tmp_path: Path) -> None:
    left = tmp_path / ".bundle.building"
    command = [sys.executable, str(ROOT / "build_index.py"), "--out", str(tmp_path / "bundle")]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
        # Tests that run in a shell's background ignore Ctrl-C, and what they start would, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 300
        while not (left / "causal.json").exists() and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said == f"stopped: 1 of 3 spaces is kept for the next run, in {left}\n"
    assert list(tmp_path.iterdir()) == [left]


def test_a_bundle_is_named_after_its_folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    result = build(source, "--out", ".", "--overwrite")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "mine" / "manifest.json").read_text())["name"] == "mine"
    assert "bundle mine: 600 tokens" in " ".join(result.stdout.split())


def test_one_token_has_no_neighbors(tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", np.ones((1, 3)))
    result = build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: k=100 needs at least 101 tokens, but there is 1, which has no neighbors; index more\n"
    )


@pytest.mark.parametrize("matrix", ["right", "wrong"])
def test_a_build_says_which_part_of_the_cross_check_failed(
    matrix: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored matrix that is right, and a quadratic form that is not; and the other way round."""
    gamma = np.load(source).astype(np.float64)
    points = oracles.causal_points(gamma, oracles.metric(oracles.covariance(gamma)[1], 1e-6))
    np.save(tmp_path / "distances.npy", oracles.all_distances(points) * (1 if matrix == "right" else 2))
    if matrix == "right":
        apart = PairCheck(1, 0.5, (1, 2))
        monkeypatch.setattr(crosscheck, "check_quadratic_form", lambda *_: QuadraticForm(apart, apart, 1e-6))
    asked = build(source, "--distances", tmp_path / "distances.npy", "--out", tmp_path / "bundle")
    assert asked.exit_code == 1, asked.output
    cause = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["crosscheck"]["matrix"]["cause"]
    assert (cause is None) == (matrix == "right")
    said = f"the cross-check failed: {cause or 'the quadratic form differs'}"
    assert f"{said} (query.py crosscheck says more)\n" in asked.stderr
    options = ["crosscheck", "--distances", tmp_path / "distances.npy", "--index", tmp_path / "bundle"]
    assert CliRunner().invoke(query.app, list(map(str, options))).stderr == f"{said}\n"
