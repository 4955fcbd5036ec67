"""`lattice`: planted groups one step apart are found exactly; pairs, extents and counts are those of all pairs."""

import csv
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import Built, build, invoke, query
from numpy.typing import NDArray
from synthetic import gaussian, write_model

import index
from index.measures.lattice import NearPairs, linked, narrow_dtype, step_numbers

V, D = 300, 12
BF16, F16 = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)
TINY = 2.0**-133
"""The least number of bfloat16 above zero."""


def numbers_of(dtype: np.dtype) -> NDArray[np.float64]:
    """All finite numbers of a format, ascending, zero once."""
    with np.errstate(invalid="ignore"):  # some of them are signaling NaNs
        every = np.arange(1 << 16, dtype=np.uint16).view(dtype).astype(np.float64)
    return np.unique(every[np.isfinite(every)] + 0.0)


def place_of(dtype: np.dtype) -> Any:
    """Where each number stands in the list of all: the oracle's steps."""
    ordered = numbers_of(dtype)
    return lambda rows: np.searchsorted(ordered, np.asarray(rows).astype(np.float64))


def moved(center: NDArray, change: dict[int, int], dtype: np.dtype = BF16) -> NDArray:
    """A row (D,) with some coordinates moved by some steps, by the oracle's list."""
    ordered = numbers_of(dtype)
    row = center.astype(np.float64)
    for coordinate, steps in change.items():
        row[coordinate] = ordered[np.searchsorted(ordered, row[coordinate]) + steps]
    return row.astype(dtype)


def planted(dtype: np.dtype = BF16) -> tuple[NDArray, dict[str, list[list[int]]]]:
    """Rows, and the points of each planted group, by their rows."""
    rows = gaussian(V, D, seed=11, largest=1.0, smallest=0.2).astype(dtype)
    centers = gaussian(5, D, seed=12, largest=1.0, smallest=0.2).astype(dtype)
    groups: dict[str, list[list[int]]] = {}

    def plant(name: str, center: NDArray, at: int, changes: list[tuple[dict[int, int], int]]) -> None:
        groups[name] = []
        for change, population in changes:
            rows[at : at + population] = moved(center, change, dtype)
            groups[name].append(list(range(at, at + population)))
            at += population

    plant("axes", centers[0], 10, [({}, 4), ({0: 1}, 2), ({3: -1}, 1)])  # faces, and between the last two an edge
    plant("corner", centers[1], 30, [({}, 3), ({1: 1, 2: -1, 5: 1}, 2)])
    near_zero = centers[2].copy()
    near_zero[[4, 5]] = 0
    tiny = np.finfo(np.float16).smallest_subnormal if dtype == F16 else TINY
    near_zero[6] = tiny
    plant("zero", near_zero, 50, [({}, 2), ({4: -1}, 1), ({4: 1}, 1), ({5: -1, 6: -2}, 1)])
    rows[60] = near_zero
    rows[60, 5] = -0.0  # the same point as row 50, and no twin
    groups["zero"][0].append(60)
    plant("chain", centers[3], 70, [({7: n}, 1) for n in range(4)])
    plant("apart", centers[4], 90, [({}, 1), ({0: 3}, 1)])  # only within three steps
    return rows, groups


def brute(rows: NDArray, dtype: np.dtype) -> dict[tuple[int, int], tuple[int, int, int]]:
    """The most steps, the coordinates that differ, and all steps of each pair of rows, one after the other."""
    places = place_of(dtype)(rows)
    found = {}
    for a, b in combinations(range(len(rows)), 2):
        apart = [abs(int(x) - int(y)) for x, y in zip(places[a], places[b], strict=True)]
        found[a, b] = (max(apart), sum(each > 0 for each in apart), sum(apart))
    return found


def components(pairs: list[tuple[int, int]], count: int) -> list[int]:
    """The first row of each row's connected component, by repeated relabeling."""
    labels = list(range(count))
    changed = True
    while changed:
        changed = False
        for a, b in pairs:
            low = min(labels[a], labels[b])
            changed |= labels[a] != labels[b]
            labels[a] = labels[b] = low
    return labels


def build_of(rows: NDArray, folder: Path) -> Path:
    write_model(folder / "model.safetensors", rows)
    build(folder / "model.safetensors", "--out", folder / "bundle", "--neighbors", 20, "--ridge", 1e-3)
    return folder / "bundle"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_of(planted()[0], tmp_path_factory.mktemp("lattice"))


@pytest.fixture(scope="module")
def oracle() -> dict[tuple[int, int], tuple[int, int, int]]:
    return brute(planted()[0], BF16)


