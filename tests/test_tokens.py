"""Texts and pieces: what a model's own tokenizer makes of each of its tokens."""

import json
from pathlib import Path

import models
import numpy as np
import pytest
from conftest import invoke
from gguf import TokenType
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from index.errors import SourceError, TokenError
from index.sources.gguf_tokens import SPLITS
from index.sources.load import Source, load
from index.tokens.display import LONGEST_EXCERPT
from index.tokens.vocabulary import Vocabulary

ROWS = 400
MATRIX = np.ones((ROWS, 32), np.float32)


@pytest.fixture(scope="module")
def bundled() -> Source:
    return load(None)


def test_bundled_texts(bundled: Source) -> None:
    vocabulary = bundled.vocabulary
    assert len(vocabulary) == 49_152
    assert [vocabulary.text(row) for row in (7, 8, 45175)] == ["<gh_stars>", "<issue_start>", " transistorsum"]
    assert vocabulary.pieces[45175].as_py() == "Ġtransistorsum"
    assert [row for row in range(49_152) if vocabulary.kinds[row].as_py() == "special"] == list(range(17))


def test_bundled_tokenizer_splits_as_the_model_does(bundled: Source) -> None:
    """Each whole text is its own single token, digits stand alone, and a word keeps its space."""
    tokenizer = Tokenizer.from_str(str(bundled.vocabulary.tokenizer_json))
    texts = bundled.vocabulary.texts.to_pylist()
    whole = [row for row, text in enumerate(texts) if "\ufffd" not in text]
    encoded = tokenizer.encode_batch([texts[row] for row in whole], add_special_tokens=False)
    assert [encoding.ids for encoding in encoded] == [[row] for row in whole]
    assert tokenizer.encode("hello world 2001").tokens == ["hello", "Ġworld", "Ġ", "2", "0", "0", "1"]
    assert [tokenizer.decode([row], skip_special_tokens=False) for row in range(49_152)] == texts


def tokens(folder: Path, tokenizer: Path, rows: int = ROWS) -> Vocabulary:
    """The tokens that a tokenizer gives a bare matrix."""
    np.save(folder / "gamma.npy", np.ones((rows, 32), np.float32))
    return load(str(folder / "gamma.npy"), tokenizer=str(tokenizer)).vocabulary


