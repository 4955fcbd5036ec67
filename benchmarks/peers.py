"""The exact graph against faiss.knn, scikit-learn's brute force and PyNNDescent (with its recall), in one run.

    python benchmarks/peers.py --shape 32000 640 --space causal
    python benchmarks/peers.py --points FILE.npy --peers PyNNDescent

Every contender is run once on a few points first, so that nothing is compiled while the clock runs. PyNNDescent has its
default settings. Recall is up to ties: a neighbor counts if it is no farther than the exact k-th.
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
RECALL_ROWS = 500
WARM_ROWS = 512

Contender = Callable[[np.ndarray, int, int], np.ndarray]  # points (V, D), k, threads -> ids (V, k + 1), self among them


def faiss_knn(points: np.ndarray, k: int, threads: int) -> np.ndarray:
    """Search with faiss.knn."""
    import faiss

    faiss.omp_set_num_threads(threads)
    return np.asarray(faiss.knn(points, points, k + 1)[1])


def brute_force(points: np.ndarray, k: int, threads: int) -> np.ndarray:
    """Search with scikit-learn."""
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        found = NearestNeighbors(n_neighbors=k + 1, algorithm="brute", n_jobs=threads).fit(points)
        return np.asarray(found.kneighbors(points, return_distance=False))


def descent(points: np.ndarray, k: int, threads: int) -> np.ndarray:
    """Search with PyNNDescent."""
    from pynndescent import NNDescent

    return np.asarray(NNDescent(points, n_neighbors=k + 1, n_jobs=threads, random_state=0).neighbor_graph[0])


PEERS: dict[str, Contender] = {"faiss.knn": faiss_knn, "scikit-learn": brute_force, "PyNNDescent": descent}


def timed(search: Callable[[np.ndarray], Any], points: np.ndarray) -> tuple[float, Any]:
    """Return seconds and what was found."""
    search(points[:WARM_ROWS].copy())
    start = time.perf_counter()
    found = search(points)
    return time.perf_counter() - start, found


def recall(points: np.ndarray, ids: np.ndarray, farthest: np.ndarray, k: int) -> float:
    """Return the share of the k nearest that was found, over some rows; `farthest` (V,) is the exact k-th distance."""
    hits = 0
    rows = np.random.default_rng(0).choice(len(points), min(RECALL_ROWS, len(points)), replace=False)
    for row in rows:
        others = ids[row][ids[row] != row][:k]
        distances = np.linalg.norm(points[others].astype(np.float64) - points[row], axis=1)
        hits += int((distances <= farthest[row] * (1 + 1e-6)).sum())
    return hits / (len(rows) * k)


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(16_000, 640), metavar=("V", "D"))
    parser.add_argument("--space", choices=("cosine", "causal"), default="cosine")
    parser.add_argument("--points", help="a .npy file of float32 points")
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=tuple(PEERS))
    parser.add_argument("--k", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    import synthetic

    from index.search.graph import knn_graph

    if options.points:
        points = np.load(options.points)
    else:
        points = getattr(synthetic, f"{options.space}_points")(synthetic.vocabulary(*options.shape))
    k, threads = options.k, options.threads
    print(f"\nV = {len(points):,}, D = {points.shape[1]:,}, k = {k}, {threads} threads")
    print(f"{'':>14} {'seconds':>9} {'of knn_graph':>13} {'recall':>8}")
    base, graph = timed(partial(knn_graph, k=k, threads=threads), points)
    farthest = graph.distances[:, -1]
    print(f"{'knn_graph':>14} {base:>9.2f} {1:>13.2f} {recall(points, graph.ids, farthest, k):>8.4f}", flush=True)
    for name in options.peers:
        try:
            seconds, ids = timed(partial(PEERS[name], k=k, threads=threads), points)
        except ImportError as error:
            print(f"{name:>14}   {error}")
            continue
        share = recall(points, ids, farthest, k)
        print(f"{name:>14} {seconds:>9.2f} {seconds / base:>13.2f} {share:>8.4f}", flush=True)


if __name__ == "__main__":
    main()
