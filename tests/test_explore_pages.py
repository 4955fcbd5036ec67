"""The pages of `explore` without a browser: texts stay texts, addresses mean what they say, nobody else is answered."""

from html.parser import HTMLParser
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from browsing import MARKUP, bundle_of, request
from conftest import Built, build
from starlette.applications import Starlette

import index
from index.api import QUESTIONS
from index.pictures.explore import map as explore_map
from index.pictures.explore.address import Link, read_choice, usual_choice
from index.pictures.explore.app import HEADERS, application
from index.pictures.explore.assets import Assets, templates
from index.pictures.explore.opened import OpenedBundle, WatchedBundle
from index.pictures.explore.suggest import Suggestions
from index.pictures.explore.views import Line, List, token_view
from index.tokens.display import display
from index.tokens.vocabulary import Vocabulary

FILLERS = tuple(f"filler{place}" for place in range(10))


class Shown(HTMLParser):
    """The texts of `<bdi>` elements, the tags and the attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.tags: dict[str, int] = {}
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self._inside = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes |= {name for name, _ in attributes}
        self.addresses += [value or "" for name, value in attributes if name in ("href", "src", "action")]
        if tag == "bdi":
            self.texts.append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "bdi":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[-1] += data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tmp_path_factory.mktemp("hostile"), [*FILLERS, *MARKUP])


@pytest.fixture(scope="module")
def app(hostile: Path) -> Starlette:
    return application(hostile, explore_map.default_path(hostile), QUESTIONS)


@pytest.fixture(scope="module")
def opened(hostile: Path) -> OpenedBundle:
    return WatchedBundle(hostile, explore_map.default_path(hostile)).current()


# --- texts are data -----------------------------------------------------------------------------------------------


@pytest.mark.slow("renders and parses 49,152 rows")
def test_every_token_of_smollm2_is_text_in_a_table(smollm2: Built) -> None:
    vocabulary = index.open(smollm2.path).vocabulary
    texts = [vocabulary.display(row) for row in range(len(vocabulary))]
    lines = tuple(
        Line(row + 1, Link(text, row, row, None, f"/token/{row}"), 1.0, None, "0", (), False, False, "-")
        for row, text in enumerate(texts)
    )
    macros = templates(Assets()).get_template("macros.html").module
    table = macros.neighbors_table(List("causal", "", "logometers", "", lines))  # type: ignore[attr-defined]
    shown = Shown(table)
    assert shown.texts == texts
    plain = {"div": 1, "table": 1, "caption": 1, "thead": 1, "tbody": 1, "span": 1, "abbr": 1}
    assert shown.tags == {
        **plain,
        **dict.fromkeys(("bdi", "a", "data"), len(texts)),
        "tr": len(texts) + 1,
        "th": len(texts) + 6,
        "td": 5 * len(texts),
    }


@pytest.mark.parametrize("row", range(len(FILLERS) + len(MARKUP)))
def test_the_worst_texts_change_no_page(row: int, app: Starlette, hostile: Path) -> None:
    text = (*FILLERS, *MARKUP)[row]
    answer = request(app, f"/token/{row}?top=20")
    assert answer.status_code == 200
    shown = Shown(answer.text)
    assert shown.texts[0] == display(text)
    benign = Shown(request(app, "/token/0?top=20").text)
    assert shown.attributes <= benign.attributes | {"title", "class"}
    assert set(shown.tags) <= set(benign.tags) | {"abbr"}
    for tag in ("script", "h1", "form", "input", "link", "main"):
        assert shown.tags[tag] == benign.tags[tag]
    assert all(address.startswith("/") for address in shown.addresses if not address.startswith("#"))
    for path in ("/search", "/analogy"):
        answer = request(app, str(httpx.URL(path, params={"q": f"{text[:400]} ", "terms": f"{text[:400]} ++"})))
        if (path, text) == ("/search", "#7"):  # an id, whatever stands behind it
            assert (answer.status_code, answer.headers["location"]) == (303, "/token/7")
            continue
        assert answer.status_code in (400, 404)
        typed = Shown(answer.text)
        assert typed.tags["script"] == 1
        assert not {"onerror", "onmouseover"} & typed.attributes


def test_a_lone_surrogate_can_be_typed(app: Starlette) -> None:
    for path in ("/search?q=%ED%A0%80", "/token/%ED%A0%80", "/analogy?terms=%ED%A0%80", "/suggest?q=%ED%A0%80"):
        assert request(app, path).status_code in (200, 400, 404)


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/token/99", 404, "no token has the id #99"),
        ("/token/-1", 404, "no token has the text"),
        ("/token/" + "9" * 300, 404, "no token has the id"),
        ("/token/filler", 404, "filler3"),
        ("/token/3?first=euclidean", 400, "first must be one of causal, cosine, causal-cosine, got: euclidean"),
        ("/token/3?first=cosine", 400, "two different geometries are compared"),
        ("/token/3?top=0", 400, "the number of neighbors must be from 1 to 20, got: 0"),
        ("/token/3?top=21", 400, "the number of neighbors must be from 1 to 20, got: 21"),
        ("/token/3?top=1e9", 400, "got: 1e9"),
        ("/vocabulary?first=cosine&second=cosine", 400, "two different geometries are compared"),
        ("/analogy?terms=filler1%20%2B", 400, "a term is missing"),
        ("/nothing", 404, "Not Found"),
        ("/static/../explore.py", 404, "Not Found"),
        ("/static/macros.html", 404, "there is no such file"),
        ("/map/0123", 404, "there is no such map"),
        ("/name/99", 404, "no token has the id #99"),
        ("/name/" + "9" * 5000, 404, "no token has the id"),
        ("/name/-1", 404, "no token has the text"),
        ("/search?q=%2399", 404, "No such token"),
    ],
)
def test_what_cannot_be_answered_is_said(path: str, status: int, said: str, app: Starlette) -> None:
    answer = request(app, path)
    assert answer.status_code == status
    assert said in answer.text


def test_one_address_for_one_token(app: Starlette) -> None:
    for path in ("/token/filler6?top=7", "/token/006?top=7", "/search?q=filler6&top=7", "/search?q=%236&top=7"):
        answer = request(app, path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/token/6?top=7")
    assert request(app, "/search?q=").headers["location"] == "/"


def test_a_name(app: Starlette) -> None:
    for path in ("/name/6", "/name/006", "/name/filler6"):
        assert request(app, path).json() == {"text": "filler6"}


def test_several_tokens_with_one_text(smollm2: Built) -> None:
    """Fragments of characters all have the text U+FFFD: the page lists every one of them."""
    app = application(smollm2.path, explore_map.default_path(smollm2.path), QUESTIONS)
    table = pq.read_table(smollm2.path / "tokens.parquet", columns=["token_id", "text"]).to_pydict()
    same = [token_id for token_id, text in zip(*table.values(), strict=True) if text == "\ufffd"]
    assert len(same) > 20
    answer = request(app, "/search?q=%EF%BF%BD&top=7")
    assert answer.status_code == 300
    assert "<h1>Several tokens have this text</h1>" in answer.text
    assert "No such token" not in answer.text
    shown = Shown(answer.text)
    assert f"{len(same)} tokens answer to" in answer.text
    assert [each for each in shown.addresses if each.startswith("/token/")] == [f"/token/{i}?top=7" for i in same]


def test_what_a_text_may_name() -> None:
    """In the order of `Vocabulary.resolve`, which takes the first way that any token answers to."""
    texts = ["a", "a", " b", " b", "c", " c", "x", "y", "#3", "#3", None]
    pieces = ["p", "q", "r", "s", "c", "t", "same", "same", "u", "v", None]
    suggestions = Suggestions(Vocabulary.from_tokens(texts, pieces))
    for typed, rows in {
        "a": [0, 1],
        "b": [2, 3],
        " b": [2, 3],
        "c": [],
        "same": [6, 7],
        "p": [],
        "#3": [],
        "": [],
    }.items():
        assert suggestions.meant(typed) == rows


def test_tokens_without_text_are_called_by_their_ids(tmp_path: Path) -> None:
    rows = np.random.default_rng(3).normal(size=(6, 3))
    np.save(tmp_path / "Tiny-3B.npy", rows)
    build(tmp_path / "Tiny-3B.npy", "--out", tmp_path / "bundle", "--neighbors", 4, "--density-k", 2)
    app = application(tmp_path / "bundle", explore_map.default_path(tmp_path / "bundle"), QUESTIONS)
    page = request(app, "/token/3").text
    assert "<title>#3 · Tiny-3B (bundle)</title>" in " ".join(page.split())
    assert "<p>Tiny-3B (bundle): 6 tokens x 3" in page
    shown = Shown(page)
    assert shown.texts[0] == "#3"
    of_others = [each for each in shown.addresses if each.startswith("/token/") and "without=" not in each]
    assert shown.texts[1:] == [address.replace("/token/", "#") for address in of_others[1:]]
    assert "(no text)" not in page
    overlaps = request(app, "/vocabulary")
    assert overlaps.status_code == 200
    assert "Overlap of 6 tokens" in overlaps.text
    assert request(app, "/suggest?q=%233").json()[0] == {
        "text": "#3",
        "number": "",
        "term": "#3",
        "address": "/token/3",
        "id": 3,
        "only": True,
    }


def test_an_address_names_only_what_is_unusual(opened: OpenedBundle) -> None:
    bundle = opened.vocabulary
    assert usual_choice(bundle).of_token(4) == "/token/4"
    assert (usual_choice(bundle).top, usual_choice(bundle).longest) == (20, 20)
    choice = read_choice({"first": "causal-cosine", "top": "7"}, bundle)
    assert choice.of_token(4) == "/token/4?first=causal-cosine&top=7"
    assert read_choice(choice.parameters, bundle) == choice


def test_a_zero_row_has_no_cosine_list(app: Starlette, opened: OpenedBundle) -> None:
    view = token_view(opened, 5, usual_choice(opened.vocabulary))
    causal, cosine = view.lists
    assert len(causal.lines) == 20
    assert {line.other_rank for line in causal.lines} == {"-"}
    assert cosine.lines == ()
    assert "this token&#39;s row is zero and has no direction" in request(app, "/token/5").text


def test_twins_are_marked(opened: OpenedBundle) -> None:
    view = token_view(opened, 3, usual_choice(opened.vocabulary))
    assert [twin.id for twin in view.twins] == [4]
    assert [
        [line.link.id for line in each.lines if any(sign == "≡" for sign, _ in line.marks)] for each in view.lists
    ] == [[4], [4]]


# --- who is answered ----------------------------------------------------------------------------------------------


def test_other_hosts_and_methods_are_refused(app: Starlette) -> None:
    for host in ("example.org", "example.org:8765", "127.0.0.1.example.org", "10.0.0.1", ""):
        assert request(app, "/", host=host).status_code == 400
    for host in ("127.0.0.1", "localhost:8765"):
        assert request(app, "/", host=host).status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert request(app, "/token/3", method=method).status_code == 405


@pytest.mark.parametrize("path", ["/", "/token/3", "/nothing", "/static/explore.js", "/suggest?q=f", "/token/99"])
def test_every_answer_says_what_a_browser_may_do(path: str, app: Starlette) -> None:
    headers = request(app, path).headers
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in headers["Content-Security-Policy"]


# --- suggestions --------------------------------------------------------------------------------------------------


def test_suggestions_come_likeliest_first() -> None:
    texts = ["star", " star", "Star", "stars", " starlight", "art", "12", "planet", "stair", "ÉTOILE"]
    pieces = [text.replace(" ", "Ġ") for text in texts]
    suggestions = Suggestions(Vocabulary.from_tokens([*texts, None], [*pieces, None]))

    def offered(typed: str, count: int = 5) -> list[str]:
        return [texts[row] for row in suggestions.rows(typed, count=count)]

    assert offered("star") == ["star", " star", "Star", "stars", " starlight"]
    assert offered(" star", 2) == [" star", "star"]
    assert offered("Ġstar", 1) == [" star"]
    assert offered("STAR", 3) == ["star", " star", "Star"]
    assert offered("étoile", 1) == ["ÉTOILE"]
    assert offered("#7", 1) == ["planet"]
    assert offered("12") == ["12"]
    assert offered("planett") == ["planet"]
    assert offered("sta", 9) == ["star", " star", "Star", "stars", "stair", " starlight"]
    assert offered("") == []
    assert offered("  ") == []
    assert offered("ｓｔａｒ", 3) == ["star", " star", "Star"]  # full-width letters, as `find` takes them
    assert len(suggestions.rows("a" * 10_000)) == 0
    assert len(suggestions.rows("9" * 10_000)) == 0
