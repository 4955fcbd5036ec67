"""`explore --export`: pages of a bundle as files that any web server shows, and a browser that opens them from a disk.

A page for each of 49,152 tokens would be as many files: instead one page draws every token, out of files that hold some
hundred each. They are scripts that hand over JSON, because a page that was opened from a disk may load nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment

from index.bundle.manifest import MANIFEST
from index.files import placing
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.pictures.explore import map_data
from index.pictures.explore.address import TOP, Link
from index.pictures.explore.assets import CHARTS, Assets, templates
from index.pictures.explore.bundled import bundled
from index.pictures.explore.opened import OpenedBundle
from index.pictures.explore.site_charts import site_charts
from index.pictures.explore.views import brief, verdict_without
from index.pictures.numbers.series import called, model_of
from index.pictures.page import tables, words
from index.pictures.page.tables import LISTED_TWINS
from index.progress import Progress
from index.questions.asking.parameters import CAUSAL_AND_COSINE, density_k_of, list_length
from index.questions.lists.lists import NEAREST_BY, Neighbor
from index.questions.lists.marks import Mark
from index.questions.neighbors import Neighborhood, neighborhood

SHARD = 256
"""Tokens in a file."""

FILES = frozenset({"index.html", "beside.html", "about.html", "token.html", "assets", "data"})
"""What an exported site holds, and nothing else."""

LINK = "token.html?id="
SCRIPTS = ("explore.js", "atlas.js", "site_token.js")
"""Modules that pages begin with."""


@dataclass(frozen=True)
class Site:
    """What was written."""

    files: int
    bytes: int


def export_site(opened: OpenedBundle, folder: Path, *, overwrite: bool = False, report: Progress) -> Site:
    """Write the pages of a bundle into a folder, whole or not at all; ParameterError where it may not be replaced."""
    with placing([folder], overwrite=overwrite, manifest=MANIFEST, folder_of=FILES, named="export") as (written,):
        (written / "assets").mkdir(parents=True)
        _write_assets(written / "assets")
        _write_pages(opened, written)
        data = written / "data"
        _write(data, "vocabulary", _vocabulary(opened))
        _write(data, "charts", site_charts(opened))
        if opened.map is not None:
            _write_map(opened, data)
        _write_tokens(opened, data, report)
        sizes = [path.stat().st_size for path in written.rglob("*") if path.is_file()]
    return Site(len(sizes), sum(sizes))


def _write(data: Path, name: str, content: Any) -> None:
    """Write a script that hands content over; JSON in ASCII is JavaScript, too."""
    path = data / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = json.dumps(content, separators=(",", ":"), allow_nan=False)
    path.write_text(f"logoscope.put({json.dumps(name)},{said});\n", encoding="ascii")


def _write_assets(folder: Path) -> None:
    assets = Assets()

    def read(name: str) -> str:
        return assets.content(name).decode()

    for name in (*assets.styles, "icon.svg", "site.js"):
        (folder / name).write_text(read(name), encoding="utf-8")
    charts = assets.get(CHARTS)
    if charts is not None:
        (folder / CHARTS).write_bytes(charts.content)
    for name in SCRIPTS:
        (folder / name).write_text(bundled(name, read, LINK), encoding="utf-8")


def _write_pages(opened: OpenedBundle, folder: Path) -> None:
    environment = templates(Assets())
    environment.globals |= {"static": lambda name: f"assets/{name}", "home": "index.html", "site": True}
    about = _page(environment, opened, "site_about.html", "", **_about(opened))
    (folder / "about.html").write_text(about, encoding="utf-8")
    (folder / "token.html").write_text(_page(environment, opened, "site_token.html", "site_token.js"), encoding="utf-8")
    maps = [] if opened.map is None else list(opened.map.layouts)
    first = {"index.html": maps[:1], "beside.html": maps} if len(maps) > 1 else {"index.html": maps}
    for name, shown in first.items():
        page = _map_page(environment, opened, shown) if shown else about
        (folder / name).write_text(page, encoding="utf-8")


def _map_page(environment: Environment, opened: OpenedBundle, shown: list[str]) -> str:
    """Return the page of one map or of both, whose links lead to files."""
    figures = () if opened.map is None else opened.map.fidelity
    page = _page(environment, opened, "site_page.html", "", layout="atlas.html", shown=shown, figures=figures)
    for address, file in (("/about", "about.html"), ("/?beside", "beside.html"), ("/", "index.html")):
        page = page.replace(f'href="{address}"', f'href="{file}"')
    return page


def _page(environment: Environment, opened: OpenedBundle, name: str, script: str, **context: Any) -> str:
    bundle = opened.vocabulary
    control = tables.mailed(bundle.manifest).control
    shared = {
        "bundle": bundle,
        "model": model_of(bundle),
        "map": opened.map,
        "layout": "base.html",
        "script": script,
        "shard": SHARD,
        "searched": "",
        "findings": opened.findings.found,
        "control": "" if control is None else control.sentence,
    }
    return environment.get_template(name).render({**shared, **context})


def _about(opened: OpenedBundle) -> dict[str, Any]:
    manifest = opened.vocabulary.manifest
    winners = []
    for rule, winner in opened.densest.by_rule.items():
        token = winner.token
        winners.append((rule.value, Link(called(token), token.id, token.row, token.piece, f"{LINK}{token.id}")))
    return {
        "winners": winners,
        "listed": list_length(opened.vocabulary, None),
        "facts": tables.bundle_facts(manifest),
        "crosscheck": tables.crosscheck_facts(manifest.crosscheck),
        "terms": words.TERMS,
    }


def _vocabulary(opened: OpenedBundle) -> dict[str, Any]:
    """Return what every page may say of any token, by rows."""
    bundle = opened.vocabulary
    tokens = map(bundle.vocabulary.token, range(len(bundle)))
    return {
        "ids": bundle.vocabulary.token_ids.tolist(),
        "texts": list(map(called, tokens)),
        "hubness": [round(each) for each in bundle.hubness.tolist()],
        "hubs": np.flatnonzero(bundle.hubs).tolist(),
        "untrained": np.flatnonzero(bundle.untrained).tolist(),
    }


# --- the map -------------------------------------------------------------------------------------------------------


def _write_map(opened: OpenedBundle, data: Path) -> None:
    """Write what the scripts of the map ask the program for, under the same names."""
    for name, read in (("points", map_data.points), ("names", map_data.names), ("colorings", map_data.colorings)):
        _write(data, f"map/{name}", map_data.as_text(read(opened)))
    for layout in () if opened.map is None else opened.map.layouts:
        _write(data, f"map/places/{layout}", map_data.as_text(map_data.places(opened, layout)))
    for name, coloring in opened.colorings.items():
        _write(data, f"map/coloring/{name}", map_data.as_text(map_data.coloring(opened, name)))
        if coloring.values is not None:
            _write(data, f"map/values/{name}", map_data.as_text(map_data.values(opened, name)))


# --- tokens --------------------------------------------------------------------------------------------------------


def _write_tokens(opened: OpenedBundle, data: Path, report: Progress) -> None:
    V = len(opened.vocabulary)
    for at in range(0, V, SHARD):
        rows = range(at, min(at + SHARD, V))
        report("tokens", at, V)
        _write(data, f"tokens/{at // SHARD}", [_token(opened, row) for row in rows])
        if opened.map is not None:
            _write(data, f"near/{at // SHARD}", [map_data.near(opened, row) for row in rows])
    report("tokens", V, V)


def _token(opened: OpenedBundle, row: int) -> dict[str, Any]:
    """Return what the page of a token shows, rows instead of tokens."""
    bundle = opened.vocabulary
    top = min(TOP, list_length(bundle, None))
    found = neighborhood(bundle, row, top, density_k_of(bundle, None), Rule.DISTINCT, CAUSAL_AND_COSINE, None)
    return {
        "verdict": "none" if found.verdict is None else found.verdict.value,
        "without": verdict_without(found),
        "brief": brief(found),
        "meaning": "" if found.overlap is None else found.meaning,
        "density": _figure(found.density),
        "lists": list(_lists(found)),
        "facts": [("id", str(found.token.id)), *found.density_facts(), ("hubness", found.hubness_said())],
        "twins": [twin.row for twin in found.twins[:LISTED_TWINS]],
        "twin_count": len(found.twins),
    }


def _lists(found: Neighborhood) -> Iterator[dict[str, Any]]:
    for geometry, listed in found.lists.items():
        near = f"{len(listed)} nearest {NEAREST_BY[geometry]}"
        yield {
            "name": geometry.label,
            "caption": near if listed else f"None {NEAREST_BY[geometry]}: {found.why_none(geometry)}",
            "rows": [each.token.row for each in listed],
            "distances": [_rounded(each.distance) for each in listed],
            **_similarities(geometry, listed),
            "tied": _flags(listed, Mark.TIED),
            "twins": _flags(listed, Mark.TWIN),
        }


def _similarities(geometry: Geometry, listed: tuple[Neighbor, ...]) -> dict[str, list[float]]:
    return {"similarities": [_rounded(each.similarity or 0.0) for each in listed]} if geometry.angular else {}


def _flags(listed: tuple[Neighbor, ...], mark: Mark) -> str:
    return "".join("1" if mark in each.marks else "0" for each in listed)


def _figure(density: float) -> float | None:
    """Return a density as a chart on a logarithmic scale shows it; None of one that it cannot show."""
    return float(f"{density:.7g}") if 0 < density < math.inf else None


def _rounded(value: float) -> float:
    """Return a distance to as many digits as are shown, and a few more of a tiny one."""
    return round(value, 6) if abs(value) >= 1e-4 else float(f"{value:.3g}")
