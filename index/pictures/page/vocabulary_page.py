"""The report of a whole vocabulary: its findings first, then charts, then the answers that they are taken from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from index.answers.answer import Answer
from index.answers.page import Block, Heading
from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError
from index.files import placing, require, require_free
from index.pictures.numbers.series import model_of
from index.pictures.page import tables, vega, words
from index.pictures.page.answer_charts import answer_charts, specifications
from index.pictures.page.chart import Chart
from index.pictures.page.compare_page import Named, Shown, named_parts
from index.pictures.page.render import PAGE, render
from index.progress import Progress, silent
from index.questions.concept.concept import concept
from index.questions.findings.findings import Findings, findings

CONCEPTS = "Cosines between directions of concepts"
_PARTS = ("evaluate", "shares", "overlap", "hubness", "duplicates", "untrained")
"""The questions whose answers follow, in this order."""


def write_vocabulary_page(
    bundle: Bundle,
    out: Path,
    *,
    top: int | None = None,
    beside: Bundle | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> None:
    """Write the report, whole or not at all; ParameterError when a file is there or cannot be written."""
    for library in ("jinja2", "vl_convert"):
        require(library, extra="report", command="report")
    require_free([out], overwrite=overwrite, manifest=MANIFEST)
    found = findings(bundle, top=top, beside=beside, progress=progress)
    page = vocabulary_page(bundle, found, concepts(bundle, progress))
    with placing([out], overwrite=overwrite, manifest=MANIFEST) as paths:
        paths[0].write_text(page, "utf-8", "backslashreplace", newline="\n")


def vocabulary_page(bundle: Bundle, found: Findings, drawn_concepts: tuple[Chart, ...]) -> str:
    """Return the report of findings and of what they are taken from."""
    answers = [found.answers[name] for name in _PARTS if name in found.answers]
    drawn = (*(chart for answer in answers for chart in answer_charts(answer)), *drawn_concepts)
    manifest = bundle.manifest
    context: dict[str, Any] = {
        "title": f"The vocabulary of {model_of(bundle)}",
        "control": None if manifest.control is None else manifest.control.sentence,
        "beside": () if found.beside is None else found.beside.sentences,
        "findings": [{"said": found.sentences[each.name], **_told(each.sure, each.misleads)} for each in found.found],
        "left_out": found.left_out,
        "drawn": drawn,
        "parts": list(_parts(found.answers)),
        "provenance": [
            Named("The bundle", [Shown("facts", tables.bundle_facts(manifest).rows)]),
            Named("Cross-check", [Shown("facts", tables.crosscheck_facts(manifest.crosscheck).rows)]),
            Named("Terms", [Shown("facts", words.TERMS)]),
        ],
    }
    script = vega.script((PAGE / "report.js").read_text(encoding="utf-8"))
    return render("vocabulary.html", context, specifications(drawn), script)


def concepts(bundle: Bundle, progress: Progress) -> tuple[Chart, ...]:
    """Return the heatmaps of the concepts that gensim carries, or why there are none."""
    try:
        return answer_charts(concept(bundle, progress=progress))
    except ParameterError as error:
        return (Chart(CONCEPTS, f"{error}.", None),)


def _told(sure: str, misleads: str) -> dict[str, str]:
    return {"sure": f"{sure[:1].upper()}{sure[1:]}.", "misleads": f"{misleads}."}


def _parts(answers: Mapping[str, Answer]) -> Iterator[Named]:
    """Yield the blocks of answers under their headings; those before the first are under the question's name."""
    for name in _PARTS:
        if name in answers:
            page: list[Block] = [Heading(name), *answers[name].page()]
            yield from (each for each in named_parts(page) if each.blocks)
