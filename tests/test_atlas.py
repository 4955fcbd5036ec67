"""The map of a vocabulary: how true it is, against scikit-learn; what it is colored by; and the page, in a browser."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import Visitor, bundle_of, chromium, request, served
from conftest import Built, build, invoke
from playwright.sync_api import Browser, Locator, Page, expect
from sklearn.manifold import trustworthiness

import index
from index.api import QUESTIONS
from index.bundle.bundle import Bundle
from index.export.layout import FEWEST_POINTS, _disc, laid_out, set_apart
from index.geometry.maps import Geometry
from index.measures.layout import kept_shares, nearest_places, neighborhood_scores
from index.pictures.explore import map as explore_map
from index.pictures.explore.app import application
from index.pictures.explore.colorings import NONE, REST, STEPS, category, named_rows, number
from index.pictures.numbers.fidelity import fidelity, kept_neighbors
from index.search.queries import nearest_points
from index.search.ranks import plane_ranks, ranks_of

V = 240


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tmp_path_factory.mktemp("atlas"), [f"token{place}" for place in range(V)], K=100)


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    drawn = np.random.default_rng(3).normal(size=(V, 2)).astype(np.float32)
    drawn[3] = drawn[4]  # twins
    return drawn


@pytest.fixture(scope="module")
def mapped(bundle: Path, places: np.ndarray) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore_map, "lay_out", lambda *_: places)
        explore_map.make_map(index.open(bundle), explore_map.default_path(bundle))
    return bundle


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


# --- how true a map is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5, 15, 100])
def test_trustworthiness_and_continuity_are_those_of_scikit_learn(k: int) -> None:
    draw = np.random.default_rng(0)
    points = draw.normal(size=(400, 8)).astype(np.float32)
    layout = (points[:, :2] + 0.3 * draw.normal(size=(400, 2))).astype(np.float32)
    distances = np.linalg.norm(points[:, None].astype(np.float64) - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    true, near, all_rows = np.argsort(distances, axis=1)[:, :k], nearest_places(layout, k), np.arange(400)
    trust = neighborhood_scores(ranks_of(points, all_rows, near), 400).mean()
    continuity = neighborhood_scores(plane_ranks(layout, all_rows, true), 400).mean()
    assert trust == pytest.approx(trustworthiness(points.astype(float), layout.astype(float), n_neighbors=k), abs=1e-6)
    assert continuity == pytest.approx(
        trustworthiness(layout.astype(float), points.astype(float), n_neighbors=k), abs=1e-6
    )
    kept = [len(set(a) & set(b)) / k for a, b in zip(true.tolist(), near.tolist(), strict=True)]
    np.testing.assert_allclose(kept_shares(true, near), kept)
    np.testing.assert_allclose(kept_shares(true[:9], near[:9]), kept[:9])  # of a few rows, neighbors are of all


def test_a_map_that_is_true_and_one_that_is_not() -> None:
    layout = np.random.default_rng(1).normal(size=(300, 2)).astype(np.float32)
    all_rows, near = np.arange(300), nearest_places(layout, 15)
    assert neighborhood_scores(ranks_of(layout, all_rows, near), 300).mean() == pytest.approx(1, abs=1e-4)
    other = np.random.default_rng(2).normal(size=(300, 9)).astype(np.float32)
    assert neighborhood_scores(ranks_of(other, all_rows, near), 300).mean() == pytest.approx(0.5, abs=0.03)
    assert np.isnan(neighborhood_scores(np.ones((3, 2), int), 3)).all()


def test_more_places_coincide_than_are_listed() -> None:
    near = nearest_places(np.zeros((9, 2)), 3)
    assert near.shape == (9, 3)
    assert not (near == np.arange(9)[:, None]).any()


@pytest.mark.parametrize("geometry", [Geometry.CAUSAL, Geometry.COSINE])
def test_twins_are_one_and_zero_rows_none(geometry: Geometry, bundle: Path, places: np.ndarray) -> None:
    opened = index.open(bundle)
    kept = kept_neighbors(opened, places, geometry)
    without = {4} if geometry is Geometry.CAUSAL else {4, 5}  # the first of twins stands for both; row 5 is zero
    rows = np.array([row for row in range(V) if row not in without])
    points = np.asarray(opened.spaces[geometry].points[rows]).astype(np.float64)
    layout = places[rows].astype(np.float64)
    for figures in fidelity(opened, places, geometry):
        k = figures.k
        assert figures.trustworthiness == pytest.approx(trustworthiness(points, layout, n_neighbors=k), abs=1e-6)
        assert figures.continuity == pytest.approx(trustworthiness(layout, points, n_neighbors=k), abs=1e-6)
        assert (figures.trustworthiness_error, figures.continuity_error) == (0, 0)  # all of them were ranked
        lists = [
            [np.argsort(np.linalg.norm(of - one, axis=1), kind="stable")[1 : k + 1] for one in of]
            for of in (points, layout)
        ]
        shares = [len(set(true) & set(near)) / k for true, near in zip(*lists, strict=True)]
        assert figures.kept == pytest.approx(np.mean(shares))
        if k == 15:
            np.testing.assert_allclose(kept[rows], shares)
    assert kept[3] == kept[4]
    assert np.isnan(kept[5]) == (5 in without)
    assert [figures.k for figures in fidelity(opened, places, geometry)] == [15, 100]


@pytest.fixture(scope="module")
def opened_smollm2(smollm2: Built) -> Bundle:
    return index.open(smollm2.path)


@pytest.mark.parametrize("geometry", [Geometry.CAUSAL, Geometry.COSINE])
def test_the_figures_of_smollm2_are_those_of_scikit_learn(opened_smollm2: Bundle, geometry: Geometry) -> None:
    """Of 2,000 tokens among themselves: of all 49,129 scikit-learn would want 19 GB."""
    space = opened_smollm2.spaces[geometry]
    rows = np.sort(np.random.default_rng(5).permutation(laid_out(opened_smollm2, space))[:2000])
    points = np.asarray(space.points[rows])
    layout, everyone = points @ np.random.default_rng(6).normal(size=(points.shape[1], 2)), np.arange(2000)
    true = nearest_points(points, everyone, points, 101)[0][:, 1:]
    near = nearest_places(layout, 100)
    in_truth, on_map = ranks_of(points, everyone, near), plane_ranks(layout, everyone, true)
    for k in (15, 100):
        found = [neighborhood_scores(ranks[:, :k], 2000).mean() for ranks in (in_truth, on_map)]
        exact = points.astype(np.float64)
        assert found[0] == pytest.approx(trustworthiness(exact, layout, n_neighbors=k), abs=1e-6)
        assert found[1] == pytest.approx(trustworthiness(layout, exact, n_neighbors=k), abs=1e-6)


@pytest.mark.parametrize("geometry", [Geometry.CAUSAL, Geometry.COSINE])
def test_ranks_among_all_of_smollm2_are_those_of_float64(opened_smollm2: Bundle, geometry: Geometry) -> None:
    space = opened_smollm2.spaces[geometry]
    rows = laid_out(opened_smollm2, space)
    points = np.asarray(space.points[rows])
    drawn = np.array([0, 77, 4_000, 31_415, 49_000])
    near = np.random.default_rng(7).integers(len(rows), size=(len(drawn), 100))
    near[near == drawn[:, None]] = 1
    for place, found in enumerate(ranks_of(points, drawn, near)):
        apart = np.linalg.norm(points.astype(np.float64) - points[drawn[place]].astype(np.float64), axis=1)
        apart[drawn[place]] = np.inf
        nearer = np.searchsorted(np.sort(apart), apart[near[place]])
        # Ranks are by distances in float32, which leaves a few of 49,129 tokens as far as the one that is ranked.
        assert np.abs(found - 1 - nearer).max() <= 5


def test_untrained_tokens_stand_apart_in_a_disc(opened_smollm2: Bundle) -> None:
    rows = laid_out(opened_smollm2, opened_smollm2.causal)
    assert set(opened_smollm2.twins.first[np.flatnonzero(opened_smollm2.untrained)]).isdisjoint(rows)
    assert len(rows) == len(np.unique(opened_smollm2.twins.first[~opened_smollm2.untrained]))
    assert (
        set_apart(opened_smollm2, opened_smollm2.causal).tolist() == np.flatnonzero(opened_smollm2.untrained).tolist()
    )
    layout = np.random.default_rng(8).normal(size=(1000, 2))
    disc = _disc(layout, 90)
    assert disc[:, 0].min() > layout[:, 0].max()
    spacing = np.linalg.norm(disc[:, None] - disc, axis=2)[np.triu_indices(90, 1)]
    assert spacing.min() > 0
    (width, height), (across, up) = np.ptp(layout, axis=0), np.ptp(disc, axis=0)
    assert across * up / (width * height) == pytest.approx(0.09 * 4 / np.pi, rel=0.2)  # as dense as the layout


def test_few_trained_points_are_laid_out_with_the_others(tmp_path: Path) -> None:
    """A vocabulary of nothing but copies and one token has no five trained points, and not five points either."""
    small = index.open(bundle_of(tmp_path, [f"t{place}" for place in range(FEWEST_POINTS + 1)], K=5))
    assert len(laid_out(small, small.causal)) == FEWEST_POINTS
    assert not explore_map.enough_points(small, small.cosine)


def test_a_build_lays_out_the_maps(tmp_path: Path) -> None:
    rows = np.random.default_rng(9).normal(size=(130, 6)).astype(np.float32)
    rows[3], rows[5] = rows[4], 0
    np.save(tmp_path / "gamma.npy", rows)
    swept = invoke("build_index.py", "--sweep", tmp_path / "list.txt", "--map", "--out", tmp_path / "out")
    assert (swept.code, "--map does not go with --sweep" in swept.err) == (2, True)
    steps: list[tuple[str, int, int]] = []
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 20, "--map")
    opened, path = index.open(tmp_path / "bundle"), explore_map.default_path(tmp_path / "bundle")
    found = explore_map.read_map(path, opened)
    assert found is not None
    explore_map.make_map(opened, tmp_path / "again.parquet", lambda *step: steps.append(step))
    again = explore_map.read_map(tmp_path / "again.parquet", opened)
    assert again is not None
    assert again.fingerprint == found.fingerprint  # nothing in it is drawn at random
    assert [(step, done) for step, done, total in steps if done == total] == [
        (f"{what} the {label} map", 1000 if what == "laying out" else 1)
        for label in ("causal", "cosine")
        for what in ("laying out", "checking")
    ]
    assert list(found.layouts) == ["causal", "cosine"]
    for label, placed in found.layouts.items():
        assert np.array_equal(placed[3], placed[4])
        assert np.isnan(placed[5]).all() == (label == "cosine")
        assert np.isfinite(np.delete(placed, 5, axis=0)).all()
    # Six dimensions leave many neighbors in two; 15 of 128 would be 0.12 by chance.
    assert [(each.geometry, each.k) for each in found.fidelity] == [("causal", 15), ("cosine", 15)]
    assert found.fidelity[0].kept > 0.35


# --- colors -------------------------------------------------------------------------------------------------------


def test_a_category_has_its_most_frequent_values_first_and_the_rest_as_one() -> None:
    values = [f"v{place:02}" for place in range(20) for _ in range(20 - place)]
    made = category("c", "c", "", [*values, None])
    assert made.labels == (*(f"v{place:02}" for place in range(10)), REST)
    assert made.codes[-1] == NONE
    assert [made.labels[code] for code in made.codes[:-1]] == [
        value if value in made.labels else REST for value in values
    ]


@pytest.mark.parametrize("logarithmic", [False, True])
def test_numbers_are_divided_into_equal_steps(logarithmic: bool) -> None:
    values = np.array([1.0, 10, 100, 1000, np.inf, np.nan, 0])
    made = number("n", "n", "", values, logarithmic=logarithmic)
    low, high = (1, 1000) if logarithmic else (0, 1000)
    assert (made.low, made.high) == (low, high)
    share = np.log(values[:4]) / np.log(1000) if logarithmic else values[:4] / 1000
    assert made.codes[:4].tolist() == np.minimum((share * STEPS).astype(int), STEPS - 1).tolist()
    assert made.codes[4:].tolist() == [STEPS - 1, NONE, 0]


def test_words_that_tell_something_are_named_first(opened_smollm2: Bundle) -> None:
    texts = [opened_smollm2.vocabulary.token(row).text or "" for row in named_rows(opened_smollm2).tolist()]
    assert texts[:4] == [" the", " and", " for", " that"]
    assert all(text[0] == " " and len(text.strip()) >= 3 for text in texts[:20_000])
    assert min(map(texts.index, ("ou", "ud", " of", "ing", "1"))) > 20_000


def test_a_map_answers_its_scripts(mapped: Path) -> None:
    app = application(mapped, explore_map.default_path(mapped), QUESTIONS)
    opened = index.open(mapped)
    found = explore_map.read_map(explore_map.default_path(mapped), opened)
    assert found is not None
    source = f"/map/{found.fingerprint}"
    names = request(app, f"{source}/names").json()
    assert names["texts"] == [opened.vocabulary.display(row) for row in range(V)]
    assert 4 not in names["order"]  # a twin: the first stands for both
    offered = {each["name"]: each for each in request(app, f"{source}/colorings").json()}
    assert {"density_distinct", "kept_causal", "kept_cosine"} <= set(offered)
    codes = np.frombuffer(request(app, f"{source}/coloring/kept_causal").content, np.uint8)
    assert codes.tolist() == number("", "", "", found.kept["causal"]).codes.tolist()
    values = np.frombuffer(request(app, f"{source}/values/causal_norm").content, "<f8")
    assert values.tolist() == opened.tokens["causal_norm"].to_pylist()
    for layout, placed in found.layouts.items():
        packed = np.frombuffer(request(app, f"{source}/places/{layout}").content, "<f4").reshape(2, V)
        np.testing.assert_array_equal(packed.T, placed)
    near = request(app, f"{source}/near/7").json()["lists"]
    for label, geometry in (("causal", Geometry.CAUSAL), ("cosine", Geometry.COSINE)):
        points = np.asarray(opened.spaces[geometry].points[:]).astype(np.float64)
        others = [row for row in range(V) if row not in (4, 7) and row not in opened.spaces[geometry].excluded]
        nearest = sorted(others, key=np.linalg.norm(points - points[7], axis=1).__getitem__)
        assert near[label] == nearest[:30]
    assert request(app, f"{source}/near/5").json()["lists"]["cosine"] == []
    wrong_ones = ("near/999", "coloring/nothing", "values/kind", "places/angular")
    for wrong in (*(f"{source}/{each}" for each in wrong_ones), "/map/0123/names"):
        assert request(app, wrong).status_code == 404


def test_neighbors_that_fill_every_list_are_told_apart(
    smollm2: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what `planet` has in both lists most are untrained: lines alone would say that the geometries agree."""
    opened = index.open(smollm2.path)
    monkeypatch.setattr(explore_map, "lay_out", lambda *_: np.zeros((len(opened), 2), np.float32))
    monkeypatch.setattr(explore_map, "fidelity", lambda *_: [])
    monkeypatch.setattr(explore_map, "kept_neighbors", lambda *_: np.full(len(opened), np.nan))
    explore_map.make_map(opened, tmp_path / "map.parquet")
    found = explore_map.read_map(tmp_path / "map.parquet", opened)
    assert found is not None
    app = application(smollm2.path, tmp_path / "map.parquet", QUESTIONS)
    near = request(app, f"/map/{found.fingerprint}/near/46835").json()
    table = pq.read_table(smollm2.path / "tokens.parquet", columns=["untrained", "hubness"]).to_pydict()
    listed = set(near["lists"]["causal"]) | set(near["lists"]["cosine"])
    doubted = {row for row in listed if table["untrained"][row] or table["hubness"][row] > 100 * 20}
    assert set(near["suspect"]) == doubted
    both = set(near["lists"]["causal"]) & set(near["lists"]["cosine"])
    assert len(both & doubted) > len(both - doubted)


