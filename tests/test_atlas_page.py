"""The map in a browser: what it shows, what pointers, fingers and keys do to it, and what a link restores."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import Served, Visitor, bundle_of, chromium, served, with_map
from playwright.sync_api import Browser, Locator, Page, expect

import index
from index.geometry.maps import Geometry

V = 240


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    drawn = np.random.default_rng(3).normal(size=(V, 2)).astype(np.float32)
    drawn[3] = drawn[4]  # twins
    return drawn


@pytest.fixture(scope="module")
def mapped(places: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [f"token{place}" for place in range(V)]
    return with_map(bundle_of(tmp_path_factory.mktemp("atlas"), texts, K=100), places)


@pytest.fixture(scope="module")
def pages(mapped: Path) -> Iterator[Served]:
    with served(mapped) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    visitor = Visitor.of(context.new_page())
    yield visitor
    context.close()
    assert visitor.outside == []
    assert visitor.complaints == []


@pytest.mark.slow("one walk over all of the map in a browser")
def test_home_is_the_map(visitor: Visitor, pages: Served) -> None:
    page = visitor.page
    page.goto(pages.address)
    expect(page.locator(".plane")).to_have_attribute("aria-busy", "false")
    assert_no_names_overlap(page)
    # Keys alone: to the map, nearer, and to the search box.
    canvas = page.locator(".plane canvas")
    canvas.focus()
    for key in ("+", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    page.wait_for_url("**/?at=*")
    page.keyboard.press("Enter")
    expect(page.locator(".joins .picked")).to_have_count(1)
    expect(page.locator(".under")).to_contain_text(page.locator(".picked h2").inner_text())
    page.keyboard.press("Escape")
    expect(page.locator(".picked:not(circle)")).to_be_hidden()
    page.keyboard.press("Enter")
    page.wait_for_url("**token=*")
    picked = parse_qs(urlsplit(page.url).query)["token"][0]
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/token/{picked}")
    page.get_by_role("link", name="On the map").click()
    ready(page)
    expect(page.locator(".picked h2")).to_contain_text(f"#{picked}")
    canvas.focus()
    page.keyboard.press("Escape")
    page.get_by_label("Color").select_option("kept_causal")
    expect(page.locator(".chosen input")).to_have_count(2)
    name = page.locator(".names a:not([hidden])").first
    row = int(name.get_attribute("data-row") or "")
    box = canvas.bounding_box()
    assert box is not None
    left, top = page.evaluate(
        "(link) => { const box = link.getBoundingClientRect(); return [box.left - 6, box.top + 9]; }",
        name.element_handle(),
    )
    page.mouse.click(left, top)
    expect(page.locator(".picked h2")).to_contain_text(f"#{row}")
    expect(page.locator(".joins line")).not_to_have_count(0)
    key = page.locator(".joined .key li")
    expect(key).to_have_count(3)
    for why, each in zip(("both", "first", "second"), key.all(), strict=True):
        expect(each).to_contain_text(re.compile(rf"\b{page.locator(f'.joins line.{why}').count()} in "))
        assert each.locator(f"line.{why}").count() == 1
    expect(page.locator(".picked:not(circle)")).not_to_contain_text("hubs")  # there are none
    page.wait_for_url(f"**token={row}*color=kept_causal*")
    # A link shows the same.
    seen = page.evaluate("document.querySelector('.plane canvas').toDataURL()")
    address = page.url
    again = page.context.new_page()
    again.goto(address)
    expect(again.locator(".plane")).to_have_attribute("aria-busy", "false")
    expect(again.locator(".picked h2")).to_contain_text(f"#{row}")
    again.wait_for_timeout(400)
    assert again.evaluate("document.querySelector('.plane canvas').toDataURL()") == seen
    again.close()
    # What the legend hides is no longer drawn in full.
    page.locator(".chosen input[name=from]").fill("200")
    page.wait_for_url("**only=kept_causal%3A200*")
    page.wait_for_timeout(400)
    assert page.evaluate("document.querySelector('.plane canvas').toDataURL()") != seen
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.get_by_role("link", name="About").click()
    expect(page.get_by_text("Densest token under each rule")).to_be_visible()
    page.wait_for_load_state("networkidle")


def ready(page: Page) -> None:
    for frame in page.locator(".plane").all():
        expect(frame).to_have_attribute("aria-busy", "false")


def shown(page: Page) -> int:
    """How many tokens the page says that it shows."""
    return int(re.sub(r"\D", "", page.locator(".shown").inner_text().split("of")[0]))


def open_filter(page: Page, name: str) -> Locator:
    filters = page.locator(".filters")
    if filters.get_attribute("open") is None:
        filters.locator("> summary").click()
    part = filters.locator(f"details[data-name={name}]")
    part.locator("> summary").click()
    expect(part.locator(".legend")).to_be_visible()
    return part


def brush(page: Page, histogram: Locator, first: int, last: int) -> None:
    """Drag from one bar to another, of fifty."""
    histogram.scroll_into_view_if_needed()
    box = histogram.bounding_box()
    assert box is not None
    middle = [box["x"] + (bar + 0.5) * box["width"] / 50 for bar in (first, last)]
    page.mouse.move(middle[0], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(middle[1], box["y"] + 20, steps=5)
    page.mouse.up()


def bars(column: np.ndarray, first: int, last: int, *, logarithmic: bool) -> np.ndarray:
    """Which tokens are in some of fifty equal bars, by the numbers of `tokens.parquet`."""
    scaled = np.log(column) if logarithmic else column
    share = (scaled - scaled.min()) / (scaled.max() - scaled.min())
    bar = np.minimum((share * 50 + 1e-9).astype(int), 49)
    return (bar >= first) & (bar <= last)


def test_brushing_shows_what_parquet_counts(visitor: Visitor, pages: Served, mapped: Path, tmp_path: Path) -> None:
    """Two histograms: each filters the other, the dots, the table, its CSV and its ids."""
    page = visitor.page
    table = pq.read_table(mapped / "tokens.parquet")
    norms, densities = (table[name].to_numpy() for name in ("causal_norm", "density_distinct"))
    norm, density = bars(norms, 10, 30, logarithmic=False), bars(densities, 5, 40, logarithmic=True)
    page.goto(pages.address)
    ready(page)
    assert shown(page) == V
    page.locator(".tokens > summary").click()
    first = open_filter(page, "causal_norm")
    brush(page, first.locator("svg"), 10, 30)
    expect(page.locator(".shown")).to_contain_text(f"{norm.sum()} of {V} tokens")
    second = open_filter(page, "density_distinct")
    brush(page, second.locator("svg"), 40, 5)
    expect(page.locator(".shown")).to_contain_text(f"{(norm & density).sum()} of {V} tokens")
    # Each histogram counts what the other one shows, whatever its own filter.
    expect(first.locator(".said")).to_contain_text(f"{(norm & density).sum()} tokens")
    heights = first.locator("rect").evaluate_all("bars => bars.map((bar) => Number(bar.getAttribute('height')) > 0)")
    assert heights == [bool((bars(norms, bar, bar, logarithmic=False) & density).any()) for bar in range(50)]
    # The table: sorted by a column, only as many lines as fit, CSV with numbers in full, ids for a set.
    expected = np.flatnonzero(norm & density)
    lines = page.locator(".tokens tbody tr[data-row]")
    expect(page.locator(".tokens table")).to_have_attribute("aria-rowcount", str(len(expected) + 1))
    page.get_by_role("button", name="causal norm").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("causal norm")
    expect(page.get_by_role("button", name="causal norm")).to_be_focused()
    # No column is cut off; others are shown where they are chosen.
    frame = page.locator(".tokens .lines")
    assert frame.evaluate("(each) => each.scrollWidth <= each.clientWidth")
    heads = frame.locator("th").all_inner_texts()
    page.get_by_text("Columns", exact=True).click()
    page.locator(".choose").get_by_label("Euclidean norm").check()
    expect(frame.locator("th")).to_have_count(len(heads) + 1)
    assert {"id", "token", "causal norm", "Euclidean norm"} <= set(frame.locator("th").all_inner_texts())
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("causal norm")
    ordered = expected[np.argsort(norms[expected], kind="stable")]
    assert 0 < lines.count() < 60
    seen = lines.evaluate_all("rows => rows.map((row) => Number(row.dataset.row))")
    assert seen == ordered[: len(seen)].tolist()
    with page.expect_download() as kept:
        page.get_by_role("button", name="CSV").click()
    kept.value.save_as(tmp_path / "tokens.csv")
    with (tmp_path / "tokens.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [int(each["id"]) for each in read] == ordered.tolist()
    assert [float(each["causal_norm"]) for each in read] == norms[ordered].tolist()
    assert [each["token"] for each in read] == [f"token{row}" for row in ordered]
    with page.expect_download() as kept:
        page.get_by_role("button", name="ids, for a set").click()
    kept.value.save_as(tmp_path / "tokens.txt")
    assert sorted(map(int, (tmp_path / "tokens.txt").read_text().split())) == expected.tolist()
    # A link shows the same, and the button all again.
    page.wait_for_url("**only=causal_norm%3A50%2C155*only=density_distinct%3A25%2C205*")
    page.goto(page.url)
    ready(page)
    assert shown(page) == len(expected)
    page.get_by_role("button", name="show all").click()
    expect(page.locator(".shown")).to_have_text(f"All {V} tokens are shown")
    page.wait_for_load_state("networkidle")


def test_two_maps_are_one_selection(visitor: Visitor, pages: Served, places: np.ndarray) -> None:
    page = visitor.page
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(pages.address)
    ready(page)
    page.get_by_role("link", name="Causal and cosine").click()
    ready(page)
    expect(page.locator(".plane")).to_have_count(2)
    assert [frame.get_attribute("data-layout") for frame in page.locator(".plane").all()] == ["causal", "cosine"]
    # A pointer in one lights up the same token in the other.
    canvas = page.locator(".plane canvas").first
    box = canvas.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for step in range(30):
        page.mouse.move(middle[0] - 40 + 3 * step, middle[1])
        if page.locator(".joins .lit").count():
            break
    expect(page.locator(".joins .lit")).to_have_count(2)
    # So do a click, with lines, and a rectangle.
    page.mouse.down()
    page.mouse.up()
    expect(page.locator(".joins circle.picked")).to_have_count(2)
    assert page.locator(".plane >> nth=1 >> .joins line").count() > 10
    page.get_by_label("selects a rectangle").check()
    page.mouse.move(middle[0] - 60, middle[1] - 70)
    page.mouse.down()
    page.mouse.move(middle[0] + 80, middle[1] + 50, steps=4)
    page.mouse.up()
    page.wait_for_url("**area=causal*")
    corners = np.array(parse_qs(urlsplit(page.url).query)["area"][0].split(":")[1].split(","), float).reshape(4, 2)
    placed = places[~np.isnan(places).any(axis=1)]
    within = ((placed > corners.min(axis=0)) & (placed < corners.max(axis=0))).all(axis=1)
    assert 0 < within.sum() < V
    assert shown(page) == within.sum()
    # A lasso around the same corners selects the same; keys alone select what is seen.
    page.get_by_label("selects by a lasso").check()
    page.mouse.move(middle[0] - 60, middle[1] - 70)
    page.mouse.down()
    for across, down in ((80, -70), (80, 50), (-60, 50)):
        page.mouse.move(middle[0] + across, middle[1] + down)
    page.mouse.up()
    expect(page.locator(".shown")).to_contain_text(f"{within.sum()} of")
    again = page.url
    page.goto(again)
    ready(page)
    assert shown(page) == within.sum()
    canvas.focus()
    for key in ("0", "s"):
        page.keyboard.press(key)
    expect(page.locator(".shown")).to_have_text(f"All {V} tokens are shown")
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_all_that_opens_reads_well(
    visitor: Visitor, pages: Served, width: int, scheme: Literal["light", "dark"]
) -> None:
    """No rule of axe-core is broken, and nothing is wider than the window."""
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{pages.address}?beside&color=kind&token=9")
    ready(page)
    open_filter(page, "causal_norm")
    page.locator(".tokens > summary").click()
    expect(page.locator(".tokens tbody tr[data-row]")).not_to_have_count(0)
    page.locator(".truth > summary").click()
    page.keyboard.press("/")
    page.keyboard.type("token1")
    expect(page.locator("#search-suggestions [role=option]").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.wait_for_load_state("networkidle")


def test_a_large_map_is_drawn_while_it_is_moved(visitor: Visitor, pages: Served) -> None:
    """151,936 points in place of the bundle's: each move is drawn, and names still do not overlap."""
    page, points = visitor.page, 151_936
    drawn = np.random.default_rng(0).normal(size=(2, points)).astype("<f4")
    ids = np.arange(points, dtype="<i4")
    answers = {
        "names": json.dumps(
            {"texts": [f"t{token_id}" for token_id in ids], "order": ids.tolist(), "apart": {"causal": [0, 1, 2]}}
        ).encode(),
        "colorings": b"[]",
    }
    packed = drawn.tobytes() + ids.tobytes()
    page.route("**/map/**", lambda route: route.fulfill(body=answers.get(route.request.url.split("/")[-1], packed)))
    page.goto(pages.address)
    ready(page)
    expect(page.locator(".joins text")).to_have_text("3 untrained, in no order")
    canvas = page.locator(".plane canvas")
    canvas.focus()
    seen = set()
    for key in ("ArrowLeft", "ArrowUp", "+", "+", "ArrowRight"):
        page.keyboard.press(key)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seen.add(page.evaluate("document.querySelector('.plane canvas').toDataURL()"))
    assert len(seen) == 5
    assert_no_names_overlap(page)
    expect(page.locator(".shown")).to_contain_text("All 151,936")
    page.wait_for_load_state("networkidle")


