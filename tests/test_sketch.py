"""Bounds from one byte a coordinate: they hold for whatever hurts them, and what they leave out is no answer."""

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from index import process
from index.bundle.checksums import StoredFile
from index.bundle.stored import sketch_codes
from index.bundle.write import save_sketch
from index.geometry import maps
from index.search import finder as finder_module
from index.search import swept
from index.search.code_kernels import turn, weigh
from index.search.finder import Finder, search, search_with_ties
from index.search.sketch import MIDDLE, MOST_WEIGHT, MOST_WEIGHTS, Sketch, _weights, encode, new_quantizer
from index.search.swept import flat_bounds
from index.search.turned import TurnedBounds, _turn

RANDOM = np.random.default_rng(11)
V = 700
CHUNK_BYTES = 1 << 14


def normal(width: int = 24, count: int = V) -> NDArray[np.float32]:
    return RANDOM.normal(size=(count, width)).astype(np.float32)


def half_steps(width: int = 16) -> NDArray[np.float32]:
    """Each coordinate as far from the nearest code as it can be."""
    points = normal(width)
    quantizer = new_quantizer(points)
    low, reach = faiss.vector_to_array(quantizer.sq.trained).reshape(2, width)
    codes = np.clip(np.floor((points - low) / np.where(reach > 0, reach, 1) * 255), 0, 254)
    return (low + (codes + 1e-4) / 255 * reach).astype(np.float32)


def with_changes(change: Callable[[NDArray[np.float32]], object]) -> NDArray[np.float32]:
    points = normal()
    change(points)
    return points


CLOUDS = {
    "normal": normal(),
    "saturated": with_changes(lambda points: points[::50].__imul__(np.float32(300))),
    "one huge coordinate": with_changes(lambda points: points.__setitem__((7, 3), np.float32(1e18))),
    "near the largest float32": (normal() * np.float32(1e37)).astype(np.float32),
    "denormal": (normal() * np.float32(1e-40)).astype(np.float32),
    "norms over 12 orders": (normal() * np.geomspace(1e-8, 1e4, V)[:, None]).astype(np.float32),
    "adversarial rounding": half_steps(),
    "one wide": normal(1),
    "wide": normal(8192, 60),
    "wider than a chunk": normal(CHUNK_BYTES + 3, 3),
    "a constant coordinate": with_changes(lambda points: points.__setitem__((slice(None), 5), np.float32(3))),
    "twins in bulk": with_changes(lambda points: points.__setitem__(slice(100, 600), points[3])),
    "all one point": np.tile(normal(24, 1), (V, 1)),
    "zero rows": with_changes(lambda points: points.__setitem__(slice(50, 90), np.float32(0))),
    "all zero": np.zeros((V, 5), np.float32),
    "far from the origin": (normal() + np.float32(1e6)).astype(np.float32),
    "one": normal(4, 1),
}


