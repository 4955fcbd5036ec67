"""`explore --export`: what the files show, from a disk and from a server of files, is what `neighbors --json` says."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from browsing import MARKUP, bundle_of, chromium, expected_list, heading_of_verdict, on_a_grid, shown_lists, with_map
from conftest import invoke, query
from playwright.sync_api import Browser, Page, expect

import index
from index.pictures.explore.bundled import bundled
from index.tokens.display import display

TEXTS = [*(f"filler{place}" for place in range(10)), *MARKUP, *(f"token{place}" for place in range(300))]
"""More tokens than a file of the site holds."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tmp_path_factory.mktemp("site"), TEXTS, K=30)


@pytest.fixture(scope="module")
def site(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a bundle with a map."""
    folder = tmp_path_factory.mktemp("exported") / "site"
    with_map(bundle, on_a_grid(len(TEXTS), 20))
    done = invoke("query.py", "explore", "--export", folder, "--index", bundle)
    assert (done.code, done.out) == (0, f"{folder / 'index.html'}\n")
    files = [path for path in folder.rglob("*") if path.is_file()]
    said = rf"{len(TEXTS)} tokens in {len(files)} files, \d+ MB, in \d+ s"
    assert re.fullmatch(said, done.err.strip().splitlines()[-1])
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def place_of(kind: str, site: Path) -> Iterator[str]:
    """The address of the site on a disk, or on a server of files of this machine."""
    if kind == "disk":
        yield site.as_uri()
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def window(browser: Browser, address: str) -> Iterator[Page]:
    """A window that must ask for nothing but the site's files, and complain of nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    assert complaints == []
    assert [each for each in asked if not each.startswith(address)] == []


def assert_shows(page: Page, answer: dict[str, Any]) -> None:
    """The page shows the lists of `neighbors --json`, with as many digits as a terminal, and the overlap."""
    lists = shown_lists(page)
    assert [each["geometry"] for each in lists] == ["causal", "cosine"]
    for shown in lists:
        expected = expected_list(answer, shown["geometry"])
        for row, place, raw in zip(shown["rows"], expected, answer[shown["geometry"]], strict=True):
            assert [row[name] for name in ("rank", "id", "shared")] == [
                place[name] for name in ("rank", "id", "shared")
            ]
            assert [text for _, text in row["figures"]] == [text for _, text in place["figures"]]
            marks = {"●": place["shared"], "=": raw["tied"], "≡": "twin" in raw["marks"], "*": "hub" in raw["marks"]}
            assert {mark for mark, stands in marks.items() if stands} == set(row["marks"]) - {"†"}
    overlap = answer["overlap"]
    assert page.locator(".overlap").inner_text().startswith(f"{overlap['count']} of {overlap['k']} in both lists")
    assert page.locator("#verdict").inner_text().casefold() == heading_of_verdict(answer)


def assert_draws(page: Page, answer: dict[str, Any]) -> None:
    """The charts hold the numbers of `neighbors --json`, and their dots are links."""
    ranks, others, overlap, density = page.evaluate("Object.values(JSON.parse(document.getElementById('charts').text))")
    for drawn, name in ((ranks, "causal"), (others, "cosine")):
        for dot, place in zip(drawn["data"]["values"], answer[name], strict=True):
            assert (dot["rank"], dot["id"], dot["text"]) == (place["rank"], str(place["id"]), display(place["text"]))
            assert dot["address"] == f"token.html?id={place['id']}"
            assert dot["distance"] == pytest.approx(place["distance"], abs=5e-7)
            assert (dot["tied"] == "yes") == place["tied"]
    causal, cosine = ([place["id"] for place in answer[name]] for name in ("causal", "cosine"))
    for each in overlap["data"]["values"]:
        k = each["k"]
        assert each["share"] == pytest.approx(len(set(causal[:k]) & set(cosine[:k])) / k)
        assert each["chance"] == pytest.approx(k / (len(TEXTS) - 2), rel=0.02)  # a row is zero
    (own,) = density["layer"][1]["data"]["values"]
    assert own["density"] == pytest.approx(answer["token"]["density"], rel=1e-6)


@pytest.mark.parametrize("kind", ["disk", "server"])
def test_a_walk(kind: str, site: Path, bundle: Path, browser: Browser) -> None:
    """The map, search, a token's lists, a neighbor, a link that restores what the map showed."""
    with place_of(kind, site) as address, window(browser, address) as page:
        page.goto(f"{address}/index.html")
        expect(page.locator(".plane")).to_have_attribute("aria-busy", "false")
        assert page.locator(".names a").count() > 10
        page.get_by_role("combobox", name="Token").press_sequentially("token77")
        option = page.get_by_role("option").first
        row = TEXTS.index("token77")
        expect(option).to_contain_text(f"token77 #{row}")
        option.click()
        page.locator(".picked h2 a", has_text="token77").click()
        page.wait_for_url(f"**/token.html?id={row}")
        expect(page.locator("main")).to_have_attribute("aria-busy", "false")
        assert_shows(page, query("neighbors", f"#{row}", "--index", bundle)[0])
        expect(page.locator(".chart svg")).to_have_count(4)
        assert_draws(page, query("neighbors", f"#{row}", "--index", bundle)[0])
        page.locator("table[data-geometry=cosine] a").first.click()
        page.wait_for_url(re.compile(rf"id=(?!{row}$)\d+$"))
        expect(page.locator("main")).to_have_attribute("aria-busy", "false")
        followed = page.url.rpartition("=")[2]
        assert_shows(page, query("neighbors", f"#{followed}", "--index", bundle)[0])
        nearest = query("neighbors", f"#{followed}", "--index", bundle)[0]["causal"][0]["id"]
        page.locator("#chart-1 .mark-symbol path").first.click()  # a dot of a chart is a link, too
        page.wait_for_url(re.compile(rf"id={nearest}$"))
        page.get_by_role("combobox", name="Token").fill("token5")
        page.keyboard.press("Enter")
        expect(page.locator("h1 bdi")).to_have_text("token5")
        page.goto(f"{address}/index.html?token=4&color=hubness")
        expect(page.locator(".picked h2")).to_contain_text("filler4")
        page.locator(".picked h2 a").click()
        expect(page.locator("h1 bdi")).to_have_text("filler4")
        page.get_by_role("link", name="On the map").click()
        expect(page.locator(".picked h2")).to_contain_text("filler4")
        # What one would quote of it is there, and on the page of the bundle.
        found = [f"{each.said}. {each.misleads}" for each in index.open(bundle).findings(quick=True).found]
        assert page.locator(".findings li").all_inner_texts() == [each.replace(". ", ".\n", 1) for each in found]
        page.get_by_role("link", name="About").click()
        expect(page.locator("h1")).to_have_text("bundle")
        expect(page.locator(".findings li")).to_have_count(len(found))


def test_what_is_no_token(site: Path, browser: Browser) -> None:
    with place_of("disk", site) as address, window(browser, address) as page:
        page.goto(f"{address}/token.html?q=oken7")
        expect(page.get_by_role("alert")).to_contain_text("no token is printed as")
        assert page.locator(".near a").count() > 1
        page.goto(f"{address}/token.html?q=99999")
        expect(page.get_by_role("alert")).to_contain_text("99999")


@pytest.mark.slow("a browser opens the page of each hostile text, with its charts")
def test_texts_run_nothing(site: Path, browser: Browser) -> None:
    with place_of("disk", site) as address, window(browser, address) as page:
        for row in range(10, 10 + len(MARKUP)):
            page.goto(f"{address}/token.html?id={row}")
            expect(page.locator("main")).to_have_attribute("aria-busy", "false")
            assert page.locator("h1 bdi").text_content() == display(TEXTS[row])
            assert page.locator("main script:not([type='application/json']), main img, iframe").count() == 0
        assert page.evaluate("window.hacked") is None


def test_every_token_has_its_place(site: Path, bundle: Path) -> None:
    """In files of some hundred, of which a script hands over JSON and nothing else."""
    opened = index.open(bundle)
    found = []
    for number in range(2):
        path = site / "data" / "tokens" / f"{number}.js"
        handed = re.fullmatch(rf'logoscope\.put\("tokens/{number}",(.*)\);\n', path.read_text(encoding="ascii"))
        assert handed is not None
        found += json.loads(handed[1])
    assert len(found) == len(TEXTS)
    for row in (0, 3, 5, 255, 256, len(TEXTS) - 1):
        answer = opened.neighbors(f"#{row}", top=30)
        for shown, listed in zip(found[row]["lists"], answer.lists.values(), strict=True):
            assert shown["rows"] == [each.token.row for each in listed]
            assert shown["distances"] == pytest.approx([each.distance for each in listed], abs=5e-7)
        assert found[row]["verdict"] == ("none" if answer.verdict is None else answer.verdict.value)
        if answer.overlap is not None:
            assert heading_of_verdict(answer.json()).partition("hubs ")[2] == found[row]["without"]


def test_every_page_allows_itself_no_more_than_its_files(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "default-src 'none'; script-src 'self' file:;" in text
        links = re.findall(r'(?:href|src|action)="([^"#]*)"', text)
        assert links
        assert all((site / link.partition("?")[0]).is_file() for link in links), links


def test_what_is_there_stays(site: Path, bundle: Path, tmp_path: Path) -> None:
    done = invoke("query.py", "explore", "--export", site, "--index", bundle)
    assert done.code == 2
    assert f"{site} exists; pass --overwrite to replace it" in done.err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    done = invoke("query.py", "explore", "--export", tmp_path / "mine", "--overwrite", "--index", bundle)
    assert done.code == 2
    assert "holds thesis.tex, which no export wrote" in done.err
    for wrong in (
        ["--export", tmp_path / "a", "--no-browser"],
        ["--export", tmp_path / "a", "--port", 1],
        ["--overwrite"],
    ):
        done = invoke("query.py", "explore", *wrong, "--index", bundle)
        assert (done.code, done.out) == (2, "")
    assert not (tmp_path / "a").exists()


def test_modules_become_one_script() -> None:
    modules = {
        "a.js": 'import { b, c as d } from "./b.js";\nimport * as e from "./c.js";\nb(d, e.f, `/token/${1}`);\n',
        "b.js": 'import { f } from "./c.js";\nexport function b() {}\nexport const c = f;\n',
        "c.js": "export class f {}\n",
    }
    script = bundled("a.js", modules.__getitem__, "token.html?id=")
    order = [script.index(f'modules["{name}"] = ') for name in ("c.js", "b.js", "a.js")]
    assert order == sorted(order)
    assert 'const { b, c: d } = modules["b.js"];' in script
    assert 'const e = modules["c.js"];' in script
    assert "`token.html?id=${1}`" in script
    with pytest.raises(ValueError, match="export default"):
        bundled("a.js", {"a.js": "export default 1;\n"}.__getitem__, "")