def test_a_link_that_is_wrong_shows_the_map(visitor: Visitor, pages: Served) -> None:
    page = visitor.page
    for wrong in (
        "area=nolayout:0,0,1,0,1,1",
        "area=causal:x",
        "only=nothing:1,2",
        "color=nothing&token=9999",
        "at=a",
    ):
        page.goto(f"{pages.address}?{wrong}")
        ready(page)
        assert shown(page) == V, wrong
        expect(page.locator(".problem")).to_have_count(0)
    # From further away than the whole is seen, and nearer than dots can be told apart, there is nothing to see.
    page.goto(pages.address)
    ready(page)
    page.locator(".plane canvas").focus()
    spans = []
    for key in ("-", "+"):
        for _ in range(40):
            page.keyboard.press(key)
        page.wait_for_timeout(400)
        spans.append(float(parse_qs(urlsplit(page.url).query)["at"][0].split(",")[2]))
        page.keyboard.press("0")
    page.wait_for_timeout(400)
    whole = float(parse_qs(urlsplit(page.url).query)["at"][0].split(",")[2])
    np.testing.assert_allclose(spans, [4 * whole, whole / 1e6], rtol=1e-3)
    page.wait_for_load_state("networkidle")


def test_a_map_that_does_not_come_is_said(browser: Browser, pages: Served) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/names", lambda route: route.fulfill(status=404, body="there is no such map"))
    page.goto(pages.address)
    ready(page)
    expect(page.get_by_role("alert")).to_contain_text("The map cannot be shown")
    page.wait_for_load_state("networkidle")
    context.close()


