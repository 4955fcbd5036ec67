"""How a token is written: its script, and whether the tokenizer ever writes it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from index.tokens.tokenizer import encode, parse_tokenizer
from index.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

COMMON, MIXED = "Common", "Mixed"
_SHARED_SCRIPTS = frozenset({"Common", "Inherited", "Unknown"})
_SPACE_MARKS = ("▁", "Ġ")


def script(text: str) -> str:
    """Return the Unicode script a text is written in: `script(" planet")` is `Latin`.

    Every character has one script (Unicode Standard Annex #24). Those shared by many, as spaces, digits, punctuation
    and accents are, do not count: a text of nothing else is `Common`. Two scripts or more are `Mixed`.
    """
    found = {_script_of(character) for character in set(text)} - _SHARED_SCRIPTS
    if len(found) > 1:
        return MIXED
    return found.pop() if found else COMMON


@cache
def _script_of(character: str) -> str:
    from fontTools import unicodedata

    name: str = unicodedata.script_name(unicodedata.script(character))
    return name


def reachable(vocabulary: Vocabulary) -> list[bool | None]:
    """Say of each of V tokens whether the tokenizer makes it, and only it, out of its own decoded text.

    None for a row without text, and everywhere without a tokenizer. A tokenizer that puts a space before every text
    (Llama 2's) never starts one with `planet`, only with `▁planet`. With such a one, a token is also made if it is what
    the text becomes behind a line break.
    """
    answers: list[bool | None] = [None] * len(vocabulary)
    if vocabulary.tokenizer_json is None:
        return answers
    path = Path("tokenizer.json")
    tokenizer = parse_tokenizer(vocabulary.tokenizer_json.encode(), path)
    texts = {row: text for row, text in enumerate(vocabulary.texts.to_pylist()) if text is not None}
    ids: list[int] = vocabulary.token_ids.tolist()
    for row, encoding in zip(texts, encode(tokenizer, list(texts.values()), path), strict=True):
        answers[row] = encoding.ids == [ids[row]]
    if _puts_space_before(tokenizer, path):
        rest = [row for row in texts if not answers[row]]
        encodings = encode(tokenizer, ["\n" + texts[row] for row in rest], path)
        for row, encoding in zip(rest, encodings, strict=True):
            whole = (1, 1 + len(texts[row]))
            answers[row] = (encoding.ids[-1:], encoding.offsets[-1:]) == ([ids[row]], [whole])
    return answers


def made_of(tokenizer: Tokenizer, texts: list[str], path: Path) -> list[tuple[int, ...]]:
    """Return the ids of the tokens that each text becomes, behind a line break where a space would come before it."""
    if not _puts_space_before(tokenizer, path):
        return [tuple(encoding.ids) for encoding in encode(tokenizer, texts, path)]
    return [
        tuple(token_id for token_id, (start, _) in zip(encoding.ids, encoding.offsets, strict=True) if start > 0)
        for encoding in encode(tokenizer, ["\n" + text for text in texts], path)
    ]


def _puts_space_before(tokenizer: Tokenizer, path: Path) -> bool:
    first = encode(tokenizer, ["a"], path)[0].tokens[:1]
    return any(piece.startswith(_SPACE_MARKS) for piece in first)