def queries(points: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Points, what lies between them, none of them, far from all, and what float32 does not hold."""
    exact = points.astype(np.float64)
    mean, own = exact.mean(axis=0), exact[-1]
    return [own, exact[0], (own + mean) / 2, mean * (1 + 2.0**-30), np.zeros_like(own), -3 * own, own * 1e60]


def exact_distances(points: NDArray[np.float32], query: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(points.astype(np.longdouble) - query, axis=1).astype(np.float64)


@pytest.fixture(params=["FAISS", "loops"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who measures: FAISS always, or compiled loops from the first question on."""
    monkeypatch.setattr(process, "FEW_SWEEPS", 10**9 if request.param == "FAISS" else 0)
    monkeypatch.setattr(swept, "PART_BYTES", 5000)
    monkeypatch.setattr(swept, "SCATTERED_BYTES", 500)
    monkeypatch.setattr(swept, "CHUNK_BYTES", CHUNK_BYTES)
    monkeypatch.setattr(finder_module, "FEW_OPEN", 3)
    monkeypatch.setattr(finder_module, "_BLOCK", 4)
    return str(request.param)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_bounds_hold(cloud: str, by: str) -> None:
    points = CLOUDS[cloud]
    sketch = Sketch.of(points)
    for query in queries(points):
        exact = exact_distances(points, query)
        lower, upper = sketch.bounds(query)
        assert (lower <= exact * (1 + 1e-15)).all()
        assert (exact <= upper * (1 + 1e-15)).all()
        near = query * (1 + 1e-6)
        lower, upper = sketch.bounds(near, near=float(np.linalg.norm(near - query)) * 2)  # that sweep again
        exact = exact_distances(points, near)
        assert (lower <= exact * (1 + 1e-15)).all()
        assert (exact <= upper * (1 + 1e-15)).all()
        some = np.arange(0, len(points), 3)
        few_lower, few_upper = sketch.bounds(query, some)
        exact = exact_distances(points[some], query)
        assert (few_lower <= exact * (1 + 1e-15)).all()
        assert (exact <= few_upper * (1 + 1e-15)).all()


def test_bounds_are_narrow_enough_to_be_of_use() -> None:
    points = normal(256, 3000)
    lower, upper = Sketch.of(points).bounds(points[5].astype(np.float64))
    exact = exact_distances(points, points[5].astype(np.float64))
    assert np.median((upper - lower)[exact > 0] / exact[exact > 0]) < 0.03


def test_loops_bound_as_closely_as_faiss_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for D in (3, 64, 576, 2560):
        points = normal(D, 400)
        query = points[:2].astype(np.float64).mean(axis=0)
        widths = []
        for sweeps in (1, 0):
            monkeypatch.setattr(process, "FEW_SWEEPS", sweeps)
            lower, upper = Sketch.of(points).bounds(query)
            widths.append(float(np.mean(upper - lower)))
        assert widths[1] <= 1.03 * widths[0]


@pytest.mark.parametrize("cloud", [name for name in CLOUDS if name != "near the largest float32"])
def test_flat_bounds_hold(cloud: str, by: str) -> None:
    points = CLOUDS[cloud]
    flat = flat_bounds(points)
    for query in queries(points):
        exact = exact_distances(points, query)
        for rows in (None, np.arange(0, len(points), 3)):
            lower, upper = flat.bounds(query, rows)
            of_rows = exact if rows is None else exact[rows]
            assert (lower <= of_rows * (1 + 1e-15)).all()
            assert (of_rows <= upper * (1 + 1e-15)).all()


@pytest.mark.parametrize("D", [5, 96, 2049])
def test_what_rounding_alone_tells_apart_stands_as_it_was_measured(D: int, by: str) -> None:
    """All are as far away, but for the order in which the same squares are summed up."""
    point = RANDOM.normal(size=D)
    points = np.stack([RANDOM.permutation(point) for _ in range(300)]).astype(np.float32)
    finder, query = Finder(points), np.full(D, 0.7, np.float32)
    for k in (1, 7, 150, 299):
        wanted = search(points, query, k=k, exclude=(3,))
        ids, distances = finder.search(query[None], k=k, exclude=[(3,)])
        np.testing.assert_array_equal(ids[0], wanted[0])
        np.testing.assert_array_equal(distances[0], wanted[1])


@pytest.mark.parametrize("k", [1, 40, V - 90])
def test_what_is_left_out_stays_out_where_no_bound_is_known(k: int, by: str) -> None:
    points, out = CLOUDS["near the largest float32"], range(90)
    assert np.isinf(Sketch.of(points).bounds(np.full(24, 1e200))[1]).all()
    finder = Finder(points, excluded=out[:40])
    for query in (points[2], points[300], -points[5]):
        wanted = search(points, query, k=k, exclude=out)
        ids, distances = finder.search(query[None], k=k, exclude=[out])
        np.testing.assert_array_equal(ids[0], wanted[0])
        np.testing.assert_array_equal(distances[0], wanted[1])


@pytest.mark.parametrize("alone", [0, 24 * 4 * 4, 10**9])  # bytes that take as long as one row: gaps are read, or not
@pytest.mark.parametrize("rows", [[0], [V - 1], [3, 690], [*range(V)], [*range(0, V, 2)], [*range(0, V, 9), 698, 699]])
def test_some_rows_are_bounded_as_all_are(alone: int, rows: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FEW_SWEEPS", 10**9)
    monkeypatch.setattr(swept, "CHUNK_BYTES", 5 * 24 * 4)
    monkeypatch.setattr(swept, "ALONE_BYTES", alone)
    points = CLOUDS["normal"]
    for bounder in (flat_bounds(points), Sketch.of(points)):
        query = points[3].astype(np.float64)
        of_all, of_some = bounder.bounds(query), bounder.bounds(query, np.array(rows))
        for every, some in zip(of_all, of_some, strict=True):
            np.testing.assert_array_equal(some, every[rows])


@given(st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, np.inf]), min_size=1, max_size=40), st.data())
def test_the_least_are_found(values: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finder_module, "_BLOCK", data.draw(st.integers(1, 5)))
        places = finder_module._least(np.array(values), k)
    assert len(set(places.tolist())) == k
    assert sorted(np.array(values)[places].tolist()) == sorted(values)[:k]


