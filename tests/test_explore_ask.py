"""`explore` asks: every question has a form, its answer is what a terminal shows, and no text is more than a text."""

import html
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import MARKUP, Served, Visitor, bundle_of, chromium, request, served
from conftest import Built, invoke
from playwright.sync_api import Browser, expect
from rich.console import Console
from starlette.applications import Starlette
from texts import WORST

import index
from index.answers.answer import Answer
from index.answers.page import Block, Column, Sentence, facts, table
from index.answers.terminal import renderable
from index.api import QUESTIONS, OpenVocabulary
from index.bundle.bundle import Bundle
from index.pictures.explore import map as explore_map
from index.pictures.explore.app import HEADERS, application
from index.pictures.explore.forms import offered, why_not
from index.questions.asking.question import Doc, Limit, Parameter, Question
from index.tokens.display import display
from index.tokens.vocabulary import Token

FILLERS = tuple(f"filler{place}" for place in range(12))
OFFERED = [name for name, question in QUESTIONS.items() if why_not(question) is None]
LONG = [name for name in OFFERED if QUESTIONS[name].takes_long]
QUICK = [name for name in OFFERED if name not in LONG]
TEXTS = tuple(dict.fromkeys((*FILLERS, *MARKUP, *(text for text in WORST if text and text.isprintable()))))


class Shown(HTMLParser):
    """A page's words, tags, attributes, addresses, and the elements of its form."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.controls: dict[str, list[dict[str, str | None]]] = {}
        self.selected: dict[str, list[str | None]] = {}
        self._text, self._select = "", ""
        self.feed(page)
        self.close()
        self.words = self._text.split()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.tags[tag] += 1
        self.attributes |= known.keys()
        self.addresses += [value or "" for name, value in attributes if name in ("href", "src", "action")]
        if tag in ("input", "select", "textarea"):
            self._select = known["name"] or ""
            self.controls.setdefault(self._select, []).append(known)
        if tag == "option" and "selected" in known:
            self.selected.setdefault(self._select, []).append(known["value"])
        if tag in ("td", "th", "tr", "p", "h1", "h2", "option", "label"):
            self._text += "\n"

    def handle_data(self, data: str) -> None:
        self._text += data


def spelled(each: Parameter) -> str:
    return each.doc.option or "--" + each.name.replace("_", "-")


def example(question: Question[Any, Any]) -> dict[str, str]:
    """What the command line of a question's own example names."""
    words = shlex.split(question.example.partition(f"query.py {question.name}")[2])
    options = {spelled(each): each for each in question.parameters if not each.positional}
    arguments = iter([each for each in question.parameters if each.positional])
    typed: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word in options:
            typed[options[word].name] = "true" if options[word].kind is bool else words.pop(0)
        elif not word.startswith("--"):
            each = next(arguments, None)  # a command may take several, a page takes one
            typed |= {} if each is None else {each.name: word}
    names = {each.name for each in offered(question)}
    return {name: value for name, value in typed.items() if name in names}


def address(name: str, **typed: str) -> str:
    return str(httpx.URL(f"/ask/{name}", params=typed))


def asked(question: Question[Any, Any], bundle: Bundle, typed: dict[str, str]) -> Answer:
    """The answer, with the numbers among what is typed as numbers."""
    kinds = {each.name: each.kind for each in question.parameters}
    return question(
        bundle, **{name: kinds[name](text) if kinds[name] in (int, float) else text for name, text in typed.items()}
    )


def on_a_terminal(answer: Answer) -> list[str]:
    """The words of an answer on a terminal wide enough for all, without lines and cut texts."""
    console = Console(width=4000, file=StringIO())
    console.print(renderable(answer.page()))
    assert isinstance(console.file, StringIO)
    said = re.sub(r"(?<=overlap) --top \d+", "", console.file.getvalue())  # a page names the next question alone
    return [word for word in said.split() if not set(word) <= {"─"} and not word.endswith("…")]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tmp_path_factory.mktemp("hostile"), list(TEXTS))


