"""Seconds and memory of each command in a process of its own, and microseconds of a stored token in a running one.

python benchmarks/answers.py BUNDLE
python benchmarks/answers.py BUNDLE --only cold --beside CHECKOUT  in turns with another version
python benchmarks/answers.py BUNDLE --only long --tree CHECKOUT    of another version, by its own code

The row `loading, and reading both sketches` is no command: it loads what `analogy` has loaded at its end, and copies
the files that a search reads from one end to the other, without a checksum and without a distance.
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
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
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


LOADING = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
import faiss, pyarrow.parquet, rich.console, rich.table
import index.cli.query, index.questions.analogy.analogy, index.search.finder, index.search.turned
from index.answers import terminal

def read(part):
    file, at = part
    room = bytearray(1 << 20)
    with open(file, "rb", buffering=0) as opened:
        opened.seek(at * (size := os.path.getsize(file)) // 2)
        while opened.tell() < (at + 1) * size // 2 and opened.readinto(room):
            pass

for space in ("causal", "cosine"):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(read, [(f"{sys.argv[1]}/{space}.sketch.faiss", at) for at in (0, 1)]))
"""


class Cold(NamedTuple):
    """What cold processes took."""

    seconds: list[float]
    megabytes: list[float]

    def add(self, tree: Path, command: list[str]) -> None:
        """Run a command of a checkout, its output thrown away."""
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, *command], cwd=tree, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        self.seconds.append(time.perf_counter() - start)
        self.megabytes.append(usage.ru_maxrss / 1e3)
        if status:
            raise SystemExit(f"{command} failed in {tree}")

    def __str__(self) -> str:
        return f"{min(self.seconds):>6.2f} {statistics.median(self.seconds):>6.2f} {max(self.megabytes):>6.0f}"


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


def print_cold(bundle: Path, token: str, other: str, beside: Path | None, repeats: int) -> None:
    """Print the least and the median seconds, and the most memory, of each command: of two checkouts in turns."""
    trees = [ROOT] if beside is None else [ROOT, beside]
    print(
        f"{'command, cold':<56} {'least':>6} {'median':>6} {'MB':>6}" + ("    of the other checkout" if beside else "")
    )
    commands = {"loading, and reading both sketches": ["-c", LOADING, str(bundle)]}
    for command in COMMANDS:
        arguments = [part.format(token=token, other=other) for part in command]
        commands[" ".join(arguments)] = ["query.py", *arguments, "--index", str(bundle)]
    for name, line in commands.items():
        taken = [Cold([], []) for _ in trees]
        for _ in range(repeats):
            for tree, each in zip(trees, taken, strict=True):
                each.add(tree, line)
        print(f"{name:<56} " + "    ".join(map(str, taken)), flush=True)


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--token", default="#1000")
    parser.add_argument("--other", default="#2000")
    parser.add_argument("--only", choices=("cold", "warm", "searched", "long"))
    parser.add_argument("--beside", type=Path, help="a checkout of another version, for cold")
    parser.add_argument("--repeats", type=int, default=7, help="of each cold command")
    parser.add_argument("--tree", type=Path, default=ROOT, help="a checkout of another version, for searched and long")
    options = parser.parse_args()

    def wanted(part: str) -> bool:
        return options.only in (None, part)

    if wanted("cold"):  # first: the system counts a process that starts another with the memory of the other
        print_cold(options.bundle.absolute(), options.token, options.other, options.beside, options.repeats)
    sys.path.insert(0, str(options.tree.absolute()))
    import numpy as np

    import index

    vocabulary = index.open(options.bundle)
    ids = vocabulary.vocabulary.token_ids
    rows = np.random.default_rng(0).integers(len(vocabulary), size=500)
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
