"""`explore` as a person meets it: in real headless Chromium, what the page shows is what `neighbors --json` says."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import (
    MARKUP,
    Served,
    Visitor,
    assert_shows,
    bundle_of,
    charts,
    chromium,
    expected_list,
    heading,
    on_a_grid,
    served,
    shown_lists,
    with_map,
)
from conftest import Built, query
from playwright.sync_api import Browser, expect

import index
from index.pictures.explore import map as explore_map
from index.tokens.display import display

PHONE, DESKTOP = 360, 1280
PIXELS = """(() => {
    const canvas = document.querySelector(".map canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(pixels.buffer));
})"""
"""The colors of the map."""

PLANET, SPACE_PLANET = 46835, 3925


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def smollm2_pages(smollm2: Built) -> Iterator[Served]:
    with served(smollm2.path) as running:
        yield running


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """A window that must ask nothing outside and complain of nothing."""
    context = browser.new_context(viewport={"width": DESKTOP, "height": 900})
    visitor = Visitor.of(context.new_page())
    yield visitor
    context.close()
    assert visitor.outside == []
    assert visitor.complaints == []


def test_a_walk(smollm2: Built, smollm2_pages: Served, visitor: Visitor) -> None:
    """Search, follow a neighbor, back, forward, a link to a token."""
    page = visitor.page
    page.goto(smollm2_pages.address)
    page.get_by_role("combobox", name="Token", exact=True).press_sequentially("planet")
    option = page.get_by_role("option").first
    expect(option).to_contain_text(f"planet #{PLANET}")
    option.click()
    page.wait_for_url(f"**/token/{PLANET}")
    answer = query("neighbors", "planet", "--index", smollm2.path)[0]
    assert_shows(page, answer)
    page.locator("table[data-geometry=causal] a").first.click()
    page.wait_for_url(f"**/token/{SPACE_PLANET}")
    assert_shows(page, query("neighbors", f"#{SPACE_PLANET}", "--index", smollm2.path)[0])
    page.go_back()
    page.wait_for_url(f"**/token/{PLANET}")
    assert_shows(page, answer)
    page.go_forward()
    assert heading(page).split() == ["␣planet", f"#{SPACE_PLANET}"]
    page.goto(f"{smollm2_pages.address}token/7")
    assert_shows(page, query("neighbors", "#7", "--index", smollm2.path)[0])
    expect(charts(page)).to_have_count(5)


def test_another_geometry_stays_chosen(smollm2: Built, smollm2_pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(f"{smollm2_pages.address}token/{PLANET}")
    page.locator("select[name=second]").select_option("causal-cosine")
    page.get_by_role("spinbutton", name="Neighbors").fill("12")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**second=causal-cosine**")
    asked = ("--index", smollm2.path, "--geometry", "causal,causal-cosine", "--top", 12)
    assert_shows(page, query("neighbors", f"#{PLANET}", *asked)[0])
    page.locator("table[data-geometry=causal-cosine] a").nth(1).click()
    page.wait_for_url(re.compile(r"/token/(?!46835)\d+\?second=causal-cosine&top=12$"))
    followed = re.search(r"token/(\d+)", page.url)
    assert followed is not None
    assert_shows(page, query("neighbors", f"#{followed[1]}", *asked)[0])
    page.get_by_role("combobox", name="Token", exact=True).fill("star")
    page.keyboard.press("Enter")
    page.wait_for_url("**/token/16079?second=causal-cosine&top=12")


def test_ranks_in_the_other_list(smollm2: Built, smollm2_pages: Served, visitor: Visitor) -> None:
    visitor.page.goto(f"{smollm2_pages.address}token/{PLANET}")
    causal, cosine = shown_lists(visitor.page)
    seen = set()
    for row, other in ((causal["rows"][0], "cosine"), (causal["rows"][4], "cosine"), (cosine["rows"][6], "causal")):
        exact = query("rank", f"#{PLANET}", f"#{row['id']}", "--index", smollm2.path)[other]["b_in_a"]
        assert row["other"] == (str(exact) if exact <= 100 else ">100")
        seen.add(row["other"].startswith(">"))
    assert seen == {True, False}


def test_an_analogy(smollm2: Built, smollm2_pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(smollm2_pages.address)
    page.get_by_label("Analogy").fill("planets - planet + star")
    page.get_by_role("button", name="Find").click()
    page.wait_for_url("**/analogy?terms=planets*")
    answer = query("analogy", "planets - planet + star", "--top", 30, "--index", smollm2.path)
    lists = shown_lists(page)
    assert [each["geometry"] for each in lists] == ["causal", "cosine", "causal-cosine"]
    for shown in lists:
        expected = expected_list(answer, shown["geometry"])
        assert [(row["rank"], row["id"], row["figures"]) for row in shown["rows"]] == [
            (place["rank"], place["id"], place["figures"]) for place in expected
        ]
    page.locator("table[data-geometry=cosine] a").first.click()
    page.wait_for_url(f"**/token/{answer['cosine'][0]['id']}")


def test_the_keyboard_alone(smollm2: Built, smollm2_pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(smollm2_pages.address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    box = page.get_by_role("combobox", name="Token", exact=True)
    expect(box).to_be_focused()
    page.keyboard.type("plane", delay=20)
    expect(page.get_by_role("option").first).to_contain_text("plane")
    expect(box).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    chosen = page.locator("[role=option][aria-selected=true]")
    expect(chosen).to_have_count(1)
    expect(box).to_have_attribute("aria-activedescendant", str(chosen.get_attribute("id")))
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    page.keyboard.type("t")
    expect(page.get_by_role("option").first).to_contain_text(f"planet #{PLANET}")
    page.keyboard.press("ArrowUp")  # from none to the last
    page.keyboard.press("ArrowDown")  # and around to the first
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/token/{PLANET}")
    # On to the first neighbor, by Tab as far as it takes.
    neighbor = "document.activeElement.closest('table[data-geometry] td a')?.getAttribute('href') ?? ''"
    for _ in range(40):
        page.keyboard.press("Tab")
        if address := page.evaluate(neighbor):
            break
    nearest = query("neighbors", "planet", "--index", smollm2.path)[0]["causal"][0]["id"]
    assert address == f"/token/{nearest}"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/token/{nearest}")


def test_suggestions_are_taken_by_a_click(smollm2_pages: Served, visitor: Visitor) -> None:
    """Not by another button, nor by a press that is drawn away."""
    page = visitor.page
    page.goto(smollm2_pages.address)
    box = page.get_by_role("combobox", name="Token", exact=True)
    box.press_sequentially("planet")
    option = page.get_by_role("option").first
    expect(option).to_contain_text(f"planet #{PLANET}")
    option.click(button="right")
    expect(page.get_by_role("listbox")).to_be_visible()
    option.hover()
    page.mouse.down()
    expect(box).to_be_focused()
    page.mouse.move(5, 800)
    page.mouse.up()
    page.wait_for_load_state("networkidle")
    assert page.url == smollm2_pages.address
    option.click()
    page.wait_for_url(f"**/token/{PLANET}")


def test_a_finger_that_scrolls_takes_no_suggestion(smollm2_pages: Served, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 500}, has_touch=True)
    page = context.new_page()
    page.goto(smollm2_pages.address)
    page.get_by_role("combobox", name="Token", exact=True).press_sequentially("planet")
    option = page.get_by_role("option").nth(2)
    place = option.bounding_box()
    assert place is not None
    x, y = place["x"] + 20, place["y"] + 10
    session = context.new_cdp_session(page)
    touch = "Input.dispatchTouchEvent"
    session.send(touch, {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 6):
        session.send(touch, {"type": "touchMove", "touchPoints": [{"x": x, "y": y - 30 * step}]})
    session.send(touch, {"type": "touchEnd", "touchPoints": []})
    page.wait_for_load_state("networkidle")
    assert page.url == smollm2_pages.address
    page.evaluate("scrollTo(0, 0)")
    option.tap()
    page.wait_for_url("**/token/*")
    context.close()


@pytest.mark.parametrize("width", [390, DESKTOP])
def test_an_exact_text_is_exact(width: int, smollm2: Built, smollm2_pages: Served, visitor: Visitor) -> None:
    """A newline and eighty spaces, over as many lines as they need."""
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{smollm2_pages.address}token/46778")
    text = query("neighbors", "#46778", "--index", smollm2.path)[0]["token"]["text"]
    assert (text[0], len(text) > 70, set(text[1:])) == ("\n", True, {" "})
    cell = page.locator(".facts tr", has_text="exact text").locator("td")
    assert cell.inner_text() == json.dumps(text)
    assert cell.evaluate("(cell) => cell.scrollWidth <= cell.clientWidth")
    if width == 390:
        line = page.locator(".facts tr", has_text="kind").first.bounding_box()
        assert cell.bounding_box()["height"] > 1.5 * line["height"]
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [390, DESKTOP])
def test_tables_of_the_vocabulary_need_no_scrolling(width: int, smollm2_pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{smollm2_pages.address}vocabulary")
    wider = "(all) => all.filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.ariaLabel)"
    assert page.locator(".scroll").evaluate_all(wider) == []
    assert page.locator(".scroll").count() == 4


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
@pytest.mark.parametrize(
    "path", ["", "token/46835", "token/7?top=100", "analogy?terms=planets-planet%2Bstar", "vocabulary"]
)
def test_reads_well(path: str, width: int, scheme: Any, smollm2_pages: Served, browser: Browser) -> None:
    """No rule of axe-core is broken, and no page is wider than its window."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(smollm2_pages.address + path)
    if path.startswith("token"):
        expect(charts(page)).to_have_count(5)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    context.close()


def test_what_is_no_token(smollm2_pages: Served, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(smollm2_pages.address)
    page.get_by_role("combobox", name="Token", exact=True).fill("planett")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_role("alert")).to_contain_text("no token has the text 'planett'")
    assert page.get_by_role("combobox", name="Token", exact=True).input_value() == "planett"
    page.locator(".near a").first.click()
    page.wait_for_url(f"**/token/{SPACE_PLANET}")
    page.goto(f"{smollm2_pages.address}token/99999999")
    expect(page.get_by_role("alert")).to_contain_text("no token has the id #99999999")
    page.goto(f"{smollm2_pages.address}analogy?terms=planet%20-")
    expect(page.get_by_role("alert")).to_contain_text("a term is missing")
    # Chromium says so of every page that is not found.
    assert [re.findall(r"status of (\d+)", each) for each in visitor.complaints] == [["404"], ["404"], ["400"]]
    visitor.complaints.clear()


@pytest.mark.slow("a browser opens the page of each hostile text, with five charts")
def test_texts_run_nothing(visitor: Visitor, tmp_path: Path) -> None:
    """Each of the worst texts on its own page, in the lists, in the charts and among the suggestions."""
    page, texts = visitor.page, [f"filler{place}" for place in range(10)] + list(MARKUP)
    with served(bundle_of(tmp_path / "hostile", texts)) as running:
        for row, text in enumerate(texts):
            page.goto(f"{running.address}token/{row}?top=20")
            expect(charts(page)).to_have_count(2 if row == 5 else 5)
            assert page.locator("h1 bdi").text_content() == display(text)
            for each in shown_lists(page):
                assert [row["text"] for row in each["rows"]] == [display(texts[row["id"]]) for row in each["rows"]]
            assert page.locator("main script, main img, main h1, iframe").count() == 2  # the charts' data, the heading
        box = page.get_by_role("combobox", name="Token", exact=True)
        for typed in ("<", "</", "&", "'", "{{"):
            box.fill(typed)
            expect(page.get_by_role("option").first).to_contain_text(typed)
            assert page.locator("#search-suggestions :not(li, bdi, small)").count() == 0
        assert page.evaluate("window.hacked") is None
        page.wait_for_load_state("networkidle")


def test_another_bundle_takes_its_place(browser: Browser, visitor: Visitor, tmp_path: Path) -> None:
    names = {name: [f"{name}{place}" for place in range(40)] for name in ("old", "new")}
    bundles = {name: bundle_of(tmp_path / name, texts, seed=ord(name[0])) for name, texts in names.items()}
    place = tmp_path / "bundle"
    shutil.move(bundles["old"], place)
    page = visitor.page
    with served(place) as running:
        page.goto(f"{running.address}token/8")
        assert heading(page).split() == ["old8", "#8"]
        shutil.move(place, tmp_path / "away")
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("no bundle in")
        shutil.move(bundles["new"], place)
        page.reload()
        assert heading(page).split() == ["new8", "#8"]
        assert_shows(page, query("neighbors", "#8", "--index", place, "--top", 20)[0])
        manifest = place / "manifest.json"
        whole = manifest.read_text(encoding="utf-8")
        manifest.write_text("{", encoding="utf-8")
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("manifest.json")
        manifest.write_text(whole, encoding="utf-8")
        page.reload()
        assert heading(page).split() == ["new8", "#8"]
        page.wait_for_load_state("networkidle")
    assert len(visitor.complaints) == 2
    assert all("status of 503" in each for each in visitor.complaints)
    visitor.complaints.clear()


@pytest.mark.slow("a map is laid out and drawn in a browser")
def test_the_map(visitor: Visitor, tmp_path: Path) -> None:
    texts = [f"token{place}" for place in range(40)]
    bundle = bundle_of(tmp_path / "mapped", texts)
    path = explore_map.default_path(bundle)
    page = visitor.page
    with served(bundle) as running:
        page.goto(f"{running.address}token/9")
        expect(page.get_by_text("There is no map of this vocabulary yet")).to_be_visible()
        page.wait_for_load_state("networkidle")
    with_map(bundle, on_a_grid(40, 8))
    with served(bundle) as running:
        page.goto(f"{running.address}token/9")
        page.wait_for_load_state("networkidle")
        canvas = page.locator(".map canvas")
        canvas.scroll_into_view_if_needed()
        expect(page.locator(".map")).to_have_attribute("aria-busy", "false")
        box = canvas.bounding_box()
        assert box is not None
        # The whole map: as large as 90 % of the canvas lets it be.
        scale = 0.9 * min(box["width"] / 7, box["height"] / 4)
        at = {"x": box["width"] / 2 + (3 - 3.5) * scale, "y": box["height"] / 2 - (2 - 2.0) * scale}
        canvas.hover(position=at)
        expect(page.locator(".under")).to_have_text("token19 #19")
        canvas.click(position=at)
        page.wait_for_url("**/token/19")
        canvas.scroll_into_view_if_needed()
        expect(page.locator(".map")).to_have_attribute("aria-busy", "false")
        assert page.evaluate(f"{PIXELS}().size") > 3
        for view in ("closer", "whole", "further", "neighborhood"):
            before = page.evaluate("document.querySelector('.map canvas').toDataURL()")
            page.get_by_role("button", name=view).click()
            assert page.evaluate("document.querySelector('.map canvas').toDataURL()") != before
        page.wait_for_load_state("networkidle")
    other = bundle_of(tmp_path / "other", texts, seed=1)
    assert explore_map.read_map(path, index.open(other)) is None