HARD_WEIGHTS = {
    "all at the limit": np.ones(576),
    "all at the limit below zero": -np.ones(3000),
    "one alone": np.eye(1, 50)[0],
    "half a step each": np.append(np.full(99, 0.5), MOST_WEIGHT) * (1 + 1e-9),
    "of either sign": np.tile([1.0, -1.0], 400),
    "over 300 orders": np.geomspace(1e-150, 1e150, 64),
    "too small": np.full(20, 1e-300),
    "none": np.zeros(7),
    "so many that each is a few steps": np.random.default_rng(0).normal(size=1 << 18),
    "more than there is room for": np.ones(MOST_WEIGHTS + 1, np.float64),
}


@pytest.mark.parametrize("name", HARD_WEIGHTS)
def test_integers_for_weights_neither_overflow_nor_lose_more_than_is_said(name: str) -> None:
    w = HARD_WEIGHTS[name]
    integers, step, lost = _weights(w)
    assert integers.dtype == np.int16
    total = int(np.abs(integers.astype(np.int64)).sum())
    assert MIDDLE * total < 2**31
    gaps = np.abs(w.astype(np.longdouble) - np.longdouble(step) * integers)
    assert gaps.sum() <= lost
    ends = np.where(integers > 0, 255, 0).astype(np.uint8)  # codes that make the sum as large as it can be
    for codes in (ends, 255 - ends, np.full(len(w), 255, np.uint8), np.zeros(len(w), np.uint8)):
        sums = np.empty(1, np.int32)
        less = np.int32(MIDDLE * int(integers.sum(dtype=np.int64)))
        weigh(codes[np.newaxis], np.zeros(1, np.int64), integers, less, sums)
        assert sums[0] == ((codes.astype(np.int64) - MIDDLE) * integers).sum()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_errors_are_no_less_than_what_a_code_loses(cloud: str) -> None:
    points = CLOUDS[cloud]
    quantizer = new_quantizer(points)
    codes, errors = encode(quantizer, points)
    lost = exact_distances(points - quantizer.sa_decode(codes), np.zeros(points.shape[1]))
    assert (errors >= lost * (1 - 1e-6)).all()


