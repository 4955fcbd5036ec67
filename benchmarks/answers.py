"""Seconds and memory of each command in a process of its own, and microseconds of a stored token in a running one.

python benchmarks/answers.py BUNDLE
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

REPEATS = 5
COMMANDS = (
    ("info",),
    ("neighbors", "{token}"),
    ("neighbors", "{token}", "--geometry", "cosine,causal-cosine"),
    ("neighbors", "{token}", "--among", "kind=word"),
    ("densest",),
    ("within", "{token}", "--similarity", "0.4"),
    ("analogy", "{token} - {other} + {token}"),
    ("distance", "{token}", "{other}"),
    ("rank", "{token}", "{other}"),
    ("overlap",),
    ("duplicates",),
    ("extremes", "hubness"),
    ("metric",),
    ("find", "planet"),
)


def cold(arguments: list[str]) -> tuple[float, float]:
    """Return the median seconds and peak megabytes of a command, its output thrown away."""
    seconds, megabytes = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, "query.py", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds.append(time.perf_counter() - start)
        if status:
            raise SystemExit(f"{arguments} failed")
        megabytes.append(usage.ru_maxrss / 1e3)
    return statistics.median(seconds), max(megabytes)


def warm(work: Callable[[int], object], rows: list[int]) -> tuple[float, float]:
    """Return the median and the largest microseconds of some work on each row, the second time it is done."""
    for row in rows:
        work(row)
    times = []
    for row in rows:
        start = time.perf_counter()
        work(row)
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times), max(times)


def main() -> None:
    """Read the options and print both tables."""
    import numpy as np

    import index
    from index.questions.lists import ranked

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--token", default="#1000")
    parser.add_argument("--other", default="#2000")
    options = parser.parse_args()
    print(f"{'command, cold':<56} {'s':>6} {'MB':>6}")
    for command in COMMANDS:
        arguments = [part.format(token=options.token, other=options.other) for part in command]
        seconds, megabytes = cold([*arguments, "--index", str(options.bundle)])
        print(f"{' '.join(arguments):<56} {seconds:>6.2f} {megabytes:>6.0f}")
    vocabulary = index.open(options.bundle)
    ids = vocabulary.vocabulary.token_ids
    rows = np.random.default_rng(0).integers(len(vocabulary), size=500).tolist()
    print(f"\n{'a stored token, both geometries, warm':<56} {'median':>9} {'largest':>9}  microseconds")
    for name, work in (
        ("30 ids and distances, with every tie at the last place", lambda row: _lists(ranked, vocabulary, row)),
        ("neighbors: all records, overlap, verdict", lambda row: vocabulary.neighbors(f"#{ids[row]}")),
    ):
        print("{:<56} {:>9.0f} {:>9.0f}".format(name, *warm(work, rows)))
    print(f"\n{'what reads all points, warm':<56} {'each':>9} {'finder':>9}  microseconds; ratio")
    each = index.open(options.bundle)
    for space, read in zip(vocabulary.spaces.values(), each.spaces.values(), strict=True):
        read.finder_if_worth = lambda: None  # type: ignore[method-assign]
        _ = space.finder
    for name, long in (
        ("neighbors, top=300", lambda asked, row: asked.neighbors(f"#{ids[row]}", top=300)),
        ("rank", lambda asked, row: asked.rank(f"#{ids[row]}", f"#{ids[row - 1]}")),
    ):
        before, after = (warm(partial(long, asked), rows[:20])[0] for asked in (each, vocabulary))
        print(f"{name:<56} {before:>9.0f} {after:>9.0f}  {before / after:.1f}")
    lines = "".join(f"#{id}\n" for id in np.resize(ids[rows], 2000)).encode()
    for form in ([], ["--csv"]):
        command = [sys.executable, "query.py", "neighbors", "-", *form, "--index", str(options.bundle.absolute())]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, input=lines, stdout=subprocess.DEVNULL, check=True)
        print(f"2,000 tokens, {'CSV' if form else 'tables':<44} {time.perf_counter() - start:>9.2f}  s")


def _lists(ranked: Callable[..., object], vocabulary: object, row: int) -> list[object]:
    return [ranked(space, row, 30) for space in (vocabulary.causal, vocabulary.cosine)]  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
