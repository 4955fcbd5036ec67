"""The two maps, and what is refused as a metric."""

from pathlib import Path

import ml_dtypes
import numpy as np
import oracles
import pytest
from numpy.typing import NDArray

import index
from index.build.build import build
from index.build.settings import Settings
from index.errors import MetricError
from index.geometry import maps
from index.geometry.maps import causal_points, cosine_points, resolution, zero_rows
from index.geometry.metric import Metric, covariance, metric_from_covariance, metric_from_matrix
from index.geometry.twins import twin_groups


@pytest.fixture
def gamma() -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(60, 5)).astype(np.float32)


def test_given_metric_is_symmetrized_and_factored(gamma: NDArray[np.float32]) -> None:
    mean, cov = oracles.covariance(gamma)
    M = np.linalg.inv(cov)
    skewed = M + 1e-5 * np.triu(np.ones_like(M), 1)
    metric = metric_from_matrix(skewed.astype(np.float32), mean, origin="m.pt")
    expected = (skewed.astype(np.float32).astype(np.float64) + skewed.astype(np.float32).T) / 2
    np.testing.assert_allclose(metric.matrix, expected, rtol=1e-14)
    np.testing.assert_allclose(metric.factor @ metric.factor.T, expected, rtol=1e-10)
    assert metric.ridge is None


def broken(kind: str) -> NDArray[np.float64]:
    M = np.eye(5)
    if kind == "width":
        return np.eye(4)
    if kind == "nan":
        M[1, 2] = np.nan
    if kind == "asymmetric":
        M[1, 2] = 0.5
    if kind == "indefinite":
        M[4, 4] = -1.0
    return M


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("width", "shape (4, 4), but gamma has width 5"),
        ("nan", "1 of M's 25 entries are not finite"),
        ("asymmetric", "not symmetric: it differs from its transpose by 0.5"),
        ("indefinite", "not positive definite: its smallest eigenvalue is -1"),
    ],
)
def test_what_is_no_metric(kind: str, said: str) -> None:
    with pytest.raises(MetricError) as error:
        metric_from_matrix(broken(kind), np.zeros(5), origin="m.pt")
    assert str(error.value).startswith("m.pt: ")
    assert said in str(error.value)


def test_a_singular_covariance_asks_for_a_ridge() -> None:
    few = np.random.default_rng(0).normal(size=(4, 9))
    with pytest.raises(MetricError, match="pass a larger ridge"):
        metric_from_covariance(*covariance(few), 0.0)
    metric = metric_from_covariance(*covariance(few), 0.1)
    assert np.isfinite(causal_points(few, metric)).all()


@pytest.mark.parametrize("ridge", [-1e-6, np.nan, np.inf])
def test_bad_ridges(ridge: float, gamma: NDArray[np.float32]) -> None:
    with pytest.raises(MetricError, match="ridge must be 0 or more"):
        metric_from_covariance(*covariance(gamma), ridge)


