"""What the pages are made of: templates; style sheets, scripts and an icon, under addresses that name their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from index.answers.page import counted
from index.geometry.maps import Geometry
from index.pictures.page import vega
from index.pictures.page.render import PAGE

CHARTS = "charts.js"
"""Vega, and the script that draws the charts of a report."""

EXAMPLE = "planets - planet + star"
"""The analogy that an empty form suggests."""

LONGEST = 500
"""How many letters of what is typed are read."""

_CHARTS_SOURCE = PAGE / "report.js"
_FOLDER = Path(__file__).parent / "pages"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A file as it is served."""

    content: bytes
    media_type: str


class Assets:
    """The files that pages ask for."""

    def __init__(self) -> None:
        paths = [PAGE / "report.css", *(path for path in _FOLDER.iterdir() if path.suffix in _TYPES)]
        self._contents = {path.name: path.read_bytes() for path in paths}
        # What the script of the charts is made of stands for it.
        drawn_by = version("vl-convert-python") if find_spec("vl_convert") else ""  # a notebook's map has no charts
        names = {**self._contents, CHARTS: _CHARTS_SOURCE.read_bytes() + drawn_by.encode()}
        self._digests = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in names.items()}

    def address(self, name: str) -> str:
        """Return the address of a file, a new one when its content is new."""
        return f"/static/{name}?{self._digests[name]}"

    @property
    def styles(self) -> list[str]:
        """The names of the style sheets."""
        return [name for name in self._contents if name.endswith(".css")]

    def content(self, name: str) -> bytes:
        """Return a file that is there."""
        return self._contents[name]

    def get(self, name: str) -> Asset | None:
        """Return a file by its name, None where there is none."""
        if name not in self._digests:
            return None
        content = self._charts if name == CHARTS else self._contents[name]
        return Asset(content, _TYPES[Path(name).suffix])

    @cached_property
    def _charts(self) -> bytes:
        """Made when first asked for, which takes a second: after the first page is shown."""
        return vega.script(_CHARTS_SOURCE.read_text(encoding="utf-8")).encode()


def templates(assets: Assets) -> Environment:
    """Return the templates of the pages. They escape every text, and refuse a name they are not given."""
    environment = Environment(
        loader=FileSystemLoader((_FOLDER, PAGE)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.globals |= {
        "static": assets.address,
        "example": EXAMPLE,
        "geometries": tuple(Geometry),
        "home": "/",
        "site": False,
    }
    environment.globals |= {"counted": counted, "longest": LONGEST}
    return environment
