"""Time of `search` for many vectors, exact, against faiss.knn on the same, in one run.

    python benchmarks/search.py --vocabulary smollm2 --space causal     a real one, of `model.py`: smollm2 or gemma
    python benchmarks/search.py --shape 151936 2560                     the synthetic vocabulary, cosine space

Vectors are halfway between two points, or random directions as long as the median point. Each contender runs alone in a
process of its own, on the same threads; faiss.knn searches 2,048 of the vectors, and its time is scaled. Beside the
seconds of the clock stand those of the processor, which others on the machine change less. Points are rounded anew for
each search, which is part of its time; loops are compiled before.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
FAISS_QUERIES = 2048
TOP = 10
KINDS = ("halfway", "random")


def vectors(points: np.ndarray, count: int, kind: str) -> np.ndarray:
    """Return some vectors of the points' space, (count, D) float32."""
    random = np.random.default_rng(0)
    if kind == "halfway":
        a, b = random.integers(0, len(points), (2, count))
        return np.asarray((points[a] + points[b]) / 2)
    found = random.normal(size=(count, points.shape[1]))
    length = np.median(np.linalg.norm(points[:4096], axis=1))
    return (found * (length / np.linalg.norm(found, axis=1, keepdims=True))).astype(np.float32)


def contend(name: str, file: str, kind: str, count: int, threads: int) -> dict[str, float]:
    """Run one contender in this process."""
    points = np.load(file)
    asked = vectors(points, count, kind)
    share = 1.0
    if name == "faiss":
        import faiss

        faiss.omp_set_num_threads(threads)
        asked = asked[:FAISS_QUERIES]
        share = len(asked) / count
        before, start = time.process_time(), time.perf_counter()
        faiss.knn(asked, points, TOP)
    else:
        from index.search.batch import _SPARE
        from index.search.queries import nearest_points

        nearest_points(points[:2048].copy(), np.arange(2048), asked[:64], TOP, threads=threads)
        before, start = time.process_time(), time.perf_counter()
        nearest_points(points, np.arange(len(points)), asked, TOP + 1 + _SPARE, threads=threads)
    seconds, processor = time.perf_counter() - start, time.process_time() - before
    return {"seconds": seconds / share, "processor": processor / share}


def measure(name: str, file: str, kind: str, count: int, threads: int) -> dict[str, float]:
    """Run one contender in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    options = {"--contender": name, "--points": file, "--kind": kind, "--vectors": count, "--threads": threads}
    command = [sys.executable, __file__, *(str(part) for pair in options.items() for part in pair)]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(48_000, 2_560), metavar=("V", "D"))
    parser.add_argument("--space", choices=("cosine", "causal", "causal_cosine"), default="cosine")
    parser.add_argument("--vocabulary", choices=("smollm2", "gemma"), help="a real one instead")
    parser.add_argument("--points", help="a .npy file of float32 points")
    parser.add_argument("--vectors", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        given = (options.contender, options.points, options.kind, options.vectors, options.threads)
        print(json.dumps(contend(*given)))
        return
    from graph import real_points, synthetic_points

    with tempfile.TemporaryDirectory() as folder:
        file = options.points
        if options.vocabulary:
            file = real_points(options.vocabulary, options.space, folder)
        file = file or synthetic_points(*options.shape, options.space, folder)
        V, D = np.load(file, mmap_mode="r").shape
        print(f"\nV = {V:,}, D = {D:,}, {options.vectors:,} vectors, top {TOP}, {options.threads} threads")
        print(f"{'':>20} {'seconds':>10} {'processor':>10} {'of faiss':>10} {'of it':>8}")
        for kind in KINDS:
            base = None
            for name in ("faiss", "search"):
                found = measure(name, file, kind, options.vectors, options.threads)
                base = base or found
                of = (f"1/{base[each] / found[each]:.2f}" for each in ("seconds", "processor"))
                times = f"{found['seconds']:>10.2f} {found['processor']:>10.2f}"
                print(f"{name + ', ' + kind:>20} {times} {next(of):>10} {next(of):>8}", flush=True)


if __name__ == "__main__":
    main()
