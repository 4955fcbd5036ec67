"""Vega-Lite in pages: the parts that specifications are made of, and the script that draws them.

Plain Vega-Lite rather than Altair, which writes the same JSON but takes 0.6 s to import; rather than plotly, whose
script is five times as large and which reads `<b>` and `<a href>` in a token's text as markup.

Colors are CSS variables, so that a page turns dark, light or to paper without drawing again: `--ink`, `--soft` (texts
of axes), `--line` (grids), `--paper` (the ground), `--first` and `--second` (the two geometries), `--both`,
`--beside` (another bundle).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
VEGA_LITE_VERSION = "6.4"
HEIGHT = 240
INK, SOFT, LINE, PAPER, BOTH, BESIDE = (f"var(--{name})" for name in ("ink", "soft", "line", "paper", "both", "beside"))
PAIR = ("var(--first)", "var(--second)")
"""The colors of the two geometries of a question."""

_CONFIG = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domainColor": LINE,
        "gridColor": LINE,
        "labelColor": SOFT,
        "tickColor": LINE,
        "titleColor": SOFT,
        "titleFontWeight": "normal",
    },
    "legend": {"labelColor": INK, "orient": "top", "title": None},
}


def specification(description: str, values: list[dict[str, Any]], layers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a chart as wide as what contains it; layers without data of their own show `values`.

    The description is what a screen reader says of it.
    """
    return {
        "$schema": SCHEMA,
        "description": description,
        "width": "container",
        "height": HEIGHT,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": _CONFIG,
        "data": {"values": values},
        "layer": layers,
    }


def axis(field: str, title: str, *, scale: dict[str, Any] | None = None, **ticks: Any) -> dict[str, Any]:
    """Return the encoding of numbers along an axis; `ticks` are properties of the axis itself."""
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": scale or {"zero": False},
        "axis": {"grid": False, "labelOverlap": "greedy", "tickCount": 5, **ticks},
    }


def tip(field: str, title: str, number_format: str | None = None) -> dict[str, Any]:
    """Return a line of a tooltip: a text as it is, or a number in a format of d3."""
    if number_format is None:
        return {"field": field, "type": "nominal", "title": title}
    return {"field": field, "type": "quantitative", "title": title, "format": number_format}


def records(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Return columns of equal length, arrays or lists, as records of Python's own numbers."""
    plain = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*plain, strict=True)]


@cache
def script(start: str) -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one ES module that ends with `start`, which calls `vegaEmbed`.

    It takes a second, most of it outside Python's lock. Needs vl-convert-python, which carries all three.
    """
    import vl_convert

    bundled: str = vl_convert.javascript_bundle(start, VEGA_LITE_VERSION)
    return bundled
