"""An answer as one HTML file that needs no network: tables, charts, verdict, and what was asked of which bundle.

The page allows itself nothing but its own style sheet and its own script, by their hashes: token texts are data, and no
text can become more than that. The same bundle and question give the same file, byte for byte.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.answers.lines import shown
from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.files import placing, require
from index.pictures.numbers.series import NeighborhoodSeries, called, neighborhood_series
from index.pictures.page import tables as page_tables
from index.pictures.page import vega, words
from index.pictures.page.charts import Chart, neighborhood_charts
from index.pictures.page.tables import Facts, Table
from index.questions.densest import Densest
from index.questions.neighbors import Neighborhood
from index.tokens.vocabulary import Token

PAGE = Path(__file__).parent
"""The template, the style sheet and the script of a report."""

NAMED = 5
"""How many tokens a title names before it counts the rest."""


@dataclass(frozen=True)
class Section:
    """What a report says of one token.

    Attributes
    ----------
    token, number : str
        What it is called, and its `#id`, empty where it is called by that.
    verdict : str or None
        In a word.
    sentences : list of str
        The verdict in plain words.
    facts : list of Facts
    charts : tuple of Chart
    rules : Table or None
        The densest token under each rule, where it was asked for.
    lists : list of Table
    shared : Table or None
    """

    token: str
    number: str
    verdict: str | None
    sentences: list[str]
    facts: list[Facts]
    charts: tuple[Chart, ...]
    rules: Table | None
    lists: list[Table]
    shared: Table | None


def html_report(bundle: Bundle, answers: Sequence[Densest | Neighborhood], *, top: int) -> str:
    """Return a report of answers to one question, with the same settings for all.

    Parameters
    ----------
    bundle : Bundle
        The one that was asked.
    answers : sequence of Densest or Neighborhood
        At least one.
    top : int
        The length of the lists that was asked for.

    Raises
    ------
    ParameterError
        When the libraries of the extra `report` are not installed.
    """
    for library in ("jinja2", "vl_convert"):
        require(library, extra="report", command="report")
    with ThreadPoolExecutor(1) as pool:  # the script takes a second, on a core of its own
        script = pool.submit(vega.script, (PAGE / "report.js").read_text(encoding="utf-8"))
        sections = _sections(bundle, answers)
        names = ["the densest token" if isinstance(answer, Densest) else _named(answer.token) for answer in answers]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        context = {
            "title": f"Nearest tokens of {', '.join(names[:NAMED])}{more} in {bundle.name}",
            "sections": sections,
            "question": page_tables.question_facts(names, _around(answers[0]), top),
            "bundle": page_tables.bundle_facts(bundle.manifest),
            "files": page_tables.files_table(bundle.manifest, _checksum(bundle.folder / MANIFEST)),
            "crosscheck": page_tables.crosscheck_facts(bundle.manifest.crosscheck),
            "terms": words.TERMS,
        }
        return _render(context, script.result())


def write_html_report(
    bundle: Bundle, answers: Sequence[Densest | Neighborhood], out: Path, *, top: int, overwrite: bool = False
) -> None:
    """Write `html_report` to a file, whole or not at all.

    Parameters
    ----------
    bundle, answers, top
        As in `html_report`.
    out : Path
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    ParameterError
        When a file is there or cannot be written, or libraries are missing.
    """
    with placing([out], overwrite=overwrite, manifest=MANIFEST) as paths:
        # A path in a manifest may hold bytes that are no UTF-8, and so lone surrogates.
        paths[0].write_text(html_report(bundle, answers, top=top), "utf-8", "backslashreplace", newline="\n")


def _named(token: Token) -> str:
    return called(token) if token.text is None else shown(token)


def _around(answer: Densest | Neighborhood) -> Neighborhood:
    return answer.neighborhood if isinstance(answer, Densest) else answer


def _sections(bundle: Bundle, answers: Sequence[Densest | Neighborhood]) -> list[Section]:
    sections, densities = [], None
    for answer in answers:
        series = neighborhood_series(bundle, _around(answer), densities)
        densities = series.densities  # the same for all: a reading of the whole graph
        sections.append(_section(bundle, answer, series))
    return sections


def _section(bundle: Bundle, answer: Densest | Neighborhood, series: NeighborhoodSeries) -> Section:
    found = _around(answer)
    facts, rules, chance = [page_tables.token_facts(found, series)], None, 0.0
    if isinstance(answer, Densest):
        facts.append(page_tables.density_facts(answer, series.densities.unit))
        rules = page_tables.rules_table(answer)
    if found.overlap is not None:
        chance = found.overlap.k**2 * float(series.overlap.chance[0] / series.overlap.lengths[0])
    listed = [(ranks, found.lists[ranks.geometry]) for ranks in series.ranks if len(ranks.ranks)]
    return Section(
        series.text,
        "" if found.token.text is None else f"#{found.token.id}",
        None if found.overlap is None else found.overlap.verdict.value,
        words.verdict_sentences(found, bundle.spaces, chance),
        facts,
        neighborhood_charts(series),
        rules,
        [page_tables.list_table(ranks.geometry, neighbors, ranks.unit) for ranks, neighbors in listed],
        page_tables.shared_table(found) if found.shared else None,
    )


def _render(context: dict[str, Any], script: str) -> str:
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
    # Not escaped (S704): our own style sheet, Vega's script, and JSON that cannot end the element it stands in.
    return environment.get_template("report.html").render(
        **context,
        style=Markup(style),  # noqa: S704
        style_hash=_csp_hash(style),
        script=Markup(script),  # noqa: S704
        script_hash=_csp_hash(script),
        charts=Markup(_json(_specifications(context["sections"]))),  # noqa: S704
    )


def _specifications(sections: list[Section]) -> dict[str, Any]:
    """Return the charts by the id of the element each is drawn in."""
    return {
        f"chart-{place}-{number}": chart.specification
        for place, section in enumerate(sections, 1)
        for number, chart in enumerate(section.charts, 1)
        if chart.specification is not None
    }


def _json(value: Any) -> str:
    """Return strict JSON that stands in a script element and cannot end it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _csp_hash(content: str) -> str:
    """Return what a Content-Security-Policy calls an element of this content."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
