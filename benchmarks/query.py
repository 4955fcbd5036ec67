"""One arbitrary vector, its exact 30 nearest of all points: Finder and search against IndexFlatL2.search, in one run.

python benchmarks/query.py --shape 151936 2560
python benchmarks/query.py --points FILE.npy
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
K = 30
REPEATS = 15


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(48_000, 2_560), metavar=("V", "D"))
    parser.add_argument("--points", help="a .npy file of float32 points")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
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


if __name__ == "__main__":
    main()
