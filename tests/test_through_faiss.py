"""`verify` asks the FAISS indexes themselves, and knows what their float32 can tell."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import oracles
import pytest
import synthetic
from conftest import ROOT, build, invoke, query
from numpy.typing import NDArray
from test_sketch import CLOUDS

import index
from index.checks.through_faiss import FaissCheck, check_through_faiss
from index.geometry.maps import Geometry
from index.progress import silent

sys.path.append(str(ROOT / "benchmarks"))
import fuzz_inputs

K = 12
DIRECTIONS = {
    "random": np.random.default_rng(1).normal(size=(400, 24)),
    "twins and zero rows": np.repeat(np.random.default_rng(2).normal(size=(40, 9)), 8, axis=0)
    * (np.arange(320) > 9)[:, None],
    "nearly the same": np.ones(300) + np.random.default_rng(3).normal(size=(200, 300)) * 1e-4,
    "two heaps, opposite": np.ones(64) * np.where(np.arange(200) % 2, 1, -1)[:, None]
    + np.random.default_rng(4).normal(size=(200, 64)),
    "one coordinate": np.random.default_rng(5).normal(size=(90, 1)),
    "wide": np.random.default_rng(6).normal(size=(30, 8192)),
    "denormal coordinates": np.random.default_rng(7).normal(size=(90, 20)) * np.geomspace(1e-44, 1, 20),
}


def space_of(points: NDArray[np.float32], geometry: Geometry, index: Any = None) -> Any:
    """What the check reads of a space: lists by brute force in float64, and FAISS's index, of the points by default."""
    V, D = points.shape
    excluded = np.flatnonzero(~points.any(axis=1)).tolist() if geometry.angular else []
    exact = points.astype(np.float64)
    ids, distances = np.full((V, K), -1, np.int32), np.full((V, K), np.inf, np.float32)
    for row in range(V):
        if row in excluded:
            continue
        with np.errstate(over="ignore"):
            apart = np.linalg.norm(exact - exact[row], axis=1)
        apart[[row, *excluded]] = np.inf
        order = np.lexsort((np.arange(V), apart))[: min(K, V - 1 - len(excluded))]
        ids[row, : len(order)], distances[row, : len(order)] = order, apart[order]
    if index is None:
        index = faiss.IndexFlatIP(D) if geometry.angular else faiss.IndexFlatL2(D)
        index.add(points)
    return SimpleNamespace(
        geometry=geometry, points=points, ids=ids, distances=distances, excluded=tuple(excluded), index=index
    )


def checked(space: Any) -> FaissCheck:
    return check_through_faiss(space, np.arange(len(space.points)), lambda share: silent("", share))


@pytest.mark.parametrize("cloud", [name for name in CLOUDS if name not in ("one", "wider than a chunk")])
def test_right_lists_pass_whatever_the_points(cloud: str) -> None:
    points = CLOUDS[cloud][:300]
    found = checked(space_of(points, Geometry.CAUSAL))
    assert (found.rows, found.ids, found.wrong, found.passed) == (len(points), len(points) * K, 0, True)
    assert found.worst_share <= 1


@pytest.mark.parametrize("name", DIRECTIONS)
def test_right_lists_of_directions_pass(name: str) -> None:
    rows = DIRECTIONS[name]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found = checked(space_of((rows / np.where(lengths > 0, lengths, 1)).astype(np.float32), Geometry.COSINE))
    assert (found.wrong, found.passed) == (0, True)
    assert found.worst_share <= 1


@pytest.mark.parametrize("count", [16, 300])
@pytest.mark.parametrize("geometry", [Geometry.CAUSAL, Geometry.COSINE])
def test_what_faiss_measures_is_within_what_is_allowed(geometry: Geometry, count: int) -> None:
    """Each of all distances, not the nearest alone; with more queries FAISS would multiply, were there no selector."""
    rows = np.random.default_rng(8).normal(size=(count, 600)) + 30
    points = (oracles.unit_rows(rows) if geometry.angular else rows).astype(np.float32)
    space = space_of(points, geometry)
    found = checked(space)
    selector = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(np.ones(count, bool), bitorder="little")))
    values, ids = space.index.search(points, count, params=selector)
    squared = 2 - 2 * values.astype(np.float64) if geometry.angular else values.astype(np.float64)
    exact = np.stack(
        [((points[ids[row]].astype(np.longdouble) - points[row]) ** 2).sum(axis=1) for row in range(count)]
    )
    assert (np.abs(squared - exact) <= found.relative * exact + found.absolute).all()


