"""What `fuzz.py` and `fuzz_coverage.py` feed readers with: small valid files, ways to change them, how each is read."""

from __future__ import annotations

import copy
import io
import json
import lzma
import re
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import models
import numpy as np
from gguf import GGMLQuantizationType
from safetensors.numpy import save_file

EXTREMES = (
    *(0, 1, 2, 127, 128, 255, 256, 10**6, 10**9, 10**12, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**48),
    *(2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1),
)
WORDS = (
    *(b"0", b"-1", b"1e309", b"NaN", b"1e6", b"4294967296", b"18446744073709551615", b"9" * 400, b"null", b"true"),
    *(b"[]", b"{}", b'""', b"[" * 2000, b'{"a":' * 1200, b'"\\ud800"', b"\x1b[31m", b"\xe2\x80\xae", b"\0", b"\xff"),
)
VALUES = (
    *(
        None,
        True,
        -1,
        0,
        7,
        1e308,
        10**9,
        2**31,
        2**63,
        10**400,
        "",
        "x" * 5000,
        "\x1b[31m",
        "\u202e",
        "\ud800",
        "a/../b",
    ),
    *([], {}, [[]], [0], {"": 0}, {"type": "Sequence"}, {"Regex": "(a+)+$"}, {"String": ""}),
)
LONGEST_REPEATED = 1 << 20
"""Characters of JSON that a change repeats a part to."""
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where files are written anew thousands of times a second."""
CORPUS = Path(__file__).resolve().parent.parent / "tests" / "corpus"
MATRIX = np.random.default_rng(0).normal(size=(40, 32)).astype(np.float32)
TOKENS = 40
TOKENIZER_ROWS = 300
"""Of a matrix with a row for each token of the tokenizers here."""


@dataclass(frozen=True)
class Reader:
    """One kind of file, and the reader it is for."""

    name: str
    file: str  # what the file is called
    seeds: list[bytes]  # valid files
    read: Callable[[Path], Any]  # given the folder that the file lies in
    others: Path | None = None  # a folder with what lies beside it
    seal: Callable[[Path], None] | None = None  # makes everything in a folder that vouches for the file do so again
    seconds: int = 5  # how long an input may take
    megabytes: int = 500  # how much memory it may take beside twice its own size
    narrow: Callable[[Path], Callable[[bytes], Any]] | None = None  # for `prepared`, where `read` asks much of a bundle

    def prepare(self, folder: Path) -> None:
        """Put what lies beside the file into a new folder."""
        if self.others is not None:
            shutil.copytree(self.others, folder, dirs_exist_ok=True)

    def write(self, folder: Path, content: bytes) -> None:
        """Put a changed file into the folder."""
        (folder / self.file).write_bytes(content)
        if self.seal is not None:
            self.seal(folder)

    def mutate(self, rng: np.random.Generator) -> bytes:
        """Return a valid file with one to six changes."""
        content = self.seeds[rng.integers(len(self.seeds))]
        if self.file.endswith(".json") and rng.random() < 0.7:
            return changed_json(content, rng)
        for _ in range(rng.integers(1, 7)):
            content = _changed_bytes(content, self.seeds, rng)
        return content


def prepared(reader: Reader, folder: Path) -> Callable[[bytes], Any]:
    """Return what reads one content after another in a folder: the reader's file alone, thousands of times a second."""
    reader.prepare(folder)
    if reader.narrow is not None:
        return reader.narrow(folder)

    def read(content: bytes) -> None:
        reader.write(folder, content)
        reader.read(folder)

    return read


