"""`metric`: the spectrum, the ridge, and lengths beside what the identities say."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
from conftest import Built, build, invoke, query
from numpy.typing import NDArray
from test_known_answers import known

from index.questions.metric import spectrum


@pytest.fixture(scope="module")
def found(smollm2: Built) -> Any:
    return query("metric", "--pairs", 50_000, "--index", smollm2.path)


@pytest.fixture(scope="module")
def cov(smollm2_gamma: NDArray) -> NDArray[np.float64]:
    return oracles.covariance(smollm2_gamma)[1]


def test_known_numbers(found: Any) -> None:
    of_cov, of_m = found["covariance"], found["M"]
    assert (of_cov["lowest"], of_cov["highest"]) == (known("2.5359e-4"), known("6.3582e-1"))
    assert of_cov["condition"] == known("2507.3")
    assert (of_m["lowest"], of_m["highest"]) == (known("1.57276"), known("3927.86"))
    assert of_m["participation_ratio"] == known("224.865")
    norms = found["norms"]
    assert (norms["mean"], norms["lowest"], norms["highest"]) == (known("36.3414"), known("26.7696"), known("58.3797"))


def test_spectra_are_those_of_the_matrices(found: Any, cov: NDArray[np.float64]) -> None:
    # Eigenvalues move by at most D 2^-53 of the largest, 1e-13; relative to the lowest, and inverted, 4e-10 at most.
    for name, matrix in (("covariance", cov), ("M", oracles.metric(cov, 1e-6))):
        expected = np.linalg.eigvalsh(matrix)
        spectrum = found[name]
        oracles.assert_close([spectrum["lowest"], spectrum["highest"]], expected[[0, -1]], relative=1e-8)
        oracles.assert_close(
            list(spectrum["percentiles"].values()), np.percentile(expected, [5, 25, 50, 75, 95]), relative=1e-8
        )
        oracles.assert_close(spectrum["trace"], np.trace(matrix), relative=1e-8)
        oracles.assert_close(spectrum["condition"], expected[-1] / expected[0], relative=1e-8)
        ratio = np.trace(matrix) ** 2 / np.sum(matrix**2)
        oracles.assert_close(spectrum["participation_ratio"], ratio, relative=1e-8)


def test_what_the_ridge_changed(found: Any, cov: NDArray[np.float64]) -> None:
    ridge = found["ridge"]
    assert ridge["value"] == 1e-6
    oracles.assert_close(ridge["highest_with"], np.linalg.eigvalsh(oracles.metric(cov, 1e-6))[-1], relative=1e-8)
    oracles.assert_close(ridge["highest_without"], np.linalg.eigvalsh(np.linalg.inv(cov))[-1], relative=1e-8)
    oracles.assert_close(ridge["dimensions_lost"], 1e-6 * np.trace(oracles.metric(cov, 1e-6)), relative=1e-8)


def test_identities(found: Any, smollm2_gamma: NDArray) -> None:
    mean, cov = oracles.covariance(smollm2_gamma)
    M, (V, D) = oracles.metric(cov, 1e-6), smollm2_gamma.shape
    norms, pairs = found["norms"], found["pairs"]
    oracles.assert_close(norms["expected_mean_square"], D - 1e-6 * np.trace(M) + mean @ M @ mean, relative=1e-9)
    oracles.assert_close(pairs["expected_mean_square"], 2 * (D - 1e-6 * np.trace(M)) * V / (V - 1), relative=1e-9)
    # A point rounded to float32 moves by at most 2^-24 of its norm, the square of its norm by twice that.
    oracles.assert_close(norms["mean_square"], norms["expected_mean_square"], relative=2.0**-23)
    # Random pairs with a fixed seed: within 4 standard errors, which chance leaves once in 16,000.
    assert 0 < pairs["standard_error"] < 0.002 * pairs["mean_square"]
    assert abs(pairs["mean_square"] - pairs["expected_mean_square"]) < 4 * pairs["standard_error"]
    assert (norms["count"], pairs["count"]) == (V, 50_000)
    assert not found["sampled"]


# --- small vocabularies -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gamma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spectrum") / "gamma.npy"
    np.save(path, np.random.default_rng(4).normal(size=(300, 6)) + 2)
    return path


def options(path: Path, *more: object) -> list[object]:
    return [path, "--neighbors", 25, *more]


def test_pairs_are_of_different_tokens(gamma: Path, tmp_path: Path) -> None:
    """With two tokens there is one distance, and no pair of a token with itself."""
    np.save(tmp_path / "two.npy", np.array([[0.0, 1.0], [1.0, 0.0]]))
    build(tmp_path / "two.npy", "--out", tmp_path / "two", "--neighbors", 1, "--density-k", 1, "--ridge", 0.5)
    pairs = query("metric", "--index", tmp_path / "two", "--pairs", 50)["pairs"]
    # Cov = [[.25, -.25], [-.25, .25]], M = (Cov + I / 2)^-1 = [[1.5, .5], [.5, 1.5]], (1, -1) M (1, -1)^T = 2
    assert pairs["lowest"] == pairs["highest"] == pytest.approx(2**0.5, rel=2.0**-22)  # two points in float32
    assert pairs["expected_mean_square"] == pytest.approx(2, rel=1e-12)


def test_a_sample_says_that_the_identities_hold_for_the_whole(gamma: Path, tmp_path: Path) -> None:
    build(*options(gamma, "--sample", 100, "--out", tmp_path / "sample"))
    build(*options(gamma, "--out", tmp_path / "whole"))
    sample, whole = (query("metric", "--index", tmp_path / name) for name in ("sample", "whole"))
    assert sample["sampled"]
    assert not whole["sampled"]
    for lengths in ("norms", "pairs"):
        assert sample[lengths]["expected_mean_square"] == whole[lengths]["expected_mean_square"]
    assert "hold for the whole vocabulary only" in invoke("query.py", "metric", "--index", tmp_path / "sample").said
    assert "hold for" not in invoke("query.py", "metric", "--index", tmp_path / "whole").said


def test_a_given_metric_has_no_identities(gamma: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "M.npy", np.diag([1.0, 2, 3, 4, 5, 8]))
    build(*options(gamma, "--metric-tensor", tmp_path / "M.npy", "--out", tmp_path / "given"))
    found = query("metric", "--index", tmp_path / "given")
    assert found["ridge"] is None
    assert (found["M"]["lowest"], found["M"]["highest"]) == (pytest.approx(1, rel=1e-12), pytest.approx(8, rel=1e-12))
    assert found["M"]["participation_ratio"] == pytest.approx(23**2 / 119, rel=1e-12)
    assert found["norms"]["expected_mean_square"] is found["pairs"]["expected_mean_square"] is None
    assert "M was given" in invoke("query.py", "metric", "--index", tmp_path / "given").said


def test_a_singular_covariance_has_an_infinite_condition(tmp_path: Path) -> None:
    """Without its ridge M would have no end, and JSON says so."""
    rows = np.zeros((60, 3))
    rows[:, 0] = np.arange(60)  # the covariance is diagonal, with two zeros
    np.save(tmp_path / "gamma.npy", rows)
    build(*options(tmp_path / "gamma.npy", "--out", tmp_path / "bundle"))
    found = query("metric", "--index", tmp_path / "bundle")
    assert found["covariance"]["condition"] == found["ridge"]["highest_without"] == "Infinity"
    done = invoke("query.py", "metric", "--index", tmp_path / "bundle", "--csv")
    lines = {line["name"]: line["value"] for line in csv.DictReader(StringIO(done.out))}
    assert float(lines["covariance.condition"]) == np.inf


def test_csv_is_the_json(gamma: Path, tmp_path: Path) -> None:
    build(*options(gamma, "--out", tmp_path / "bundle"))
    done = invoke("query.py", "metric", "--index", tmp_path / "bundle", "--csv")
    lines = {line["name"]: line["value"] for line in csv.DictReader(StringIO(done.out))}
    found = query("metric", "--index", tmp_path / "bundle")
    assert float(lines["M.percentiles.50"]) == found["M"]["percentiles"]["50"]
    assert float(lines["pairs.mean_square"]) == found["pairs"]["mean_square"]
    assert lines["origin"] == found["origin"]


def test_too_few_pairs(smollm2: Built) -> None:
    done = invoke("query.py", "metric", "--pairs", 1, "--index", smollm2.path)
    assert (done.code, done.err) == (2, "error: --pairs must be from 2 to 10,000,000, got: 1\n")


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200, -1e300])
def test_how_many_directions_share_the_trace_at_any_scale(scale: float) -> None:
    assert spectrum(scale * np.array([1.0, 1.0, 2.0])).participation_ratio == pytest.approx(16 / 6)
    assert spectrum(scale * np.ones(5)).participation_ratio == pytest.approx(5)
