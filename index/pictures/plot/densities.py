"""The panel of all densities: a histogram, and where one token stands in it."""

from __future__ import annotations

from matplotlib.axes import Axes

from index.pictures.numbers.densities import Densities
from index.pictures.plot import paper


def draw_densities(axes: Axes, densities: Densities, token: tuple[float, str | None] | None = None) -> None:
    """Draw how many tokens have each density, both on logarithmic axes.

    Parameters
    ----------
    axes : Axes
    densities : Densities
    token : pair of float and str, optional
        The density of a token to mark, and the percent of tokens it is denser than; None for a row without a point.
    """
    outside = ((densities.zero, "zero"), (densities.infinite, "infinite"))
    left_out = "\n".join(f"{count:,} of {what} density left out" for count, what in outside if count)
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
    axes.text(1, 1, left_out, transform=axes.transAxes, ha="right", va="top", fontsize=paper.SMALL, color=paper.GRAY)
    paper.logarithmic(axes, "x", edges[0] / (edges[-1] / edges[0]) ** 0.03, edges[-1] * (edges[-1] / edges[0]) ** 0.03)
    paper.logarithmic(axes, "y", 0.7, 1.6 * counts.max(), counts=True)
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
    return f"this token's density is {'infinite' if density else 'zero'}"
