"""What every answer can do: become flat records, a DataFrame, a table in a notebook."""

from __future__ import annotations

from functools import singledispatch
from html import escape
from typing import TYPE_CHECKING, Any

from index.tokens.display import display

if TYPE_CHECKING:
    import pandas as pd

HTML_ROWS = 60
"""How many records a notebook shows; a DataFrame holds them all."""


@singledispatch
def records(found: object) -> list[dict[str, Any]]:
    """Return an answer as flat records, all with the same keys; the report modules say how, for each kind."""
    raise TypeError(
        f"{type(found).__name__} has no flat records until its report module is imported, as index.open does"
    )


class Tabular:
    """An answer that shows itself as a table."""

    def to_pandas(self) -> pd.DataFrame:
        """Return the answer as a DataFrame, one row for each record, with exact texts."""
        import pandas as pd

        return pd.DataFrame(records(self))

    def _repr_html_(self) -> str:
        found = records(self)
        if not found:
            return "<p>nothing found</p>"
        head = "".join(f"<th>{escape(name)}</th>" for name in found[0])
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(_cell(value))}</td>' for value in record.values())}</tr>"
            for record in found[:HTML_ROWS]
        )
        more = f"<p>{len(found) - HTML_ROWS:,} more; to_pandas() has all</p>" if len(found) > HTML_ROWS else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return display(value)
    if isinstance(value, float):
        return f"{value:.7g}"
    return "" if value is None else str(value)
