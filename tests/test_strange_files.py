"""Files made to run code, to take any memory or any time: each ends in one clear line, soon, and within bounds."""

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import torch
from conftest import ROOT, invoke
from safetensors.numpy import save_file

from index.checks.stored_matrix import open_matrix
from index.errors import LogoscopeError, ParameterError, SourceError
from index.files import open_file
from index.sources.judgments import read_judgments
from index.sources.load import load
from index.sources.sample import read_sample
from index.sources.torch_file import as_numpy, load_torch

MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)
Writer = Callable[[Path], Path]


def refusal(source: Path, tokenizer: Path | None = None) -> str:
    """What load says against a source: one printable line."""
    with pytest.raises(SourceError) as caught:
        load(str(source), tokenizer=None if tokenizer is None else str(tokenizer))
    message = str(caught.value)
    assert message.isprintable()
    return message


# --- .pt: pickles -----------------------------------------------------------------------------------------------------


def rewrite(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip archive again, each record changed."""
    with zipfile.ZipFile(path) as archive:
        records = [(record.filename, archive.read(record)) for record in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in records:
            archive.writestr(name, change(name, content))
    return path


def archive(opcodes: bytes) -> Writer:
    """A file of torch.save whose pickle is a dict of a good matrix and of what `opcodes` leave on the stack."""

    def write(folder: Path) -> Path:
        torch.save({"gamma": torch.ones(4, 3)}, folder / "x.pt")

        def change(name: str, content: bytes) -> bytes:
            return content[:-1] + b"X\x04\x00\x00\x00more" + opcodes + b"s." if name.endswith("data.pkl") else content

        return rewrite(folder / "x.pt", change)

    return write


def called(module: str, name: str, arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n".encode() + arguments + b"R"


TOUCH = b"(X\x10\x00\x00\x00touch /tmp/owned" + b"t"
PAYLOADS = {
    "os.system": (called("posix", "system", TOUCH), "posix.system"),
    "eval": (called("__builtin__", "eval", TOUCH), "__builtin__.eval"),
    "exec": (called("builtins", "exec", TOUCH), "builtins.exec"),
    "subprocess": (called("subprocess", "Popen", TOUCH), "subprocess.Popen"),
    "import": (called("importlib", "import_module", TOUCH), "importlib.import_module"),
    "runpy": (called("runpy", "run_path", TOUCH), "runpy.run_path"),
    "torch.load": (called("torch", "load", TOUCH), "torch.load"),
    "torch.hub": (called("torch.hub", "load", TOUCH), "torch.hub.load"),
    "attribute of torch": (called("torch.utils", "os.system", TOUCH), "torch.utils.os.system"),
    "stack global": (b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93" + TOUCH + b"R", "os.system"),
    "instance": (b"(X\x01\x00\x00\x00ais\nsystem\n", "opcode INST"),
    "extension": (b"\x82\x01", "opcode EXT1"),
    "method by attribute": (called("__builtin__", "getattr", TOUCH), "__builtin__.getattr"),
    "gigabytes": (
        called("__builtin__", "bytearray", b"\x8a\x05" + (10**11).to_bytes(5, "little") + b"\x85"),
        "bytearray",
    ),
    "tensor class": (called("torch.distributed.rpc", "PyRRef", TOUCH), "torch.distributed.rpc.PyRRef"),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_pickle_that_asks_for_more_than_tensors(payload: tuple[bytes, str], tmp_path: Path) -> None:
    opcodes, named = payload
    message = refusal(archive(opcodes)(tmp_path))
    assert named in message
    assert not Path("/tmp/owned").exists()


def test_the_same_file_without_a_payload_is_read(tmp_path: Path) -> None:
    assert load(str(archive(b"K\x01")(tmp_path))).gamma.tolist() == [[1.0] * 3] * 4


TWICE = b"".join(b"q%ch%c\x86" % (level, level) for level in range(60))
"""A tuple of the tuple before, twice: 2^60 leaves, which hashing would visit one by one."""


@pytest.mark.parametrize(
    ("opcodes", "words"),
    [
        (b"}K\x01\x85" + TWICE + b"K\x02s", "a dict in it has a key of type tuple"),
        (b"N" * 2_000_001, "more than 2,000,000 opcodes"),
        (b"N" * (1 << 26), "its pickle takes more than 67108864 bytes"),
        (b"X\xff\xff\xff\xffshort", "is no whole file of torch.save"),
        (b"h\xff", "opcodes do not fit"),
        (b"(\x87", "takes more values than it has"),
        (b"K\x01)R", "it calls what is no function"),
        (b"(K\x01K\x02K\x03tQ", "refers to what is no storage"),
        (called("torch._utils", "_rebuild_tensor_v2", b"(K\x01K\x02K\x03K\x04t"), "a tensor without a storage"),
    ],
)
def test_a_pickle_that_takes_forever_or_fits_nowhere(opcodes: bytes, words: str, tmp_path: Path) -> None:
    assert words in refusal(archive(opcodes)(tmp_path))


def test_a_zip_bomb(tmp_path: Path) -> None:
    torch.save({"gamma": torch.zeros(1000, 1000)}, tmp_path / "x.pt")
    path = rewrite(tmp_path / "x.pt", lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    assert "is compressed" in refusal(path)


def test_a_zip_of_a_million_records(tmp_path: Path) -> None:
    entry = struct.pack("<4s4x4x4xLLL3HHHLL", b"PK\x01\x02", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)[:46]
    directory = entry.ljust(46, b"\0") * 200_000
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 65535, 65535, len(directory), 4, 0)
    (tmp_path / "x.pt").write_bytes(b"PK\x03\x04" + directory + end)
    assert "its directory takes 9200000 bytes, more than 8388608" in refusal(tmp_path / "x.pt")


def test_a_zip_whose_records_begin_before_the_file(tmp_path: Path) -> None:
    path = rewrite(archive(b"K\x01")(tmp_path), lambda name, content: content)
    content = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<L", content, len(content) - 6)
    struct.pack_into("<L", content, len(content) - 6, directory + 40)  # zipfile takes it for 40 bytes too few in front
    path.write_bytes(content)
    assert "data.pkl' is not where the directory says" in refusal(path)


def test_a_storage_that_is_not_there(tmp_path: Path) -> None:
    path = archive(b"K\x01")(tmp_path)
    with zipfile.ZipFile(path) as whole:
        records = {name: whole.read(name) for name in whole.namelist() if not name.endswith("data/0")}
    with zipfile.ZipFile(path, "w") as less:
        for name, content in records.items():
            less.writestr(name, content)
    assert "lacks the elements of gamma" in refusal(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_what_torch_reads(zipped: bool, tmp_path: Path) -> None:
    """Every kind of tensor, views and values, beside torch.load's own reading."""
    generator = torch.Generator().manual_seed(0)
    content = {
        "float": torch.randn(5, 3, generator=generator),
        "bfloat16": torch.randn(4, 3, generator=generator).bfloat16(),
        "part": torch.arange(24).reshape(4, 6)[1:, 2:4],
        "transposed": torch.arange(12.0).reshape(3, 4).t(),
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "half": torch.ones(3).half(),
        "bool": torch.tensor([True, False]),
        **torch.nn.Linear(2, 3).state_dict(),
    }
    values = {"x": 1, "f": 2.5, "s": "é", "l": [1, 2], "n": None, "big": 2**70, (1, 2): 3}
    torch.save(
        content | {"values": values, "dtype": torch.float16}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped
    )
    found = load_torch(open_file(tmp_path / "x.pt"))
    for name, tensor in content.items():
        array = as_numpy(found[name], name, tmp_path / "x.pt")
        expected = tensor.detach().view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor.detach()
        assert array.shape == tuple(tensor.shape)
        np.testing.assert_array_equal(array.view(np.int16) if name == "bfloat16" else array, expected.numpy())
    assert found["values"] == values


def test_reading_a_pt_file_imports_no_torch(tmp_path: Path) -> None:
    torch.save({"gamma": torch.ones(4, 3)}, tmp_path / "x.pt")
    load = f"from index.sources.load import load; load({str(tmp_path / 'x.pt')!r})"
    code = f"import sys; {load}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_big_endian_storages(tmp_path: Path) -> None:
    torch.save({"gamma": torch.from_numpy(MATRIX)}, tmp_path / "x.pt")
    swapped = {
        "byteorder": lambda content: b"big",
        "data/0": lambda content: np.frombuffer(content, ">u4").astype("<u4").tobytes(),
    }
    rewrite(tmp_path / "x.pt", lambda name, content: swapped.get(name.split("/", 1)[1], lambda same: same)(content))
    np.testing.assert_array_equal(load(str(tmp_path / "x.pt")).gamma, MATRIX)


# --- safetensors, GGUF, NumPy -----------------------------------------------------------------------------------------


def tensor_header(**changes: Any) -> Writer:
    entry = {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48]} | changes

    def write(folder: Path) -> Path:
        models.write_safetensors_header(folder / "x.safetensors", {"gamma": entry}, bytes(48))
        return folder / "x.safetensors"

    return write


