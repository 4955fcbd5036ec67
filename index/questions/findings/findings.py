"""`findings`: what one would quote of a vocabulary, each with its number, how sure it is, and what could mislead."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np

from index.answers.answer import Answer, Row
from index.answers.page import Block, Heading, Reference, Sentence, Words, facts
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.progress import Progress, silent
from index.questions.asking.among import Subset
from index.questions.asking.beside import MORE_COLUMNS, Beside, BesideBundle, beside_json, beside_rows
from index.questions.asking.beside import beside as asked_beside
from index.questions.asking.parameters import KEPT
from index.questions.asking.question import Doc
from index.questions.duplicates import Duplicates, duplicates
from index.questions.evaluate.evaluate import evaluate
from index.questions.evaluate.evaluation import Evaluation
from index.questions.findings import quoted
from index.questions.findings.quoted import Finding
from index.questions.hubness import USUAL_LENGTH, Hubness, hubness
from index.questions.lists.marks import suspect
from index.questions.overlap.overlap import OverlapCensus, overlap
from index.questions.shares.in_common import Shares
from index.questions.shares.shares import shares
from index.questions.untrained.untrained import Untrained, untrained

A = TypeVar("A", bound=Answer)

CLEANED = "overlap without untrained tokens and hubs"
SLOW = "takes long, and a quick answer was asked for"
NO_TEXTS = "the bundle holds no texts"
LABELS = "of a control texts are labels, and nothing in it was trained"


@dataclass(frozen=True)
class Findings(Answer):
    """What one would quote of a vocabulary."""

    tokens: int
    quick: bool  # whether what takes long was left out
    found: tuple[Finding, ...]
    left_out: Mapping[str, str]  # what could not be said, and why
    answers: Mapping[str, Answer]  # those that they are taken from, by the names of their questions
    beside: Beside[Findings] | None = None  # another bundle's

    columns: ClassVar = {
        **dict.fromkeys(("finding", "question", "figure"), str),
        **dict.fromkeys(("value", "low", "high"), float),
        **dict.fromkeys(("sentence", "sure", "misleads"), str),
    }

    @property
    def more_columns(self) -> Mapping[str, type]:
        """Whose line it is, where another bundle stands beside."""
        return {} if self.beside is None else MORE_COLUMNS

    @property
    def sentences(self) -> dict[str, str]:
        """The findings by their names, each with what another bundle has in its place."""
        there = {} if self.beside is None else {each.name: each.short for each in self.beside.answer.found}
        whose = "" if self.beside is None else self.beside.other
        return {
            each.name: each.said + (f"; {whose}: {there[each.name]}." if each.name in there else ".")
            for each in self.found
        }

    def rows(self) -> list[Row]:
        """Return one record for each figure."""
        said = self.sentences
        rows: list[Row] = [
            {
                "finding": each.name,
                "question": each.source.question,
                "figure": name,
                **{key: None if math.isnan(value) else float(value) for key, value in vars(figure).items()},
                "sentence": said[each.name],
                "sure": each.sure,
                "misleads": each.misleads,
            }
            for each in self.found
            for name, figure in each.figures.items()
        ]
        return beside_rows(rows, self.beside)

    def json(self) -> dict[str, Any]:
        """Return the findings with their figures, and what could not be said."""
        return {
            "tokens": self.tokens,
            "quick": self.quick,
            "findings": [{**each.json(), "sentence": self.sentences[each.name]} for each in self.found],
            "left_out": [{"name": name, "why": why} for name, why in self.left_out.items()],
            **beside_json(self.beside),
        }

    def page(self) -> list[Block]:
        """Return each finding with how sure it is and what could mislead, and what could not be said."""
        blocks: list[Block] = [] if self.beside is None else self.beside.blocks()
        said = self.sentences
        for each in self.found:
            rows: list[tuple[str, Words]] = [("sure", each.sure), ("but", each.misleads), ("more", each.source)]
            blocks += [Heading(said[each.name]), facts(rows)]
        if self.left_out:
            unsaid: list[tuple[str, Words]] = list(self.left_out.items())
            everything = [("more", Reference("findings", "findings", {"quick": "false"}))] if self.quick else []
            blocks += [Heading("Not said"), facts([*unsaid, *everything])]
        return blocks or [Sentence("There is nothing to say of it.")]


def findings(
    bundle: Bundle,
    *,
    top: Annotated[int | None, Doc("Length of the neighbor lists.", default="30, or all kept"), KEPT] = None,
    quick: Annotated[
        bool, Doc("Leave out what takes long: what neighbors have in common, and what people judged.")
    ] = False,
    beside: BesideBundle = None,
    progress: Progress = silent,
) -> Findings:
    """What one would quote of this vocabulary: each finding with its number, how sure it is, and what could mislead.

    Example: uv run query.py findings --quick

    Each is the answer of another question, which is named. What people judged needs the extra `evaluate`.

    >>> answer = index.open("data/indexes/smollm2-135m").findings(quick=True)
    >>> answer.sentences["twins"]
    '4 groups of twins hold 15 of 49,152 tokens, the largest 7.'
    """
    k = _length(bundle) if top is None else top
    other = asked_beside(bundle, beside, lambda other: _findings(other, k, quick=True), k=k, geometries=tuple(Geometry))
    return replace(_findings(bundle, k, quick=quick, controlled=other is not None, progress=progress), beside=other)


def _length(bundle: Bundle) -> int:
    """Return the usual length of lists, or the longest that every token with a point has."""
    placed = min(len(bundle) - len(space.excluded) for space in bundle.spaces.values())
    return max(1, min(USUAL_LENGTH, bundle.manifest.K, placed - 1))


def _findings(
    bundle: Bundle, k: int, *, quick: bool, controlled: bool = False, progress: Progress = silent
) -> Findings:
    asked = dict(_asked(bundle, k, quick=quick, progress=progress))
    found, left_out = [], {}
    for name, finding in _quoted(bundle, asked, controlled=controlled):
        if isinstance(finding, str):
            left_out[name] = finding
        else:
            found.append(finding)
    answers = {name: answer for name, answer in asked.items() if isinstance(answer, Answer)}
    return Findings(len(bundle), quick, tuple(found), left_out, answers)


def _asked(bundle: Bundle, k: int, *, quick: bool, progress: Progress) -> Iterator[tuple[str, Answer | str]]:
    """Yield the answers to other questions by their names, or why there is none."""
    if not quick:
        yield "evaluate", _said(lambda: evaluate(bundle, progress=progress))
        named = partial(_renamed, progress, "what neighbors have in common")
        yield "shares", _said(lambda: shares(bundle, progress=named))
    progress("lists", 0.0)
    yield "overlap", _said(lambda: overlap(bundle, tops=(k,)))
    suspects = suspect(bundle)
    if suspects.any() and not suspects.all():
        some = Subset("untrained tokens and hubs", np.flatnonzero(suspects).astype(np.int32))
        yield CLEANED, _said(lambda: overlap(bundle, tops=(k,), without=some))
    progress("lists", 0.8)
    yield "hubness", _said(lambda: hubness(bundle, top=k))
    yield "duplicates", _said(lambda: duplicates(bundle))
    if bundle.manifest.control is None:
        yield "untrained", _said(lambda: untrained(bundle))
    progress("lists", 1.0)


def _said(ask: Callable[[], Answer]) -> Answer | str:
    """Return what a question answers, or why it cannot be asked here."""
    try:
        return ask()
    except ParameterError as error:
        return str(error)


def _quoted(
    bundle: Bundle, asked: Mapping[str, Answer | str], *, controlled: bool
) -> Iterator[tuple[str, Finding | str]]:
    """Yield findings by their names, or why there is none: what a metric captures first, then whose lists they are."""
    judged, census, cleaned = asked.get("evaluate", SLOW), asked.get("untrained", LABELS), asked.get(CLEANED)
    if isinstance(judged, Evaluation):
        yield from ((each.name, quoted.judged(each)) for each in judged.sets)
    else:
        yield "what people judged", str(judged)
    without = cleaned if isinstance(cleaned, OverlapCensus) else None
    about = partial(quoted.overlap, cleaned=without, controlled=controlled)
    yield "in common", _of(Shares, asked.get("shares", SLOW), quoted.in_common)
    yield "overlap", _of(OverlapCensus, asked["overlap"], about)
    filled = asked["hubness"]
    yield "untrained", _of(Hubness, filled, lambda of: _of(Untrained, census, partial(quoted.untrained, filled=of)))
    yield "hubs", _of(Hubness, filled, quoted.hubs)
    yield "twins", _of(Duplicates, asked["duplicates"], partial(quoted.twins, of=len(bundle)))
    without_texts = bundle.vocabulary.texts.null_count == len(bundle)
    yield "texts", NO_TEXTS if without_texts else _of(Untrained, census, quoted.texts)


def _of(kind: type[A], answer: Answer | str, quote: Callable[[A], Finding | str]) -> Finding | str:
    """Return what is quoted of an answer, or why there is none."""
    return quote(answer) if isinstance(answer, kind) else str(answer)


def _renamed(progress: Progress, step: str, _: str, share: float) -> None:
    progress(step, share)
