"""The report of `compare`: what a terminal shows, as one HTML file, with charts of how far lists agree."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from index.answers.page import Block, Facts, Heading, Table, Words
from index.bundle.manifest import MANIFEST
from index.files import placing, require
from index.geometry.maps import Geometry
from index.pictures.page import vega
from index.pictures.page.chart import Chart
from index.pictures.page.render import PAGE, render
from index.pictures.page.vega import BOTH, PAIR, SOFT, axis, specification, tip
from index.questions.compare.comparison import Comparison

COLORS = dict(zip(Geometry, (*PAIR, BOTH), strict=True))


@dataclass(frozen=True)
class Shown:
    """A block as the template takes it."""

    kind: str  # "facts", "table" or "sentence"
    rows: tuple[tuple[Words, ...], ...]
    columns: tuple[str, ...] = ()
    of_tokens: bool = False


@dataclass(frozen=True)
class Named:
    """Blocks under one heading."""

    name: str
    blocks: list[Shown] = field(default_factory=list)


def require_libraries() -> None:
    """Raise ParameterError where the libraries of the extra `report` are not installed."""
    for library in ("jinja2", "vl_convert"):
        require(library, extra="report", command="compare")


def write_page(found: Comparison, out: Path, *, overwrite: bool) -> None:
    """Write the report, whole or not at all; ParameterError when a file is there or cannot be written."""
    drawn = charts(found)
    context = {
        "title": f"{found.a.name} and {found.b.name}, compared",
        "parts": named_parts([Heading("The bundles"), *found.page()]),
        "drawn": drawn,
    }
    specifications = {
        f"chart-{number}": chart.specification
        for number, chart in enumerate(drawn, 1)
        if chart.specification is not None
    }
    script = vega.script((PAGE / "report.js").read_text(encoding="utf-8"))
    page = render("compare.html", context, specifications, script)
    with placing([out], overwrite=overwrite, manifest=MANIFEST) as paths:
        paths[0].write_text(page, "utf-8", "backslashreplace", newline="\n")


def charts(found: Comparison) -> tuple[Chart, ...]:
    """Return how far lists agree by their length, and by density, in each geometry."""
    return _by_length(found), _by_density(found)


def _by_length(found: Comparison) -> Chart:
    title = "Agreement of neighbor lists, by their length"
    values = [
        {"geometry": geometry.label, "top": top, "mean": at.mean, "lowest": at.lowest, "highest": at.highest}
        | {"chance": at.chance}
        for geometry, tops in found.lists.tops.items()
        for top, at in tops.items()
    ]
    if not values:
        return Chart(title, "No token has a list in both bundles.", None)
    caption = (
        f"The mean share of a token's nearest in {found.a.name} that are its nearest in {found.b.name}, too, over "
        "the tokens that both have; bars: what other orders of tied tokens would give; dashed: by chance. "
    )
    x = axis("top", "length of the lists", tickMinStep=1, format="d")
    return Chart(title, caption, _lines(title, values, x))


def _by_density(found: Comparison) -> Chart:
    longest = {geometry: max(tops) for geometry, tops in found.lists.tops.items() if tops}
    top = min(longest.values(), default=0)
    title = f"Agreement of the {top} nearest, by density"
    values = [
        {"geometry": geometry.label, "tenth": int(each.name), "mean": mean, "lowest": mean, "highest": mean}
        | {"chance": found.lists.tops[geometry][top].chance}
        for each in found.by_density
        for geometry in longest
        if not math.isnan(mean := each.means[geometry][top])
    ]
    if not values:
        return Chart("Agreement by density", "No token has a list in both bundles.", None)
    caption = (
        f"Tokens in tenths by their density in {found.a.name}, the sparsest first; dashed: by chance. "
        "Where a model has untrained tokens, they are among the densest."
    )
    return Chart(title, caption, _lines(title, values, axis("tenth", "tenth by density", tickMinStep=1, format="d")))


def _lines(title: str, values: list[dict[str, object]], x: dict[str, object]) -> dict[str, object]:
    """Return lines of means in each geometry, from 0 to 1, with chance beneath."""
    y = axis("mean", "share that is the same", scale={"domain": [0, 1]}, format="%", grid=True)
    labels = [geometry.label for geometry in Geometry]
    scale = {"domain": labels, "range": [COLORS[geometry] for geometry in Geometry]}
    color = {"field": "geometry", "type": "nominal", "sort": labels, "scale": scale}
    by = {"field": "geometry", "type": "nominal"}
    tips = [tip("geometry", "geometry"), tip(str(x["field"]), str(x["title"])), tip("mean", "mean", ".2%")]
    tips += [tip("lowest", "lowest", ".2%"), tip("highest", "highest", ".2%"), tip("chance", "by chance", ".3%")]
    layers = [
        {
            "mark": {"type": "line", "color": SOFT, "strokeDash": [6, 4]},
            "encoding": {"x": x, "y": {**y, "field": "chance"}, "detail": by},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.5},
            "encoding": {"x": x, "y": {**y, "field": "lowest"}, "y2": {"field": "highest"}, "color": color},
        },
        {"mark": {"type": "line"}, "encoding": {"x": x, "y": y, "detail": by, "color": color}},
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": color, "tooltip": tips},
        },
    ]
    return specification(title, values, layers)


def named_parts(page: list[Block]) -> list[Named]:
    """Return the blocks of a page, which begins with a heading, under their headings."""
    parts: list[Named] = []
    for block in page:
        if isinstance(block, Heading):
            parts.append(Named(str(block.text)))
        elif isinstance(block, Facts):
            parts[-1].blocks.append(Shown("facts", tuple(block.rows)))
        elif isinstance(block, Table):
            parts[-1].blocks.append(Shown("table", block.rows, block.names, block.of_tokens))
        elif block.text:
            parts[-1].blocks.append(Shown("sentence", ((block.text,),)))
    return parts
