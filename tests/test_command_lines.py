"""Nonsense on the command line, some hundred lines of `benchmarks/fuzz_commands.py`: an answer or one clear line."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, invoke

sys.path.append(str(ROOT / "benchmarks"))
import fuzz_commands
from fuzz_commands import Program

SLOW = frozenset({"crosscheck", "plot", "report", "verify"})
LINES = 25
"""In each test: enough to meet every command, and few enough to name the one that fails."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle, and files of many kinds."""
    folder = tmp_path_factory.mktemp("command-lines")
    fuzz_commands.make_folder(folder)
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write what is written without a name of its own to a temporary folder, and ask no server for a model."""
    monkeypatch.chdir(folder / "out")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("seed", range(8))
def test_questions(seed: int, folder: Path) -> None:
    program = Program("query", folder, 0.2, left_out=fuzz_commands.SERVERS | SLOW)
    for number in range(LINES):
        line = json.loads(program.mutate(np.random.default_rng([seed, number])))
        fuzz_commands.run("query", line)


@pytest.mark.parametrize("seed", range(4))
def test_builds(seed: int, folder: Path) -> None:
    program = Program("build", folder, 0.07)
    for number in range(LINES):
        line = json.loads(program.mutate(np.random.default_rng([seed, number])))
        fuzz_commands.run("build", line)


@pytest.mark.parametrize("command", sorted(SLOW))
@pytest.mark.parametrize(
    "typed", [["--index", "absent"], ["--index", ""], ["--index", "\udcff"], ["--index", "x" * 5000], ["--nothing"]]
)
def test_slow_commands(command: str, typed: list[str], folder: Path) -> None:
    assert fuzz_commands.run("query", [command, *typed]) is not None


def test_a_factory_that_would_overflow_the_stack(folder: Path) -> None:
    """FAISS itself ends the process."""
    outcome = invoke("build_index.py", folder / "files" / "gamma.npy", "--overwrite", "--index-factory", "x" * 100_000)
    assert (outcome.code, outcome.err) == (2, "error: --index-factory has 100000 characters, more than 200\n")


def test_every_command_is_tried(folder: Path) -> None:
    program = Program("query", folder, 0.2)
    tried = {json.loads(program.mutate(np.random.default_rng(number)))[0] for number in range(2000)}
    assert set(fuzz_commands.commands("query")) - fuzz_commands.SERVERS <= tried


@pytest.mark.parametrize("program", ["query", "build"])
def test_every_option_is_tried(program: str, folder: Path) -> None:
    tried = {
        word
        for number in range(3000)
        for word in json.loads(Program(program, folder, 0.2).mutate(np.random.default_rng(number)))
    }
    commands = fuzz_commands.commands(program)
    known = {
        each.opts[0]
        for name, parameters in commands.items()
        for each in parameters
        if name not in fuzz_commands.SERVERS and each.param_type_name == "option"
    }
    assert known - tried <= {"--help", "--index"}


@pytest.mark.parametrize("printed", ["\x1b[2J", "a\rb", "\u202e", "\x07", "\x9b1m"])
def test_what_a_terminal_obeys_is_seen(printed: str) -> None:
    with pytest.raises(AssertionError, match="was printed"):
        fuzz_commands.require_harmless(f"one\n{printed} two")


def test_every_token_of_a_bundle_answers(folder: Path) -> None:
    assert fuzz_commands.ask_every_token(folder / "bundle") == 0


def test_a_wrong_answer_to_a_token_is_seen(folder: Path) -> None:
    """The check itself: the answer to one token is no answer to another, nor a list of others' ids."""
    ids = {f"#{token_id}": [token_id] for token_id in (3, 4)}
    assert fuzz_commands.ask_tokens(folder / "bundle", ids) == ids
    assert fuzz_commands.ask_tokens(folder / "bundle", {"#3": [4]}) != {"#3": [4]}
    assert fuzz_commands.ask_tokens(folder / "bundle", {"no such token": [3, 4]}) != {"no such token": [3, 4]}


def test_a_text_of_several_tokens_lists_their_ids(folder: Path) -> None:
    table = pq.read_table(folder / "bundle" / "tokens.parquet", columns=["token_id", "text"])
    shared = [row["token_id"] for row in table.to_pylist() if row["text"] == "\ufffd"]
    outcome = invoke("query.py", "neighbors", "\ufffd", "--index", folder / "bundle")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {len(shared)} tokens have the text ")
    assert all(f"#{token_id}" in outcome.err for token_id in shared[:10])
