"""Seconds and memory of each command in a process of its own, and microseconds of a stored token in a running one.

python benchmarks/answers.py BUNDLE
python benchmarks/answers.py BUNDLE --only long --tree CHECKOUT    of another version, by its own code
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
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


def warm(work: Callable[[int], object], rows: list[int]) -> tuple[float, float, float]:
    """Return median and largest microseconds of some work on each row, done before, and the median of the processor."""
    for row in rows[: len(rows) // 2]:
        work(row)
    times, processor = [], []
    for row in rows:
        start, before = time.perf_counter(), time.process_time()
        work(row)
        times.append((time.perf_counter() - start) * 1e6)
        processor.append((time.process_time() - before) * 1e6)
    return statistics.median(times), max(times), statistics.median(processor)


def timed(tree: Path, arguments: list[str], lines: bytes = b"") -> tuple[float, float]:
    """Return the seconds of wall and of the processor of a command of a checkout, its output thrown away."""
    command = [sys.executable, "query.py", *arguments]
    with tempfile.TemporaryFile() as typed:
        typed.write(lines)
        typed.seek(0)
        start = time.perf_counter()
        child = subprocess.Popen(command, cwd=tree, stdin=typed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{arguments} failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def print_cold(bundle: Path, token: str, other: str) -> None:
    """Print seconds and memory of each command."""
    print(f"{'command, cold':<56} {'s':>6} {'MB':>6}")
    for command in COMMANDS:
        arguments = [part.format(token=token, other=other) for part in command]
        seconds, megabytes = cold([*arguments, "--index", str(bundle)])
        print(f"{' '.join(arguments):<56} {seconds:>6.2f} {megabytes:>6.0f}")


def print_warm(vocabulary: Any, ids: Any, rows: list[int]) -> None:
    """Print microseconds of what is stored."""
    from index.questions.lists.lists import ranked

    print(
        f"\n{'a stored token, both geometries, warm':<56} {'median':>9} {'largest':>9} {'processor':>9}  microseconds"
    )
    for name, work in (
        ("30 ids and distances, with every tie at the last place", lambda row: _lists(ranked, vocabulary, row)),
        ("neighbors: all records, overlap, verdict", lambda row: vocabulary.neighbors(f"#{ids[row]}")),
    ):
        print("{:<56} {:>9.0f} {:>9.0f} {:>9.0f}".format(name, *warm(work, rows)), flush=True)


def print_searched(vocabulary: Any, ids: Any, rows: list[int]) -> None:
    """Print milliseconds of what searches the points, after a question of each kind: the first ones read them."""
    finder = vocabulary.causal.finder
    points = getattr(vocabulary.causal.points, "whole", vocabulary.causal.points)
    print(f"\n{'what searches, warm':<56} {'median':>9} {'largest':>9} {'processor':>9}  microseconds")
    for name, work in (
        ("neighbors, top=300", lambda row: vocabulary.neighbors(f"#{ids[row]}", top=300)),
        ("rank", lambda row: vocabulary.rank(f"#{ids[row]}", f"#{ids[row - 1]}")),
        ("finder.search, k=300, causal", lambda row: finder.search(points[row : row + 1], k=300)),
    ):
        print("{:<56} {:>9.0f} {:>9.0f} {:>9.0f}".format(name, *warm(work, rows)), flush=True)


def print_long(tree: Path, bundle: Path, lines: bytes) -> None:
    """Print seconds of commands that take long."""
    print(f"\n{'what takes long, cold':<56} {'wall':>9} {'processor':>9}  seconds")
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in (
            ("neighbors of 2,000 tokens, tables", ["neighbors", "-"]),
            ("neighbors of 2,000 tokens, CSV", ["neighbors", "-", "--csv"]),
            ("verify", ["verify"]),
            ("export atlas", ["export", "atlas", "--out", f"{folder}/atlas.parquet"]),
        ):
            seconds = timed(tree, [*arguments, "--index", str(bundle.absolute())], lines)
            print("{:<56} {:>9.2f} {:>9.2f}".format(name, *seconds), flush=True)


def main() -> None:
    """Read the options and print the tables."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--token", default="#1000")
    parser.add_argument("--other", default="#2000")
    parser.add_argument("--only", choices=("cold", "warm", "searched", "long"))
    parser.add_argument("--tree", type=Path, default=ROOT, help="a checkout of another version, for searched and long")
    options = parser.parse_args()
    sys.path.insert(0, str(options.tree.absolute()))
    import index

    def wanted(part: str) -> bool:
        return options.only in (None, part)

    vocabulary = index.open(options.bundle)
    ids = vocabulary.vocabulary.token_ids
    rows = np.random.default_rng(0).integers(len(vocabulary), size=500)
    if wanted("cold"):
        print_cold(options.bundle, options.token, options.other)
    if wanted("warm"):
        print_warm(vocabulary, ids, rows.tolist())
    if wanted("searched"):
        print_searched(vocabulary, ids, rows[:20].tolist())
    if wanted("long"):
        lines = "".join(f"#{id}\n" for id in np.resize(ids[rows], 2000)).encode()
        print_long(options.tree, options.bundle, lines)


def _lists(ranked: Callable[..., object], vocabulary: object, row: int) -> list[object]:
    return [ranked(space, row, 30) for space in (vocabulary.causal, vocabulary.cosine)]  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
