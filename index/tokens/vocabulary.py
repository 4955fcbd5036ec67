"""Tokens as people meet them: ids, texts, printable forms, and which one a typed word means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from index.errors import TokenError
from index.tokens.display import display, excerpt, stray_bytes
from index.tokens.meaning import LONGEST, Meanings, alike
from index.tokens.splitting import Splitter

if TYPE_CHECKING:
    import pyarrow as pa

_ID = re.compile(r"#\d+")

LISTED_IDS = 10
"""How many ids an error message names before it counts the rest."""

CLOSEST = 5
"""How many texts an error message offers instead."""


class Kind(StrEnum):
    """What a token is, read off its text."""

    WORD = "word"
    WORD_START = "word-start"
    DIGITS = "digits"
    PUNCTUATION = "punctuation"
    WHITESPACE = "whitespace"
    BYTE = "byte"
    SPECIAL = "special"
    ORPHAN = "orphan"


def classify(text: str | None, piece: str | None, *, special: bool) -> Kind:
    """Say what a token is: `classify(" planet", "Ġplanet", special=False)` is `word-start`."""
    if text is None or piece is None:
        return Kind.ORPHAN
    if special:
        return Kind.SPECIAL
    if stray_bytes(text, piece) is not None:
        return Kind.BYTE
    core = text.strip()
    if not core:
        return Kind.WHITESPACE
    if core.isnumeric():
        return Kind.DIGITS
    if not any(unicodedata.category(character)[0] in "LMN" for character in core):
        return Kind.PUNCTUATION
    return Kind.WORD_START if text[0] == " " else Kind.WORD


@dataclass(frozen=True)
class Token:
    """A token of a bundle."""

    row: int  # in the bundle
    id: int
    text: str | None  # exact; None for an orphan row
    piece: str | None  # in the tokenizer's own spelling (`Ġplanet`); None for an orphan row

    def json(self) -> dict[str, int | str | None]:
        """Return the token with its exact text, and its piece where several have no text of their own (`\ufffd`)."""
        return {"row": self.row, "id": self.id, "text": self.text, "piece": self.piece}


@dataclass(frozen=True)
class Part:
    """One token of a split text."""

    id: int
    text: str  # the token's own, which need not be what stands in the text
    piece: str  # its entry in the tokenizer's own spelling
    row: int | None  # None where the bundle does not hold the token

    def json(self) -> dict[str, int | str | None]:
        """Return the part under the names of a token's fields."""
        return {"row": self.row, "id": self.id, "text": self.text, "piece": self.piece}

    def __str__(self) -> str:
        return f"'{display(self.text, self.piece)}' #{self.id}"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of V rows."""

    token_ids: np.ndarray  # (V,) int64: the token that each row belongs to
    texts: pa.StringArray  # (V,) decoded; null where a row has no text
    pieces: pa.StringArray  # (V,) in the tokenizer's own spelling (`Ġplanet`); null where a row has no text
    kinds: pa.StringArray  # (V,) values of `Kind`
    tokenizer_json: str | None = None  # as the `tokenizers` library reads it, where the source has one
    left_out: int = 0  # added tokens of the tokenizer that a source's matrix has no row for; not kept in a bundle

    @classmethod
    def from_tokens(
        cls,
        texts: Sequence[str | None],
        pieces: Sequence[str | None],
        *,
        special: Collection[int] = (),
        left_out: int = 0,
        tokenizer_json: str | None = None,
    ) -> Vocabulary:
        """Make the vocabulary of rows 0, 1, 2, ... from their texts and pieces; None for a row without text.

        `special` holds the ids of control tokens.
        """
        import pyarrow as pa

        kinds = [
            classify(text, piece, special=row in special)
            for row, (text, piece) in enumerate(zip(texts, pieces, strict=True))
        ]
        return cls(
            np.arange(len(texts), dtype=np.int64),
            pa.array(texts, pa.string()),
            pa.array(pieces, pa.string()),
            pa.array([str(kind) for kind in kinds], pa.string()),
            tokenizer_json,
            left_out,
        )

    def __len__(self) -> int:
        return len(self.token_ids)

    def take(self, rows: np.ndarray) -> Vocabulary:
        """Return the vocabulary of a sample: its row i is this one's row `rows[i]`."""
        import pyarrow as pa

        indices = pa.array(rows)
        return Vocabulary(
            self.token_ids[rows],
            self.texts.take(indices),
            self.pieces.take(indices),
            self.kinds.take(indices),
            self.tokenizer_json,
            self.left_out,
        )

    @cached_property
    def meanings(self) -> Meanings:
        """Which rows a text can mean."""
        return Meanings(self.texts, self.pieces)

    def text(self, row: int) -> str | None:
        """Return the exact text of a row, None where it has none."""
        text: str | None = self.texts[row].as_py()
        return text

    def token(self, row: int) -> Token:
        """Return the token of a row."""
        row = int(row)  # from an array it is one of NumPy's
        return Token(row, int(self.token_ids[row]), self.texts[row].as_py(), self.pieces[row].as_py())

    def display(self, row: int) -> str:
        """Return the printable form of a row's text."""
        return display(self.text(row), self.pieces[row].as_py())

    def resolve(self, query: str | int | Token) -> int:
        """Return the row of the one token that `query` names: an id, a token, or a text.

        Tried in this order: `#id`, an exact text, an exact piece (`Ġplanet`), the text with a leading space, a printed
        form (`␣planet`). TokenError when no token or more than one answers to it, as where a text is the printed form
        of another token; the message lists them, the tokens the text splits into, or the closest texts.
        """
        if isinstance(query, Token):
            query = query.id
        if not isinstance(query, str):
            return self._row_of_id(f"#{query}")
        if not query:
            raise TokenError("an empty text names no token; type one, ' ' for a space, or a '#id'")
        if _ID.fullmatch(query):
            return self._row_of_id(query)
        rows, how, text = self.meanings.named(query)
        if not rows:
            raise TokenError(self._no_such_token(query))
        if len(rows) > 1:
            shown = ", ".join(f"#{self.token_ids[row]}" for row in rows[:LISTED_IDS])
            more = f" and {len(rows) - LISTED_IDS} more" if len(rows) > LISTED_IDS else ""
            seen = text if how.endswith("form") else excerpt(text)
            raise TokenError(f"{len(rows)} tokens have the {how} '{seen}': {shown}{more}; ask for one by its #id")
        return rows[0]

    def resolve_all(self, queries: Iterable[str]) -> dict[str, int | None]:
        """Return each text, once, with the row of the one token that it names as in `resolve`; None for no such."""
        found: dict[str, int | None] = {}
        for query in dict.fromkeys(queries):
            if _ID.fullmatch(query):
                found[query] = next(iter(self.with_id(query)), None)
            else:
                rows = self.meanings.named(query).rows if query else []
                found[query] = rows[0] if len(rows) == 1 else None
        return found

    def with_id(self, text: str) -> list[int]:
        """Return the row of the token whose id a text is, as `#7`: one, or none."""
        digits = text[1:].lstrip("0") or "0"
        row = self.row_of_id(int(digits)) if _ID.fullmatch(text) and len(digits) < 19 else None
        return [] if row is None else [row]

    def row_of_id(self, token_id: int) -> int | None:
        """Return the row of a token's id, None where the bundle does not hold it."""
        rows = np.flatnonzero(self.token_ids == token_id)
        return int(rows[0]) if len(rows) else None

    def _row_of_id(self, query: str) -> int:
        rows = self.with_id(query)
        if not rows:
            digits = query[1:].lstrip("0") or "0"
            known = self._text_of_absent(int(digits)) if digits.isdecimal() and len(digits) < 9 else None
            here = f"the {len(self):,} ids here lie between {self.token_ids.min()} and {self.token_ids.max()}"
            model = f"the model has '{excerpt(known)}' there, but " if known else ""
            raise TokenError(f"no token has the id {query[:24]}: {model}{here}")
        return rows[0]

    def _text_of_absent(self, token_id: int) -> str | None:
        known = self._splitter is not None and self._splitter.holds(token_id)
        return self._splitter.text(token_id) if known and self._splitter is not None else None

    def _no_such_token(self, query: str) -> str:
        shown = excerpt(query)
        parts = self.split(query)
        why = ""
        if len(parts) > 1:
            listed = ", ".join(f"{_named(part)} #{part.id}" for part in parts[:LISTED_IDS])
            why = f"; it is {len(parts)} tokens: {listed}" + (", …" if len(parts) > LISTED_IDS else "")
        elif absent := self.absent(query):
            why = f"; {absent}"
        elif self.single(query) is not None:
            why = f"; the tokenizer makes one token of it: {_named(parts[0])} #{parts[0].id}"
        if re.fullmatch(r"\d{1,18}", query) and (row := self.row_of_id(int(query))) is not None:
            why += f"; the token of this id is '#{int(query)}': {_named(self.token(row))}"
        near = map(self.token, self._closest(query))
        closest = ", ".join(f"{_named(token)} (#{token.id})" for token in near)
        return f"no token has the text '{shown}'{why}" + (f"; closest: {closest}" if closest else "")

    def split(self, text: str) -> tuple[Part, ...]:
        """Return the tokens the model's tokenizer makes of a text; none without a tokenizer, or for no Unicode."""
        if self._splitter is None or any("\ud800" <= character <= "\udfff" for character in text):
            return ()
        encoding = self._splitter.encode(text)
        return tuple(map(self._part, encoding.ids, encoding.tokens))

    def single(self, text: str) -> int | None:
        """Return the row of the one token that the tokenizer makes of a text; None where it makes none or several.

        A tokenizer that normalizes makes tokens of texts that no token has. What stands for the unknown is no answer.
        """
        parts = self.split(text)
        if self._splitter is None or len(parts) != 1 or parts[0].id == self._splitter.unknown:
            return None
        row = parts[0].row
        return None if row is None or self.kinds[row].as_py() == Kind.SPECIAL else row

    def absent(self, text: str) -> str | None:
        """Say that the model has a token of this text, or of this text behind a space, which is not among these.

        Where no token has a text, say that.
        """
        if self.texts.null_count == len(self):
            return "no token here has a text; name one by its id, as in '#7'"
        if self._splitter is None:
            return None
        found = [parts[0] for parts in (self.split(text), self.split(f" {text}")) if len(parts) == 1]
        missing = [part for part in found if part.row is None and part.text in (text, f" {text}")]
        if not missing:
            return None
        known = missing[0]
        return f"the model has {_named(known)} (#{known.id}), which is not among the {len(self):,} tokens here"

    @cached_property
    def _splitter(self) -> Splitter | None:
        return None if self.tokenizer_json is None else Splitter(self.tokenizer_json)

    def _part(self, token_id: int, piece: str) -> Part:
        row = self.row_of_id(token_id)
        held = None if row is None else self.text(row)
        text = self._splitter.text(token_id) if held is None and self._splitter is not None else held
        return Part(token_id, text or "", piece, row)

    def _closest(self, query: str) -> list[int]:
        texts = [None if text is None else text.strip() for text in self.texts.to_pylist()]
        return alike(query[:LONGEST].strip(), texts, CLOSEST)


def _named(token: Token | Part) -> str:
    """Return a token in quotes, as a message names it: of a long one the beginning."""
    return f"'{excerpt(token.text, token.piece)}'"
