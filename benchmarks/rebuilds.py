"""A bundle is rebuilt over and over while 64 processes ask it: is each answer wholly of one bundle.

python benchmarks/rebuilds.py FOLDER [--minutes 60] [--readers 64] [--seed 0]

Two vocabularies of one shape take turns in one place. Every question's answer to either was computed before, and no two
agree. Most readers hold an open vocabulary for some questions, so that its files are first read when another bundle may
lie there; some open it for each; some run commands, in their own process or in a new one. An answer is of the one or of
the other; an open vocabulary may say that it was replaced, and is opened again. A command opens it again itself, once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

os.environ["OMP_NUM_THREADS"] = "1"  # before any library is loaded: a forked process has no threads but its own

from typer.testing import CliRunner  # noqa: E402

import index  # noqa: E402
import index.build.build  # noqa: E402 -- so that no reader need import it
import query  # noqa: E402
from index.errors import BundleError  # noqa: E402

V, D, K = 1500, 24, 40
NAMES = ("first", "second")
REPLACED = "was replaced by another bundle while it was open: open it again"
SECONDS = 1.0  # from a reader's question to its next, on average

COMMANDS = {
    "densest": ("densest", "--top", "10"),
    "neighbors": ("neighbors", "#905", "--geometry", "causal,cosine,causal-cosine"),
    "neighbors of many": ("neighbors", "#905", "#338", "#7"),
    "neighbors among": ("neighbors", "#905", "--among", "kind=word"),
    "within": ("within", "#905", "--similarity", "0.3"),
    "analogy": ("analogy", "#905 - #338 + #7"),
    "distance": ("distance", "#905", "#338"),
    "rank": ("rank", "#905", "#338"),
    "overlap": ("overlap",),
    "duplicates": ("duplicates", "--within", "2"),
    "extremes": ("extremes", "hubness"),
    "metric": ("metric", "--pairs", "100"),
    "find": ("find", "a7"),
    "verify": ("verify", "--rows", "2", "--pairs", "10"),
}


def digest(*values: Any) -> str:
    """Return one number for arrays and texts."""
    found = hashlib.sha256()
    for value in values:
        found.update(value.encode() if isinstance(value, str) else np.ascontiguousarray(value).tobytes())
    return found.hexdigest()


def told(answer: Any) -> str:
    """Return one number for an answer, in full."""
    return digest(json.dumps(answer.json()))


def arrays(space: Any) -> str:
    """Return one number for all that a space stores."""
    graph = (space.ids, space.distances, space.distinct_ids, space.distinct_distances)
    return digest(*(each.whole for each in graph), space.points.whole, space.groups.first)


QUESTIONS: dict[str, Callable[[Any], str]] = {
    "densest": lambda v: told(v.densest()),
    "neighbors": lambda v: told(v.neighbors(905, top=30)),
    "neighbors of a text": lambda v: told(v.neighbors("a7")),
    "within": lambda v: told(v.within("#905", similarity=0.3)),
    "analogy": lambda v: told(v.analogy("#905 - #338 + #7")),
    "distance": lambda v: told(v.distance("#905", "#338")),
    "rank": lambda v: told(v.rank("#905", "#338")),
    "overlap": lambda v: told(v.overlap()),
    "duplicates": lambda v: told(v.duplicates(within=2)),
    "extremes": lambda v: told(v.extremes("hubness")),
    "metric": lambda v: told(v.spectrum()),
    "find": lambda v: told(v.find("a7")),
    "tokens": lambda v: digest(v.tokens.to_pandas().to_csv()),
    "gamma and M": lambda v: digest(v.gamma.whole, v.metric.matrix),
    "all stored of one space": lambda v: arrays(v.causal),
    "all stored of all spaces": lambda v: digest(*map(arrays, v.spaces.values())),
    "a space's own index": lambda v: digest(*v.cosine.index.search(v.cosine.points[:4], 5)),
    "finder": lambda v: digest(*v.causal.finder.search(v.causal.points[:4], k=5)),
    "a matrix of neighbors": lambda v: digest(v.kneighbors_graph(5).toarray()),
}


def source(folder: Path, number: int) -> dict[str, Any]:
    """Write a vocabulary, its rows and its texts; return the settings that build it."""
    from tokenizers import Tokenizer, models

    words = {f"a{(row * (1, 7)[number]) % V}": row for row in range(V)}
    path = folder / NAMES[number]
    Tokenizer(models.WordLevel(words, unk_token="a0")).save(f"{path}.json")
    rows = np.random.default_rng(number).normal(size=(V, D)).astype(np.float32)
    rows[20 + number : 30 + 2 * number] = rows[19]
    np.save(f"{path}.npy", rows)
    return {"source": f"{path}.npy", "tokenizer": f"{path}.json", "neighbors": K, "device": "cpu", "threads": 1}


def build(settings: dict[str, Any], out: Path) -> None:
    """Build a bundle, or replace it."""
    from index.build.build import build
    from index.build.settings import Settings

    build(Settings(**settings, out=out, overwrite=True))


def command(name: str, bundle: Path, *, alone: bool = False) -> str:
    """Return one number for a command's answer, or its error."""
    arguments = [*COMMANDS[name], "--json", "--index", str(bundle)]
    if alone:
        line = [sys.executable, str(ROOT / "query.py"), *arguments]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        found = CliRunner().invoke(query.app, arguments)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        code, out, err = found.exit_code, found.stdout, found.stderr
    return digest(out) if code == 0 and not err else f"exit code {code}: {' '.join(err.split())[-300:]}"


