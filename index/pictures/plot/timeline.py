"""The figure of a timeline: rows, twins, densities and lists over the steps of a sweep."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from index.bundle.manifest import MANIFEST
from index.errors import ParameterError, parameter
from index.files import placing, require, require_free
from index.geometry.maps import Geometry
from index.pictures.plot.plot import FORMATS
from index.questions.timeline.steps import Agreed, Timeline
from index.tokens.display import display

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from index.pictures.plot.fonts import Typeface

_NUMBER = re.compile(r"\d{1,15}")
MOST_LABELS = 6


def require_drawable(out: Path, *, overwrite: bool) -> None:
    """Raise ParameterError, before there is anything to draw, where `draw_timeline` would not."""
    require("matplotlib", extra="plot", command="timeline")
    if out.suffix.lower() not in FORMATS:
        raise ParameterError(f"{parameter('plot')} must end in {', '.join(FORMATS)}, got: {out.name}")
    require_free([out], overwrite=overwrite, manifest=MANIFEST, named="plot")


def draw_timeline(timeline: Timeline, out: Path, *, overwrite: bool = False) -> None:
    """Draw a timeline as four panels into a .png, .svg or .pdf."""
    require_drawable(out, overwrite=overwrite)
    from index.pictures.plot import fonts, paper

    typeface = fonts.typeface(_texts(timeline))
    dateless = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(out.suffix.lower())
    with placing([out], overwrite=overwrite, manifest=MANIFEST, named="plot") as (path,), paper.look(typeface):
        timeline_figure(timeline, typeface).savefig(path, metadata=dateless)


def _texts(timeline: Timeline) -> list[str]:
    steps = [display(each.step) for each in timeline.steps]
    return [display(Path(timeline.folder).name), f"{timeline.steps[0].tokens:,} tokens · {steps[0]} to {steps[-1]}"]


def timeline_figure(timeline: Timeline, typeface: Typeface) -> Figure:
    """Draw and save inside `paper.look` of the typeface."""
    from index.pictures.plot import paper

    title, below = _texts(timeline)
    figure, grid = paper.page(typeface.label(title, cells=48), typeface.label(below, cells=150))
    draws = (_draw_rows, _draw_groups, _draw_densities, _draw_lists)
    for place, draw in enumerate(draws):
        axes = figure.add_subplot(grid[divmod(place, 2)])
        draw(axes, timeline)
        places, names = positions([each.step for each in timeline.steps])
        if names is not None:
            step = -(-len(names) // MOST_LABELS)
            axes.set_xticks(places[::step], [typeface.label(display(name), cells=12) for name in names[::step]])
        else:
            paper.whole(axes.xaxis)
        axes.set_xlabel("step")
        paper.key(axes)
    return figure


def positions(steps: list[str]) -> tuple[list[float], list[str] | None]:
    """Return where steps stand on an axis: at the one number in each name; else one after the other, with names."""
    numbers = [[int(found) for found in _NUMBER.findall(step)] for step in steps]
    alike = len({_NUMBER.sub("0", step) for step in steps}) == 1
    changing = (
        {place for each in numbers for place in range(len(each)) if each[place] != numbers[0][place]}
        if alike
        else set()
    )
    if alike and len(changing) <= 1 and numbers[0]:
        place = next(iter(changing), len(numbers[0]) - 1)
        return [float(each[place]) for each in numbers], None
    return [float(place) for place in range(len(steps))], steps


def _x(timeline: Timeline) -> list[float]:
    return positions([each.step for each in timeline.steps])[0]


def _draw_rows(axes: Axes, timeline: Timeline) -> None:
    from index.pictures.plot import paper

    paper.name_panel(axes, "a", "Rows")
    steps = timeline.steps
    axes.plot(_x(timeline), [each.distinct for each in steps], color=paper.FIRST, marker="o", ms=2, label="distinct")
    axes.plot(
        _x(timeline), [each.never_moved for each in steps], color=paper.SECOND, marker="s", ms=2, label="never moved"
    )
    axes.set(ylabel="tokens", ylim=(-0.03 * steps[0].tokens, 1.03 * steps[0].tokens))


def _draw_groups(axes: Axes, timeline: Timeline) -> None:
    from index.pictures.plot import paper

    paper.name_panel(axes, "b", "Groups of twins")
    axes.plot(
        _x(timeline), [each.groups for each in timeline.steps], color=paper.FIRST, marker="o", ms=2, label="groups"
    )
    for name, color in (("born", paper.BOTH), ("split", paper.SECOND), ("merged", paper.GRAY)):
        counts = [float("nan") if each.changes is None else getattr(each.changes, name) for each in timeline.steps]
        axes.plot(_x(timeline), counts, color=color, marker=".", ms=3, lw=0.6, label=name)
    axes.set(ylabel="groups")
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    paper.whole(axes.yaxis)


def _draw_densities(axes: Axes, timeline: Timeline) -> None:
    from index.pictures.plot import paper

    paper.name_panel(axes, "c", "Densities ('distinct'), each step's own metric")
    at = [each.densities for each in timeline.steps]
    low, high = [each.quartile_1 for each in at], [each.quartile_3 for each in at]
    axes.fill_between(_x(timeline), low, high, color=paper.PALE, label="half of the tokens")
    axes.plot(_x(timeline), [each.median for each in at], color=paper.FIRST, marker="o", ms=2, label="median")
    axes.plot(_x(timeline), [each.highest for each in at], color=paper.SECOND, marker="s", ms=2, label="densest")
    axes.set(ylabel="density, 1/logometers")
    if min(low) > 0 and max(each.highest for each in at) > 30 * min(low):
        paper.logarithmic(axes, "y", min(low) / 1.3, max(each.highest for each in at) * 1.3)


def _draw_lists(axes: Axes, timeline: Timeline) -> None:
    from index.pictures.plot import paper

    paper.name_panel(axes, "d", f"Lists of {timeline.top}: shared on average")
    steps = timeline.steps
    curves: list[tuple[str, str, str, list[Agreed | None]]] = [
        ("causal, cosine", paper.GRAY, "--", [each.overlap for each in steps]),
        ("causal, before", paper.FIRST, "-", [each.before.get(Geometry.CAUSAL) for each in steps]),
        ("cosine, before", paper.SECOND, "-", [each.before.get(Geometry.COSINE) for each in steps]),
        ("causal, last", paper.FIRST, ":", [each.last.get(Geometry.CAUSAL) for each in steps]),
    ]
    for label, color, line, found in curves:
        shares = [float("nan") if at is None else 100 * at.mean for at in found]
        axes.plot(_x(timeline), shares, color=color, ls=line, marker=".", ms=3, label=label)
    axes.set(ylabel="shared, %", ylim=(-3, 103))
