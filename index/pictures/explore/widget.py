"""`vocabulary.map()`: the map of `explore` in a notebook, a widget where anywidget is installed, else a picture.

The widget shows the page of the map in a frame, with the same scripts; what these ask the program for elsewhere, they
ask the kernel for here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.files import require
from index.pictures.explore import map_data
from index.pictures.explore.assets import Assets, templates
from index.pictures.explore.bundled import bundled
from index.pictures.explore.colorings import named_rows
from index.pictures.explore.map import VocabularyMap, default_path
from index.pictures.explore.opened import OpenedBundle
from index.pictures.explore.site import answered, requested
from index.pictures.numbers.series import model_of

HEIGHT = 560
"""Of the frame, in pixels."""

NAMED = 60
"""Tokens that a picture names."""

_PAGES = Path(__file__).parent / "pages"


class MapPicture:
    """A picture of the map, for a notebook without anywidget."""

    def __init__(self, bundle: Bundle, found: VocabularyMap, token: int | None) -> None:
        self._bundle, self._found, self._token = bundle, found, token

    def _repr_png_(self) -> bytes:
        """Draw every token as a dot, and the names of the commonest and of the one that is asked for."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure((9, 6), 110)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        places = next(iter(self._found.layouts.values()))
        axes.plot(places[:, 0], places[:, 1], ",", color="#0072B2", alpha=0.4)
        known = named_rows(self._bundle)
        rows = known[np.isfinite(places[known]).all(axis=1)][:NAMED].tolist()
        for row in rows:
            axes.annotate(self._bundle.vocabulary.display(row), places[row].tolist(), fontsize=7, parse_math=False)
        if self._token is not None and np.isfinite(places[self._token]).all():
            axes.plot(*places[self._token].tolist(), "o", mfc="none", mec="#D55E00", ms=9)
            text = self._bundle.vocabulary.display(self._token)
            axes.annotate(text, places[self._token].tolist(), fontsize=11, color="#D55E00", parse_math=False)
        drawn = BytesIO()
        figure.savefig(drawn, format="png")
        return drawn.getvalue()


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
    return MapPicture(bundle, opened.map, token)


def answer(opened: OpenedBundle, address: str) -> Any:
    """Return what a script of the map asks for: JSON, or bytes as text; None where there is no such thing."""
    name, _, rest = address.removeprefix("/map/").partition("/")[2].partition("/")
    asked: dict[str, tuple[Callable[[Request, OpenedBundle], Response], dict[str, Any]]] = {
        "": (map_data.points, {}),
        "names": (map_data.names, {}),
        "colorings": (map_data.colorings, {}),
        "places": (map_data.places, {"layout": rest}),
        "coloring": (map_data.coloring, {"name": rest}),
        "values": (map_data.values, {"name": rest}),
        "near": (map_data.near, {"row": int(rest) if rest.isdecimal() else len(opened.vocabulary)}),
    }
    if not address.startswith("/map/") or name not in asked:
        return None
    endpoint, parameters = asked[name]
    try:
        return answered(endpoint(requested(opened, **parameters), opened))
    except HTTPException:
        return None


def page(opened: OpenedBundle, token: int | None, color: str) -> str:
    """Return the page of the map with all it is made of."""
    assets = Assets()
    contents = {name: assets.content(name) for name in ("report.css", "explore.css", "icon.svg", "framed.js")}
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
