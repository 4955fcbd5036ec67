"""`find`: which tokens a text can mean."""

import csv
import re
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Built, build, invoke, query
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from index.errors import TokenError
from index.pictures.explore.suggest import Suggestions
from index.questions.find import WAYS, find
from index.sources.load import load
from index.tokens.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def tokens(smollm2: Built) -> list[tuple[int, str, str]]:
    table = pq.read_table(smollm2.path / "tokens.parquet", columns=["token_id", "text", "piece"]).to_pydict()
    return list(zip(table["token_id"], table["text"], table["piece"], strict=True))


def expected(tokens: list[tuple[int, str, str]], text: str) -> dict[str, list[int]]:
    """Word by word, each token in the first way that fits. Enough for ASCII, whose only other form is case."""
    found: dict[str, list[int]] = {way: [] for way in ("exact", "with_space", "other_cases", "pieces", "prefixes")}
    for token_id, its, piece in tokens:
        if its == text:
            found["exact"].append(token_id)
        elif its == " " + text:
            found["with_space"].append(token_id)
        elif text.strip() and its.strip().lower() == text.strip().lower():
            found["other_cases"].append(token_id)
        elif piece == text:
            found["pieces"].append(token_id)
        elif its.startswith((text, " " + text)):
            found["prefixes"].append(token_id)
    lengths = {token_id: len(its) for token_id, its, _ in tokens}
    found["prefixes"].sort(key=lambda token_id: (lengths[token_id], token_id))
    return found


@pytest.mark.parametrize("text", ["planet", " Planet", "the", "Ġplanet", " ", "\n", "q", "PLAN", "<", "xqzzyv"])
def test_every_way(text: str, tokens: list[tuple[int, str, str]], smollm2: Built) -> None:
    found: Any = invoke("query.py", "find", text, "--top", 60_000, "--json", "--index", smollm2.path)
    assert found.code == (0 if any(expected(tokens, text).values()) else 1)
    for way, ids in expected(tokens, text).items():
        assert [token["id"] for token in found.json[way]["tokens"]] == ids
        assert found.json[way]["count"] == len(ids)
    tokenizer = Tokenizer.from_file(str(smollm2.path / "tokenizer.json"))
    split = tokenizer.encode(text, add_special_tokens=False)
    assert [part["id"] for part in found.json["split"]] == split.ids
    if text.isascii():  # other characters may be several tokens, each of which stands for the whole
        assert "".join(part["text"] for part in found.json["split"]) == text


def test_known_words(smollm2: Built) -> None:
    found = query("find", "planet", "--top", 1, "--index", smollm2.path)
    assert found["exact"] == {
        "count": 1,
        "tokens": [{"row": 46835, "id": 46835, "text": "planet", "piece": "planet"}],
    }
    assert found["with_space"]["tokens"][0]["id"] == 3925
    assert found["other_cases"]["tokens"][0]["text"] == " Planet"
    assert found["prefixes"]["count"] == 3
    assert len(found["prefixes"]["tokens"]) == 1


def test_other_forms_of_characters(smollm2: Built) -> None:
    """A ligature, and full-width letters, are compatible forms (NFKC) of plain ones."""
    for typed in ("ﬁnd", "ＦＩＮＤ"):
        texts = [token["text"] for token in query("find", typed, "--index", smollm2.path)["other_cases"]["tokens"]]
        assert {"find", " find", "Find", " Find"} <= set(texts)


def test_no_token_is_an_answer_and_exit_code_1(smollm2: Built) -> None:
    done = invoke("query.py", "find", "xqzzyv", "--index", smollm2.path)
    assert done.code == 1
    assert done.err == "no token can be meant by 'xqzzyv'\n"
    assert "4 tokens: 'x' #104" in done.said


def test_parts_of_a_character_are_shown_as_bytes(smollm2: Built) -> None:
    found = invoke("query.py", "find", "日本", "--json", "--index", smollm2.path).json["split"]
    assert [(part["id"], part["text"]) for part in found] == [(23274, "\ufffd"), (115, "\ufffd"), (40993, "本")]
    said = invoke("query.py", "find", "日本", "--index", smollm2.path).said
    assert "'\\xe6\\x97' #23274, '\\xa5' #115, '本' #40993" in said


def folding_vocabulary() -> Vocabulary:
    """A tokenizer that composes and folds case before it splits, and what it makes of a text it does not know."""
    pieces = ["[UNK]", "é", "f", "fé", "e", "x"]
    model = models.WordLevel({piece: token_id for token_id, piece in enumerate(pieces)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["[UNK]"])
    return Vocabulary.from_tokens(pieces, pieces, special={0}, tokenizer_json=tokenizer.to_str())


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("e\u0301", [(1, "é")]),
        ("FE\u0301", [(3, "fé")]),
        ("fe\u0301 X e\u0301", [(3, "fé"), (5, "x"), (1, "é")]),
    ],
)
def test_the_parts_of_a_normalized_text_are_the_tokens_own(typed: str, parts: list[tuple[int, str]]) -> None:
    assert [(part.id, part.text) for part in folding_vocabulary().split(typed)] == parts


def test_the_parts_that_a_sample_lacks_have_their_own_text_too() -> None:
    sample = folding_vocabulary().take(np.array([2, 4]))
    assert [(part.id, part.text, part.row) for part in sample.split("F FE\u0301")] == [(2, "f", 0), (3, "fé", None)]


def test_the_one_token_that_the_tokenizer_makes_is_found_and_offered() -> None:
    vocabulary = folding_vocabulary()
    found = find(SimpleNamespace(vocabulary=vocabulary), "FE\u0301")  # type: ignore[arg-type]
    assert [token.id for token in found.tokenized.tokens] == [3]
    assert found.ok
    assert Suggestions(vocabulary).rows("FE\u0301")[0] == 3
    with pytest.raises(TokenError, match=r"; the tokenizer makes one token of it: 'fé' #3"):
        vocabulary.resolve("FE\u0301")


