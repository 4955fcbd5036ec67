"""The figure of one token: distances by rank, overlap by length, its density, and both distances of each neighbor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from index.answers.page import counted
from index.geometry.maps import Geometry
from index.measures.overlap import Overlap
from index.pictures.numbers.beside import SeriesBeside
from index.pictures.numbers.densities import Densities
from index.pictures.numbers.series import NeighborhoodSeries, OverlapSeries, RankSeries, UnionSeries
from index.pictures.numbers.spots import counted_labels, spots
from index.pictures.plot import labels, paper
from index.pictures.plot.fonts import Typeface
from index.questions.neighbors import Neighborhood
from index.tokens.display import display

MOST_LABELS = 12

SPOT = (0.018, 0.03)
"""So near each other, as shares of what a panel's axes span, dots lie on one spot."""

NOTE_FROM, NOTE_HEIGHT = 0.45, 0.25
"""From which share of the ranks on, and up to which share of a strip's height, a note in its lower corner reaches."""

MEASURES = {
    Geometry.CAUSAL: "causal distance, logometers",
    Geometry.COSINE: "cosine similarity",
    Geometry.CAUSAL_COSINE: "causal cosine similarity",
}
"""How near a neighbor is, as the last panel measures it in each geometry."""


def texts_drawn(series: NeighborhoodSeries, found: Neighborhood, name: str) -> list[str]:
    """Return the texts of the figure that come from data, in printable form."""
    return [series.text, *series.union.texts, *subtitle(series, found, name)]


def neighborhood_figure(series: NeighborhoodSeries, found: Neighborhood, name: str, typeface: Typeface) -> Figure:
    """Draw an answer of `neighbors` or `densest`, with its series, as four panels; `name` is the bundle's.

    Draw and save inside `paper.look` of the typeface, which must be one for `texts_drawn`.
    """
    below = (typeface.label(line, cells=150) for line in subtitle(series, found, name))
    figure, grid = paper.page(typeface.label(series.text, cells=48), *below)
    _draw_ranks(figure, grid[0, 0], series.ranks, series.beside)
    _draw_overlap(figure.add_subplot(grid[0, 1]), series.overlap, found, series.beside)
    density = figure.add_subplot(grid[1, 0])
    paper.name_panel(density, "c", f"Density, {found_in(series.densities.geometry)}")
    draw_densities(density, series.densities, (series.density, series.denser_than), series.beside)
    _draw_union(figure.add_subplot(grid[1, 1]), series.union, typeface)
    return figure


def subtitle(series: NeighborhoodSeries, found: Neighborhood, name: str) -> list[str]:
    """Return how far the lists agree, where they do, and what the figure is of, in a line each."""
    lines = [] if found.overlap is None else [" · ".join(_agreement(found, found.overlap))]
    said = [f"#{found.token.id} in {display(name)}"]
    if found.twins:
        said.append(counted(len(found.twins), "twin"))
    if found.among is not None:
        said.append(f"neighbors among {display(found.among.name)}")
    if series.beside is not None:
        said.append(f"{series.beside.short}: {display(series.beside.bundle)}")
    return [*lines, " · ".join(said)]


def _agreement(found: Neighborhood, agreed: Overlap) -> Iterator[str]:
    verdict = "" if found.verdict is None else f": {found.verdict.value}"
    yield f"{agreed.count} of {counted(agreed.k, 'neighbor')} in both lists ({agreed.percent:.1f} %){verdict}"
    if found.without is not None and found.without.overlap is not None:
        rest = found.without.overlap
        yield f"{rest.count} of {rest.k} without untrained tokens and hubs"
    if agreed.lowest < agreed.highest:
        yield f"ties could make it {agreed.lowest} to {agreed.highest}"


def found_in(geometry: Geometry) -> str:
    """Return a geometry as a panel's name goes on."""
    return f"in {geometry.words}" if geometry is Geometry.CAUSAL else f"by {geometry.words}"


def _draw_ranks(
    figure: Figure, cell: SubplotSpec, series: tuple[RankSeries, RankSeries], beside: SeriesBeside | None
) -> None:
    strips = cell.subgridspec(2, 1, hspace=0.2)
    upper = figure.add_subplot(strips[0])
    lower = figure.add_subplot(strips[1], sharex=upper)
    for axes, ranks, color in ((upper, series[0], paper.FIRST), (lower, series[1], paper.SECOND)):
        axes.set_ylabel(ranks.unit, color=color)
        if len(ranks.ranks) == 0:
            paper.say(axes, "no other token has a place here")
            continue
        _draw_distances(axes, ranks, color, _means(ranks, beside))
    listed = [(axes, ranks) for axes, ranks in zip((upper, lower), series, strict=True) if len(ranks.ranks)]
    upper.tick_params(labelbottom=False)
    lower.tick_params(bottom=bool(listed), labelbottom=bool(listed))
    lower.set_xlabel("rank")
    paper.whole(lower.xaxis)
    paper.name_panel(upper, "a", "Distance by rank")
    tied = np.concatenate([ranks.tied for ranks in series])
    apart, hollow = (
        Line2D([], [], marker="o", ls="", ms=3, mec=paper.INK, mfc=fill, label=label)
        for fill, label in ((paper.INK, "apart"), ("white", "tied"))
    )
    parts = {
        apart: not tied.all(),
        hollow: tied.any(),
        Patch(color=paper.PALE, label="± resolution"): any(_band_seen(axes, ranks) for axes, ranks in listed),
    }
    if beside is not None and any(len(_means(ranks, beside)) for ranks in series):
        parts[Line2D([], [], color=paper.BESIDE, ls=":", label=f"{beside.short}, mean")] = True
    paper.key(upper, *(part for part, drawn in parts.items() if drawn))