def raw(name: str, content: bytes) -> Writer:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def npy_header(text: bytes) -> Writer:
    text = text.ljust(118) + b"\n"
    return raw("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(48))


def gguf_bytes(*values: bytes, keys: int = 1, tensors: int = 0) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, keys) + b"".join(values)


def gguf_values(*values: bytes, keys: int = 1, tensors: int = 0) -> Writer:
    return raw("x.gguf", gguf_bytes(*values, keys=keys, tensors=tensors))


def text(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (tensor_header(shape=[2**40, 3]), "no whole safetensors file"),
        (tensor_header(shape=[-4, 3]), "no whole safetensors file"),
        (tensor_header(data_offsets=[48, 0]), "no whole safetensors file"),
        (tensor_header(data_offsets=[0, 2**62]), "no whole safetensors file"),
        (tensor_header(dtype="F3"), "no whole safetensors file"),
        (raw("x.safetensors", struct.pack("<Q", 2**63) + b"{}"), "its header claims 9223372036854775808 bytes"),
        (raw("x.safetensors", b"\x01"), "its header claims"),
        (
            raw("x.safetensors", struct.pack("<Q", 6_000_002) + b"[" + b"[]," * 2_000_000 + b"]"),
            "some 4,000,001 values",
        ),
        (gguf_values(text(b"a"), struct.pack("<I", 8), struct.pack("<Q", 2**62)), "more than 134217728"),
        (gguf_values(text(b"a"), struct.pack("<IIQ", 9, 8, 1_000_001)), "arrays of 1000001 strings"),
        (gguf_values(text(b"a"), struct.pack("<IIQ", 9, 4, 2**61)), "but the file ends at"),
        (gguf_values(text(b"a"), struct.pack("<IIQ", 9, 9, 1)), "wanted numbers or strings"),
        (gguf_values(text(b"a"), struct.pack("<II", 4, 7), keys=2**17), "claims 131072 metadata keys"),
        (gguf_values(text(b"a"), struct.pack("<I", 2**31), keys=0, tensors=1), "claims 2147483648 dimensions"),
        (
            gguf_values(text(b"output.weight"), struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0), keys=0, tensors=1),
            "has 1,099,511,627,776 rows",
        ),
        (
            gguf_values(text(b"output.weight"), struct.pack("<IQQIQ", 2, 3, 4, 0, 2**63), keys=0, tensors=1),
            "is cut short",
        ),
        (npy_header(b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }"), "Python objects"),
        (npy_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 9), }" % 10**14), "is no .npy file"),
        (npy_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-4, -3), }"), "is no .npy file"),
        (npy_header(b"(" * 100), "is no .npy file"),
        (
            npy_header(b"{'descr': '<f4', 'shape': (2,), 'fortran_order': __import__('os').system('false')}"),
            "is no .npy",
        ),
        (raw("x.npy", b"PK\x03\x04" + bytes(200)), "is no .npy file"),
        (raw("x.npy", pickle.dumps({"a": 1})), "is no .npy file"),
    ],
)
def test_headers_that_lie(write: Writer, words: str, tmp_path: Path) -> None:
    assert words in refusal(write(tmp_path))


