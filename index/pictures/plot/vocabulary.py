"""The figure of a whole vocabulary: densities, norms against them, overlap by decile of density, and the spectrum."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from index.answers.page import counted
from index.bundle.bundle import Bundle
from index.pictures.numbers.beside import SeriesBeside
from index.pictures.numbers.series import model_of
from index.pictures.numbers.vocabulary_series import EigenvalueSeries, NormSeries, VocabularySeries
from index.pictures.plot import paper
from index.pictures.plot.fonts import Typeface
from index.pictures.plot.neighborhood import draw_densities, found_in
from index.questions.overlap.overlap import OverlapCensus
from index.tokens.display import display


def texts_drawn(bundle: Bundle, beside: SeriesBeside | None = None) -> list[str]:
    """Return the texts of the figure that come from data, in printable form: its title and the line below."""
    facts = bundle.manifest
    origin = display(facts.metric.origin)
    control = "" if facts.control is None else f"a control ({facts.control.short}) · "
    other = "" if beside is None else f" · {beside.short}: {display(beside.bundle)}"
    return [
        display(model_of(bundle)),
        f"{control}{facts.V:,} tokens x {facts.D:,} · {counted(facts.K, 'neighbor')} kept · {origin}{other}",
    ]


def vocabulary_figure(series: VocabularySeries, bundle: Bundle, typeface: Typeface) -> Figure:
    """Draw a whole vocabulary as four panels.

    Draw and save inside `paper.look` of the typeface, which must be one for `texts_drawn`.
    """
    title, below = texts_drawn(bundle, series.beside)
    figure, grid = paper.page(typeface.label(title, cells=48), typeface.label(below, cells=150))
    density = figure.add_subplot(grid[0, 0])
    paper.name_panel(density, "a", f"Densities, {found_in(series.densities.geometry)}")
    draw_densities(density, series.densities, beside=series.beside)
    _draw_norms(figure, grid[0, 1], series.norms, series.densities.unit)
    _draw_deciles(figure.add_subplot(grid[1, 0]), series.overlap, series.beside)
    _draw_spectrum(figure.add_subplot(grid[1, 1]), series.spectrum, series.beside)
    return figure


def _draw_norms(figure: Figure, cell: SubplotSpec, series: NormSeries, density_unit: str) -> None:
    columns = cell.subgridspec(1, 3, width_ratios=(24, 1, 3), wspace=0.1)
    axes = figure.add_subplot(columns[0])
    paper.name_panel(axes, "b", "Norm against density")
    if series.counts.size == 0:
        paper.say(axes, "no density to draw")
        return
    image = axes.pcolormesh(
        series.density_edges,
        series.norm_edges,
        np.ma.masked_equal(series.counts, 0),
        norm=LogNorm(1, max(2, series.counts.max())),
        cmap="cividis_r",
        rasterized=True,
    )
    paper.logarithmic(axes, "x", series.density_edges[0], series.density_edges[-1])
    paper.span(axes, "y", series.norm_edges)
    axes.set(xlabel=f"density, {density_unit}", ylabel=f"norm, {series.unit}")
    bar = figure.colorbar(image, figure.add_subplot(columns[1]))
    bar.outline.set(visible=False)
    paper.logarithmic(bar.ax, "y", *bar.ax.get_ylim(), counts=True)
    bar.ax.set_title("tokens", size=paper.SMALL)


def _draw_deciles(axes: Axes, census: OverlapCensus | None, beside: SeriesBeside | None) -> None:
    paper.name_panel(axes, "c", "Overlap by decile of density")
    if census is None:
        paper.say(axes, "no token has neighbors in both geometries")
        return
    names = " and ".join(geometry.label for geometry in census.geometries)
    deciles = [decile.decile for decile in census.deciles]
    for (top, summary), color, marker in zip(
        census.tops.items(), (paper.FIRST, paper.SECOND, paper.BOTH), "osD", strict=False
    ):
        shares = [100 * decile.means[top] for decile in census.deciles]
        axes.plot(deciles, shares, color=color, marker=marker, ms=3, label=f"k = {top}")
        axes.axhline(100 * summary.chance, color=color, ls="--", lw=0.6)
        if beside is not None and top in beside.census.tops:
            there = beside.census.deciles
            shares = [100 * decile.means[top] for decile in there]
            axes.plot([decile.decile for decile in there], shares, color=color, marker=marker, ms=2, ls=":", lw=0.8)
    axes.plot([], [], color=paper.GRAY, ls="--", lw=0.6, label="chance")
    if beside is not None:
        first = beside.census.deciles[0]
        highest = 100 * max(share for top, share in first.means.items() if top in census.tops)
        paper.name_curve(axes, (first.decile, highest), f"{beside.short} (dotted)")
    axes.set(
        xlabel="decile of density, sparsest first (rule 'distinct')",
        ylabel=f"shared by {names}, %",
        ylim=(-3, 103),
    )
    axes.set_xticks(deciles)
    paper.key(axes)


def _draw_spectrum(axes: Axes, series: EigenvalueSeries, beside: SeriesBeside | None) -> None:
    paper.name_panel(axes, "d", "Spectrum of the metric")
    places = np.arange(1, len(series.covariance) + 1)
    positive = series.covariance > 0
    if positive.any():
        axes.plot(places[positive], series.covariance[positive], color=paper.FIRST, label="Cov(gamma)")
    axes.plot(places, series.metric, color=paper.SECOND, label="M")
    values = [series.covariance[positive], series.metric]
    if series.ridge:
        axes.axhline(series.ridge, color=paper.GRAY, ls="--", lw=0.8, label=f"ridge {series.ridge:g}")
        values.append(np.array([series.ridge]))
    if beside is not None and (beside.covariance > 0).any():
        there = beside.covariance > 0
        named = f"Cov, {beside.short}"
        axes.plot(places[there], beside.covariance[there], color=paper.BESIDE, ls=":", label=named)
        values.append(beside.covariance[there])
    every = np.concatenate(values)
    paper.logarithmic(axes, "y", every.min() / 1.5, every.max() * 1.5)
    paper.whole(axes.xaxis)
    axes.set(xlabel="direction, most variance first", ylabel="eigenvalue")
    paper.key(axes)