# --- steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [BF16, F16], ids=str)
def test_steps_count_the_numbers_between(dtype: np.dtype) -> None:
    every = numbers_of(dtype).astype(dtype)
    places = place_of(dtype)(every)
    numbers = step_numbers(every)
    assert np.array_equal(numbers, places - places[every == 0][0])
    assert step_numbers(np.array([0.0, -0.0], dtype)).tolist() == [0, 0]


def test_raw_bits_would_not_do() -> None:
    """Across zero two numbers that are two steps apart are 32,768 apart by their bits."""
    row = np.array([TINY, -TINY]).astype(BF16)
    assert np.ptp(step_numbers(row)) == 2
    assert np.ptp(row.view(np.uint16).astype(np.int64)) == 32_768


def test_formats_that_wider_numbers_hold() -> None:
    rows, _ = planted()
    assert narrow_dtype(rows) == narrow_dtype(rows.astype(np.float32)) == narrow_dtype(rows.astype(np.float64)) == BF16
    half = np.array([[1 + 2.0**-10, 60_000]])
    assert narrow_dtype(half.astype(np.float16)) == narrow_dtype(half.astype(np.float32)) == F16
    assert narrow_dtype(np.array([[1 + 2.0**-20]], dtype=np.float32)) is None


# --- the pairs, against all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 40, 300])
def test_pairs_are_those_of_all_pairs(steps: int, oracle: dict[tuple[int, int], tuple[int, int, int]]) -> None:
    rows, _ = planted()
    twins = np.array([next(a for a in range(b + 1) if rows[a].tobytes() == rows[b].tobytes()) for b in range(V)])
    found = NearPairs(rows, BF16, twins).find(steps)
    same = components([pair for pair, (most, _, _) in oracle.items() if most == 0], V)
    assert found.points.tolist() == same
    expected = {
        (a, b, *measured)
        for (a, b), measured in oracle.items()
        if 0 < measured[0] <= steps and same[a] == a and same[b] == b
    }
    columns = (found.a, found.b, found.steps, found.coordinates, found.total)
    assert {tuple(map(int, each)) for each in zip(*columns, strict=True)} == expected
    assert len(found.a) == len(expected)
    near = [pair for pair, (most, _, _) in oracle.items() if most <= steps]
    assert linked(found, steps).tolist() == components(near, V)


def test_candidates_are_never_fewer_than_pairs(oracle: dict[tuple[int, int], tuple[int, int, int]]) -> None:
    rows, _ = planted()
    pairs = NearPairs(rows, BF16, np.arange(V))
    for steps in (1, 5, 100):
        assert pairs.candidates(steps) >= sum(most <= steps for most, _, _ in oracle.values())


# --- the answer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [BF16, F16], ids=str)
def test_the_planted_groups_and_no_other(dtype: np.dtype, small: Path, tmp_path: Path) -> None:
    rows, groups = planted(dtype)
    found = query("lattice", "--index", small if dtype == BF16 else build_of(rows, tmp_path))
    assert (found["defined"], found["dtype"], found["unit"], found["reach"]) == (True, str(dtype), "steps", 1)
    expected = [groups["axes"], groups["corner"], groups["zero"][:3], groups["chain"]]
    expected = [[sorted(point) for point in group] for group in expected]
    got = [sorted(sorted(point["ids"]) for point in group["points"]) for group in found["groups"]]
    assert sorted(got) == sorted(map(sorted, expected))
    assert [group["size"] for group in found["groups"]] == sorted(group["size"] for group in found["groups"])[::-1]
    named = {group["points"][0]["ids"][0]: group for group in found["groups"]}
    assert named[10]["contacts"] == {"face": 2, "edge": 1, "corner": 0}
    assert named[30]["contacts"] == {"face": 0, "edge": 0, "corner": 1}
    assert named[50]["contacts"] == {"face": 2, "edge": 0, "corner": 0}  # from -1 to 1 across zero are two steps
    assert named[70]["contacts"] == {"face": 3, "edge": 0, "corner": 0}
    assert [(named[at]["extent"], named[at]["coordinates"]) for at in (10, 30, 50, 70)] == [
        (1, 2),
        (1, 3),
        (2, 1),
        (3, 1),
    ]
    assert named[70]["points"][0]["population"] == 1
    assert found["tokens"] == sum(group["size"] for group in found["groups"]) == 7 + 5 + 5 + 4


def test_how_the_groups_grow(small: Path, oracle: dict[tuple[int, int], tuple[int, int, int]]) -> None:
    found = query("lattice", "--steps", 3, "--index", small)
    assert [each["reach"] for each in found["growth"]] == [0, 1, 2, 3, 4, 8, 16]
    for each in found["growth"]:
        sizes = np.bincount(components([p for p, (most, _, _) in oracle.items() if most <= each["reach"]], V))
        sizes = sizes[sizes > 1]
        assert (each["groups"], each["tokens"], each["largest"]) == (len(sizes), sizes.sum(), sizes.max())
    assert {90, 91} in [{i for point in group["points"] for i in point["ids"]} for group in found["groups"]]
    links = {(link["a"], link["b"]): link for group in found["groups"] for link in group["links"]}
    assert links[90, 91] == {"a": 90, "b": 91, "steps": 3, "coordinates": 1, "total": 3, "contact": None}


