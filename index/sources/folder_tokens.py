"""The tokens of a model: texts and pieces, from its tokenizer's files or from GGUF metadata."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.errors import SourceError, parameter
from index.files import read_bytes, read_json, require_size
from index.sources.hub import Folder
from index.tokens.decoding import decoded
from index.tokens.display import excerpt
from index.tokens.tokenizer import LARGEST_ID, LONGEST_PIECE, MOST_BYTES, parse_tokenizer, reading_tokenizer
from index.tokens.vocabulary import Vocabulary

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

_NAMED = 3
"""How many tokens a refusal names."""


def orphans(rows: int) -> Vocabulary:
    """Return the vocabulary of a bare matrix: V rows without a text."""
    return Vocabulary.from_tokens([None] * rows, [None] * rows)


def tokens_of_folder(folder: Folder, rows: int, *, required: bool) -> Vocabulary:
    """Read the tokens of the first V rows out of a model folder.

    It holds a tokenizer.json, or the files of an older tokenizer that transformers can convert. Rows beyond the
    tokenizer have no text; added tokens beyond the rows are left out, and ordinary ones refused. A folder without a
    tokenizer is an error if it is required; if not, every row is an orphan.
    """
    path = folder.get("tokenizer.json")
    if path is not None:
        tokenizer = _read(path)
        with reading_tokenizer(path):
            _add_configured_tokens(tokenizer, folder)
            return _vocabulary(tokenizer, rows, path)
    found = [path for path in map(folder.get, TOKENIZER_FILES) if path is not None]
    for path in found:
        require_size(path, MOST_BYTES)
    if found:
        path = found[0].parent
        with reading_tokenizer(path):
            return _vocabulary(_converted(path), rows, path)
    if required:
        raise SourceError(f"{folder} holds no tokenizer: neither tokenizer.json nor {', '.join(TOKENIZER_FILES[3:6])}")
    return orphans(rows)


def tokens_of_json(path: Path, rows: int) -> Vocabulary:
    """Read the tokens of the first V rows out of a single `tokenizer.json`."""
    tokenizer = _read(path)
    with reading_tokenizer(path):
        return _vocabulary(tokenizer, rows, path)


def _read(path: Path) -> Tokenizer:
    return parse_tokenizer(read_bytes(path, MOST_BYTES), path)


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
    added: dict[str, AddedToken] = {}
    next_id = tokenizer.get_vocab_size()
    for token_id, entry in sorted(entries.items(), key=_number) if isinstance(entries, dict) else ():
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, str) or not content or not _is_unicode(content):
            continue
        known = tokenizer.token_to_id(content)
        if str(known) == token_id or (known is None and content not in added and str(next_id) == token_id):
            special, normalized = (entry.get(name) is True for name in ("special", "normalized"))
            added[content] = AddedToken(content, special=special, normalized=normalized)
            next_id += known is None
    tokenizer.add_tokens(list(added.values()))  # at once: each call makes the patterns of all of them anew


def _number(item: tuple[str, Any]) -> tuple[int, str]:
    return len(item[0]), item[0]


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _vocabulary(tokenizer: Tokenizer, rows: int, path: Path) -> Vocabulary:
    vocabulary = tokenizer.get_vocab()
    if max(vocabulary.values(), default=0) > LARGEST_ID:
        raise SourceError(f"{path} has the token id {max(vocabulary.values())}, beyond {LARGEST_ID}")
    longest = max(map(len, vocabulary), default=0)
    if longest > LONGEST_PIECE:
        raise SourceError(f"{path} has a piece of {longest:,} characters, more than {LONGEST_PIECE:,}")
    # What a text splits into must not depend on how long a model's inputs are padded or cut.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = {token_id: piece for piece, token_id in vocabulary.items()}
    added = tokenizer.get_added_tokens_decoder()
    left_out = left_out_tokens(ids, rows, added, path)
    pieces = [ids.get(row) for row in range(rows)]
    special = {token_id for token_id, token in added.items() if token.special}
    texts = decoded(tokenizer, pieces, path)
    return Vocabulary.from_tokens(texts, pieces, special=special, left_out=left_out, tokenizer_json=tokenizer.to_str())


def left_out_tokens(ids: Mapping[int, str], rows: int, added: Container[int], path: Path) -> int:
    """Return how many tokens have an id beyond the rows; SourceError if any of them was not added to the vocabulary.

    A matrix may lack rows for tokens that were added later. One without rows for ordinary tokens is another model's.
    """
    beyond = sorted(token_id for token_id in ids if token_id >= rows)
    ordinary = [token_id for token_id in beyond if token_id not in added]
    if ordinary:
        shown = ", ".join(f"'{excerpt(ids[token_id])}' (#{token_id})" for token_id in ordinary[:_NAMED])
        raise SourceError(
            f"{path} is the tokenizer of another matrix: {len(ordinary):,} of its {len(ids):,} tokens are ordinary "
            f"ones beyond the {rows:,} rows, as {shown}; give the matrix its own with {parameter('tokenizer')}"
        )
    return len(beyond)
