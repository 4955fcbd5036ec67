"""A `Finder`: what it refuses, that no path leads to a row without a point, that it answers as reading all does."""

import shutil
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
from conftest import ROOT, build
from numpy.typing import NDArray
from synthetic import planted

import index
from index.api import OpenVocabulary
from index.build.approximate import measure_recall
from index.bundle.space import Space
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.search.finder import Finder, search_with_ties
from index.search.graph import KnnGraph

sys.path.append(str(ROOT / "benchmarks"))
import fuzz_inputs


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder(np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32), threads=1)


@pytest.mark.parametrize("k", [-1, 0, 11, 10**12])
def test_lists_of_no_length_here(k: int, finder: Finder) -> None:
    with pytest.raises(ParameterError, match=f"k must be from 1 to 10, the points there are, got: {k}"):
        finder.search(np.zeros((2, 3), np.float32), k=k)


def test_points_that_are_left_out_count(finder: Finder) -> None:
    with pytest.raises(ParameterError, match="k must be from 1 to 8, the points that are left for query 1, got: 9"):
        finder.search(np.zeros((2, 3), np.float32), k=9, exclude=[(0,), (0, 1)])


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        (np.zeros((2, 4)), r"of shape \(Q, 3\) like the points, got: \(2, 4\)"),
        (np.zeros(3), r"of shape \(Q, 3\) like the points, got: \(3,\)"),
        (np.zeros((1, 2, 3)), r"got: \(1, 2, 3\)"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), "finite as float32, but query 1 is not"),
        (np.array([[np.inf, 0, 0]]), "query 0 is not"),
        (np.array([[1e300, 0, 0]]), "query 0 is not"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_queries_that_have_no_distance(queries: NDArray, said: str, finder: Finder) -> None:
    with pytest.raises(ParameterError, match=said):
        finder.search(queries, k=2)


def test_one_list_to_leave_out_for_each_query(finder: Finder) -> None:
    with pytest.raises(ParameterError, match="one entry for each of 2 queries, got: 1"):
        finder.search(np.zeros((2, 3), np.float32), k=2, exclude=[(0,)])


def test_no_queries_have_no_answers(finder: Finder) -> None:
    ids, distances = finder.search(np.zeros((0, 3), np.float32), k=2)
    assert ids.shape == distances.shape == (0, 2)


def test_rows_that_have_no_point_are_in_no_answer() -> None:
    """A zero row is at chord 1 from every direction: nearer than all that are further than a right angle."""
    rows = np.random.default_rng(3).normal(size=(30, 4))
    rows[:, 0] = np.abs(rows[:, 0])
    points = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    points[[2, 17]] = 0
    found = Finder(points, excluded=(2, 17), threads=1)
    queries = np.array([[-1, 0, 0, 0], [0, 1, 0, 0], points[3]], np.float32)
    ids, distances = found.search(queries, k=28)
    assert not np.isin(ids, (2, 17)).any()
    exact = np.linalg.norm(queries[:, None].astype(np.float64) - points, axis=2)
    exact[:, [2, 17]] = np.inf
    np.testing.assert_array_equal(ids, np.argsort(exact, axis=1, kind="stable")[:, :28])
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :28], rtol=1e-12)
    with pytest.raises(ParameterError, match="k must be from 1 to 28, the points there are, got: 29"):
        found.search(queries, k=29)
    with pytest.raises(ParameterError, match="k must be from 1 to 27, the points that are left for query 0, got: 28"):
        found.search(queries[:1], k=28, exclude=[(5,)])


def test_where_no_row_has_a_point_there_is_nothing_to_find() -> None:
    with pytest.raises(ParameterError, match="none of 3 rows has a point"):
        Finder(np.zeros((3, 2), np.float32), excluded=range(3), threads=1)


@pytest.fixture(scope="module")
def with_zero_rows(tmp_path_factory: pytest.TempPathFactory) -> OpenVocabulary:
    """Three zero rows among forty, of which thirty lie on one side of the others."""
    folder = tmp_path_factory.mktemp("zero")
    rows = np.random.default_rng(4).normal(size=(40, 3)) * 0.4 + np.where(np.arange(40) < 30, 1, -1)[:, None]
    rows[[0, 7, 39]] = 0
    np.save(folder / "gamma.npy", rows)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 35, "--index-factory", "Flat")
    return index.open(folder / "bundle")


@pytest.mark.parametrize("geometry", ["cosine", "causal_cosine"])
def test_no_path_leads_to_a_zero_row(geometry: str, with_zero_rows: OpenVocabulary) -> None:
    """The finder of a space, the stored lists, longer lists, graphs: whatever is asked names rows that have a point."""
    space, zero = with_zero_rows.spaces[index.Geometry(geometry)], [0, 7, 39]
    assert space.excluded == tuple(zero)
    ids, _ = space.finder.search(-space.points[[35]], k=37)
    assert sorted(ids[0].tolist()) == sorted(set(range(40)) - set(zero))
    with pytest.raises(ParameterError, match="query 1 is zero and has no direction: nothing is nearest to it"):
        space.finder.search(space.points[[35, 7]], k=3)
    spelled = f"{geometry.replace('_', '-')},causal"
    listed = with_zero_rows.neighbors("#35", top=36, geometries=spelled).lists[space.geometry]
    assert len(listed) == 36
    cone = with_zero_rows.within("#35", similarity=-1, geometry=geometry)
    around = with_zero_rows.analogy("#35", top=36, include_terms=True).lists[space.geometry]
    for places in (listed, cone.neighbors, around):
        assert not {place.token.row for place in places} & set(zero)
    assert cone.count == 36
    graph = with_zero_rows.kneighbors_graph(35, geometry=geometry).tocsc()
    assert np.diff(graph.indptr)[zero].tolist() == [0, 0, 0]
    assert [each.recall for each in space.facts.approximate] == [0.9]  # FAISS's own holds zero rows: 3 of 30 places


