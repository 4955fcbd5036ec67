"""Tables in Arrow and Parquet."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from index.measures.density import Rule

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
