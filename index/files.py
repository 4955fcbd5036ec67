"""Reading a file in bounded memory, and placing what was written: whole, or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import ParameterError, SourceError, parameter

LONGEST_REASON = 200
MOST_JSON_BYTES = 1 << 25
MOST_JSON_VALUES = 2_000_000
"""Of configurations and indexes; the largest have some hundred thousand. Each takes up to a hundred bytes of memory."""
_SEPARATORS = (b",", b":", b"[", b"{")

_ADVICE = {
    **dict.fromkeys((errno.ENOMEM, errno.EAGAIN), "free some memory, or raise the limit on it, and ask again"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close some files, or raise the limit on open ones (ulimit -n)"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "whoever owns it can allow it"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room"),
    errno.EIO: "see whether the disk fails",
}
"""What helps against the system's own reasons, none of which is a file's content."""


@dataclass(frozen=True, eq=False)
class MappedFile:
    """A regular file with something in it, opened once; what is taken of it is a view of its mapped bytes."""

    path: Path
    content: np.ndarray  # (bytes,) uint8, read-only

    def array(self, name: str, dtype: Any, shape: tuple[int, ...], start: int) -> np.ndarray:
        """Return the array that starts at a byte; SourceError, with its name, where the file ends before it does."""
        end = start + int(np.dtype(dtype).itemsize) * math.prod(shape)
        if end > len(self.content):
            raise SourceError(
                f"{self.path} is cut short: {name} with shape {shape} ends at byte {end}, "
                f"the file at {len(self.content)}"
            )
        taken: np.ndarray = self.content[start:end].view(dtype)
        return taken.reshape(shape)


def open_file(path: Path) -> MappedFile:
    """Open a file that strangers made; SourceError unless it is a regular file with something in it."""
    _require_content(path)
    try:
        return MappedFile(path, np.memmap(path, np.uint8, mode="r"))
    except OSError as error:
        raise refusal(path, "cannot be read", error) from error


def require_size(path: Path, most: int) -> None:
    """Raise SourceError unless `path` is a regular file of 1 to `most` bytes."""
    _require_content(path)
    size = path.stat().st_size
    if size > most:
        raise SourceError(f"{path} is refused: it has {size:,} bytes, more than {most:,}")


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file of 1 to `most` bytes."""
    require_size(path, most)
    try:
        return path.read_bytes()
    except OSError as error:
        raise refusal(path, "cannot be read", error) from error


def _require_content(path: Path) -> None:
    if not os.path.isfile(path):  # Path.is_file raises for a path that no file system takes
        raise SourceError(f"{path}: {no_file(path)}")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty: 0 bytes")


def no_file(path: Path) -> str:
    """Return why nothing is read at a path where no regular file is."""
    if os.path.isdir(path):
        return "it is a folder, no file"
    if os.path.islink(path) and not os.path.exists(path):
        return "it is a link to a file that is not there"
    return "it is no regular file" if os.path.exists(path) else "there is no such file"


def require_few_values(text: bytes, most: int, path: Path | str) -> None:
    """Raise SourceError when a JSON text may hold more than `most` values: each stands behind a separator."""
    count = sum(text.count(separator) for separator in _SEPARATORS)
    if count > most:
        raise SourceError(f"{path} is refused: its JSON holds some {count:,} values, more than {most:,}")


def parse_json(text: bytes, path: Path | str) -> dict[str, Any]:
    """Return the one JSON object that a text from `path`, or from what is so called, holds, in bounded memory."""
    require_few_values(text, MOST_JSON_VALUES, path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {brief(error)}") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path} holds a JSON {type(content).__name__}; wanted an object")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object."""
    return parse_json(read_bytes(path, MOST_JSON_BYTES), path)


def brief(error: BaseException | str) -> str:
    """Return what an error says as one short line without control characters."""
    line = " ".join((str(error).strip() or type(error).__name__).split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"


def why(error: OSError, *also: str) -> str:
    """Return the system's reason, with the file it names, and what helps against it, `also` being of that, too."""
    named = f"{os.fspath(error.filename)}: " if isinstance(error.filename, (str, Path)) else ""
    advice = [_ADVICE[error.errno]] if error.errno in _ADVICE else []
    return "; ".join([brief(f"{named}{error.strerror or error}"), *filter(None, [", or ".join([*advice, *also])])])