def test_too_many_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3_000_001, 1), np.float16))
    assert "has 3,000,001 rows; wanted at most 3,000,000 tokens" in refusal(tmp_path / "x.npy")


# --- JSON and tokenizers ----------------------------------------------------------------------------------------------

BOMBS = {
    "nesting": (b"[" * 100_000, "is no JSON"),
    "nested objects": (b'{"a":' * 100_000, "is no JSON"),
    "many values": (b"[" + b"[]," * 1_000_001 + b"0]", "its JSON holds some 2,000,003 values, more than 2,000,000"),
    "many bytes": (b'{"a": "' + b"x" * (1 << 25) + b'"}', "has 33,554,441 bytes, more than 33,554,432"),
    "a long number": (b'{"a": ' + b"9" * 5000 + b"}", "is no JSON"),
    "not an object": (b"[]", "holds a JSON list; wanted an object"),
    "not UTF-8": (b'{"a": "\xff"}', "is no JSON"),
}


@pytest.mark.parametrize("file", ["config.json", "model.safetensors.index.json", "tokenizer_config.json"])
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_json_bombs(file: str, bomb: tuple[bytes, str], tmp_path: Path) -> None:
    content, words = bomb
    (tmp_path / "config.json").write_text("{}")
    models.sentencepiece_like_tokenizer().save(str(tmp_path / "tokenizer.json"))
    if file != "model.safetensors.index.json":
        save_file({"lm_head.weight": MATRIX}, tmp_path / "model.safetensors")
    (tmp_path / file).write_bytes(content)
    message = refusal(tmp_path)
    assert words in message
    assert file in message