def test_an_index_gets_no_credit_for_zero_rows(with_zero_rows: OpenVocabulary) -> None:
    """A zero row is nearer than a neighbor at more than a right angle, and is no neighbor."""
    space, zero = with_zero_rows.cosine, [0, 7, 39]

    class OnlyZeroRows:
        def search(self, queries: NDArray, k: int) -> tuple[None, NDArray]:
            return None, np.tile(zero, (len(queries), 1))

    names = ("ids", "distances", "distinct_ids", "distinct_distances")
    stored = {name: getattr(space, name)[:] for name in names}
    graph = KnnGraph(**stored, groups=space.groups.first)
    assert (space.distances[1, :30] > 1).any()
    assert measure_recall(OnlyZeroRows(), space.points[:], graph, space.resolution)[2] == 0


def test_chance_counts_tokens_that_can_be_listed(with_zero_rows: OpenVocabulary) -> None:
    """In both angular geometries a token has 36 others; beside the causal one, which lists zero rows, they are 39."""
    for geometries, others in (("cosine,causal-cosine", 36), ("causal,cosine", 39)):
        found = with_zero_rows.overlap(tops=[10], geometries=geometries)
        assert found.tops[10].chance == 10 / others


# --- in place of reading all points -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> OpenVocabulary:
    """Rows with twins, near-twins, many equal distances, and a zero row."""
    folder = tmp_path_factory.mktemp("crowded")
    rows = np.concatenate([planted(1500, 8, seed=3).gamma.astype(np.float32), np.eye(8), -np.eye(8), np.zeros((1, 8))])
    np.save(folder / "gamma.npy", rows.astype(np.float32))
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 10, "--density-k", 5)
    return index.open(folder / "bundle")


@pytest.mark.parametrize("name", ["causal.sketch", "cosine.sketch", "causal", "cosine"])
def test_it_is_the_faiss_files_that_answer(name: str, crowded: OpenVocabulary, tmp_path: Path) -> None:
    """Another file of the same shape, with checksums that say it is right: other answers."""
    shutil.copytree(crowded.folder, tmp_path / "bundle")
    other = faiss.read_index(str(tmp_path / "bundle" / f"{name}.faiss"))
    points = other.reconstruct_n(0, other.ntotal)
    other.reset()
    # A sketch of other points in the same place would be seen through: too much stays open. This one says all are far.
    other.add(points + np.float32(1e4) if "sketch" in name else np.ascontiguousarray(points[::-1]))
    faiss.write_index(other, str(tmp_path / "bundle" / f"{name}.faiss"))
    fuzz_inputs.seal_file(f"{name}.faiss", tmp_path / "bundle")
    changed = index.open(tmp_path / "bundle")
    question = "#3 - #1 + #2"
    geometries = (Geometry.COSINE,) if "cosine" in name else (Geometry.CAUSAL, Geometry.CAUSAL_COSINE)
    before, after = (each.analogy(question, top=20).json() for each in (crowded, changed))
    for geometry in geometries:
        assert [place["id"] for place in before[geometry.value]] != [place["id"] for place in after[geometry.value]]
    for ranked in (crowded.rank("#3", "#900"), changed.rank("#3", "#900")):
        assert set(ranked.b_in_a) == set(Geometry)


class ReadsAll:
    """What answers as a finder does, of every point in float64."""

    def __init__(self, space: Space) -> None:
        self.space, self.rows = space, np.setdiff1d(np.arange(len(space.points)), space.excluded)

    def search_with_ties(
        self, query: NDArray, top: int, resolution: float, *, exclude: tuple[int, ...], rows: NDArray | None
    ) -> tuple[NDArray, NDArray]:
        return search_with_ties(self.space.points, query, top, resolution, exclude=exclude, rows=rows)

    def around(self, query: NDArray, nearest: float, farthest: float, *, then: NDArray) -> tuple[NDArray, NDArray]:
        return self.rows, np.empty(0, np.int64)


def test_lists_and_ranks_are_those_of_all_points(crowded: OpenVocabulary) -> None:
    """Bit for bit, ties and twins included: one vocabulary has its sketches, the other measures every point."""
    slow = index.open(crowded.folder)
    for space in slow.spaces.values():
        space.finder = ReadsAll(space)  # type: ignore[assignment]
    V = len(slow)
    some = [*range(0, V, 97), *range(V - 17, V)]
    for row in some:
        for top in (11, 40, 300, V - 2):
            assert crowded.neighbors(f"#{row}", top=top).json() == slow.neighbors(f"#{row}", top=top).json()
    for a, b in zip(some, reversed(some), strict=True):
        if a != b:
            assert crowded.rank(f"#{a}", f"#{b}").json() == slow.rank(f"#{a}", f"#{b}").json()
