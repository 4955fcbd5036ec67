"""A token's page and its neighbors as they were once seen to fail: cut, crowded, refused, printed without charts."""

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Served, Visitor, bundle_of, charts, chromium, served, shown_lists
from conftest import Built, query
from playwright.sync_api import Browser, expect

from index.tokens.display import quoted

PLANET = 46835
WIDTHS = [390, 1024, 1280, 1440, 1920]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def pages(smollm2: Built) -> Iterator[Served]:
    with served(smollm2.path) as running:
        yield running


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    visitor = Visitor.of(context.new_page())
    yield visitor
    context.close()
    assert visitor.outside == []


@pytest.mark.parametrize("width", WIDTHS)
def test_no_table_is_cut(width: int, pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 900})
    for path in (f"token/{PLANET}", "token/8", "analogy?terms=planets+-+planet+%2B+star", "vocabulary", "about"):
        page.goto(pages.address + path)
        wider = "(all) => all.filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.ariaLabel)"
        assert page.locator(".scroll").evaluate_all(wider) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_neighbors_stand_above_the_fold(pages: Served, visitor: Visitor) -> None:
    """With the verdict in a sentence, and beside it what is left without untrained tokens and hubs."""
    page = visitor.page
    page.goto(f"{pages.address}token/{PLANET}")
    fourth = page.locator("table[data-geometry=causal] tbody tr").nth(3).bounding_box()
    assert fourth is not None
    assert fourth["y"] + fourth["height"] < 600
    said = page.locator(".overlap").inner_text()
    assert said.startswith("27 of 30 in both lists (90.0 %). 21 of the 27 are untrained tokens")
    assert said.endswith("without untrained tokens and hubs 12 of 30 (40.0 %): MODERATE.")
    heading = page.locator("#verdict").inner_text().casefold()
    assert heading == "overlap: high; without untrained tokens and hubs moderate"
    assert page.locator(".verdict p:visible").count() == 1
    page.get_by_text("What it means").click()
    assert page.locator(".verdict p:visible").count() > 4


