"""Equations that hold for any model, and the oracle held against itself.

With d the width, M = (Cov + ridge I)^-1, mu the mean row, V tokens:

- mean over ordered pairs i != j of the squared causal distance = 2 (d - ridge tr M) V / (V - 1)
- mean over i of the squared causal norm = d - ridge tr M + mu^T M mu
- with ridge = 0 causal distances are unchanged by any invertible linear map of gamma's columns
- centering changes no distance
"""

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
import synthetic
from conftest import ROOT, Built, build
from numpy.typing import NDArray

import index
from index.geometry.maps import causal_points
from index.geometry.metric import covariance, metric_from_covariance

RIDGES = [0.0, 1e-6]

# Rounding one coordinate to float32 moves it by at most 2^-24 of itself, so a mean of squares by at most 2 * 2^-24 of
# itself (1.2e-7); the covariance itself, in float64, adds D * 2^-53 times a condition number of 2,500 (1e-10).
IN_FLOAT32 = 2e-7
# Where nothing is rounded to float32 only that last term is left; ten times as much for products with M.
IN_FLOAT64 = 1e-9


@dataclass(frozen=True, eq=False)
class Example:
    gamma: NDArray
    mean: NDArray
    cov: NDArray


@pytest.fixture(scope="module", params=["random", "smollm2"])
def example(request: pytest.FixtureRequest) -> Example:
    if request.param == "random":
        # Eigenvalues down to 1e-5, as in real models, so that a ridge of 1e-6 is far from nothing.
        gamma = synthetic.gaussian(700, 40, seed=5).astype(np.float32)
    else:
        gamma = request.getfixturevalue("smollm2_gamma")
    return Example(gamma, *oracles.covariance(gamma))


def mean_squared_distance(points: NDArray) -> float:
    """Mean over ordered pairs i != j of |p_i - p_j|^2: twice the scatter around the mean point, V / (V - 1) times."""
    every = points.astype(np.float64)
    centered = every - every.mean(axis=0)
    return float(2 * np.square(centered).sum() / (len(every) - 1))


def library_points(gamma: NDArray, ridge: float) -> NDArray:
    return causal_points(gamma, metric_from_covariance(*covariance(gamma), ridge))


# --- functions of index.geometry --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", RIDGES)
def test_covariance_and_metric(example: Example, ridge: float) -> None:
    mean, cov = covariance(example.gamma)
    scale = np.abs(example.cov).max()
    oracles.assert_close(mean, example.mean, absolute=IN_FLOAT64 * np.sqrt(scale))
    oracles.assert_close(cov, example.cov, absolute=IN_FLOAT64 * scale)
    metric = metric_from_covariance(mean, cov, ridge)
    M = oracles.metric(example.cov, ridge)
    oracles.assert_close(metric.matrix, M, absolute=IN_FLOAT64 * np.abs(M).max())
    oracles.assert_close(metric.factor @ metric.factor.T, M, absolute=IN_FLOAT64 * np.abs(M).max())
    oracles.assert_close(metric.eigenvalues, np.linalg.eigvalsh(example.cov), relative=IN_FLOAT64)
    assert metric.ridge == ridge


@pytest.mark.parametrize("ridge", RIDGES)
def test_mean_squared_distance(example: Example, ridge: float) -> None:
    V, D = example.gamma.shape
    expected = 2 * (D - ridge * np.trace(oracles.metric(example.cov, ridge))) * V / (V - 1)
    points = library_points(example.gamma, ridge)
    assert points.dtype == np.float32
    # Rounding is of uncentered coordinates: their mean square is at most a few times the centered one.
    assert mean_squared_distance(points) == pytest.approx(expected, rel=3 * IN_FLOAT32)
    if ridge:
        # The identity would notice a forgotten ridge.
        assert abs(expected - 2 * D * V / (V - 1)) > 100 * IN_FLOAT32 * expected


@pytest.mark.parametrize("ridge", RIDGES)
def test_mean_squared_norm(example: Example, ridge: float) -> None:
    D = example.gamma.shape[1]
    M = oracles.metric(example.cov, ridge)
    expected = D - ridge * np.trace(M) + example.mean @ M @ example.mean
    metric = metric_from_covariance(*covariance(example.gamma), ridge)
    mapped = example.gamma.astype(np.float64) @ metric.factor
    assert np.square(mapped).sum(axis=1).mean() == pytest.approx(expected, rel=IN_FLOAT64)
    # The mean row must matter, or this would not tell centered from uncentered norms.
    assert example.mean @ M @ example.mean > 0.01 * D