def test_however_many_dots_on_a_pixel_are_seen(visitor: Visitor, pages: Served) -> None:
    """262,144 are more than 16 bits count, of dots whose colors are mixed and of those that cover each other."""
    page = visitor.page
    page.goto(f"{pages.address}about")
    opacities = page.evaluate(
        """async () => {
            const { Dots } = await import("/static/dots.js");
            const canvas = document.body.appendChild(document.createElement("canvas"));
            const dots = new Dots(canvas);
            const x = new Float32Array(262_144);
            const look = { codes: null, palette: [[9, 9, 9]], hidden: null, soft: [0, 0, 0], ratio: 1 };
            return [0.5, 5].map((size) => {
                dots.draw({ x: 0, y: 0, scale: 1 }, { x, y: x, ...look, size });
                return dots.context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3];
            });
        }"""
    )
    assert opacities == [255, 255]
    page.wait_for_load_state("networkidle")


def assert_no_names_overlap(page: Page) -> None:
    boxes = page.evaluate(
        "Array.from(document.querySelectorAll('.names a:not([hidden])'), "
        "(each) => each.getBoundingClientRect().toJSON())"
    )
    assert len(boxes) > 10
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            apart = one["left"] >= other["right"] or other["left"] >= one["right"]
            assert apart or one["top"] >= other["bottom"] or other["top"] >= one["bottom"]


