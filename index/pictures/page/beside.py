"""What the charts of a page draw of another bundle: layers of Vega-Lite, and what a caption says of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from index.pictures.numbers.beside import SeriesBeside
from index.pictures.numbers.series import NeighborhoodSeries, RankSeries
from index.pictures.page.vega import BESIDE, records, tip


def means_by_rank(ranks: RankSeries, beside: SeriesBeside | None) -> list[dict[str, Any]]:
    """Return the mean distance of another bundle's points to their nearest, at the ranks that are drawn."""
    means = np.empty(0) if beside is None else beside.ranks.get(ranks.geometry, np.empty(0))[: len(ranks.ranks)]
    values = records({"rank": np.arange(1, len(means) + 1), "distance": means})
    return [_line(values, "rank", "distance", ".7g")] if values else []


def means_by_length(series: NeighborhoodSeries) -> list[dict[str, Any]]:
    """Return the mean overlap of another bundle's points, at some lengths of lists."""
    if series.beside is None or len(series.overlap.lengths) == 0:
        return []
    lengths, shares = series.beside.means(int(series.overlap.lengths[-1]))
    values = records({"k": lengths, "share": shares})
    return [_line(values, "k", "share", ".2%")] if values else []


def densities_beside(beside: SeriesBeside | None) -> list[dict[str, Any]]:
    """Return how many of another bundle's points have each density, as outlines of bars."""
    if beside is None or len(beside.counts) == 0:
        return []
    values = records({"from": beside.edges[:-1], "to": beside.edges[1:], "tokens": beside.counts})
    place = {"x": _number("from"), "x2": {"field": "to"}, "y": _number("tokens"), "y2": {"datum": 0}}
    tips = [tip("from", "from", ".5g"), tip("to", "to", ".5g"), tip("tokens", beside.name, ",")]
    mark = {"type": "bar", "color": BESIDE, "opacity": 0.45}
    return [{"data": {"values": values}, "mark": mark, "encoding": {**place, "tooltip": tips}}]


def mean_said(beside: SeriesBeside | None, what: str, *, there: bool) -> str:
    """Say what a dotted line is; nothing where there is none."""
    return "" if beside is None or not there else f" Purple: the {what} of all points of the {beside.name}."


def counts_said(beside: SeriesBeside | None) -> str:
    """Say whose bars the other ones are."""
    return "" if beside is None else f" Purple: the points of the {beside.name}, in bins as wide."


def _line(values: list[dict[str, Any]], across: str, up: str, digits: str) -> dict[str, Any]:
    encoding = {"x": _number(across), "y": _number(up), "tooltip": [tip(across, across), tip(up, f"mean {up}", digits)]}
    mark = {"type": "line", "color": BESIDE, "strokeDash": [2, 3], "point": {"color": BESIDE, "size": 24}}
    return {"data": {"values": values}, "mark": mark, "encoding": encoding}


def _number(field: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative"}