def in_a_process(work: Callable[[], Any]) -> int:
    """Do some work in a forked process, which ends with it; return its id."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        except Exception:  # noqa: BLE001 -- this is all that ever tells of it
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return process


def expected(folder: Path, settings: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return every answer of both bundles; no two of one question agree."""

    # In this process, so that those forked from it have loaded and compiled all there is.
    place = folder / "place" / "bundle"
    answers: dict[str, list[str]] = {}
    for each in settings * 2:  # twice: what answers otherwise each time proves nothing
        build(each, place)
        for name, question in QUESTIONS.items():
            answers.setdefault(name, []).append(question(index.open(place)))
        for name in COMMANDS:
            answers.setdefault(f"query.py {name}", []).append(command(name, place))
    for name, (one, other, *again) in answers.items():
        if one == other or again != [one, other] or "exit" in one + other:
            sys.exit(f"{name}: {one}, {other}, then {again}")
    return answers


class Reader:
    """One process that asks, and counts what it was told."""

    def __init__(self, number: int, bundle: Path, answers: dict[str, list[str]], end: float, seed: int) -> None:
        self.number, self.bundle, self.answers, self.end = number, bundle, answers, end
        self.draw, self.counts = random.Random(f"{seed} {number}"), Counter[str]()

    def run(self) -> None:
        """Ask until the end, by this reader's way to ask."""
        log = self.bundle.parent.parent / f"reader{self.number}.json"
        way = self.hold if self.number % 8 < 5 else self.open_each if self.number % 8 < 7 else self.run_commands
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # many as they are, others and the builds go first
        while time.time() < self.end:
            try:
                way()
            except Exception as error:  # noqa: BLE001 -- counted, whatever it is
                self.counts[f"WRONG: {type(error).__name__}: {' '.join(str(error).split())[-300:]}"] += 1
                self.wait()
            log.with_suffix(".new").write_text(json.dumps(self.counts))
            log.with_suffix(".new").replace(log)

    def wait(self, seconds: float = SECONDS) -> None:
        """Let some time pass."""
        time.sleep(self.draw.uniform(0, 2 * seconds))

    def hold(self) -> None:
        """Open a vocabulary and ask it some questions, or until it says that it was replaced."""
        vocabulary = index.open(self.bundle)
        for _ in range(self.draw.randint(1, 8)):
            self.wait()
            if not self.ask(vocabulary):
                return

    def open_each(self) -> None:
        """Open a vocabulary for one question."""
        self.wait()
        self.ask(index.open(self.bundle))

    def ask(self, vocabulary: Any) -> bool:
        """Ask one question; return False when the vocabulary says that it was replaced."""
        name = self.draw.choice(list(QUESTIONS))
        self.counts["questions from Python"] += 1
        try:
            self.judge(name, QUESTIONS[name](vocabulary))
        except BundleError as error:
            if not str(error).endswith(REPLACED):
                raise
            self.counts["told that it was replaced"] += 1
            return False
        return True

    def run_commands(self) -> None:
        """Run a command; the first of these readers in a new process, and so more rarely."""
        alone = self.number == 7
        self.wait(8 * SECONDS if alone else SECONDS)
        name = self.draw.choice(list(COMMANDS))
        self.counts["commands, each in a new process" if alone else "commands"] += 1
        self.judge(f"query.py {name}", command(name, self.bundle, alone=alone))

    def judge(self, name: str, answer: str) -> None:
        """Count whose answer it is."""
        if answer in self.answers[name]:
            self.counts[f"of the {NAMES[self.answers[name].index(answer) % 2]}"] += 1
        elif answer.endswith(REPLACED):
            self.counts["commands told that what they opened again was replaced, too"] += 1
        else:
            self.counts[f"WRONG: {name}: {answer if 'exit' in answer else 'of neither'}"] += 1


