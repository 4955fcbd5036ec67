"""Damaged and hostile files for every reader, found by what they make it do: coverage-guided fuzzing with atheris.

Each reader gets the files of its corpus and changes of them, as libFuzzer makes them; JSON also by its structure. An
input that makes the project's own modules do what none did before is changed further. Each is read, or refused with
one printable line, in five seconds of processor time and within 500 MB beside twice its size; anything else is a
finding, which is saved and named, and the run goes on.

python benchmarks/fuzz_coverage.py --runs 1000000                     needs the group `fuzz`: uv sync --group fuzz
python benchmarks/fuzz_coverage.py --reader gguf --runs 10000 --corpus /tmp/corpus
python benchmarks/fuzz_coverage.py --corpus /tmp/corpus --keep        the least of it that does all it does, for tests
"""

from __future__ import annotations

import argparse
import inspect
import mmap
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

INSTRUMENTED = ("index", "pickletools", "zipfile")
COMPILED = [path for path in (ROOT / "index").rglob("*.py") if "import compiled\n" in path.read_text()]
"""The modules with functions that numba compiles, which take no instruments."""
SAVED = 3
"""How many inputs of one kind of finding are kept."""
SECONDS_OF_SILENCE = 60
"""After which an input counts as a hang; under load five seconds of processor time take long."""


def fuzz(name: str, work: Path, runs: int, seed: int) -> None:
    """Read inputs in this process until libFuzzer ends it."""
    import atheris

    compiled = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in COMPILED]
    with atheris.instrument_imports(include=INSTRUMENTED, exclude=compiled):
        import fuzz_inputs

        (work / "seeds").mkdir(exist_ok=True)
        reader = fuzz_inputs.make_reader(name, Path(tempfile.mkdtemp(dir=work)))
        folder = Path(tempfile.mkdtemp(dir=work))
        read = fuzz_inputs.prepared(reader, folder)
        for number, content in enumerate([*reader.seeds, *fuzz_inputs.read_corpus(name)]):
            (work / "seeds" / str(number)).write_bytes(content)
            judge(read, content)  # imports the rest
    for each in filter(inspect.isfunction, vars(np.lib._format_impl).values()):
        atheris.instrument_func(each)  # reads the headers of .npy files, and was imported before
    judged = Judged(work, reader)
    structured = reader.file.endswith(".json")

    def one(content: bytes) -> None:
        judged.count(content, *judge(read, content))

    def mutate(content: bytes, most: int, number: int) -> bytes:
        if structured and number % 2:
            with suppress(ValueError, RecursionError, IndexError, TypeError):
                changed: bytes = fuzz_inputs.changed_json(content, np.random.default_rng(number))
                return changed[:most]
        mutated: bytes = atheris.Mutate(content, most)
        return mutated

    longest = 4 * max(map(len, reader.seeds))
    options = [f"-runs={runs}", f"-seed={seed}", f"-max_len={longest}", f"-timeout={SECONDS_OF_SILENCE}"]
    options += ["-rss_limit_mb=6000", "-verbosity=0", f"-artifact_prefix={work}/native-"]
    folders = [str(work / "corpus"), str(work / "seeds")]
    # What is seldom right when changed as bytes is changed as JSON half of the times.
    atheris.Setup([sys.argv[0], *options, *folders], one, **({"custom_mutator": mutate} if structured else {}))
    atheris.Fuzz()


def judge(read: Any, content: bytes) -> tuple[str, str]:
    """Read an input; return what became of it, and of a finding where it arose."""
    from index.errors import LogoscopeError
    from index.tokens.display import without_isolates

    started, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read(content)
        outcome, said = "accepted", ""
    except LogoscopeError as error:
        said = str(error)
        shown = without_isolates(said)  # which stand around letters that are written from right to left
        outcome = "refused" if shown.isprintable() and 0 < len(shown) < 2000 else "no clear line"
    except Exception as error:  # noqa: BLE001 - any is a finding
        outcome, said = "traceback", f"{place(error)}\n{traceback.format_exc()}"
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust
            raise
        outcome, said = "traceback", f"{place(error)}\n{traceback.format_exc()}"
    if time.process_time() - started > 5:
        outcome, said = "slow", f"{time.process_time() - started:.1f} s"
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) << 10
    if taken > (500 << 20) + 2 * len(content):
        outcome, said = "memory", f"{taken >> 20} MB for an input of {len(content)} bytes"
    return outcome, said


