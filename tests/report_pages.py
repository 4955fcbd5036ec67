"""A page of `report`: made, and as a parser and as a browser see it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from conftest import Built, build, invoke
from playwright.sync_api import Browser, Page

import index
from index.api import OpenVocabulary

VOID = {"meta", "img", "br", "hr", "input", "link"}


def small_vocabulary(folder: Path) -> OpenVocabulary:
    """Forty vectors: ten twins, a zero row, and as many neighbors kept as there are."""
    rows = np.random.default_rng(8).normal(size=(40, 4))
    rows[10:20] = rows[10]
    rows[39] = 0
    np.save(folder / "gamma.npy", rows)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 39, "--density-k", 5)
    return index.open(folder / "bundle")


def written(bundle: Built, folder: Path) -> Path:
    """What the command writes for two tokens and the densest."""
    path = folder / "report.html"
    done = invoke("query.py", "report", "planet", "#7", "densest", "--index", bundle.path, "--out", path)
    assert (done.code, done.out.strip(), done.err) == (0, str(path), "")
    return path


@dataclass
class Parsed(HTMLParser):
    """A page as a parser sees it.

    tags : every tag in order, with the attributes that are not texts
    tables : of each caption, the rows of cells
    scripts : the contents of script elements
    """

    tags: list[str] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)
    policy: str = ""
    _open: list[str] = field(default_factory=list)
    _caption: str = ""
    _text: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kept = [f"{name}={value}" for name, value in attrs if name in ("class", "id", "scope")]
        self.tags.append(" ".join([tag, *sorted(name for name, _ in attrs), *kept]))
        known = dict(attrs)
        if known.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(known["content"])
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        if tag in ("caption", "th", "td", "script", "h1", "h2", "h3", "p"):
            self._text = ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, "tags close in the order they were opened"
        self.tags.append(f"/{tag}")
        if tag == "caption":
            self._caption = self._text
            self.tables[self._caption] = []
        elif tag in ("th", "td"):
            self.tables[self._caption][-1].append(self._text)
        elif tag == "script":
            self.scripts.append(self._text)
        elif tag in ("h1", "h2", "h3"):
            self.headings.append(self._text)
        elif tag == "p":
            self.paragraphs.append(self._text)

    @property
    def charts(self) -> dict[str, Any]:
        """The specifications, by the element each is drawn in."""
        found: dict[str, Any] = json.loads(self.scripts[0], parse_constant=_refuse)
        return found


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no strict JSON")


def parsed(page: str) -> Parsed:
    reader = Parsed()
    reader.feed(page)
    reader.close()
    return reader


def values(specification: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = specification["data"]["values"]
    return found


@dataclass(frozen=True)
class Visit:
    """A file open in a browser, with every address it asked for and everything its console said."""

    page: Page
    requests: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


@contextmanager
def visiting(browser: Browser, path: Path, *, width: int = 1280) -> Iterator[Visit]:
    """Open a file as its reader would."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    visit = Visit(page)
    page.on("request", lambda request: visit.requests.append(request.url))
    page.on("console", lambda message: visit.log.append(message.text))
    page.on("pageerror", lambda error: visit.log.append(str(error)))
    page.goto(path.as_uri())
    yield visit
    page.close()