def test_texts_are_what_transformers_decodes(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    models.save_tokenizer(tmp_path, models.byte_level_tokenizer())
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    vocabulary = tokens(tmp_path, tmp_path)
    size = len(theirs)
    assert size == models.TOKENS
    assert vocabulary.texts.to_pylist()[:size] == [
        theirs.decode([row], skip_special_tokens=False, clean_up_tokenization_spaces=False) for row in range(size)
    ]
    assert vocabulary.pieces.to_pylist()[:size] == theirs.convert_ids_to_tokens(list(range(size)))
    assert vocabulary.texts.to_pylist()[size - 2 : size] == [models.SPECIAL, models.ADDED]
    assert [row for row in range(size) if vocabulary.kinds[row].as_py() == "special"] == [size - 2]
    assert vocabulary.texts.to_pylist()[size:] == vocabulary.pieces.to_pylist()[size:] == [None] * (ROWS - size)
    assert {vocabulary.kinds[row].as_py() for row in range(size, ROWS)} == {"orphan"}


def test_added_tokens_beyond_the_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    models.save_tokenizer(tmp_path, models.byte_level_tokenizer())
    every = tokens(tmp_path, tmp_path)
    short = tokens(tmp_path, tmp_path, rows=models.TOKENS - 2)
    assert short.texts.to_pylist() == every.texts.to_pylist()[: models.TOKENS - 2]
    assert (every.left_out, short.left_out) == (0, 2)
    assert short.take(np.arange(3)).left_out == 2


def test_a_build_says_that_added_tokens_are_left_out(tmp_path: Path) -> None:
    models.save_tokenizer(tmp_path, models.byte_level_tokenizer())
    np.save(tmp_path / "gamma.npy", np.random.default_rng(1).normal(size=(models.TOKENS - 1, 8)))
    options = ["--tokenizer", tmp_path, "--neighbors", 20, "--out", tmp_path / "bundle"]
    done = invoke("build_index.py", tmp_path / "gamma.npy", *options)
    assert done.code == 0
    assert "the tokenizer has 1 added token beyond the rows: left out\n" in done.err


def test_the_tokenizer_of_another_matrix_is_refused(tmp_path: Path) -> None:
    """One ordinary token beyond the rows is enough."""
    models.save_tokenizer(tmp_path, models.byte_level_tokenizer())
    ordinary = models.TOKENS - 2
    for rows in (50, ordinary - 1):
        with pytest.raises(SourceError, match=r"another matrix: .* ordinary ones beyond the") as error:
            tokens(tmp_path, tmp_path, rows=rows)
        assert f"{ordinary - rows} of its {models.TOKENS} tokens are ordinary" in str(error.value)
        assert f"(#{rows})" in str(error.value)
        assert str(error.value).endswith("give the matrix its own with tokenizer")


def test_a_message_names_a_long_token_by_its_beginning(tmp_path: Path) -> None:
    models.save_tokenizer(tmp_path, Tokenizer(WordLevel({"w0": 0, "x" * 4000: 7}, unk_token="w0")))
    with pytest.raises(SourceError, match=f"as '{'x' * LONGEST_EXCERPT}…' .#7."):
        tokens(tmp_path, tmp_path, rows=3)


@pytest.mark.parametrize(
    ("typed", "named"),
    [("x" * 150, f"closest: '{'x' * LONGEST_EXCERPT}…' (#1)"), ("1", f"the token of this id is '#1': '{'x' * 60}…'")],
)
def test_a_message_about_no_token_names_a_long_one_by_its_beginning(typed: str, named: str) -> None:
    long = "x" * 160
    vocabulary = Vocabulary.from_tokens(["w0", long], ["w0", long])
    with pytest.raises(TokenError) as error:
        vocabulary.resolve(typed)
    assert named in str(error.value)
    assert len(str(error.value)) < 300


def test_the_tokens_of_a_gguf_file_beyond_the_rows(tmp_path: Path) -> None:
    pieces = [f"▁{row}" for row in range(ROWS)] + ["<s>", "[UNUSED]"]
    types = [TokenType.NORMAL] * ROWS + [TokenType.CONTROL, TokenType.UNUSED]
    models.write_gguf(tmp_path / "x.gguf", MATRIX, tokenizer="llama", pieces=pieces, types=types)
    assert load(str(tmp_path / "x.gguf")).vocabulary.left_out == 2
    models.write_gguf(tmp_path / "y.gguf", MATRIX, tokenizer="llama", pieces=[*pieces, "▁more"])
    with pytest.raises(SourceError, match=r"3 of its 403 tokens are ordinary ones beyond the 400 rows"):
        load(str(tmp_path / "y.gguf"))


def test_sentencepiece_texts_keep_their_space(tmp_path: Path) -> None:
    tokenizer = models.sentencepiece_like_tokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    vocabulary = tokens(tmp_path, tmp_path)
    texts = {vocabulary.pieces[row].as_py(): vocabulary.text(row) for row in range(tokenizer.get_vocab_size())}
    assert texts["▁ab"] == " ab"
    assert texts["▁"] == texts["<0x20>"] == " "
    assert texts["a"] == texts["<0x61>"] == "a"
    assert texts["<0xE4>"] == "\ufffd"
    assert texts["<s>"] == "<s>"


def test_older_tokenizers_are_converted(tmp_path: Path) -> None:
    """GPT-2's own files, vocab.json and merges.txt, in place of a tokenizer.json."""
    trained = models.byte_level_tokenizer()
    trained.model.save(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    vocabulary = tokens(tmp_path, tmp_path)
    size = models.TOKENS - 2
    assert vocabulary.texts.to_pylist()[:size] == [trained.decode([row]) for row in range(size)]
    rebuilt = Tokenizer.from_str(str(vocabulary.tokenizer_json))
    assert rebuilt.encode("the planet").ids == trained.encode("the planet").ids


def test_tokens_that_only_the_configuration_knows(tmp_path: Path) -> None:
    tokenizer = models.byte_level_tokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    near, far = models.TOKENS, models.TOKENS + 9
    entries = {str(near): {"content": "[PAD]", "special": True}, str(far): {"content": "[FAR]", "special": True}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": entries}))
    vocabulary = tokens(tmp_path, tmp_path)
    assert (vocabulary.text(near), vocabulary.kinds[near].as_py()) == ("[PAD]", "special")
    assert vocabulary.text(far) is None  # its id is not the next one: transformers would give it another


@pytest.mark.parametrize("pre", sorted(SPLITS))
def test_gguf_tokenizer_is_rebuilt(pre: str, tmp_path: Path) -> None:
    """Texts are the trained tokenizer's, and the rebuilt one splits plain words as it does."""
    trained = models.byte_level_tokenizer()
    merges = [" ".join(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    pieces = [str(trained.id_to_token(row)) for row in range(models.TOKENS)]
    unused = ROWS - models.TOKENS
    types = (
        [TokenType.NORMAL] * (models.TOKENS - 2)
        + [TokenType.CONTROL, TokenType.USER_DEFINED]
        + [TokenType.UNUSED] * unused
    )
    pieces += [f"[PAD{row}]" for row in range(models.TOKENS, ROWS)]
    models.write_gguf(tmp_path / "x.gguf", MATRIX, pre=pre, pieces=pieces, types=types, merges=merges)
    vocabulary = load(str(tmp_path / "x.gguf")).vocabulary
    decoded = [trained.decode([row], skip_special_tokens=False) for row in range(models.TOKENS)]
    assert vocabulary.texts.to_pylist() == decoded + [None] * unused
    rebuilt = Tokenizer.from_str(str(vocabulary.tokenizer_json))
    for text in ("the planet and the star", "hello world naïve café", f"a{models.SPECIAL}b{models.ADDED}", "日本語"):
        assert rebuilt.encode(text).ids == trained.encode(text).ids


def test_gguf_of_a_sentencepiece_model(tmp_path: Path) -> None:
    pieces = ["<unk>", "<s>", "<0xE4>", "<0x0A>", "▁planet", "▁▁", "s"]
    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.BYTE, TokenType.BYTE, *[TokenType.NORMAL] * 3]
    models.write_gguf(tmp_path / "x.gguf", MATRIX, tokenizer="llama", pieces=pieces, types=types)
    vocabulary = load(str(tmp_path / "x.gguf")).vocabulary
    assert vocabulary.texts.to_pylist()[:8] == ["<unk>", "<s>", "\ufffd", "\n", " planet", "  ", "s", None]
    assert vocabulary.tokenizer_json is None