# --- pointers, fingers, keys ------------------------------------------------------------------------------------------


class Canvas:
    """The first map of a page: where its pixels are in the plane, by its address."""

    def __init__(self, page: Page) -> None:
        self.page = page
        box = page.locator(".plane canvas").first.bounding_box()
        assert box is not None
        self.left, self.top, self.width, self.height = box["x"], box["y"], box["width"], box["height"]

    @property
    def view(self) -> np.ndarray:
        """The middle and the span, as the address has them a moment after the map stands still."""
        self.page.wait_for_url("**at=*")
        return np.array(parse_qs(urlsplit(self.page.url).query)["at"][0].split(","), float)

    def after(self, act: Callable[[], object]) -> np.ndarray:
        """What is seen after something that moves the map."""
        before = self.page.url
        act()
        self.page.wait_for_url(lambda url: url != before)
        return self.view

    def point(self, view: np.ndarray, left: float, top: float) -> np.ndarray:
        x, y, span = view
        scale = min(self.width, self.height) / span
        return np.array([x + (left - self.width / 2) / scale, y - (top - self.height / 2) / scale])

    def pixels(self, view: np.ndarray, points: np.ndarray) -> np.ndarray:
        x, y, span = view
        scale = min(self.width, self.height) / span
        return np.stack(
            [(points[:, 0] - x) * scale + self.width / 2, (y - points[:, 1]) * scale + self.height / 2], axis=1
        )


