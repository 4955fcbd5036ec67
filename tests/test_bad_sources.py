"""Bad model files: each ends in one clear line, and none of them runs anything."""

import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from index.errors import SourceError
from index.sources.load import load

MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)


def refusal(source: Path | str, tokenizer: Path | None = None) -> str:
    """What load says against a source: one printable line."""
    with pytest.raises(SourceError) as caught:
        load(str(source), tokenizer=None if tokenizer is None else str(tokenizer))
    message = str(caught.value)
    assert message.isprintable(), message
    return message


def text_as_npy(folder: Path) -> Path:
    (folder / "x.npy").write_text("these are words, not numbers\n")
    return folder / "x.npy"


def objects_as_npy(folder: Path) -> Path:
    np.save(folder / "x.npy", np.array([[{}, []]], dtype=object), allow_pickle=True)
    return folder / "x.npy"


def array(values: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.save(folder / "x.npy", values)
        return folder / "x.npy"

    return write


def short_npy(folder: Path) -> Path:
    path = array(MATRIX)(folder)
    path.write_bytes(path.read_bytes()[:-4])
    return path


def safetensors(tensors: dict[str, Any], cut: int = 0) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "x.safetensors"
        save_file(tensors, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])
        return path

    return write


def header(content: Any, body: bytes = b"") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        models.write_safetensors_header(folder / "x.safetensors", content, body)
        return folder / "x.safetensors"

    return write


def raw(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def pt(content: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save(content, folder / "x.pt")
        return folder / "x.pt"

    return write


def compressed_pt(folder: Path) -> Path:
    torch.save({"gamma": torch.zeros(1000, 1000)}, folder / "plain.pt")
    with (
        zipfile.ZipFile(folder / "plain.pt") as plain,
        zipfile.ZipFile(folder / "x.pt", "w", zipfile.ZIP_DEFLATED) as x,
    ):
        for record in plain.infolist():
            x.writestr(record.filename, plain.read(record))
    return folder / "x.pt"


def gguf(**options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        models.write_gguf(folder / "x.gguf", MATRIX, **options)
        return folder / "x.gguf"

    return write


def hf_folder(config: object | None, index: object | None = None) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        if config is not None:
            (folder / "config.json").write_text(json.dumps(config))
        if index is not None:
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        return folder

    return write


GGUF_ARRAY_OF_LIES = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"a", 9, 8, 2**60)
BPE = (
    b'{"version": "1.0", "model": {"type": "BPE", "continuing_subword_prefix": %s, '
    b'"vocab": {"a": 0, "b": 1, "ab": %d}, "merges": [["a", "b"]]}}'
)
LATE = np.where(np.isin(np.arange(9000), (4096, 8999)), np.inf, 1.0)[:, None]
NONFINITE = np.where(np.isin(MATRIX, (4, 11)), np.nan, MATRIX)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda folder: folder / "absent.gguf", "no such file or folder"),
        (lambda folder: folder / "absent", "no such file or folder"),
        (raw("x.npy", b""), "is empty: 0 bytes"),
        (raw("x.pt", b""), "is empty: 0 bytes"),
        (raw("x.gguf", b""), "is empty: 0 bytes"),
        (raw("x.safetensors", b""), "is empty: 0 bytes"),
        (raw("notes.txt", b"words"), "ends in '.txt'; wanted .gguf, .safetensors"),
        (text_as_npy, "is no .npy file of numbers"),
        (objects_as_npy, "is no .npy file of numbers"),
        (short_npy, "is no .npy file of numbers"),
        (array(np.zeros(5, np.float32)), "has shape (5,); wanted (tokens, width)"),
        (array(np.zeros((2, 3, 4), np.float32)), "has shape (2, 3, 4); wanted (tokens, width)"),
        (array(np.zeros((0, 3), np.float32)), "has shape (0, 3); wanted (tokens, width), neither zero"),
        (array(np.zeros((4, 3), np.int64)), "is int64; wanted float64, float32, float16 or bfloat16"),
        (array(NONFINITE), "has NaN or infinite values in 2 of 4 rows: 1, 3"),
        (array(LATE), "in 2 of 9000 rows: 4096, 8999"),
        (array(np.full((9000, 2), np.inf, np.float16)), "in 9000 of 9000 rows: 0, 1, 2, 3, 4, …"),
        (safetensors({"gamma": MATRIX}, cut=4), "is no whole safetensors file"),
        (raw("x.safetensors", b"these are words, not tensors"), "is no whole safetensors file"),
        (header({"gamma": {"dtype": "F32", "shape": [4000, 3], "data_offsets": [0, 48]}}, bytes(48)), "no whole"),
        (header(b'{"a":' * 100_000), "is no whole safetensors file"),
        (safetensors({"gamma": np.zeros((4, 3), np.int8)}), "gamma of"),
        (safetensors({"big": MATRIX, "bias": np.zeros(3)}), "it holds 'big' (4, 3); wanted gamma, W, lm_head.weight"),
        (safetensors({"bias": np.zeros(3)}), "it holds no matrix"),
        (pt({"metadata": 3}), "it holds no matrix"),
        (pt([torch.zeros(4, 3)]), "holds a list; wanted a tensor, or a dict of tensors"),
        (pt(torch.zeros(4, 3).to_sparse()), "is no dense tensor"),
        (pt(torch.zeros(1, 1).expand(10**6, 10**6)), "claims shape (1000000, 1000000), but holds 4 bytes"),
        (pt(torch.zeros(4, 3, dtype=torch.complex64)), "wanted float64"),
        (raw("x.pt", b"these are words, not tensors"), "is no file of torch.save"),
        (compressed_pt, "is compressed"),
        (raw("x.gguf", b"these are words, not tensors"), "does not start with 'GGUF'"),
        (raw("x.gguf", b"GGUF" + bytes([0, 0, 0, 3]) + bytes(16)), "big-endian"),
        (raw("x.gguf", b"GGUF" + struct.pack("<IQQ", 1, 0, 0)), "of version 1; wanted"),
        (raw("x.gguf", b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0)), "it claims 9223372036854775808 tensors"),
        (raw("x.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 5)), "but the file ends at 24"),
        (raw("x.gguf", GGUF_ARRAY_OF_LIES), "it claims arrays of 1152921504606846976 strings"),
        (gguf(name="blk.0.weight"), "it holds 'blk.0.weight' (4, 3); wanted output.weight, token_embd.weight"),
        (header({"gamma": {"dtype": "F32", "shape": [0, 2**60], "data_offsets": [0, 0]}}), "neither zero"),
        (hf_folder(None), "holds no config.json"),
        (hf_folder([]), "holds a JSON list; wanted an object"),
        (hf_folder({}), "holds no weights: neither model.safetensors nor pytorch_model.bin"),
        (
            hf_folder({}, {"weight_map": {"lm_head.weight": "a.safetensors"}}),
            "lacks the file a.safetensors",
        ),
        (hf_folder({}, {"weight_map": {"lm_head.weight": "../a.safetensors"}}), "which is no plain file name"),
        (hf_folder({}, {"weight_map": {"encoder.embed": "a"}}), "under a known name; wanted lm_head.weight"),
        (hf_folder({}, {}), "has no weight_map"),
    ],
)
def test_bad_sources_are_one_line(write: Callable[[Path], Path], words: str, tmp_path: Path) -> None:
    assert words in refusal(write(tmp_path))


