"""The panel of all densities: a histogram, and where one token stands in it."""

from __future__ import annotations

from matplotlib.axes import Axes

from index.pictures import paper
from index.pictures.densities import Densities


def draw_densities(axes: Axes, densities: Densities, token: tuple[float, float] | None = None) -> None:
    """Draw how many tokens have each density, both on logarithmic axes.

    Parameters
    ----------
    axes : Axes
    densities : Densities
    token : pair of float, optional
        The density of a token, and its percentile, to mark.
    """
    outside = ((densities.zero, "zero"), (densities.infinite, "infinite"))
    left_out = "\n".join(f"{count:,} of {what} density left out" for count, what in outside if count)
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
    axes.text(1, 1, left_out, transform=axes.transAxes, ha="right", va="top", fontsize=paper.SMALL, color=paper.GRAY)
    paper.logarithmic(axes, "x", edges[0] / (edges[-1] / edges[0]) ** 0.03, edges[-1] * (edges[-1] / edges[0]) ** 0.03)
    paper.logarithmic(axes, "y", 0.7, 1.6 * counts.max())
    axes.set_xlabel(f"density, {densities.unit} (rule '{densities.rule.value}', k = {densities.k})")
    axes.set_ylabel("tokens")
    if token is not None:
        _mark(axes, densities, *token)
    paper.key(axes)


def _mark(axes: Axes, densities: Densities, density: float, percentile: float) -> None:
    if densities.edges[0] <= density <= densities.edges[-1]:
        where = f"this token: {density:.4g}, percentile {percentile:.5g}"
        axes.axvline(density, color=paper.SECOND, linewidth=1.2, label=where)
    else:
        words = "none: its row is zero" if percentile != percentile else "infinite" if density > 0 else "zero"
        axes.plot([], [], color=paper.SECOND, linewidth=1.2, label=f"this token: {words}")
