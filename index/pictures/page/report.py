"""`report`: an answer as one HTML file that needs no network.

The page allows itself nothing but its own style sheet and its own script, by their hashes: token texts are data, and no
text can become more than that. The same bundle and question give the same file, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from index.answers.answer import Answer, Row
from index.answers.page import TEXT, Block, Facts, Sentence, Table
from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError, one_line, parameter
from index.files import placing, require
from index.measures.density import Rule
from index.pictures.numbers.beside import series_beside
from index.pictures.numbers.densities import all_densities
from index.pictures.numbers.series import NeighborhoodSeries, called, model_of, neighborhood_series
from index.pictures.page import tables, vega, words
from index.pictures.page.chart import Chart
from index.pictures.page.charts import neighborhood_charts
from index.pictures.page.render import PAGE, render
from index.pictures.page.vocabulary_page import write_vocabulary_page
from index.progress import Progress, silent
from index.questions.asking.beside import BesideBundle, notes_beside
from index.questions.asking.parameters import (
    CAUSAL_AND_COSINE,
    KEPT,
    Among,
    DensityK,
    DensityRuleOrUsual,
    Geometries,
    Overwrite,
    Top,
    Without,
    list_length,
)
from index.questions.asking.question import Doc
from index.questions.densest import Densest, densest
from index.questions.lists.agreement import shared_table
from index.questions.lists.lists import NEAREST_BY
from index.questions.neighbors import Neighborhood, neighbors
from index.tokens.vocabulary import Token

NAMED = 5
"""How many tokens a title names before it counts the rest."""

DENSEST, VOCABULARY = "densest", "vocabulary"
"""What a report can be of, besides a token."""


@dataclass(frozen=True)
class Reported(Answer):
    """What was written."""

    path: Path
    notes: tuple[str, ...] = ()  # what keeps what stands beside from being a control

    columns: ClassVar = {"path": str, "bytes": int}

    @property
    def note(self) -> str | None:
        """Say what stands beside, if it is no control."""
        return " ".join(self.notes) or None

    def rows(self) -> list[Row]:
        """Return one record."""
        return [{"path": str(self.path), "bytes": self.path.stat().st_size}]

    def json(self) -> dict[str, Any]:
        """Return the file and its size."""
        return self.rows()[0]

    def page(self) -> list[Block]:
        """Return the file's name."""
        return [Sentence(one_line(str(self.path)))]


def report(
    bundle: Bundle,
    asked: Annotated[
        list[str] | None,
        Doc(
            "The densest token, the default, the whole vocabulary, or tokens as in `neighbors`; 'densest' or "
            "'vocabulary' as a token by its #id.",
            metavar="[densest|vocabulary|TOKEN...]",
        ),
    ] = None,
    *,
    out: Annotated[Path, Doc("The HTML file to write.", metavar="FILE")],
    top: Top = None,
    density_k: DensityK = None,
    rule: DensityRuleOrUsual = None,
    geometries: Geometries = CAUSAL_AND_COSINE,
    among: Among = None,
    without: Without = None,
    beside: BesideBundle = None,
    overwrite: Overwrite = False,
    progress: Progress = silent,
) -> Reported:
    """Write an answer as one HTML file that needs no network: verdict, tables, charts. Needs the extra `report`.

    Example: uv run --extra report query.py report planet --out planet.html

    The same bundle and question give the same file, byte for byte. That of the vocabulary begins with its `findings`,
    asks what they are taken from, and takes a minute; what people judged needs the extra `evaluate`, too.
    """
    settings: dict[str, Any] = {
        "top": top,
        "density_k": density_k,
        "geometries": geometries,
        "among": among,
        "without": without,
    }
    notes = () if beside is None else tuple(notes_beside(bundle, beside))
    if VOCABULARY in (asked or ()):
        _require_alone(bundle, asked or [], top, {"rule": rule, **settings})
        write_vocabulary_page(bundle, out, top=top, beside=beside, overwrite=overwrite, progress=progress)
        return Reported(out, notes)
    answers = [
        densest(bundle, rule=rule or Rule.NOTEBOOK, **settings)
        if question == DENSEST
        else neighbors(bundle, question, rule=rule or Rule.DISTINCT, **settings)
        for question in asked or [DENSEST]
    ]
    write_html_report(bundle, answers, out, top=list_length(bundle, top), beside=beside, overwrite=overwrite)
    return Reported(out, notes)


def _require_alone(bundle: Bundle, asked: list[str], top: int | None, settings: dict[str, Any]) -> None:
    """Raise ParameterError for what the report of a vocabulary is asked with besides, and would leave out."""
    if len(asked) > 1:
        raise ParameterError(f"'{VOCABULARY}' has a report of its own; ask for that of tokens by itself")
    if top is not None:
        KEPT.check("top", top, bundle)
    usual = {**dict.fromkeys(settings), "top": top, "geometries": CAUSAL_AND_COSINE}
    given = [name for name, value in settings.items() if value != usual[name]]
    if given:
        raise ParameterError(f"{parameter(given[0])} is of tokens, and '{VOCABULARY}' is asked for; leave it out")


