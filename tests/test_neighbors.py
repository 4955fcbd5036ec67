"""The exact engine against float64 brute force, on clouds that hurt and with every path forced.

Ids must be equal, not similar. Only where two float64 sums of squares, taken in different orders, could disagree about
a tie is the order left open: the clouds below either have exact sums or no near-ties at 1e-12.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import ParameterError
from index.search import filter as filtering
from index.search import graph as neighbors
from index.search import kernels, limits, pairs, rotation, scores
from index.search.finder import Finder, search
from index.search.graph import knn_graph
from index.search.scores import BFLOAT16, DEVICE_BFLOAT16, DEVICE_FLOAT32, FLOAT32, INT8, Arithmetic, make_product

PATHS = {
    "int8-1": {"arithmetic": INT8, "threads": 1},
    "int8-2": {"arithmetic": INT8, "threads": 2},
    "bf16-1": {"arithmetic": BFLOAT16, "threads": 1},
    "bf16-2": {"arithmetic": BFLOAT16, "threads": 2},
    "fp32-1": {"arithmetic": FLOAT32, "threads": 1},
    "fp32-2": {"arithmetic": FLOAT32, "threads": 2},
}


def brute_force(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and float64 distances by differences, one row at a time."""
    wide = points.astype(np.float64)
    ids = np.empty((len(points), k), np.int64)
    distances = np.empty((len(points), k))
    for row in range(len(points)):
        squared = ((wide - wide[row]) ** 2).sum(axis=1)
        squared[row] = np.inf
        ids[row] = np.lexsort((np.arange(len(points)), squared))[:k]
        distances[row] = np.sqrt(squared[ids[row]])
    return ids, distances