def rebuild(folder: Path, settings: list[dict[str, Any]], end: float, seed: int) -> None:
    """Build the one and the other in turn until the end."""
    draw, done = random.Random(seed), 0
    os.nice(max(0, 19 - os.nice(0)))
    while time.time() < end:
        build(settings[done % 2], folder / "place" / "bundle")
        done += 1
        (folder / "rebuilds").write_text(str(done))
        time.sleep(draw.uniform(0, 0.5))


def total(folder: Path, readers: int) -> Counter[str]:
    """Return what all readers have counted so far."""
    counts: Counter[str] = Counter()
    for number in range(readers):
        path = folder / f"reader{number}.json"
        counts.update(json.loads(path.read_text()) if path.exists() else {})
    return counts


def main() -> None:
    """Read the options, rebuild and ask, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new one; removed at the end")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--readers", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True)
    settings = [source(folder, number) for number in range(2)]
    answers = expected(folder, settings)
    started, end, bundle = time.time(), time.time() + 60 * options.minutes, folder / "place" / "bundle"
    processes = [in_a_process(lambda: rebuild(folder, settings, end, options.seed))]
    readers = (Reader(number, bundle, answers, end, options.seed) for number in range(options.readers))
    processes += [in_a_process(reader.run) for reader in readers]
    while time.time() < end:
        time.sleep(min(60, max(0.1, end - time.time())))
        rebuilds = (folder / "rebuilds").read_text() if (folder / "rebuilds").exists() else "0"
        print(f"{time.time() - started:.0f} s, {rebuilds} rebuilds, {dict(total(folder, options.readers))}", flush=True)
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    counts = total(folder, options.readers)
    counts["rebuilds"] = int((folder / "rebuilds").read_text())
    left = sorted(set(os.listdir(folder / "place")) - {"bundle"})
    if any(codes) or left:
        counts[f"WRONG: {sum(map(bool, codes))} processes ended otherwise; beside the bundle is left {left}"] += 1
    print(f"{options.readers} readers, {time.time() - started:,.0f} s")
    for what, count in sorted(counts.items()):
        print(f"{count:>9,}  {what}")
    shutil.rmtree(folder)
    sys.exit(1 if any(what.startswith("WRONG") for what in counts) else 0)


if __name__ == "__main__":
    main()
