"""Texts found by their bytes are those that Python's own strings find."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tokens.meaning import Meanings, form_of
from index.tokens.text_bytes import TextBytes

CHARACTERS = st.sampled_from(list("aAbB \t\x1c\x85\u00a0é\u00c9ﬁ\uff41Ķk\u212aß\u200b\U0001f600\x00"))
TEXTS = st.lists(st.none() | st.text(CHARACTERS, max_size=5), max_size=40)


@settings(deadline=None)
@given(texts=TEXTS, wanted=st.text(CHARACTERS, min_size=1, max_size=3), start=st.integers(0, 5))
def test_as_by_strings(texts: list[str | None], wanted: str, start: int) -> None:
    """Also of a slice of a column, which begins somewhere in its buffers."""
    column = pa.array(texts, pa.string()).slice(start)
    held = dict(enumerate(texts[start:]))
    found = TextBytes(column)
    encoded = wanted.encode()
    assert found.equal(encoded).tolist() == [row for row, each in held.items() if each == wanted]
    assert found.beginning(encoded).tolist() == [row for row, each in held.items() if each and each.startswith(wanted)]
    meanings = Meanings(column, column)
    assert meanings.exact(wanted) == found.equal(encoded).tolist()
    form = form_of(wanted)
    folded = [row for row, each in held.items() if each is not None and form and form_of(each) == form]
    assert meanings.in_other_cases(wanted) == folded
    begin = [row for row, each in held.items() if each is not None and each.startswith((wanted, f" {wanted}"))]
    assert meanings.beginning(wanted) == sorted(begin, key=lambda row: len(held[row] or ""))


@pytest.mark.parametrize("form", ["a", "ab", "aab"])
def test_few_texts_are_left_to_compare(form: str) -> None:
    """The bytes alone exclude most: what is longer, without spaces around it, and what is shorter."""
    texts = ["a" * n for n in range(1, 200)] + [" " * n + form for n in range(5)] + [f"{form} ", f" {form} ", "é", None]
    found = TextBytes(pa.array(texts, pa.string())).may_fold_to(len(form))
    assert set(np.flatnonzero([each is not None and form_of(each) == form for each in texts])) <= set(found.tolist())
    assert len(found) <= 10


def test_nothing_is_found_in_no_texts() -> None:
    for column in (pa.array([], pa.string()), pa.array([None, None], pa.string()), pa.array(["", ""], pa.string())):
        found = TextBytes(column)
        assert found.equal(b"a").tolist() == found.beginning(b"a").tolist() == found.may_fold_to(1).tolist() == []