def test_zero_rows_have_no_direction(gamma: NDArray[np.float32]) -> None:
    gamma[[7, 50]] = 0
    points = cosine_points(gamma)
    assert zero_rows(points).tolist() == [7, 50]
    assert np.isfinite(points).all()
    others = np.delete(points, [7, 50], axis=0)
    np.testing.assert_allclose(np.linalg.norm(others, axis=1), 1, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_directions_of_tiny_and_huge_rows(scale: float) -> None:
    """Squares of these rows are zero or infinite in float64."""
    np.testing.assert_allclose(cosine_points(scale * np.array([[3.0, 4.0]])), [[0.6, 0.8]], rtol=1e-7)


def test_twins_are_equal_bits(gamma: NDArray[np.float32]) -> None:
    rows = gamma.astype(ml_dtypes.bfloat16)
    rows[[9, 30]] = rows[4]
    rows[59] = rows[20]
    rows[11] = rows[12]
    rows[11, 0] = np.nextafter(rows[12, 0], np.array(9, ml_dtypes.bfloat16))
    groups = twin_groups(rows)
    assert groups[[4, 9, 30]].tolist() == [4, 4, 4]
    assert groups[[20, 59]].tolist() == [20, 20]
    assert len(set(groups.tolist())) == 60 - 3


def test_resolution_bounds_what_rounding_does() -> None:
    """Points rounded to float32 move no difference of two distances by more than the resolution."""
    exact = np.random.default_rng(5).normal(size=(200, 3)) * 50
    rounded = exact.astype(np.float32)
    moved = np.abs(oracles.all_distances(exact) - oracles.all_distances(rounded.astype(np.float64)))
    bound = resolution(float(np.linalg.norm(exact, axis=1).max()))
    assert 0.05 * bound < 2 * moved.max() <= bound


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("cloud", ["plain", "offset", "orders", "huge coordinate", "one wide", "near the mean"])
def test_causal_cosine_points_are_as_close_as_their_bound_says(cloud: str, centered: bool) -> None:
    """Made of rounded causal points or of the rows themselves, against the float64 definition: within 2^-24."""
    random = np.random.default_rng(8)
    rows = random.normal(size=(400, 1 if cloud == "one wide" else 6))
    if cloud == "offset":
        rows += 1e4
    if cloud in ("orders", "one wide"):
        rows = rows * np.geomspace(1e-12, 1, 400)[:, None] + 0.3 * np.geomspace(1e-12, 1, 400)[:, None]
    if cloud == "huge coordinate":
        rows[7, 2] = 1e6
    if cloud == "near the mean":
        rows += 3
        rows[200:] = rows.mean(axis=0) * (1 + 1e-9 * random.normal(size=(200, 1)))
    rows[11] = 0
    mean, cov = oracles.covariance(rows)
    metric = metric_from_covariance(mean, cov, 1e-9 * np.trace(cov))
    exact = ((rows - mean) if centered else rows) @ metric.factor
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    exact /= np.where(lengths > 0, lengths, 1)
    points = maps.causal_cosine_points(rows, metric, centered=centered)
    # Where the oracle's own float64 product with the offset has cancelled, it is no better than this.
    terms = np.linalg.norm(np.abs(rows) @ np.abs(metric.factor), axis=1)
    own = 2.0**-50 * terms / np.where(lengths > 0, lengths, 1)[:, 0]
    assert (np.linalg.norm(points - exact, axis=1) <= oracles.HALF_ULP * (1 + 1e-6) + own).all()
    made = maps.turned(causal_points(rows, metric), maps.angle_origin(metric, centered=centered))
    as_made = (made == points).all(axis=1)
    if not centered:
        assert not points[11].any()
    if cloud == "orders" and not centered:
        assert 10 < as_made.sum() < 350
    if cloud == "plain":
        assert as_made.sum() > 300


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_a_direction_is_the_same_however_many_are_made(count: int) -> None:
    """A reader makes one, or a block that begins anywhere; a build made all."""
    random = np.random.default_rng(2)
    for D in (1, 7, 576, 2561):
        points, origin = random.normal(size=(300, D)).astype(np.float32), random.normal(size=D)
        every = maps.turned(points, origin)
        for start in (0, 1, 5, 150):
            np.testing.assert_array_equal(
                maps.turned(points[start : start + count], origin), every[start : start + count]
            )


def test_rows_almost_zero_keep_their_directions_in_a_bundle(tmp_path: Path) -> None:
    rows = np.random.default_rng(6).normal(size=(300, 7)) + 2
    rows[:40] *= np.geomspace(1e-13, 1e-3, 40)[:, None]
    rows[50] = 0
    rows[51:54] = rows[20]
    np.save(tmp_path / "gamma.npy", rows)
    build(Settings(source=str(tmp_path / "gamma.npy"), out=tmp_path / "bundle", neighbors=10, density_k=3))
    space = index.open(tmp_path / "bundle").causal_cosine
    M = oracles.metric(oracles.covariance(rows)[1], 1e-6)
    with np.errstate(invalid="ignore"):  # a zero row has no direction
        exact = oracles.unit_rows(oracles.causal_points(rows, M))
    apart = oracles.all_distances(exact)
    assert list(space.excluded) == [50]
    own = np.load(tmp_path / "bundle" / "causal_cosine.own_rows.npy")
    assert {*range(20), 50, 51, 52, 53} <= set(own.tolist())
    assert len(own) < 150  # in seven dimensions more are off than in hundreds
    stored = np.take_along_axis(apart, np.maximum(space.ids[:], 0).astype(np.int64), axis=1)
    placed = np.arange(300) != 50
    assert np.abs(space.distances[:] - stored)[placed].max() <= space.resolution
    assert (space.points[[51, 52, 53]] == space.points[20]).all()
    # Read one by one, and all at once, in a bundle: the same bits.
    np.testing.assert_array_equal(space.points.whole, np.array([space.points[row] for row in range(300)]))
    assert not list((tmp_path / "bundle").glob("causal_cosine*.faiss"))
    found = space.index.search(space.points[[4]], 4)[1]
    assert set(found[0]) <= {4, *space.ids[4][:6].tolist()}


def test_a_covariance_that_overflows() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3)) * 1e200
    with pytest.raises(MetricError, match="overflows float64"), np.errstate(over="ignore", invalid="ignore"):
        metric_from_covariance(*covariance(rows), 1e-6)


