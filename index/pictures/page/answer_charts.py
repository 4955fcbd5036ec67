"""The charts of whole answers as Vega-Lite specifications: what neighbors share, whose lists are full, concepts."""

from __future__ import annotations

import math
from typing import Any

from index.answers.answer import Answer
from index.geometry.maps import Geometry
from index.measures.hubness import HUB_TIMES
from index.pictures.page import compare_page
from index.pictures.page.chart import Chart
from index.pictures.page.compare_page import COLORS
from index.pictures.page.vega import INK, SOFT, axis, specification, tip
from index.questions.compare.comparison import Comparison
from index.questions.concept.concepts import Concepts
from index.questions.concept.directions import Product
from index.questions.hubness import Hubness
from index.questions.shares.in_common import TRAITS, Counted, Shares
from index.tokens.display import display

ROW = 24
"""The height of a line of a heatmap, in pixels."""

MOST_NUMBERS = 8
"""So many concepts have their cosines written into their squares."""

_PRODUCTS = {Product.CAUSAL: "in M", Product.EUCLIDEAN: "in the plain inner product"}


def answer_charts(answer: Answer) -> tuple[Chart, ...]:
    """Return the charts of an answer; of most kinds there are none."""
    if isinstance(answer, Shares):
        title = f"What the {answer.k} nearest have in common with their token"
        charts = [_shares(title, answer.every, answer)]
        if answer.mixed:
            charts.append(_shares(f"The same of the {answer.k} nearest trained tokens", answer.trained, answer))
        return tuple(charts)
    if isinstance(answer, Hubness):
        return (_hubness(answer),)
    if isinstance(answer, Concepts):
        return tuple(_cosines(answer, product) for product in answer.cosines if len(answer.concepts) > 1)
    return compare_page.charts(answer) if isinstance(answer, Comparison) else ()


def specifications(charts: tuple[Chart, ...], start: str = "chart") -> dict[str, Any]:
    """Return charts by the ids of the elements they are drawn in."""
    return {
        f"{start}-{number}": chart.specification
        for number, chart in enumerate(charts, 1)
        if chart.specification is not None
    }


def _shares(title: str, found: Counted, answer: Shares) -> Chart:
    values = [
        {"trait": words, "geometry": geometry.label, "share": one[trait].share}
        | {name: None if math.isnan(value := getattr(one[trait], name)) else value for name in ("low", "high")}
        | {"chance": None if math.isnan(found.chance[trait]) else found.chance[trait]}
        for geometry, one in found.found.items()
        for trait, words in TRAITS.items()
        if not math.isnan(one[trait].share)
    ]
    if not values:
        return Chart(title, "No token has anything that others could have in common with it.", None)
    x = axis("share", "share of the places", scale={"domain": [0, 1]}, format="%", grid=True)
    y = {"field": "trait", "type": "nominal", "sort": list(TRAITS.values()), "title": None, "axis": _PLAIN}
    beside = {"field": "geometry", "type": "nominal", "sort": [each.label for each in Geometry]}
    numbers = ("share", "low", "high", "chance")
    tips = [tip("trait", "has"), tip("geometry", "geometry"), *(tip(name, name, ".2%") for name in numbers)]
    bars = {"x": x, "y": y, "yOffset": beside, "color": _color(), "tooltip": tips}
    spans = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, "yOffset": beside}
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "bar"}, "encoding": bars},
        {"mark": {"type": "rule", "color": INK}, "encoding": spans},
        {
            "mark": {"type": "tick", "color": INK, "thickness": 2, "size": 26},
            "encoding": {"x": {**x, "field": "chance"}, "y": y},
        },
    ]
    drawn = specification(title, values, layers) | {"height": 36 * len({row["trait"] for row in values})}
    caption = "Upright lines: a random other token, which is chance. "
    sure = "A single list has no interval." if answer.token is not None else "Level lines: 95 % of draws of tokens."
    return Chart(title, caption + sure, drawn)


def _hubness(found: Hubness) -> Chart:
    title = f"Tokens, by how many lists of {found.length} they are in"
    values = [
        {"lists": name, "geometry": geometry.label, "tokens": count}
        for geometry, filled in found.geometries.items()
        for name, count in zip(found.bins, filled.by_distance.counts, strict=True)
    ]
    x = {
        "field": "lists",
        "type": "nominal",
        "sort": found.bins,
        "title": "lists",
        "axis": {**_PLAIN, "labelAngle": -45},
    }
    most = max(len(str(row["tokens"])) for row in values)
    powers = [0, *(10**power for power in range(most))]
    y = axis("tokens", "tokens", scale={"type": "symlog"}, values=powers, format=",d", grid=True)
    beside = {"field": "geometry", "type": "nominal", "sort": [each.label for each in Geometry]}
    tips = [tip("lists", "lists"), tip("geometry", "geometry"), tip("tokens", "tokens", ",")]
    bars = {"x": x, "xOffset": beside, "y": y, "color": _color(), "tooltip": tips}
    caption = (
        f"Counts on a logarithmic scale. The last bars are hubs, in over {HUB_TIMES} times as many lists as a token "
        "is in on average."
    )
    return Chart(title, caption, specification(title, values, [{"mark": {"type": "bar"}, "encoding": bars}]))


def _cosines(found: Concepts, product: Product) -> Chart:
    title = f"Cosines between directions of concepts, {_PRODUCTS[product]}"
    names = [f"{number} {display(each.name)}" for number, each in enumerate(found.concepts, 1)]
    values = [
        {"of": names[row], "with": str(column + 1), "name": names[column], "cosine": cosine}
        for row, line in enumerate(found.cosines[product])
        for column, cosine in enumerate(line)
        if not math.isnan(cosine)
    ]
    if not values:
        return Chart(title, "No concept has a direction.", None)
    numbers = [str(number) for number in range(1, len(names) + 1)]
    y = {"field": "of", "type": "nominal", "sort": names, "title": None, "axis": {**_PLAIN, "labelLimit": 260}}
    x = {"field": "with", "type": "nominal", "sort": numbers, "title": None, "axis": {**_PLAIN, "labelAngle": 0}}
    scale = {"domain": [-1, 1], "scheme": "purpleorange", "reverse": True}
    color = {"field": "cosine", "type": "quantitative", "scale": scale}
    tips = [tip("of", "of"), tip("name", "with"), tip("cosine", "cosine", ".3f")]
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "rect"}, "encoding": {"x": x, "y": y, "color": color, "tooltip": tips}}
    ]
    if len(names) <= MOST_NUMBERS:
        dark = {"condition": {"test": "abs(datum.cosine) > 0.6", "value": "white"}, "value": "black"}
        text = {"field": "cosine", "type": "quantitative", "format": ".2f"}
        layers.append({"mark": {"type": "text"}, "encoding": {"x": x, "y": y, "text": text, "color": dark}})
    caption = "Near 0: the two meanings are held apart. The diagonal is each with itself."
    return Chart(title, caption, specification(title, values, layers) | {"height": ROW * len(names)})


_PLAIN = {"domainColor": SOFT, "ticks": False, "labelColor": INK}


def _color() -> dict[str, Any]:
    labels = [geometry.label for geometry in Geometry]
    scale = {"domain": labels, "range": [COLORS[geometry] for geometry in Geometry]}
    return {"field": "geometry", "type": "nominal", "sort": labels, "scale": scale}