@dataclass(frozen=True)
class Section:
    """What a report says of one token."""

    token: str  # what it is called
    number: str  # its `#id`, empty where it is called by that
    verdict: str | None  # in a word
    sentences: list[str]  # the verdict in plain words
    facts: dict[str, Facts]  # by their captions
    charts: tuple[Chart, ...]
    tables: dict[str, Table]  # by their captions: lists, and the tokens in both
    rules: Table | None  # the densest token under each rule, where it was asked for


def html_report(
    bundle: Bundle, answers: Sequence[Densest | Neighborhood], *, top: int, beside: Bundle | None = None
) -> str:
    """Return a report of one or more answers to one question, with the same settings for all, for lists of `top`.

    ParameterError when the libraries of the extra `report` are not installed.
    """
    for library in ("jinja2", "vl_convert"):
        require(library, extra="report", command="report")
    with ThreadPoolExecutor(1) as pool:  # the script takes a second, on a core of its own
        script = pool.submit(vega.script, (PAGE / "report.js").read_text(encoding="utf-8"))
        sections, said = _sections(bundle, answers, beside)
        names = ["the densest token" if isinstance(answer, Densest) else _named(answer.token) for answer in answers]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        context = {
            "title": f"Nearest tokens of {', '.join(names[:NAMED])}{more} in {model_of(bundle)}",
            "control": None if (control := tables.mailed(bundle.manifest).control) is None else control.sentence,
            "beside": said,
            "sections": sections,
            "question": tables.question_facts(names, [_around(answer) for answer in answers], top),
            "bundle": tables.bundle_facts(bundle.manifest),
            "files": tables.files_table(bundle.manifest, _checksum(bundle.folder / MANIFEST)),
            "crosscheck": tables.crosscheck_facts(bundle.manifest.crosscheck),
            "terms": words.TERMS,
        }
        return render("report.html", context, _specifications(sections), script.result())


def write_html_report(
    bundle: Bundle,
    answers: Sequence[Densest | Neighborhood],
    out: Path,
    *,
    top: int,
    beside: Bundle | None = None,
    overwrite: bool = False,
) -> None:
    """Write `html_report` to a file, whole or not at all; ParameterError when one is there or cannot be written."""
    with placing([out], overwrite=overwrite, manifest=MANIFEST) as paths:
        # A path in a manifest may hold bytes that are no UTF-8, and so lone surrogates.
        paths[0].write_text(
            html_report(bundle, answers, top=top, beside=beside), "utf-8", "backslashreplace", newline="\n"
        )


def _named(token: Token) -> str:
    from index.answers.lines import shown  # rich takes a while to load

    return called(token) if token.text is None else shown(token)


def _around(answer: Densest | Neighborhood) -> Neighborhood:
    return answer.neighborhood if isinstance(answer, Densest) else answer


def _sections(
    bundle: Bundle, answers: Sequence[Densest | Neighborhood], beside: Bundle | None
) -> tuple[list[Section], tuple[str, ...]]:
    """Return what is said of each token, and what stands beside all of them, in sentences."""
    around = [_around(answer) for answer in answers]
    first, second = around[0].lists
    # The same for all: a reading of the whole graph.
    densities = all_densities(bundle, first, Rule.DISTINCT, around[0].density_k)
    other = series_beside(bundle, beside, (first, second), densities, around[0].among)
    series = (neighborhood_series(bundle, found, densities, other) for found in around)
    sections = [_section(bundle, answer, each) for answer, each in zip(answers, series, strict=True)]
    return sections, () if other is None else other.sentences


def _section(bundle: Bundle, answer: Densest | Neighborhood, series: NeighborhoodSeries) -> Section:
    found = _around(answer)
    facts, rules = {"The token": tables.token_facts(found, series)}, None
    if isinstance(answer, Densest):
        facts[f"Densities, in {series.densities.unit}"] = Facts(tuple(answer.spread()))
        rules = answer.winners()
    lists = {
        f"{len(listed)} nearest {NEAREST_BY[geometry]}": tables.list_table(geometry, listed)
        for geometry, listed in found.lists.items()
        if listed
    }
    return Section(
        series.text,
        "" if found.token.text is None else f"#{found.token.id}",
        None if found.verdict is None else found.verdict.value,
        words.verdict_sentences(found, bundle.spaces, series.overlap.expected(found.overlap)),
        facts,
        neighborhood_charts(series),
        lists | _shared(found),
        rules,
    )


def _shared(found: Neighborhood) -> dict[str, Table]:
    ranks = (f"rank, {geometry.label}" for geometry in found.lists)
    table = replace(shared_table(found.lists, found.shared), columns=(*ranks, "id", TEXT))
    return {f"In both lists: {len(found.shared)}": table} if found.shared else {}


def _specifications(sections: list[Section]) -> dict[str, Any]:
    """Return the charts by the id of the element each is drawn in."""
    return {
        f"chart-{place}-{number}": chart.specification
        for place, section in enumerate(sections, 1)
        for number, chart in enumerate(section.charts, 1)
        if chart.specification is not None
    }


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
