"""The chart of every token of either list, by both measures, as a Vega-Lite specification."""

from __future__ import annotations

from typing import Any

import numpy as np

from index.answers.page import counted
from index.geometry.maps import Geometry
from index.pictures.numbers.series import NeighborhoodSeries, UnionSeries
from index.pictures.numbers.spots import counted_labels, spots
from index.pictures.page.chart import TOKEN_TIPS, Address, Chart, links, token_columns
from index.pictures.page.vega import BOTH, INK, PAIR, axis, records, specification, tip

SPOT = (0.012, 0.03)
"""So near each other, as shares of a chart's width and height, dots lie on one spot."""

LABEL_LETTERS = 24
"""How long a token's text may be beside a point; tooltips have it whole."""


def union_chart(series: NeighborhoodSeries, address: Address | None) -> Chart:
    """Return the chart; the points are links where tokens have addresses."""
    union, (first, second) = series.union, tuple(ranks.geometry for ranks in series.ranks)
    title = f"Every token of either list: {first.words} against {second.words}"
    known = np.flatnonzero(~np.isnan(_measures(union, first)) & ~np.isnan(_measures(union, second)))
    if len(known) == 0:
        return Chart(title, "No token has a place in both geometries.", None)
    lists = ("both lists", f"{first.label} list only", f"{second.label} list only")
    values = _union_values(union, known, (first, second), lists, address)
    looks = [
        (name, *look)
        for name, *look in zip(lists, (BOTH, *PAIR), ("circle", "triangle-up", "square"), strict=True)
        if any(row["lists"] == name for row in values)
    ]
    present, colors, shapes = map(list, zip(*looks, strict=True))
    place = {"x": axis("across", _measure_name(first), grid=True), "y": axis("up", _measure_name(second), grid=True)}
    look: dict[str, Any] = {"field": "lists", "type": "nominal", "sort": present}
    points = {
        **place,
        "fill": look | {"scale": {"domain": present, "range": colors}},
        "shape": look | {"scale": {"domain": present, "range": shapes}},
        "tooltip": [
            *TOKEN_TIPS,
            tip("across", _measure_name(first), ".7g"),
            tip("up", _measure_name(second), ".7g"),
            tip("first_rank", f"rank, {first.label}"),
            tip("second_rank", f"rank, {second.label}"),
            tip("here", "on this spot"),
        ],
        **links(address),
    }
    layers: list[dict[str, Any]] = [
        {"name": "points", "mark": {"type": "point", "stroke": None, "size": 60, "opacity": 0.9}, "encoding": points},
    ]
    if any(row["label"] for row in values):
        # By this name the page knows what to move apart, and to hide where there is no room.
        layers.append(
            {
                "name": "labels",
                "transform": [{"filter": "datum.label !== ''"}],
                "mark": {"type": "text", "fill": INK},
                "encoding": {**place, "text": {"field": "label"}},
            }
        )
    return Chart(title, _union_caption(union), specification(title, values, layers))


def _union_values(
    union: UnionSeries,
    known: np.ndarray,
    geometries: tuple[Geometry, Geometry],
    lists: tuple[str, str, str],
    address: Address | None,
) -> list[dict[str, Any]]:
    """Return the points of a union at the places `known`, (n,), each with the one of three `lists` it belongs to."""
    first, second = geometries
    across, up = (_measures(union, geometry)[known] for geometry in geometries)
    of = spots(across, up, SPOT)
    texts = [f"{_label(union.texts[at])} {union.signs[at]}".strip() if union.shared[at] else "" for at in known]
    return records(
        {
            **token_columns(union, known, address),
            "label": counted_labels(texts, of),
            "here": np.bincount(of, minlength=len(of))[of].astype(str),
            "across": across,
            "up": up,
            "lists": [lists[0] if union.shared[at] else lists[1 if union.ranks[first][at] else 2] for at in known],
            "first_rank": _places(union, first, known),
            "second_rank": _places(union, second, known),
        }
    )


def _union_caption(union: UnionSeries) -> str:
    shared = int(union.shared.sum())
    if shared == 0:
        return "No token is in both lists."
    are = "is" if shared == 1 else "are"
    return (
        f"{shared} of {counted(len(union.tokens), 'token')} {are} in both lists, and labeled where there is room. "
        "(x 3): three tokens lie on that spot, the one that is named among them."
    )


def _measures(union: UnionSeries, geometry: Geometry) -> np.ndarray:
    return (union.similarities if geometry.angular else union.distances)[geometry]


def _measure_name(geometry: Geometry) -> str:
    return geometry.words if geometry.angular else "causal distance, logometers"


def _places(union: UnionSeries, geometry: Geometry, places: np.ndarray) -> list[str]:
    return [str(rank) if rank else "not listed" for rank in union.ranks[geometry][places].tolist()]


def _label(text: str) -> str:
    return text if len(text) <= LABEL_LETTERS else text[: LABEL_LETTERS - 1] + "…"