# --- the page -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_home_reads_well(visitor: Visitor, mapped: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    with served(mapped) as running:
        page.goto(f"{running.address}?token=7&color=density_distinct")
        expect(page.locator(".plane")).to_have_attribute("aria-busy", "false")
        expect(page.locator(".chosen input")).to_have_count(2)
        page.locator(".truth > summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        page.wait_for_load_state("networkidle")


def test_home_is_the_map(visitor: Visitor, mapped: Path) -> None:
    page = visitor.page
    with served(mapped) as running:
        page.goto(running.address)
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
        expect(page.locator(".joined")).not_to_contain_text("hubs")  # there are none
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


def test_brushing_shows_what_parquet_counts(visitor: Visitor, mapped: Path, tmp_path: Path) -> None:
    """Two histograms: each filters the other, the dots, the table, its CSV and its ids."""
    page = visitor.page
    table = pq.read_table(mapped / "tokens.parquet")
    norms, densities = (table[name].to_numpy() for name in ("causal_norm", "density_distinct"))
    norm, density = bars(norms, 10, 30, logarithmic=False), bars(densities, 5, 40, logarithmic=True)
    with served(mapped) as running:
        page.goto(running.address)
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
        heights = first.locator("rect").evaluate_all(
            "bars => bars.map((bar) => Number(bar.getAttribute('height')) > 0)"
        )
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


def test_two_maps_are_one_selection(visitor: Visitor, mapped: Path, places: np.ndarray) -> None:
    page = visitor.page
    page.set_viewport_size({"width": 1440, "height": 900})
    with served(mapped) as running:
        page.goto(running.address)
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


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_all_that_opens_reads_well(
    visitor: Visitor, mapped: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    with served(mapped) as running:
        page.goto(f"{running.address}?beside&color=kind&token=9")
        ready(page)
        open_filter(page, "causal_norm")
        page.locator(".tokens > summary").click()
        expect(page.locator(".tokens tbody tr[data-row]")).not_to_have_count(0)
        page.locator(".truth > summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        page.wait_for_load_state("networkidle")


def test_a_large_map_is_drawn_while_it_is_moved(visitor: Visitor, mapped: Path) -> None:
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
    with served(mapped) as running:
        page.goto(running.address)
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


def test_a_link_that_is_wrong_shows_the_map(visitor: Visitor, mapped: Path) -> None:
    page = visitor.page
    with served(mapped) as running:
        for wrong in (
            "area=nolayout:0,0,1,0,1,1",
            "area=causal:x",
            "only=nothing:1,2",
            "color=nothing&token=9999",
            "at=a",
        ):
            page.goto(f"{running.address}?{wrong}")
            ready(page)
            assert shown(page) == V, wrong
            expect(page.locator(".problem")).to_have_count(0)
        # From further away than the whole is seen, and nearer than dots can be told apart, there is nothing to see.
        page.goto(running.address)
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


def test_a_map_that_does_not_come_is_said(browser: Browser, mapped: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/names", lambda route: route.fulfill(status=404, body="there is no such map"))
    with served(mapped) as running:
        page.goto(running.address)
        ready(page)
        expect(page.get_by_role("alert")).to_contain_text("The map cannot be shown")
        page.wait_for_load_state("networkidle")
    context.close()


def test_however_many_dots_on_a_pixel_are_seen(visitor: Visitor, mapped: Path) -> None:
    """262,144 are more than 16 bits count, of dots whose colors are mixed and of those that cover each other."""
    page = visitor.page
    with served(mapped) as running:
        page.goto(f"{running.address}about")
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
