"""Two graphs of one product: of points, and of their directions, each against float64 brute force of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_neighbors import (
    CLOUDS,
    HARD_TO_ROUND,
    PATHS,
    check_bounds,
    check_lists,
    clusters_in_clusters,
    expected_graph,
    few_are_short,
    normal,
)

from index.errors import ParameterError
from index.geometry import maps
from index.search import directions, graph, kernels, pairs
from index.search import filter as filtering
from index.search.graph import KnnGraph, knn_graph, knn_graphs
from index.search.scores import BFLOAT16, FLOAT32, INT8, Arithmetic, make_product

ORIGINS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zero": lambda points: np.zeros(points.shape[1]),
    "near": lambda points: float(np.median(np.abs(points))) * normal(1, points.shape[1], seed=8)[0].astype(np.float64),
    "far": lambda points: 30.0 * float(np.abs(points).max()) * normal(1, points.shape[1], seed=9)[0].astype(np.float64),
}
"""From where directions are taken: `far`, all of them are nearly the same."""


def on_rays() -> np.ndarray:
    """Points that differ, and directions that are equal: ten of each."""
    points = np.repeat(normal(90, 12), 10, axis=0)
    points *= np.float32(2.0) ** np.tile(np.arange(10) % 5, 90).astype(np.float32)[:, None]
    return points[np.random.default_rng(1).permutation(900)]


def on_one_ray() -> np.ndarray:
    return (np.arange(1, 151, dtype=np.float32)[:, None] * np.array([[3.0, 0.0, 4.0]], np.float32)).astype(np.float32)


def directions_of(points: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return directions, rounded once, and lengths, by formulas of their own; zero where there is none."""
    wide = points.astype(np.float64) + origin
    lengths = np.linalg.norm(wide, axis=1)
    return (wide / np.where(lengths > 0, lengths, 1.0)[:, None]).astype(np.float32), lengths


def check_graphs(points: np.ndarray, turned: np.ndarray, lengths: np.ndarray, k: int, **options: object) -> None:
    """Compare both graphs with brute force."""
    found: list[KnnGraph] = list(knn_graphs(points, turned, lengths, k=k, **options))
    for each, got in zip((points, turned), found, strict=True):
        ids, distances, distinct_ids, distinct, groups = expected_graph(each.tobytes(), each.shape[1], k)
        check_lists(each, got.ids, got.distances, ids, distances)
        check_lists(each, got.distinct_ids, got.distinct_distances, distinct_ids, distinct)
        np.testing.assert_array_equal(got.groups, groups)


@pytest.mark.slow("float64 brute force of two kinds of points of each cloud")
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    ("origin", "path"), [("zero", "int8-2"), ("near", "int8-1"), ("near", "bf16-2"), ("far", "fp32-2")]
)
@pytest.mark.parametrize("cloud", [*CLOUDS, "on rays", "on one ray"])
def test_equals_brute_force(cloud: str, origin: str, path: str) -> None:
    make, k = {"on rays": (on_rays, 30), "on one ray": (on_one_ray, 20)}.get(cloud) or CLOUDS[cloud]
    points = make()[:900]
    k = min(k, len(points) - 1)
    turned, lengths = directions_of(points, ORIGINS[origin](points))
    check_graphs(points, turned, lengths, k, **PATHS[path])


@pytest.mark.parametrize("path", ["int8-1", "bf16-2"])
def test_twins_of_one_kind_alone(path: str) -> None:
    """Points that are equal and have directions that differ, within what rounding may do; and the other way around."""
    points = on_rays()
    points[300:340] = points[7]
    turned, lengths = directions_of(points, np.zeros(12))
    smallest = np.abs(turned[7]).argmin()
    for row in range(300, 340, 2):
        turned[row, smallest] = np.nextafter(turned[row, smallest], np.float32(np.inf if row % 4 else -np.inf))
    exact = points[300].astype(np.float64) / np.linalg.norm(points[300].astype(np.float64))
    assert (np.linalg.norm(turned[300:340] - exact, axis=1) < 2.0**-24).all()
    assert len(np.unique(turned[300:340], axis=0)) == 3
    assert len(np.unique(points[300:340], axis=0)) == 1
    check_graphs(points, turned, lengths, 25, **PATHS[path])


@pytest.mark.parametrize("origin", ORIGINS)
def test_small_tiles_and_small_buffers(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "TILE_ROWS", 101)
    monkeypatch.setattr(pairs, "PANEL_BYTES", 7000)
    monkeypatch.setattr(graph, "RANK_ROWS", 67)
    monkeypatch.setattr(graph, "SPARE", kernels.FEW + 1)
    for make in (clusters_in_clusters, few_are_short, on_rays):
        points = make()[:900]
        check_graphs(points, *directions_of(points, ORIGINS[origin](points)), 12, arithmetic=INT8)