@pytest.mark.slow("two metrics of the bundled model from scratch, in float64")
def test_without_ridge_linear_maps_of_the_columns_change_no_distance(example: Example) -> None:
    D = example.gamma.shape[1]
    rng = np.random.default_rng(6)
    left, _ = np.linalg.qr(rng.normal(size=(D, D)))
    right, _ = np.linalg.qr(rng.normal(size=(D, D)))
    change = left * np.geomspace(0.2, 5, D) @ right
    rows = rng.choice(len(example.gamma), size=300, replace=False)
    gamma = example.gamma.astype(np.float64)
    before = library_points(gamma, 0.0)
    after = library_points(gamma @ change, 0.0)
    # Twice the rounding of points, once for each side.
    tolerance = 2 * oracles.rounding_tolerance(before)
    moved = oracles.all_distances(after[rows]) - oracles.all_distances(before[rows])
    assert np.abs(moved).max() <= tolerance
    # With a visible ridge it is not so: the test can fail.
    visible = float(np.median(np.linalg.eigvalsh(example.cov)))
    moved = oracles.all_distances(library_points(gamma @ change, visible)[rows[:20]]) - oracles.all_distances(
        library_points(gamma, visible)[rows[:20]]
    )
    assert np.abs(moved).max() > 1000 * tolerance


@pytest.mark.parametrize("ridge", RIDGES)
def test_centering_changes_no_distance(example: Example, ridge: float) -> None:
    rows = np.random.default_rng(7).choice(len(example.gamma), size=300, replace=False)
    gamma = example.gamma.astype(np.float64)
    before = library_points(gamma, ridge)
    after = library_points(gamma - example.mean, ridge)
    moved = oracles.all_distances(after[rows]) - oracles.all_distances(before[rows])
    assert np.abs(moved).max() <= 2 * oracles.rounding_tolerance(before)


@pytest.mark.parametrize("ridge", RIDGES)
def test_points_carry_the_quadratic_form(example: Example, ridge: float) -> None:
    M = oracles.metric(example.cov, ridge)
    points = library_points(example.gamma, ridge)
    tolerance = oracles.rounding_tolerance(oracles.causal_points(example.gamma, M))
    for row in (3, 333):
        expected = oracles.quadratic_form_distances(example.gamma, M, row)
        found = oracles.distances_from(points, [row])[0]
        # Just under the root, float64 leaves 1e-16 * |x|^2: nothing beside the tolerance, except at distance 0.
        assert np.abs(found - expected).max() <= tolerance


# --- what a build leaves on disk ---------------------------------------------------------------------------------


def check_stored(bundle: Built, gamma: NDArray, ridge: float) -> None:
    """Both identities over the points a bundle was opened with, and the norms in its table."""
    V, D = gamma.shape
    mean, cov = oracles.covariance(gamma)
    M = oracles.metric(cov, ridge)
    # The bundle itself is not kept: its arrays must outlive it (they once pointed into freed memory).
    points = index.open(bundle.path).causal.points.whole
    expected = 2 * (D - ridge * np.trace(M)) * V / (V - 1)
    assert mean_squared_distance(points) == pytest.approx(expected, rel=3 * IN_FLOAT32)
    norms = pq.read_table(bundle.path / "tokens.parquet")["causal_norm"].to_numpy()
    assert np.square(norms.astype(np.float64)).mean() == pytest.approx(
        D - ridge * np.trace(M) + mean @ M @ mean, rel=2 * IN_FLOAT32
    )


@pytest.mark.parametrize("space", ["causal", "cosine"])
def test_points_outlive_their_bundle(space: str, smollm2: Built) -> None:
    """In a process of its own: reading memory that was given back ends a process without a word."""
    script = (
        "import gc, sys, numpy, index\n"
        f"points = index.open(sys.argv[1]).{space}.points\n"
        "gc.collect()\n"
        f"kept = index.open(sys.argv[1])\n"
        f"sys.exit(0 if numpy.array_equal(points, kept.{space}.points) else 3)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(smollm2.path)], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_built_smollm2(smollm2: Built, smollm2_gamma: NDArray) -> None:
    check_stored(smollm2, smollm2_gamma, 1e-6)


@pytest.mark.parametrize("ridge", RIDGES)
def test_built_random_model(ridge: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("random")
    gamma = synthetic.gaussian(700, 40, seed=5).astype(np.float32)
    path = synthetic.write_model(folder / "random.safetensors", gamma)
    report = build(path, "--ridge", ridge, "--out", folder / "bundle")
    check_stored(Built(folder / "bundle", report), gamma, ridge)


# --- the oracle against itself -----------------------------------------------------------------------------------


def test_oracle_cholesky_is_the_quadratic_form(example: Example) -> None:
    M = oracles.metric(example.cov, 1e-6)
    points = oracles.causal_points(example.gamma, M)
    for row in (0, 99):
        expected = oracles.quadratic_form_distances(example.gamma, M, row)
        # float64 throughout, apart from the root at distances of 1e-8 and less, where it doubles the digits lost.
        oracles.assert_close(oracles.distances_from(points, [row])[0], expected, relative=IN_FLOAT64, absolute=1e-7)


def test_oracle_overlap_bounds_are_those_of_the_enumeration() -> None:
    rng = np.random.default_rng(8)
    seen = set()
    for _ in range(300):
        # Distances of few values: ties everywhere.
        a, b = rng.integers(0, 4, size=(2, 9)).astype(np.float64)
        pair = [oracles.choices(distances, 0, 4, 0.0) for distances in (a, b)]
        bounds = oracles.overlap_bounds_by_enumeration(*pair)
        assert oracles.overlap_bounds(*pair) == bounds
        seen.add(bounds[1] - bounds[0])
    assert len(seen) > 2, "cases with and without room"