def test_a_cast_matrix_has_its_lattice(small: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", planted()[0].astype(np.float32))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "cast", "--neighbors", 20, "--ridge", 1e-3)
    assert query("lattice", "--index", tmp_path / "cast") == query("lattice", "--index", small)


def test_without_steps_distances_are_taken(tmp_path: Path) -> None:
    rows = gaussian(V, D, seed=5, largest=1.0, smallest=0.2)
    rows[20:24] = rows[0]
    rows[30] = rows[0] + 1e-4
    np.save(tmp_path / "gamma.npy", rows)
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 20, "--ridge", 1e-3)
    found = query("lattice", "--within", 0.01, "--index", tmp_path / "bundle")
    assert (found["defined"], found["dtype"], found["unit"], found["reach"]) == (False, None, "logometers", 0.01)
    (group,) = found["groups"]
    assert [point["ids"] for point in group["points"]] == [[0, 20, 21, 22, 23], [30]]
    opened = index.open(tmp_path / "bundle")
    apart = rows[30] - rows[0]
    assert group["extent"] == pytest.approx(np.sqrt(apart @ opened.metric.matrix @ apart), abs=opened.causal.resolution)
    assert (group["coordinates"], group["links"]) == (None, [])
    said = invoke("query.py", "lattice", "--index", tmp_path / "bundle").said
    assert "steps are not defined: the source is float64, not bfloat16 or float16; distances instead" in said
    graphml = invoke("query.py", "export", "graphml", "--out", tmp_path / "a.graphml", "--index", tmp_path / "bundle")
    assert (graphml.code, "it has no steps" in graphml.said) == (2, True)
    assert not (tmp_path / "a.graphml").exists()
    usual = query("lattice", "--index", tmp_path / "bundle")["reach"]
    assert usual == opened.manifest.spaces.causal.median_nearest / 100  # type: ignore[operator]


def test_forms(small: Path) -> None:
    lines = list(csv.DictReader(StringIO(invoke("query.py", "lattice", "--csv", "--index", small).out)))
    found = query("lattice", "--index", small)
    expected = [
        (n, group["size"], at, point["population"], token_id)
        for n, group in enumerate(found["groups"], 1)
        for at, point in enumerate(group["points"], 1)
        for token_id in point["ids"]
    ]
    names = ("group", "size", "point", "population", "id")
    assert [tuple(int(line[name]) for name in names) for line in lines] == expected
    said = invoke("query.py", "lattice", "--index", small).said
    assert "of the numbers that bfloat16 has" in said
    assert "4 linked within 1 step in every coordinate" in said


def test_graphml_is_read_by_networkx(small: Path, tmp_path: Path) -> None:
    import networkx

    path = tmp_path / "lattice.graphml"
    query("export", "graphml", "--steps", 3, "--out", path, "--index", small)
    found, graph = query("lattice", "--steps", 3, "--index", small), networkx.read_graphml(path)
    links = [link for group in found["groups"] for link in group["links"]]
    assert {frozenset(edge) for edge in graph.edges} == {
        frozenset((f"n{link['a']}", f"n{link['b']}")) for link in links
    }
    for link in links:
        kept = graph.edges[f"n{link['a']}", f"n{link['b']}"]
        assert kept == {name: link[name] for name in ("steps", "coordinates", "total", "contact") if link[name]}
    points = [(n, point) for n, group in enumerate(found["groups"], 1) for point in group["points"]]
    assert len(graph) == len(points)
    for number, point in points:
        node = graph.nodes[f"n{min(point['ids'])}"]
        assert (node["group"], node["population"]) == (number, point["population"])
        assert list(map(int, node["ids"].split())) == point["ids"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--steps", -1], "--steps must be from 0 to 65,534, got: -1"),
        (["--within", 1], "--within is for a source without steps, but this one is bfloat16"),
        (["--top", 0], "--top must be 1 or more"),
    ],
)
def test_what_is_refused(options: list[Any], said: str, small: Path) -> None:
    outcome = invoke("query.py", "lattice", *options, "--index", small)
    assert (outcome.code, said in outcome.said) == (2, True)


def test_the_bundled_model_has_no_steps(smollm2: Built) -> None:
    found = query("lattice", "--index", smollm2.path)
    assert not found["defined"]
    assert found["groups"][0]["size"] == 15
