"""Time and memory of the exact k-NN graph against faiss.knn, in one run.

    python benchmarks/graph.py --shape 151936 2560              the synthetic vocabulary, cosine space
    python benchmarks/graph.py --shape 151936 2560 --space causal
    python benchmarks/graph.py --points FILE.npy                points of your own
    python benchmarks/graph.py --growth                         V = 16k, 32k, 64k, 152k

Each contender runs alone in a process of its own, on the same threads; faiss.knn searches 8,192 of the points, and its
time is scaled. Memory is the peak of the process beyond the points.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
FAISS_QUERIES = 8192


def contend(name: str, file: str, k: int, threads: int) -> dict[str, float]:
    """Run one contender in this process."""
    points = np.load(file)
    if name == "faiss":
        import faiss

        faiss.omp_set_num_threads(threads)
        queries = points[:FAISS_QUERIES]
        start = time.perf_counter()
        faiss.knn(queries, points, k)
        seconds = (time.perf_counter() - start) * len(points) / len(queries)
    else:
        from index.search import scores
        from index.search.graph import knn_graph

        arithmetic = {"bfloat16": scores.BFLOAT16, "float32": scores.FLOAT32}[name]
        knn_graph(points[:512].copy(), k=min(k, 64), threads=threads, arithmetic=arithmetic)
        start = time.perf_counter()
        knn_graph(points, k=k, threads=threads, arithmetic=arithmetic)
        seconds = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"seconds": seconds, "processor_seconds": usage.ru_utime, "peak": usage.ru_maxrss * 1024 - points.nbytes}


def measure(name: str, file: str, k: int, threads: int) -> dict[str, float]:
    """Run one contender in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [
        sys.executable,
        __file__,
        "--contender",
        name,
        "--points",
        file,
        "--k",
        str(k),
        "--threads",
        str(threads),
    ]
    answer: dict[str, float] = json.loads(
        subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    )
    return answer


def table(file: str, contenders: list[str], k: int, threads: int) -> None:
    """Print one row for each contender."""
    V, D = np.load(file, mmap_mode="r").shape
    print(f"\nV = {V:,}, D = {D:,}, k = {k}, {threads} threads")
    print(f"{'':>12} {'seconds':>10} {'of faiss':>10} {'TFLOP/s of V x V':>18} {'GB beyond points':>18}")
    base = None
    for name in contenders:
        result = measure(name, file, k, threads)
        base = base or result["seconds"]
        rate = 2 * V * V * D / result["seconds"] / 1e12
        memory = "" if name == "faiss" else f"{result['peak'] / 1e9:.2f}"
        share = f"1/{base / result['seconds']:.2f}" if contenders[0] == "faiss" else ""
        print(f"{name:>12} {result['seconds']:>10.2f} {share:>10} {rate:>18.3f} {memory:>18}", flush=True)


def synthetic_points(V: int, D: int, space: str, folder: str) -> str:
    """Write the points of a synthetic vocabulary to a file; in a process that then gives its memory back."""
    file = f"{folder}/{space}-{V}-{D}.npy"
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import numpy, synthetic; "
        f"numpy.save({file!r}, synthetic.{space}_points(synthetic.vocabulary({V}, {D})))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    return file


def main() -> None:
    """Read the options and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(48_000, 2_560), metavar=("V", "D"))
    parser.add_argument("--space", choices=("cosine", "causal"), default="cosine")
    parser.add_argument("--points", help="a .npy file of float32 points")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--contenders", nargs="+", default=["faiss", "bfloat16", "float32"])
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(contend(options.contender, options.points, options.k, options.threads)))
        return
    with tempfile.TemporaryDirectory() as folder:
        sizes = (16_000, 32_000, 64_000, 151_936) if options.growth else (options.shape[0],)
        for V in sizes:
            file = options.points or synthetic_points(V, options.shape[1], options.space, folder)
            contenders = ["bfloat16"] if options.growth else options.contenders
            table(file, contenders, options.k, options.threads)


if __name__ == "__main__":
    main()
