"""Builds of which one system call fails: each that opens, writes, syncs, maps, renames, removes or closes, each error.

python benchmarks/faults.py FOLDER [--calls openat,mmap] [--empty] [--turns | --every 1] [--seed 0]

`strace` (Debian's package of that name) fails the N-th call of a build, whatever file it is on, N from the first to the
last; a thread's calls are counted on their own. The build, of a made vocabulary with twins, zero rows and an
approximate index, replaces an older bundle, or with --empty none. After each one: the old bundle is there, byte for
byte, and answers as before, or the new one does; what was said is one line; the next build succeeds, ends with the
bytes of a build that nothing disturbed, and leaves nothing beside it. A process that has loaded and compiled everything
forks each build. With --turns each call fails once, with one of the errors;
`--every` tries only each so many-th call, beginning at a random one.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before any library is loaded: a forked process has no threads but its own

import numpy as np
from kills import Round, finish, start

V, D = 240, 8
CALLS = {
    "openat": ("EMFILE", "EIO", "ENOSPC"),
    "write,pwrite64,writev,pwritev,copy_file_range,sendfile": ("ENOSPC", "EIO"),
    "fsync,fdatasync": ("EIO", "ENOSPC"),
    "mmap": ("ENOMEM", "EIO", "EMFILE"),
    "ftruncate,fallocate": ("ENOSPC", "EIO"),
    "rename,renameat,renameat2": ("EIO", "ENOSPC"),
    "mkdir,mkdirat": ("EIO", "ENOSPC"),
    "unlink,unlinkat,rmdir": ("EIO",),
    "close": ("EIO",),
    "flock": ("EIO", "ENOLCK"),
}
"""The calls that are failed, and with what."""


def vocabulary(folder: Path) -> tuple[str, ...]:
    """Write a vocabulary with twins and zero rows; return the arguments that build it."""
    from tokenizers import Tokenizer, models

    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).normal(size=(V, D)).astype(np.float32)
    rows[5:9], rows[20:22] = rows[4], 0
    np.save(folder / "gamma.npy", rows)
    words = {f"a{row}": row for row in range(V)}
    Tokenizer(models.WordLevel(words, unk_token="a0")).save(f"{folder}/tokenizer.json")
    named = (f"{folder}/gamma.npy", "--tokenizer", f"{folder}/tokenizer.json", "--neighbors", "20", "--device", "cpu")
    return (*named, "--threads", "1", "--index-factory", "HNSW8")


def load_all(sample: tuple[str, ...], folder: Path) -> None:
    """Build in this process, so that those forked from it have loaded and compiled all there is."""
    from typer.testing import CliRunner

    import build_index

    for _ in range(2):
        done = CliRunner().invoke(build_index.app, [*sample, "--out", str(folder / "loaded"), "--overwrite", "--json"])
        if done.exit_code != 0:
            sys.exit(done.output)


class Traced:
    """Builds under strace."""

    def __init__(self, rounds: Round, *, old: bool) -> None:
        self.rounds, self.old, self.log = rounds, old, rounds.folder / "strace"

    def build(self, calls: str, *inject: str) -> tuple[int, str]:
        """Run a build; return its exit code, and what strace wrote."""
        self.rounds.place(old=self.old)
        process = start(self.rounds.target, self.rounds.sample, self.rounds.log, "--overwrite", stopped=True)
        os.waitid(os.P_PID, process, os.WSTOPPED)
        traced = ["strace", "-f", "-y", "-qq", "-o", str(self.log), "-e", f"trace={calls}", *inject, "-p", str(process)]
        with subprocess.Popen(traced, stderr=subprocess.DEVNULL) as tracer:
            status = Path(f"/proc/{process}/status")
            while "TracerPid:\t0\n" in status.read_text():
                time.sleep(0.001)
            os.kill(process, signal.SIGCONT)
            code = finish(process)
            tracer.wait(timeout=60)
        return code, self.log.read_text(errors="replace")

    def count(self, calls: str) -> tuple[int, int]:
        """Return how many of these calls an undisturbed build makes: in all, and at most in one of its threads."""
        code, traced = self.build(calls)
        if code != 0:
            sys.exit(self.rounds.log.read_text(errors="replace"))
        threads = Counter(re.findall(r"^(\d+) +\w+\(", traced, re.MULTILINE))
        return sum(threads.values()), max(threads.values(), default=0)


def fail_calls(traced: Traced, calls: str, error: str, numbers: range, messages: Counter[str]) -> None:
    """Fail the calls of these numbers, each in a build of its own."""
    rounds, seen = traced.rounds, 0
    for number in numbers:
        code, log = traced.build(calls, "-e", f"inject={calls}:error={error}:when={number}")
        said = rounds.log.read_text(errors="replace").splitlines()
        errors = [line for line in said if line.startswith("error: ")]
        which = next((line for line in log.splitlines() if line.endswith("(INJECTED)")), "")
        if not which:
            rounds.found["too late: the build had made no such call"] += 1
        elif re.search(r"write\([12]</", which):
            rounds.found[f"standard output or error itself: exit code {code}"] += 1
        elif code == 0 and not errors:
            rounds.found["built in spite of it"] += 1
        elif code == 2 and len(said) == 1 and len(errors) == 1:
            rounds.found["refused in one line"] += 1
        elif code == 2 and said[0].startswith("built ") and len(errors) == 1 and said[-1] == errors[0]:
            rounds.found["built, and what its report could not read is one line"] += 1
        else:
            rounds.found[f"WRONG: exit code {code}: {' '.join(said)[-300:]}"] += 1
        if set(os.listdir(rounds.target.parent)) - {"bundle"}:
            rounds.found["something stayed beside it until the next build"] += 1
        rounds.check(old=traced.old)
        rounds.go_on()
        wrong = sum(count for what, count in rounds.found.items() if what.startswith("WRONG"))
        if wrong != seen:
            print(f"{error} {number}: exit code {code}: {which}\n    {' '.join(said)[-400:]}", flush=True)
            seen = wrong
        messages[re.sub(r"[\d.,]+ MB", "N MB", errors[0] if errors else "no error")[:200]] += 1


def main() -> None:
    """Read the options, fail calls, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new one; removed at the end")
    parser.add_argument("--calls", default="", help="only those whose group begins with one of these")
    parser.add_argument("--empty", action="store_true", help="build where there is no bundle")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th call")
    parser.add_argument("--turns", action="store_true", help="each call once: the errors take turns")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, wrong, messages = random.Random(options.seed), 0, Counter[str]()
    sample = vocabulary(options.folder / "source")
    load_all(sample, options.folder)
    rounds = Round(options.folder, sample)
    traced = Traced(rounds, old=not options.empty)
    for calls, errors in CALLS.items():
        if not calls.startswith(tuple(options.calls.split(","))):
            continue
        number, last = traced.count(calls)
        for error in errors:
            rounds.found = Counter()
            first = errors.index(error) % len(errors) if options.turns else 0
            step = len(errors) if options.turns else options.every
            numbers = range(first + draw.randint(1, max(1, min(options.every, last))), last + 1, step)
            started = time.perf_counter()
            fail_calls(traced, calls, error, numbers, messages)
            print(f"{calls}: {error} in {len(numbers)} of {number} calls, {time.perf_counter() - started:.0f} s")
            for what, count in sorted(rounds.found.items()):
                print(f"{count:>6}  {what}", flush=True)
            wrong += sum(count for what, count in rounds.found.items() if what.startswith("WRONG"))
    print(f"{len(messages)} messages:", *sorted(messages), sep="\n  ")
    shutil.rmtree(options.folder)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
