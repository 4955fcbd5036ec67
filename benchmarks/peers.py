"""The exact graph against scikit-learn's brute force and PyNNDescent (with its recall), in one run.

python benchmarks/peers.py --points FILE.npy
python benchmarks/peers.py --shape 16000 640 --space causal
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Return seconds and ids."""
    start = time.perf_counter()
    ids = work()
    return time.perf_counter() - start, ids


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(16_000, 640), metavar=("V", "D"))
    parser.add_argument("--space", choices=("cosine", "causal"), default="cosine")
    parser.add_argument("--points", help="a .npy file of float32 points")
    parser.add_argument("--k", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    import faiss
    import synthetic
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    from index.neighbors import knn_graph

    if options.points:
        points = np.load(options.points)
    else:
        points = getattr(synthetic, f"{options.space}_points")(synthetic.vocabulary(*options.shape))
    k, threads = options.k, options.threads
    faiss.omp_set_num_threads(threads)

    def brute() -> np.ndarray:
        with threadpool_limits(threads):
            found = NearestNeighbors(n_neighbors=k + 1, algorithm="brute", n_jobs=threads).fit(points)
            return np.asarray(found.kneighbors(points, return_distance=False))

    def descent() -> np.ndarray:
        from pynndescent import NNDescent

        return np.asarray(NNDescent(points, n_neighbors=k + 1, n_jobs=threads, random_state=0).neighbor_graph[0])

    contenders = {
        "faiss.knn": lambda: faiss.knn(points, points, k + 1)[1],
        "knn_graph": lambda: knn_graph(points, k=k, threads=threads).ids,
        "scikit-learn brute": brute,
        "PyNNDescent": descent,
    }
    knn_graph(points[:512].copy(), k=min(k, 64), threads=threads)  # loads the compiled kernels
    V = len(points)
    exact = knn_graph(points, k=k, threads=threads)
    print(f"\nV = {V:,}, D = {points.shape[1]:,}, k = {k}, {threads} threads")
    base = None
    for name, contender in contenders.items():
        try:
            seconds, ids = timed(contender)
        except ImportError as error:
            print(f"{name:>20}   {error}")
            continue
        base = base or seconds
        # Recall up to ties: found points no farther than the exact k-th, self left out.
        hits = 0
        rows = np.random.default_rng(0).choice(V, 500, replace=False)
        for row in rows:
            others = ids[row][ids[row] != row][:k]
            distances = np.linalg.norm(points[others].astype(np.float64) - points[row], axis=1)
            hits += int((distances <= exact.distances[row, -1] * (1 + 1e-6)).sum())
        print(
            f"{name:>20} {seconds:>9.2f} s   {seconds / base:>6.2f} of faiss.knn   recall {hits / (500 * k):.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
