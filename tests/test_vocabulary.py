"""Texts for people, and which token a typed word means."""

import pytest

from index.errors import TokenError
from index.tokens.display import byte_alphabet, display
from index.tokens.vocabulary import Kind, Vocabulary, classify


@pytest.mark.parametrize(
    ("text", "piece", "kind"),
    [
        (" planet", "Ġplanet", Kind.WORD_START),
        ("planet", "planet", Kind.WORD),
        (" don't", "Ġdon't", Kind.WORD_START),
        ("รับรอง", "à¸£", Kind.WORD),
        ("1984", "1984", Kind.DIGITS),
        (" 42", "Ġ42", Kind.DIGITS),
        (" ==", "Ġ==", Kind.PUNCTUATION),
        ("€", "âĤ¬", Kind.PUNCTUATION),
        ("\n\n", "ĊĊ", Kind.WHITESPACE),
        ("", "", Kind.WHITESPACE),
        ("\ufffd", "à¸", Kind.BYTE),
        ("\n", "<0x0A>", Kind.BYTE),
        ("\ufffd", "ï¿½", Kind.PUNCTUATION),  # the replacement character itself, three whole bytes
        (None, None, Kind.ORPHAN),
    ],
)
def test_kinds(text: str | None, piece: str | None, kind: Kind) -> None:
    assert classify(text, piece, special=False) is kind


def test_special_tokens_are_special_whatever_they_look_like() -> None:
    assert classify(" planet", "Ġplanet", special=True) is Kind.SPECIAL


def test_byte_alphabet_is_the_one_of_the_tokenizers_library() -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(byte_alphabet()) == sorted(ByteLevel.alphabet())
    spelled = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("é \n")[0][0]
    assert bytes(byte_alphabet()[character] for character in spelled) == "é \n".encode()


@pytest.mark.parametrize(
    ("text", "piece", "shown"),
    [
        (" planet", "Ġplanet", "␣planet"),
        ("a b ", "aĠbĠ", "a b␣"),
        ("   ", "ĠĠĠ", "␣␣␣"),
        ("\r\n\t", None, "\\r\\n\\t"),
        ("\\n", None, "\\\\n"),  # a backslash and an n are not a newline
        ("\x1b[31mred", None, "\\x1b[31mred"),
        ("a\u200bb\u202ec", None, "a\\u200bb\\u202ec"),
        ("\u0e34x", None, "◌\u0e34x"),
        ("שלום", None, "\u2068שלום\u2069"),
        ("\ufffd", "ä¸", "\\xe4\\xb8"),
        ("\ufffd\n", "ä¸Ċ", "\\xe4\\xb8\\n"),
        (" \ufffd ", "Ġä¸Ġ", "␣\\xe4\\xb8␣"),
        ("י\ufffd", "×Ļ×", "\u2066י\\xd7\u2069"),  # escapes read from left to right
        ("א\n", None, "\u2066א\\n\u2069"),
        ("\\udc\ufffd", "\\udcä", "\\\\udc\\xe4"),  # four characters and a byte
        ("\ud800", None, "\\ud800"),
        ("", "", ""),
        (None, None, "(no text)"),
    ],
)
def test_display(text: str | None, piece: str | None, shown: str) -> None:
    assert display(text, piece) == shown


@pytest.fixture
def words() -> Vocabulary:
    texts = ["<s>", "planet", " planet", " star", "\ufffd", "\ufffd", "#7", "the", " the", None]
    pieces = ["<s>", "planet", "Ġplanet", "Ġstar", "à¸", "à¹", "#7", "the", "Ġthe", None]
    return Vocabulary.from_tokens(texts, pieces, special={0})


@pytest.mark.parametrize(
    ("typed", "row"),
    [
        ("planet", 1),
        (" planet", 2),
        ("Ġplanet", 2),
        ("star", 3),
        ("#3", 3),
        ("#007", 7),
        ("à¸", 4),
        ("<s>", 0),
        ("#9", 9),
    ],
)
def test_resolve(words: Vocabulary, typed: str, row: int) -> None:
    assert words.resolve(typed) == row


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("\ufffd", "2 tokens have the text '\ufffd': #4, #5; ask for one by its #id"),
        ("#10", "no token has the id #10: the 10 ids here lie between 0 and 9"),
        ("#99999999999999999999999999", "no token has the id #99999999999999999999999"),
        ("planets", "closest: 'planet' (#1)"),
        ("\udcff", "no token has the text '\\udcff'"),
        ("", "no token has the text ''"),
    ],
)
def test_what_is_not_one_token(words: Vocabulary, typed: str, said: str) -> None:
    with pytest.raises(TokenError) as error:
        words.resolve(typed)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sample_keeps_ids_and_order(words: Vocabulary) -> None:
    import numpy as np

    sample = words.take(np.array([8, 2]))
    assert [sample.text(0), sample.text(1)] == [" the", " planet"]
    assert sample.resolve("#2") == 1
    with pytest.raises(TokenError, match="between 2 and 8"):
        sample.resolve("#1")
