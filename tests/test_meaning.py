"""Which rows a text can mean, beside a reading of every text one by one."""

from collections.abc import Callable

import pytest

from index.tokens.meaning import Meanings, form_of
from index.tokens.vocabulary import Vocabulary

TEXTS = [
    "star",
    " star",
    "Star",
    "ﬁn",
    " Fin",
    "fine",
    " finest",
    "ｆｉ",
    "STRASSE",
    "straße",
    "",
    "\ufffd",
    "\ufffd",
    None,
]
PIECES = ["star", "Ġstar", "Star", "a", "b", "c", "d", "e", "f", "g", "h", "i", "star", None]
TYPED = ["star", " star", "STAR", "s", "fi", "ﬁ", "Fi", "Strasse", " ", "", "\ufffd", "\ud800", "Ġstar", "a", "zebra"]


@pytest.fixture(scope="module")
def meanings() -> Meanings:
    return Vocabulary.from_tokens(TEXTS, PIECES).meanings


def rows(column: list[str | None], fits: Callable[[str], bool]) -> list[int]:
    return [row for row, each in enumerate(column) if each is not None and fits(each)]


@pytest.mark.parametrize("typed", TYPED)
def test_every_way(typed: str, meanings: Meanings) -> None:
    assert meanings.exact(typed) == rows(TEXTS, lambda text: text == typed)
    assert meanings.with_space(typed) == rows(TEXTS, lambda text: text == " " + typed)
    assert meanings.as_piece(typed) == rows(PIECES, lambda piece: piece == typed)
    form = form_of(typed)
    assert meanings.in_other_cases(typed) == rows(TEXTS, lambda text: bool(form) and form_of(text) == form)
    begins = rows(TEXTS, lambda text: text.startswith((typed, " " + typed)))
    assert meanings.beginning(typed) == sorted(begins, key=lambda row: (len(TEXTS[row] or ""), row))
    begins = rows(TEXTS, lambda text: bool(form) and form_of(text).startswith(form))
    assert meanings.beginning_in_other_cases(typed) == sorted(
        begins, key=lambda row: (len(form_of(TEXTS[row] or "")), row)
    )


def test_a_text_names_tokens_in_the_first_way_that_any_answers_to(meanings: Meanings) -> None:
    assert meanings.named("star") == ([0], "text", "star")  # although it is the piece of two
    assert meanings.named("Ġstar") == ([1], "piece", "Ġstar")
    assert meanings.named("finest") == ([6], "text", " finest")
    assert meanings.named("\ufffd") == ([11, 12], "text", "\ufffd")
    assert meanings.named("zebra").rows == []


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (" Planet\n", "planet"),
        ("ﬁ", "fi"),
        ("ＦＩＮＤ", "find"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("  ", ""),
    ],
)
def test_forms(text: str, form: str) -> None:
    assert form_of(text) == form