def test_a_covariance_too_close_to_singular_names_a_ridge_that_is_enough() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 4)) * [1e-5, 1, 1, 1]
    found = covariance(rows)
    with pytest.raises(MetricError, match="too close to singular") as error:
        metric_from_covariance(*found, 0.0)
    advised = float(str(error.value).rpartition("ridge=")[2].split()[0])
    metric = metric_from_covariance(*found, advised)
    # What the bound is for: the inverse and the factor agree on every distance to within the resolution.
    differences = rows[:100] - rows[100:200]
    squares = np.einsum("ij,jk,ik->i", differences, metric.matrix, differences)
    lengths = np.linalg.norm(differences @ metric.factor, axis=1)
    largest = np.linalg.norm(rows @ metric.factor, axis=1).max()
    assert np.abs(np.sqrt(squares) - lengths).max() < resolution(largest)


def test_a_given_metric_of_huge_entries() -> None:
    metric = metric_from_matrix(np.diag([1e308, 1e308]), np.zeros(2), origin="m.npy")
    np.testing.assert_allclose(metric.factor @ metric.factor.T / 1e308, np.eye(2), rtol=1e-12)


def test_twins_share_a_point_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BLAS may round the last rows of a matrix otherwise than the first: here it does so for certain."""
    rows = np.random.default_rng(4).normal(size=(300, 5)).astype(np.float32)
    rows[[40, 298, 299]] = rows[3]
    rows[297] = rows[200]
    np.save(tmp_path / "gamma.npy", rows)
    mapped = maps.causal_points

    def rounded_at_the_end(gamma: NDArray, metric: Metric, out: None) -> NDArray[np.float32]:
        points = mapped(gamma, metric)
        points[-3:] = np.nextafter(points[-3:], np.float32(9))
        return points

    monkeypatch.setattr(maps, "causal_points", rounded_at_the_end)
    build(Settings(source=str(tmp_path / "gamma.npy"), out=tmp_path / "bundle", neighbors=10, density_k=3))
    bundle = index.open(tmp_path / "bundle")
    points = bundle.causal.points.whole
    assert (points[[40, 298, 299]] == points[3]).all()
    assert (points[297] == points[200]).all()
    assert bundle.causal.groups.first[[3, 40, 200, 297, 298, 299]].tolist() == [3, 3, 200, 200, 3, 3]
    assert not bundle.causal.distances[298][:3].any()