@pytest.fixture(scope="module")
def app(hostile: Path) -> Starlette:
    return application(hostile, explore_map.default_path(hostile), QUESTIONS)


@pytest.fixture(scope="module")
def smollm2_app(smollm2: Built) -> Starlette:
    return application(smollm2.path, explore_map.default_path(smollm2.path), QUESTIONS)


@pytest.fixture(scope="module")
def vocabulary(smollm2: Built) -> OpenVocabulary:
    return index.open(smollm2.path)


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUICK)
def test_a_page_shows_what_a_terminal_shows(name: str, smollm2_app: Starlette, vocabulary: OpenVocabulary) -> None:
    typed = example(QUESTIONS[name])
    answer = asked(QUESTIONS[name], vocabulary, typed)
    page = request(smollm2_app, address(name, **typed))
    assert page.status_code == 200
    assert {each: page.headers[each] for each in HEADERS} == HEADERS
    wanted = Counter(on_a_terminal(answer))
    assert sum(wanted.values()) > 3
    assert wanted <= Counter(Shown(page.text).words)


def test_tokens_lead_to_their_pages(smollm2_app: Starlette, vocabulary: OpenVocabulary) -> None:
    shown = Shown(request(smollm2_app, address("neighbors", token="planet", top="7")).text)
    found = vocabulary.neighbors("planet", top=7)
    ids = {each.token.id for listed in found.lists.values() for each in listed} | {found.token.id}
    assert {f"/token/{each}" for each in ids} == {each for each in shown.addresses if each.startswith("/token/")}


def test_every_question_is_listed(app: Starlette) -> None:
    page = request(app, "/ask").text
    shown = Shown(page)
    listed = [each for each in shown.addresses if each.startswith("/ask/")]
    assert "/findings" in shown.addresses  # in the navigation
    assert listed == [f"/ask/{name}" for name in OFFERED]
    assert {"densest", "neighbors", "within", "find", "info", "overlap"} <= set(OFFERED)
    for name in ("plot", "report", "export", "search"):
        assert f"<dt>{name}, " in page
        refused = request(app, f"/ask/{name}")
        assert (refused.status_code, f"{name}: {why_not(QUESTIONS[name])}" in refused.text) == (404, True)
    assert "/ask" in Shown(request(app, "/").text).addresses


