"""A graph made tile by tile: the bytes of one sweep, whatever was done before, by whom, and in which order."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
from interrupted import contents, uninterrupted
from test_neighbors import brute_force

import index.build.build
from index.build import tiles
from index.build.build import build
from index.build.place import Stopped, UnfinishedError
from index.build.settings import Settings
from index.build.tiles import LEAST_CHUNK, MOST_CHUNKS, Merge, Step, Tile, chunk_edges, do, lay_out, stages
from index.errors import BundleError, LogoscopeError
from index.search import tile
from index.search.filter import build_filter
from index.search.graph import knn_graph
from index.search.kernels import Nearest
from index.search.scores import BFLOAT16, FLOAT32, INT8, Arithmetic

RANDOM = np.random.default_rng(5)


def cloud() -> np.ndarray:
    """Points with all that is hard: twins far from each other, a dense spot, and a lattice full of exact ties."""
    points = RANDOM.normal(size=(1200, 12)).astype(np.float32)
    points[100:130] = points[7]
    points[1100] = points[5]
    points[400:700] = points[400] + 1e-3 * RANDOM.normal(size=(300, 12)).astype(np.float32)
    points[800:1000] = RANDOM.integers(-1, 2, size=(200, 12))
    return points


# --- arrays ------------------------------------------------------------------------------------------------------


def nothing(chunk: tile.Chunk) -> tile.Candidates:
    n = len(chunk.order)
    return tile.Candidates(np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty(0))


def by_tiles(edges: Callable[[int], list[int]], arithmetic: Arithmetic) -> tile.Find:
    """Find the nearest by tiles of these chunks, each pair in turn, in one process and without a file."""

    def find(points: np.ndarray, rows: np.ndarray, k: int, pool: ThreadPoolExecutor, report: object) -> Nearest:
        chunks = list(tile.cut(build_filter(points, rows, FLOAT32, pool), edges(len(rows))))
        found: list[tile.Candidates | None] = [None] * len(chunks)
        for i, j in combinations_with_replacement(range(len(chunks)), 2):
            pair = [i] if i == j else [i, j]
            reached = [tile.reach(found[c] or nothing(chunks[c]), k) for c in pair]
            new = tile.near([chunks[c] for c in pair], reached, k, arithmetic, "cpu", pool)
            for c, candidates in zip(pair, new, strict=True):
                before = found[c]
                found[c] = tile.merge([candidates] if before is None else [before, candidates], k, pool)
        ids = np.concatenate([each.ids for each in found if each]).reshape(-1, k)
        squared = np.concatenate([each.squared for each in found if each]).reshape(-1, k)
        filled, limit = np.full(len(rows), k, np.int32), np.zeros(len(rows), np.float32)
        return Nearest(ids.copy(), squared.copy(), filled, limit)

    return find


CHUNKS = {
    "one": lambda U: [0, U],
    "a chunk of one point": lambda U: [0, 1, 500, U - 1, U],
    "more neighbors than a chunk has points": lambda U: [*range(0, U, 90), U],
    "thirds": lambda U: [0, U // 3, 2 * U // 3, U],
}


@pytest.mark.parametrize("arithmetic", [INT8, BFLOAT16, FLOAT32], ids=["int8", "bf16", "fp32"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_tiles_give_the_graph_of_one_sweep(chunks: str, arithmetic: Arithmetic) -> None:
    points = cloud()
    for k in (3, 100):
        whole = knn_graph(points, k=k)
        found = knn_graph(points, k=k, find=by_tiles(CHUNKS[chunks], arithmetic))
        for field in ("ids", "distances", "distinct_ids", "distinct_distances", "groups"):
            np.testing.assert_array_equal(getattr(found, field), getattr(whole, field), err_msg=field)


def test_tiles_give_what_brute_force_does() -> None:
    points = RANDOM.integers(-2, 3, size=(300, 6)).astype(np.float32)  # sums of squares are exact, and mostly tied
    expected, distances = brute_force(points, 40)
    found = knn_graph(points, k=40, find=by_tiles(lambda U: [*range(0, U, 37), U], INT8))
    np.testing.assert_array_equal(found.ids, expected)
    np.testing.assert_array_equal(found.distances, distances.astype(np.float32))


def test_points_that_are_all_alike_and_points_that_are_two() -> None:
    for points, k in ((np.ones((30, 4), np.float32), 5), (np.repeat(np.eye(2, 4, dtype=np.float32), 10, axis=0), 12)):
        found = knn_graph(points, k=k, find=by_tiles(lambda U: [*range(U), U], FLOAT32))
        np.testing.assert_array_equal(found.ids, knn_graph(points, k=k).ids)


def test_a_limit_is_no_less_for_being_rounded() -> None:
    squared = np.concatenate([RANDOM.exponential(size=1000) * 10.0 ** RANDOM.integers(-40, 30, 1000), [0.0, np.inf]])
    for scale in (2.0**-60, 2.0**-3, 1.0, 2.0**40):
        exact = squared * scale * scale * 0.5
        with np.errstate(over="ignore"):
            limit = tile.as_limit(squared, scale).astype(np.float64)
        assert (limit >= exact).all()
        plain = (exact > 1e-36) & (exact < 1e38)
        assert (limit[plain] <= exact[plain] * (1 + 2.0**-22)).all()


# --- the plan ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 19, 64])
def test_every_two_chunks_meet_once_and_twice_as_many_at_each_stage(count: int) -> None:
    planned = stages(count)
    met = [(each.left, each.right) for stage in planned for each in stage]
    assert sorted(met) == list(combinations_with_replacement(range(count), 2))
    assert all(each.stage == number for number, stage in enumerate(planned) for each in stage)
    for number, stage in enumerate(planned[1:-1], 1):
        assert len(stage) == count * 2 ** (number - 1)
    for stage in planned:
        assert {chunk for each in stage for chunk in each.chunks} == set(range(count))


def test_chunks_depend_on_the_points_alone() -> None:
    assert chunk_edges(10) == (0, 10)
    assert len(chunk_edges(2 * LEAST_CHUNK)) == 3
    edges = chunk_edges(10_000_000)
    assert len(edges) == MOST_CHUNKS + 1
    assert np.diff(edges).min() >= 10_000_000 // MOST_CHUNKS


# --- a build, by workers that are this process ------------------------------------------------------------------


class Here:
    """Does what workers would, at once, and keeps what it was asked to do."""

    threads = 1

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failing: str | None = None  # what no worker can do

    def spread(self, work: Callable[[Step], None], items: Iterable[Step], _: object) -> Iterator[tuple[Step, object]]:
        for item in items:
            if item.step.name == self.failing:
                yield item, LogoscopeError("3 workers died of it")
                continue
            self.done.append(f"{item.plan.folder.name.partition('-')[0]} {item.step.name}")
            yield item, work(item)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    """Builds with `workers` use this in place of processes, and six chunks."""
    found = Here()

    @contextmanager
    def connected(workers: int | None, scheduler: str | None, threads: int | None) -> Iterator[Here | None]:
        yield found if workers else None

    monkeypatch.setattr(index.build.build, "perhaps_connected", connected)
    monkeypatch.setattr(tiles, "LEAST_CHUNK", 200)
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    points = cloud()
    points[300] = 0  # has no cosine
    path = tmp_path_factory.mktemp("source") / "gamma.npy"
    np.save(path, points)
    return path


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return uninterrupted(source, tmp_path_factory.mktemp("whole"))


def settings(source: Path, tmp_path: Path) -> Settings:
    return Settings(source=str(source), out=tmp_path / "bundle", threads=1)


def test_a_build_by_tiles_has_the_bytes_of_one_process(
    here: Here, source: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    build(settings(source, tmp_path), workers=1)
    assert contents(tmp_path / "bundle") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert len(here.done) == len(set(here.done))
    assert sum("tile" in name for name in here.done) > 3 * 10


@pytest.mark.parametrize("after", [0.05, 0.5, 0.85])
def test_what_was_done_is_not_done_again(
    after: float, here: Here, source: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    """A build that is stopped within a space keeps its tiles; the next one does the others, with other workers."""

    def progress(step: str, done: int, total: int) -> None:
        if step.endswith("cosine space") and "neighbors" in step and done > after * total:
            raise KeyboardInterrupt

    with pytest.raises(Stopped) as stopped:
        build(settings(source, tmp_path), progress, workers=1)
    assert (stopped.value.kept, stopped.value.tiles) == (("causal",), True)
    before = set(here.done)
    here.done.clear()
    built = build(settings(source, tmp_path), workers=3)
    assert [geometry.value for geometry in built.reused] == ["causal"]
    assert not before.intersection(here.done)
    assert contents(tmp_path / "bundle") == whole


def test_a_build_whose_workers_fail_keeps_what_they_did(
    here: Here, source: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    here.failing = "tile-2-0-2"
    with pytest.raises(UnfinishedError, match="tile-2-0-2 of the causal space failed: 3 workers died of it"):
        build(settings(source, tmp_path), workers=1)
    before = set(here.done)
    here.failing = None
    here.done.clear()
    build(settings(source, tmp_path), workers=1)
    assert before
    assert not before.intersection(here.done)
    assert contents(tmp_path / "bundle") == whole


def test_another_matrix_uses_no_tile_again(here: Here, source: Path, tmp_path: Path) -> None:
    here.failing = "tile-2-0-2"
    with pytest.raises(UnfinishedError):
        build(settings(source, tmp_path), workers=1)
    here.failing = None
    other = np.load(source)
    other[7, 3] += 1
    np.save(tmp_path / "other.npy", other)
    build(settings(tmp_path / "other.npy", tmp_path), workers=1)
    assert contents(tmp_path / "bundle") == uninterrupted(tmp_path / "other.npy", tmp_path / "alone")


# --- files -------------------------------------------------------------------------------------------------------


def laid_out(tmp_path: Path, points: np.ndarray) -> tiles.Plan:
    with ThreadPoolExecutor(1) as pool:
        return lay_out(tmp_path, "causal", {}, points, np.arange(len(points)), 10, pool)


def test_a_damaged_file_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "LEAST_CHUNK", 100)
    points = RANDOM.normal(size=(300, 8)).astype(np.float32)
    plan = laid_out(tmp_path, points)
    first, second = Tile(0, 0, 0), Tile(0, 1, 1)
    for step in (first, second):
        do(Step(plan, step, "cpu", 1))
    made = (plan.folder / first.name).read_bytes()
    (plan.folder / first.name).write_bytes(made[:-3] + b"abc")
    with pytest.raises(BundleError, match="tile-0-0-0 is damaged; the same command makes it again"):
        do(Step(plan, Merge(0, 0), "cpu", 1))
    assert laid_out(tmp_path, points) == plan
    assert not plan.has(first)
    assert plan.has(second)
    do(Step(plan, first, "cpu", 1))
    assert (plan.folder / first.name).read_bytes() == made
    (plan.folder / "chunk-1").write_bytes(b"short")
    laid_out(tmp_path, points)  # chunks are not checked one by one: all is laid out anew
    assert not plan.has(second)
    do(Step(plan, second, "cpu", 2))


def test_a_worker_that_sees_other_files_says_so(tmp_path: Path) -> None:
    plan = tiles.Plan(tmp_path / "causal-0.tiles", 10, (0, 100))
    with pytest.raises(BundleError, match="workers must see the same files under the same paths"):
        do(Step(plan, Tile(0, 0, 0), "cpu", 1))


def test_a_plan_of_other_points_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    points = RANDOM.normal(size=(50, 8)).astype(np.float32)
    before = laid_out(tmp_path, points)
    after = laid_out(tmp_path, points + 1)
    assert not before.folder.exists()
    with pytest.raises(BundleError):  # who still works for the plan before writes nowhere
        do(Step(before, Tile(0, 0, 0), "cpu", 1))
    assert [path.name for path in tmp_path.iterdir()] == [after.folder.name]
