"""What each address of the application answers: a page, a redirection, or JSON for a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from index.errors import BundleError, LogoscopeError, TokenError
from index.pictures.explore import forms
from index.pictures.explore.address import Choice, link, links, read_choice, usual_choice
from index.pictures.explore.assets import LONGEST, Assets, templates
from index.pictures.explore.map_data import IMMUTABLE
from index.pictures.explore.opened import OpenedBundle, WatchedBundle
from index.pictures.explore.question_page import FORMS, LOOK_AGAIN, PATIENCE, may_begin, question_page
from index.pictures.explore.views import findings_context, plain_lists, quoted_finding, suggestion, token_view
from index.pictures.numbers.series import model_of
from index.pictures.page import tables, words
from index.questions.analogy.analogy import analogy
from index.questions.asking.question import Question
from index.tokens.display import display

NEW_EACH_TIME = {"Cache-Control": "no-cache"}

Answering = Callable[[Request, OpenedBundle], Response]

Questions = Mapping[str, Question[Any, Any]]
"""By their names."""


class Pages:
    """The pages of one bundle."""

    def __init__(self, watched: WatchedBundle, questions: Questions) -> None:
        self._watched = watched
        self._questions = questions
        self._assets = Assets()
        self._templates = templates(self._assets)

    def answering(self, answer: Answering) -> Callable[[Request], Response]:
        """Return the endpoint of an answer, with an error page for what cannot be answered."""

        def endpoint(request: Request) -> Response:
            opened = None
            try:
                opened = self._watched.current()
                try:
                    return answer(request, opened)
                except BundleError:
                    again = self._watched.current()
                    if again is opened:
                        raise
                    return answer(request, again)  # the bundle was replaced while it was read
            except BundleError as error:
                return self._problem(HTTPStatus.SERVICE_UNAVAILABLE, "The bundle cannot be read", str(error))
            except LogoscopeError as error:
                return self._problem(HTTPStatus.BAD_REQUEST, "This cannot be asked", str(error), opened)

        return endpoint

    def home(self, request: Request, opened: OpenedBundle) -> Response:
        """Show the map of the vocabulary, `?beside` both maps; where there is none, what the bundle holds."""
        if opened.map is None:
            return self.about(request, opened)
        layouts = list(opened.map.layouts)
        shown = layouts if "beside" in request.query_params else layouts[:1]
        figures = opened.map.fidelity
        return self._page("atlas.html", opened, usual_choice(opened.vocabulary), shown=shown, figures=figures)

    def lay_out(self, request: Request, opened: OpenedBundle) -> Response:
        """Lay out the maps where there are none, say how far that is, and go to them."""
        if opened.map is None:
            if not may_begin(request):
                return RedirectResponse("/about", HTTPStatus.SEE_OTHER)
            job = opened.map_job(PATIENCE)
            if not job.done.is_set():
                return _on_its_way(self._page("laying_out.html", opened, usual_choice(opened.vocabulary), job=job))
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)

    def about(self, request: Request, opened: OpenedBundle) -> Response:
        """Show what the bundle holds, and the densest token."""
        choice, manifest = usual_choice(opened.vocabulary), opened.vocabulary.manifest
        winners = [(rule.value, winner, link(winner.token, choice)) for rule, winner in opened.densest.by_rule.items()]
        return self._page(
            "home.html",
            opened,
            choice,
            manifest=manifest,
            winners=winners,
            facts=tables.bundle_facts(manifest),
            crosscheck=tables.crosscheck_facts(manifest.crosscheck),
            terms=words.TERMS,
        )

    def search(self, request: Request, opened: OpenedBundle) -> Response:
        """Go to the token that was typed, or show those it may mean."""
        choice = read_choice(request.query_params, opened.vocabulary)
        typed = request.query_params.get("q", "")[:LONGEST]
        if not typed:
            return RedirectResponse("/", HTTPStatus.SEE_OTHER)
        try:
            row = opened.suggestions.only(typed)
        except TokenError as error:
            return self._unknown(opened, choice, typed, error)
        return RedirectResponse(choice.of_token(_id(opened, row)), HTTPStatus.SEE_OTHER)

    def suggest(self, request: Request, opened: OpenedBundle) -> Response:
        """Return the tokens that what is being typed may mean, as JSON: `only` of the one that it names."""
        choice, typed = read_choice(request.query_params, opened.vocabulary), request.query_params.get("q", "")
        only = None
        with suppress(TokenError):
            only = opened.suggestions.only(typed)
        found = links(opened.vocabulary, opened.suggestions.rows(typed), choice)
        return JSONResponse([suggestion(opened.vocabulary, each, only) for each in found])

    def densest(self, request: Request, opened: OpenedBundle) -> Response:
        """Go to the densest token."""
        choice = read_choice(request.query_params, opened.vocabulary)
        return RedirectResponse(choice.of_token(opened.densest.neighborhood.token.id), HTTPStatus.SEE_OTHER)

    def token(self, request: Request, opened: OpenedBundle) -> Response:
        """Show a token and its neighborhood."""
        typed = request.path_params["token"][:LONGEST]
        choice = read_choice(request.query_params, opened.vocabulary)
        try:
            row = opened.vocabulary.vocabulary.resolve(_asked(typed))
        except TokenError as error:
            return self._unknown(opened, choice, _asked(typed), error)
        if typed != str(_id(opened, row)):
            return RedirectResponse(choice.of_token(_id(opened, row)), HTTPStatus.SEE_OTHER)
        return self._page("token.html", opened, choice, view=token_view(opened, row, choice))

    def name(self, request: Request, opened: OpenedBundle) -> Response:
        """Return the printable form of a token, as JSON."""
        try:
            row = opened.vocabulary.vocabulary.resolve(_asked(request.path_params["token"]))
        except TokenError as error:
            raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
        return JSONResponse({"text": opened.vocabulary.vocabulary.display(row)})

    def analogy(self, request: Request, opened: OpenedBundle) -> Response:
        """Show what is near a signed sum of tokens."""
        choice = read_choice(request.query_params, opened.vocabulary)
        typed = request.query_params.get("terms", "")[:LONGEST]
        found, problem = None, ""
        if typed:
            try:
                among = opened.unsuspected if choice.without_suspect else None
                found = analogy(opened.vocabulary, typed, top=choice.top, among=among)
            except BundleError:
                raise
            except LogoscopeError as error:
                problem = str(error)
        terms = [] if found is None else [(term.sign, link(term.token, choice)) for term in found.terms]
        return self._page(
            "analogy.html",
            opened,
            choice,
            HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK,
            typed=typed,
            problem=problem,
            terms=terms,
            lists=[] if found is None else plain_lists(found.lists, choice),
        )

    def vocabulary(self, request: Request, opened: OpenedBundle) -> Response:
        """Show how far two geometries agree over all tokens."""
        choice = read_choice(request.query_params, opened.vocabulary)
        found = opened.overlap((choice.first, choice.second))
        listed = {} if found is None else {"most": found.most, "least": found.least}
        ends = [
            (f"Tokens that agree {name}", [(link(each.token, choice), each.shares) for each in agreements])
            for name, agreements in listed.items()
        ]
        return self._page("vocabulary.html", opened, choice, found=found, ends=ends)

    def findings(self, request: Request, opened: OpenedBundle) -> Response:
        """Show what one would quote of the vocabulary, and the answers it is taken from, as they come."""
        job = opened.findings_job(PATIENCE) if may_begin(request) else None
        found, choice = opened.findings, usual_choice(opened.vocabulary)
        waiting = job is not None and found.quick
        context = findings_context(found, choice, waiting=waiting)
        response = self._page("findings.html", opened, choice, job=job if waiting else None, **context)
        return _on_its_way(response) if waiting else response

    def quoted(self, request: Request, opened: OpenedBundle) -> Response:
        """Return the findings that are there, as JSON: all of them, or what is counted in a second or two."""
        return JSONResponse([quoted_finding(each) for each in opened.findings.found])

    def questions(self, request: Request, opened: OpenedBundle) -> Response:
        """List all questions, and say of those without a page why they have none."""
        reasons = [(each, forms.why_not(each)) for each in self._questions.values()]
        offered = [each for each, why in reasons if why is None]
        others = [(each, why) for each, why in reasons if why is not None]
        return self._page("questions.html", opened, usual_choice(opened.vocabulary), offered=offered, others=others)

    def ask(self, request: Request, opened: OpenedBundle) -> Response:
        """Show the form of a question, and the answer where it was asked."""
        question = self._questions.get(request.path_params["name"])
        why = "there is no such question" if question is None else forms.why_not(question)
        if question is None or why is not None:
            raise HTTPException(HTTPStatus.NOT_FOUND, why if question is None else f"{question.name}: {why}")
        page = question_page(request, opened, question)
        response = self._page("question.html", opened, page.choice, page.status, **page.context)
        return _on_its_way(response) if page.is_on_its_way else response

    def answer(self, request: Request, opened: OpenedBundle) -> Response:
        """Return an answer as a file, all of it; the page of the question where there is none, or none yet."""
        name, form = request.path_params["name"], request.path_params["form"]
        question = self._questions.get(name)
        if question is None or forms.why_not(question) is not None or form not in FORMS:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such answer")
        found = question_page(request, opened, question).context["answer"]
        if found is None:
            return RedirectResponse(str(request.url.replace(path=f"/ask/{name}")), HTTPStatus.SEE_OTHER)
        written, media_type = FORMS[form]
        kept = {"Content-Disposition": f'attachment; filename="{name}.{form}"', **NEW_EACH_TIME}
        return Response(written(question, found), media_type=media_type, headers=kept)

    def static(self, request: Request) -> Response:
        """Return a style sheet, a script or the icon.

        A script that another one names is asked for without its content's name, and may be another the next time.
        """
        name = request.path_params["name"]
        asset = self._assets.get(name)
        if asset is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such file")
        named = f"{request.url.path}?{request.url.query}" == self._assets.address(name)
        return Response(asset.content, media_type=asset.media_type, headers=IMMUTABLE if named else NEW_EACH_TIME)

    def refused(self, request: Request, error: Exception) -> Response:
        """Show what is no page here, or no way to ask for one."""
        status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
        detail = error.detail if isinstance(error, HTTPException) else status.description
        try:
            opened = self._watched.current()
        except BundleError:
            opened = None
        return self._problem(status, status.phrase, detail, opened)

    def _unknown(self, opened: OpenedBundle, choice: Choice, typed: str, error: TokenError) -> Response:
        several = opened.suggestions.meant(typed)
        near = links(opened.vocabulary, several or opened.suggestions.rows(typed, count=20), choice)
        status = HTTPStatus.MULTIPLE_CHOICES if several else HTTPStatus.NOT_FOUND
        shown = {"several": bool(several), "near": near, "problem": str(error), "printable": display(typed)}
        return self._page("unknown.html", opened, choice, status, searched=typed, **shown)

    def _page(
        self, name: str, opened: OpenedBundle, choice: Choice, status: HTTPStatus = HTTPStatus.OK, **context: Any
    ) -> Response:
        bundle = opened.vocabulary
        content = self._templates.get_template(name).render(
            {
                "bundle": bundle,
                "model": model_of(bundle),
                "choice": choice,
                "map": opened.map,
                "longest": LONGEST,
                "searched": "",
                "typed": "",
                **context,
            }
        )
        return HTMLResponse(content, status, headers=NEW_EACH_TIME)

    def _problem(self, status: HTTPStatus, title: str, problem: str, opened: OpenedBundle | None = None) -> Response:
        """Return a page that says what cannot be shown, with search and navigation where there is a bundle."""
        if opened is not None:
            found = self._page(
                "problem.html", opened, usual_choice(opened.vocabulary), status, title=title, problem=problem
            )
        else:
            content = self._templates.get_template("problem.html").render(title=title, problem=problem, bundle=None)
            found = HTMLResponse(content, status)
        found.headers["Cache-Control"] = "no-store"
        return found


def _asked(typed: str) -> str:
    """Return what a part of an address asks for, as `Vocabulary.resolve` takes it: digits are an id."""
    return f"#{typed}" if typed.isdecimal() else typed


def _on_its_way(response: Response) -> Response:
    """Have a browser ask for a page again before long."""
    response.headers["Refresh"] = str(LOOK_AGAIN)
    return response


def _id(opened: OpenedBundle, row: int) -> int:
    return int(opened.vocabulary.vocabulary.token_ids[row])