def test_a_no_is_said(app: Starlette) -> None:
    page = request(app, address("find", text="zzzz"))
    assert page.status_code == 200
    assert "No: no token can be meant by &#39;zzzz&#39;" in page.text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("neighbors?token=", "token is missing"),
        ("neighbors?top=3", "token is missing"),
        ("neighbors?token=fill", "no token has the text"),
        ("neighbors?token=%236&top=0", "top must be from 1 to"),
        ("neighbors?token=%236&top=x", "top must be a whole number, got: x"),
        ("neighbors?token=%236&top=1.5", "top must be a whole number, got: 1.5"),
        ("neighbors?token=%236&top=" + "9" * 5000, "got: more than any number here"),
        ("find?text=a&top=" + "9" * 400, "top must be 1 or more, got: more than any number here"),
        ("neighbors?token=%236&rule=none", "rule must be one of notebook"),
        ("overlap?geometries=causal&geometries=causal", "two different geometries"),
        ("overlap?geometries=causal", "geometries must name two"),
        ("neighbors?token=%236&unheard=1", "no parameter &#39;unheard&#39;; it has among, approximate, density_k"),
        ("neighbors?token=%236&among=%2Fetc%2Fhostname", "which reads no file"),
        ("neighbors?token=%236&among=ids=5", "which reads no file"),
        ("neighbors?token=%236&among=kind=none", "no token has it"),
        ("within?token=%236&radius=nan", "radius must be"),
        ("within?token=%236&radius=far", "radius must be a number, got: far"),
        ("within?token=%236", "one threshold is needed"),
        ("analogy?expression=filler1&include_terms=maybe", "include terms must be true or false, got: maybe"),
        ("overlap?tops=10,x", "tops must be whole numbers with commas between"),
        ("extremes?measure=size", "measure must be one of"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(path: str, said: str, app: Starlette) -> None:
    answer = request(app, f"/ask/{path}")
    assert answer.status_code == 400
    lines = [line for line in answer.text.splitlines() if 'role="alert"' in line]
    assert len(lines) == 1
    assert said in lines[0]
    assert "<form" in answer.text
    assert "\ufdd0" not in answer.text


def test_there_is_no_other_question(app: Starlette) -> None:
    assert request(app, "/ask/planet").status_code == 404
    assert "there is no such question" in request(app, "/ask/planet").text


# --- forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OFFERED)
def test_a_form_has_a_field_for_each_parameter(name: str, app: Starlette) -> None:
    page = request(app, f"/ask/{name}")
    shown = Shown(page.text)
    assert page.status_code == 200
    question = QUESTIONS[name]
    assert list(shown.controls)[1:] == [each.name for each in offered(question)]  # the first is the search box
    text = " ".join(shown.words)
    for each in offered(question):
        assert " ".join((each.doc.on_page or each.doc.text).rstrip(".").split()) in text
        assert each.name.replace("_", " ") in text
        if each.doc.default:
            assert f"Default: {each.doc.default}." in text
        assert all(
            ("required" in control) == each.required for control in shown.controls[each.name] if "type" in control
        )


@pytest.mark.parametrize("name", OFFERED)
def test_a_page_speaks_to_its_reader(name: str, app: Starlette) -> None:
    """No option, no exit code, no file: what a terminal is told stands in a terminal's line alone."""
    page = request(app, f"/ask/{name}").text
    words = re.sub(r'<details class="line">.*?</details>', "", page, flags=re.S)
    said = html.unescape(re.sub(r"<[^>]+>", " ", words[words.index("<main") :]))
    assert re.findall(r"--\w+|[Ee]xit code|\bFILE\b|query\.py|command line|true or false", said) == []
    assert not re.search(r"<option[^>]*>(true|false)<", page)


def test_what_seldom_takes_long_is_answered_when_its_page_is_opened(app: Starlette) -> None:
    assert QUESTIONS["overlap"].reports_progress
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}):  # by a link from elsewhere, too
        assert Shown(request(app, "/ask/overlap", headers=headers).text).tags["table"] > 2
    assert request(app, "/ask/overlap.csv").text.startswith("top,")


def test_parts_of_the_vocabulary_are_offered(app: Starlette) -> None:
    page = request(app, "/ask/neighbors").text
    assert '<datalist id="offered-among"><option value="@untrained"></option>' in page
    assert '<option value="kind=word-start"></option>' in page
    assert page.count('list="offered-') == page.count("<datalist ") == 2


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("neighbors", {"token": "#6", "top": "7", "without": "@hubs"}, "neighbors '#6' --top 7 --without @hubs"),
        ("within", {"token": "filler1", "similarity": "0"}, "within filler1 --similarity 0.0"),
        ("find", {"text": "-1"}, "find -- -1"),
        ("analogy", {"expression": "#1 - #2", "include_terms": "true"}, "analogy '#1 - #2' --include-terms"),
        ("overlap", {"tops": "5,10", "geometries": "cosine,causal"}, "overlap --top 5,10 --geometry cosine,causal"),
    ],
)
def test_a_page_says_its_line_in_a_terminal(
    name: str, typed: dict[str, str], line: str, hostile: Path, app: Starlette
) -> None:
    """Which asks the same: the page's JSON and CSV are what it prints."""
    page = request(app, address(name, **typed))
    wanted = f"uv run query.py {line} --index {shlex.quote(str(hostile.resolve()))}"
    if "--" in line.split():
        wanted = f"uv run query.py {name} --index {shlex.quote(str(hostile.resolve()))} -- -1"
    assert f"<code>{html.escape(wanted).replace('&#x27;', '&#39;')}</code>" in page.text
    query = page.request.url.query.decode()
    for form in ("json", "csv"):
        assert f'href="/ask/{name}.{form}?{html.escape(query)}"' in page.text
        kept = request(app, f"/ask/{name}.{form}?{query}")
        _, _, program, command, *rest = shlex.split(wanted)
        printed = invoke(program, command, f"--{form}", *rest)
        assert kept.headers["content-disposition"] == f'attachment; filename="{name}.{form}"'
        assert (kept.status_code, kept.text.strip()) == (200, printed.out.strip())


