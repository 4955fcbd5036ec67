"""What an export wrote, as JSON, CSV and a terminal table."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any

from rich.console import RenderableType

from index.export.export import Exported
from index.tables import facts_table


def export_json(found: Exported) -> dict[str, Any]:
    """Return the JSON of `export`."""
    files = [{"path": str(path), "bytes": size} for path, size in found.files.items()]
    return {"format": found.form.value, "content": found.content, "tokens": found.tokens, "files": files}


def export_csv(found: Exported) -> str:
    """Return one line for each file."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["format", "path", "bytes"])
    writer.writerows([found.form.value, str(path), size] for path, size in found.files.items())
    return out.getvalue()


def export_report(found: Exported) -> RenderableType:
    """Return the terminal report of `export`."""
    rows = [("format", found.form.value), ("content", found.content), ("tokens", f"{found.tokens:,}")]
    rows += [("file", f"{path}  ({size / 1e6:,.1f} MB)") for path, size in found.files.items()]
    return facts_table(rows)
