"""Nonsense on the command line: every command of both programs gets an answer or one clear line, never a traceback.

Command lines are made from the programs' own commands, arguments and options, with values of every kind: huge, negative
and no numbers, empty and enormous texts, escape sequences, bytes that are no UTF-8, files that are none. They run in
worker processes; another exit code than 0, 1 or 2, or more than one line of error, is a finding.

python benchmarks/fuzz_commands.py --lines 10000
python benchmarks/fuzz_commands.py --tokens BUNDLE    every token by its #id, its text and its piece
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import models  # noqa: E402
import numpy as np  # noqa: E402

from index.tokens.display import display  # noqa: E402

TERMINAL = {"COLUMNS": "100", "NO_COLOR": "1"}
APPS = {"query": "query", "build": "build_index"}
OPTIONS = {"query": 0.2, "build": 0.07}
"""The share of its options that a line has; a build has many, and one wrong ends it."""
SERVERS = frozenset({"explore"})
"""Commands that do not end by themselves."""
OUTPUTS = {"--out", "--parquet", "--save", "--svg"}
ISOLATES = "\u2066\u2068\u2069"
ROWS, WIDTH = 345, 12

NUMBERS = (
    *(
        "0",
        "1",
        "-1",
        "2",
        "7",
        "20",
        "30",
        "99",
        "100",
        "344",
        "345",
        "1000",
        "2147483647",
        "2147483648",
        "4294967296",
    ),
    *(
        "-9223372036854775808",
        "9" * 30,
        "9" * 5000,
        "1e9",
        "1e309",
        "nan",
        "inf",
        "-inf",
        "0.5",
        "-0.0",
        "1e-320",
        "1e-6",
    ),
    *("٣", "1_000", "0x10", " 5", "", "1,2", "10,30", "5.", "true", "None"),
)
TEXTS = (
    *(
        "",
        " ",
        "the",
        "planet",
        "Ġthe",
        "#0",
        "#7",
        "#40",
        "#344",
        "#345",
        "#-1",
        "#",
        "#" + "9" * 40,
        "the planet",
        "  ",
    ),
    *(
        "\x1b[31mred",
        "\u202eright",
        "\udcff",
        "\ud800",
        "\n",
        "a\tb",
        "\x00"[:0],
        "é" * 999,
        "x" * 100_000,
        "\u0301",
        "\ufeff",
    ),
    *("' the' - the", "- the", "the +", "'", '"', "+", "-", "the - the", "the + #40 - #7", "'a''b'", "++", "the the"),
    *(
        "kind=",
        "kind=word",
        "script=Latin,Han",
        "script=\x1b[2J",
        "kind=nothing",
        "=",
        "[red]x[/red]",
        "[/]",
        "{}",
        "%s",
    ),
    *("causal", "cosine", "causal,cosine", "cosine,causal-cosine", "causal,causal", "notebook", "distinct", "multiset"),
    *(
        "norm",
        "density",
        "hubness",
        "overlap",
        "knn-csr",
        "umap",
        "edges",
        "projector",
        "word2vec",
        "distances",
        "atlas",
    ),
    *("IVF4,Flat", "HNSW8", "PQ999", "IVF999999,Flat", "cpu", "auto", "cuda", "mps", "日本語", "\\", "$(id)", "; id"),
)


@dataclass(frozen=True)
class Program:
    """One of the two programs, in the form that `fuzz.py` reads inputs with: an input is a command line as JSON.

    Attributes
    ----------
    name : str
        A key of `APPS`.
    folder : Path
        From `make_folder`.
    options : float
        The share of its options that a line has.
    left_out : frozenset of str
        Commands that are not tried.
    seconds, megabytes : int
        How long a line may take, and how much memory.
    """

    name: str
    folder: Path
    options: float
    left_out: frozenset[str] = SERVERS
    seconds: int = 60
    megabytes: int = 4000

    def prepare(self, folder: Path) -> None:
        """Load what every command needs, so that it does not count as its memory."""
        importlib.import_module(APPS[self.name])
        importlib.import_module("torch")

    def mutate(self, rng: np.random.Generator) -> bytes:
        """Return a random command line."""
        command = commands(self.name)
        line: list[str] = []
        if self.name == "query":
            name = str(rng.choice(sorted(set(command) - self.left_out)))
            line.append(name if rng.random() < 0.99 else self._any(rng, TEXTS))
            parameters = command[name]
        else:
            parameters = command[""]
            line += ["--overwrite"] if rng.random() < 0.8 else []
        for parameter in parameters:
            line += self._typed(parameter, rng)
        if rng.random() < 0.05:
            line.insert(
                int(rng.integers(len(line) + 1)), self._any(rng, ("--nothing", "-x", "--", "--help", "---", "-9"))
            )
        if self.name == "query" and rng.random() < 0.97:
            line += ["--index", str(self.folder / "bundle")]
        return json.dumps(line).encode()

    def write(self, folder: Path, content: bytes) -> None:
        """Keep the command line where `read` finds it."""
        (folder / "line.json").write_bytes(content)

    def read(self, folder: Path) -> None:
        """Run the command line; LogoscopeError when it was refused in one line."""
        from index.errors import LogoscopeError

        line = json.loads((folder / "line.json").read_bytes())
        refused = run(self.name, line)
        if refused is not None:
            raise LogoscopeError(refused)

    def _any(self, rng: np.random.Generator, values: tuple[str, ...]) -> str:
        return values[rng.integers(len(values))]

    def _typed(self, parameter: Any, rng: np.random.Generator) -> Iterator[str]:
        """Yield what is typed for an argument or an option, which may be nothing."""
        name = parameter.opts[0]
        if parameter.param_type_name == "argument":
            counts = (0, 1, 1, 1, 1, 2) if self.name == "query" else (1,)  # without a SOURCE a whole model is built
            for _ in range(rng.choice(counts)):
                yield self._value(parameter, rng)
        elif name not in ("--index", "--help") and (rng.random() < self.options or parameter.required):
            yield name
            if not parameter.is_flag:
                yield from (self._value(parameter, rng) for _ in range(parameter.nargs))

    def _value(self, parameter: Any, rng: np.random.Generator) -> str:
        kind = parameter.type.name
        if parameter.name == "source" and rng.random() < 0.6:
            return str(self.folder / "files" / "gamma.npy")
        if parameter.opts[0] in OUTPUTS:
            return str(
                self.folder / "out" / self._any(rng, ("a", "b.parquet", "c.npz", "sub/d", "e\u202e", "x" * 300, "."))
            )
        if rng.random() < 0.1:
            return self._any(rng, NUMBERS + TEXTS + self._files())
        if kind in ("integer", "float"):
            return self._any(rng, NUMBERS)
        if kind in ("path", "file") or parameter.name in ("source", "sample", "tokenizer"):
            return self._any(rng, self._files())
        if parameter.name in ("among", "distances") and rng.random() < 0.5:
            return self._any(rng, self._files())
        return self._any(rng, TEXTS)

    def _files(self) -> tuple[str, ...]:
        inside = tuple(str(self.folder / "files" / name) for name in sorted(os.listdir(self.folder / "files")))
        return (
            *inside,
            "/dev/null",
            "/dev/zero",
            "x" * 5000,
            "absent.npy",
            "\udcff.pt",
            "a\nb.npy",
            "",
            str(self.folder),
        )


@cache
def commands(program: str) -> dict[str, list[Any]]:
    """Return the parameters of each command of a program, as Typer knows them."""
    import typer

    command = typer.main.get_command(importlib.import_module(APPS[program]).app)
    if not hasattr(command, "commands"):
        return {"": command.params}
    return {name: each.params for name, each in command.commands.items()}


def run(program: str, line: list[str]) -> str | None:
    """Run a command line in this process; return the error it was refused with, None when it was not.

    Raises
    ------
    Exception
        Whatever the program raised, and AssertionError for an exit code or an output that should not be.
    """
    from typer.testing import CliRunner

    done = CliRunner(env=TERMINAL).invoke(
        importlib.import_module(APPS[program]).app, line, input=b"the\n\xff\n\nno such token\n"
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code not in (0, 1, 2):
        raise AssertionError(f"exit code {done.exit_code}")
    if done.stderr.lstrip().startswith("Usage: ") and done.exit_code == 2:
        return "Typer's own box, which repeats what was typed"
    if "--csv" not in line:  # has the exact texts
        require_harmless(done.stdout)
    require_harmless(done.stderr)
    if done.exit_code != 2:
        return None
    lines = done.stderr.splitlines()
    many = [each for each in lines if ", line " in each]  # one for each line of a file
    if len(lines) - len(many) > 1 or not all(each.startswith("error: ") for each in lines):
        raise AssertionError(f"no clear line: {done.stderr[:2000]!r}")
    return lines[-1].translate(dict.fromkeys(map(ord, ISOLATES)))[:1900] if lines else "nothing"


def require_harmless(printed: str) -> None:
    """Raise AssertionError when something was printed that a terminal would obey."""
    wrong = {character for character in printed if not character.isprintable() and character not in "\n" + ISOLATES}
    if wrong:
        raise AssertionError(f"{wrong} was printed: {printed[:500]!r}")


def make_folder(folder: Path) -> None:
    """Make a small bundle, files of many kinds beside it, and a place for what is written."""
    from index.build.build import build
    from index.build.settings import Settings

    rng = np.random.default_rng(11)
    gamma = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    gamma[40], gamma[7] = gamma[90], 0
    (folder / "files").mkdir()
    (folder / "out").mkdir()
    files = folder / "files"
    np.save(files / "gamma.npy", gamma)
    models.byte_level_tokenizer().save(str(files / "tokenizer.json"))
    build(Settings(source=str(files / "gamma.npy"), tokenizer=str(files / "tokenizer.json"), out=folder / "bundle"))
    np.save(files / "sample.npy", rng.permutation(ROWS)[:150])
    np.save(files / "square.npy", np.zeros((ROWS, ROWS), np.float32))
    np.save(files / "objects.npy", np.array([{}]), allow_pickle=True)
    (files / "ids.txt").write_text("1 2, #3\n40\n")
    (files / "tokens.txt").write_bytes(b"the\n#7\n\xff\xfe\n\n planet\n")
    (files / "empty.pt").touch()
    (files / "noise.pt").write_bytes(rng.bytes(1000))
    (files / "\x1b[31m.gguf").write_bytes(b"GGUF" + rng.bytes(1000))


def ask_every_token(bundle: Path) -> int:
    """Ask for every token by #id, text and piece; return how many answers were neither it nor the ids that share it."""
    import pyarrow.parquet as pq

    table = pq.read_table(bundle / "tokens.parquet", columns=["token_id", "text", "piece"])
    ids, texts, pieces = (table[name].to_pylist() for name in ("token_id", "text", "piece"))
    by_text, by_piece = defaultdict(list), defaultdict(list)
    printed = {display(text, piece): token_id for token_id, text, piece in zip(ids, texts, pieces, strict=True)}
    for token_id, text, piece in zip(ids, texts, pieces, strict=True):
        by_text[text].append(token_id)
        if text is not None and "\\" in text and text in printed:  # the text may be how another token is printed
            by_text[text] = sorted({*by_text[text], printed[text]})
        by_piece[piece].append(token_id)
    wrong = 0
    for way, typed in (("#id", [f"#{token_id}" for token_id in ids]), ("text", texts), ("piece", pieces)):
        expected = {
            each: [int(each[1:])] if way == "#id" else by_text[each] or by_piece[each] or by_text[f" {each}"]
            for each in typed
            if each not in (None, "", "-")
        }
        started = time.perf_counter()
        found = [ask_tokens(bundle, part) == part for part in parts_of(expected)]
        wrong += found.count(False)
        shared = sum(len(owners) > 1 for owners in expected.values())
        print(
            f"{way:<6}{len(expected):>8,} asked, {shared:,} shared by several tokens, {found.count(False)} wrong, "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )
    return wrong


