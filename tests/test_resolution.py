"""Points are rounded less their mean; what float32 cannot order, or cannot hold, is said or refused."""

from pathlib import Path

import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
import synthetic
from conftest import Outcome, invoke, query
from numpy.typing import NDArray

from index.bundle.bundle import open_bundle
from index.geometry.maps import Geometry, map_rows
from index.geometry.metric import Metric

V, D, K = 400, 16, 20


def rows() -> NDArray[np.float64]:
    return synthetic.gaussian(V, D, seed=1)


def built(folder: Path, gamma: NDArray, *options: object) -> Outcome:
    np.save(folder / "gamma.npy", gamma)
    return invoke(
        "build_index.py", folder / "gamma.npy", "--neighbors", K, "--out", folder / "bundle", "--json", *options
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    outcome = built(folder, rows())
    assert outcome.code == 0
    assert "hundredth" not in outcome.err
    assert "dimensions off" not in outcome.err
    return folder / "bundle"


@pytest.fixture(scope="module")
def offset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A million added to every entry: the same differences, in float64 to ten digits."""
    folder = tmp_path_factory.mktemp("offset")
    outcome = built(folder, rows() + 1e6)
    assert outcome.code == 0, outcome.err
    return folder / "bundle", outcome


def test_a_common_offset_costs_no_digit_of_causal_distances(plain: Path, offset: tuple[Path, Outcome]) -> None:
    """Rounded with the offset in them, points had a resolution of thousands of logometers, and all was tied."""
    before, after = open_bundle(plain).causal, open_bundle(offset[0]).causal
    M = oracles.metric(oracles.covariance(rows())[1], 1e-6)
    exact = oracles.all_distances(oracles.causal_points(rows(), M))
    assert after.resolution == pytest.approx(before.resolution, rel=1e-4)
    assert after.resolution < exact[exact > 0].min() / 1000
    for row in range(V):
        # Beside rounding, what a million leaves of an entry of 0.001 in float64: 1e-10, a ten millionth of it.
        oracles.assert_nearest_up_to_ties(
            after.ids[row], after.distances[row], exact[row], row, after.resolution + 1e-6 * exact.max()
        )


def test_verify_passes_and_says_where_tokens_tie(plain: Path, offset: tuple[Path, Outcome]) -> None:
    options = ["--deep", "--rows", 100, "--deep-rows", 100, "--pairs", 1000]
    sound = query("verify", *options, "--index", plain)
    assert (sound["passed"], sound["coarse"]) == (True, {})
    found = query("verify", *options, "--index", offset[0])
    assert found["passed"]
    assert found["deep"]["lists"]["causal"]["differing"] <= 10, "no tie excuses other ids"
    assert set(found["coarse"]) == {"cosine", "causal_cosine"}, "directions of such rows are all the same"
    said = "is more than a hundredth of the distance to the nearest other token"
    assert said in invoke("query.py", "verify", "--rows", 1, "--pairs", 1, "--index", offset[0]).out.replace("\n", " ")
    assert invoke("query.py", "info", "--index", offset[0]).said.count(said) == 2
    assert said not in invoke("query.py", "info", "--index", plain).said
    assert f"cosine: the resolution of 2.38e-07 {said}" in offset[1].err


def test_median_of_the_nearest_is_over_other_points(tmp_path: Path) -> None:
    """Twins are at 0, and no measure of how far apart tokens are."""
    gamma = rows()
    gamma[100:300] = gamma[0]
    assert built(tmp_path, gamma).code == 0
    facts = open_bundle(tmp_path / "bundle").causal.facts
    points = oracles.causal_points(gamma, oracles.metric(oracles.covariance(gamma)[1], 1e-6))
    exact = oracles.all_distances(points)
    nearest = [row[row > 1e-9].min() for row in exact]
    assert facts.median_nearest == pytest.approx(np.median(nearest), rel=1e-6)
    assert facts.coarse is None


def test_all_tokens_in_one_place_are_said(tmp_path: Path) -> None:
    """Rows of one direction: their cosines are 1, whatever their lengths."""
    gamma = np.outer(np.geomspace(1, 2, 60), np.ones(3))
    outcome = built(tmp_path, gamma)
    assert outcome.code == 0, outcome.err
    facts = open_bundle(tmp_path / "bundle").cosine.facts
    assert facts.coarse is not None
    assert f"cosine: {facts.coarse}" in outcome.err


@pytest.mark.parametrize("which", ["plain", "offset"])
def test_any_vector_is_mapped_as_the_stored_points_are(which: str, plain: Path, offset: tuple[Path, Outcome]) -> None:
    bundle = open_bundle(plain if which == "plain" else offset[0])
    some = [0, 7, 399]
    for geometry, space in bundle.spaces.items():
        points = map_rows(bundle.gamma[some], geometry, bundle.metric)
        apart = np.abs(points.astype(np.float64) - space.points[some])
        assert apart.max() <= space.resolution, "BLAS rounds three rows otherwise than four hundred"
    found = query("analogy", "#7", "--include-terms", "--top", 1, "--index", bundle.folder)
    assert (found["causal"][0]["row"], round(found["causal"][0]["distance"], 4)) == (7, 0)


def test_causal_norms_are_of_the_rows_themselves(tmp_path: Path) -> None:
    gamma = rows()
    gamma[5] = 0
    assert built(tmp_path, gamma).code == 0
    norms = pq.read_table(tmp_path / "bundle" / "tokens.parquet")["causal_norm"].to_numpy()
    points = oracles.causal_points(gamma, oracles.metric(oracles.covariance(gamma)[1], 1e-6))
    oracles.assert_close(norms, np.linalg.norm(points, axis=1), absolute=oracles.rounding_tolerance(points))
    assert norms[5] == 0
    centered = open_bundle(tmp_path / "bundle").spaces[Geometry.CAUSAL].points.whole
    assert np.abs(centered.mean(axis=0, dtype=np.float64)).max() < 1e-6


# --- ridges and metrics that leave nothing -----------------------------------------------------------------------


@pytest.mark.parametrize("ridge", ["1e300", "1e40"])
def test_a_ridge_that_leaves_no_distance_is_refused(tmp_path: Path, ridge: str) -> None:
    outcome = built(tmp_path, rows(), "--ridge", ridge)
    assert outcome.code == 2
    assert outcome.err.count("error: no two tokens are further apart than") == 1
    assert "pass a smaller --ridge" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["gamma.npy"]


@pytest.mark.parametrize(("scale", "said"), [(1e-300, "no two tokens are further apart than"), (1e300, "overflow")])
def test_a_given_metric_that_float32_cannot_hold_is_refused(tmp_path: Path, scale: float, said: str) -> None:
    np.save(tmp_path / "M.npy", scale * np.eye(D))
    outcome = built(tmp_path, rows(), "--metric-tensor", tmp_path / "M.npy")
    assert outcome.code == 2
    assert said in outcome.err
    assert "--ridge" not in outcome.err
    assert not (tmp_path / "bundle").exists()


def test_a_ridge_that_removes_a_tenth_is_said(tmp_path: Path, plain: Path) -> None:
    _, cov = oracles.covariance(rows())
    ridge = 1e-4
    lost = ridge * np.trace(oracles.metric(cov, ridge))
    assert lost > D / 10
    said = f"the ridge of 0.0001 takes {lost:.4g} of {D} dimensions off the variance of points"
    outcome = built(tmp_path, rows(), "--ridge", ridge)
    assert outcome.code == 0
    assert said in outcome.err
    assert said in invoke("query.py", "metric", "--pairs", 100, "--index", tmp_path / "bundle").said
    ridge_facts = query("metric", "--pairs", 100, "--index", tmp_path / "bundle")["ridge"]
    assert ridge_facts["dimensions"] == D
    assert ridge_facts["dimensions_lost"] == pytest.approx(lost, rel=1e-9)
    assert "dimensions off" not in invoke("query.py", "metric", "--pairs", 100, "--index", plain).said


def test_dimensions_lost_to_a_given_metric_are_none() -> None:
    metric = Metric(np.zeros(2), np.eye(2), np.eye(2), np.ones(2), None, "given")
    assert metric.dimensions_lost is None
