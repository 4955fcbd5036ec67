"""Time and memory of the exact k-NN graph against faiss.knn, in one run.

    python benchmarks/graph.py --vocabulary gemma --space causal   a real one, of `model.py`: smollm2 or gemma
    python benchmarks/graph.py --vocabulary gemma --space all      its three spaces, both causal ones by one product,
                                                                and all over the causal one alone
    python benchmarks/graph.py --shape 151936 2560              the synthetic vocabulary, cosine space
    python benchmarks/graph.py --shape 151936 2560 --space causal
    python benchmarks/graph.py --points FILE.npy                points of your own
    python benchmarks/graph.py --growth                         V = 16k, 32k, 64k, 152k

Each contender runs alone in a process of its own, on the same threads; faiss.knn searches 8,192 of the points, and its
time is scaled. Beside the seconds of the clock stand those of the processor, which others on the machine change less.
`product int8` and `product bf16` are the bare products of every pair once, in tiles, and nothing else: the least that a
graph could take in these digits. `limits int8` is the graph that is given the limits it ends with before it begins,
which no search has: the most that better limits could bring; ask for it with --contenders. Memory is the peak of the
process beyond the points.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
FAISS_QUERIES = 8192
SPACES = ("causal", "cosine", "causal_cosine")
BOTH = "both int8"


def contend(name: str, file: str, k: int, threads: int) -> dict[str, float]:
    """Run one contender in this process."""
    if name == BOTH:
        return contend_for_both(file, k, threads)
    points = np.load(file)
    if name == "faiss":
        work, share = faiss_search(points, k, threads), min(1.0, FAISS_QUERIES / len(points))
    elif name.startswith("product"):
        work, share = bare_product(points.shape, name.split()[1], threads), 1.0
    elif name == "limits int8":
        work, share = limited_graph(points, k, threads), 1.0
    else:
        work, share = exact_graph(points, k, threads, name), 1.0
    return timed(work, share, points.nbytes)


def contend_for_both(file: str, k: int, threads: int) -> dict[str, float]:
    """Run the graphs of points and of their directions, from one product, in this process."""
    from index.search.graph import TILE_ROWS, knn_graphs

    with np.load(file) as stored:
        given = stored["points"], stored["directions"], stored["lengths"]
    some = slice(TILE_ROWS + 512)
    list(knn_graphs(*(each[some].copy() for each in given), k=k, threads=threads))  # compiles the loops

    def work() -> None:
        for _ in knn_graphs(*given, k=k, threads=threads):
            pass

    return timed(work, 1.0, given[0].nbytes + given[1].nbytes)


def timed(work: Callable[[], object], share: float, points_bytes: int) -> dict[str, float]:
    """Return the seconds of the clock and of the processor, by the share of the whole that is done, and the peak."""
    before, start = time.process_time(), time.perf_counter()
    work()
    seconds, processor = time.perf_counter() - start, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - points_bytes
    return {"seconds": seconds / share, "processor": processor / share, "peak": peak}


def faiss_search(points: np.ndarray, k: int, threads: int) -> Callable[[], object]:
    """Return a search for the neighbors of some points."""
    import faiss

    faiss.omp_set_num_threads(threads)
    return lambda: faiss.knn(points[:FAISS_QUERIES], points, k)


def exact_graph(points: np.ndarray, k: int, threads: int, name: str) -> Callable[[], object]:
    """Return the graph in one arithmetic, its loops compiled."""
    from index.search import graph

    knn_graph = partial(graph.knn_graph, k=k, threads=threads, arithmetic=arithmetic(name))
    knn_graph(points[: graph.TILE_ROWS + 512].copy())
    return lambda: knn_graph(points)


def limited_graph(points: np.ndarray, k: int, threads: int) -> Callable[[], object]:
    """Return the graph whose limits are the last ones from the beginning; they are found by a graph without them."""
    from index.search import pairs

    last: list[np.ndarray] = []

    class Watched(pairs.Sweep):
        def run(self) -> None:
            super().run()
            nearest, scale = self._searches[0].nearest, self._filter.scale
            each = zip(nearest.squared, nearest.filled, strict=True)
            squared = np.array([np.partition(found[:filled], k - 1)[k - 1] for found, filled in each])
            limits = (squared * scale**2 / 2 * (1 + 2.0**-22)).astype(np.float32)
            last[:] = [np.nextafter(limits, np.float32(np.inf))]

    class Limited(pairs.Sweep):
        def run(self) -> None:
            self._searches[0].nearest.limit[:] = last[0]
            super().run()

        def _limit_shortest(self, shortest: object) -> None:
            pass

        def _meet_likeliest(self, search: object, tile: object, chunk: object) -> np.ndarray:
            return pairs.NONE_SEEN

    build = exact_graph(points, k, threads, "int8")
    with mock.patch.object(pairs, "Sweep", Watched):
        wanted: Any = build()

    def work() -> None:
        with mock.patch.object(pairs, "Sweep", Limited):
            found: Any = build()
        assert np.array_equal(found.ids, wanted.ids)

    return work


def arithmetic(name: str) -> Any:
    """Return the number format of a contender."""
    from index.search import scores

    return {"int8": scores.INT8, "bf16": scores.BFLOAT16, "float32": scores.FLOAT32}[name]


def bare_product(shape: tuple[int, int], name: str, threads: int) -> Callable[[], object]:
    """Return the product of every pair of points once, in tiles as the graph's."""
    import torch

    from index.search.graph import TILE_ROWS
    from index.search.scores import make_product

    kind = arithmetic(name)
    rows = np.ones((16 * TILE_ROWS, shape[1]), kind.bits)  # what the numbers are makes no difference
    torch.set_num_threads(1)
    product = make_product(rows, rows, kind, "cpu")
    blocks = -(-shape[0] // TILE_ROWS)

    def multiply(n: int) -> None:
        a, b = n % 16 * TILE_ROWS, n // 16 % 16 * TILE_ROWS
        product(slice(a, a + TILE_ROWS), slice(b, b + TILE_ROWS))

    def work() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(multiply, range(blocks * (blocks + 1) // 2)))

    return work


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


def table(file: str, contenders: list[str], k: int, threads: int) -> dict[str, dict[str, float]]:
    """Print one row for each contender, and return what was measured."""
    V, D = np.load(file, mmap_mode="r").shape
    print(f"\nV = {V:,}, D = {D:,}, k = {k}, {threads} threads")
    print(f"{'':>14} {'seconds':>10} {'processor':>10} {'of faiss':>10} {'of it':>8} {'GB beyond points':>18}")
    base, results = None, {}
    for name in contenders:
        result = results[name] = measure(name, file, k, threads)
        base = base or result
        of_faiss, of_processor = (f"1/{base[one] / result[one]:.2f}" for one in ("seconds", "processor"))
        memory = f"{result['peak'] / 1e9:.2f}" if name in ("int8", "bf16", "float32", "limits int8") else ""
        times = f"{result['seconds']:>10.2f} {result['processor']:>10.2f}"
        print(f"{name:>14} {times} {of_faiss:>10} {of_processor:>8} {memory:>18}", flush=True)
    return results


def print_over_first(results: list[dict[str, dict[str, float]]], both: dict[str, float] | None) -> None:
    """Print what the graphs of several spaces take over that of the first alone: each by itself, and as in a build."""
    for name in [name for name in results[0] if name in ("int8", "bf16", "float32")]:
        apart = [each[name] for each in results]
        kinds = {"each of its own product": apart}
        if both is not None and name == "int8":
            kinds["the first and the last of one product"] = [both, *apart[1:-1]]
        for kind, graphs in kinds.items():
            seconds, processor = (sum(each[one] for each in graphs) / apart[0][one] for one in ("seconds", "processor"))
            print(f"{name}, all {len(results)} spaces over the first, {kind}: {seconds:.2f}, processor {processor:.2f}")


def measure_both(vocabulary: str, folder: str, k: int, threads: int) -> dict[str, float]:
    """Print and return what both causal graphs of a real vocabulary take, from one product."""
    result = measure(BOTH, in_a_process("real_pair", vocabulary, f"{folder}/both-{vocabulary}.npz"), k, threads)
    memory = f"{result['peak'] / 1e9:.2f} GB beyond the points of both"
    print(f"\n{BOTH}: seconds {result['seconds']:.2f}, processor {result['processor']:.2f}, {memory}", flush=True)
    return result


def synthetic_points(V: int, D: int, space: str, folder: str) -> str:
    """Write the points of a synthetic vocabulary to a file; in a process that then gives its memory back."""
    file = f"{folder}/{space}-{V}-{D}.npy"
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import numpy, synthetic; "
        f"numpy.save({file!r}, synthetic.{space}_points(synthetic.vocabulary({V}, {D})))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    return file


def real_points(name: str, space: str, folder: str) -> str:
    """Write the points of a real vocabulary to a file."""
    return in_a_process("real_points", name, f"{folder}/{space}-{name}.npy", space)


def in_a_process(function: str, name: str, file: str, *more: str) -> str:
    """Write what a function of `model` makes of a real vocabulary; in a process that then gives its memory back."""
    save = "savez(file, **made)" if file.endswith("z") else "save(file, made)"
    code = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parent.parent)!r}]; "
        f"import numpy, model; made = model.{function}{(name, *more)!r}; file = {file!r}; numpy.{save}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    return file


