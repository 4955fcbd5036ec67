"""Damage every file of a bundle, ask every question: how many answers are wrong, and which damage goes unseen.

One bit is flipped at random places over all files, each file is cut off at random places, and each file is swapped with
its namesake of another bundle. After each, every question must give the answer of the whole bundle or end with exit
code 2 and name the file; `verify` must do the latter always.

python benchmarks/damage.py --flips 2000
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

QUESTIONS = {
    "densest": ("densest", "--top", "40"),
    "neighbors": ("neighbors", "#905", "--top", "40"),
    "neighbors by text": ("neighbors", "the"),
    "within": ("within", "#905", "--similarity", "0.1"),
    "analogy": ("analogy", "#905 - #338 + #7"),
    "distance": ("distance", "#905", "#338"),
    "rank": ("rank", "#905", "#338"),
    "overlap": ("overlap",),
    "duplicates": ("duplicates", "--within", "10"),
    "extremes": ("extremes", "hubness"),
    "metric": ("metric", "--pairs", "100"),
    "find": ("find", "the planet"),
    "crosscheck": ("crosscheck", "--pairs", "100"),
    "info": ("info",),
    "verify": ("verify", "--rows", "1", "--pairs", "10"),
}


def two_bundles(folder: Path) -> tuple[Path, Path]:
    """Build two bundles of 1,500 tokens of the bundled model each; those that are asked for stand in both."""
    from index.build.build import build
    from index.build.settings import Settings

    asked = [7, 338, 905, *range(260, 300)]
    paths = folder / "one", folder / "two"
    for seed, path in enumerate(paths):
        others = np.setdiff1d(np.random.default_rng(seed).permutation(49_152)[:2000], asked)[: 1500 - len(asked)]
        np.save(f"{path}.npy", np.concatenate([asked, others]))
        build(Settings(sample=f"{path}.npy", out=path))
    return paths


def ask(bundle: Path, question: str) -> tuple[int, str, str]:
    """Return the exit code, the answer and the error of a question, asked in this process."""
    from typer.testing import CliRunner

    import query

    done = CliRunner().invoke(query.app, [*QUESTIONS[question], "--json", "--index", str(bundle)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def judge(bundle: Path, damaged: str, question: str, whole: tuple[int, str, str]) -> str:
    """Return what became of a question: `same answer`, `refused`, or what is wrong."""
    found = ask(bundle, question)
    if found[:2] == whole[:2]:
        return "unseen by verify" if question == "verify" else "same answer"
    if found[0] == 2 and not found[1]:
        return "refused" if damaged in found[2] else "refused without the file's name"
    return "wrong answer"


@contextmanager
def flipped(path: Path, byte: int, bit: int) -> Iterator[None]:
    """Flip one bit of a file while the block runs."""

    def flip() -> None:
        with path.open("r+b") as file:
            file.seek(byte)
            value = file.read(1)[0]
            file.seek(byte)
            file.write(bytes([value ^ 1 << bit]))

    flip()
    try:
        yield
    finally:
        flip()


@contextmanager
def cut(path: Path, length: int) -> Iterator[None]:
    """Cut a file off while the block runs."""
    content = path.read_bytes()
    path.write_bytes(content[:length])
    try:
        yield
    finally:
        path.write_bytes(content)


@contextmanager
def swapped(path: Path, other: Path) -> Iterator[None]:
    """Put another bundle's file in a file's place while the block runs."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    shutil.copyfile(other, path)
    try:
        yield
    finally:
        aside.replace(path)


def flips(bundle: Path, count: int, seed: int) -> Iterator[tuple[str, str, int]]:
    """Yield the file, an outcome and how many questions had it, for bits flipped at places drawn over all files."""
    whole = {question: ask(bundle, question) for question in QUESTIONS}
    files = sorted(bundle.iterdir())
    random = np.random.default_rng(seed)
    for _ in range(count):
        # Half by size, half by file: else the small files would never be met.
        sizes = np.array([path.stat().st_size for path in files], dtype=float)
        weights = sizes / sizes.sum() if random.random() < 0.5 else np.full(len(files), 1 / len(files))
        path = files[random.choice(len(files), p=weights)]
        with flipped(path, int(random.integers(path.stat().st_size)), int(random.integers(8))):
            for outcome, number in Counter(judge(bundle, path.name, each, whole[each]) for each in whole).items():
                yield path.name, outcome, number


def cuts(bundle: Path, count: int, seed: int) -> Iterator[tuple[str, str, int]]:
    """Yield the same for files that are cut off."""
    whole = {question: ask(bundle, question) for question in QUESTIONS}
    random = np.random.default_rng(seed)
    for path in sorted(bundle.iterdir()):
        for length in random.integers(path.stat().st_size, size=count).tolist():
            with cut(path, length):
                for outcome, number in Counter(judge(bundle, path.name, each, whole[each]) for each in whole).items():
                    yield path.name, outcome, number


def swaps(bundle: Path, other: Path) -> Iterator[tuple[str, str, int]]:
    """Yield the same for files of another bundle, of the same size or not."""
    whole = {question: ask(bundle, question) for question in QUESTIONS}
    for path in sorted(bundle.iterdir()):
        if path.read_bytes() == (other / path.name).read_bytes():
            continue
        # A manifest of another bundle is found out by the files it describes.
        with swapped(path, other / path.name):
            named = "" if path.name == "manifest.json" else path.name
            for outcome, number in Counter(judge(bundle, named, each, whole[each]) for each in whole).items():
                yield path.name, outcome, number


def main() -> None:
    """Read the options, build two small bundles of the bundled model, print what became of every question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundles = two_bundles(Path(folder))
        for name, outcomes in (
            (f"{options.flips} bits flipped", flips(bundles[0], options.flips, options.seed)),
            (f"{options.cuts} cuts of each file", cuts(bundles[0], options.cuts, options.seed)),
            ("files swapped", swaps(bundles[0], bundles[1])),
        ):
            found: Counter[str] = Counter()
            for file, outcome, number in outcomes:
                found[outcome] += number
                if outcome not in ("same answer", "refused"):
                    print(f"{file}: {outcome}", file=sys.stderr)
            print(f"{name:<24} " + ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(found.items())))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
