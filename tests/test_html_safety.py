"""A page of `report`: no text becomes markup or runs, nothing is asked of a network, and every chart is drawn."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browsing import chromium
from conftest import Built
from playwright.sync_api import Browser
from report_pages import parsed, small_vocabulary, values, visiting, written
from texts import WORST

import index
from index.api import OpenVocabulary
from index.geometry.maps import Geometry
from index.measures.overlap import Verdict
from index.pictures.page.report import html_report
from index.questions.lists.lists import Neighbor
from index.questions.neighbors import Neighborhood
from index.tokens.display import display

MARKER = "</script x><img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def vocabulary(smollm2: Built) -> OpenVocabulary:
    return index.open(smollm2.path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> OpenVocabulary:
    return small_vocabulary(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(smollm2: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(smollm2, tmp_path_factory.mktemp("report"))


# --- tokens are data --------------------------------------------------------------------------------------------------


def relabeled(found: Neighborhood, texts: Sequence[str]) -> Neighborhood:
    """The same answer about other texts: the token's own is the first, its neighbors' are all of them in turn."""

    def named(neighbor: Neighbor) -> Neighbor:
        return replace(neighbor, token=replace(neighbor.token, text=texts[neighbor.rank % len(texts)], piece=None))

    lists = {geometry: tuple(map(named, listed)) for geometry, listed in found.lists.items()}
    named_before = {each.token.row: each.token for listed in lists.values() for each in listed}
    shared = tuple(replace(each, token=named_before[each.token.row]) for each in found.shared)
    return replace(found, token=replace(found.token, text=texts[0], piece=None), lists=lists, shared=shared)


@pytest.mark.parametrize("text", [*WORST, MARKER, "</script x", "<!--<script x", "{{ 7 * 7 }}", "{% raw %}", "\\u003c"])
def test_no_text_changes_the_page(text: str, small: OpenVocabulary) -> None:
    found = small.neighbors("#12", top=6)
    harmless, page = (parsed(html_report(small, [relabeled(found, [each])], top=6)) for each in ("harmless", text))
    assert page.tags == harmless.tags
    assert {row[-1] for row in page.tables["6 nearest in the causal metric"][1:]} == {display(text)}
    assert {row["text"] for row in values(page.charts["chart-1-1"])} == {display(text)}
    assert page.scripts[1] == harmless.scripts[1]


@pytest.mark.slow("renders and parses a page with 49,152 tokens")
def test_every_token_of_a_real_vocabulary_is_text(vocabulary: OpenVocabulary) -> None:
    found = vocabulary.neighbors("planet", top=2)
    texts = vocabulary.vocabulary.texts.to_pylist()
    pieces = vocabulary.vocabulary.pieces.to_pylist()
    every = tuple(
        Neighbor(
            row, replace(found.token, row=row, id=row, text=texts[row], piece=pieces[row]), row / 1000, None, 0.0, ()
        )
        for row in range(1, len(texts))
    )
    everything = replace(found, lists={**found.lists, Geometry.CAUSAL: every})
    page = parsed(html_report(vocabulary, [everything], top=len(every)))
    rows = page.tables[f"{len(every)} nearest in the causal metric"][1:]
    assert [row[-1] for row in rows] == [display(*pair) for pair in zip(texts[1:], pieces[1:], strict=True)]
    assert [row["text"] for row in values(page.charts["chart-1-1"])] == [row[-1] for row in rows]
    one = parsed(html_report(vocabulary, [found], top=2))
    row_of_list = one.tags[one.tags.index("tr", one.tags.index("tbody", one.tags.index("thead"))) :][:20]
    assert len(page.tags) - len(one.tags) == (len(every) - 2) * (row_of_list.index("/tr") + 1)
    assert set(page.tags) == set(one.tags)


# --- in a browser -----------------------------------------------------------------------------------------------------


def test_it_needs_no_network_and_reports_no_error(page: Path, browser: Browser) -> None:
    with visiting(browser, page) as visit:
        visit.page.wait_for_selector("#chart-3-5 svg")
        assert visit.page.locator(".chart svg").count() == 15
        assert visit.requests == [page.as_uri()]
        assert visit.log == []


def test_nothing_runs_but_its_own_script(small: OpenVocabulary, browser: Browser, tmp_path: Path) -> None:
    text = html_report(small, [relabeled(small.neighbors("#0", top=9), [MARKER])], top=9)
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with visiting(browser, tmp_path / "page.html") as visit:
        visit.page.wait_for_selector("#chart-1-5 svg")
        point = visit.page.locator("#chart-1-1 path[aria-roledescription=point]").nth(2)
        point.hover(force=True)
        tooltip = visit.page.locator("#vg-tooltip-element td.value").first
        assert tooltip.inner_text() == MARKER
        assert visit.page.locator("h2").first.inner_text().startswith(MARKER)
        assert visit.page.locator("#chart-1-5 svg").inner_html().count("&lt;img") > 0
        assert visit.page.title().startswith(f"Nearest tokens of {MARKER[:30]}")
        assert visit.log == []

    (tmp_path / "open.html").write_text(text.replace("<h1>", f"{MARKER}<h1>"), encoding="utf-8")
    with visiting(browser, tmp_path / "open.html") as visit:  # had escaping failed, the policy would still hold
        visit.page.wait_for_selector("#chart-1-5 svg")
        assert visit.page.title() != "ran"
        assert len(visit.log) >= 2


def test_dark_light_and_paper(page: Path, browser: Browser) -> None:
    with visiting(browser, page) as visit:
        visit.page.wait_for_selector("#chart-1-1 svg")
        look = "(name => getComputedStyle(document.querySelector(name)).{})"
        colors = []
        for settings in ({"color_scheme": "light"}, {"color_scheme": "dark"}, {"media": "print"}):
            visit.page.emulate_media(**settings)
            colors.append(
                [
                    visit.page.evaluate(f"{look.format('backgroundColor')}('body')"),
                    visit.page.evaluate(f"{look.format('fill')}('#chart-1-1 text')"),
                ]
            )
        light, dark, paper = colors
        assert light[0] == paper[0] == "rgb(255, 255, 255)"
        assert dark[0] != light[0]
        assert dark[1] != light[1] == paper[1]


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.2 defines it, of a computed `rgb(...)`."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("settings", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"media": "print"}])
def test_each_verdict_has_its_color(settings: Any, small: OpenVocabulary, browser: Browser, tmp_path: Path) -> None:
    """Told apart from the ground on both of its sides, by 3 to 1 at least, as WCAG asks of graphics."""
    (tmp_path / "page.html").write_text(html_report(small, [small.neighbors("#39", top=3)], top=3), encoding="utf-8")
    with visiting(browser, tmp_path / "page.html") as visit:
        visit.page.emulate_media(**settings)
        assert visit.page.locator(".verdict").get_attribute("data-verdict") == "none"
        colors = []
        for verdict in (*Verdict, "none"):
            border, inside, outside = visit.page.evaluate(
                """(verdict) => {
                    const box = document.querySelector(".verdict");
                    box.dataset.verdict = verdict;
                    const own = getComputedStyle(box);
                    return [own.borderLeftColor, own.backgroundColor, getComputedStyle(document.body).backgroundColor];
                }""",
                str(verdict),
            )
            assert min(contrast(border, inside), contrast(border, outside)) >= 3
            colors.append(border)
        assert len(set(colors)) == 4
        assert colors[-1] == colors[-2]  # undecided, and none


def test_charts_are_read_on_paper(page: Path, browser: Browser) -> None:
    """Printed, every chart is drawn as wide as A4 between its margins, and on the screen as before."""
    widths = "Array.from(document.querySelectorAll('.chart svg'), (each) => Number(each.getAttribute('width')))"
    with visiting(browser, page) as visit:
        visit.page.wait_for_selector("#chart-3-5 svg")
        before = visit.page.evaluate(widths)
        visit.page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = {widths}; }})")
        assert visit.page.pdf(format="A4").startswith(b"%PDF")
        assert visit.page.evaluate("window.printed") == [640] * 15
        visit.page.wait_for_function(f"{widths}.at(-1) > 640")
        assert visit.page.evaluate(widths) == before
        visit.page.set_viewport_size({"width": 680, "height": 900})  # A4 between its margins: 180 mm
        visit.page.emulate_media(media="print")
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        letters = visit.page.evaluate(
            "Array.from(document.querySelectorAll('.chart svg text'), (each) => each.getBoundingClientRect().height)"
        )
        assert min(letter for letter in letters if letter > 0) >= 9  # pixels: 10 of the font, and no smaller
        sides = visit.page.locator(".charts figure").evaluate_all("(all) => all.map((each) => each.offsetLeft)")
        assert len(set(sides)) == 1
        assert visit.log == []


# --- what may be missing ----------------------------------------------------------------------------------------------


def test_a_zero_row_has_no_list_of_directions(small: OpenVocabulary, browser: Browser, tmp_path: Path) -> None:
    found = small.neighbors("#39", top=5)
    text = html_report(small, [found], top=5)
    said = parsed(text)
    assert "Verdict: none" in said.headings
    assert set(said.charts) == {"chart-1-1", "chart-1-4"}
    assert "5 nearest by cosine similarity" not in said.tables
    (tmp_path / "zero.html").write_text(text, encoding="utf-8")
    with visiting(browser, tmp_path / "zero.html") as visit:
        visit.page.wait_for_selector("#chart-1-4 svg")
        assert (visit.page.locator(".chart svg").count(), visit.log) == (2, [])


@pytest.mark.parametrize(("token", "top"), [("#0", 1), ("#0", 38), ("#12", 9), ("#12", 39)])
def test_short_long_and_tied_lists_are_drawn(
    token: str, top: int, small: OpenVocabulary, browser: Browser, tmp_path: Path
) -> None:
    found = small.neighbors(token, top=top)
    (tmp_path / "page.html").write_text(html_report(small, [found], top=top), encoding="utf-8")
    with visiting(browser, tmp_path / "page.html", width=390) as visit:
        visit.page.wait_for_selector("#chart-1-5 svg")
        drawn = visit.page.locator("#chart-1-1 svg path[aria-roledescription=point]").count()
        assert drawn == len(found.lists[Geometry.CAUSAL])
        assert visit.page.locator(".chart svg").count() == 5
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
        assert visit.log == []