def main() -> None:
    """Read the options and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(48_000, 2_560), metavar=("V", "D"))
    parser.add_argument("--space", choices=(*SPACES, "all"), default="cosine")
    parser.add_argument("--vocabulary", choices=("smollm2", "gemma"), help="a real one instead")
    parser.add_argument("--points", help="a .npy file of float32 points")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--contenders", nargs="+", default=["faiss", "product int8", "product bf16", "int8", "bf16"])
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(contend(options.contender, options.points, options.k, options.threads)))
        return
    if options.space in ("causal_cosine", "all") and not options.vocabulary:
        parser.error("wanted --vocabulary: synthetic points are of the causal and the cosine space alone")
    with tempfile.TemporaryDirectory() as folder:
        sizes = (16_000, 32_000, 64_000, 151_936) if options.growth else (options.shape[0],)
        spaces = SPACES if options.space == "all" else (options.space,)
        for V in sizes:
            results = []
            for space in spaces:
                file = options.points
                if options.vocabulary:
                    file = real_points(options.vocabulary, space, folder)
                file = file or synthetic_points(V, options.shape[1], space, folder)
                contenders = ["int8"] if options.growth else options.contenders
                results.append(table(file, contenders, options.k, options.threads))
            if len(spaces) > 1:
                both = None
                if "int8" in options.contenders:
                    both = measure_both(options.vocabulary, folder, options.k, options.threads)
                print_over_first(results, both)


if __name__ == "__main__":
    main()
