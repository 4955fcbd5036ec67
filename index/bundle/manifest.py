"""What a bundle's manifest and its table of tokens must hold, so that no reader meets a value of another kind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from index.bundle.checksums import DAMAGED, seal
from index.errors import BundleError
from index.files import brief
from index.measures.density import Rule

FORMAT = "logoscope-bundle"
FORMAT_VERSION = 2
MANIFEST = "manifest.json"

MOST_TOKENS = (1 << 31) - 1
"""Rows are counted in int32."""
POINT_BYTES = 4
"""Of each coordinate, a float32."""
LONGEST_NAME = 255
"""In bytes, of a file; more than that no file system has."""


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_TOKENS


def _is_positive(value: Any) -> bool:
    return _is_count(value) and value > 0


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_number(value: Any) -> bool:
    return _is_size(value) or (isinstance(value, float) and math.isfinite(value) and value >= 0)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


@dataclass(frozen=True)
class _Each:
    """A dict of any keys."""

    value: Any


@dataclass(frozen=True)
class _Optional:
    """A value, or null."""

    value: Any


_SPACE = {
    "unit": _is_text,
    "search": _is_text,
    "centered": _is_flag,
    "largest_norm": _is_number,
    "resolution": _is_number,
    "excluded_rows": [_is_count],
    "approximate": [{"factory": _is_text, "recall": _Optional(_is_number), "k": _is_count, "rows": _is_count}],
}
_MANIFEST = {
    "name": _is_text,
    "V": _is_positive,
    "D": _is_positive,
    "K": _is_positive,
    "source": {
        "location": _is_text,
        "tensor": _is_text,
        "dtype": _is_text,
        "rows": _is_count,
        "sha256": _is_text,
    },
    "settings": {
        "ridge": _Optional(_is_number),
        "metric_tensor": _Optional(_is_text),
        "sample": _Optional(_is_text),
        "seed": _Optional(lambda value: type(value) is int),
        "density_k": _is_positive,
        "device": _is_text,
    },
    "metric": {"ridge": _Optional(_is_number), "origin": _is_text},
    "spaces": {"causal": _SPACE, "cosine": _SPACE, "causal_cosine": _SPACE},
    "versions": _Each(_is_text),
    "crosscheck": _Optional({"passed": _is_flag}),
    "files": _Each({"bytes": _is_size, "sha256": _is_text}),
    "build_seconds": _is_number,
}


COLUMN_TYPES = {
    **dict.fromkeys(("text", "piece", "kind", "script"), "string"),
    **dict.fromkeys(("row", "twin_group", "twin_count", "hubness"), "int32"),
    **dict.fromkeys(("euclidean_norm", "causal_norm", *(f"density_{rule.value}" for rule in Rule)), "double"),
    "token_id": "int64",
}
"""Of `tokens.parquet`."""


def columns_fit(table: pa.Table, wanted: Sequence[str]) -> bool:
    """Whether a table has the wanted columns, and each that is known has its type."""
    kinds = {name: str(kind) for name, kind in zip(table.column_names, table.schema.types, strict=True)}
    return set(wanted) <= set(kinds) and all(COLUMN_TYPES.get(name, kind) == kind for name, kind in kinds.items())


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of the bundle in a folder.

    Raises
    ------
    BundleError
        When there is none, it is not what was written, or of another format version.
    """
    path = folder / MANIFEST
    if path.exists() and not path.is_file():
        raise BundleError(f"{path} is no regular file")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        killed = (folder.parent / f".{folder.name}.replaced").exists()
        advice = "a build was killed while it replaced it: run it again" if killed else "build one with build_index.py"
        raise BundleError(f"no bundle in {folder}: it has no {MANIFEST}; {advice}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {brief(error)}; build the bundle again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path} is not the manifest of a logoscope bundle")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise _wrong_version(folder, manifest)
    if manifest.get("checksum") != seal(manifest):
        raise BundleError(f"{path} is not what was written: {DAMAGED}")
    if (wrong := misfit(manifest)) is not None:
        raise BundleError(f"{path} holds no valid {brief(wrong)}: {DAMAGED}")
    return manifest


def _wrong_version(folder: Path, manifest: dict[str, Any]) -> BundleError:
    found, versions = manifest.get("format_version"), manifest.get("versions")
    writer = versions.get("logoscope") if isinstance(versions, dict) else None
    newer = isinstance(found, int) and found > FORMAT_VERSION
    advice = f"install logoscope {writer or 'of the version that wrote it'}" if newer else "build it again"
    return BundleError(
        f"{folder} has bundle format {brief(ValueError(found))}, this version reads {FORMAT_VERSION}; {advice}"
    )


def misfit(manifest: dict[str, Any]) -> str | None:
    """Return the name of the first value that is missing or of another kind, as `spaces.causal.resolution`.

    None where there is none: then each space's excluded rows are rows, too, K neighbors can be had, and the points take
    no more bytes than their files have.
    """
    found = _misfit(manifest, _MANIFEST)
    if found is not None:
        return found.lstrip(".")
    V, D, files = manifest["V"], manifest["D"], manifest["files"]
    for name, space in manifest["spaces"].items():
        if f"{name}.faiss" not in files or files[f"{name}.faiss"]["bytes"] < V * D * POINT_BYTES:
            return f"files.{name}.faiss"
        if any(row >= V for row in space["excluded_rows"]):
            return f"spaces.{name}.excluded_rows"
    if not all(name.isprintable() and 0 < len(name.encode()) <= LONGEST_NAME for name in files):
        return "files"
    if not manifest["settings"]["density_k"] <= manifest["K"] < V:
        return "K"
    return None


def _misfit(value: Any, wanted: Any) -> str | None:
    """Return the path of the first value that is not as wanted, with a dot before each part; None if all are."""
    if isinstance(wanted, _Optional):
        return None if value is None else _misfit(value, wanted.value)
    if isinstance(wanted, list):
        parts = dict(enumerate(value)) if isinstance(value, list) else None
        return "" if parts is None else _first(parts, dict.fromkeys(parts, wanted[0]))
    if isinstance(wanted, dict | _Each):
        if not isinstance(value, dict):
            return ""
        return _first(value, wanted if isinstance(wanted, dict) else dict.fromkeys(value, wanted.value))
    check: Callable[[Any], bool] = wanted
    return None if check(value) else ""


def _first(values: dict[Any, Any], wanted: dict[Any, Any]) -> str | None:
    for key, kind in wanted.items():
        found = _misfit(values[key], kind) if key in values else ""
        if found is not None:
            return f".{key}{found}"
    return None
