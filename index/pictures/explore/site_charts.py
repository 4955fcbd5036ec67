"""The charts of tokens in an exported site: specifications, once, which a script fills with each token's numbers."""

from __future__ import annotations

from typing import Any

from index.measures.density import Rule
from index.measures.overlap import BORDERS
from index.pictures.explore.address import TOP
from index.pictures.explore.opened import OpenedBundle
from index.pictures.numbers.series import neighborhood_series
from index.pictures.page.chart import Chart
from index.pictures.page.charts import neighborhood_charts
from index.questions.asking.parameters import CAUSAL_AND_COSINE, density_k_of, list_length
from index.questions.neighbors import neighborhood


def site_charts(opened: OpenedBundle) -> dict[str, Any]:
    """Return the specifications of distance by rank, overlap and density, as they are for the densest token.

    Those of rank and overlap come without values; ties are not drawn as a band, because the files hold none.
    """
    bundle, top = opened.vocabulary, min(TOP, list_length(opened.vocabulary, None))
    row = opened.densest.by_rule[Rule.DISTINCT].token.row
    found = neighborhood(bundle, row, top, density_k_of(bundle, None), Rule.DISTINCT, CAUSAL_AND_COSINE, None)
    series = neighborhood_series(bundle, found, opened.densities(found))
    first, second, overlap, density, _ = neighborhood_charts(series, lambda token: "")
    ranked = "Hollow: tied, no further from the one before or after than the resolution, {:.2g} {}."
    low, high = BORDERS
    shared = (
        "For every length k, in the order of the lists. Dashed: chance, two blind draws. "
        f"Dotted: above {low} % agreement is moderate, above {high} % high."
    )
    ranks = [
        {**_empty(chart, ranked.format(each.resolution, each.unit)), "resolution": each.resolution}
        for chart, each in zip((first, second), series.ranks, strict=True)
    ]
    lines = [layer for layer in (overlap.specification or {}).get("layer", []) if not _is_of_ties(layer)]
    said = "The line is this token; without one, its density is in no bar. Counts on a logarithmic scale."
    return {
        "ranks": ranks,
        "overlap": {**_empty(overlap, shared, layer=lines), "chance": series.overlap.chance.tolist()},
        "density": {"title": density.title, "caption": said, "specification": density.specification},
    }


def _empty(chart: Chart, caption: str, **others: Any) -> dict[str, Any]:
    specification = {**(chart.specification or {}), **others, "data": {"values": []}}
    return {"title": chart.title, "caption": caption, "specification": specification}


def _is_of_ties(layer: dict[str, Any]) -> bool:
    """Whether a layer of the overlap is of other orders of ties: the band, and what a pointer is told."""
    return layer["mark"]["type"] == "area" or "tooltip" in layer["encoding"]
