"""What a tokenizer does with each token: planted tokens that no text leads to, and bytes that other text leads to."""

import json
from collections.abc import Mapping

import pytest
from models import SPECIAL, byte_level_tokenizer, sentencepiece_like_tokenizer
from tokenizers import Tokenizer

from index.tokens.classes import TokenClass, token_classes
from index.tokens.decoding import Decoder
from index.tokens.vocabulary import Vocabulary
from index.tokens.writing import reachable

NEVER = [0xC0, 0xC1, *range(0xF5, 0x100)]
"""Bytes that UTF-8 does not have (RFC 3629)."""
PLANTED = {
    "unreached": "zqx",  # no merge makes it
    "kelvin": "âĦª",  # U+212A, which the normalizer makes a K
    "halves": "ÃÃ",  # two first halves, one behind the other
    "inner": "ŁĴ",  # the second and third of the four bytes of many emoji; no merge makes it
    "merged": "Ċâ",  # a line break and the first byte of a dash: a merge makes it
    "control": "<pad>",  # no added token, and no merge makes it
}


@pytest.fixture(scope="module")
def planted() -> tuple[Vocabulary, dict[str, int]]:
    """A tokenizer trained here, with entries of its vocabulary added by hand."""
    file = json.loads(byte_level_tokenizer().to_str())
    file["normalizer"] = {"type": "NFC"}
    ids = dict(zip(PLANTED, range(len(file["model"]["vocab"]), 10_000), strict=False))
    for added in file["added_tokens"]:
        added["id"] += len(PLANTED)
    file["model"]["vocab"] |= {piece: ids[name] for name, piece in PLANTED.items()}
    file["model"]["merges"].append(["Ċ", "â"])
    return vocabulary_of(Tokenizer.from_str(json.dumps(file)), special={ids["control"]}), ids


def vocabulary_of(tokenizer: Tokenizer, special: set[int]) -> Vocabulary:
    by_id = {token_id: piece for piece, token_id in tokenizer.get_vocab().items()}
    pieces = [by_id.get(row) for row in range(max(by_id) + 3)]  # two rows without text
    decoder = Decoder(tokenizer, sorted(by_id.items()))
    texts = [None if piece is None else decoder.text(row) for row, piece in enumerate(pieces)]
    special = special | {tokenizer.token_to_id(piece) for piece in (SPECIAL, "<unk>", "<s>")} - {None}
    return Vocabulary.from_tokens(texts, pieces, special=special, tokenizer_json=tokenizer.to_str())


def classes_of(vocabulary: Vocabulary) -> Mapping[str | None, TokenClass]:
    """By piece; rows without text under None."""
    classes = token_classes(vocabulary, reachable(vocabulary))
    return dict(zip(vocabulary.pieces.to_pylist(), classes, strict=True))


def test_planted_tokens(planted: tuple[Vocabulary, dict[str, int]]) -> None:
    vocabulary, _ = planted
    found = classes_of(vocabulary)
    assert {name: found[piece] for name, piece in PLANTED.items()} == {
        "unreached": TokenClass.UNREACHABLE_SEVERAL,
        "kelvin": TokenClass.UNREACHABLE_ONE,
        "halves": TokenClass.UNDECODABLE,
        "inner": TokenClass.UNDECODABLE,
        "merged": TokenClass.BYTES,
        "control": TokenClass.UNREACHABLE_SPECIAL,
    }
    assert (found[SPECIAL], found["Ġplanet"], found[None]) == (TokenClass.SPECIAL, TokenClass.OK, TokenClass.ORPHAN)


def test_what_a_planted_text_becomes(planted: tuple[Vocabulary, dict[str, int]]) -> None:
    vocabulary, ids = planted
    split = {name: vocabulary.split(vocabulary.text(ids[name]) or "") for name in ("unreached", "kelvin")}
    assert [part.text for part in split["unreached"]] == ["z", "q", "x"]
    assert [part.text for part in split["kelvin"]] == ["K"]


def test_single_bytes_are_met_but_for_those_that_no_text_has(planted: tuple[Vocabulary, dict[str, int]]) -> None:
    """Of the alphabet of bytes each that UTF-8 has is met in the text of some character that has no token."""
    vocabulary, _ = planted
    tokenizer = Tokenizer.from_str(vocabulary.tokenizer_json or "")
    met = {
        i for code in range(0x80, 0x110000, 37) if not 0xD800 <= code < 0xE000 for i in tokenizer.encode(chr(code)).ids
    }
    found = classes_of(vocabulary)
    pieces = vocabulary.pieces.to_pylist()
    bytes_or_none = [
        row for row, piece in enumerate(pieces) if found[piece] in (TokenClass.BYTES, TokenClass.UNDECODABLE)
    ]
    singles = [row for row in bytes_or_none if len(pieces[row] or "") == 1]
    assert len(singles) == 128
    assert {row for row in singles if found[pieces[row]] is TokenClass.BYTES} == met & set(singles)
    undecodable = {ord((pieces[row] or "")[0]) for row in singles if found[pieces[row]] is TokenClass.UNDECODABLE}
    assert undecodable == set(NEVER)  # these bytes stand for themselves in GPT-2's alphabet


def test_bytes_that_a_sentencepiece_falls_back_to() -> None:
    found = classes_of(vocabulary_of(sentencepiece_like_tokenizer(), special=set()))
    assert found["<0xE2>"] is found["<0x9F>"] is TokenClass.BYTES
    assert found["<0x62>"] is TokenClass.UNREACHABLE_ONE  # there is a piece `b`
    assert found["<0xFF>"] is TokenClass.UNDECODABLE
    assert (found["<s>"], found["▁ab"]) == (TokenClass.SPECIAL, TokenClass.OK)


def test_without_a_tokenizer_nothing_is_said() -> None:
    named = Vocabulary.from_tokens(["a", None], ["a", None])
    assert token_classes(named, reachable(named)) == [TokenClass.UNTESTED, TokenClass.ORPHAN]
    bare = Vocabulary.from_tokens([None, None], [None, None])
    assert token_classes(bare, reachable(bare)) == [TokenClass.UNTESTED] * 2
