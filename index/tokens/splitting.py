"""A model's own tokenizer, kept to split texts into tokens and to decode these."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from index.tokens.decoding import Decoder
from index.tokens.tokenizer import encode, parse_tokenizer, reading_tokenizer

if TYPE_CHECKING:
    from tokenizers import Encoding

_PATH = Path("tokenizer.json")


class Splitter:
    """Splits texts; a tokenizer's file is parsed once."""

    def __init__(self, tokenizer_json: str) -> None:
        self._tokenizer = parse_tokenizer(tokenizer_json.encode(), _PATH)

    def encode(self, text: str) -> Encoding:
        """Return the tokens of a text."""
        return encode(self._tokenizer, [text], _PATH)[0]

    def text(self, token_id: int) -> str:
        """Return the text of a token, whether a bundle holds it or not."""
        with reading_tokenizer(_PATH):
            return self._decoder.text(token_id)

    def holds(self, token_id: int) -> bool:
        """Whether the tokenizer has a token of this id."""
        return self._tokenizer.id_to_token(token_id) is not None

    @cached_property
    def unknown(self) -> int | None:
        """The id of what stands for whatever the tokenizer does not know, special or not; None where it has none."""
        piece = getattr(self._tokenizer.model, "unk_token", None)
        return None if piece is None else self._tokenizer.token_to_id(piece)

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(
            self._tokenizer, sorted((token_id, piece) for piece, token_id in self._tokenizer.get_vocab().items())
        )
