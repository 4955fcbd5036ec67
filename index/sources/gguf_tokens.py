"""The tokens of a GGUF file, and where it is byte-level BPE, its tokenizer rebuilt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.errors import SourceError
from index.sources.folder_tokens import left_out_tokens, orphans
from index.sources.gguf import GgufHeader
from index.tokens.decoding import SPACE_PIECE
from index.tokens.display import byte_alphabet
from index.tokens.tokenizer import LONGEST_PIECE, reading_tokenizer
from index.tokens.vocabulary import Vocabulary

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Values of `tokenizer.ggml.token_type`."""

_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_WORD_START = r"[^\r\n\p{L}\p{N}]?"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"


def _gpt4(digits: str, letters: str = r"\p{L}") -> str:
    return rf"{_CONTRACTION}|{_WORD_START}[{letters}]+|{digits}| ?[^\s{letters}\p{{N}}]+[\r\n]*|{_SPACES}"


def _cased(digits: str, ending: str) -> str:
    return (
        rf"{_WORD_START}{_UPPER}*{_LOWER}+{ending}|{_WORD_START}{_UPPER}+{_LOWER}*{ending}|{digits}"
        rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
    )


@dataclass(frozen=True)
class _Split:
    """How a text is cut before merges apply: by each pattern in turn, every match a part of its own."""

    patterns: tuple[str, ...]
    whole_words_first: bool = False
    nfc: bool = False


_DIGIT_BY_DIGIT = _Split((r"\p{N}", _GPT2))
_LLAMA3 = _Split((_gpt4(r"\p{N}{1,3}"),), whole_words_first=True)
_QWEN2 = _Split((_gpt4(r"\p{N}"),), nfc=True)
_DEEPSEEK3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}"
)
_GPT4O = _Split((_cased(r"\p{N}{1,3}", f"{_CONTRACTION}?"),))
SPLITS = {
    "gpt-2": _Split((_GPT2,)),
    "phi-2": _Split((_GPT2,)),
    "default": _Split((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")),
    "smollm": _DIGIT_BY_DIGIT,
    "starcoder": _DIGIT_BY_DIGIT,
    "refact": _DIGIT_BY_DIGIT,
    "codeshell": _DIGIT_BY_DIGIT,
    "command-r": _Split(_DIGIT_BY_DIGIT.patterns, nfc=True),
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "falcon3": _LLAMA3,
    "pixtral": _LLAMA3,
    "lfm2": _LLAMA3,
    "dbrx": _Split(_LLAMA3.patterns),
    "smaug-bpe": _Split(_LLAMA3.patterns),
    "glm4": _Split(_LLAMA3.patterns),
    "chatglm-bpe": _Split(_LLAMA3.patterns),
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "megrez": _QWEN2,
    "qwen35": _Split((_gpt4(r"\p{N}", letters=r"\p{L}\p{M}"),), nfc=True),
    "deepseek-v3": _Split((r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", _DEEPSEEK3)),
    "tekken": _Split((_cased(r"\p{N}", ""),), whole_words_first=True),
    "gpt-4o": _GPT4O,
    "llama4": _GPT4O,
}
"""By `tokenizer.ggml.pre`; an absent one means `default`, in llama.cpp's reading (src/llama-vocab.cpp)."""
_UTF8_PIECES = {"gemma4", "sarvam-moe", "whitespace"}
"""Pre-tokenizers of BPE models whose pieces are plain UTF-8."""


def tokens_of_gguf(header: GgufHeader, rows: int, *, required: bool) -> Vocabulary:
    """Read the tokens of the first V rows out of the metadata of a `.gguf` file.

    Rows beyond the tokenizer, and those it marks as unused, have no text. A file without tokens is an error if they are
    required; if not, every row is an orphan.
    """
    path, metadata = header.file.path, header.metadata
    pieces = metadata.get("tokenizer.ggml.tokens")
    if pieces is None and not required:
        return orphans(rows)
    if not isinstance(pieces, list):
        raise SourceError(f"{path} holds no tokenizer: it lacks a list tokenizer.ggml.tokens")
    stored = metadata.get("tokenizer.ggml.token_type")
    types: list[int] = stored[: len(pieces)].tolist() if isinstance(stored, np.ndarray) else []
    types += [NORMAL] * (len(pieces) - len(types))
    if max(map(len, pieces), default=0) > LONGEST_PIECE:
        raise SourceError(f"{path} has a piece of {max(map(len, pieces)):,} characters, more than {LONGEST_PIECE:,}")
    added = {token_id for token_id, kind in enumerate(types) if kind in (UNKNOWN, CONTROL, USER_DEFINED, UNUSED)}
    left_out = left_out_tokens(dict(enumerate(pieces)), rows, added, path)
    model, pre = (metadata.get(f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    byte_level = model == "gpt2" and not (isinstance(pre, str) and pre in _UTF8_PIECES)
    kept: list[str | None] = [
        None if kind == UNUSED else piece for piece, kind in zip(pieces[:rows], types[:rows], strict=True)
    ]
    kept += [None] * (rows - len(kept))
    decode = _decode_byte_level if byte_level else _decode_plain
    texts = [None if piece is None else decode(piece, types[row]) for row, piece in enumerate(kept)]
    special = {row for row, kind in enumerate(types[:rows]) if kind in (UNKNOWN, CONTROL)}
    with reading_tokenizer(path):
        rebuilt = _rebuilt(pieces, types, metadata) if byte_level else None
    return Vocabulary.from_tokens(texts, kept, special=special, left_out=left_out, tokenizer_json=rebuilt)


def _decode_byte_level(piece: str, kind: int) -> str:
    alphabet = byte_alphabet()
    if kind in (UNKNOWN, CONTROL, USER_DEFINED) or any(character not in alphabet for character in piece):
        return piece
    return bytes(alphabet[character] for character in piece).decode("utf-8", errors="replace")


def _decode_plain(piece: str, kind: int) -> str:
    if kind in (UNKNOWN, CONTROL):
        return piece
    byte = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", piece) if kind == BYTE else None
    return bytes.fromhex(byte[1]).decode("utf-8", errors="replace") if byte else piece.replace(SPACE_PIECE, " ")


def _rebuilt(pieces: list[str], types: list[int], metadata: dict[str, Any]) -> str | None:
    """Return the tokenizer as the `tokenizers` library writes it; None where the file does not tell enough."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    pre, merges = metadata.get("tokenizer.ggml.pre", "default"), metadata.get("tokenizer.ggml.merges")
    split = SPLITS.get(pre) if isinstance(pre, str) else None
    if split is None or not isinstance(merges, list):
        return None
    # A piece may itself start with a space, so the one that parts a merge is looked for behind its first character.
    pairs = [(merge[:at], merge[at + 1 :]) for merge in merges if (at := merge.find(" ", 1)) > 0]
    vocabulary = {piece: token_id for token_id, piece in enumerate(pieces)}
    try:
        model = models.BPE(vocabulary, pairs, ignore_merges=split.whole_words_first)
    except Exception:  # noqa: BLE001 - tokenizers raises nothing more specific
        return None
    tokenizer = Tokenizer(model)
    if split.nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in split.patterns),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    for kind, add in ((CONTROL, tokenizer.add_special_tokens), (USER_DEFINED, tokenizer.add_tokens)):
        add(
            [
                AddedToken(piece, special=kind == CONTROL, normalized=False)
                for piece, its in zip(pieces, types, strict=False)
                if its == kind
            ]
        )
    written: str = tokenizer.to_str()
    return written
