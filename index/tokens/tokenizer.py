"""Tokenizers in the format of the `tokenizers` library, from files that nobody vouches for.

What a file may cost is bounded before and while it is read: how many values it holds, how much its steps can lengthen a
text, and how long its patterns take. The library is written in Rust; where it panics, it raises a BaseException of a
class that cannot be imported, after lines of its own on standard error.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.errors import SourceError
from index.files import refusal, require_few_values

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

MOST_BYTES = 1 << 28
MOST_VALUES = 3_000_000
"""A vocabulary of 900,000 pieces has 2,700,000. The library takes up to 160 bytes for each."""
LARGEST_ID = 10_000_000
"""The library walks over every id up to the largest when it writes itself down."""
LONGEST_PIECE = 4096
MOST_CHARACTERS = 1 << 25
"""Of all texts together; the largest vocabularies have two million."""
MOST_STEPS = 64
MOST_GROWTH = 64.0
"""How many times longer the steps of a tokenizer may make a text. Those in use replace a character by another."""
SECONDS, SECONDS_PER_TEXT = 3.0, 1e-4
"""Processor time that reading texts may take: ten times what it does take."""
_BLOCK = 256

_STANDARD_ERROR = 2
_redirecting = threading.RLock()


def parse_tokenizer(content: bytes, path: Path) -> Tokenizer:
    """Make a tokenizer from the bytes of a `tokenizer.json`; SourceError when it is none, or could take any effort."""
    from tokenizers import Tokenizer

    if len(content) > MOST_BYTES:
        raise SourceError(f"{path} is refused: it has {len(content):,} bytes, more than {MOST_BYTES:,}")
    require_few_values(content, MOST_VALUES, path)
    with reading_tokenizer(path):
        tokenizer = Tokenizer.from_buffer(content)
        _require_bounded(tokenizer, path)
    return tokenizer


@contextmanager
def reading_tokenizer(path: Path) -> Iterator[None]:
    """Turn what the `tokenizers` library raises into SourceError, and keep what it prints off the terminal.

    That is plain Exception, and for a panic in Rust a BaseException. transformers, which converts older tokenizers,
    raises nearly anything.
    """
    try:
        with _silent_standard_error():
            yield
    except (SourceError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise refusal(path, "is no tokenizer", error) from error


def encode(tokenizer: Tokenizer, texts: Sequence[str], path: Path) -> list[Encoding]:
    """Split texts into tokens; SourceError when that takes unreasonably long."""
    found: list[Encoding] = []
    with reading_tokenizer(path):
        for block in in_time(range(0, len(texts), _BLOCK), len(texts), path):
            found += tokenizer.encode_batch(list(texts[block : block + _BLOCK]), add_special_tokens=False)
    return found


def in_time(items: Iterable[Any], texts: int, path: Path) -> Iterator[Any]:
    """Yield items, and raise SourceError once what is done with them takes longer than that many texts may."""
    limit = time.process_time() + SECONDS + SECONDS_PER_TEXT * texts
    for item in items:
        if time.process_time() > limit:
            raise SourceError(f"{path} is refused: its patterns take unreasonably long on its own {texts:,} tokens")
        yield item


def _require_bounded(tokenizer: Tokenizer, path: Path) -> None:
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder)
    for part in parts:
        steps = [] if part is None else list(_steps(json.loads(part.__getstate__())))
        growth = 1.0
        for step in steps[: MOST_STEPS + 1]:
            growth *= _growth(step)
        if len(steps) > MOST_STEPS or growth > MOST_GROWTH:
            raise SourceError(
                f"{path} is refused: the {len(steps)} steps of its {type(part).__name__} can make a text {growth:.3g} "
                f"times as long; wanted at most {MOST_STEPS} steps and {MOST_GROWTH:.3g} times"
            )


def _steps(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    nested = next((part[key] for key in ("normalizers", "pretokenizers", "decoders") if key in part), None)
    if nested is None:
        yield part
    for each in nested or ():
        yield from _steps(each)


def _growth(step: dict[str, Any]) -> float:
    """Return how many times longer one step can make a text, as far as its own settings say."""
    kind, content = step["type"], step.get("content", "")
    if kind == "Replace":
        literal = step["pattern"].get("String")  # a regular expression may match between any two characters
        return max(1.0, len(content) / len(literal)) if literal else 1.0 + len(content)
    if kind == "Prepend":
        return 1.0 + len(step["prepend"])
    return 2.0 if kind in ("ByteLevel", "Precompiled") else 1.0


@contextmanager
def _silent_standard_error() -> Iterator[None]:
    """Send what this process writes to file descriptor 2 nowhere for a while; no hook of Python's sees a panic."""
    with _redirecting:
        try:
            saved = os.dup(_STANDARD_ERROR)
        except OSError:  # it is closed
            yield
            return
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), _STANDARD_ERROR)
            yield
        finally:
            os.dup2(saved, _STANDARD_ERROR)
            os.close(saved)