def test_a_pointer_zooms_about_itself(visitor: Visitor, pages: Served) -> None:
    """The wheel, a double click, two fingers, a pinch of a touchpad: what is under the pointer stays under it."""
    page = visitor.page
    page.goto(pages.address)
    ready(page)
    canvas, mouse = Canvas(page), page.mouse
    seen = canvas.view
    left, top = round(canvas.left + 0.7 * canvas.width), round(canvas.top + 0.3 * canvas.height)  # whole pixels
    across, down = left - canvas.left, top - canvas.top
    mouse.move(left, top)

    def double_click() -> None:
        mouse.dblclick(left, top)

    def with_key(key: str, act: Callable[[], None]) -> Callable[[], None]:
        def held() -> None:
            page.keyboard.down(key)
            act()
            page.keyboard.up(key)

        return held

    nearer = {
        "wheel": (lambda: mouse.wheel(0, -200), np.exp(0.3)),
        "wheel back": (lambda: mouse.wheel(0, 400), np.exp(-0.6)),
        "touchpad": (with_key("Control", lambda: mouse.wheel(0, -40)), np.exp(0.3)),
        "double click": (double_click, 1.5),
        "double click with Shift": (with_key("Shift", double_click), 1 / 1.5),
    }
    for what, (act, factor) in nearer.items():
        now = canvas.after(act)
        assert seen[2] / now[2] == pytest.approx(factor, rel=1e-3), what
        under = canvas.point(seen, across, down), canvas.point(now, across, down)
        np.testing.assert_allclose(*under, atol=2e-4 * seen[2], err_msg=what)
        seen = now
    # Dragged, what was under the pointer comes along.
    mouse.move(canvas.left + 300, canvas.top + 200)
    mouse.down()
    mouse.move(canvas.left + 360, canvas.top + 170, steps=3)
    now = canvas.after(mouse.up)
    np.testing.assert_allclose(canvas.point(seen, 300, 200), canvas.point(now, 360, 170), atol=2e-4 * now[2])
    # Two fingers that go from 100 to 200 pixels apart, about their middle.
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": canvas.left + x, "y": canvas.top + y, "id": number} for number, (x, y) in enumerate(places)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (250, 200), (350, 200))
    for apart in (60, 80, 100):
        touch("touchMove", (300 - apart, 200), (300 + apart, 200))
    pinched = canvas.after(lambda: touch("touchEnd"))
    assert now[2] / pinched[2] == pytest.approx(2, rel=1e-3)
    np.testing.assert_allclose(canvas.point(now, 300, 200), canvas.point(pinched, 300, 200), atol=2e-4 * now[2])
    page.wait_for_load_state("networkidle")