def parts_of(expected: dict[str, list[int]]) -> Iterator[dict[str, list[int]]]:
    """Split what is to be asked: a hundred at once where an answer is due, one by one where an error is."""
    single = [each for each, owners in expected.items() if len(owners) == 1]
    for start in range(0, len(single), 100):
        yield {each: expected[each] for each in single[start : start + 100]}
    for each, owners in expected.items():
        if len(owners) != 1:
            yield {each: owners}


def ask_tokens(bundle: Path, expected: dict[str, list[int]]) -> dict[str, list[int]]:
    """Ask for tokens in one command; return the ids that answer to each, or that the error lists."""
    from typer.testing import CliRunner

    app = importlib.import_module(APPS["query"]).app
    done = CliRunner().invoke(app, ["neighbors", "--index", str(bundle), "--top", "1", "--json", "--", *expected])
    if done.exit_code == 0:
        found = json.loads(done.stdout)
        return {each: [answer["token"]["id"]] for each, answer in zip(expected, found, strict=True)}
    (each, owners), *others = expected.items()
    listed = all(f"#{token_id}" in done.stderr for token_id in owners[:10])
    return {each: owners} if not others and listed and done.stderr.count("\n") == 1 else {}


def main() -> None:
    """Read the options, run the command lines and print the table."""
    import fuzz

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000, help="of both programs; a tenth builds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokens", type=Path, metavar="BUNDLE", help="ask for every token of a bundle instead")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub
    if options.tokens is not None:
        sys.exit(min(ask_every_token(options.tokens), 1))
    found = Path(tempfile.mkdtemp(prefix="fuzz-findings-"))
    fuzz.print_head()
    findings = 0
    folder = Path(tempfile.mkdtemp(prefix="fuzz-commands-"))
    make_folder(folder)
    os.chdir(folder / "out")  # where a command writes without being told where
    for name, lines in (("query", options.lines * 9 // 10), ("build", options.lines // 10)):
        findings += fuzz.report(Program(name, folder, OPTIONS[name]), lines, options.seed, found)
    shutil.rmtree(folder)
    print(f"{findings} findings" + (f", saved in {found}" if findings else ""))
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