def _means(series: RankSeries, beside: SeriesBeside | None) -> np.ndarray:
    """Return the mean distances of another bundle at the ranks that are drawn, (n,), as far as they are known."""
    return np.empty(0) if beside is None else beside.ranks.get(series.geometry, np.empty(0))[: len(series.ranks)]


def _band_seen(axes: Axes, series: RankSeries) -> bool:
    """Whether the resolution is a pixel high or more."""
    bottom, top = axes.transData.transform([(0, 0), (0, 2 * series.resolution)])[:, 1]
    return len(series.ranks) > 1 and bool(top - bottom >= 1)


def _draw_distances(axes: Axes, series: RankSeries, color: str, means: np.ndarray) -> None:
    ranks, distances, tied = series.ranks, series.distances, series.tied
    axes.fill_between(
        ranks, distances - series.resolution, distances + series.resolution, color=paper.PALE, linewidth=0
    )
    axes.plot(ranks, distances, color=color, linewidth=0.6)
    size = 3.0 if len(ranks) <= 60 else 1.8
    for chosen, fill in ((~tied, color), (tied, "white")):
        axes.plot(ranks[chosen], distances[chosen], "o", ms=size, mec=color, mfc=fill, mew=0.6, clip_on=False)
    if len(means):
        axes.plot(ranks[: len(means)], means, color=paper.BESIDE, ls=":")
    paper.span(axes, "y", np.concatenate([distances, means]), share=0.12, possible=(0, np.inf))
    _note_resolution(axes, series, means)


def _note_resolution(axes: Axes, series: RankSeries, means: np.ndarray) -> None:
    """Name the geometry and its resolution in the corner that the curves, which only rise, leave free."""
    name = f"{series.geometry.label}, resolution {series.resolution:.2g}"
    low, high = axes.get_ylim()
    curves = [each for each in (series.distances, means) if len(each)]
    risen = min(float(each[int(NOTE_FROM * (len(each) - 1))]) for each in curves)
    if risen > low + NOTE_HEIGHT * (high - low):
        place: dict[str, Any] = {"x": 1, "y": 0.03, "ha": "right"}
    else:
        place = {"x": 0.01, "y": 0.97, "va": "top"}
    axes.text(s=name, **place, transform=axes.transAxes, fontsize=paper.SMALL, color=paper.GRAY)


def _draw_overlap(axes: Axes, series: OverlapSeries, found: Neighborhood, beside: SeriesBeside | None) -> None:
    paper.name_panel(axes, "b", "Overlap of the two lists at length k")
    axes.set(xlabel="k", ylabel="shared, percent", ylim=(-3, 103))
    if found.overlap is None:
        paper.say(axes, "no overlap: one of the lists is empty")
        return
    axes.fill_between(
        series.lengths,
        100 * series.lowest,
        100 * series.highest,
        color=paper.PALE,
        linewidth=0,
        label="range over ties" if (series.lowest < series.highest).any() else None,
    )
    single = len(series.lengths) == 1  # no line
    axes.plot(series.lengths, 100 * series.shares, color=paper.BOTH, label=None if single else "overlap")
    chance = {"marker": "_"} if single else {"ls": "--", "lw": 0.8}
    axes.plot(series.lengths, 100 * series.chance, color=paper.GRAY, label="chance", **chance)
    if beside is not None:
        lengths, shares = beside.means(int(series.lengths[-1]))
        axes.plot(lengths, 100 * shares, color=paper.BESIDE, marker="D", ms=3, ls=":")
        paper.name_curve(axes, (lengths[-1], 100 * shares[-1]), f"{beside.short}, mean")
    k = found.overlap.k
    axes.plot([k], [found.overlap.percent], "o", ms=4, color=paper.BOTH, clip_on=False, label=f"k = {k}")
    axes.set_xlim(0, 1.02 * series.lengths[-1])
    paper.whole(axes.xaxis)
    paper.key(axes)