def test_lines_lead_to_true_neighbors(visitor: Visitor, pages: Served, mapped: Path, places: np.ndarray) -> None:
    """Those in both lists, in one, and in the other: each line from the token to where the map has its neighbor."""
    page, row = visitor.page, 7
    page.goto(f"{pages.address}?token={row}")
    ready(page)
    canvas = Canvas(page)
    view = canvas.view
    opened, lists = index.open(mapped), []
    for geometry in (Geometry.CAUSAL, Geometry.COSINE):
        points = np.asarray(opened.spaces[geometry].points[:]).astype(np.float64)
        others = [each for each in range(V) if each not in (4, row) and each not in opened.spaces[geometry].excluded]
        lists.append(sorted(others, key=np.linalg.norm(points - points[row], axis=1).__getitem__)[:30])
    expected = {
        "both": [each for each in lists[0] if each in lists[1]],
        "first": [each for each in lists[0] if each not in lists[1]],
        "second": [each for each in lists[1] if each not in lists[0]],
    }
    ends = "lines => lines.map((line) => ['x1', 'y1', 'x2', 'y2'].map((name) => Number(line.getAttribute(name))))"
    for why, rows in expected.items():
        assert rows
        drawn = np.array(page.locator(f".joins line.{why}").evaluate_all(ends))
        start = np.repeat(canvas.pixels(view, places[[row]]), len(rows), axis=0)
        wanted = np.concatenate([start, canvas.pixels(view, places[rows])], axis=1)
        by = [np.lexsort(each.T) for each in (np.round(drawn), np.round(wanted))]
        np.testing.assert_allclose(drawn[by[0]], wanted[by[1]], atol=1)
    # The nearest of both are named, and each is a step on: the map flies there.
    named = page.locator(".nearest p")
    for line, rows in zip(named.all(), lists, strict=True):
        assert line.get_by_role("button").all_inner_texts() == [f"token{each}" for each in rows[:8]]
    named.first.get_by_role("button").first.click()
    page.wait_for_url(f"**token={lists[0][0]}*")
    expect(page.locator(".picked h2")).to_contain_text(f"#{lists[0][0]}")
    page.wait_for_load_state("networkidle")


