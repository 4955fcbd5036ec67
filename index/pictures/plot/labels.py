"""Labels of points that hide neither each other nor a point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from index.pictures.plot import paper

_POINT_RADIUS = 2.5
"""Half a marker, in points, that no label may cover."""

_PLACES = [
    (5, 0, "left", "center"),
    (-5, 0, "right", "center"),
    (0, 5, "center", "bottom"),
    (0, -5, "center", "top"),
    (4, 4, "left", "bottom"),
    (4, -4, "left", "top"),
    (-4, 4, "right", "bottom"),
    (-4, -4, "right", "top"),
]
"""Where a label may stand, in points from its own: offset and alignment; the first that is free."""

_STEEP = [(1, -6, "left", "top"), (-1, -6, "right", "top"), (1, 6, "left", "bottom"), (-1, 6, "right", "bottom")]
_FURTHER = (2.5, 4, 5, 6, 8)
"""How many times as far a label may stand where none of these is free: a line leads to it."""


def place(
    axes: Axes, points: np.ndarray, others: np.ndarray, texts: Sequence[str], *, most: int, size: float
) -> list[Annotation]:
    """Label points, (n, 2) in data coordinates, with n texts where there is room, in their order, `most` at most.

    The axes are of a figure of `paper.page` and have their final limits. No label covers one of the `others`, (m, 2),
    either. The size of the font is in points. A point without room around it has no label.
    """
    radius = _POINT_RADIUS * paper.DPI / 72
    taken = [_around(at, radius) for at in axes.transData.transform(np.concatenate([points, others]))]
    frame = axes.get_window_extent()
    placed: list[Annotation] = []
    boxes: list[Bbox] = []  # of what is placed
    for at, text in zip(points, texts, strict=True):
        if len(placed) == most:
            break
        for label in _tries(axes, at, text, size):
            label.get_window_extent()  # which places it
            box = Text.get_window_extent(label)  # of the text alone, without the line
            line = _line(axes, label)
            crossed = any(each.count_overlaps(boxes) for each in line)
            if _inside(frame, box) and not crossed and not box.count_overlaps(taken):
                taken += [box, *line]
                boxes.append(box)
                placed.append(label)
                break
            label.remove()
    return placed


def _tries(axes: Axes, at: np.ndarray, text: str, size: float) -> Iterator[Annotation]:
    places = [(1, *each) for each in _PLACES] + [(far, *each) for far in _FURTHER for each in (*_PLACES, *_STEEP)]
    for far, dx, dy, across, along in places:
        corner = {"left": 0, "bottom": 0, "center": 0.5, "right": 1, "top": 1}
        leader = {"arrowstyle": "-", "linewidth": 0.4, "color": paper.GRAY, "shrinkA": 0, "shrinkB": 0}
        leader["relpos"] = (corner[across], corner[along])  # where it meets the text
        yield axes.annotate(
            text,
            (at[0], at[1]),
            (far * dx, far * dy),
            arrowprops=leader if far > 1 else None,
            textcoords="offset points",
            ha=across,
            va=along,
            fontsize=size,
            fontfeatures=paper.NO_LIGATURES,
        )


def _line(axes: Axes, label: Annotation) -> list[Bbox]:
    """Return small boxes along the line that leads to a label; none where there is no line."""
    if label.arrow_patch is None:
        return []
    start = axes.transData.transform(label.xy)
    end = label.get_transform().transform(label.get_position())
    return [_around(start + share * (end - start), 1.0) for share in np.linspace(0.1, 0.9, 9)]


def _around(at: np.ndarray, radius: float) -> Bbox:
    return Bbox([at - radius, at + radius])


def _inside(frame: Bbox, box: Bbox) -> bool:
    return bool(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)
