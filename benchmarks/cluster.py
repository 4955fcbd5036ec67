"""A graph by workers: two of one thread against one process of two threads, and against one that is killed.

python benchmarks/cluster.py [--bundle data/indexes/smollm2-135m] [--k 100] [--only graph|tiles]

Wall time and the seconds of all processors, those of workers with their imports. `tiles` are two chunks of the
synthetic vocabulary on one thread: each with itself (stage 0), and the one with the other (stage 1), knowing what stage
0 has found. docs/scale.md counts with these.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from index.build import tiles
from index.build.cluster import connected
from index.build.graph import find_together
from index.build.tiles import Merge, Plan, Step, Tile, do, lay_out
from index.search.graph import KnnGraph, knn_graph, one_torch_thread_each

SHAPES = ((8_441, 2_560), (16_384, 768), (32_768, 768))  # points of a chunk, width


def cpu_seconds() -> float:
    """Return what this process and the children that have ended took of all processors."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measured(work: Callable[[], object]) -> tuple[object, float, float]:
    """Return what work does, and its wall and processor seconds."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    found = work()
    return found, time.perf_counter() - wall, cpu_seconds() - cpu


def by_workers(points: np.ndarray, k: int, *, kill: bool) -> tuple[KnnGraph, float]:
    """Return the graph by two workers of one thread, and its seconds once these are there; one may be killed midway."""
    killed: list[int] = []

    def progress(share: float) -> None:
        if kill and share > 0.45 and not killed:
            workers = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
            killed.append(workers[0].pid)
            os.kill(workers[0].pid, signal.SIGKILL)

    with tempfile.TemporaryDirectory() as folder, connected(2, None, 1, "--workers") as cluster:
        cluster.client.wait_for_workers(2)
        began = time.perf_counter()
        find = find_together(cluster, Path(folder), "causal", {}, "cpu", lambda step, done, total: None)
        graph = knn_graph(points, k=k, threads=2, progress=progress, find=find)
        seconds = time.perf_counter() - began
    assert bool(killed) == kill
    return graph, seconds


def start_alone() -> None:
    """Start two workers that import what a tile needs, and end them."""
    with connected(2, None, 1, "--workers") as cluster:
        cluster.client.wait_for_workers(2)
        cluster.client.run(imported)


def imported() -> bool:
    """Whether a worker has imported what a tile needs."""
    from index.build.tiles import do as work

    return callable(work)


def compare(points: np.ndarray, k: int) -> None:
    """Print the graph's times."""
    V, D = points.shape
    print(f"{V:,} x {D:,}, k = {k}, {len(tiles.chunk_edges(V)) - 1} chunks")
    alone, wall, cpu = measured(lambda: knn_graph(points, k=k, threads=2))
    print(f"one process of two threads      {wall:7.1f} s  {cpu:7.1f} s of the processors")
    idle = measured(start_alone)[2]
    print(f"two workers that start and end          {idle:7.1f} s of the processors")
    for said, kill in (("two workers of one thread", False), ("the same, one killed midway", True)):
        (graph, found), _, seconds = measured(lambda kill=kill: by_workers(points, k, kill=kill))  # type: ignore[misc]
        same = all(np.array_equal(getattr(graph, name), getattr(alone, name)) for name in ("ids", "distances"))
        print(f"{said:<32}{found:7.1f} s  {seconds:7.1f} s of the processors, {found / wall:.2f} x, "
              f"{'the same bytes' if same else 'OTHER BYTES'}")  # fmt: skip


def time_tiles(n: int, D: int, k: int) -> None:
    """Print the processor seconds and the bytes of tiles of chunks of n points (2 n, D)."""
    from synthetic import causal_points, vocabulary

    points = causal_points(vocabulary(2 * n, D))
    rows = np.unique(points, axis=0, return_index=True)[1]
    rows = np.sort(rows)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool, one_torch_thread_each():
        tiles.LEAST_CHUNK, before = len(rows) // 2, tiles.LEAST_CHUNK
        plan, _, laid = measured(lambda: lay_out(Path(folder), "causal", {}, points, rows, k, pool))
        tiles.LEAST_CHUNK = before
        assert isinstance(plan, Plan)
        do(Step(plan, Tile(0, 0, 0), "cpu", 1))  # kernels are compiled, and the arithmetic is chosen
        (plan.folder / Tile(0, 0, 0).name).unlink()
        steps = [Tile(0, 0, 0), Tile(0, 1, 1), Merge(0, 0), Merge(0, 1), Tile(1, 0, 1), Merge(1, 0), Merge(1, 1)]
        seconds = {step: measured(lambda step=step: do(Step(plan, step, "cpu", 1)))[2] for step in steps}  # type: ignore[misc]
        written = {step: (plan.folder / step.name).stat().st_size for step in steps}
        chunk = (plan.folder / "chunk-0").stat().st_size
        print(f"{len(rows) // 2:,} x {D:,}: laid out {laid:.1f} s, a chunk {chunk / 1e6:,.0f} MB")
        for step in steps:
            print(f"    {step.name:<14}{seconds[step]:7.2f} s of one processor, {written[step] / 1e6:,.1f} MB")
        shutil.rmtree(plan.folder)
    whole = measured(lambda: knn_graph(points, k=k, threads=1))[2]
    print(f"    all of these {sum(seconds.values()):.2f} s; one sweep over both chunks, with its ranking {whole:.2f} s")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("data/indexes/smollm2-135m"))
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--only", choices=("graph", "tiles"))
    given = parser.parse_args()
    if given.only != "tiles":
        import index

        compare(index.open(given.bundle).causal.points.whole, given.k)
    if given.only != "graph":
        for shape in SHAPES:
            time_tiles(*shape, given.k)


if __name__ == "__main__":
    main()
