"""Many threads, and many processes, ask one bundle at once: are the answers those of one alone, in what memory.

A process's memory is counted by its share (Pss): a page of a mapped file that n of them use counts 1/n in each.
With --read-only the bundle is asked through a mount that cannot be written (Linux, as root).

python benchmarks/together.py BUNDLE --askers 64 --questions 1000
"""

import argparse
import hashlib
import json
import multiprocessing
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


def digest(vocabulary: object, rows: list[int]) -> str:
    """Return one number for the answers about some rows, in full."""

    answers = hashlib.sha256()
    for row in rows:
        token_id = vocabulary.vocabulary.token_ids[row]  # type: ignore[attr-defined]
        answers.update(json.dumps(vocabulary.neighbors(f"#{token_id}").json()).encode())  # type: ignore[attr-defined]
    return answers.hexdigest()


def process(bundle: str, rows: list[int], done: multiprocessing.Queue, leave: multiprocessing.Event) -> None:  # type: ignore[valid-type, type-arg]
    """Ask in a process of its own; tell the answers' number and, while all are there, the memory."""
    import index

    found = digest(index.open(bundle), rows)
    done.put(found)
    leave.wait()
    memory = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    done.put({name: int(re.search(rf"^{name}: +(\d+)", memory, re.M)[1]) / 1e3 for name in ("Rss", "Pss", "Pss_Anon")})


def ask_all(bundle: Path, askers: int, rows: list[int]) -> None:
    """Ask in threads, then in processes, and print the tables."""
    import index

    alone = digest(index.open(bundle), rows)
    start = time.perf_counter()
    shared = index.open(bundle)
    with ThreadPoolExecutor(askers) as pool:
        found = list(pool.map(lambda _: digest(shared, rows), range(askers)))
    print(f"{askers} threads x {len(rows):,} questions: {found.count(alone)} of {askers} answer as one alone, "
          f"{time.perf_counter() - start:.1f} s")  # fmt: skip
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    done, leave = context.Queue(), context.Event()
    children = [context.Process(target=process, args=(str(bundle), rows, done, leave)) for _ in range(askers)]
    for child in children:
        child.start()
    found = [done.get() for _ in children]
    seconds = time.perf_counter() - start
    leave.set()
    memory = [done.get() for _ in children]
    for child in children:
        child.join()
    same = found.count(alone)
    print(f"{askers} processes x {len(rows):,} questions: {same} of {askers} answer as one alone, {seconds:.1f} s")
    total = {name: sum(each[name] for each in memory) for name in memory[0]}
    print(f"memory of all: {total['Pss']:,.0f} MB by share, {total['Pss_Anon']:,.0f} of it their own; "
          f"{total['Rss']:,.0f} MB if each were counted whole")  # fmt: skip


def main() -> None:
    """Read the options, ask, and say whether the bundle is untouched."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--askers", type=int, default=64)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--read-only", action="store_true")
    options = parser.parse_args()
    V = json.loads((options.bundle / "manifest.json").read_text(encoding="utf-8"))["V"]
    rows = np.random.default_rng(0).integers(V, size=options.questions).tolist()
    before = {path.name: path.stat() for path in options.bundle.iterdir()}
    if options.read_only:
        with tempfile.TemporaryDirectory() as mounted:
            subprocess.run(["mount", "--bind", options.bundle, mounted], check=True)
            try:
                subprocess.run(["mount", "-o", "remount,ro,bind", mounted], check=True)
                ask_all(Path(mounted), options.askers, rows)
            finally:
                subprocess.run(["umount", mounted], check=True)
    else:
        ask_all(options.bundle, options.askers, rows)
    after = {path.name: path.stat() for path in options.bundle.iterdir()}
    same = before.keys() == after.keys() and all(before[name].st_mtime_ns == after[name].st_mtime_ns for name in before)
    print(f"the bundle is {'untouched' if same else 'CHANGED'}")


if __name__ == "__main__":
    main()