def place(error: BaseException) -> str:
    """Return where an error arose, without what it says, so that each place is told once."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/index/" in frame.filename] or frames
    return f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno} {own[-1].name}"


class Judged:
    """Counts of inputs in a file that outlives a crash, and the findings."""

    def __init__(self, work: Path, reader: Any) -> None:
        self.work, self.reader = work, reader
        self.numbers = counters(work)
        self.kinds: Counter[str] = Counter()

    def count(self, content: bytes, outcome: str, said: str) -> None:
        """Count an input, and save it if it is a finding."""
        self.numbers[0] += 1
        if outcome in ("accepted", "refused"):
            self.numbers[1 if outcome == "accepted" else 2] += 1
            return
        self.numbers[3] += 1
        kind = f"{outcome}: {said.splitlines()[0][:200] if said else ''}"
        self.kinds[kind] += 1
        if self.kinds[kind] <= SAVED:
            found = self.work / "found"
            found.mkdir(exist_ok=True)
            number = len(list(found.iterdir()))
            (found / f"{number}-{outcome.replace(' ', '-')}").write_bytes(content)
            with (self.work / "found.log").open("a") as log:
                log.write(f"=== {number}: {kind}\n{said}\n")


def counters(work: Path) -> np.ndarray:
    """Return the counts of inputs read, accepted, refused and found, (4,), mapped from a file."""
    path = work / "counts"
    if not path.exists():
        path.write_bytes(bytes(32))
    with path.open("r+b") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 32), np.int64)


def campaign(name: str, work: Path, runs: int, seed: int, seconds: float) -> tuple[np.ndarray, int]:
    """Let processes read inputs until there were so many, or the time is over; return the counts and the crashes."""
    (work / "corpus").mkdir(parents=True, exist_ok=True)
    numbers, crashes, end = counters(work), 0, time.monotonic() + seconds
    before = int(numbers[0])
    while (left := runs - (int(numbers[0]) - before)) > 0 and time.monotonic() < end:
        command = [sys.executable, __file__, "--child", name, "--work", str(work), "--runs", str(left)]
        with (work / "child.log").open("ab") as log, suppress(subprocess.TimeoutExpired):
            stopped = subprocess.run(
                [*command, "--seed", str(seed + crashes)], stdout=log, stderr=log, timeout=end - time.monotonic()
            )
            if stopped.returncode == 0:
                break
            crashes += 1
        if crashes > 20:
            break
    return numbers, crashes


def trace(read: Any, content: bytes) -> frozenset[tuple[str, int, int]]:
    """Return the steps from line to line of the project's own modules that an input makes."""
    steps: set[tuple[str, int, int]] = set()
    own = str(ROOT / "index")

    def in_frame(frame: Any, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(own):
            return None
        before = code.co_firstlineno

        def line(frame: Any, event: str, _: Any) -> Any:
            nonlocal before
            steps.add((code.co_filename, before, frame.f_lineno))
            before = frame.f_lineno
            return line

        return line

    sys.settrace(in_frame)
    try:
        judge(read, content)
    finally:
        sys.settrace(None)
    return frozenset(steps)


def least(name: str, corpus: Path) -> list[bytes]:
    """Return few and small inputs that make all steps of a corpus, and of what was kept before, beside valid files'."""
    import fuzz_inputs

    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory(dir=fuzz_inputs.IN_MEMORY) as folder:
        reader = fuzz_inputs.make_reader(name, Path(made))
        read = fuzz_inputs.prepared(reader, Path(folder))
        for content in reader.seeds:
            judge(read, content)
        done = set().union(*(trace(read, content) for content in reader.seeds))
        kept = []
        found = [*(path.read_bytes() for path in corpus.iterdir()), *fuzz_inputs.read_corpus(name)]
        for content in sorted(found, key=lambda content: (len(content), content)):
            steps = trace(read, content)
            if not steps <= done:
                done |= steps
                kept.append(content)
        done = set().union(*(trace(read, content) for content in reader.seeds))
        needed = []
        for content in reversed(kept):  # what the small ones do, the large ones may do, too
            steps = trace(read, content)
            if not steps <= done:
                done |= steps
                needed.append(content)
    return needed


def main() -> None:
    """Read the options; fuzz each reader and print its row, or keep the corpus."""
    import fuzz_inputs

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000_000, help="of each reader")
    parser.add_argument("--seconds", type=float, default=1e9, help="the most that a reader gets")
    parser.add_argument("--reader", choices=fuzz_inputs.NAMES, action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="a folder to keep what was found between runs")
    parser.add_argument("--keep", action="store_true", help="write the least of the corpus to tests/corpus")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        fuzz(options.child, options.work, options.runs, options.seed)
        return
    whole = options.corpus or Path(tempfile.mkdtemp(prefix="fuzz-coverage-", dir=fuzz_inputs.IN_MEMORY))
    names = options.reader or fuzz_inputs.NAMES
    if options.keep:
        for name in names:
            if (whole / name / "corpus").is_dir():
                kept = least(name, whole / name / "corpus")
                print(f"{name:<18}{len(kept):>5} inputs {fuzz_inputs.write_corpus(name, kept):>9,} bytes", flush=True)
        return
    print(
        f"{'reader':<18}{'inputs':>9}{'read':>9}{'refused':>9}{'findings':>9}{'crashes':>9}{'corpus':>8}{'seconds':>9}"
    )
    findings = 0
    for name in names:
        started = time.perf_counter()
        numbers, crashes = campaign(name, whole / name, options.runs, options.seed, options.seconds)
        seconds, size = time.perf_counter() - started, len(list((whole / name / "corpus").iterdir()))
        print(f"{name:<18}" + "".join(f"{n:>9}" for n in (*numbers, crashes)) + f"{size:>8}{seconds:>9.0f}", flush=True)
        findings += int(numbers[3]) + crashes
    print(f"{findings} findings, and the corpus, in {whole}")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