def test_search_picks_on_the_map(visitor: Visitor, pages: Served, places: np.ndarray) -> None:
    """By keys alone: from the search box to a token, to a neighbor, and to its page."""
    page = visitor.page
    page.goto(pages.address)
    ready(page)
    canvas = Canvas(page)
    picked, box = page.locator(".picked h2"), page.get_by_role("combobox", name="Token")
    options = page.locator("#search-suggestions [role=option]")
    # What is typed whole is picked, in the middle of the map, and its neighbors are a key away.
    page.keyboard.press("/")
    page.keyboard.type("token77")
    page.keyboard.press("Enter")
    expect(picked).to_contain_text("token77 #77")
    expect(picked.get_by_role("link")).to_be_focused()
    expect(page.locator("#search-suggestions")).to_be_hidden()
    page.wait_for_url("**token=77*")
    page.wait_for_function("() => new URLSearchParams(location.search).get('at').split(',')[2] < 3")
    np.testing.assert_allclose(canvas.view[:2], places[77], atol=1e-3)
    page.keyboard.press("Tab")
    neighbor = page.locator(":focus").inner_text()
    page.keyboard.press("Enter")
    expect(picked).to_contain_text(f"{neighbor} #")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text(neighbor)
    page.go_back()
    ready(page)
    # Of several that may be meant one is chosen; another one by arrows, or by a click.
    for typed, keys in (("oken7", ["Enter"]), ("token9", ["ArrowDown"])):
        box.fill("")
        box.press_sequentially(typed)
        expect(options.first).to_be_visible()
        for key in keys:
            page.keyboard.press(key)
        chosen = page.locator("#search-suggestions [aria-selected=true]")
        expect(chosen).to_have_count(1)
        said = chosen.locator("bdi").inner_text()
        page.keyboard.press("Enter")
        expect(picked).to_contain_text(f"{said} #")
    box.fill("")
    box.press_sequentially("token123")
    options.first.click()
    expect(picked).to_contain_text("token123 #123")
    assert urlsplit(page.url).path == "/"
    # So is what is named on the map, by a click on its name.
    page.wait_for_url("**token=123*")
    name = page.locator(".names a:not([hidden]):not([data-row='123'])").last
    said = name.inner_text()
    name.click(force=True)
    expect(picked).to_contain_text(f"{said} #")
    # What nothing is like has the search's own page.
    box.fill("⸘⸘⸘")
    box.press("Enter")
    expect(page.locator("h1")).to_have_text("No such token")
    visitor.complaints.clear()  # of its status
    page.wait_for_load_state("networkidle")


def test_the_map_on_paper(visitor: Visitor, pages: Served, places: np.ndarray) -> None:
    """As wide as the paper, with names beside their dots; afterwards as it was."""
    page = visitor.page
    page.goto(f"{pages.address}?token=7&color=kept_causal")
    ready(page)
    canvas = Canvas(page)
    view = canvas.view
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    paper = Canvas(page)
    assert (round(paper.width), round(paper.height)) in {(638, 478), (640, 480)}
    assert page.locator(".plane canvas").evaluate("(each) => each.width") == 3 * round(paper.width)
    names = page.locator(".names a:not([hidden])").evaluate_all(
        "all => all.map((each) => [Number(each.dataset.row), ...each.style.transform.match(/-?[\\d.]+/g).map(Number)])"
    )
    assert len(names) > 10
    at = paper.pixels(view, places[[int(row) for row, _, _ in names]])
    np.testing.assert_allclose(np.array(names)[:, 1:] - [6, -9], at, atol=0.1)
    for hidden in (".zoom", ".tools", ".tokens", ".top", ".filters"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.locator(".picked h2")).to_be_visible()
    assert page.evaluate("document.querySelector('.plane').scrollWidth") <= 640
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    again = Canvas(page)
    assert (again.width, again.height) == (canvas.width, canvas.height)
    np.testing.assert_allclose(again.view, view)
    assert len(page.pdf()) > 20_000
    page.wait_for_load_state("networkidle")