def test_an_answer_that_is_none_is_no_file(app: Starlette) -> None:
    refused = request(app, "/ask/neighbors.csv?token=zzzz")
    assert (refused.status_code, refused.headers["location"].partition("/ask/")[2]) == (303, "neighbors?token=zzzz")
    assert request(app, "/ask/neighbors.xml?token=%231").status_code == 404
    assert request(app, "/ask/plot.json").status_code == 404


def test_what_was_asked_stands_in_the_form(app: Starlette) -> None:
    typed = {"token": "#6", "top": "7", "rule": "distinct", "among": "kind=word"}
    page = request(app, address("neighbors", **typed) + "&geometries=cosine&geometries=causal-cosine").text
    shown = Shown(page)
    assert {name: shown.controls[name][0].get("value") for name in ("token", "top", "among")} == {
        "token": "#6",
        "top": "7",
        "among": "kind=word",
    }
    assert (shown.selected["rule"], shown.selected["geometries"]) == (["distinct"], ["cosine", "causal-cosine", ""])
    top, density_k = shown.controls["top"][0], shown.controls["density_k"][0]
    assert (top["type"], top["min"], top["max"], top["step"]) == ("number", "1", str(len(TEXTS) - 1), "1")
    assert density_k["max"] == "20"
    assert shown.controls["token"][0]["role"] == "combobox"
    plain = Shown(request(app, "/ask/neighbors").text)
    assert (plain.selected["rule"], plain.selected["geometries"]) == (["distinct"], ["causal", "cosine", ""])


# --- texts are data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", range(len(TEXTS)))
def test_the_worst_texts_change_no_answer(row: int, app: Starlette) -> None:
    benign = Shown(request(app, address("neighbors", token="#0", top="20")).text)
    page = request(app, address("neighbors", token=f"#{row}", top="20"))
    shown = Shown(page.text)
    assert page.status_code == 200
    assert shown.attributes <= benign.attributes
    assert set(shown.tags) <= set(benign.tags)
    for tag in ("script", "h1", "form", "input", "link", "main", "section"):
        assert shown.tags[tag] == benign.tags[tag]
    assert Counter(display(TEXTS[row]).split()) <= Counter(shown.words)
    assert all(each.startswith(("/", "#main")) for each in shown.addresses)


@pytest.mark.parametrize("text", [*MARKUP, *WORST])
def test_the_worst_texts_typed_are_texts(text: str, app: Starlette) -> None:
    text = text.encode("utf-8", "replace").decode()
    for name in QUICK:
        for each in offered(QUESTIONS[name]):
            page = request(app, address(name, **{**example(QUESTIONS[name]), each.name: text[:480]}))
            assert page.status_code in (200, 400)
            shown = Shown(page.text)
            assert (shown.tags["script"], shown.tags["h1"], shown.tags["img"], shown.tags["b"]) == (1, 1, 0, 0)
            assert not {"onerror", "onmouseover"} & shown.attributes


