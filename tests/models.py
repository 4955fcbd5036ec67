"""Tiny models and tokenizers, made on the spot in the layouts that real ones have."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quantize
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

CORPUS = (
    "the planet and the planets of a star, the star and the moon of a planet",
    "hello world, hello moon: naïve café, 日本語 日本語 日本, über über alles",
    "it's 1984 and 2001; it isn't 42\n\n  def f(x):\n\treturn x + 1\n",
) * 20
SPECIAL, ADDED = "<|endoftext|>", "<think>"
TOKENS = 340
"""Tokens of the byte-level tokenizer; its last two are SPECIAL and ADDED."""


def byte_level_tokenizer() -> Tokenizer:
    """A byte-level BPE tokenizer, trained here."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=TOKENS - 2, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([SPECIAL])
    tokenizer.add_tokens([AddedToken(ADDED, normalized=False)])
    return tokenizer


def word_tokenizer(count: int) -> Tokenizer:
    """A tokenizer of so many words, for a matrix that has no rows for a larger one."""
    words = {f"w{number}": number for number in range(count)}
    return Tokenizer(models.WordLevel(words, unk_token="w0"))


def sentencepiece_like_tokenizer() -> Tokenizer:
    """A tokenizer in the shape of Llama-2's: `▁` for spaces, byte fallback, a decoder that drops the first space."""
    pieces = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "p", "l", "▁a", "▁ab", "pl"]
    merges = [("▁", "a"), ("▁a", "b"), ("p", "l")]
    vocabulary = {piece: token_id for token_id, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>"])
    return tokenizer


def save_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Save a tokenizer as transformers saves a fast one."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=SPECIAL).save_pretrained(folder)


def save_qwen3(
    folder: Path, *, tied: bool, dtype: str = "bfloat16", shards: int = 2, rows: int = 400
) -> NDArray[np.uint8]:
    """Save a random Qwen3 with a tokenizer as transformers does.

    Returns the bytes of `lm_head.weight` as the model itself holds them, (V, D * item size).
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=rows,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=tied,
    )
    model = Qwen3ForCausalLM(config).to(getattr(torch, dtype))
    model_bytes = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    model.save_pretrained(folder, max_shard_size=model_bytes * 6 // 10 if shards == 2 else "1GB")
    assert len(list(folder.glob("*.safetensors"))) == shards
    save_tokenizer(folder, byte_level_tokenizer())
    weight: NDArray[np.uint8] = model.lm_head.weight.detach().view(torch.uint8).numpy().copy()
    return weight


def write_safetensors_header(path: Path, header: Any, body: bytes = b"") -> None:
    """Write a safetensors file whose header says whatever it likes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def write_gguf(
    path: Path,
    matrix: NDArray,
    *,
    name: str = "token_embd.weight",
    quantization: GGMLQuantizationType | None = None,
    tokenizer: str = "gpt2",
    pre: str | None = None,
    pieces: Sequence[str] | None = None,
    types: Sequence[TokenType] | None = None,
    merges: Sequence[str] | None = None,
) -> None:
    """Write a GGUF file that holds one matrix and a tokenizer, with the `gguf` package's own writer."""
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model(tokenizer)
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    if pieces is not None:
        writer.add_token_list(list(pieces))
    if types is not None:
        writer.add_token_types(list(types))
    if merges is not None:
        writer.add_token_merges(list(merges))
    if quantization is not None:
        packed = quantize(np.asarray(matrix, dtype=np.float32), quantization)
        writer.add_tensor(name, packed, raw_dtype=quantization)
    elif matrix.dtype == ml_dtypes.bfloat16:
        writer.add_tensor(name, matrix.view(np.uint8), raw_dtype=GGMLQuantizationType.BF16)
    else:
        writer.add_tensor(name, matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
