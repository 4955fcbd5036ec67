"""A person's browser, real headless Chromium that notes every request and complaint, and the server it visits."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from conftest import ROOT, build
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Route, expect, sync_playwright
from starlette.applications import Starlette
from tokenizers import Tokenizer, models

import index
from index.pictures.explore import map as explore_map

expect.set_options(timeout=30_000)  # of a machine that does other things, too; a test waits no longer than it must

MARKUP = (
    "<script>hacked=1</script>",
    "<img src=x onerror=hacked=1>",
    "</td></tr></table><h1>no</h1>",
    "&amp;",
    "&#60;b&#62;",
    "\"'><b>`",
    "' onmouseover='hacked=1",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "</script><script>hacked=1//",
    "--><!--",
    "]]>",
    "\u202etxet",
    "\u2066\u2069",
    "\x1b[31mred\x1b[0m",
    "\x00\x07\x7f",
    "a\n\tb\r",
    " " * 400,
    "x" * 500,
    "שלום עולם",
    "ภาษาไทย",
    "👩‍👩‍👧",
    "\u0301",
    "\ufeff",
    "a/b?c#d%20&e=+",
    "../../etc/passwd",
    "$x^2$",
    "\ufffd",
    "__proto__",
    "#7",
)
"""Texts that would be markup, script, templates, addresses or control characters, were they not data."""

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "LOGOSCOPE_REQUIRE_CHROMIUM"
"""Where this is set, tests fail without Chromium instead of being skipped."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser; without one the tests are skipped, or fail where it is required."""
    with sync_playwright() as playwright:
        known = (*map(shutil.which, CHROMIUM), playwright.chromium.executable_path)
        executable = next((path for path in known if path and Path(path).is_file()), None)
        if executable is None:
            why = "no Chromium: install Debian's package chromium, or run `uv run playwright install chromium`"
            if os.environ.get(REQUIRED):
                pytest.fail(why)
            pytest.skip(why)
        as_root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"] if as_root else [])
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A browser window and what happened in it.

    page : the window
    outside : addresses it asked for that are not of this machine; none of them is answered
    complaints : errors and warnings of its console, scripts that failed, dialogs that opened
    """

    page: Page
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, page: Page) -> "Visitor":
        visitor = cls(page)
        page.route("**/*", visitor._route)
        page.on("console", visitor._console)
        page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (visitor.complaints.append(dialog.message), dialog.dismiss()))
        return visitor

    def _route(self, route: Route) -> None:
        address = route.request.url
        if urlsplit(address).hostname == "127.0.0.1":
            route.continue_()
        else:
            self.outside.append(address)
            route.abort()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@dataclass(frozen=True)
class Served:
    """A running `query.py explore`."""

    address: str
    process: subprocess.Popen[str]

    def interrupt(self) -> tuple[int, str, str]:
        """Press Ctrl-C: the exit code, and what it says on standard output and standard error from then on."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@contextmanager
def served(bundle: Path, *options: object) -> Iterator[Served]:
    """`query.py explore` on a free port, until the block ends."""
    command = [sys.executable, str(ROOT / "query.py"), "explore", "--index", str(bundle), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--no-browser", *map(str, options)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.stderr.read()
        yield Served(address, process)
    finally:
        process.kill()
        process.communicate()


def bundle_of(folder: Path, texts: list[str], *, seed: int = 0, D: int = 6, K: int = 20) -> Path:
    """A bundle of random vectors with these texts: rows 3 and 4 are twins, row 5 is zero."""
    rows = np.random.default_rng(seed).normal(size=(len(texts), D)).astype(np.float32)
    rows[3] = rows[4]
    rows[5] = 0
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "gamma.npy", rows)
    vocabulary = {text: token_id for token_id, text in enumerate(texts)}
    Tokenizer(models.WordLevel(vocabulary, unk_token=texts[0])).save(str(folder / "tokenizer.json"))
    build(
        *(folder / "gamma.npy", "--tokenizer", folder / "tokenizer.json"),
        *("--out", folder / "bundle", "--neighbors", K, "--density-k", 5),
    )
    return folder / "bundle"