def brute_force_distinct(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first rows of the k nearest other unique rows, and float64 distances; -1 and infinity behind them."""
    wide = points.astype(np.float64) + 0.0  # so that -0.0 sorts as 0.0
    _, first, own = np.unique(wide, axis=0, return_index=True, return_inverse=True)
    ids = np.full((len(points), k), -1, np.int64)
    distances = np.full((len(points), k), np.inf)
    for row in range(len(points)):
        others = np.delete(first, own.ravel()[row])
        squared = ((wide[others] - wide[row]) ** 2).sum(axis=1)
        order = np.lexsort((others, squared))[:k]
        ids[row, : len(order)] = others[order]
        distances[row, : len(order)] = np.sqrt(squared[order])
    return ids, distances


@lru_cache(maxsize=8)
def expected_graph(content: bytes, D: int, k: int) -> tuple[np.ndarray, ...]:
    """Return what brute force gives of points, by their bytes: all paths are compared with the same."""
    points = np.frombuffer(content, np.float32).reshape(-1, D)
    groups = np.array([np.argmax((points == row).all(axis=1)) for row in points])
    return *brute_force(points, k), *brute_force_distinct(points, k), groups


def check_graph(points: np.ndarray, k: int, **options: object) -> None:
    """Compare a graph with brute force."""
    graph = knn_graph(points, k=k, **options)
    ids, distances, distinct_ids, distinct_distances, groups = expected_graph(points.tobytes(), points.shape[1], k)
    check_lists(points, graph.ids, graph.distances, ids, distances)
    check_lists(points, graph.distinct_ids, graph.distinct_distances, distinct_ids, distinct_distances)
    np.testing.assert_array_equal(graph.groups, groups)


def check_lists(
    points: np.ndarray, got_ids: np.ndarray, got_distances: np.ndarray, ids: np.ndarray, distances: np.ndarray
) -> None:
    """Compare neighbor lists with those of brute force."""
    assert got_ids.dtype == np.int32
    assert got_distances.dtype == np.float32
    # 1 unit in the last place of float32, for sums of squares in another order; denormals by their step.
    np.testing.assert_allclose(got_distances, distances, rtol=2**-23, atol=2e-45)
    np.testing.assert_array_equal(got_ids == -1, np.isinf(distances))
    wrong = np.argwhere(got_ids != ids)
    wide = points.astype(np.float64)
    for row, place in wrong:  # allowed only if the two are tied to the last bits of float64
        got = np.sqrt(((wide[got_ids[row, place]] - wide[row]) ** 2).sum())
        assert got == pytest.approx(distances[row, place], rel=1e-14, abs=0), (row, place)
    assert len(wrong) <= 0.001 * ids.size


def normal(V: int, D: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((V, D)).astype(np.float32)


def all_twins() -> np.ndarray:
    return np.tile(normal(1, 7), (150, 1))


def twins_among_others() -> np.ndarray:
    points = normal(700, 24)
    points[100:260] = points[3]
    points[300:304] = points[699]
    return points


def one_step_apart() -> np.ndarray:
    """Points that differ from a common one by single float32 steps: exact ties galore."""
    steps = np.random.default_rng(1).integers(-1, 2, (400, 6)).astype(np.int32)
    return (np.full((400, 6), 1.5, np.float32).view(np.int32) + steps).view(np.float32)


def dense_cluster() -> np.ndarray:
    """Most points within the error of bfloat16, and of float32, of each other, around a distant common vector."""
    points = normal(3000, 40)
    points[500:2500] = points[0] + 1e-4 * normal(2000, 40, seed=2)
    points[2500:2600] = points[1] + 1e-6 * normal(100, 40, seed=3)
    return points


def clusters_in_clusters() -> np.ndarray:
    points = normal(2400, 16)
    points[400:2000] = points[0] + 1e-3 * normal(1600, 16, seed=2)
    points[800:1800] = points[400] + 1e-6 * normal(1000, 16, seed=3)
    return points


def huge_norms() -> np.ndarray:
    return normal(300, 12) * np.float32(1e37)


def tiny_norms() -> np.ndarray:
    return normal(300, 12) * np.float32(1e-42)


def mixed_norms() -> np.ndarray:
    return normal(600, 12) * np.float32(10.0) ** np.random.default_rng(0).integers(-20, 20, (600, 1)).astype(np.float32)


def offset() -> np.ndarray:
    return normal(500, 30) + np.float32(1000.0)


def constant_columns() -> np.ndarray:
    points = normal(300, 20)
    points[:, 3:] = 7.0
    return points


def on_a_line() -> np.ndarray:
    return normal(1500, 1)


def on_a_lattice() -> np.ndarray:
    return np.random.default_rng(0).integers(-4, 5, (900, 3)).astype(np.float32)


def signed_zeros() -> np.ndarray:
    points = np.zeros((40, 4), np.float32)
    points[::3] = -0.0
    points[5:8, 0] = 1.0
    return points


def over_two_tiles() -> np.ndarray:
    return normal(neighbors.TILE_ROWS + 333, 33)


CLOUDS: dict[str, tuple[Callable[[], np.ndarray], int]] = {
    "all twins": (all_twins, 20),
    "all twins, k = V - 1": (all_twins, 149),
    "twins among others": (twins_among_others, 30),
    "one step apart": (one_step_apart, 25),
    "dense cluster": (dense_cluster, 20),
    "clusters in clusters": (clusters_in_clusters, 20),
    "huge norms": (huge_norms, 10),
    "tiny norms": (tiny_norms, 10),
    "mixed norms": (mixed_norms, 10),
    "offset": (offset, 15),
    "constant columns": (constant_columns, 15),
    "D = 1": (on_a_line, 10),
    "D = 3, a lattice": (on_a_lattice, 40),
    "k = V - 1": (lambda: normal(120, 9), 119),
    "signed zeros": (signed_zeros, 12),
    "two points": (lambda: normal(2, 3), 1),
    "over two tiles": (over_two_tiles, 7),
}


@pytest.mark.slow("float64 brute force of each cloud, and the first use compiles the kernels")
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cloud", CLOUDS)  # all paths of one cloud are neighbors: its brute force is done once
def test_equals_brute_force(cloud: str, path: str) -> None:
    make, k = CLOUDS[cloud]
    check_graph(make(), k, **PATHS[path])


@pytest.mark.parametrize("cloud", ["dense cluster", "over two tiles", "one step apart"])
def test_every_path_gives_the_same_bits(cloud: str) -> None:
    make, k = CLOUDS[cloud]
    graphs = [knn_graph(make(), k=k, **options) for options in PATHS.values()]
    for graph in graphs[1:]:
        np.testing.assert_array_equal(graph.ids, graphs[0].ids)
        np.testing.assert_array_equal(graph.distances, graphs[0].distances)
        np.testing.assert_array_equal(graph.distinct_distances, graphs[0].distinct_distances)
        np.testing.assert_array_equal(graph.distinct_ids, graphs[0].distinct_ids)
        np.testing.assert_array_equal(graph.groups, graphs[0].groups)


@pytest.mark.parametrize("arithmetic", [INT8, BFLOAT16, FLOAT32])
def test_small_tiles_and_small_buffers(arithmetic: Arithmetic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tiles of odd sizes, and buffers that overflow at once."""
    monkeypatch.setattr(pairs, "TILE_ROWS", 101)
    monkeypatch.setattr(pairs, "PANEL_BYTES", 7000)
    monkeypatch.setattr(neighbors, "RANK_ROWS", 67)
    monkeypatch.setattr(neighbors, "SPARE", kernels.FEW + 1)
    check_graph(dense_cluster()[:2600], 12, arithmetic=arithmetic)
    check_graph(on_a_lattice(), 12, arithmetic=arithmetic)


def test_without_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups decide the time, not the answer."""
    monkeypatch.setattr(filtering, "MOST_GROUPS", 1)
    check_graph(clusters_in_clusters(), 20, arithmetic=BFLOAT16)
    check_graph(clusters_in_clusters(), 20, arithmetic=INT8)


def aligned_errors() -> np.ndarray:
    """Every component nearly half a bfloat16 step off, all to the same side: the worst case of the bound."""
    signs = np.where(np.random.default_rng(0).random((200, 1)) < 0.5, -1.0, 1.0)
    sizes = 1.0 + 2.0**-8 * np.random.default_rng(1).uniform(0.9, 0.999, (200, 64))
    return (signs * sizes * 2.0 ** np.random.default_rng(2).integers(-3, 4, 64)).astype(np.float32)


def one_huge_coordinate() -> np.ndarray:
    """One coordinate alone decides the step of the integers: without a rotation all others would be rounded to zero."""
    points = normal(400, 96)
    points[np.arange(400), np.random.default_rng(5).integers(0, 96, 400)] *= np.float32(1e5)
    return points


def norms_over_12_orders() -> np.ndarray:
    return (normal(700, 40) * 10.0 ** np.linspace(-6, 6, 700)[:, None]).astype(np.float32)


def half_steps() -> np.ndarray:
    """Once rotated, coordinates that lie half a step between two integers, the errors of all pairs on one side."""
    width = 128
    signs = rotation.draw_signs(width)
    integers = np.random.default_rng(6).integers(40, 126, (300, width)) + 0.499
    integers[:, 0] = 127.0
    integers *= np.random.default_rng(7).choice([-1.0, 1.0], (300, 1))
    matrix = np.zeros((width, 16 * -(-width // 16)), np.float32)
    matrix[:width, :width] = np.eye(width)
    turned = np.empty((width, width))
    for start in range(0, width, rotation.ABREAST):
        lanes = matrix[:, start : start + rotation.ABREAST].copy()
        rotation.rotate(lanes, np.empty_like(lanes), signs)
        turned[:, start : start + rotation.ABREAST] = lanes
    return (integers @ turned).astype(np.float32)  # rows of `turned` are orthonormal: rotating gives integers back


def wide() -> np.ndarray:
    return normal(150, 8192)


HARD_TO_ROUND = [
    aligned_errors,
    half_steps,
    one_huge_coordinate,
    norms_over_12_orders,
    clusters_in_clusters,
    mixed_norms,
    offset,
    huge_norms,
    tiny_norms,
    on_a_line,
    wide,
]


@pytest.mark.parametrize("arithmetic", [INT8, BFLOAT16, FLOAT32, DEVICE_BFLOAT16])
@pytest.mark.parametrize("make", HARD_TO_ROUND)
def test_bounds_hold_for_every_pair(make: Callable[[], np.ndarray], arithmetic: Arithmetic) -> None:
    """No lower bound is above half the squared distance, no upper bound below: the kernels' own sums, in float32."""
    points = make()[:700]
    U = len(points)
    pool = ThreadPoolExecutor(1)
    filtered = filtering.build_filter(points, np.arange(U), arithmetic, pool)
    bounds = filtered.bounds
    check_bounds(filtered, bounds, points[bounds.rows].astype(np.float64) * filtered.scale)


def check_bounds(filtered: filtering.Filter, bounds: kernels.Bounds, ordered: np.ndarray) -> None:
    """Compare the bounds of all pairs of positions with half their squared distances, between (U, D) float64."""
    U = len(ordered)
    residuals = filtered.residuals(0, U, ThreadPoolExecutor(1))
    product = make_product(residuals, residuals, filtered.arithmetic, "cpu")
    for rows in (blocks := filtered.blocks(100)):
        for columns in blocks:
            tile = product(rows, columns)
            a, b = bounds.group[rows.start], bounds.group[columns.start]
            for i, p in enumerate(range(rows.start, rows.stop)):
                half = ((ordered[columns] - ordered[p]) ** 2).sum(axis=1) / 2
                limit = np.nextafter(half.astype(np.float32), np.float32(np.inf))
                side = kernels._side(bounds, a, columns, np.empty(U, np.float32))._replace(limit=limit)
                one = kernels._one(bounds, b, p, np.full(U, -np.inf, np.float32))
                flags = np.zeros(len(limit), np.uint8)
                kernels._flag(tile[i], side, one, flags)
                assert flags.all()
                least = np.full(len(limit), np.inf, np.float32)
                limits._least_upper(tile[i], side, one, least)
                assert (least >= half).all()


@pytest.mark.parametrize("path", ["int8-2", "bf16-2"])
@pytest.mark.parametrize("make", [half_steps, one_huge_coordinate, norms_over_12_orders, wide])
def test_what_is_hard_to_round_equals_brute_force(make: Callable[[], np.ndarray], path: str) -> None:
    check_graph(make(), 10, **PATHS[path])


@pytest.mark.parametrize("D", [1, 63, 64, 65, 576, 8192])
def test_a_rotation_keeps_every_inner_product(D: int) -> None:
    width = rotation.rotated_width(D)
    rows = np.zeros((rotation.ABREAST, width), np.float32)
    rows[:, :D] = normal(rotation.ABREAST, D)
    rows[3] = np.eye(1, width)[0] * 1e6
    rotated = rows.T.copy()
    rotation.rotate(rotated, np.empty_like(rotated), rotation.draw_signs(width))
    wide, lengths = rows.astype(np.float64), np.linalg.norm(rows.astype(np.float64), axis=1)
    turned = rotated.T.astype(np.float64)
    assert (np.abs(turned @ turned.T - wide @ wide.T) <= 3 * rotation.ROTATION_ERROR * np.outer(lengths, lengths)).all()
    together = 64 // (width // 64) + 2  # of the 64 coordinates that the first round makes of one, in one of the second
    assert np.abs(turned[3]).max() <= 1e6 * together / 64


@pytest.mark.parametrize("D", [*range(1, 20), 63, 576, 640, 2560, 2563])
def test_a_pair_has_the_same_bits_whichever_stand_beside_it(D: int) -> None:
    points = np.random.default_rng(D).normal(size=(12, D)).astype(np.float32)
    a, b = np.repeat(np.arange(11), 11), np.tile(np.arange(1, 12), 11)
    together, turned = np.empty(len(a)), np.empty(len(a))
    kernels.measure_pairs(points, a, b, together)
    kernels.measure_pairs(points, b, a, turned)
    alone = np.empty(1)
    for n in range(len(a)):
        kernels.measure_pairs(points, a[n : n + 1], b[n : n + 1], alone)
        assert together[n] == turned[n] == alone[0]
    exact = ((points[a].astype(np.float64) - points[b]) ** 2).sum(axis=1)
    np.testing.assert_allclose(together, exact, rtol=1e-13)


def test_integers_are_worth_their_error() -> None:
    """What decides how many pairs are measured: a rotated row of any shape loses less than a percent of its length."""
    for make in (one_huge_coordinate, wide):
        points = make()
        with ThreadPoolExecutor(1) as pool:
            filtered = filtering.build_filter(points, np.arange(len(points)), INT8, pool)
            filtered.residuals(0, len(points), pool)
        bounds = filtered.bounds
        assert np.median(bounds.error / bounds.norm) < 0.01


def test_integers_are_summed_exactly_or_not_at_all() -> None:
    """A unit that cuts sums off at 16 bits is found out by the longest products there are."""
    assert scores.WIDEST_INT8 * 127**2 < 2**31 <= (scores.WIDEST_INT8 + 1) * 127**2
    assert scores._sums_integers()
    assert scores.choose_arithmetic("cpu", scores.WIDEST_INT8 + 1) is not INT8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            scores.torch, "_int_mm", lambda a, b: (a.int() @ b.int()).clamp(-(2**15), 2**15 - 1), raising=True
        )
        assert not scores._sums_integers()
        assert scores.choose_arithmetic("cpu", 64) is not INT8


