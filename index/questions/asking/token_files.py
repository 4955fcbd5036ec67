"""Files that name tokens, as people have them: ids, masks, words. And a set written as one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from index.bundle.bundle import Bundle
from index.errors import ParameterError, SourceError
from index.files import brief, no_file, open_file

SUFFIXES = (".npy", ".pt", ".safetensors")
"""Of files that are no text."""
MASK = "mask"
"""The tensor of a `.safetensors` file, bool, one for each row of the model's matrix."""
MOST_BYTES = 1 << 26
"""Of a text file."""
HOLDS = "ids (text, .npy, .pt), a mask (.npy, .safetensors), or words, one on each line"


def read_tokens(bundle: Bundle, path: Path, where: str, wanted: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the ids, int64, that a file names, and the lines of it that name no single token.

    A text file of nothing but numbers, with or without `#`, holds ids with spaces, commas or lines between them; any
    other one token on each line, named as everywhere. `.npy` holds ids, or a mask of bools; `.pt` ids under
    `token_indices`; `.safetensors` a mask.
    `where` is what messages call the file, and `wanted` what could be instead. ParameterError where it names no token,
    or cannot be read.
    """
    if path.suffix in SUFFIXES and os.path.isfile(path):
        return _read_array(bundle, path, where), ()
    try:
        if path.exists() and not path.is_file():
            raise ParameterError(f"{where}: {no_file(path)}; {wanted}")
        if path.stat().st_size > MOST_BYTES:
            raise ParameterError(f"{where} has more than {MOST_BYTES:,} bytes; wanted {HOLDS}")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ParameterError(f"{where} is no text in UTF-8; wanted {HOLDS}") from None
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
        why = no_file(path) if missing else f"cannot be read: {brief(error)}"
        raise ParameterError(f"{where}: {why}; {wanted}") from None
    words = text.replace(",", " ").split()
    if not words:
        raise ParameterError(f"{where} is empty; wanted {HOLDS}")
    if all(map(is_id, words)):
        return np.array([int(word.removeprefix("#")) for word in words], dtype=np.int64), ()
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    numbers = sum(map(is_id, lines))
    if 2 * numbers > len(lines):
        wrong = next(line for line in lines if not is_id(line))
        raise ParameterError(
            f"{where} holds {wrong!r:.60} among {numbers:,} numbers; wanted ids alone, or words, where an id is #7"
        )
    return resolve_words(bundle, lines, where)


def is_id(word: str) -> bool:
    """Whether a word is written as an id."""
    return word.removeprefix("#").isdecimal() and len(word) <= 18


def resolve_words(bundle: Bundle, words: Iterable[str], where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the ids of the tokens that words name, and the words that name none or several, each once."""
    rows = bundle.vocabulary.resolve_all(words)
    found = [row for row in rows.values() if row is not None]
    unresolved = tuple(word for word, row in rows.items() if row is None)
    if not found:
        first = f"{unresolved[0]!r:.60}"
        what = first if len(rows) == 1 else f"{first} nor another of its {len(rows):,} lines"
        raise ParameterError(f"{where} names no token: not {what} is one token here; wanted {HOLDS}")
    ids: np.ndarray = bundle.vocabulary.token_ids[found]
    return ids, unresolved


def ids_of_mask(bundle: Bundle, mask: np.ndarray, where: str) -> np.ndarray:
    """Return the ids that a mask, bools over the rows of the model's matrix, holds."""
    rows = bundle.manifest.source.rows
    if mask.shape != (rows,):
        raise ParameterError(f"{where} is a mask of shape {mask.shape}; wanted ({rows},), the rows of the model")
    return np.flatnonzero(mask)


def _read_array(bundle: Bundle, path: Path, where: str) -> np.ndarray:
    try:
        if path.suffix == ".safetensors":
            return ids_of_mask(bundle, _read_mask(path, where), where)
        if path.suffix == ".npy":
            from index.sources.matrix import map_npy

            values = map_npy(open_file(path))
            if values.dtype == bool:
                return ids_of_mask(bundle, values, where)
        from index.sources.sample import read_sample

        return read_sample(path, named="among")
    except SourceError as error:
        raise ParameterError(f"{where} cannot be read: {brief(error)}") from error


def _read_mask(path: Path, where: str) -> np.ndarray:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ParameterError(f"{where} cannot be read: {brief(error)}") from error
    mask = tensors.get(MASK, next(iter(tensors.values())) if len(tensors) == 1 else None)
    if mask is None or mask.dtype != bool:
        held = ", ".join(f"{name} ({each.dtype})" for name, each in list(tensors.items())[:5]) or "nothing"
        raise ParameterError(f"{where} holds no mask; wanted one tensor of bools, '{MASK}', got: {held}")
    return mask


def write_tokens(bundle: Bundle, ids: np.ndarray, path: Path, metadata: dict[str, str]) -> None:
    """Write ids, (n,) int64: a mask to `.safetensors`, an array to `.npy`, else a text with one on each line."""
    if path.suffix == ".npy":
        with path.open("wb") as file:
            np.save(file, ids)
    elif path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        mask = np.zeros(bundle.manifest.source.rows, dtype=bool)
        mask[ids] = True
        save_file({MASK: mask}, path, metadata=metadata)
    else:
        path.write_text("".join(f"{each}\n" for each in ids.tolist()), encoding="utf-8", newline="\n")