def refusal(path: Path, said: str, error: BaseException) -> SourceError:
    """Return the error of a file that a library did not read: what is `said` of it, or the system's own reason."""
    if isinstance(error, OSError) and error.errno in _ADVICE:
        return SourceError(f"{path} cannot be read: {why(OSError(error.errno, os.strerror(error.errno)))}")
    return SourceError(f"{path} {said}: {brief(error)}")


@contextmanager
def placing(
    targets: Sequence[Path],
    *,
    overwrite: bool,
    manifest: str,
    folder_of: frozenset[str] = frozenset(),
    named: str = "out",
) -> Iterator[list[Path]]:
    """Give a path to write for each target; put all in place when the block ends well, else remove them.

    Parameters
    ----------
    targets : sequence of Path
        In one folder, which is made if need be.
    overwrite : bool
        Whether what is there may be replaced.
    manifest : str
        The name of the file that makes a folder a bundle: nothing is put into one.
    folder_of : frozenset of str
        The files of a target that is a folder: one with anything else in it is not replaced. Empty for files.
    named : str
        The parameter that names the targets, for messages.

    Raises
    ------
    ParameterError
        When a target may not be replaced, or cannot be written.
    """
    require_free(targets, overwrite=overwrite, manifest=manifest, folder_of=folder_of, named=named)
    parent, another = targets[0].parent, f"another {parameter(named)}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{targets[0].name}.writing-", dir=parent))
    except OSError as error:
        raise ParameterError(f"{parent} cannot be written: {brief(error)}; pass {another}") from error
    try:
        yield [beside / target.name for target in targets]
        require_free(targets, overwrite=overwrite, manifest=manifest, folder_of=folder_of, named=named)
        for target in targets:
            if target.is_dir():
                target.rename(beside / "replaced")
            (beside / target.name).replace(target)
    except OSError as error:
        raise ParameterError(f"{targets[0]} cannot be written: {brief(error)}; pass {another}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def require_free(
    targets: Sequence[Path],
    *,
    overwrite: bool,
    manifest: str,
    folder_of: frozenset[str] = frozenset(),
    named: str = "out",
) -> None:
    """Raise ParameterError for a target that `placing`, of the same parameters, would not write."""
    another = f"another {parameter(named)}"
    for target in targets:
        if _lies_in_a_bundle(target, manifest):
            raise ParameterError(f"{parameter(named)} {target} lies in a bundle's folder; pass {another}")
        if not os.path.lexists(target):  # a link to nothing is there, too
            continue
        if not overwrite:
            raise ParameterError(f"{target} exists; pass {parameter('overwrite', True)} to replace it, or {another}")
        if target.is_dir() != bool(folder_of) or not (folder_of or target.is_file()):
            raise ParameterError(f"{target} is there and is not a {'folder' if folder_of else 'file'}; pass {another}")
        others = {path.name for path in target.iterdir()} - folder_of if folder_of else set()
        if others:
            raise ParameterError(f"{target} holds {min(others)}, which no export wrote; pass {another}")


def _lies_in_a_bundle(target: Path, manifest: str) -> bool:
    """Whether a target's folder, or the one that it would be made in, is a bundle's."""
    folder = next((parent for parent in target.absolute().parents if parent.is_dir()), target.parent)
    return (folder / manifest).is_file()


def is_device(path: Path) -> bool:
    """Whether a path is written as a stream: a device, a pipe, or what `/dev/stdout` leads to, be it a file."""
    folder = os.path.realpath(path.parent)
    if folder == "/dev" or (folder.startswith("/proc/") and folder.endswith("/fd")):
        return path.exists() and not path.is_dir()
    return path.exists() and not path.is_dir() and not path.is_file()


def require(library: str, *, extra: str, command: str, program: str = "query.py") -> None:
    """Raise ParameterError unless a library of an extra, which a command of a program wants, is installed."""
    if find_spec(library) is None:
        raise ParameterError(
            f"`{command}` needs {library}, which is not installed; run it as "
            f"`uv run --extra {extra} {program} {command} ...`, or install logoscope with that extra"
        )
