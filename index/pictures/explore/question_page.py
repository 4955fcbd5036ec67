"""The page of a question: its form, and the answer where it was asked, or how far that is on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from index.answers.answer import Answer, columns_of, json_of, rows_of, to_csv, to_json
from index.errors import BundleError, LogoscopeError
from index.pictures.explore import ask, forms
from index.pictures.explore.address import Choice, usual_choice
from index.pictures.explore.assets import LONGEST
from index.pictures.explore.jobs import Job
from index.pictures.explore.opened import OpenedBundle
from index.pictures.page.answer_charts import answer_charts, specifications
from index.questions.asking.question import Question

PATIENCE = 1.0
"""Seconds that a page waits for an answer that takes long, before it says how far it is."""

LOOK_AGAIN = 2
"""After so many seconds a browser asks for such a page again; HTML alone could not without a script."""


def _csv(question: Question[Any, Any], answer: Answer) -> str:
    return to_csv(tuple(columns_of(answer)), rows_of(answer))


def _json(question: Question[Any, Any], answer: Answer) -> str:
    """Return what a terminal prints: where it takes several of something, a list of answers."""
    found = json_of(answer.complete())
    return to_json([found] if any(each.doc.many for each in question.parameters) else found)


FORMS: dict[str, tuple[Callable[[Question[Any, Any], Answer], str], str]] = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "json": (_json, "application/json"),
}
"""What writes a whole answer, and what that is called."""


@dataclass(frozen=True)
class QuestionPage:
    """What the template of a question shows."""

    choice: Choice
    context: dict[str, Any]
    problem: str  # why it could not be asked
    is_on_its_way: bool  # whether the answer is not there yet

    @property
    def status(self) -> HTTPStatus:
        """The status of the response."""
        return HTTPStatus.BAD_REQUEST if self.problem else HTTPStatus.OK


def may_begin(request: Request) -> bool:
    """Whether a request may begin what takes long: of this site's own forms and links, and of what a person types."""
    return request.headers.get("Sec-Fetch-Site") != "cross-site"


def question_page(request: Request, opened: OpenedBundle, question: Question[Any, Any]) -> QuestionPage:
    """Ask a question with what the address holds; raises BundleError."""
    sent, bundle = request.query_params, opened.vocabulary
    typed = {name: [value[:LONGEST] for value in sent.getlist(name)] for name in sent}
    choice, fields = usual_choice(bundle), forms.fields(question, typed, bundle)
    found: Answer | None = None
    line = ""
    job: Job | None = None
    problem = ""
    begun = not question.takes_long or may_begin(request)
    if begun and (typed or forms.answered_at_once(question)):
        try:
            given = forms.arguments(question, typed, bundle)
            line = forms.in_a_terminal(question, given, bundle)
            if question.reports_progress:
                job = opened.job(question, given, PATIENCE)
                found = job.answer
            else:
                found = question(bundle, **given)
        except BundleError:
            raise
        except LogoscopeError as error:
            if typed:  # else nobody asked
                fields = forms.with_problem(fields, error, bundle)
                problem = error.told(forms.in_words)
    charts = () if found is None else answer_charts(found)
    context = {
        "question": question,
        "fields": fields,
        "problem": "" if any(field.problem for field in fields) else problem,
        "job": job,
        "line": line,
        "query": f"?{query}" if (query := request.url.query) else "",
        "answer": found,
        "parts": [] if found is None else ask.shown(found.page(), choice),
        "charts": charts,
        "specifications": specifications(charts),
    }
    return QuestionPage(choice, context, problem, job is not None and found is None)
