"""The texts of tokens, as a tokenizer decodes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from index.errors import SourceError
from index.tokens.tokenizer import MOST_CHARACTERS, in_time

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPACE_PIECE = "▁"


class Decoder:
    """Decodes each token as it reads inside a text.

    Some decoders drop the space that a text starts with, so that `▁planet` alone would be `planet`. Such a token is
    decoded behind another one, whose text is then taken off again.
    """

    def __init__(self, tokenizer: Tokenizer, pieces: Iterable[tuple[int, str]]) -> None:
        """Look at the pieces, each with its id, ascending: ids may be far apart."""
        self._tokenizer = tokenizer
        self._before: tuple[int, ...] = ()
        if self._drops_first_space(pieces):
            letters = (tokenizer.token_to_id(letter) for letter in "abcdefghijklmnopqrstuvwxyz")
            doubled = (i for i in letters if i is not None and self._decode(i, i) == 2 * self._decode(i) != "")
            self._before = tuple(next(([i] for i in doubled), []))
        self._skipped = len(self._decode(*self._before)) if self._before else 0

    def text(self, token_id: int) -> str:
        """Return the text of a token."""
        return self._decode(*self._before, token_id)[self._skipped :]

    def _decode(self, *ids: int) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def _drops_first_space(self, pieces: Iterable[tuple[int, str]]) -> bool:
        for token_id, piece in pieces:
            if len(piece) > 1 and piece[0] == SPACE_PIECE and piece[1].isalnum():
                return self._decode(token_id) == piece[1:]
        return False


def decoded(tokenizer: Tokenizer, pieces: Sequence[str | None], path: Path) -> list[str | None]:
    """Return the text of each piece, None where there is none; SourceError when all together are too long."""
    decoder = Decoder(tokenizer, ((row, piece) for row, piece in enumerate(pieces) if piece is not None))
    texts: list[str | None] = []
    characters = 0
    for row, piece in enumerate(in_time(pieces, len(pieces), path)):
        text = None if piece is None else decoder.text(row)
        texts.append(text)
        characters += 0 if text is None else len(text)
        if characters > MOST_CHARACTERS:
            raise SourceError(f"{path} is refused: its texts have more than {MOST_CHARACTERS:,} characters together")
    return texts