def with_map(bundle: Path, places: np.ndarray) -> Path:
    """Give a bundle a map, (V, 2), of both geometries, in place of one that is laid out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore_map, "lay_out", lambda *_: places.astype(np.float32))
        explore_map.make_map(index.open(bundle), explore_map.default_path(bundle))
    return bundle


def on_a_grid(count: int, width: int) -> np.ndarray:
    """Places in rows of some width, (count, 2)."""
    return np.stack([np.arange(count) % width, np.arange(count) // width], axis=1)


def request(
    app: Starlette,
    path: str,
    *,
    method: str = "GET",
    host: str = "127.0.0.1:8765",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> httpx.Response:
    """One request to the application itself."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, headers={"Host": host, **headers})

    with ThreadPoolExecutor(1) as pool:  # this thread may have a loop of its own, Playwright's
        return pool.submit(asyncio.run, send()).result()


def shown_lists(page: Page) -> list[dict[str, Any]]:
    """The neighbor tables of a page: of each row its rank, id, figures, marks, rank in the other list and text."""
    return page.evaluate(
        """() => Array.from(document.querySelectorAll("table[data-geometry]"), (table) => ({
            geometry: table.dataset.geometry,
            rows: Array.from(table.tBodies[0]?.rows ?? [], (row) => ({
                rank: Number(row.cells[0].textContent),
                id: Number(row.cells[1].textContent),
                figures: Array.from(row.querySelectorAll("data"), (each) => [each.value, each.textContent]),
                marks: row.querySelector("td:has(abbr)")?.textContent ?? "",
                other: row.cells[row.cells.length - 2].textContent,
                text: row.querySelector("bdi").textContent,
                shared: row.classList.contains("shared"),
            })),
        }))"""
    )


def expected_list(answer: dict[str, Any], geometry: str) -> list[dict[str, Any]]:
    """The same of a geometry's list in JSON, without marks and other ranks."""
    shared = (
        {token["id"] for token in (answer["overlap"] or {"tokens": []})["tokens"]} if "overlap" in answer else set()
    )
    return [
        {
            "rank": place["rank"],
            "id": place["id"],
            "figures": [
                [repr(place[name]), f"{place[name]:.6f}"] for name in ("similarity", "distance") if name in place
            ],
            "shared": place["id"] in shared,
            "text": place["text"],
        }
        for place in answer[geometry.replace("-", "_")]
    ]


def assert_shows(page: Page, answer: dict[str, Any]) -> None:
    """The page shows the answer of `neighbors --json`: every rank, id, distance, tie and shared token."""
    first, second = (name for name in answer if name in ("causal", "cosine", "causal_cosine"))
    lists = shown_lists(page)
    assert [each["geometry"].replace("-", "_") for each in lists] == [first, second]
    for shown, name in zip(lists, (first, second), strict=True):
        expected = expected_list(answer, name)
        assert expected
        for row, place, raw in zip(shown["rows"], expected, answer[name], strict=True):
            assert {name: row[name] for name in ("rank", "id", "figures", "shared")} == {
                name: place[name] for name in ("rank", "id", "figures", "shared")
            }
            assert ("●" in row["marks"], "=" in row["marks"]) == (place["shared"], raw["tied"])
    overlap = answer["overlap"]
    assert page.locator(".overlap").inner_text().startswith(f"{overlap['count']} of {overlap['k']} in both lists")
    assert page.locator("#verdict").inner_text().casefold() == heading_of_verdict(answer)


def heading_of_verdict(answer: dict[str, Any]) -> str:
    """What a token's page is to say in large type: both verdicts, where shared tokens are untrained or hubs."""
    overlap = answer["overlap"]
    suspect = overlap["untrained"] + overlap["hubs"] > 0
    without = (overlap["without"] or {"verdict": None})["verdict"] if suspect else None
    said = f"overlap: {answer['verdict'] or 'none'}"
    return f"{said}; without untrained tokens and hubs {without}" if without else said


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def charts(page: Page) -> Locator:
    """The charts of a page, which are drawn when they are seen."""
    page.locator(".charts").scroll_into_view_if_needed()
    return page.locator(".chart svg")
