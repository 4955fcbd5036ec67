"""The look that all figures share: sizes, colors, ticks, and how the parts of a panel are named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patheffects import Normal
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import offset_copy

from index.pictures.plot.fonts import Typeface

WIDTH, HEIGHT, DPI = 7.0, 5.5, 300
"""Of a figure, in inches: as wide as the text of a page."""

FIRST, SECOND, BOTH = "#0072B2", "#D55E00", "#009E73"
"""The colors of the first geometry, the second, and what they share: Okabe and Ito's, for color-blind eyes too."""

BESIDE = "#CC79A7"
"""The color of what another bundle shows."""

INK, GRAY, PALE = "#222222", "#666666", "#D5D5D5"

NO_LIGATURES = ("-liga",)
"""For texts of tokens: the letters f and i must not look like the one character U+FB01."""

MOST_TICKS = 6

SMALL = 6.5
"""Size of what is said beside the curves, in points; the rest is 7.5."""

_LOOK: dict[Any, Any] = {
    "axes.edgecolor": GRAY,
    "axes.labelcolor": INK,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 7.5,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.0,
    "legend.columnspacing": 1.0,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "lines.linewidth": 1.0,
    "svg.fonttype": "path",  # the same everywhere: whoever opens the file need not have the fonts
    "svg.hashsalt": "logoscope",  # the same ids in each run
    "text.parse_math": False,  # a token such as `$x_1$` is no formula
    "xtick.color": GRAY,
    "xtick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.color": GRAY,
    "ytick.labelsize": SMALL,
    "ytick.major.width": 0.6,
}


@contextmanager
def look(typeface: Typeface) -> Iterator[None]:
    """Draw and save in the look of the project, whatever a user's matplotlibrc says; undone at the end."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # Journals refuse matplotlib's default, Type 3.
        matplotlib.rcParams.update({**_LOOK, "font.family": list(typeface.families), "pdf.fonttype": 42})
        yield


def outline(figure: Figure, typeface: Typeface) -> Figure:
    """Draw the texts as shapes whose fonts have PostScript outlines: as Type 42 a PDF would call them TrueType."""
    for text in figure.findobj(Text):
        if not typeface.outlined.isdisjoint(text.get_text()):
            text.set_path_effects([Normal()])
    return figure


def page(title: str, *below: str) -> tuple[Figure, GridSpec]:
    """Return an empty figure under a title and a line of text or two, and the grid of its four panels."""
    figure = Figure((WIDTH, HEIGHT), DPI)
    FigureCanvasAgg(figure)  # measures texts
    figure.text(0.09, 0.963, title, fontsize=12, color=INK, fontfeatures=NO_LIGATURES)
    for y, line in zip((0.936, 0.914), below, strict=False):
        figure.text(0.09, y, line, fontsize=SMALL, color=GRAY)
    grid = GridSpec(2, 2, figure, left=0.09, right=0.985, bottom=0.075, top=0.835, wspace=0.24, hspace=0.5)
    return figure, grid


def name_panel(axes: Axes, letter: str, title: str) -> None:
    """Write a panel's name above the line that `key` stands in."""
    axes.annotate(
        f"{letter}  {title}", (0, 1), (0, 16), xycoords="axes fraction", textcoords="offset points", fontsize=8.5
    )


def key(axes: Axes, *extra: Artist) -> None:
    """Explain what is drawn, in one line above the panel, where it can hide nothing."""
    handles = [*axes.get_legend_handles_labels()[0], *extra]
    labels = [str(handle.get_label()) for handle in handles]
    above = offset_copy(axes.transAxes, axes.get_figure(root=True), y=4, units="points")
    axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1), bbox_transform=above, ncols=4)


def say(axes: Axes, text: str) -> None:
    """Write in the middle of a panel why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GRAY, wrap=True)
    # Hidden rather than removed: another panel may share the axis.
    axes.tick_params(which="both", bottom=False, left=False, labelbottom=False, labelleft=False)


def name_curve(axes: Axes, at: tuple[float, float], name: str, *, left: bool = False) -> None:
    """Write the name of another bundle's curve beside one of its points, in its color."""
    axes.annotate(
        name,
        at,
        (-4, 0) if left else (0, 5),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top" if left else "bottom",
        fontsize=SMALL,
        color=BESIDE,
    )


def span(
    axes: Axes,
    which: Literal["x", "y"],
    values: np.ndarray,
    *,
    share: float = 0.06,
    possible: tuple[float, float] = (-np.inf, np.inf),
) -> None:
    """Set the limits of an axis a little beyond some values, but not beyond what is possible, and plain ticks."""
    low, high = float(values.min()), float(values.max())
    margin = share * (high - low)
    if margin <= 1e-9 * abs(high):  # float32 tells nothing closer apart
        margin = 0.1 * abs(high) or 1.0
    low, high = max(low - margin, possible[0]), min(high + margin, possible[1])
    axes.set(**{f"{which}lim": (low, high)})
    ticks = [0.0 if abs(tick) < margin / 100 else tick for tick in MaxNLocator(5).tick_values(low, high)]
    _plain_ticks(axes, which, ticks, low, high)


def whole(axis: Axis) -> None:
    """Let an axis of whole numbers have no ticks between them."""
    axis.set_major_locator(MaxNLocator(MOST_TICKS, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def logarithmic(axes: Axes, which: Literal["x", "y"], low: float, high: float, *, counts: bool = False) -> None:
    """Make an axis logarithmic, with plain ticks: powers of ten, 1, 2 and 5 times these, or more, as there is room.

    An axis of `counts` has no ticks between whole numbers.
    """
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps = np.outer(powers, (1, 2, 5)).ravel()
    inside = int(((steps >= low) & (steps <= high)).sum())
    if inside > MOST_TICKS:
        ticks = powers[:: 1 + len(powers) // (MOST_TICKS + 2)]
    elif counts:
        ticks = steps[steps >= 1]
    else:
        ticks = steps if inside > 1 else np.array(MaxNLocator(3).tick_values(low, high))
    _plain_ticks(axes, which, ticks, low, high)


def _plain_ticks(axes: Axes, which: Literal["x", "y"], ticks: Iterable[float], low: float, high: float) -> None:
    """Set the ticks inside the limits, with as many digits as tell them apart: no offsets, no formulas."""
    inside = [float(tick) for tick in ticks if low <= tick <= high]
    digits = next(n for n in range(3, 18) if len({f"{tick:.{n}g}" for tick in inside}) == len(inside))
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(inside, [_plain(tick, digits) for tick in inside])
    axis.set_minor_locator(NullLocator())


def _plain(value: float, digits: int) -> str:
    """Write a number as people do, `5000` and `0.02`; very large and very small ones with an exponent."""
    if value == 0 or 1e-4 <= abs(value) < 1e7:
        return np.format_float_positional(value, digits, fractional=False, trim="-", unique=False)
    return f"{value:.{digits}g}"
