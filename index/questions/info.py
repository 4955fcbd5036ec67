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


def info_facts(facts: Manifest) -> list[tuple[str, str]]:
    """Return what a manifest says of a bundle: names and values; a name behind spaces belongs to the one before."""
    source, settings = facts.source, facts.settings
    sample = f", sample {settings.sample}" if settings.sample else ""
    rows = [
        ("source", f"{display(source.location)}, {source.tensor} ({source.dtype}, {source.rows:,} rows)"),
        ("  sha256", source.sha256),
        ("tokens", f"{facts.V:,} x {facts.D:,}{sample}"),
        ("neighbors", f"{facts.K} kept, {settings.density_k} in densities"),
        ("metric", facts.metric.origin),
    ]
    for name, space in facts.spaces.items():
        zero = f", {len(space.excluded_rows)} zero rows left out" if space.excluded_rows else ""
        centered = ", of centered rows" if space.centered else ""
        what = f"resolution {space.resolution:.3g} {space.unit}, {space.search}{centered}{zero}"
        rows.append((Geometry(name).label, what))
        if space.coarse is not None:
            rows.append(("  note", space.coarse))
        rows += [("  approximate", _recall_line(each)) for each in space.approximate]
    check = facts.crosscheck
    rows.append(("cross-check", "not run at the build" if check is None else passed(check.passed)))
    rows.append(("size", f"{sum(file.bytes for file in facts.files.values()) / 1e6:,.0f} MB"))
    rows.append(("built", f"in {facts.build_seconds:.1f} s by " + ", ".join(map(" ".join, facts.versions.items()))))
    return rows


def _recall_line(facts: Recall) -> str:
    found = "-" if facts.recall is None else f"{facts.recall:.3f}"
    return f"{facts.factory}: recall at {facts.k} is {found} over {facts.rows:,} rows"
