"""Write the synthetic vocabulary as a local model: a bf16 safetensors file and a tokenizer for 151,669 of its rows.

python benchmarks/model.py FOLDER [--shape 151936 2560]
"""

import argparse
import json
from pathlib import Path

import numpy as np
import synthetic
from safetensors.torch import save_file

ORPHANS = 267
"""Rows without text, as in Qwen3-4B."""


def pieces(count: int) -> list[str]:
    """Return different byte-level pieces: some real words, then random ones of Qwen's typical length."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    found = dict.fromkeys(["planet", "Ġplanet", "Ġstar", "Ġmoon"])
    while len(found) < count:
        word = "".join(random.choice(letters, size=random.integers(2, 12)))
        found["Ġ" + word if random.random() < 0.5 else word] = None
    return list(found)


def main() -> None:
    """Read the options and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=2, default=(151_936, 2_560), metavar=("V", "D"))
    options = parser.parse_args()
    V, D = options.shape
    options.folder.mkdir(parents=True, exist_ok=True)
    save_file({"model.embed_tokens.weight": synthetic.vocabulary(V, D)}, options.folder / "model.safetensors")
    (options.folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "tie_word_embeddings": True}))
    vocabulary = {piece: token_id for token_id, piece in enumerate(pieces(V - ORPHANS))}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    (options.folder / "tokenizer.json").write_text(json.dumps(tokenizer))


if __name__ == "__main__":
    main()
