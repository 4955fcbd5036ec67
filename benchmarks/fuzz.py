"""Damaged and hostile files for every reader: each is read, or refused with one line; nothing else may happen.

Small valid files are changed at random (bits, cuts, splices, numbers set to extreme values; JSON also by its structure)
and read in worker processes, where an input has five seconds and 500 MB beside twice its size. Counted are the inputs
accepted, refused with a LogoscopeError of one printable line, and all else, which is a finding: it is saved and named.

python benchmarks/fuzz.py --inputs 100000
python benchmarks/fuzz.py --reader gguf --inputs 1000 --seed 7
"""

from __future__ import annotations

import argparse
import mmap
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import fuzz_inputs  # noqa: E402
from fuzz_inputs import IN_MEMORY, Reader  # noqa: E402

OUTCOMES = ("accepted", "refused", "traceback", "no clear line", "printed", "memory", "hang", "crash")
ACCEPTED, REFUSED, TRACEBACK, UNCLEAR, PRINTED, MEMORY_FOUND, HANG, CRASH = range(len(OUTCOMES))


@dataclass
class Tally:
    """What became of a reader's inputs, shared with its workers: the input that is being read, and the counts."""

    numbers: np.ndarray

    @classmethod
    def shared(cls) -> Tally:
        """Return zeros in memory that forked processes share."""
        return cls(np.frombuffer(mmap.mmap(-1, 8 * (1 + len(OUTCOMES))), np.int64))

    def count(self, outcome: int) -> None:
        """Count one input with this outcome."""
        self.numbers[1 + outcome] += 1


def content_of(reader: Reader, seed: int, number: int) -> bytes:
    """Return one input, always the same for the same reader, seed and number."""
    return reader.mutate(np.random.default_rng([seed, sum(reader.name.encode()), number]))


def judge(reader: Reader, folder: Path, printed: Any) -> tuple[int, str]:
    """Read the input in `folder` and say what became of it."""
    from index.errors import LogoscopeError

    try:
        reader.read(folder)
        outcome, said = ACCEPTED, ""
    except LogoscopeError as error:
        said = str(error)
        outcome = REFUSED if said.isprintable() and 0 < len(said) < 2000 else UNCLEAR
        if caused_by_memory(error):
            outcome = MEMORY_FOUND
    except MemoryError:
        outcome, said = MEMORY_FOUND, traceback.format_exc()
    except BaseException:  # noqa: BLE001 - a panic in Rust is no Exception
        outcome, said = TRACEBACK, traceback.format_exc()
    if outcome <= REFUSED and os.fstat(printed.fileno()).st_size:
        printed.seek(0)
        outcome, said = PRINTED, printed.read()
    return outcome, said


def caused_by_memory(error: BaseException | None) -> bool:
    """Whether an error was raised because memory ran out."""
    while error is not None:
        if isinstance(error, MemoryError) or "allocate" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False


def work(reader: Reader, tally: Tally, numbers: range, seed: int, folder: Path, found: Path) -> None:
    """Read one input after another in this process; end early after a finding in memory, whose mark stays high."""
    printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
    os.dup2(printed.fileno(), 2)
    reader.prepare(folder)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(
        resource.RLIMIT_DATA, (12 << 30, 12 << 30)
    )  # to spare the machine; the bound is on memory in use
    for number in numbers:
        tally.numbers[0] = number
        content = content_of(reader, seed, number)
        reader.write(folder, content)
        alarm(reader.seconds)
        outcome, said = judge(reader, folder, printed)
        alarm(0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        if peak > base + (reader.megabytes << 20) + 2 * len(content):
            outcome, said = MEMORY_FOUND, f"{(peak - base) >> 20} MB for an input of {len(content)} bytes"
        tally.count(outcome)
        if outcome > REFUSED:
            save(reader, content, number, outcome, said, found)
            printed.seek(0)
            printed.truncate()
        if outcome == MEMORY_FOUND:
            return


def alarm(seconds: float) -> None:
    """End this process, also in the middle of a library, after some seconds of processor time, or ten times as long."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 10 * seconds)


def save(reader: Reader, content: bytes, number: int, outcome: int, said: str, found: Path) -> None:
    """Keep an input that was neither read nor refused, and what was said of it."""
    found.mkdir(parents=True, exist_ok=True)
    (found / f"{reader.name}-{number}").write_bytes(content)
    with (found / f"{reader.name}.log").open("a") as log:
        log.write(f"=== {reader.name}-{number}: {OUTCOMES[outcome]}\n{said}\n")


def fuzz(reader: Reader, inputs: int, seed: int, found: Path) -> Tally:
    """Give a reader its inputs, in one worker process after another."""
    tally = Tally.shared()
    tally.numbers[0] = -1
    while tally.numbers[0] < inputs - 1:
        numbers = range(int(tally.numbers[0]) + 1, inputs)
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=IN_MEMORY) as folder:
            child = os.fork()
            if child == 0:
                try:
                    work(reader, tally, numbers, seed, Path(folder), found)
                    os._exit(0)
                finally:
                    os._exit(1)
            _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            number = int(tally.numbers[0])
            outcome = HANG if os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGPROF) else CRASH
            tally.count(outcome)
            what = f"ended by signal {os.WTERMSIG(status)}"
            save(reader, content_of(reader, seed, number), number, outcome, what, found)
        elif status:
            raise RuntimeError(f"input {tally.numbers[0]} of {reader.name} could not be made")
    return tally


def print_head() -> None:
    """Print the head of the table."""
    print(f"{'reader':<18}{'inputs':>9}" + "".join(f"{name:>15}" for name in OUTCOMES) + f"{'seconds':>9}", flush=True)


def report(reader: Reader, inputs: int, seed: int, found: Path) -> int:
    """Fuzz a reader, print its row of the table and return the number of findings."""
    started = time.perf_counter()
    counts = fuzz(reader, inputs, seed, found).numbers[1:]
    seconds = time.perf_counter() - started
    print(f"{reader.name:<18}{counts.sum():>9}" + "".join(f"{n:>15}" for n in counts) + f"{seconds:>9.0f}", flush=True)
    return int(counts[TRACEBACK:].sum())


def main() -> None:
    """Read the options, fuzz each reader and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="for each reader")
    parser.add_argument("--reader", choices=fuzz_inputs.NAMES, action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for findings")
    options = parser.parse_args()
    found = options.save or Path(tempfile.mkdtemp(prefix="fuzz-findings-"))
    print_head()
    findings = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-seeds-") as folder:
        for name in options.reader or fuzz_inputs.NAMES:
            (Path(folder) / name).mkdir()
            findings += report(fuzz_inputs.make_reader(name, Path(folder) / name), options.inputs, options.seed, found)
    print(f"{findings} findings" + (f", saved in {found}" if findings else ""))
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
