"""The charts of a token as Vega-Lite specifications."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from index.measures.overlap import BORDERS
from index.pictures.numbers.beside import SeriesBeside
from index.pictures.numbers.densities import Densities
from index.pictures.numbers.series import NeighborhoodSeries, RankSeries, UnionSeries
from index.pictures.page.beside import counts_said, densities_beside, mean_said, means_by_length, means_by_rank
from index.pictures.page.chart import TOKEN_TIPS, Address, Chart, links, token_columns
from index.pictures.page.union import union_chart
from index.pictures.page.vega import BOTH, PAIR, PAPER, SOFT, axis, records, specification, tip


def neighborhood_charts(series: NeighborhoodSeries, address: Address | None = None) -> tuple[Chart, ...]:
    """Return the charts of one token: distance by rank in each geometry, overlap, density, and the union of lists.

    With an address for each token, the points of tokens are links.
    """
    by_rank = (
        _rank_chart(ranks, color, series.union, series.beside, address)
        for ranks, color in zip(series.ranks, PAIR, strict=True)
    )
    return *by_rank, _overlap_chart(series), _density_chart(series), union_chart(series, address)


def _rank_chart(
    ranks: RankSeries, color: str, union: UnionSeries, beside: SeriesBeside | None, address: Address | None
) -> Chart:
    title = f"Distance by rank in {ranks.geometry.words}"
    if len(ranks.ranks) == 0:
        return Chart(title, "No other token has a place in this list.", None)
    # Rank 0 stands for tokens of the other list alone; they come first.
    places = np.argsort(union.ranks[ranks.geometry], kind="stable")[-len(ranks.ranks) :]
    values = records(
        {
            **token_columns(union, places, address),
            "rank": ranks.ranks,
            "distance": ranks.distances,
            "low": np.maximum(ranks.distances - ranks.resolution, 0),
            "high": ranks.distances + ranks.resolution,
            "tied": ["yes" if tied else "no" for tied in ranks.tied],
        }
    )
    x, y = axis("rank", "rank", tickMinStep=1, format="d"), axis("distance", ranks.unit, grid=True)
    band = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
    points = {
        "x": x,
        "y": y,
        "fill": {"condition": {"test": "datum.tied === 'yes'", "value": PAPER}, "value": color},
        "tooltip": [*TOKEN_TIPS, tip("rank", "rank"), tip("distance", ranks.unit, ".7g"), tip("tied", "tied")],
        **links(address),
    }
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "area", "color": color, "opacity": 0.25}, "encoding": band},
        {"mark": {"type": "line", "color": color, "strokeWidth": 1}, "encoding": {"x": x, "y": y}},
        {"mark": {"type": "point", "stroke": color, "size": 36, "opacity": 1}, "encoding": points},
    ]
    layers += means_by_rank(ranks, beside)
    caption = _ties_caption(ranks) + mean_said(beside, "mean distance", there=len(layers) > 3)
    return Chart(title, caption, specification(title, values, layers))


def _ties_caption(ranks: RankSeries) -> str:
    tied = int(ranks.tied.sum())
    resolution = f"the resolution, {ranks.resolution:.2g} {ranks.unit} (shaded where wide enough to see)"
    if tied == 0:
        return f"No ties: each distance is further from the next than {resolution}."
    return (
        f"{tied} of {len(ranks.tied)} {'is' if tied == 1 else 'are'} tied (hollow): the one before or after is no "
        f"further off than {resolution}, so the order is arbitrary there."
    )


def _overlap_chart(series: NeighborhoodSeries) -> Chart:
    title, found = "Overlap of the two lists", series.overlap
    if len(found.lengths) == 0:
        return Chart(title, "One of the lists is empty: there is nothing to compare.", None)
    values = records(
        {
            "k": found.lengths,
            "share": found.shares,
            "lowest": found.lowest,
            "highest": found.highest,
            "chance": found.chance,
        }
    )
    x = axis("k", "k, the length of both lists", tickMinStep=1, format="d")
    y = axis("share", "share of k in both lists", scale={"domain": [0, 1]}, format="%")
    band = {"x": x, "y": {**y, "field": "lowest"}, "y2": {"field": "highest"}}
    tips = [tip("k", "k"), *(tip(name, name, ".2%") for name in ("share", "lowest", "highest", "chance"))]
    layers: list[dict[str, Any]] = [
        *(
            {"mark": {"type": "rule", "aria": False, "color": SOFT, "strokeDash": [1, 4]}, "encoding": _level(b)}
            for b in BORDERS
        ),
        {"mark": {"type": "area", "color": BOTH, "opacity": 0.3}, "encoding": band},
        {"mark": {"type": "line", "color": BOTH}, "encoding": {"x": x, "y": y}},
        {
            "mark": {"type": "line", "color": SOFT, "strokeDash": [6, 4]},
            "encoding": {"x": x, "y": {**y, "field": "chance"}},
        },
        # Nothing to see: the tooltip of whatever is above and below.
        {"mark": {"type": "rule", "strokeWidth": 9, "opacity": 0}, "encoding": {"x": x, "tooltip": tips}},
    ]
    if len(found.lengths) == 1:
        layers.append({"mark": {"type": "point", "color": BOTH, "filled": True}, "encoding": {"x": x, "y": y}})
    layers += means_by_length(series)
    caption = _overlap_caption(series) + mean_said(series.beside, "mean overlap", there=True)
    return Chart(title, caption, specification(title, values, layers))


def _level(percent: int) -> dict[str, Any]:
    """Return the encoding of a level line across a chart of shares."""
    return {"y": {"datum": percent / 100}}


def _overlap_caption(series: NeighborhoodSeries) -> str:
    found = series.overlap
    low, high = BORDERS
    moved = bool((found.lowest < found.highest).any())
    ties = "shaded: what other orders of tied tokens would give" if moved else "no tie changes it at any length"
    return (
        f"For every length k up to {found.lengths[-1]}; {ties}. Dashed: chance, two blind draws. "
        f"Dotted: above {low} % agreement is moderate, above {high} % high."
    )


def _density_chart(series: NeighborhoodSeries) -> Chart:
    densities = series.densities
    title = "Density among all tokens"
    if len(densities.counts) == 0:
        return Chart(title, "No token has a density other than 0 or infinite.", None)
    values = records({"from": densities.edges[:-1], "to": densities.edges[1:], "tokens": densities.counts})
    scale = {"type": "log", "nice": False}
    # Of these two scales Vega would label only some powers of ten.
    x = axis(
        "from", f"density, {densities.unit}", scale=scale, labelExpr="format(datum.value, '~g')", labelSeparation=6
    )
    powers = [0, *(10**power for power in range(len(str(densities.counts.max()))))]
    ticks = {"values": powers, "tickCount": len(powers), "labelExpr": "format(datum.value, ',')"}
    y = axis("tokens", "tokens", scale={"type": "symlog"}, **ticks)
    bars = {
        "x": x,
        "x2": {"field": "to"},
        "y": y,
        "y2": {"datum": 0},
        "tooltip": [tip("from", "from", ".5g"), tip("to", "to", ".5g"), tip("tokens", "tokens", ",")],
    }
    layers: list[dict[str, Any]] = [{"mark": {"type": "bar", "color": SOFT, "opacity": 0.6}, "encoding": bars}]
    if math.isfinite(series.density) and series.density > 0:
        layers.append(_density_rule(series))
    layers += densities_beside(series.beside)
    caption = _density_caption(series) + counts_said(series.beside)
    return Chart(title, caption, specification(title, values, layers))


def _density_rule(series: NeighborhoodSeries) -> dict[str, Any]:
    own = {"text": series.text, "density": series.density, "below": series.denser_than}
    return {
        "data": {"values": [own]},
        "mark": {"type": "rule", "color": PAIR[0], "strokeWidth": 3},
        "encoding": {
            "x": {"field": "density", "type": "quantitative"},
            "tooltip": [tip("text", "token"), tip("density", "density", ".7g"), tip("below", "denser than")],
        },
    }


def _density_caption(series: NeighborhoodSeries) -> str:
    densities = series.densities
    if series.denser_than is None:
        place = "This token has no point here, and so no density."
    elif series.density == 0 or math.isinf(series.density):
        place = f"This token's density is {series.density:g}: it is in no bar."
    else:
        place = (
            f"The line is this token: {series.density:.7g} {densities.unit}, denser than {series.denser_than} of all "
            "tokens."
        )
    return place + " Counts on a logarithmic scale." + _left_out(densities)


def _left_out(densities: Densities) -> str:
    outside = ((densities.zero, "with no distance to average"), (densities.infinite, "of infinite density"))
    parts = [f"{count:,} {what}" for count, what in outside if count]
    return f" In no bar: {' and '.join(parts)}." if parts else ""