@pytest.mark.parametrize("source", ["", "a/b/c", "./absent", "x" * 5000, "a\0b", "absent.gguf", "\udcff"])
def test_what_is_neither_path_nor_hub_id_says_so(source: str) -> None:
    assert "no such file or folder" in refusal(source) or "cannot be a path" in refusal(source)


def test_untied_folder_without_an_unembedding(tmp_path: Path) -> None:
    hf_folder({"tie_word_embeddings": False})(tmp_path)
    save_file({"model.embed_tokens.weight": MATRIX}, tmp_path / "model.safetensors")
    assert "it holds 'model.embed_tokens.weight' (4, 3); wanted lm_head.weight" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda folder: folder, "holds no tokenizer"),
        (raw("tokenizer.json", b"{}"), "is no tokenizer"),
        (raw("tokenizer.json", b"\xff\xfe"), "is no tokenizer"),
        (raw("tokenizer.json", BPE % (b"null", 2**31)), "has the token id 2147483648, beyond 10000000"),
        (
            raw("tokenizer.json", BPE % (b'"longer than a piece"', 3)),
            "is no tokenizer: range end index",
        ),  # a Rust panic
        (raw("x.txt", b"words"), "is no tokenizer; wanted a folder, a Hub id"),
        (gguf(), "holds no tokenizer"),
    ],
)
def test_bad_tokenizers_are_one_line(write: Callable[[Path], Path], words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", MATRIX)
    assert words in refusal(tmp_path / "gamma.npy", write(tmp_path))


class Payload:
    """Writes a file when it is unpickled by a reader that runs what pickles ask for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("style", ["zip", "legacy", "protocol 0", "protocol 2", "protocol 4"])
def test_pickles_are_refused_and_nothing_runs(style: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "x.pt", tmp_path / "ran"
    content = {"gamma": torch.zeros(4, 3), "more": Payload(trace)}
    if style.startswith("protocol"):
        path.write_bytes(pickle.dumps({"more": Payload(trace)}, protocol=int(style[-1])))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=style == "zip")
    message = refusal(path)
    assert "refused" in message
    assert str(path) in message
    assert "io.open" in message
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["npy", "safetensors", "gguf", "pt", "tokenizer"])
def test_mutated_files_raise_nothing_else(kind: str, tmp_path: Path) -> None:
    """Bytes changed, cut and repeated at random: a source, or a SourceError of one line, and nothing else."""
    path = tmp_path / f"x.{kind}"
    if kind == "gguf":
        models.write_gguf(path, MATRIX, pieces=["a", "b", "Ġa"], types=[1, 3, 1], merges=["Ġ a"], pre="smollm")
    elif kind == "tokenizer":
        path = tmp_path / "tokenizer.json"
        models.sentencepiece_like_tokenizer().save(str(path), pretty=False)
        np.save(tmp_path / "gamma.npy", MATRIX)
    else:
        {"npy": array(MATRIX), "safetensors": safetensors({"gamma": MATRIX}), "pt": pt({"gamma": torch.ones(4, 3)})}[
            kind
        ](tmp_path)
    whole, rng = path.read_bytes(), random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(content))
            content[at : at + rng.choice((1, 1, 4, 8))] = rng.choice(
                (rng.randbytes(1), rng.randbytes(8), b"\xff" * 8, b"", content[:at][-8:])
            )
        path.write_bytes(bytes(content) or b"x")
        try:
            if kind == "tokenizer":
                load(str(tmp_path / "gamma.npy"), tokenizer=str(path))
            else:
                load(str(path))
        except SourceError as error:
            assert str(error).isprintable()  # noqa: PT017 - either outcome is right