def test_what_differs_by_more_than_float32_can_tell_is_wrong() -> None:
    """A distance moved by half and by twice of what is allowed; two tokens that change places; one that is left out."""
    points = np.random.default_rng(9).normal(size=(200, 40)).astype(np.float32)

    def changed(change: Any) -> FaissCheck:
        space = space_of(points, Geometry.CAUSAL)
        change(space.ids, space.distances)
        return checked(space)

    relative = changed(lambda ids, distances: None).relative
    half, twice = np.sqrt(1 + relative / 2), np.sqrt(1 + 2 * relative)
    assert changed(lambda ids, distances: distances.__setitem__((5, 3), distances[5, 3] * half)).wrong == 0
    assert changed(lambda ids, distances: distances.__setitem__((5, 3), distances[5, 3] * twice)).wrong == 1
    assert changed(lambda ids, distances: ids.__setitem__((5, [2, 9]), ids[5, [9, 2]])).wrong == 2

    def left_out(ids: NDArray, distances: NDArray) -> None:
        ids[7, 3:-1], distances[7, 3:-1] = ids[7, 4:].copy(), distances[7, 4:].copy()
        far = int(np.linalg.norm(points - points[7], axis=1).argmax())
        ids[7, -1], distances[7, -1] = far, np.linalg.norm(points[far] - points[7])

    found = changed(left_out)
    # FAISS knows the one that was left out. The far one is farther than all that FAISS lists: that alone is no fault.
    assert (found.wrong, found.passed) == (1, False)
    assert not changed(lambda ids, distances: distances.__setitem__((5, 3), np.nan)).passed
    assert not changed(lambda ids, distances: distances.__setitem__((5, 3), np.inf)).passed
    assert changed(lambda ids, distances: ids.__setitem__((5, 3), 5)).wrong == K
    assert changed(lambda ids, distances: ids.__setitem__((5, 3), ids[5, 2])).wrong == K
    assert not changed(lambda ids, distances: ids.__setitem__((5, slice(8, None)), -1)).passed


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twins, near-twins, equal distances and a zero row."""
    folder = tmp_path_factory.mktemp("through")
    rows = np.concatenate(
        [synthetic.planted(400, 8, seed=3).gamma.astype(np.float32), np.eye(8), -np.eye(8), np.zeros((1, 8))]
    )
    np.save(folder / "gamma.npy", rows.astype(np.float32))
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 10, "--density-k", 5)
    return folder / "bundle"


def test_a_bundle_with_twins_ties_and_a_zero_row_passes(crowded: Path) -> None:
    found = query("verify", "--rows", 1000, "--index", crowded)
    V = len(index.open(crowded))
    assert found["passed"]
    assert set(found["faiss"]) == {"causal", "cosine"}
    for check in found["faiss"].values():
        assert (check["passed"], check["rows"], check["ids"], check["wrong"]) == (True, V, V * 10, 0)


def test_the_densest_token_is_asked_for(crowded: Path) -> None:
    assert {check["rows"] for check in query("verify", "--rows", 1, "--index", crowded)["faiss"].values()} == {2}


def turned(points: NDArray[np.float32], metric: Any) -> Any:
    """Other points in the same rows."""
    other = metric(points.shape[1])
    other.add(np.ascontiguousarray(points[::-1]))
    return other


def other_metric(points: NDArray[np.float32], metric: Any) -> Any:
    """The right points in an index that ranks them by the other measure."""
    other = (faiss.IndexFlatIP if metric is faiss.IndexFlatL2 else faiss.IndexFlatL2)(points.shape[1])
    other.add(points)
    return other


@pytest.mark.parametrize("change", [turned, other_metric])
@pytest.mark.parametrize(("name", "metric"), [("causal", faiss.IndexFlatL2), ("cosine", faiss.IndexFlatIP)])
def test_another_index_in_its_place_is_seen(name: str, metric: Any, change: Any, crowded: Path, tmp_path: Path) -> None:
    """Of the same shape, with checksums that say it is right; of the wrong kind, only FAISS tells it."""
    copy = Path(shutil.copytree(crowded, tmp_path / "bundle"))
    file = copy / f"{name}.faiss"
    flat = faiss.read_index(str(file))
    points = flat.reconstruct_n(0, flat.ntotal)
    faiss.write_index(change(points, metric), str(file))
    assert file.stat().st_size == (crowded / file.name).stat().st_size
    fuzz_inputs.seal_file(file.name, copy)
    outcome = invoke("query.py", "verify", "--json", "--index", copy)
    assert outcome.code == 1
    assert "build it again" in outcome.err
    assert not outcome.json["faiss"][name]["passed"]
    assert outcome.json["faiss"]["cosine" if name == "causal" else "causal"]["passed"]
    if change is other_metric:
        assert all(check["passed"] for check in outcome.json["graphs"].values())
    shown = invoke("query.py", "verify", "--index", copy).said
    assert "beyond what float32 can tell" in shown