def tokenizer_json(**parts: Any) -> bytes:
    tokenizer = {"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
    return json.dumps(tokenizer | parts).encode()


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def sequence(kind: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", kind: list(steps)}


MERGES = [[f"{n:x}", "0"] for n in range(600_000)]
SLOW = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
TOKENIZERS = {
    "nesting": (b'{"version": "1.0", "model": ' + b"[" * 100_000, "is no tokenizer"),
    "many values": (b'{"model": [' + b"[]," * 1_500_000 + b"0]}", "values, more than 3,000,000"),
    "a million merges": (
        tokenizer_json(model={"type": "BPE", "vocab": {}, "merges": [["a", "b"]] * 1_000_001}),
        "values, more than 3,000,000",
    ),
    "merges of nothing": (
        tokenizer_json(model={"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}),
        "is no tokenizer",
    ),
    "longer by a decoder": (
        tokenizer_json(decoder=sequence("decoders", *[replace({"String": "a"}, "aaaa")] * 4)),
        "can make a text 256 times as long",
    ),
    "longer by a pattern": (
        tokenizer_json(normalizer=sequence("normalizers", *[replace({"Regex": "a*"}, "a")] * 20)),
        "can make a text 1.05e+06 times as long",
    ),
    "longer in front": (tokenizer_json(normalizer={"type": "Prepend", "prepend": "x" * 1000}), "1e+03 times as long"),
    "many steps": (tokenizer_json(pre_tokenizer=sequence("pretokenizers", *[SLOW] * 65)), "the 65 steps of its"),
    "a long piece": (
        tokenizer_json(model={"type": "BPE", "vocab": {"a" * 4097: 0}, "merges": []}),
        "a piece of 4,097 characters",
    ),
    "a pattern without end": (
        tokenizer_json(
            model={"type": "BPE", "vocab": {"a": 0, "a" * 60 + "b": 1}, "merges": []},
            decoder=replace({"Regex": "(a+)+$"}, ""),
        ),
        "retry-limit-in-match",
    ),
    "a panic": (
        tokenizer_json(
            model={
                "type": "BPE",
                "continuing_subword_prefix": "longer than a piece",
                "vocab": {"a": 0, "b": 1, "ab": 2},
                "merges": [["a", "b"]],
            }
        ),
        "is no tokenizer: range end index",
    ),
}


@pytest.mark.parametrize("bomb", TOKENIZERS.values(), ids=TOKENIZERS)
def test_tokenizer_bombs(bomb: tuple[bytes, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content, words = bomb
    np.save(tmp_path / "gamma.npy", MATRIX)
    (tmp_path / "tokenizer.json").write_bytes(content)
    assert words in refusal(tmp_path / "gamma.npy", tmp_path / "tokenizer.json")
    assert capfd.readouterr() == ("", "")  # the library itself prints its panics


def test_tens_of_thousands_of_added_tokens(tmp_path: Path) -> None:
    """Added one by one they would take minutes: each addition makes the patterns of all of them anew."""
    tokenizer = models.sentencepiece_like_tokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    first, added = tokenizer.get_vocab_size(), 30_000
    entries = {str(first + number): {"content": f"<x{number}>", "special": True} for number in range(added)}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": entries}))
    (tmp_path / "config.json").write_text("{}")
    save_file({"lm_head.weight": np.ones((first + added, 1), np.float32)}, tmp_path / "model.safetensors")
    vocabulary = load(str(tmp_path)).vocabulary
    assert [vocabulary.text(first + number) for number in (0, 29_999)] == ["<x0>", "<x29999>"]


# --- what is no plain file, and names of other files ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.npy", "x.pt", "x.gguf", "x.safetensors", "config.json", "tokenizer.json"])
def test_pipes_are_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    source = tmp_path if name == "config.json" else tmp_path / name
    if name == "tokenizer.json":
        np.save(tmp_path / "gamma.npy", MATRIX)
        assert "is no regular file" in refusal(tmp_path / "gamma.npy", tmp_path / name)
    else:
        assert "holds no config.json" in refusal(source) or "is no regular file" in refusal(source)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent.tsv", "there is no such file"),
        ("absent/pairs.tsv", "there is no such file"),
        ("folder", "it is a folder, no file"),
        ("dangling", "it is a link to a file that is not there"),
        ("pipe", "it is no regular file"),
        ("a\0b", "there is no such file"),
    ],
)
def test_why_there_is_no_file_is_said(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for read in (read_judgments, read_sample, open_matrix):
        with pytest.raises(LogoscopeError, match=said):
            read(tmp_path / name)


def test_devices_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.npy").symlink_to("/dev/zero")
    assert "is no regular file" in refusal(tmp_path / "x.npy")


@pytest.mark.parametrize("read", [open_matrix, read_sample])
@pytest.mark.parametrize("ending", [".npy", ".pt"])
def test_stored_matrices_and_samples_are_regular_files(
    read: Callable[[Path], Any], ending: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / f"x{ending}")
    with pytest.raises(LogoscopeError, match="it is no regular file"):
        read(tmp_path / f"x{ending}")


@pytest.mark.parametrize("held", [None, 7, "planet", [1, 2], {"ids": [1]}, {"token_indices": None}])
def test_a_sample_that_holds_no_tensor(held: object, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "x.pt")
    with pytest.raises(ParameterError, match=r"x\.pt (cannot be read: .*is no|holds no)"):
        read_sample(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "..", ".", "", "a\\b", "x\0y"]
)
def test_shards_stay_in_their_folder(shard: str, tmp_path: Path) -> None:
    save_file({"lm_head.weight": MATRIX}, tmp_path / "secret.safetensors")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    index = {"weight_map": {"lm_head.weight": shard}}
    (tmp_path / "model" / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "which is no plain file name" in refusal(tmp_path / "model")


@pytest.mark.parametrize("shard", ["x" * 256, "é" * 128])
def test_a_name_longer_than_a_file_can_have(shard: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    index = {"weight_map": {"lm_head.weight": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "which is no plain file name" in refusal(tmp_path)


def test_links_to_blobs_are_followed(tmp_path: Path) -> None:
    """The Hub's cache is made of them."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    save_file({"lm_head.weight": MATRIX}, tmp_path / "blobs" / "1234")
    (tmp_path / "snapshot" / "config.json").write_text("{}")
    (tmp_path / "snapshot" / "model.safetensors").symlink_to("../blobs/1234")
    np.testing.assert_array_equal(load(str(tmp_path / "snapshot")).gamma, MATRIX)


# --- what reaches the terminal ----------------------------------------------------------------------------------------

EVIL = "\x1b[2J\x07\u202e\u2066\r\n"
"""Clears the screen, rings, turns the line around and ends it."""


@pytest.mark.parametrize(
    "name", [f"{EVIL}.npy", f"{EVIL}.pt", f"{EVIL}.gguf", f"{EVIL}.safetensors", f"{EVIL}.txt", EVIL]
)
def test_names_of_files_are_shown_and_not_obeyed(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    outcome = invoke("build_index.py", tmp_path / name, "--out", tmp_path / "bundle")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.removesuffix("\n").isprintable()
    assert "\\x1b[2J\\x07\\u202e\\u2066\\r\\n" in outcome.err


@pytest.mark.parametrize(
    "write",
    [
        gguf_values(text(EVIL.encode()), struct.pack("<IQQIQ", 2, 3, 4, 0, 0), keys=0, tensors=1),
        archive(called("evil\x1b[2J", "name\u202e", b")")),
        lambda folder: raw("x.safetensors", struct.pack("<Q", 90) + f'{{"{EVIL}": 3}}'.encode().ljust(90))(folder),
    ],
    ids=["name of a tensor", "name of a global", "message of a library"],
)
def test_what_files_say_is_shown_and_not_obeyed(write: Writer, tmp_path: Path) -> None:
    outcome = invoke("build_index.py", write(tmp_path), "--out", tmp_path / "bundle")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.removesuffix("\n").isprintable()


def test_an_error_keeps_isolates_and_plain_words() -> None:
    assert str(SourceError("\u2068שלום\u2069 é 漢 \udcff\t")) == "\u2068שלום\u2069 é 漢 \\udcff\\t"
    assert str(SourceError("\u2066א\\n\u2069\u2068\x1b")) == "\u2066א\\n\u2069\\u2068\\x1b"
    assert str(SourceError("a\u2069\u2066\u2068b\u2069")) == "a\\u2069\\u2066\u2068b\u2069"


# --- memory -----------------------------------------------------------------------------------------------------------

HEAVY: dict[str, Callable[[], bytes]] = {
    "config.json": lambda: b'{"a": [' + b"[]," * 990_000 + b"0]}",
    "tokenizer.json": lambda: tokenizer_json(junk=[[]] * 1_400_000),
    "x.gguf": lambda: gguf_bytes(text(b"a"), struct.pack("<I", 8), text(b"x" * 50_000_000 + "😀".encode())),
    "x.pt": lambda: b"]q\x00" * 660_000,
}
"""Files just within the limits, which take the most memory for their size."""


@pytest.mark.parametrize("name", HEAVY)
def test_memory_is_bounded(name: str, tmp_path: Path) -> None:
    """A reader takes under twice the size of its file and 500 MB, beyond what its imports take."""
    source, arguments = tmp_path / name, ""
    if name == "x.pt":
        archive(HEAVY[name]())(tmp_path)
    else:
        source.write_bytes(HEAVY[name]())
    if name == "config.json":
        source = tmp_path
    elif name.endswith(".json"):
        np.save(tmp_path / "gamma.npy", MATRIX)
        source, arguments = tmp_path / "gamma.npy", f", tokenizer={str(tmp_path / name)!r}"
    code = f"""if True:
        import contextlib, resource, gguf, safetensors, tokenizers
        from index.errors import SourceError
        from index.sources.load import load
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with contextlib.suppress(SourceError):
            load({str(source)!r}{arguments})
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    kilobyte = 1 if sys.platform == "darwin" else 1024
    size = (tmp_path / name).stat().st_size
    assert int(done.stdout) * kilobyte < 2 * size + 500_000_000
