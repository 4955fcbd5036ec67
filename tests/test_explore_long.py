"""`explore`: questions that take long have pages that say how far they are, and every question is reached and asked."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import sleep
from typing import Annotated, Any

import httpx
import pytest
import smollm2_oracle
from axe_playwright_python.sync_playwright import Axe
from browsing import Served, Visitor, chromium, request, served
from conftest import invoke, query
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from test_explore_ask import LONG, Shown, address, on_a_terminal

import index
from index.answers.answer import Answer
from index.answers.page import Block, Sentence
from index.api import QUESTIONS
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.pictures.explore import map as explore_map
from index.pictures.explore.app import application
from index.progress import Progress, silent
from index.questions.asking.question import Doc, Question
from index.questions.findings import findings as findings_module
from index.questions.shares.in_common import TRAITS

TYPED = {
    "findings": {"quick": "false"},
    "compare": {"other": "other"},
    "hubness": {"top": "5"},
    "evaluate": {"form": "best"},
    "shares": {"top": "7"},
    "concept": {"only": "family", "random": "19"},
    "enrich": {"token": "#40"},
    "crosscheck": {"pairs": "100"},
    "verify": {"rows": "3"},
}
"""What is typed of each question that takes long."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two bundles of one size."""
    folder = tmp_path_factory.mktemp("bundles")
    smollm2_oracle.build_small(folder)
    source = (folder / "gamma.npy", "--tokenizer", folder / "tokenizer", "--ridge", "0.01")
    assert invoke("build_index.py", *source, "--out", folder / "other").code == 0
    return folder


@pytest.fixture(scope="module")
def app(bundles: Path) -> Starlette:
    return application(bundles / "bundle", explore_map.default_path(bundles / "bundle"), QUESTIONS)


def answered(app: Starlette, address: str) -> httpx.Response:
    """The page, when the answer is there."""
    for _ in range(600):
        page = request(app, address)
        if "Refresh" not in page.headers:
            return page
        assert page.status_code == 200
        assert "<progress" in page.text
        sleep(0.1)
    raise AssertionError(f"{address} is not answered")


# --- on their way -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waited(Answer):
    times: int

    def page(self) -> list[Block]:
        return [Sentence(f"Asked {self.times} times.")]


class Waiting:
    """A question that takes until it is let go on."""

    def __init__(self, bundle: Path) -> None:
        self.asked, self.go_on, self.fails = 0, Event(), False

        def waiting(
            bundle: Bundle, *, top: Annotated[int, Doc("Anything.")] = 1, progress: Progress = silent
        ) -> Waited:
            """What takes long."""
            self.asked += 1
            progress("looking about", 0.25)
            assert self.go_on.wait(60)
            if self.fails:
                raise ParameterError(f"{parameter('top')} is not wanted")
            return Waited(self.asked)

        self.app = application(bundle, explore_map.default_path(bundle), {"waiting": Question(waiting)})


def test_how_far_it_is_is_said(bundles: Path) -> None:
    waiting = Waiting(bundles / "bundle")
    form = request(waiting.app, "/ask/waiting")
    assert "may take a minute" in form.text
    assert waiting.asked == 0  # before anything is typed
    for _ in range(2):  # it is begun once
        page = request(waiting.app, "/ask/waiting?top=")
        assert (page.status_code, page.headers["Refresh"]) == (200, "2")
        assert "On its way: looking about" in page.text
        assert '<progress value="0.250">' in page.text
        assert 'name="top"' not in page.text  # nothing that is typed is lost when it is asked for again
    waiting.go_on.set()
    assert "Asked 1 times." in answered(waiting.app, "/ask/waiting?top=").text
    assert "Asked 1 times." in answered(waiting.app, "/ask/waiting").text or waiting.asked == 1
    assert "Asked 2 times." in answered(waiting.app, "/ask/waiting?top=3").text


def test_an_error_that_comes_late_is_told_once_at_its_field(bundles: Path) -> None:
    waiting = Waiting(bundles / "bundle")
    waiting.fails = True
    assert "Refresh" in request(waiting.app, "/ask/waiting?top=2").headers
    waiting.go_on.set()
    page = answered(waiting.app, "/ask/waiting?top=2")
    assert page.status_code == 400
    shown = Shown(page.text)
    assert shown.controls["top"][0]["aria-invalid"] == "true"
    assert '<p class="problem" id="problem-top" role="alert">top is not wanted</p>' in page.text
    waiting.fails = False
    assert "Asked 2 times." in answered(waiting.app, "/ask/waiting?top=2").text


