"""Builds of which one system call fails: each that opens, writes, syncs, maps, renames or removes, with each error.

python benchmarks/faults.py FOLDER [--every 1] [--seed 0]

`strace` (Debian's package of that name) fails the N-th call on the files of the bundle that is built, N from the first
to the last, of a build of 3,000 tokens that replaces an older bundle. After each one: the old bundle is there, byte for
byte, and answers as before, or the new one does; what was said is one line; the next build succeeds, ends with the
bytes of a build that nothing disturbed, and leaves nothing beside it. `--every` tries only each so many-th call,
beginning at a random one.
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

from kills import SMALL, Round, finish, start

CALLS = {
    "openat": ("EMFILE", "EIO", "ENOSPC"),
    "write,pwrite64,writev,pwritev": ("ENOSPC", "EIO"),
    "fsync,fdatasync": ("EIO", "ENOSPC"),
    "mmap": ("ENOMEM", "EIO"),
    "ftruncate,fallocate": ("ENOSPC", "EIO"),
    "rename,renameat,renameat2": ("EIO", "ENOSPC"),
    "unlink,unlinkat,rmdir,mkdir,mkdirat": ("EIO", "ENOSPC"),
}
"""The calls that are failed, and with what."""


class Traced:
    """Builds under strace, which sees the calls on the files of the bundle alone."""

    def __init__(self, rounds: Round) -> None:
        self.rounds, self.log = rounds, rounds.folder / "strace"
        place = rounds.target.parent
        building = place / f".{rounds.target.name}.building"
        files = [path.name for path in (rounds.folder / "new" / "bundle").iterdir()]
        folders = (rounds.target, place / f".{rounds.target.name}.replaced", building, building / "bundle", place)
        self.paths = [*folders, *(folder / name for folder in folders for name in files)]

    def build(self, calls: str, *inject: str) -> tuple[int, str]:
        """Run a build that replaces the old bundle; return its exit code, and what strace wrote."""
        process = start(self.rounds.target, self.rounds.sample, self.rounds.log, "--overwrite", stopped=True)
        os.waitid(os.P_PID, process, os.WSTOPPED)
        watched = [option for path in self.paths for option in ("-P", str(path))]
        command = [
            "strace",
            "-f",
            "-qq",
            "-o",
            str(self.log),
            "-e",
            f"trace={calls}",
            *inject,
            *watched,
            "-p",
            str(process),
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
            status = Path(f"/proc/{process}/status")
            while "TracerPid:\t0\n" in status.read_text():
                time.sleep(0.002)
            os.kill(process, signal.SIGCONT)
            code = finish(process)
            tracer.wait(timeout=60)
        return code, self.log.read_text(errors="replace")

    def count(self, calls: str) -> int:
        """Return how many of these calls an undisturbed build makes."""
        self.rounds.place(old=True)
        code, traced = self.build(calls)
        if code != 0:
            sys.exit(self.rounds.log.read_text(errors="replace"))
        return len(re.findall(r"^\d+ +\w+\(", traced, re.MULTILINE))


def fail_calls(traced: Traced, calls: str, error: str, numbers: range) -> None:
    """Fail the calls of these numbers, each in a build of its own."""
    rounds = traced.rounds
    for number in numbers:
        rounds.place(old=True)
        code, log = traced.build(calls, "-e", f"inject={calls}:error={error}:when={number}")
        said = rounds.log.read_text(errors="replace").splitlines()
        if "(INJECTED)" not in log:
            rounds.found["too late: the build had made no such call"] += 1
        elif code == 0:
            rounds.found["built in spite of it"] += 1
        elif code == 2 and len(said) == 1 and said[0].startswith("error: "):
            rounds.found["refused in one line"] += 1
        elif code == 2 and len(said) == 2 and said[0].startswith("built ") and said[1].startswith("error: "):
            rounds.found["built, and what its report could not read is one line"] += 1
        else:
            rounds.found[f"WRONG: exit code {code}: {' '.join(said)[-300:]}"] += 1
        rounds.check(old=True)
        rounds.go_on()


def main() -> None:
    """Read the options, fail calls, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new one; removed at the end")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th call")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, wrong = random.Random(options.seed), 0
    rounds = Round(options.folder, SMALL)
    traced = Traced(rounds)
    for calls, errors in CALLS.items():
        last = traced.count(calls)
        for error in errors:
            rounds.found = Counter()
            numbers = range(draw.randint(1, max(1, min(options.every, last))), last + 1, options.every)
            fail_calls(traced, calls, error, numbers)
            print(f"{calls}: {error} in {len(numbers)} of {last} calls", flush=True)
            for what, count in sorted(rounds.found.items()):
                print(f"{count:>6}  {what}", flush=True)
            wrong += sum(count for what, count in rounds.found.items() if what.startswith("WRONG"))
    shutil.rmtree(options.folder)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