@pytest.mark.slow("the first use compiles the kernels")
@pytest.mark.parametrize(
    ("origin", "arithmetic"), [("zero", INT8), ("near", INT8), ("near", BFLOAT16), ("near", FLOAT32), ("far", INT8)]
)
@pytest.mark.parametrize("make", [*HARD_TO_ROUND, few_are_short, on_rays])
def test_bounds_hold_for_every_pair(make: Callable[[], np.ndarray], origin: str, arithmetic: Arithmetic) -> None:
    """No lower bound is above half the squared distance of directions, no upper bound below, also where lengths are
    such that no graph is made of them: the kernels' own sums, in float32."""
    points = make()[:400]
    with np.errstate(over="ignore"):
        turned, lengths = directions_of(points, ORIGINS[origin](points))
    U = len(points)
    pool = ThreadPoolExecutor(1)
    filtered = filtering.build_filter(points, np.arange(U), arithmetic, pool)
    if lengths.min() * filtered.scale <= 2.0**-60:  # zero to float32, once it is squared
        assert not directions.telling(lengths * filtered.scale)
        return
    bounds = directions.turned_bounds(filtered, lengths[filtered.bounds.rows])
    check_bounds(filtered, bounds, turned[bounds.rows].astype(np.float64))


def test_bounds_exclude_most_pairs() -> None:
    """Bounds that say nothing hold, too: of these, nearly as few pairs pass as of the directions' own."""
    points = normal(2000, 64) + 3.0
    turned, lengths = directions_of(points, np.full(64, -2.0))
    shares = []
    for each, length in ((points, lengths), (turned, None)):
        pool = ThreadPoolExecutor(1)
        filtered = filtering.build_filter(each, np.arange(2000), INT8, pool)
        residuals = filtered.residuals(0, 2000, pool)
        bounds = filtered.bounds if length is None else directions.turned_bounds(filtered, length[filtered.bounds.rows])
        tile = make_product(residuals, residuals, INT8, "cpu")(slice(0, 2000), slice(0, 2000))
        ordered = turned[bounds.rows].astype(np.float64)
        flags, passed = np.zeros(2000, np.uint8), 0
        for p in range(0, 2000, 40):
            half = ((ordered - ordered[p]) ** 2).sum(axis=1) / 2
            limit = np.full(2000, np.partition(half, 30)[30], np.float32)
            if length is None:
                limit *= np.float32(filtered.scale**2)
            kernels._flag(
                tile[p], kernels._side(bounds, 0, slice(0, 2000), limit), kernels._one(bounds, 0, p, limit), flags
            )
            passed += int(flags.sum())
        shares.append(passed / 50)
    assert 31 <= min(shares) <= max(shares) < 1.2 * min(shares) < 60


@pytest.mark.parametrize(("length", "told"), [(1.0, True), (2.0**-13, True), (2.0**-15, False), (0.0, False)])
def test_lengths_that_differ_too_much_have_a_product_each(
    length: float, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = normal(300, 8)
    points[5] *= np.float32(length / np.linalg.norm(points[5]))
    turned, lengths = directions_of(points, np.zeros(8))
    calls: list[int] = []
    run = pairs.Sweep.run
    monkeypatch.setattr(pairs.Sweep, "run", lambda sweep: (calls.append(len(sweep._searches)), run(sweep)))
    shares: list[float] = []
    check_graphs(points, turned, lengths, 9, progress=shares.append)
    assert len(calls) == (1 if told else 2)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_far_origins_have_a_product_each(monkeypatch: pytest.MonkeyPatch) -> None:
    points = normal(300, 8)
    turned, lengths = directions_of(points, np.full(8, 3000.0))
    monkeypatch.setattr(directions, "turned_bounds", None)
    check_graphs(points, turned, lengths, 9)


def test_the_same_bits_as_alone() -> None:
    points = clusters_in_clusters()
    origin = ORIGINS["near"](points)
    turned = maps.turned(points, origin)
    found = knn_graphs(points, turned, maps.turned_lengths(points, origin), k=30)
    for got, each in zip(found, (points, turned), strict=True):
        alone = knn_graph(each, k=30)
        for field in ("ids", "distances", "distinct_ids", "distinct_distances", "groups"):
            np.testing.assert_array_equal(getattr(got, field), getattr(alone, field))


def test_wrong_input() -> None:
    points = normal(20, 4)
    turned, lengths = directions_of(points, np.zeros(4))
    with pytest.raises(ParameterError, match="k=20 needs at least 21 tokens"):
        next(knn_graphs(points, turned, lengths, k=20))
    turned[3, 1] = np.nan
    with pytest.raises(ParameterError, match="row 3 is not"):
        next(knn_graphs(points, turned, lengths, k=3))
