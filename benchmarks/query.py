"""One arbitrary vector, its exact 30 nearest of all points: Finder and search against IndexFlatL2.search, in one run.

python benchmarks/query.py --shape 151936 2560
python benchmarks/query.py --points FILE.npy
python benchmarks/query.py --bundle FOLDER   in three geometries, warm, against three flat indexes of their points
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
K = 30
REPEATS = 15
WARM = 12
"""Vectors that are asked for before the clock runs: from some on, a process has its loops compiled."""


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(48_000, 2_560), metavar=("V", "D"))
    parser.add_argument("--points", help="a .npy file of float32 points")
    parser.add_argument("--bundle", type=Path, help="a built one: one vector of gamma's space in its three geometries")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.bundle:
        of_bundle(options.bundle, options.threads)
        return
    from index.search.finder import Finder, search

    if options.points:
        points = np.load(options.points)
    else:
        import synthetic

        points = synthetic.cosine_points(synthetic.vocabulary(*options.shape))
    import faiss

    faiss.omp_set_num_threads(options.threads)
    flat = faiss.IndexFlatL2(points.shape[1])
    flat.add(points)
    finder = Finder(points, threads=options.threads)
    random = np.random.default_rng(0)
    # Between two tokens: no point, but not far from some.
    pairs = random.integers(0, len(points), (REPEATS, 2))
    queries = (points[pairs[:, 0]] * 0.6 + points[pairs[:, 1]] * 0.4).astype(np.float32)
    contenders = {
        "IndexFlatL2.search": lambda query: flat.search(query[None], K)[1][0],
        "search": lambda query: search(points, query, k=K)[0],
        "Finder.search": lambda query: finder.search(query[None], k=K)[0][0],
    }
    print(f"\nV = {len(points):,}, D = {points.shape[1]:,}, k = {K}, {options.threads} threads, median of {REPEATS}")
    base = None
    for name, contender in contenders.items():
        contender(queries[0])
        times, same = [], 0
        for query in queries:
            start = time.perf_counter()
            ids = contender(query)
            times.append(time.perf_counter() - start)
            same += int(np.array_equal(ids, search(points, query, k=K)[0]))
        base = base or float(np.median(times))
        share = base / float(np.median(times))
        print(f"{name:>20} {np.median(times) * 1e3:>10.1f} ms   1/{share:.2f}   same ids as search: {same}/{REPEATS}")


def flat_search(flat: Any, query: np.ndarray) -> list[np.ndarray]:
    """Return the ids that a flat index answers with."""
    return [flat.search(query, K)[1][0]]


def find_in(spaces: list[Any], vector: np.ndarray) -> list[np.ndarray]:
    """Return the ids that the finder of each space answers with; mapping the vector is part of the question."""
    return [space.finder.search(space.map(vector)[None].astype(np.float32), k=K)[0][0] for space in spaces]


def of_bundle(folder: Path, threads: int) -> None:
    """Print the seconds, and those of the processor, of one vector in three geometries."""
    import faiss

    import index

    faiss.omp_set_num_threads(threads)
    vocabulary = index.open(folder)
    V, D = len(vocabulary), vocabulary.manifest.D
    random = np.random.default_rng(0)
    pairs = random.integers(0, V, (WARM + REPEATS, 2))
    vectors = [np.array([0.6, 0.4]) @ vocabulary.gamma[pair].astype(np.float64) for pair in pairs.tolist()]
    took: dict[str, list[tuple[float, float]]] = {"three flat searches": [], "three finders": []}
    differing = 0

    def timed(name: str, work: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
        start, before = time.perf_counter(), time.process_time()
        found = work()
        took[name].append((time.perf_counter() - start, time.process_time() - before))
        return found

    spaces = list(vocabulary.spaces.values())
    flat: list[list[np.ndarray]] = [[] for _ in vectors]
    for space in spaces:  # one after the other: three such indexes are three times the points
        of_space = faiss.IndexFlatIP(D) if space.geometry.angular else faiss.IndexFlatL2(D)
        of_space.add(np.ascontiguousarray(space.points[:]))
        queries = [space.map(vector)[None].astype(np.float32) for vector in vectors]
        of_space.search(queries[0], K)
        for found, query in zip(flat, queries, strict=True):
            found += timed("three flat searches", partial(flat_search, of_space, query))
    for vector, known in zip(vectors, flat, strict=True):
        found = timed("three finders", partial(find_in, spaces, vector))
        differing += sum(set(a.tolist()) != set(b.tolist()) for a, b in zip(found, known, strict=True))
    print(f"\nV = {V:,}, D = {D:,}, k = {K}, {threads} threads, three geometries, median of {REPEATS}")
    flat_took = np.array(took["three flat searches"]).reshape(3, WARM + REPEATS, 2).sum(axis=0)[WARM:]
    finders_took = np.array(took["three finders"])[WARM:]
    for name, seconds in (("three flat searches", flat_took), ("three finders", finders_took)):
        wall, processor = np.median(seconds, axis=0)
        ratio = np.median(flat_took, axis=0) / (wall, processor)
        print(
            f"{name:>20} {wall * 1e3:9.1f} ms, {processor * 1e3:9.1f} ms of CPU   1/{ratio[0]:.2f} (1/{ratio[1]:.2f})"
        )
    print(f"lists that differ, by ties or float32: {differing} of {3 * (WARM + REPEATS)}")


if __name__ == "__main__":
    main()