@pytest.mark.parametrize("cloud", [name for name in CLOUDS if name not in ("one", "all zero")])
def test_a_finder_answers_as_if_it_had_read_all(cloud: str, by: str) -> None:
    """Bit for bit, ties and twins included."""
    points = CLOUDS[cloud]
    finder = Finder(points, excluded=(1,))
    rows = np.arange(len(points), dtype=np.int32)[::2]
    for query in queries(points)[:6]:
        for top in {1, min(5, len(points) - 2), len(points) // 2, len(points)}:
            for among in (None, rows):
                kept = None if among is None else among[among != 1]
                found = finder.search_with_ties(query, top, 1e-7, exclude=(0,), rows=among)
                wanted = search_with_ties(points, query, top, 1e-7, exclude=(0, 1), rows=kept)
                np.testing.assert_array_equal(found[0], wanted[0])
                np.testing.assert_array_equal(found[1], wanted[1])
        exact = exact_distances(points, query)
        radius = float(np.median(exact))
        ids, distances = finder.within(query, radius)
        assert set(ids.tolist()) | {1} >= set(np.flatnonzero(exact < radius * (1 - 1e-12)).tolist())
        assert (distances <= radius).all()
        doubtful, nearer = finder.around(query, radius * 0.9, radius * 1.1)
        assert (exact[nearer] <= radius * 0.9).all()
        inside = (exact >= radius * 0.9) & (exact <= radius * 1.1) & (np.arange(len(points)) != 1)
        assert set(np.flatnonzero(inside)) <= set(doubtful.tolist())


@pytest.mark.parametrize("cloud", [name for name in CLOUDS if name not in ("near the largest float32", "one wide")])
def test_bounds_of_directions_hold(cloud: str, by: str) -> None:
    points = CLOUDS[cloud]
    sketch = Sketch.of(points)
    for origin in (RANDOM.normal(size=points.shape[1]), np.zeros(points.shape[1]), -points[0].astype(np.float64)):
        lengths = maps.turned_lengths(points, origin)
        own = np.flatnonzero(~(lengths > 0))
        turned = maps.turned(points, origin)
        bounder = TurnedBounds(sketch, origin, lengths, own)
        for query in (turned[-1].astype(np.float64), turned[0] + 0.5, np.zeros(points.shape[1]), 7.0 * turned[-1]):
            asked = (query * float(np.median(lengths)) - origin) * (1 + 1e-7)
            for before in (False, True):
                if before and np.isfinite(asked).all():
                    sketch.bounds(asked)
                exact = exact_distances(turned, query)
                for rows in (None, np.arange(0, len(points), 3)):
                    lower, upper = bounder.bounds(query, rows)
                    of_rows = exact if rows is None else exact[rows]
                    assert (lower <= of_rows).all()
                    assert (of_rows <= upper).all()


def test_loops_turn_bounds_as_numpy_does() -> None:
    lengths = np.concatenate([np.exp(RANDOM.normal(size=V) * 3), [1e-300, 1e300, 0.5, 0.5, 0.5]])
    lower = np.concatenate([np.exp(RANDOM.normal(size=V)), [1.0, 1.0, 0.0, 1e200, 2.0]])
    upper = lower + np.concatenate([RANDOM.random(V), [2.0, 2.0, np.inf, 1e200, np.inf]])
    for t, squared_length in ((1.0, 1.0), (3.7, 49.0), (1e-200, 1.0), (1e200, 1e10), (2.0, 0.0)):
        wanted = _turn(t, squared_length, lower, upper, lengths)
        least, most = lower.copy(), upper.copy()
        turn(t, squared_length, lengths, least, most)
        np.testing.assert_allclose(least, wanted[0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(most, wanted[1], rtol=1e-9)


@pytest.mark.parametrize("width", [1, 7, 64])
def test_a_sketch_is_written_as_faiss_writes_it(width: int, tmp_path: Path) -> None:
    points = normal(width)
    save_sketch(tmp_path, "x", points)
    quantizer = new_quantizer(points)
    quantizer.add(points)
    faiss.write_index(quantizer, str(tmp_path / "faiss"))
    assert (tmp_path / "x.sketch.faiss").read_bytes() == (tmp_path / "faiss").read_bytes()
    blocks = ["" for _ in range(-(-(tmp_path / "faiss").stat().st_size // (1 << 16)))]
    file = StoredFile(tmp_path / "faiss", blocks)
    file.check = lambda start, stop: None  # type: ignore[method-assign]
    codes = sketch_codes(file, points.shape)
    np.testing.assert_array_equal(codes[:], quantizer.sa_encode(points))
    errors = np.load(tmp_path / "x.sketch_errors.npy")
    exact = oracles.all_distances(np.concatenate([points[:1], quantizer.sa_decode(codes[:1])]).astype(np.float64))[0, 1]
    assert exact <= errors[0] <= exact * (1 + 1e-6) + 1e-30
