"""`vocabulary.map()`: the map of `explore` in a notebook, a widget where anywidget is installed, else a picture.

The widget shows the page of the map in a frame, with the same scripts; what these ask the program for elsewhere, they
ask the kernel for here.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.routing import compile_path

from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.files import require
from index.pictures.explore import map_data
from index.pictures.explore.assets import Assets, templates
from index.pictures.explore.bundled import bundled
from index.pictures.explore.colorings import NONE, STEPS, Coloring
from index.pictures.explore.map import VocabularyMap, default_path
from index.pictures.explore.opened import OpenedBundle
from index.pictures.numbers.series import model_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 560
"""Of the frame, in pixels."""

NAMED = 60
"""Tokens that a picture names."""

_PLAIN, _PICKED = "#0072B2", "#D55E00"
_PAGES = Path(__file__).parent / "pages"


class MapPicture:
    """A picture of the map, for a notebook without anywidget: colored by a column, or plain."""

    def __init__(self, opened: OpenedBundle, found: VocabularyMap, token: int | None, color: str) -> None:
        self._vocabulary = opened.vocabulary.vocabulary
        self._named, self._coloring = opened.named_rows, opened.colorings[color] if color else None
        self._places, self._token = next(iter(found.layouts.values())), token

    def _repr_png_(self) -> bytes:
        """Draw every token as a dot, and the names of the commonest and of the one that is asked for."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure((9, 6), 110)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        places = self._places
        if self._coloring is None:
            axes.plot(places[:, 0], places[:, 1], ",", color=_PLAIN, alpha=0.4)
        else:
            _draw_colored(axes, places, self._coloring)
        for row in self._named[np.isfinite(places[self._named]).all(axis=1)][:NAMED].tolist():
            axes.annotate(self._vocabulary.display(row), places[row].tolist(), fontsize=7, parse_math=False)
        if self._token is not None and np.isfinite(places[self._token]).all():
            axes.plot(*places[self._token].tolist(), "o", mfc="none", mec=_PICKED, ms=9)
            text = self._vocabulary.display(self._token)
            axes.annotate(text, places[self._token].tolist(), fontsize=11, color=_PICKED, parse_math=False)
        drawn = BytesIO()
        figure.savefig(drawn, format="png")
        return drawn.getvalue()


def _draw_colored(axes: Axes, places: np.ndarray, coloring: Coloring) -> None:
    """Draw dots at places, (V, 2), in the colors of a column, and what they mean."""
    from matplotlib import colormaps

    if coloring.labels:
        named = list(enumerate(coloring.labels))
        colors = colormaps["tab20"](np.arange(len(named)))
    else:
        step = (coloring.high / coloring.low) if coloring.logarithmic else (coloring.high - coloring.low)
        shares = np.arange(STEPS) / (STEPS - 1)
        numbers = coloring.low * step**shares if coloring.logarithmic else coloring.low + step * shares
        named = [(code, f"{numbers[code]:.3g}") for code in (0, STEPS // 2, STEPS - 1)]
        colors = colormaps["viridis"](shares)
    for code in np.unique(coloring.codes[coloring.codes != NONE]).tolist():
        chosen = places[coloring.codes == code]
        axes.plot(chosen[:, 0], chosen[:, 1], ",", color=colors[code])
    for code, label in named:
        axes.plot([], [], "o", ms=4, color=colors[code], label=label)
    axes.legend(title=coloring.title, loc="upper right", fontsize=7, title_fontsize=8)


def show_map(bundle: Bundle, token: int | None, color: str, map_file: Path | None) -> Any:
    """Return a widget that shows the map of a bundle, or a picture of it; ParameterError where there is no map."""
    path = map_file or default_path(bundle.folder)
    opened = OpenedBundle(bundle, path)
    if opened.map is None:
        raise ParameterError(
            f"{path} is no map of {bundle.name}; lay one out: uv run --extra explore --extra map query.py explore --map"
        )
    if color and color not in opened.colorings:
        raise ParameterError(f"color must be one of {', '.join(opened.colorings)}, got: {color}")
    if find_spec("anywidget") is not None:
        return _widget(opened, token, color)
    require("matplotlib", extra="plot", command="map")
    return MapPicture(opened, opened.map, token, color)


def answer(opened: OpenedBundle, address: str) -> Any:
    """Return what a script of the map asks for: JSON, or bytes as text; None where there is no such thing."""
    for path, read in map_data.READ.items():
        pattern, _, kinds = compile_path(f"/map/{{fingerprint}}{path}")
        if (found := pattern.match(address)) is not None:
            _, *given = ((name, kinds[name].convert(value)) for name, value in found.groupdict().items())
            with suppress(map_data.NotThereError):
                return map_data.as_text(read(opened, **dict(given)))
    return None


def page(opened: OpenedBundle, token: int | None, color: str) -> str:
    """Return the page of the map with all it is made of."""
    assets = Assets()
    contents = {name: assets.content(name) for name in (*assets.styles, "icon.svg", "framed.js")}
    contents["atlas.js"] = bundled("atlas.js", lambda name: assets.content(name).decode(), "#").encode()
    types = {"css": "text/css", "svg": "image/svg+xml", "js": "text/javascript"}

    def inline(name: str) -> str:
        return f"data:{types[name.partition('.')[2]]};base64,{base64.b64encode(contents[name]).decode()}"

    environment = templates(assets)
    environment.globals |= {"static": inline, "home": "#", "site": True}
    said = "" if token is None else f"token={int(opened.vocabulary.vocabulary.token_ids[token])}&"
    found = opened.map
    return environment.get_template("framed.html").render(
        bundle=opened.vocabulary,
        model=model_of(opened.vocabulary),
        map=found,
        findings=(),
        shown=[] if found is None else list(found.layouts)[:1],
        figures=() if found is None else found.fidelity,
        said=f"?{said}{f'color={color}' if color else ''}",
    )


def _widget(opened: OpenedBundle, token: int | None, color: str) -> Any:
    import anywidget
    import traitlets

    class MapWidget(anywidget.AnyWidget):
        """The map; `token` is the id of the one that is picked in it, None where none is."""

        _esm = (_PAGES / "widget.js").read_text(encoding="utf-8")
        page = traitlets.Unicode().tag(sync=True)
        height = traitlets.Int(HEIGHT).tag(sync=True)
        token = traitlets.Int(None, allow_none=True).tag(sync=True)

    def asked(widget: Any, content: dict[str, Any], buffers: Any) -> None:
        del buffers
        found = answer(opened, str(content.get("address", "")))
        widget.send({"number": content.get("number"), "answer": json.dumps(found)})

    shown = MapWidget(page=page(opened, token, color))
    shown.on_msg(asked)
    return shown
