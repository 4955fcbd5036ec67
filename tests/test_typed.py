"""What a shell or a habit does to a command line, answered with the line to type."""

from pathlib import Path

import numpy as np
import pytest
from conftest import build, invoke
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


def test_other_wrong_use_is_told_as_before() -> None:
    for typed, said in (
        (["extremes"], "Missing argument 'MEASURE'"),
        (["densest", "foo"], "unexpected extra argument"),
    ):
        done = invoke("query.py", *typed)
        assert done.code == 2
        assert said in done.said


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