def test_untrained_tokens_and_hubs_are_left_out(smollm2: Built, pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(f"{pages.address}token/{PLANET}")
    assert page.locator("tr.suspect").count() > 40
    page.get_by_role("link", name="Without untrained tokens and hubs").click()
    page.wait_for_url("**without=suspect")
    assert page.locator("tr.suspect").count() == 0
    answer = query("neighbors", "planet", "--without", "@hubs,@untrained", "--index", smollm2.path)[0]
    for shown, name in zip(shown_lists(page), ("causal", "cosine"), strict=True):
        assert [row["id"] for row in shown["rows"]] == [place["id"] for place in answer[name]]
    page.locator("table[data-geometry=causal] tbody a").nth(2).click()
    page.wait_for_url(re.compile(r"/token/\d+\?without=suspect$"))
    page.get_by_role("link", name="With untrained tokens and hubs").click()
    page.wait_for_url(re.compile(r"/token/\d+$"))


def test_twins_stand_side_by_side(pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(f"{pages.address}token/8")
    cell = page.locator(".facts tr", has_text="twins").locator("td")
    assert cell.locator("a").count() == 6
    height = cell.evaluate("(cell) => cell.clientHeight / parseFloat(getComputedStyle(cell).lineHeight)")
    assert height < 3.5


def test_charts_are_printed_unseen(pages: Served, visitor: Visitor) -> None:
    """A page that nobody has scrolled; and every dot of a token leads to its page."""
    page = visitor.page
    page.goto(f"{pages.address}token/{PLANET}")
    expect(page.locator(".chart svg")).to_have_count(5)
    assert page.evaluate("scrollY") == 0
    assert len(page.pdf()) > 50_000
    texts = page.locator(".chart").last.locator("svg text").all_text_contents()
    assert any(re.search(r"\(x 2\d\)$", text) for text in texts)
    charts(page).last.locator("path[aria-roledescription=point]").first.click()
    page.wait_for_url(re.compile(rf"/token/(?!{PLANET})\d+$"))


def test_a_line_leads_from_a_dot_to_each_label_that_is_shown(pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(f"{pages.address}token/{PLANET}")
    chart = charts(page).last
    expect(chart.locator(".mark-text.role-mark text").first).to_be_attached()
    visible = "all.filter((each) => each.getAttribute('opacity') !== '0')"
    place = "(({e, f}) => [e, f])(each.transform.baseVal.consolidate().matrix)"
    end = "each.x2.baseVal.value, each.y2.baseVal.value"
    dots = chart.locator("path[aria-roledescription=point]").evaluate_all(f"(all) => all.map((each) => {place})")
    shown = chart.locator(".mark-text.role-mark text").evaluate_all(f"(all) => {visible}.map((each) => {place})")
    rules = chart.locator(".mark-rule.role-mark").last.locator("line")
    lines = rules.evaluate_all(f"(all) => {visible}.map((each) => [...{place}, {end}])")
    assert 2 < len(lines) == len(shown)
    for x, y, dx, dy in lines:
        assert min(math.hypot(x + dx - across, y + dy - up) for across, up in dots) < 1
        assert min(math.hypot(x - across, y - up) for across, up in shown) < 12  # letters are 11 pixels high


@pytest.mark.parametrize("path", ["token/7?first=cosine&second=cosine", "nothing/here", "token/7?top=0"])
def test_what_is_refused_keeps_search_and_ways_on(path: str, pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(pages.address + path)
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.get_by_role("navigation", name="Pages").get_by_role("link").count() >= 4
    page.get_by_role("combobox", name="Token", exact=True).fill("planet")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/token/{PLANET}")


def test_one_geometry_is_not_chosen_twice(pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(f"{pages.address}token/{PLANET}")
    page.locator("select[name=first]").select_option("cosine")
    assert page.locator("select[name=second]").input_value() == "causal"
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**first=cosine&second=causal**")
    expect(page.locator("table[data-geometry]").first).to_have_attribute("data-geometry", "cosine")


def test_enter_takes_what_is_suggested(pages: Served, visitor: Visitor) -> None:
    """An id without its sign; and no piece of bytes stands beside a text."""
    page = visitor.page
    page.goto(pages.address)
    box = page.get_by_role("combobox", name="Token", exact=True)
    box.press_sequentially("46835")
    expect(page.get_by_role("option").first).to_contain_text("planet #46835")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/token/{PLANET}")
    box.press_sequentially("é")
    expect(page.get_by_role("option").first).to_contain_text("é")
    assert not re.search("[ÃĠÂ]", " ".join(page.get_by_role("option").all_inner_texts()))


def test_a_table_is_saved_whole(smollm2: Built, pages: Served, visitor: Visitor, tmp_path: Path) -> None:
    """With the columns that a phone hides, and every digit."""
    page = visitor.page
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{pages.address}token/{PLANET}")
    region = page.get_by_role("region", name="30 nearest by cosine similarity")
    with page.expect_download() as saving:
        region.get_by_role("button", name="CSV").click()
    assert saving.value.suggested_filename == "planet-#46835-30-nearest-by-cosine-similarity.csv"
    saving.value.save_as(tmp_path / "saved.csv")
    with (tmp_path / "saved.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    answer = query("neighbors", "planet", "--index", smollm2.path)[0]["cosine"]
    assert [(int(row["rank"]), int(row["id"]), float(row["similarity"]), float(row["chord"])) for row in rows] == [
        (place["rank"], place["id"], place["similarity"], place["distance"]) for place in answer
    ]
    assert rows[0]["token"] == "␣Planet"


def test_exact_texts_are_read_in_every_script(visitor: Visitor, tmp_path: Path) -> None:
    texts = [f"filler{place}" for place in range(30)] + ["ภาษาไทย", "مرحبا", 'a"\n\u202e']
    with served(bundle_of(tmp_path / "scripts", texts)) as running:
        for row in range(30, 33):
            visitor.page.goto(f"{running.address}token/{row}")
            cell = visitor.page.locator(".facts tr", has_text="exact text").locator("td")
            assert cell.inner_text() == quoted(texts[row])


def test_a_quoted_text_is_json() -> None:
    for text in ("ภาษาไทย", "مرحبا", 'a"\n\u202e\\', "\u00a0 x", "\U0001f469\u200d", "\x7f"):
        assert json.loads(quoted(text)) == text
    assert quoted("ไทย é ") == '"ไทย é "'
    assert quoted("a\u202eb") == '"a\\u202eb"'