# --- a new question ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Prefixed(Answer):
    prefix: str
    tokens: tuple[Token, ...]

    def page(self) -> list[Block]:
        rows = ((str(each.id), each) for each in self.tokens)
        return [facts([("prefix", self.prefix)]), table((Column("id", 5), "text"), rows), Sentence("That is all.")]


def prefixed(
    bundle: Bundle,
    prefix: Annotated[str, Doc("The first letters.")],
    *,
    lengths: Annotated[tuple[int, ...] | None, Doc("Of these lengths.", default="any")] = None,
    others: Annotated[list[str] | None, Doc("Not these")] = None,
    top: Annotated[int, Doc("Tokens listed."), Limit(1)] = 30,
) -> Prefixed:
    """Tokens that begin with a text.

    Example: uv run query.py prefixed plan --top 3
    """
    tokens = map(bundle.vocabulary.token, range(len(bundle)))
    found = [each for each in tokens if each.text and each.text.startswith(prefix) and each.text not in (others or [])]
    return Prefixed(prefix, tuple(each for each in found if not lengths or len(each.text or "") in lengths)[:top])


def test_a_question_added_to_the_table_has_a_page(hostile: Path) -> None:
    app = application(hostile, explore_map.default_path(hostile), {**QUESTIONS, "prefixed": Question(prefixed)})
    assert "/ask/prefixed" in Shown(request(app, "/ask").text).addresses
    form = Shown(request(app, "/ask/prefixed").text)
    assert list(form.controls)[1:] == ["prefix", "lengths", "others", "top"]
    page = request(app, address("prefixed", prefix="fill", lengths="7,30", others="filler1\r\nfiller3"))
    assert page.status_code == 200
    shown = [each for each in Shown(page.text).addresses if each.startswith("/token/")]
    assert shown == [f"/token/{row}" for row in (0, 2, 4, 5, 6, 7, 8, 9)]
    assert "<p>That is all.</p>" in page.text
    assert request(app, address("prefixed", prefix="fill", top="0")).status_code == 400


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def pages(hostile: Path) -> Iterator[Served]:
    with served(hostile) as running:
        yield running


def test_a_question_is_asked(browser: Browser, pages: Served) -> None:
    """From the first page to a form, a token out of its suggestions, an answer, a token's page."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visitor = Visitor.of(context.new_page())
    page = visitor.page
    page.goto(pages.address)
    page.get_by_role("link", name="Questions").click()
    page.get_by_role("link", name="distance").click()
    page.wait_for_url("**/ask/distance")
    page.get_by_label("a", exact=True).press_sequentially("filler1")
    option = page.get_by_role("option").first
    expect(option).to_contain_text("filler1 #1")
    option.click()
    expect(page.get_by_label("a", exact=True)).to_have_value("#1")
    page.get_by_label("b", exact=True).press_sequentially("filler2")
    expect(page.get_by_role("option").first).to_contain_text("filler2 #2")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Ask").click()
    page.wait_for_url("**/ask/distance?a=%231&b=%232")
    expect(page.locator(".asked")).to_contain_text("logometers")
    page.get_by_role("link", name="filler2").click()
    page.wait_for_url("**/token/2")
    page.wait_for_load_state("networkidle")
    assert (visitor.outside, visitor.complaints) == ([], [])
    context.close()


def test_no_script_is_needed(browser: Browser, pages: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{pages.address}ask/within")
    page.get_by_label("token", exact=True).fill("filler1")
    page.get_by_label("radius").fill("50")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".asked")).to_contain_text("50 logometers in the causal metric")
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_forms_and_answers_read_well(scheme: Any, width: int, browser: Browser, pages: Served) -> None:
    """No rule of axe-core is broken, and no page is wider than its window."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    typed = {"neighbors": "token=%233", "rank": "a=%231&b=%232", "overlap": "tops=5,10", "find": "text=filler1"}
    for path in ("ask", "ask/info", "ask/within?token=%231", *(f"ask/{name}?{each}" for name, each in typed.items())):
        page.goto(pages.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    context.close()
