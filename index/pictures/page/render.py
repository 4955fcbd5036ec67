"""A template becomes a page of one file, which allows itself its own style and its own script, by their hashes."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from index.answers.page import Part, Reference, Words, parts
from index.tokens.display import display

PAGE = Path(__file__).parent
"""The templates, the style sheet and the script of pages."""


def render(template: str, context: dict[str, Any], charts: dict[str, Any], script: str) -> str:
    """Fill in a template; `charts` are specifications by the id of the element that each is drawn in."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = (PAGE / "report.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = _text
    # Not escaped (S704): our own style sheet, Vega's script, and JSON that cannot end the element it stands in.
    return environment.get_template(template).render(
        **context,
        style=Markup(style),  # noqa: S704
        style_hash=_csp_hash(style),
        script=Markup(script),  # noqa: S704
        script_hash=_csp_hash(script),
        charts=Markup(_json(charts)),  # noqa: S704
    )


def _text(words: Words) -> str:
    return "".join(map(_plain, parts(words)))


def _plain(part: Part) -> str:
    if isinstance(part, str | Reference):
        return part if isinstance(part, str) else part.said
    return display(part.text, part.piece)


def _json(value: Any) -> str:
    """Return strict JSON that stands in a script element and cannot end it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _csp_hash(content: str) -> str:
    """Return what a Content-Security-Policy calls an element of this content."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