def test_the_unknown_token_is_no_answer() -> None:
    vocabulary = folding_vocabulary()
    assert vocabulary.single("zzz") is None
    with pytest.raises(TokenError) as error:
        vocabulary.resolve("zzz")
    assert "one token" not in str(error.value)


def test_what_is_no_text(smollm2: Built) -> None:
    assert invoke("query.py", "find", "", "--index", smollm2.path).err == (
        "error: TEXT is empty; every token begins with that\n"
    )
    done = invoke("query.py", "find", "a", "--top", 0, "--index", smollm2.path)
    assert (done.code, done.err) == (2, "error: --top must be 1 or more, got: 0\n")
    stray = invoke("query.py", "find", "\udcff", "--index", smollm2.path)  # an argument that is no UTF-8
    assert (stray.code, stray.err) == (1, "no token can be meant by '\\udcff'\n")


def test_without_a_tokenizer(tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", np.random.default_rng(1).normal(size=(60, 4)))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bare", "--neighbors", 20)
    done = invoke("query.py", "find", "a", "--index", tmp_path / "bare")
    assert done.code == 1
    assert "no tokenizer" in done.said


def test_a_part_that_a_sample_does_not_hold(smollm2_sample: Built) -> None:
    found = invoke("query.py", "find", "planet", "--json", "--index", smollm2_sample.path).json
    table = pq.read_table(smollm2_sample.path / "tokens.parquet", columns=["token_id"]).to_pydict()
    held = {token_id: row for row, token_id in enumerate(table["token_id"])}
    for typed in ("planet", "the", "over the hill"):
        found = invoke("query.py", "find", typed, "--json", "--index", smollm2_sample.path).json
        assert all(part["row"] == held.get(part["id"]) for part in found["split"])


def test_a_text_whose_token_a_sample_does_not_hold() -> None:
    """The model has it, and the sample has not: that is said, with the id."""
    vocabulary = load(None).vocabulary.take(np.arange(1_000))
    said = "the model has 'planet' (#46835), which is not among the 1,000 tokens here"
    with pytest.raises(TokenError, match=re.escape(f"no token has the text 'planet'; {said}; closest")):
        vocabulary.resolve("planet")
    with pytest.raises(TokenError, match="no token has the id #46835: the model has 'planet' there, but the 1,000 ids"):
        vocabulary.resolve("#46835")
    found = find(SimpleNamespace(vocabulary=vocabulary), "planet")  # type: ignore[arg-type]
    assert found.refusal == f"no token can be meant by 'planet'; {said}"


def test_the_token_behind_a_space_that_a_sample_does_not_hold() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, " b": 1, "c": 2}, unk_token="c"))
    sample = Vocabulary.from_tokens(["a", " b", "c"], ["a", " b", "c"], tokenizer_json=tokenizer.to_str())
    with pytest.raises(TokenError, match=r"the model has '␣b' \(#1\), which is not among the 2 tokens here"):
        sample.take(np.array([0, 2])).resolve("b")


def test_csv(smollm2: Built) -> None:
    done = invoke("query.py", "find", "planet", "--csv", "--index", smollm2.path)
    lines = list(csv.DictReader(StringIO(done.out)))
    assert [(line["match"], line["id"]) for line in lines][:3] == [
        ("exact", "46835"), ("with_space", "3925"), ("other_cases", "16728"),
    ]  # fmt: skip
    assert lines[-1]["match"] == "split"
    nothing = invoke("query.py", "find", "\udcff", "--csv", "--index", smollm2.path)
    assert nothing.out == "match,count,row,id,text,piece\n"


def test_an_id_is_found_as_it_is_elsewhere(tmp_path: Path) -> None:
    words = {f"w{number}": number for number in range(29)} | {"#3": 29}
    Tokenizer(models.WordLevel(words, unk_token="w0")).save(str(tmp_path / "tokenizer.json"))
    np.save(tmp_path / "gamma.npy", np.random.default_rng(1).normal(size=(30, 4)))
    options = ["--tokenizer", tmp_path / "tokenizer.json", "--out", tmp_path / "b", "--neighbors", 5]
    build(tmp_path / "gamma.npy", *options, "--density-k", 5)
    found = query("find", "#3", "--index", tmp_path / "b")
    assert {way: [token["id"] for token in found[way]["tokens"]] for way in WAYS if found[way]["count"]} == {
        "by_id": [3],  # which `neighbors '#3'` takes it for
        "exact": [29],
    }
    assert query("neighbors", "#3", "--index", tmp_path / "b")[0]["token"]["id"] == 3
    assert "this id" in invoke("query.py", "find", "#12", "--index", tmp_path / "b").out
    assert invoke("query.py", "find", "#30", "--index", tmp_path / "b").code == 1


def test_a_vocabulary_without_texts_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", np.random.default_rng(1).normal(size=(30, 4)))
    built = invoke(
        "build_index.py", tmp_path / "gamma.npy", "--out", tmp_path / "b", "--neighbors", 5, "--density-k", 5
    )
    assert "no row has a text: tokens are named by their ids, unless --tokenizer gives them theirs" in built.err
    assert "no token of the tokenizer" not in built.err
    for asked, code in (("find", 1), ("neighbors", 2)):
        done = invoke("query.py", asked, "planet", "--index", tmp_path / "b")
        assert done.code == code
        assert "no token here has a text; name one by its id, as in '#7'" in done.err
    assert invoke("query.py", "find", "#7", "--index", tmp_path / "b").code == 0
