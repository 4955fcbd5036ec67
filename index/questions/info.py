"""`info`: what a bundle holds, from what, with which settings and versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from index.answers.answer import Answer, Row, nested_rows
from index.answers.page import Block, facts, passed
from index.bundle.bundle import Bundle
from index.bundle.manifest import Manifest, Recall
from index.geometry.maps import Geometry
from index.tokens.display import display


@dataclass(frozen=True)
class Info(Answer):
    """What the manifest of a bundle says."""

    manifest: Manifest
    folder: str

    columns: ClassVar = {"name": str, "value": str}

    def rows(self) -> list[Row]:
        """Return one record for each value of the manifest, named as its path: `settings.density_k`."""
        return nested_rows(self.json())

    def json(self) -> Any:
        """Return the manifest."""
        return msgspec.to_builtins(self.manifest)

    def page(self) -> list[Block]:
        """Return the manifest in words."""
        return [facts([("bundle", f"{self.manifest.name}  ({self.folder})"), *info_facts(self.manifest)])]


def info(bundle: Bundle) -> Info:
    """What a bundle holds, from what, with which settings and versions.

    Example: uv run query.py info --json
    """
    return Info(bundle.manifest, str(bundle.folder))


def info_facts(manifest: Manifest) -> list[tuple[str, str]]:
    """Return what a manifest says of a bundle: names and values; a name behind spaces belongs to the one before."""
    source, settings = manifest.source, manifest.settings
    sample = f", sample {settings.sample}" if settings.sample else ""
    rows = [
        *([] if manifest.control is None else [("control", manifest.control.sentence)]),
        ("source", f"{display(source.location)}, {source.tensor} ({source.dtype}, {source.rows:,} rows)"),
        ("  sha256", source.sha256),
        ("tokens", f"{manifest.V:,} x {manifest.D:,}{sample}"),
        ("neighbors", f"{manifest.K} kept, {settings.density_k} in densities"),
        ("metric", manifest.metric.origin),
    ]
    for name, space in manifest.spaces.items():
        zero = f", {len(space.excluded_rows)} zero rows left out" if space.excluded_rows else ""
        centered = ", of centered rows" if space.centered else ""
        what = f"resolution {space.resolution:.3g} {space.unit}, {space.search}{centered}{zero}"
        rows.append((Geometry(name).label, what))
        if space.coarse is not None:
            rows.append(("  note", space.coarse))
        rows += [("  approximate", _recall_line(each)) for each in space.approximate]
    check = manifest.crosscheck
    rows.append(("cross-check", "not run at the build" if check is None else passed(check.passed)))
    rows.append(("size", f"{sum(file.bytes for file in manifest.files.values()) / 1e6:,.0f} MB"))
    rows.append(
        ("built", f"in {manifest.build_seconds:.1f} s by " + ", ".join(map(" ".join, manifest.versions.items())))
    )
    return rows


def _recall_line(measured: Recall) -> str:
    found = "-" if measured.recall is None else f"{measured.recall:.3f}"
    return f"{measured.factory}: recall at {measured.k} is {found} over {measured.rows:,} rows"
