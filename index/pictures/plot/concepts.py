"""The figure of several concepts: the cosines between their directions in M and in the plain inner product."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.image import AxesImage

from index.answers.page import counted
from index.pictures.plot import paper
from index.pictures.plot.fonts import Typeface
from index.questions.concept.concepts import Concepts
from index.questions.concept.directions import Product
from index.tokens.display import display

MOST_NUMBERS = 8
"""So many concepts have their cosines written into their squares."""
NAME_CELLS = 28
HEIGHT = 3.4
"""Of the figure, in inches: the matrices are square."""

_TITLES = {Product.CAUSAL: "in M", Product.EUCLIDEAN: "in the plain inner product"}


def texts_drawn(found: Concepts, name: str) -> list[str]:
    """Return the texts of the figure that come from data, in printable form: title, line below, concepts."""
    kept = sum(each.kept for each in found.concepts)
    below = (
        f"{counted(len(found.concepts), 'concept')} of {counted(kept, 'pair')} · mean differences of rows as they are"
    )
    return [f"Directions of concepts in {display(name)}", below, *(display(each.name) for each in found.concepts)]


def concepts_figure(found: Concepts, name: str, typeface: Typeface) -> Figure:
    """Draw both matrices of cosines, of two concepts or more, in one scale from -1 to 1.

    Draw and save inside `paper.look` of the typeface, which must be one for `texts_drawn`.
    """
    title, below, *names = texts_drawn(found, name)
    figure, _ = paper.page(typeface.label(title, cells=60), typeface.label(below, cells=150))
    figure.set_figheight(HEIGHT)
    for line, y in zip(figure.texts, (0.925, 0.87), strict=True):
        line.set_y(y)
    labels = [f"{typeface.label(each, cells=NAME_CELLS)}  {number}" for number, each in enumerate(names, 1)]
    grid = GridSpec(1, 3, figure, left=0.27, right=0.93, bottom=0.07, top=0.74, width_ratios=(20, 20, 1), wspace=0.1)
    for place, product in enumerate(Product):
        axes = figure.add_subplot(grid[0, place])
        image = _draw_matrix(axes, np.array(found.cosines[product]))
        paper.name_panel(axes, "ab"[place], f"Cosines {_TITLES[product]}")
        axes.set_yticks(range(len(labels)), labels if place == 0 else [""] * len(labels))
        for label in axes.get_yticklabels():
            label.set_fontfeatures(paper.NO_LIGATURES)
    bar = figure.colorbar(image, figure.add_subplot(grid[0, 2]))
    bar.outline.set(visible=False)
    bar.set_ticks([-1, -0.5, 0, 0.5, 1])
    return figure


def _draw_matrix(axes: Axes, cosines: np.ndarray) -> AxesImage:
    image = axes.imshow(np.ma.masked_invalid(cosines), cmap="PuOr", vmin=-1, vmax=1)
    axes.set_facecolor(paper.PALE)  # of concepts without a direction
    places = range(len(cosines))
    axes.set_xticks(places, [str(place + 1) for place in places])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(cosines) <= MOST_NUMBERS:
        for y, x in np.ndindex(cosines.shape):
            if not np.isnan(cosines[y, x]):
                color = "white" if abs(cosines[y, x]) > 0.6 else paper.INK
                axes.text(x, y, f"{cosines[y, x]:.2f}", ha="center", va="center", size=paper.SMALL, color=color)
    return image