def test_other_sites_begin_nothing_and_few_are_begun_at_once(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting(bundles / "bundle")
    monkeypatch.setattr("index.pictures.explore.question_page.PATIENCE", 0.01)
    page = request(waiting.app, "/ask/waiting?top=7", headers={"Sec-Fetch-Site": "cross-site"})
    assert (page.status_code, waiting.asked) == (200, 0)
    assert Shown(page.text).controls["top"][0]["value"] == "7"
    for top in range(4):
        assert "Refresh" in request(waiting.app, f"/ask/waiting?top={top}").headers
    refused = request(waiting.app, "/ask/waiting?top=5")
    assert (refused.status_code, "4 long answers are on their way" in refused.text) == (400, True)
    waiting.go_on.set()
    assert "Asked 4 times." in answered(waiting.app, "/ask/waiting?top=3").text


def test_a_map_is_laid_out_when_it_is_asked_for(bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, go_on, reached, begun = tmp_path / "own.map.parquet", Event(), Event(), []
    make_map = explore_map.make_map

    def slowly(bundle: Bundle, path: Path, report: Any) -> None:
        begun.append(path)
        report("laying out the causal map", 1, 4)
        reached.set()
        assert go_on.wait(60)
        make_map(bundle, path, report)

    monkeypatch.setattr("index.pictures.explore.opened.make_map", slowly)
    monkeypatch.setattr("index.pictures.explore.endpoints.PATIENCE", 0.05)
    app = application(bundles / "bundle", path, QUESTIONS)
    assert '<a href="/map">' in request(app, "/").text
    elsewhere = request(app, "/map", headers={"Sec-Fetch-Site": "cross-site"})
    assert (elsewhere.headers["location"], begun) == ("/about", [])
    assert "<progress" in request(app, "/map").text
    assert reached.wait(60)
    for _ in range(2):  # it is begun once
        page = request(app, "/map")
        assert (page.status_code, page.headers["Refresh"]) == (200, "2")
        assert "On its way: laying out the causal map" in page.text
        assert '<progress value="0.250">' in page.text
    go_on.set()
    there = answered(app, "/map")
    assert (there.status_code, there.headers["location"], len(begun)) == (303, "/", 1)
    assert 'id="atlas"' in request(app, "/").text or "atlas.js" in request(app, "/").text
    assert request(app, "/map").headers["location"] == "/"
    assert path.is_file()


def test_it_is_said_why_no_map_can_be_laid_out(bundles: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("not a map")
    app = application(bundles / "bundle", tmp_path / "there" / "no.parquet", QUESTIONS)
    page = answered(app, "/map")
    assert page.status_code == 400
    assert "cannot be written" in page.text


# --- findings ---------------------------------------------------------------------------------------------------------


def test_all_findings_are_a_page_and_come_as_they_are_there(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are counted at once stand there from the start, the others when they are there, and for good."""
    go_on, reached, begun, evaluate = Event(), Event(), [], findings_module.evaluate

    def slowly(bundle: Bundle, *, progress: Progress) -> Answer:
        begun.append(bundle)
        progress("SimLex-999", 0.5)
        reached.set()
        assert go_on.wait(60)
        return evaluate(bundle, progress=progress)

    monkeypatch.setattr("index.questions.findings.findings.evaluate", slowly)
    monkeypatch.setattr("index.pictures.explore.endpoints.PATIENCE", 0.05)
    app, where = application(bundles / "bundle", bundles / "no.map", QUESTIONS), ("--index", bundles / "bundle")
    assert "/findings" in Shown(request(app, "/about").text).addresses
    assert request(app, "/findings", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
    quick = query("findings", "--quick", *where)["findings"]
    assert begun == []
    require_findings(request(app, "/findings").text, quick)
    assert reached.wait(60)
    for _ in range(2):  # it is begun once
        page = request(app, "/findings")
        assert (page.status_code, page.headers["Refresh"], len(begun)) == (200, "2", 1)
        assert "On its way: SimLex-999" in page.text
        require_findings(page.text, quick)
        assert "Not said" not in page.text
        assert [each["said"] for each in request(app, "/findings.json").json()] == [each["sentence"] for each in quick]
    go_on.set()
    page, whole = answered(app, "/findings"), query("findings", *where)
    assert len(begun) == 2  # the other time by the command
    require_findings(page.text, whole["findings"])
    assert len(whole["findings"]) + len(whole["left_out"]) > len(quick)
    text = " ".join(Shown(page.text).words)
    assert all(" ".join(each["why"].split()) in text for each in whole["left_out"])
    of_all = [each["said"] for each in request(app, "/findings.json").json()]
    assert of_all == [each["sentence"] for each in whole["findings"]]
    monkeypatch.setattr("index.pictures.explore.jobs.MOST_KEPT", 1)
    for top in (3, 4, 5):  # others push out each other, and not them
        assert answered(app, f"/ask/hubness?top={top}").status_code == 200
    assert [each["said"] for each in request(app, "/findings.json").json()] == of_all
    assert len(begun) == 2


def require_findings(page: str, found: list[dict[str, Any]]) -> None:
    """Each with its sentence, how sure it is, and what could mislead, as in JSON and in its order."""
    text, at = " ".join(Shown(page).words), 0
    for each in found:
        for said in (each["sentence"], each["sure"], each["misleads"]):
            at = text.index(" ".join(said.split()), at)


# --- every question ---------------------------------------------------------------------------------------------------


def test_all_that_take_long_are_tried() -> None:
    assert set(TYPED) == set(LONG)


@pytest.mark.parametrize("name", TYPED)
def test_a_long_answer_is_what_a_terminal_shows(name: str, app: Starlette, bundles: Path) -> None:
    typed: dict[str, Any] = dict(TYPED[name])
    page = answered(app, address(name, **typed))
    assert page.status_code == 200
    given = {key: int(value) if value.isdecimal() else value for key, value in typed.items()}
    given |= {"other": bundles / "other"} if name == "compare" else {"quick": False} if name == "findings" else {}
    answer = QUESTIONS[name](index.open(bundles / "bundle"), **given)
    # Bars are pictures; a token without a text is called by its id on a page.
    wanted = [
        word for word in on_a_terminal(answer) if word not in ("(no", "text)") and not set(word) & set("█░▏▎▍▌▋▊▉")
    ]
    shown = set(Shown(page.text).words)
    assert len(wanted) > 3
    assert [word for word in wanted if word not in shown] == []


def test_bundles_are_chosen_among_those_beside(app: Starlette) -> None:
    for name, field, optional in (("compare", "other", []), ("overlap", "beside", [""])):
        page = request(app, f"/ask/{name}").text
        start = page.index(f'<select name="{field}"')
        options = page[start : page.index("</select>", start)]
        assert options.count("<option") == len(optional) + 1
        assert '<option value="other">' in options
    assert request(app, "/ask/overlap?beside=other").status_code == 200
    refused = request(app, "/ask/overlap?beside=..%2Fother")
    assert (refused.status_code, "is the name of a bundle on a page" in refused.text) == (400, True)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("neighbors?token=fill", "token"),
        ("rank?a=%23300&b=zzzz", "b"),
        ("distance?a=zzzz&b=%23300", "a"),
        ("within?token=%23300&radius=far", "radius"),
        ("shares?top=0", "top"),
        ("evaluate?form=x", "form"),
        ("untrained?top=x", "top"),
        ("analogy?expression=", "expression"),
    ],
)
def test_an_error_stands_at_its_field(path: str, field: str, app: Starlette) -> None:
    page = request(app, f"/ask/{path}")
    shown = Shown(page.text)
    assert page.status_code == 400
    wrong = [name for name, controls in shown.controls.items() if any("aria-invalid" in each for each in controls)]
    assert wrong == [field]
    assert f'id="problem-{field}" role="alert"' in page.text
    assert page.text.count('role="alert"') == 1


def test_files_are_neither_read_nor_written(app: Starlette, tmp_path: Path) -> None:
    for path in ("untrained?known=/etc/hostname", "concept?save=x.safetensors", "compare?other=other&out=x.html"):
        name = path.partition("=")[0].partition("?")[2].split("&")[-1]
        refused = request(app, f"/ask/{path}")
        assert (refused.status_code, "has no parameter" in refused.text) == (400, True), name
    assert request(app, "/ask/sets?action=import").status_code == 400
    listed = tmp_path / "ids.txt"
    listed.write_text("1\n2\n3\n4\n5\n6\n")
    for path in (
        f"enrich?token=%231&sets={listed}",
        f"enrich?token=%231&sets=script,{listed}",
        f"overlap?among={listed}",
    ):
        refused = request(app, f"/ask/{path}")
        assert (refused.status_code, "which reads no file" in refused.text) == (400, True), path


# --- charts -----------------------------------------------------------------------------------------------------------


def test_answers_have_their_charts(app: Starlette, bundles: Path) -> None:
    opened = index.open(bundles / "bundle")
    shares = opened.shares()
    values = chart(app, "/ask/shares?top=10")["data"]["values"]
    for row in values:
        geometry, trait = row["geometry"].replace("-", "_"), next(t for t, w in TRAITS.items() if w == row["trait"])
        share = shares.found[geometry][trait]
        assert (row["share"], row["low"], row["high"]) == (share.share, share.low, share.high)
        assert row["chance"] == shares.chance[trait]
    assert len(values) == sum(not math.isnan(each.share) for one in shares.found.values() for each in one.values())
    filled = opened.hub_shares(top=10).geometries
    values = chart(app, "/ask/hubness?top=10")["data"]["values"]
    assert [row["tokens"] for row in values] == [n for each in filled.values() for n in each.by_distance.counts]


def chart(app: Starlette, path: str) -> Any:
    """The first chart of a page."""
    page = answered(app, path).text
    start = page.index('id="charts">') + len('id="charts">')
    return json.loads(page[start : page.index("</script>", start)])["chart-1"]


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def pages(bundles: Path) -> Iterator[Served]:
    with served(bundles / "bundle") as running:
        yield running


FILLED: dict[str, dict[str, str]] = {
    "within": {"token": "#300", "radius": "3"},
    "rank": {"a": "#300", "b": "#301"},
    "distance": {"a": "#300", "b": "#301"},
    "analogy": {"expression": "#300 - #301 + #302"},
    "duplicates": {},
    "extremes": {},
    "overlap": {},
    "untrained": {},
    "hubness": {},
    "evaluate": {},
    "shares": {},
    "concept": {"only": "family", "random": "19"},
    "compare": {},
}
"""What a person fills in."""


@pytest.mark.parametrize("name", FILLED)
def test_each_question_is_reached_and_asked(name: str, browser: Browser, pages: Served) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visitor = Visitor.of(context.new_page())
    page = visitor.page
    page.goto(pages.address)
    page.get_by_role("link", name="Questions").click()
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_url(f"**/ask/{name}")
    for field, typed in FILLED[name].items():
        page.locator(f"form.asking [name={field}]").fill(typed)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".asked:not([aria-busy])")).to_be_visible(timeout=120_000)
    assert page.locator("[role=alert]").count() == 0
    page.wait_for_load_state("networkidle")
    assert (visitor.outside, visitor.complaints) == ([], [])
    context.close()


def test_the_terms_of_an_analogy_are_suggested(browser: Browser, pages: Served) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    for path, label in (("ask/analogy", "expression"), ("analogy", "Analogy: tokens with + or - between them")):
        page.goto(pages.address + path)
        field = page.get_by_label(label, exact=True)
        field.press_sequentially("#300 - plane")
        expect(page.get_by_role("option").first).to_contain_text("planet")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(field).to_have_value("#300 - ' planet'")
        field.press_sequentially(" + ' sta")
        expect(page.get_by_role("option").first).to_contain_text("sta")
        page.keyboard.press("Escape")
        expect(field).to_have_value("#300 - ' planet' + ' sta")
    context.close()


def test_findings_come_by_themselves_and_lead_on(browser: Browser, pages: Served, bundles: Path) -> None:
    opened = index.open(bundles / "bundle")
    found, whole = opened.findings(quick=True).found, opened.findings().found
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visitor = Visitor.of(context.new_page())
    page = visitor.page
    for path in ("", "about", "vocabulary"):
        page.goto(pages.address + path)
        items = page.locator(".findings li")
        expect(items).to_have_count(len(found))
        for item, each in zip(items.all(), found, strict=True):
            assert item.inner_text() == f"{each.said}. {each.source.question}"
            assert item.get_attribute("title") == each.misleads
    items.first.get_by_role("link").click()
    page.wait_for_url("**/ask/overlap?tops=*")
    expect(page.locator(".asked")).to_contain_text("Overlap of the nearest")
    page.get_by_role("link", name="Findings").click()
    page.wait_for_url("**/findings")
    expect(page.locator("[aria-busy]")).to_have_count(0, timeout=120_000)
    expect(page.locator(".asked").first).to_contain_text(whole[0].said)
    expect(page.locator(".chart svg").first).to_be_visible()
    assert Axe().run(page).violations_count == 0
    page.get_by_role("link", name="logoscope").click()
    expect(page.locator(".findings li")).to_have_count(len(whole))
    page.get_by_role("link", name="All findings, how sure they are").click()
    page.get_by_role("link", name="duplicates").first.click()
    page.wait_for_url("**/ask/duplicates?top=30")
    assert (visitor.outside, visitor.complaints) == ([], [])
    context.close()


@pytest.mark.slow("axe reads six pages with long answers")
@pytest.mark.parametrize("width", [360, 1280])
def test_long_answers_read_well(width: int, browser: Browser, pages: Served) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    for path in ("ask/shares?top=5", "ask/hubness?top=5", "ask/rank?a=zzzz&b=%231", "ask/compare", "findings", ""):
        page.goto(pages.address + path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    context.close()