def write_corpus(name: str, contents: list[bytes]) -> int:
    """Keep what a reader was found to do differently with; return the bytes it takes: alike files take few."""
    CORPUS.mkdir(exist_ok=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number, content in enumerate(contents):
            entry = tarfile.TarInfo(f"{number:03}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    path = CORPUS / f"{name}.tar.xz"
    path.write_bytes(lzma.compress(packed.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    return path.stat().st_size


def read_corpus(name: str) -> list[bytes]:
    """Return what `write_corpus` kept for a reader; nothing where it kept none."""
    path = CORPUS / f"{name}.tar.xz"
    if not path.exists():
        return []
    with tarfile.open(path) as archive:
        return [file.read() for entry in archive if (file := archive.extractfile(entry)) is not None]


def _changed_bytes(content: bytes, seeds: list[bytes], rng: np.random.Generator) -> bytes:
    """Change one thing, half of the times near an end, where headers and directories are."""
    size = len(content)
    near = min(size, 400)
    at = int(rng.choice([rng.integers(near + 1), size - rng.integers(near + 1), rng.integers(size + 1)]))
    length = int(rng.choice([1, 2, 4, 8, 16, 64]))
    before, after = content[:at], content[at + length :]
    kind = rng.integers(8)
    if kind == 0 and at < size:
        return before + bytes([content[at] ^ 1 << int(rng.integers(8))]) + content[at + 1 :]
    if kind == 1:
        return before + rng.bytes(length) + after
    if kind == 2:
        width = int(rng.choice([1, 2, 4, 8]))
        value = EXTREMES[rng.integers(len(EXTREMES))] % (1 << 8 * width)
        return before + value.to_bytes(width, "little") + content[at + width :]
    if kind == 3:
        return before
    if kind == 4:
        return before + after
    if kind == 5:
        return before + content[at : at + length] * int(rng.choice([2, 3, 1000])) + after
    if kind == 6:
        other = seeds[rng.integers(len(seeds))]
        start = int(rng.integers(len(other)))
        return before + other[start : start + 4 * length] + after
    word = WORDS[rng.integers(len(WORDS))]
    numbers = list(re.finditer(rb"\d+", content))
    if numbers and rng.random() < 0.5:
        number = numbers[rng.integers(len(numbers))]
        return content[: number.start()] + word + content[number.end() :]
    return before + word + content[at:]


def changed_json(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace, remove, rename or repeat parts of a JSON text."""
    whole = json.loads(content)
    for _ in range(rng.integers(1, 4)):
        parent, key = _somewhere(whole, rng)
        donor, place = _somewhere(whole, rng)
        kind = rng.integers(5)
        if kind == 0:
            parent[key] = copy.deepcopy(donor[place])
        elif kind == 1:
            del parent[key]
        elif kind == 2 and isinstance(parent, dict):
            parent[str(VALUES[rng.integers(len(VALUES))]) if rng.random() < 0.5 else f"{key}x"] = parent.pop(key)
        elif kind == 3 and isinstance(parent, list):
            most = LONGEST_REPEATED // len(json.dumps(parent[key]))  # else a part of a part is repeated 300^3 times
            count = min(int(rng.choice([1, 10, 300])), most)
            parent.extend([copy.deepcopy(parent[key]) for _ in range(count)])  # each its own, or a change is in all
        else:
            parent[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
        if not whole:
            break
    return json.dumps(whole).encode()


def _somewhere(whole: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return a container somewhere in a JSON value that is not empty, and one of its keys."""
    here = whole
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = keys[rng.integers(len(keys))]
        below = here[key]
        if not isinstance(below, dict | list) or not below or rng.random() < 0.3:
            return here, key
        here = below


# --- the readers ------------------------------------------------------------------------------------------------------


def _load(name: str, folder: Path) -> None:
    from index.sources.load import load

    source = load(str(folder / name))
    float(source.gamma[-1, -1])


def _load_tokenizer(folder: Path) -> None:
    from index.sources.load import load
    from index.tokens.writing import reachable

    source = load(str(folder / "gamma.npy"), tokenizer=str(folder / "tokenizer.json"))
    reachable(source.vocabulary)
    source.vocabulary.split("the planet")


def _load_folder(folder: Path) -> None:
    from index.sources.load import load

    load(str(folder))


def _open_matrix(name: str, folder: Path) -> None:
    from index.checks.stored_matrix import open_matrix

    matrix = open_matrix(folder / name)
    matrix.tile(slice(0, 2), slice(0, matrix.N))
    matrix.row(matrix.N - 1)


def _read_sample(name: str, folder: Path) -> None:
    from index.sources.sample import read_sample

    read_sample(folder / name).sum()


def _ask(folder: Path) -> None:
    """Ask a bundle what reads every part of it, and make the reports."""
    import index
    from index.answers.answer import to_json
    from index.errors import TokenError

    vocabulary = index.open(folder)
    vocabulary.info().page()
    with np.errstate(all="ignore"):  # as the commands do; points may be NaN
        to_json(vocabulary.densest(top=5).json())
        vocabulary.neighbors("#3", top=30)  # more than are kept: the points themselves are searched
        vocabulary.spectrum(pairs=5).page()
    _ = vocabulary.gamma[:2], vocabulary.causal.index.ntotal
    with suppress(TokenError):
        vocabulary.neighbors("no such token")


def _lines(folder: Path) -> None:
    """Look up what stands on each line, as `neighbors --file` does."""
    from index.cli.many import numbered, open_lines
    from index.errors import TokenError
    from index.tokens.display import without_isolates

    vocabulary = _opened(folder).vocabulary
    with open_lines(folder / "x.txt") as lines:
        for _, text in numbered(lines):
            try:
                vocabulary.display(vocabulary.resolve(text))
            except TokenError as error:
                if not without_isolates(str(error)).isprintable():
                    raise RuntimeError(f"no clear line: {error!r}") from error


def _among(folder: Path) -> None:
    from index.questions.asking.among import subset

    subset(_opened(folder), str(folder / "x.txt"))


@cache
def _opened(folder: Path) -> Any:
    import index

    return index.open(folder)


def _narrow(file: str, ask: Callable[[Any], Any], folder: Path) -> Callable[[bytes], Any]:
    """Return what reads a changed file of an open bundle whose checksums always fit."""
    from xxhash import xxh3_64_hexdigest

    import index
    from index.bundle.checksums import BLOCK_BYTES, StoredFile

    vocabulary = index.open(folder)
    parts = (vocabulary, *vocabulary.spaces.values())
    known, whole = [set(vars(part)) for part in parts], vocabulary.checksums.file

    def vouched(name: str) -> StoredFile:
        if name != file:
            return whole(name)
        content = (folder / file).read_bytes()
        starts = range(0, len(content), BLOCK_BYTES)
        return StoredFile(folder / file, [xxh3_64_hexdigest(content[at : at + BLOCK_BYTES]) for at in starts])

    vocabulary.checksums.file = vouched

    def read(content: bytes) -> None:
        (folder / file).write_bytes(content)
        for part, names in zip(parts, known, strict=True):
            for name in set(vars(part)) - names:
                del vars(part)[name]  # what was read of the file before
        with np.errstate(all="ignore"):
            ask(vocabulary)

    return read


def _ask_manifest(folder: Path) -> Callable[[bytes], Any]:
    def read(content: bytes) -> None:
        import index
        from index.answers.answer import to_json

        (folder / "manifest.json").write_bytes(content)
        _seal_manifest(folder)
        found = index.open(folder).info()
        found.page()
        to_json(found.json())

    return read


def _ask_checksums(folder: Path) -> Callable[[bytes], Any]:
    """Return what reads changed checksums as the manifest says they were written."""
    from hashlib import sha256

    import index
    from index.bundle.checksums import CHECKSUMS, Checksums, FileFacts

    found = index.open(folder)
    asked = ("tokens.parquet", "causal.faiss", "causal.ids.npy", "gamma.safetensors")  # all are read alike
    facts = {name: found.manifest.files[name] for name in asked}

    def read(content: bytes) -> None:
        (folder / CHECKSUMS).write_bytes(content)
        own = FileFacts(bytes=len(content), sha256=sha256(content).hexdigest())
        checksums = Checksums(folder, {**facts, CHECKSUMS: own}, found.was_replaced)
        for name in asked:
            checksums.file(name).read()

    return read


def _ask_tokens(found: Any) -> None:
    from index.measures.density import Rule

    _ = found.vocabulary.token(3), found.vocabulary.display(3), found.twins, found.tokens
    for rule in Rule:
        found.densities(rule)
    for column in ("kind", "script"):
        found.columns(column)
    found.vocabulary.resolve("w3")


def _ask_lists(found: Any) -> None:
    from index.measures.lists import places

    lists = found.causal.lists
    _ = lists.decided(5), lists.filled(5), found.causal.distances[3]
    places(lists, np.arange(5), 10)


def _seal_manifest(folder: Path) -> None:
    """Make a changed manifest vouch for itself: whoever hands on a bundle can do that, too."""
    from index.bundle.checksums import seal
    from index.bundle.manifest import MANIFEST

    with suppress(ValueError, RecursionError):  # what cannot be read cannot be sealed
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if isinstance(manifest, dict):
            (folder / MANIFEST).write_text(json.dumps(manifest | {"checksum": seal(manifest)}))


def seal_file(name: str, folder: Path) -> None:
    """Make a bundle's manifest and checksums those of a changed file."""
    from hashlib import sha256

    from xxhash import xxh3_64_hexdigest

    from index.bundle.checksums import BLOCK_BYTES, CHECKSUMS, seal
    from index.bundle.manifest import MANIFEST

    if name != CHECKSUMS:
        content = (folder / name).read_bytes()
        blocks = [content[start : start + BLOCK_BYTES] for start in range(0, len(content), BLOCK_BYTES)]
        sums = json.loads((folder / CHECKSUMS).read_bytes())
        sums["blocks"][name] = list(map(xxh3_64_hexdigest, blocks))
        (folder / CHECKSUMS).write_text(json.dumps(sums))
    manifest = json.loads((folder / MANIFEST).read_bytes())
    for each in (name, CHECKSUMS):
        written = (folder / each).read_bytes()
        manifest["files"][each] |= {"bytes": len(written), "sha256": sha256(written).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest | {"checksum": seal(manifest)}))


def _gguf(folder: Path) -> Reader:
    tokens = {"pieces": [f"Ġ{n}" for n in range(TOKENS)], "types": [1] * TOKENS, "merges": ["Ġ 1"], "pre": "smollm"}
    models.write_gguf(folder / "0", MATRIX, **tokens)
    models.write_gguf(folder / "1", MATRIX, name="output.weight", quantization=GGMLQuantizationType.Q8_0)
    models.write_gguf(folder / "2", MATRIX, tokenizer="llama", pieces=["▁a", "<0x41>"] * 20, types=[1, 6] * 20)
    return Reader("gguf", "x.gguf", _seeds(folder), partial(_load, "x.gguf"))


def _safetensors(folder: Path) -> Reader:
    save_file({"gamma": MATRIX}, folder / "0", {"format": "np"})
    save_file({"lm_head.weight": MATRIX.astype(np.float16), "bias": MATRIX[0]}, folder / "1")
    return Reader("safetensors", "x.safetensors", _seeds(folder), partial(_load, "x.safetensors"))


def _npy(folder: Path) -> Reader:
    for number, dtype in enumerate((np.float32, np.float16, ">f8")):
        with (folder / str(number)).open("wb") as file:
            np.save(file, MATRIX.astype(dtype))
    return Reader("npy", "x.npy", _seeds(folder), partial(_load, "x.npy"))


def _save_torch(folder: Path, *contents: Any) -> None:
    import torch

    for number, content in enumerate(contents):
        for zipped in (True, False):
            torch.save(content, folder / f"{number}{zipped}", _use_new_zipfile_serialization=zipped)


def _pt(folder: Path) -> Reader:
    import torch

    gamma = torch.from_numpy(MATRIX)
    _save_torch(folder, gamma, {"gamma": gamma.bfloat16().t(), "metadata": {"model": "x", "shape": (40, 3)}})
    _save_torch(folder, {"W": torch.nn.Parameter(gamma), "sparse": torch.eye(3).to_sparse(), "dtype": torch.float16})
    return Reader("pt", "x.pt", _seeds(folder), partial(_load, "x.pt"))


def _pt_distances(folder: Path) -> Reader:
    import torch

    content = {"triu_values": torch.ones(780).half(), "token_indices": torch.arange(40), "N": 40, "metadata": {"a": 1}}
    _save_torch(folder, content)
    return Reader("pt-distances", "x.pt", _seeds(folder), partial(_open_matrix, "x.pt"))


def _npy_distances(folder: Path) -> Reader:
    with (folder / "0").open("wb") as file:
        np.save(file, MATRIX @ MATRIX.T)
    return Reader("npy-distances", "x.npy", _seeds(folder), partial(_open_matrix, "x.npy"))


def _pt_sample(folder: Path) -> Reader:
    import torch

    _save_torch(folder, {"token_indices": torch.arange(40)}, torch.arange(9))
    return Reader("pt-sample", "x.pt", _seeds(folder), partial(_read_sample, "x.pt"))


def _npy_sample(folder: Path) -> Reader:
    with (folder / "0").open("wb") as file:
        np.save(file, np.arange(40))
    return Reader("npy-sample", "x.npy", _seeds(folder), partial(_read_sample, "x.npy"))


def _tokenizer(folder: Path) -> Reader:
    models.sentencepiece_like_tokenizer().save(str(folder / "0"), pretty=False)
    tokenizer = json.loads(models.byte_level_tokenizer().to_str())
    vocabulary = tokenizer["model"]["vocab"]
    kept = {piece: token_id for piece, token_id in vocabulary.items() if token_id < 300}
    merges = [pair for pair in tokenizer["model"]["merges"] if {"".join(pair), *pair} <= set(kept)]
    tokenizer["model"] |= {"vocab": kept, "merges": merges}
    (folder / "1").write_text(json.dumps(tokenizer))
    seeds = _seeds(folder)
    np.save(folder / "gamma.npy", np.ones((TOKENIZER_ROWS, 2), np.float32))
    for number in ("0", "1"):
        (folder / number).unlink()
    return Reader("tokenizer", "tokenizer.json", seeds, _load_tokenizer, folder)


def _model_folder(name: str, file: str, content: Any, folder: Path) -> Reader:
    """Return a reader of one of the JSON files of a model folder."""
    models.word_tokenizer(TOKENS).save(str(folder / "tokenizer.json"))  # small: it is read with each input
    (folder / "config.json").write_text('{"tie_word_embeddings": true}')
    weights = "model.safetensors" if file != "model.safetensors.index.json" else "a.safetensors"
    save_file({"model.embed_tokens.weight": np.ones((TOKENS + 10, 2), np.float32)}, folder / weights)
    return Reader(name, file, [json.dumps(content).encode()], lambda folder: _load(".", folder), folder)


def _bundle(
    name: str, file: str, seal: Callable[[Path], None], narrow: Callable[[Path], Callable[[bytes], Any]], folder: Path
) -> Reader:
    """Return a reader of one of the files of a bundle."""
    target = _build(folder)
    return Reader(name, file, [(target / file).read_bytes()], _ask, target, seal, narrow=narrow)


def _file_of_bundle(name: str, file: str, ask: Callable[[Any], Any]) -> Callable[[Path], Reader]:
    return partial(_bundle, name, file, partial(seal_file, file), partial(_narrow, file, ask))


def _beside_a_bundle(name: str, seeds: list[bytes], read: Callable[[Path], None], folder: Path) -> Reader:
    """Return a reader of a text file that a question to a bundle is given."""
    return Reader(name, "x.txt", seeds, read, _build(folder))


def _build(folder: Path) -> Path:
    from index.build.build import build
    from index.build.settings import Settings

    np.save(folder / "gamma.npy", MATRIX)
    models.word_tokenizer(len(MATRIX)).save(str(folder / "tokenizer.json"))
    source, tokenizer, target = folder / "gamma.npy", folder / "tokenizer.json", folder / "bundle"
    build(Settings(source=str(source), tokenizer=str(tokenizer), out=target, neighbors=20, density_k=10))
    return target


def _seeds(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


_ADDED = {
    str(number): {"content": f"<x{number}>", "special": True, "normalized": False}
    for number in range(TOKENS, TOKENS + 3)
}
_MADE: dict[str, Callable[[Path], Reader]] = {
    "gguf": _gguf,
    "safetensors": _safetensors,
    "npy": _npy,
    "pt": _pt,
    "pt-distances": _pt_distances,
    "pt-sample": _pt_sample,
    "npy-distances": _npy_distances,
    "npy-sample": _npy_sample,
    "tokenizer": _tokenizer,
    "config": partial(
        _model_folder,
        "config",
        "config.json",
        {"tie_word_embeddings": True, "text_config": {"tie_word_embeddings": False}, "model_type": "llama"},
    ),
    "shard-index": partial(
        _model_folder,
        "shard-index",
        "model.safetensors.index.json",
        {"metadata": {"total_size": 1}, "weight_map": {"model.embed_tokens.weight": "a.safetensors", "x": "b"}},
    ),
    "tokenizer-config": partial(
        _model_folder,
        "tokenizer-config",
        "tokenizer_config.json",
        {"added_tokens_decoder": _ADDED, "eos_token": "</s>"},
    ),
    "manifest": partial(_bundle, "manifest", "manifest.json", _seal_manifest, _ask_manifest),
    "checksums": partial(_bundle, "checksums", "checksums.json", partial(seal_file, "checksums.json"), _ask_checksums),
    "kept-tokenizer": _file_of_bundle("kept-tokenizer", "tokenizer.json", lambda found: found.vocabulary.split("w1")),
    "tokens-parquet": _file_of_bundle("tokens-parquet", "tokens.parquet", _ask_tokens),
    "faiss": _file_of_bundle("faiss", "causal.faiss", lambda found: (found.causal.points[3], found.causal.index)),
    "graph": _file_of_bundle("graph", "causal.ids.npy", lambda found: (found.causal.ids[3], _ask_lists(found))),
    "graph-distances": _file_of_bundle("graph-distances", "causal.distances.npy", _ask_lists),
    "groups": _file_of_bundle("groups", "causal.groups.npy", _ask_lists),
    "gamma": _file_of_bundle("gamma", "gamma.safetensors", lambda found: (found.gamma[:2], found.gamma.whole)),
    "metric": _file_of_bundle("metric", "metric.safetensors", lambda found: found.spectrum(pairs=5).page()),
    "among": partial(_beside_a_bundle, "among", [b"1 2 3\n", b"#4,#5\n0\n", b"\xef\xbb\xbf7\r\n8"], _among),
    "words": partial(_beside_a_bundle, "words", [b"w1\nw2\n", b"#3\r\n w1\n\\n", b"planet\n\xff\n w 1"], _lines),
}
NAMES = tuple(_MADE)


def make_reader(name: str, folder: Path) -> Reader:
    """Make a reader's valid files in an empty folder."""
    return _MADE[name](folder)
