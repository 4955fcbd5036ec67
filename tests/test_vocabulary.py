"""Texts for people, and which token a typed word means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import TokenError
from index.sources.load import load
from index.tokens.display import byte_alphabet, display, stray_bytes, undisplayed
from index.tokens.vocabulary import Kind, Token, Vocabulary, classify


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
        ("␣", "âĲ£", "\\u2423"),  # and no space
        ("\x80", "ÂĢ", "\\u0080"),  # and no stray byte
        ("\ufffd", "Ģ", "\\x80"),
        ("\xa0", None, "\\u00a0"),
        ("\n", "<0x0A>", "<0x0A>"),  # and not the line break that is a character
        ("<0x0A>", "<0x0A>", "<0x0A>"),  # six characters
        ("◌\u0e34x", None, "\\u25cc\u0e34x"),
        ("◌", None, "◌"),
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
        ("␣planet", 2),
        ("\\xe0\\xb8", 4),
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
        ("", "an empty text names no token; type one, ' ' for a space, or a '#id'"),
    ],
)
def test_what_is_not_one_token(words: Vocabulary, typed: str, said: str) -> None:
    with pytest.raises(TokenError) as error:
        words.resolve(typed)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def forms_of(vocabulary: Vocabulary) -> list[str]:
    pairs = zip(vocabulary.texts.to_pylist(), vocabulary.pieces.to_pylist(), strict=True)
    return [display(*pair) for pair in pairs]


def bytes_of(text: str, piece: str) -> bytes:
    raw = stray_bytes(text, piece)
    return text.encode() if raw is None else raw


@pytest.fixture(scope="module")
def bundled() -> Vocabulary:
    return load(None).vocabulary


def test_no_two_tokens_print_alike(bundled: Vocabulary) -> None:
    forms = forms_of(bundled)
    assert len(forms) == len(set(forms)) == 49_152


def test_a_printed_form_tells_the_bytes_of_the_token(bundled: Vocabulary) -> None:
    texts, pieces = bundled.texts.to_pylist(), bundled.pieces.to_pylist()
    read = [undisplayed(form).encode("utf-8", errors="surrogateescape") for form in forms_of(bundled)]
    assert read == list(map(bytes_of, texts, pieces))


def test_a_printed_form_pasted_back_is_the_token_or_said_to_be_ambiguous(bundled: Vocabulary) -> None:
    """Of the forms that are no plain text, all but those with only a space in front, and some of these."""
    forms, texts = forms_of(bundled), bundled.texts.to_pylist()
    strange = [row for row, form in enumerate(forms) if form not in (texts[row], f"␣{texts[row][1:]}")]
    assert len(strange) > 500
    ambiguous = []
    for row in [*strange, *range(0, 49_152, 97)]:
        try:
            assert bundled.resolve(forms[row]) == row
        except TokenError as error:
            assert f"#{row}" in str(error)  # noqa: PT017
            ambiguous.append(forms[row])
    assert ambiguous == ["\\\\"]  # the printed form of one backslash is the text of two


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_is_told_by_its_printed_form(text: str) -> None:
    assert undisplayed(display(text)) == text


def test_no_text_is_told_from_a_token_that_says_so() -> None:
    assert display(None) == "(no text)"
    assert display("(no text)") == r"\x28no text)"
    assert undisplayed(r"\x28no text)") == "(no text)"


def test_what_is_both_a_text_and_a_printed_form() -> None:
    words = Vocabulary.from_tokens(["\n", "\\n", " \\n"], ["Ċ", "\\n", "Ġ\\n"])
    with pytest.raises(TokenError, match=r"2 tokens have the text or the printed form '\\n': #0, #1; ask for one"):
        words.resolve("\\n")
    assert words.resolve("␣\\\\n") == 2


def test_a_form_without_its_isolates_and_bytes_that_are_tokens() -> None:
    words = Vocabulary.from_tokens(["שלום", "A", "A", "\ufffd"], ["×©×ľ×ķ×Ŀ", "A", "<0x41>", "<0xE4>"])
    assert words.resolve("שלום") == words.resolve(words.display(0)) == 0
    assert [words.display(row) for row in (1, 2, 3)] == ["A", "<0x41>", "<0xE4>"]
    assert [words.resolve(typed) for typed in ("<0x41>", "<0xE4>")] == [2, 3]


def test_a_sample_keeps_ids_and_order(words: Vocabulary) -> None:
    sample = words.take(np.array([8, 2]))
    assert [sample.text(0), sample.text(1)] == [" the", " planet"]
    assert sample.resolve("#2") == 1
    with pytest.raises(TokenError, match="between 2 and 8"):
        sample.resolve("#1")


def test_the_token_of_a_row_of_a_sample(words: Vocabulary) -> None:
    sample = words.take(np.array([8, 2]))
    assert sample.token(np.int32(1)) == Token(1, 2, " planet", "Ġplanet")
