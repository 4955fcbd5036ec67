"""Vectors with names: for TensorBoard's embedding projector, and for what reads word2vec files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from index.bundle.arrow import arrow_array
from index.bundle.bundle import Bundle
from index.geometry.blocks import Matrix
from index.tokens.display import display
from index.tokens.vocabulary import Vocabulary

PROJECTOR_FILES = frozenset({"vectors.tsv", "metadata.tsv"})
_BLOCK_ROWS = 4096


def write_projector(bundle: Bundle, vectors: np.ndarray, folder: Path) -> None:
    """Write `vectors.tsv`, no header, and `metadata.tsv`, with one: a bundle's first rows, (N, D), in a new folder."""
    from pyarrow import csv

    folder.mkdir()
    names = [str(column) for column in range(vectors.shape[1])]
    schema = pa.schema([(name, pa.float32()) for name in names])
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with csv.CSVWriter(folder / "vectors.tsv", schema, write_options=options) as writer:
        for block in _blocks(vectors):
            writer.write_batch(pa.RecordBatch.from_arrays([arrow_array(column) for column in block.T], names))
    columns = _metadata(bundle, len(vectors))
    with (folder / "metadata.tsv").open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(columns) + "\n")
        file.writelines("\t".join(row) + "\n" for row in zip(*columns.values(), strict=True))


def write_word2vec(vocabulary: Vocabulary, vectors: Matrix, path: Path) -> None:
    """Write the binary word2vec format: a line `V D`, then for each token its key, a space and D float32 values."""
    keys = word2vec_keys(vocabulary)
    with path.open("wb") as file:
        file.write(b"%d %d\n" % vectors.shape)
        row = 0
        for block in _blocks(vectors):
            for vector in block:
                file.write(keys[row].encode() + b" " + vector.tobytes())
                row += 1


def word2vec_keys(vocabulary: Vocabulary) -> list[str]:
    r"""Return V different keys without white space: a reader ends a key at it, and drops a key it has already met.

    A key is the piece (`Ġplanet`). White space in a piece is escaped (`\n`, `\x20`); a row without text is called by
    its `#id`; a key that another token has already gets the `#id` behind it.
    """
    pieces = vocabulary.pieces.to_pylist()
    whole = {piece: row for row, piece in reversed(list(enumerate(pieces))) if piece and not _has_space(piece)}
    keys: list[str] = [""] * len(pieces)
    taken: set[str] = set()
    # Pieces that are keys as they stand come first, so that no other takes their name.
    for row in [*whole.values(), *sorted(set(range(len(pieces))) - set(whole.values()))]:
        marker = f"#{vocabulary.token_ids[row]}"
        key = "".join(map(_escaped, pieces[row] or "")) or marker
        while key in taken:
            key += marker
        taken.add(key)
        keys[row] = key
    return keys


def _has_space(piece: str) -> bool:
    return any(map(str.isspace, piece))


def _escaped(character: str) -> str:
    if not character.isspace():
        return character
    return r"\x20" if character == " " else character.encode("unicode_escape").decode()


def _blocks(vectors: Matrix) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), _BLOCK_ROWS):
        yield np.ascontiguousarray(vectors[start : start + _BLOCK_ROWS], dtype="<f4")


def _metadata(bundle: Bundle, N: int) -> dict[str, list[str]]:
    """Return the first N entries of the columns of `tokens.parquet` as texts without tabs or newlines."""
    table = bundle.tokens.slice(0, N)
    values: dict[str, list[Any]] = {name: table[name].to_pylist() for name in table.column_names}
    texts = [display(text, piece) for text, piece in zip(values["text"], values.pop("piece"), strict=True)]
    return {"text": texts} | {name: list(map(_cell, listed)) for name, listed in values.items() if name != "text"}


def _cell(value: Any) -> str:
    """Return a value as the projector reads it: it takes an empty cell as missing, and knows no infinity."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return display(value) if isinstance(value, str) else str(value)