def draw_densities(
    axes: Axes,
    densities: Densities,
    token: tuple[float, str | None] | None = None,
    beside: SeriesBeside | None = None,
) -> None:
    """Draw how many tokens have each density, both on logarithmic axes, and how many points of another bundle.

    A token to mark is its density, and the percent of tokens it is denser than: None for a row without a point.
    """
    outside = ((densities.zero, "with no distance to average"), (densities.infinite, "of infinite density"))
    left_out = "\n".join(f"{count:,} {what} left out" for count, what in outside if count)
    if token is not None:
        left_out = f"{_unmarked(densities, *token)}\n{left_out}".strip()
    if len(densities.counts) == 0:
        paper.say(axes, f"no density to draw\n{left_out}")
        return
    edges, counts = densities.edges, densities.counts
    axes.bar(
        edges[:-1],
        counts,
        edges[1:] - edges[:-1],
        align="edge",
        color=paper.PALE,
        edgecolor=paper.GRAY,
        linewidth=0.3,
        label="all tokens",
    )
    low, high, most = edges[0], edges[-1], counts.max()
    if beside is not None and len(beside.counts):
        axes.stairs(beside.counts, beside.edges, color=paper.BESIDE, linewidth=1.0)
        highest = int(beside.counts.argmax())
        paper.name_curve(axes, (beside.edges[highest], beside.counts[highest]), beside.short, left=True)
        low, high = min(low, beside.edges[0]), max(high, beside.edges[-1])
        most = max(most, beside.counts.max())
    paper.logarithmic(axes, "x", low / (high / low) ** 0.03, high * (high / low) ** 0.03)
    lines = left_out.count("\n") + 1 if left_out else 0
    paper.logarithmic(axes, "y", 0.7, 1.6 * most * (most / 0.7) ** (0.08 * lines), counts=True)  # no bar reaches a line
    # Nor does the line of the token, which is drawn where the other side of the panel is.
    left = token is not None and token[0] > (low * high) ** 0.5
    place: dict[str, Any] = {"x": 0.01, "ha": "left"} if left else {"x": 1, "ha": "right"}
    axes.text(s=left_out, y=1, va="top", **place, transform=axes.transAxes, fontsize=paper.SMALL, color=paper.GRAY)
    axes.set_xlabel(f"density, {densities.unit} (rule '{densities.rule.value}', k = {densities.k})")
    axes.set_ylabel("tokens")
    if token is not None and not _unmarked(densities, *token):
        where = f"this token: {token[0]:.4g}, denser than {token[1]}"
        axes.axvline(token[0], color=paper.SECOND, linewidth=1.2, label=where)
    paper.key(axes)


def _unmarked(densities: Densities, density: float, denser_than: str | None) -> str:
    """Say why a token has no place among the bars; nothing where it has."""
    if denser_than is None:
        return "this token has no density: its row is zero"
    if 0 < density < float("inf"):
        return ""
    return "this token's density is infinite" if density else "this token has no distance to average"


def _draw_union(axes: Axes, series: UnionSeries, typeface: Typeface) -> None:
    first, second = series.distances
    paper.name_panel(axes, "d", "Every neighbor of either list, in both")
    axes.set(xlabel=MEASURES[first], ylabel=MEASURES[second])
    x, y = (series.similarities.get(geometry, series.distances[geometry]) for geometry in (first, second))
    drawn = np.isfinite(x) & np.isfinite(y)
    if not drawn.any():
        paper.say(axes, "no neighbor has a place in both geometries")
        return
    sets = (
        (series.shared, "o", paper.BOTH, paper.BOTH, "in both lists"),
        (~series.shared & (series.ranks[first] > 0), "o", paper.FIRST, "white", f"{first.label} only"),
        (~series.shared & (series.ranks[second] > 0), "s", paper.SECOND, "white", f"{second.label} only"),
    )
    for chosen, marker, edge, fill, label in sets:
        here = chosen & drawn
        if not here.any():
            continue
        axes.plot(x[here], y[here], marker, ms=3.5, mec=edge, mfc=fill, mew=0.7, label=label, clip_on=False)
    paper.span(axes, "x", x[drawn], share=0.1, possible=_possible(series, first))
    paper.span(axes, "y", y[drawn], share=0.1, possible=_possible(series, second))
    paper.key(axes)
    _label_shared(axes, np.column_stack([x, y]), drawn, series, typeface)


def _possible(series: UnionSeries, geometry: Geometry) -> tuple[float, float]:
    """Return the ends of all that a distance, or a cosine, can be."""
    return (-1.0, 1.0) if geometry in series.similarities else (0.0, np.inf)


def _label_shared(axes: Axes, points: np.ndarray, drawn: np.ndarray, series: UnionSeries, typeface: Typeface) -> None:
    """Label the shared tokens, those that rank highest in both lists first, as far as there is room.

    Of those on one spot the first is named, with how many there are.
    """
    known = np.flatnonzero(drawn)
    ranks = np.sum([each[known] for each in series.ranks.values()], axis=0)
    known = known[np.lexsort((ranks, ~series.shared[known]))]
    texts = [
        f"{typeface.label(series.texts[at])} {series.signs[at]}".strip() if series.shared[at] else "" for at in known
    ]
    named = counted_labels(texts, spots(points[known, 0], points[known, 1], SPOT))
    labeled = np.array([place for place, text in enumerate(named) if text], dtype=np.int64)
    rest = np.setdiff1d(np.arange(len(known)), labeled)
    shown = [named[place] for place in labeled]
    labels.place(axes, points[known[labeled]], points[known[rest]], shown, most=MOST_LABELS, size=paper.SMALL)
