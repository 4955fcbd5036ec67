"""Sources: the same bits and texts that a model's own library gives, whatever file they come from."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hub
import ml_dtypes
import models
import numpy as np
import oracles
import pytest
import torch
from gguf import GGMLQuantizationType, dequantize, quantize
from numpy.typing import NDArray
from safetensors.numpy import save_file

from index.sources.load import Source, load

ROWS = 400


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.uint8]]:
    folder = tmp_path_factory.mktemp("tied") / "Tiny-Qwen3"
    return folder, models.save_qwen3(folder, tied=True, rows=ROWS)


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.uint8]]:
    folder = tmp_path_factory.mktemp("untied") / "Tiny-Qwen3"
    return folder, models.save_qwen3(folder, tied=False, rows=ROWS)


@pytest.fixture(scope="module")
def bundled() -> Source:
    return load(None)


@pytest.fixture
def matrix() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(ROWS, 32)).astype(np.float32)


def bits(gamma: NDArray) -> NDArray[np.uint8]:
    return np.ascontiguousarray(gamma).view(np.uint8)


def is_mapped(array: NDArray) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


# The bundled model


def test_bundled_gamma_is_the_dequantized_embedding(bundled: Source) -> None:
    assert (bundled.name, bundled.tensor) == ("smollm2-135m", "token_embd.weight")
    assert bundled.location.startswith("bundled:")
    assert bundled.gamma.dtype == np.float32
    assert bundled.gamma.flags.c_contiguous
    np.testing.assert_array_equal(bundled.gamma, oracles.bundled_gamma())


def test_bundled_model_needs_no_torch() -> None:
    code = "import sys; from index.sources.load import load; load(None); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# Hugging Face folders


def test_tied_folder_has_the_bits_of_lm_head(tied: tuple[Path, NDArray[np.uint8]]) -> None:
    source = load(str(tied[0]))
    assert (source.name, source.tensor) == ("tiny-qwen3", "model.embed_tokens.weight")
    assert source.gamma.dtype == ml_dtypes.bfloat16
    assert is_mapped(source.gamma)
    np.testing.assert_array_equal(bits(source.gamma), tied[1])


def test_untied_folder_has_the_bits_of_lm_head(untied: tuple[Path, NDArray[np.uint8]]) -> None:
    source = load(str(untied[0]))
    assert source.tensor == "lm_head.weight"
    np.testing.assert_array_equal(bits(source.gamma), untied[1])


def test_only_the_shard_with_the_matrix_is_read(untied: tuple[Path, NDArray[np.uint8]], tmp_path: Path) -> None:
    index = json.loads((untied[0] / "model.safetensors.index.json").read_text())
    shard = index["weight_map"]["lm_head.weight"]
    for file in untied[0].iterdir():
        if file.suffix != ".safetensors" or file.name == shard:
            (tmp_path / file.name).symlink_to(file)  # as the Hub's cache links to its blobs
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    np.testing.assert_array_equal(bits(load(str(tmp_path)).gamma), untied[1])


@pytest.mark.parametrize(("dtype", "expected"), [("float32", np.float32), ("float16", np.float16)])
def test_single_file_folder_keeps_its_dtype(dtype: str, expected: type, tmp_path: Path) -> None:
    weight = models.save_qwen3(tmp_path, tied=False, dtype=dtype, shards=1)
    source = load(str(tmp_path))
    assert source.gamma.dtype == expected
    np.testing.assert_array_equal(bits(source.gamma), weight)


@pytest.mark.parametrize(
    ("config", "names", "chosen"),
    [
        ({}, ["transformer.wte.weight"], "transformer.wte.weight"),
        ({}, ["gpt_neox.embed_in.weight", "embed_out.weight"], "embed_out.weight"),
        ({"tie_word_embeddings": True}, ["model.embed_tokens.weight", "lm_head.weight"], "model.embed_tokens.weight"),
        (
            {"text_config": {"tie_word_embeddings": True}},
            ["model.language_model.embed_tokens.weight"],
            "model.language_model.embed_tokens.weight",
        ),
    ],
)
def test_pytorch_folders_of_other_families(
    config: dict, names: list[str], chosen: str, matrix: NDArray, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    tensors = {name: torch.from_numpy(matrix + number) for number, name in enumerate(names)}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    source = load(str(tmp_path))
    assert source.tensor == chosen
    np.testing.assert_array_equal(source.gamma, matrix + names.index(chosen))
    assert source.vocabulary.texts.null_count == ROWS


# Single files


def as_safetensors(key: str) -> Callable[[Path, NDArray], Path]:
    def write(folder: Path, matrix: NDArray) -> Path:
        save_file({"other": np.zeros((2, 2), np.float32), key: matrix}, folder / "x.safetensors")
        return folder / "x.safetensors"

    return write


def as_npy(folder: Path, matrix: NDArray) -> Path:
    np.save(folder / "x.npy", matrix)
    return folder / "x.npy"


def as_fortran_npy(folder: Path, matrix: NDArray) -> Path:
    return as_npy(folder, np.asfortranarray(matrix))


def as_pt(content: Callable[[torch.Tensor], object], **options: bool) -> Callable[[Path, NDArray], Path]:
    def write(folder: Path, matrix: NDArray) -> Path:
        numbers = matrix.view(np.uint16) if matrix.dtype == ml_dtypes.bfloat16 else matrix
        tensor = torch.from_numpy(numbers.copy())
        tensor = tensor.view(torch.bfloat16) if matrix.dtype == ml_dtypes.bfloat16 else tensor
        torch.save(content(tensor), folder / "x.pt", **options)
        return folder / "x.pt"

    return write


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    "write",
    [
        *(as_safetensors(key) for key in ("gamma", "W", "lm_head.weight", "model.embed_tokens.weight")),
        as_npy,
        as_fortran_npy,
        as_pt(lambda tensor: tensor),
        as_pt(lambda tensor: tensor.T.contiguous().T),
        as_pt(lambda tensor: {"W": tensor, "metadata": {"model": "x", "layers": [1, 2]}}),
        as_pt(lambda tensor: {"model.embed_tokens.weight": torch.nn.Parameter(tensor)}),
        as_pt(lambda tensor: tensor, _use_new_zipfile_serialization=False),
    ],
)
def test_single_files_keep_bits_and_dtype(
    write: Callable[[Path, NDArray], Path], dtype: type, matrix: NDArray, tmp_path: Path
) -> None:
    expected = matrix.astype(dtype)
    source = load(str(write(tmp_path, expected)))
    assert source.gamma.dtype == dtype
    assert source.gamma.flags.c_contiguous
    np.testing.assert_array_equal(bits(source.gamma), bits(expected))
    assert source.vocabulary.texts.null_count == ROWS


@pytest.mark.parametrize("write", [as_safetensors("W"), as_npy])
def test_uint16_is_bfloat16(write: Callable[[Path, NDArray], Path], matrix: NDArray, tmp_path: Path) -> None:
    expected = matrix.astype(ml_dtypes.bfloat16)
    source = load(str(write(tmp_path, expected.view(np.uint16))))
    assert source.gamma.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(bits(source.gamma), bits(expected))
    assert is_mapped(source.gamma)


# GGUF


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_gguf_floats_keep_their_dtype(dtype: type, matrix: NDArray, tmp_path: Path) -> None:
    models.write_gguf(tmp_path / "x.gguf", matrix.astype(dtype), name="output.weight")
    source = load(str(tmp_path / "x.gguf"))
    assert (source.tensor, source.gamma.dtype) == ("output.weight", dtype)
    assert is_mapped(source.gamma)
    np.testing.assert_array_equal(bits(source.gamma), bits(matrix.astype(dtype)))


@pytest.mark.parametrize("name", ["Q8_0", "Q4_1", "Q4_0"])
def test_gguf_quantized(name: str, matrix: NDArray, tmp_path: Path) -> None:
    kind = GGMLQuantizationType[name]
    models.write_gguf(tmp_path / "x.gguf", matrix, quantization=kind)
    np.testing.assert_array_equal(load(str(tmp_path / "x.gguf")).gamma, dequantize(quantize(matrix, kind), kind))


# The Hub


def load_in_a_process(source: str, endpoint: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Load where HF_ENDPOINT is set before huggingface_hub is imported; print name, dtype, and gamma's bytes in hex."""
    code = (
        "import sys; from pathlib import Path\n"
        "from index.errors import SourceError; from index.sources.load import load\n"
        "try: source = load(sys.argv[1], cache=Path(sys.argv[2]) / 'tensors')\n"
        "except SourceError as error: sys.exit(str(error))\n"
        "print(source.name, source.gamma.dtype, source.vocabulary.text(3), source.gamma.tobytes().hex())"
    )
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, source, str(home)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_hub_fetches_one_tensor_only(untied: tuple[Path, NDArray[np.uint8]], tmp_path: Path) -> None:
    index = json.loads((untied[0] / "model.safetensors.index.json").read_text())
    with hub.serve({"tiny/Qwen3": untied[0]}) as server:
        first = load_in_a_process("tiny/Qwen3", server.endpoint, tmp_path)
        shard = index["weight_map"]["lm_head.weight"]
        expected = ["config.json", shard, "model.safetensors.index.json"]
        assert server.files("GET") == sorted([*expected, "tokenizer.json", "tokenizer_config.json"])
        assert [part.name for part in server.parts] == 3 * [shard]  # its header's length, header, tensor
        assert set(server.files("HEAD")) == {*server.files("GET"), "model.safetensors"}
    name, dtype, text, content = first.stdout.split()
    assert (name, dtype, text) == ("qwen3", "bfloat16", load(str(untied[0])).vocabulary.text(3))
    assert bytes.fromhex(content) == untied[1].tobytes()
    # The server is gone now; what it sent is in the cache.
    assert load_in_a_process("tiny/Qwen3", server.endpoint, tmp_path).stdout == first.stdout


def test_hub_refusals_are_one_line(tied: tuple[Path, NDArray], tmp_path: Path) -> None:
    with hub.serve({"tiny/qwen3": tied[0]}, gated=frozenset({"tiny/gated"})) as server:
        for source, words in (
            ("tiny/gated", "tiny/gated is gated"),
            ("tiny/absent", "no file or folder 'tiny/absent' here, and no model of that id on the Hub"),
            ("tiny/qwen3@absent", "tiny/qwen3 has no revision 'absent'"),
        ):
            done = load_in_a_process(source, server.endpoint, tmp_path)
            assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
            assert words in done.stderr
        assert server.files("GET") == []
    done = load_in_a_process("tiny/absent", server.endpoint, tmp_path)
    assert done.stderr.count("\n") == 1
    assert "the Hub cannot be reached" in done.stderr