@pytest.mark.parametrize("cloud", ["dense cluster", "clusters in clusters"])
def test_dense_clusters_are_found(cloud: str) -> None:
    points = CLOUDS[cloud][0]()
    with ThreadPoolExecutor(1) as pool:
        filtered = filtering.build_filter(points, np.arange(len(points)), BFLOAT16, pool)
    assert len(filtered.centers) > 1


def few_are_short() -> np.ndarray:
    """Most points are far from the shortest, and near each other: limits of the shortest are of no use to them."""
    points = normal(900, 20)
    points[200:] = points[200:] * np.float32(0.05) + np.float32(40.0) * np.sign(points[200:])
    return points


@pytest.mark.parametrize("arithmetic", [INT8, BFLOAT16, FLOAT32])
@pytest.mark.parametrize(
    "make", [*HARD_TO_ROUND, few_are_short, dense_cluster, clusters_in_clusters, on_a_lattice, one_step_apart]
)
@pytest.mark.parametrize("k", [1, 30, 250])
def test_first_limits_are_limits(
    make: Callable[[], np.ndarray], k: int, arithmetic: Arithmetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a pair is measured, no limit is less than half the squared distance of the k-th nearest other point."""
    monkeypatch.setattr(pairs, "TILE_ROWS", 70)
    points = np.unique(make()[:600], axis=0)
    U = len(points)
    with ThreadPoolExecutor(1) as pool:
        count = min(U // 3, 200)
        filtered = filtering.build_filter(points, np.arange(U), arithmetic, pool, shortest=count)
        limit = np.full(U, np.inf, np.float32)
        nearest = kernels.Nearest(np.empty((0, 0), np.int32), np.empty((0, 0)), np.zeros(0, np.int32), limit)
        search = pairs.Search(k, points, filtered.scale, filtered.bounds, nearest)
        sweep = pairs.Sweep([search], filtered, "cpu", pool, lambda share: None)
        shortest, everything = sweep._panel(0, sweep._heads.stop), sweep._panel(0, len(sweep._blocks))
        product = sweep._product(shortest, everything)
        for chunk in sweep._chunks(everything):
            columns = chunk.columns
            sweep._first_limits(k, product(slice(0, count), columns), columns, filtered.bounds, limit)
    ordered = points[filtered.bounds.rows].astype(np.float64)
    for p in range(U):
        half = ((ordered - ordered[p]) ** 2).sum(axis=1) / 2
        assert k >= U or limit[p] >= np.partition(np.delete(half, p), k - 1)[k - 1] * filtered.scale**2
    if k < count:
        assert np.isfinite(limit).all()


@pytest.mark.parametrize("arithmetic", [INT8, BFLOAT16, FLOAT32])
@pytest.mark.parametrize("make", [*HARD_TO_ROUND, few_are_short, dense_cluster, clusters_in_clusters, one_step_apart])
def test_the_likeliest_limit_a_point_by_what_was_measured(
    make: Callable[[], np.ndarray], arithmetic: Arithmetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is noted once, and marked; the limit is no less than the k-th of their distances, and few more are kept."""
    monkeypatch.setattr(pairs, "TILE_ROWS", 70)
    points, k = np.unique(make()[:600], axis=0), 20
    U = len(points)
    count = U // 3
    room = k + neighbors.SPARE
    with ThreadPoolExecutor(1) as pool:
        filtered = filtering.build_filter(points, np.arange(U), arithmetic, pool, shortest=count)
        nearest = kernels.Nearest(
            np.empty((U, room), np.int32), np.empty((U, room)), np.zeros(U, np.int32), np.full(U, np.inf, np.float32)
        )
        search = pairs.Search(k, points, filtered.scale, filtered.bounds, nearest)
        sweep = pairs.Sweep([search], filtered, "cpu", pool, lambda share: None)
        shortest = sweep._panel(0, sweep._heads.stop)
        others = sweep._panel(sweep._heads.stop, len(sweep._blocks))
        product = sweep._product(shortest, others)
        marked = np.zeros(U, np.int64)
        for chunk in sweep._chunks(others):
            columns = chunk.columns
            seen = sweep._meet_likeliest(search, product(slice(0, count), others.at(columns)), chunk)
            marked[columns] = seen.view(np.uint8)[:, : columns.stop - columns.start].sum(axis=0)
    assert (marked[count:] >= k).all()
    ordered = points[filtered.bounds.rows].astype(np.float64)
    for p in range(count, U):
        ids = nearest.ids[p, : nearest.filled[p]]
        assert len(set(ids.tolist())) == len(ids) <= marked[p]
        assert (ids < count).all()
        squared = ((ordered[ids] - ordered[p]) ** 2).sum(axis=1)
        np.testing.assert_allclose(squared, nearest.squared[p, : len(ids)], rtol=1e-13)
        exact = np.sort(squared) * filtered.scale**2 / 2
        assert k <= len(ids) <= k + kernels.FEW
        assert exact[-1] * (1 - 1e-6) <= nearest.limit[p] >= exact[k - 1]


@pytest.mark.parametrize("path", ["int8-2", "bf16-1", "fp32-2"])
@pytest.mark.parametrize("shortest", [1, 150, 800])
def test_the_shortest_decide_the_time_alone(shortest: int, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "count_shortest", lambda D, U, arithmetic: min(U, shortest))
    monkeypatch.setattr(pairs, "TILE_ROWS", 90)
    for make, k in ((few_are_short, 12), (dense_cluster, 20)):
        check_graph(make()[:800], k, **PATHS[path])


def test_the_shortest_are_met_first_in_every_group() -> None:
    points = dense_cluster()
    with ThreadPoolExecutor(1) as pool:
        filtered = filtering.build_filter(points, np.arange(len(points)), INT8, pool, shortest=700)
    lengths = np.linalg.norm(points.astype(np.float64) - filtered.centers[0], axis=1)[filtered.bounds.rows]
    assert lengths[:700].max() <= lengths[700:].min()
    blocks = filtered.blocks(256)
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert any(block.stop == 700 for block in blocks)
    assert all(len(np.unique(filtered.bounds.group[block])) == 1 for block in blocks)


@pytest.mark.parametrize("arithmetic", [DEVICE_BFLOAT16, DEVICE_FLOAT32])
def test_device_product(arithmetic: Arithmetic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of cuda and mps, with the CPU as the device."""
    monkeypatch.setattr(
        scores, "_cpu_product", lambda left, right, arithmetic: scores._device_product(left, right, arithmetic, "cpu")
    )
    check_graph(twins_among_others(), 30, arithmetic=arithmetic)


def test_distinct_lists_by_hand() -> None:
    """Twins stand once, under their first row; ties by that row; -1 and infinity where no points are left."""
    points = np.array([[2.0], [0.0], [1.0], [2.0], [0.0], [-0.0], [5.0]], np.float32)
    graph = knn_graph(points, k=5)
    assert graph.distinct_ids.tolist() == [
        [2, 1, 6, -1, -1],
        [2, 0, 6, -1, -1],
        [0, 1, 6, -1, -1],  # rows 0 and 1 are equally far
        [2, 1, 6, -1, -1],
        [2, 0, 6, -1, -1],
        [2, 0, 6, -1, -1],
        [0, 2, 1, -1, -1],
    ]
    assert graph.distinct_distances[2].tolist() == [1.0, 1.0, 4.0, np.inf, np.inf]
    assert graph.ids[2].tolist() == [0, 1, 3, 4, 5]


def test_distinct_lists_that_twins_leave_short() -> None:
    check_graph(twins_among_others(), 600)


def test_memory_mapped_points(tmp_path) -> None:  # type: ignore[no-untyped-def]
    points = normal(300, 8)
    np.save(tmp_path / "points.npy", points)
    graph = knn_graph(np.load(tmp_path / "points.npy", mmap_mode="r"), k=5)
    np.testing.assert_array_equal(graph.ids, knn_graph(points, k=5).ids)


def test_progress_goes_from_0_to_1() -> None:
    shares: list[float] = []
    knn_graph(normal(300, 8), k=5, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("points", "k", "message"),
    [
        (normal(10, 3), 0, "k must be 1 or more, got: 0"),
        (normal(10, 3), 10, "k=10 needs at least 11 tokens, but there are 10"),
        (normal(10, 3).astype(np.float64), 3, "float32 matrix"),
        (normal(10, 3)[0], 1, "float32 matrix"),
        (np.where(np.eye(10, 10) == 1, np.nan, 1).astype(np.float32), 3, "row 0 is not"),
        (np.full((5, 2), np.inf, np.float32), 3, "row 0 is not"),
    ],
)
def test_bad_input_is_one_line(points: np.ndarray, k: int, message: str) -> None:
    with pytest.raises(ParameterError, match=message) as error:
        knn_graph(points, k=k)
    assert "\n" not in str(error.value)


@given(seed=st.integers(0, 10**6), V=st.integers(2, 90), D=st.integers(1, 9), levels=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_graph_equals_brute_force(seed: int, V: int, D: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    points = random.integers(-levels, levels + 1, (V, D)).astype(np.float32)
    k = int(random.integers(1, V))
    graph = knn_graph(points, k=k, threads=1, arithmetic=BFLOAT16)
    ids, distances = brute_force(points, k)  # integers: all sums are exact, so ties are
    np.testing.assert_array_equal(graph.ids, ids)
    np.testing.assert_array_equal(graph.distances, distances.astype(np.float32))


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_permuting_rows_permutes_the_graph(seed: int) -> None:
    points = normal(200, 6, seed)
    order = np.random.default_rng(seed).permutation(200)
    graph, permuted = knn_graph(points, k=10, threads=1), knn_graph(points[order], k=10, threads=1)
    np.testing.assert_array_equal(permuted.distances, graph.distances[order])
    np.testing.assert_array_equal(order[permuted.ids], graph.ids[order])  # random points have no ties


@given(seed=st.integers(0, 10**6), power=st.integers(-60, 60))
@settings(max_examples=15, deadline=None)
def test_scaling_by_a_power_of_two_scales_distances(seed: int, power: int) -> None:
    points = normal(150, 6, seed)
    graph = knn_graph(points, k=10, threads=1)
    scaled = knn_graph(points * np.float32(2.0**power), k=10, threads=1)
    np.testing.assert_array_equal(scaled.ids, graph.ids)
    np.testing.assert_array_equal(scaled.distances, graph.distances * np.float32(2.0**power))


@pytest.mark.parametrize("cloud", ["twins among others", "dense cluster", "one step apart", "offset", "mixed norms"])
def test_search_and_finder_equal_brute_force(cloud: str) -> None:
    points = CLOUDS[cloud][0]()
    queries = np.concatenate(
        [points[[0, 7, 101]], points[:2] + points[5:7], np.zeros((1, points.shape[1]), np.float32)]
    )
    exclude: list[tuple[int, ...]] = [(0,), (7,), (101, 102), (), (), (3,)]
    ids, distances = Finder(points, threads=2).search(queries, k=9, exclude=exclude)
    for n, query in enumerate(queries):
        plain_ids, plain_distances = search(points, query, k=9, exclude=exclude[n])
        np.testing.assert_allclose(distances[n], plain_distances, rtol=1e-13)
        squared = ((points.astype(np.float64) - query.astype(np.float64)) ** 2).sum(axis=1)
        squared[list(exclude[n])] = np.inf
        expected = np.sqrt(np.sort(squared)[:9])
        np.testing.assert_allclose(distances[n], expected, rtol=1e-13)
        np.testing.assert_allclose(np.sqrt(squared[ids[n]]), expected, rtol=1e-13)
        np.testing.assert_allclose(np.sqrt(squared[plain_ids]), expected, rtol=1e-13)


def test_a_finder_says_how_many_points_are_left() -> None:
    finder = Finder(normal(10, 3))
    with pytest.raises(ParameterError, match="from 1 to 9"):
        finder.search(normal(1, 3), k=10, exclude=[(4,)])
    with pytest.raises(ParameterError, match="shape"):
        finder.search(normal(1, 4), k=3)
