"""What a shell or a habit does to a command line, answered with the line to type."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, build, invoke
from tokenizers import Tokenizer, models

WORDS = ["king", " king", "man", " man", "woman", " woman", "3", "planet", *(f"w{number}" for number in range(52))]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("typed")
    vocabulary = {word: token_id for token_id, word in enumerate(WORDS)}
    Tokenizer(models.WordLevel(vocabulary, unk_token="w0")).save(str(folder / "tokenizer.json"))
    np.save(folder / "gamma.npy", np.random.default_rng(1).normal(size=(len(WORDS), 6)))
    options = ["--tokenizer", folder / "tokenizer.json", "--neighbors", 20]
    build(folder / "gamma.npy", *options, "--out", folder / "data" / "indexes" / "small")
    return folder


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["analogy", "king", "-", "man", "+", "woman"], "analogy 'king - man + woman'"),
        (["analogy", "king", "-man", "--top", "3"], "analogy 'king -man'"),
        (["find", "the", "planet"], "find 'the planet'"),
        (["within"], "within '#7'"),
        (["analogy"], "analogy '#7'"),
        (["rank", "planet"], "rank planet '#7'"),
        (["neighbors"], "the shell takes it for a comment: '#7'"),
        (["neighbors", "7"], "the token of this id is '#7': 'planet'"),
    ],
)
def test_the_line_to_type_is_shown(typed: list[str], shown: str) -> None:
    done = invoke("query.py", *typed)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert shown in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("program", "typed", "said"),
    [
        ("query.py", ["extremes"], "missing argument 'MEASURE'; root extremes --help says how"),
        ("query.py", ["densest", "foo"], "got unexpected extra argument(s) (foo); root densest --help says how"),
        (
            "query.py",
            ["neighbors", "king", "--top", "x"],
            "'--top': 'x' is no whole number; root neighbors --help",
        ),
        ("query.py", ["neighbors", "king", "--top"], "option '--top' requires an argument; root neighbors --help"),
        ("query.py", ["neighbors", "king", "--json=3"], "option '--json' does not take a value; root neighbors --help"),
        ("query.py", ["neighbors", "king", "--nope"], "no such option: --nope"),
        ("query.py", ["neighbors", "king", "--\x1b[31mnope"], r"no such option: --\x1b[31mnope"),
        ("query.py", ["nope"], "no such command 'nope'; root --help says how"),
        ("query.py", ["--nope"], "no such option: --nope; root --help says how"),
        (
            "query.py",
            ["explore", "--port", "x"],
            "'--port': 'x' is no whole number; root explore --help",
        ),
        ("query.py", ["within", "king", "--similarity", "x"], "'x' is no number; root within --help says how"),
        ("build_index.py", ["--ridge", "x"], "invalid value for '--ridge': 'x' is no number; build-index --help"),
        ("build_index.py", ["a", "b"], "got unexpected extra argument(s) (b); build-index --help says how"),
    ],
)
def test_wrong_use_of_either_program_is_one_line(program: str, typed: list[str], said: str) -> None:
    done = invoke(program, *typed)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that takes nothing is Linux's")
@pytest.mark.parametrize(
    ("program", "typed"),
    [("query.py", "--help"), ("query.py", ""), ("query.py", "neighbors --help"), ("build_index.py", "--help")],
)
def test_help_that_cannot_be_printed_is_one_line(program: str, typed: str) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, ROOT / program, *typed.split()]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output cannot be written: No space left on device")
    assert done.stderr.count("\n") == 1


def test_an_id_that_is_a_text_is_the_text() -> None:
    assert invoke("query.py", "neighbors", "3", "--json").json[0]["token"]["id"] == 6


def test_terms_that_continue_a_word() -> None:
    done = invoke("query.py", "analogy", "king - ' man' + woman + #7")
    assert done.code == 0
    assert done.err == (
        "'king' (#0) continues a word, '␣king' (#1) begins one; "
        "'woman' (#4) continues a word, '␣woman' (#5) begins one: "
        "\"' king' - #3 + ' woman' + #7\"\n"
    )
    assert invoke("query.py", "analogy", "' king' - #2 + planet").err == ""


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_one_bad_token_leaves_the_others_answered(form: list[str]) -> None:
    good, both = (
        invoke("query.py", "neighbors", *names, *form) for names in (("king", "planet"), ("king", "zz", "planet"))
    )
    assert (good.code, both.code) == (0, 2)
    assert both.out == good.out
    assert both.err.startswith("error: no token has the text 'zz'")
    bad = invoke("query.py", "neighbors", "zz", *form)
    assert (bad.code, bad.out) == (2, "")


def test_a_bundle_is_found_by_its_name(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = invoke("query.py", "info", "--json").out
    assert invoke("query.py", "info", "--json", "--index", "small").out == wanted
    assert "absent" in invoke("query.py", "info", "--index", "absent").err
    (home / "small").mkdir()  # a path goes before a name
    try:
        assert invoke("query.py", "info", "--index", "small").code == 2
    finally:
        (home / "small").rmdir()


@pytest.mark.parametrize("question", [["neighbors", ""], ["within", "", "--radius", "3"], ["distance", "king", ""]])
def test_an_empty_text_is_no_token(question: list[str]) -> None:
    done = invoke("query.py", *question)
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: an empty text names no token; type one, ' ' for a space, or a '#id'\n"


def test_a_text_as_it_is_printed_is_understood() -> None:
    assert invoke("query.py", "neighbors", "␣king", "--json").json[0]["token"]["text"] == " king"


def test_a_sum_that_is_zero_says_so() -> None:
    done = invoke("query.py", "analogy", "planet - planet", "--json")
    assert done.code == 0
    assert done.err == "the sum is zero and has no direction: the causal list is of the rows nearest to zero\n"
    assert done.json["undefined"] == ["cosine", "causal_cosine"]
    assert len(done.json["causal"]) > 0
    assert "undefined" not in invoke("query.py", "analogy", "planet - king", "--json").json
