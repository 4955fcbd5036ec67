"""The tokens of a model: texts and pieces, from its tokenizer's files or from GGUF metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.errors import SourceError
from index.files import brief, require_content
from index.folders import Folder
from index.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
)
"""What a tokenizer without a tokenizer.json may be made of."""

LARGEST_ID = 10_000_000
"""The tokenizers library walks over every id up to the largest when it writes itself down."""

SPACE_PIECE = "▁"


def orphans(rows: int) -> Vocabulary:
    """Return the vocabulary of a bare matrix: V rows without a text."""
    return Vocabulary.from_tokens([None] * rows, [None] * rows)


def tokens_of_folder(folder: Folder, rows: int, *, required: bool) -> Vocabulary:
    """Read the tokens of the first V rows out of a model folder.

    Parameters
    ----------
    folder : Folder
        Holds a tokenizer.json, or the files of an older tokenizer that transformers can convert.
    rows : int
        V, the rows of the matrix. Rows beyond the tokenizer have no text; tokens beyond the rows are left out.
    required : bool
        Whether a folder without a tokenizer is an error; if not, every row is an orphan.
    """
    from tokenizers import Tokenizer

    path = folder.get("tokenizer.json")
    if path is not None:
        require_content(path)
        with _reading(path):
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
            _add_configured_tokens(tokenizer, folder)
            return _vocabulary(tokenizer, rows, path)
    found = [path for path in map(folder.get, TOKENIZER_FILES) if path is not None]
    if found:
        path = found[0].parent
        with _reading(path):
            return _vocabulary(_converted(path), rows, path)
    if required:
        raise SourceError(f"{folder} holds no tokenizer: neither tokenizer.json nor {', '.join(TOKENIZER_FILES[3:6])}")
    return orphans(rows)


def tokens_of_json(path: Path, rows: int) -> Vocabulary:
    """Read the tokens of the first V rows out of a single `tokenizer.json`."""
    from tokenizers import Tokenizer

    require_content(path)
    with _reading(path):
        return _vocabulary(Tokenizer.from_str(path.read_text(encoding="utf-8")), rows, path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the `tokenizers` library raises into SourceError.

    That is plain Exception, and for a panic in Rust a BaseException of a class that cannot be imported. transformers,
    which converts older tokenizers, raises nearly anything.
    """
    try:
        yield
    except (SourceError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise SourceError(f"{path} is no tokenizer: {brief(error)}") from error


def _converted(folder: Path) -> Tokenizer:
    """Let transformers convert an older tokenizer; never one that brings its own code."""
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if not loaded.is_fast:
        raise SourceError(f"the tokenizer in {folder} has no fast form; save a tokenizer.json beside it")
    tokenizer: Tokenizer = loaded.backend_tokenizer
    return tokenizer


def _add_configured_tokens(tokenizer: Tokenizer, folder: Folder) -> None:
    """Add the tokens that only tokenizer_config.json knows of, as transformers does, where their ids come next."""
    from tokenizers import AddedToken

    path = folder.get("tokenizer_config.json")
    config = read_json(path) if path is not None else {}
    entries = config.get("added_tokens_decoder")
    for token_id, entry in sorted(entries.items(), key=_number) if isinstance(entries, dict) else ():
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, str) or not content or not _is_unicode(content):
            continue
        special = entry.get("special") is True
        known = tokenizer.token_to_id(content)
        if str(known) == token_id or (known is None and str(tokenizer.get_vocab_size()) == token_id):
            add = tokenizer.add_special_tokens if special else tokenizer.add_tokens
            add([AddedToken(content, special=special, normalized=entry.get("normalized") is True)])


def _number(item: tuple[str, Any]) -> tuple[int, str]:
    return len(item[0]), item[0]


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object."""
    require_content(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {brief(error)}") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path} holds a JSON {type(content).__name__}; wanted an object")
    return content


def _vocabulary(tokenizer: Tokenizer, rows: int, path: Path) -> Vocabulary:
    vocabulary = tokenizer.get_vocab()
    if max(vocabulary.values(), default=0) > LARGEST_ID:
        raise SourceError(f"{path} has the token id {max(vocabulary.values())}, beyond {LARGEST_ID}")
    # What a text splits into must not depend on how long a model's inputs are padded or cut.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = {token_id: piece for piece, token_id in vocabulary.items() if token_id < rows}
    pieces = [ids.get(row) for row in range(rows)]
    special = {token_id for token_id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    texts = _texts(tokenizer, pieces)
    return Vocabulary.from_tokens(texts, pieces, special=special, tokenizer_json=tokenizer.to_str())


def _texts(tokenizer: Tokenizer, pieces: list[str | None]) -> list[str | None]:
    """Decode each token as it reads inside a text.

    Some decoders drop the space that a text starts with, so that `▁planet` alone would be `planet`. Such a token is
    decoded behind another one, whose text is then taken off again.
    """

    def decode(*ids: int) -> str:
        return tokenizer.decode(list(ids), skip_special_tokens=False)

    before: tuple[int, ...] = ()
    if _drops_first_space(tokenizer, pieces):
        letters = (tokenizer.token_to_id(letter) for letter in "abcdefghijklmnopqrstuvwxyz")
        before = next(((i,) for i in letters if i is not None and decode(i, i) == 2 * decode(i) != ""), ())
    skipped = len(decode(*before)) if before else 0
    return [None if piece is None else decode(*before, row)[skipped:] for row, piece in enumerate(pieces)]


def _drops_first_space(tokenizer: Tokenizer, pieces: list[str | None]) -> bool:
    for row, piece in enumerate(pieces):
        if piece is not None and len(piece) > 1 and piece[0] == SPACE_PIECE and piece[1].isalnum():
            return bool(tokenizer.decode([row], skip_special_tokens=False) == piece[1:])
    return False
