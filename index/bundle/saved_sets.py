"""Sets of tokens that people keep beside a bundle: `NAME.json` in the folder `<bundle>.sets`, never in the bundle.

A set holds token ids, and which rows they are of: after another build of the same rows it is read, of others refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError, SourceError, parameter
from index.files import MOST_JSON_BYTES, brief, placing, read_bytes, require_free

FORMAT, FORMAT_VERSION = "logoscope-set", 1
SUFFIX = ".json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class SavedSet(Struct, frozen=True, kw_only=True):
    """All that the file of a set says."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    name: str
    bundle: str  # the name of the one it was kept beside
    rows: str  # SHA-256 of which vectors and which ids it is of (`rows_of`)
    definition: str  # how it came to be, in words or as what was asked
    ids: list[int]  # of its tokens, ascending, each once


def rows_of(bundle: Bundle) -> str:
    """Return what tells the rows of a bundle from others: a SHA-256 of its source's numbers and of the ids it took."""
    source = bundle.manifest.source.sha256.encode()
    return sha256(source + bundle.vocabulary.token_ids.astype("<i8").tobytes()).hexdigest()


def sets_folder(bundle: Bundle) -> Path:
    """Return the folder of the sets of a bundle: `smollm2-135m.sets` beside it."""
    resolved = bundle.folder.resolve()
    return resolved.with_name(f"{resolved.name}.sets")


def saved_names(bundle: Bundle) -> list[str]:
    """Return the names of the sets beside a bundle, in the order of the alphabet."""
    try:
        paths = sorted(sets_folder(bundle).glob(f"*{SUFFIX}"))
    except OSError as error:
        raise ParameterError(f"{sets_folder(bundle)} cannot be read: {brief(error)}") from error
    return [path.stem for path in paths if _NAME.fullmatch(path.stem)]


def read_set(bundle: Bundle, name: str) -> SavedSet | None:
    """Return a set by its name, of whatever rows; None where there is none. ParameterError where it is damaged."""
    path = sets_folder(bundle) / f"{name}{SUFFIX}"
    if not _NAME.fullmatch(name) or not path.exists():
        return None
    try:
        found = msgspec.json.decode(read_bytes(path, MOST_JSON_BYTES), type=SavedSet)
    except (OSError, SourceError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ParameterError(f"@{name} cannot be read: {brief(error)}; save it again, or remove {path}") from error
    if (found.format, found.format_version) != (FORMAT, FORMAT_VERSION):
        raise ParameterError(
            f"@{name} cannot be read: {path} is {brief(found.format)} {found.format_version}, "
            f"wanted {FORMAT} {FORMAT_VERSION}"
        )
    return found


def require_savable(bundle: Bundle, name: str, *, overwrite: bool, named: str, reserved: Sequence[str]) -> Path:
    """Return the file that a set of this name goes into; ParameterError for a bad name, or one that is taken."""
    if not _NAME.fullmatch(name):
        raise ParameterError(
            f"{parameter(named)} must be letters, digits, '_', '-' and '.', at most 100, got: {brief(name or repr(''))}"
        )
    if name in reserved:
        raise ParameterError(f"{parameter(named)} must be another name: @{name} comes with every bundle")
    path = sets_folder(bundle) / f"{name}{SUFFIX}"
    require_free([path], overwrite=overwrite, manifest=MANIFEST, named=named)
    return path


def write_set(
    bundle: Bundle,
    name: str,
    ids: np.ndarray,
    definition: str,
    *,
    overwrite: bool = False,
    named: str = "save_set",
    reserved: Sequence[str] = (),
) -> SavedSet:
    """Keep the tokens of some ids, (n,), beside a bundle, whole or not at all.

    `named` is the parameter that holds the name, for messages; `reserved` are names that no set can have.
    ParameterError where the name is bad or taken, there are no ids, or the file cannot be written.
    """
    path = require_savable(bundle, name, overwrite=overwrite, named=named, reserved=reserved)
    if len(ids) == 0:
        raise ParameterError(f"{parameter(named, name)}: there are no tokens to keep")
    kept = SavedSet(
        name=name,
        bundle=bundle.name,
        rows=rows_of(bundle),
        definition=definition,
        ids=np.unique(np.asarray(ids, dtype=np.int64)).tolist(),
    )
    with placing([path], overwrite=overwrite, manifest=MANIFEST, named=named) as (written,):
        text = json.dumps(msgspec.to_builtins(kept), ensure_ascii=False, indent=1)
        # One line of ids: a diff, and a person, see the rest.
        head, _, _ = text.rpartition('"ids"')
        written.write_text(f'{head}"ids": {json.dumps(kept.ids)}\n}}\n', encoding="utf-8")
    return kept
