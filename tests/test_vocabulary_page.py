"""`report vocabulary`: the page opens with the findings, draws what they are taken from, and needs no network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smollm2_oracle
from axe_playwright_python.sync_playwright import Axe
from browsing import chromium
from conftest import build, invoke
from playwright.sync_api import Browser, expect
from report_pages import Parsed, parsed, values, visiting

import index
from index.api import OpenVocabulary
from index.pictures.page.answer_charts import answer_charts
from index.questions.concept.directions import Product
from index.questions.evaluate import evaluate
from index.questions.shares.in_common import TRAITS
from index.sources import judgments


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> OpenVocabulary:
    return index.open(smollm2_oracle.build_small(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def file(small: OpenVocabulary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(small, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(file: Path) -> Parsed:
    return parsed(file.read_text(encoding="utf-8"))


def reported(bundle: OpenVocabulary, folder: Path, *options: object) -> Path:
    path = folder / "vocabulary.html"
    done = invoke("query.py", "report", "vocabulary", "--index", bundle.folder, "--out", path, *options)
    assert (done.code, done.out.strip()) == (0, str(path)), done.err
    return path


def test_it_opens_with_the_findings(page: Parsed, small: OpenVocabulary) -> None:
    found = small.findings()
    assert page.headings[:2] == ["The vocabulary of bundle", "Findings"]
    sentences = list(found.sentences.values())
    assert page.headings[2 : 2 + len(sentences)] == sentences
    for each in found.found:
        assert f"But {each.misleads}." in page.paragraphs
    for name, why in found.left_out.items():
        assert f"Not said of {name}: {why}" in page.paragraphs


def test_the_answers_follow(page: Parsed, small: OpenVocabulary) -> None:
    text = [row for rows in page.tables.values() for row in rows]
    for share in small.shares().found["causal"].values():  # type: ignore[index]
        if share.share == share.share:
            assert any(cell.startswith(f"{100 * share.share:.1f}") for row in text for cell in row)
    assert page.headings.index("shares") < page.headings.index("duplicates") < page.headings.index("The bundle")
    assert "Terms" in page.headings


def test_the_charts_are_of_the_answers(page: Parsed, small: OpenVocabulary) -> None:
    shares, trained, hubness = page.charts.values()  # of its few words no concept has a direction
    found = small.shares()
    assert {row["trait"] for row in values(shares)} <= set(TRAITS.values())
    for row in values(shares):
        trait = next(trait for trait, words in TRAITS.items() if words == row["trait"])
        assert row["share"] == found.found[row["geometry"].replace("-", "_")][trait].share
    for row in values(trained):
        trait = next(trait for trait, words in TRAITS.items() if words == row["trait"])
        assert row["share"] == found.trained.found[row["geometry"].replace("-", "_")][trait].share
        assert row["chance"] == found.trained.chance[trait]
    counts = [n for each in small.hub_shares().geometries.values() for n in each.by_distance.counts]
    assert [row["tokens"] for row in values(hubness)] == counts


def test_concepts_are_drawn_as_squares(small: OpenVocabulary, tmp_path: Path) -> None:
    for name, pairs in (("sky", "planet\tstar\nmoon\tthe"), ("small", "of\tand\nthe\tplanet")):
        (tmp_path / f"{name}.txt").write_text(pairs)
    found = small.concept([tmp_path / "sky.txt", tmp_path / "small.txt"], random=19)
    charts = answer_charts(found)
    assert len(charts) == len(Product)
    for chart, product in zip(charts, Product, strict=True):
        assert chart.specification is not None
        rows = values(chart.specification)
        assert [row["cosine"] for row in rows] == [cosine for line in found.cosines[product] for cosine in line]
        assert [(row["of"], row["with"]) for row in rows][1:3] == [("1 sky", "2"), ("2 small", "1")]
        assert rows[1]["cosine"] == rows[2]["cosine"] != rows[0]["cosine"] == 1
        assert len(chart.specification["layer"]) == 2  # few enough to have their numbers


def test_the_same_bundle_gives_the_same_file(file: Path, small: OpenVocabulary, tmp_path: Path) -> None:
    assert reported(small, tmp_path).read_bytes() == file.read_bytes()


def test_without_the_extra_it_is_said_what_to_install(
    small: OpenVocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        judgments.require("no_such_library", extra="evaluate", command="evaluate")

    monkeypatch.setattr(evaluate, "gensims_judgments", missing)
    monkeypatch.setattr("index.questions.concept.concept.gensims_word_pairs", lambda command: missing())
    said = parsed(reported(small, tmp_path).read_text(encoding="utf-8"))
    assert any("uv run --extra evaluate" in each for each in said.paragraphs if "people judged" in each)
    assert len(said.charts) == 3


def test_a_bundle_without_texts_has_a_page(tmp_path: Path) -> None:
    np.save(tmp_path / "Tiny-3B.npy", np.random.default_rng(0).normal(size=(60, 5)))
    build(tmp_path / "Tiny-3B.npy", "--out", tmp_path / "b", "--neighbors", 10, "--density-k", 5)
    said = parsed(reported(index.open(tmp_path / "b"), tmp_path).read_text(encoding="utf-8"))
    assert said.headings[0] == "The vocabulary of Tiny-3B (b)"
    assert "Not said of texts: the bundle holds no texts" in said.paragraphs
    assert "No two of 60 tokens have the same vector." in said.headings


def test_what_is_refused(small: OpenVocabulary, tmp_path: Path) -> None:
    where = ("--index", small.folder, "--out", tmp_path / "new.html")
    for options, said in (
        (("#300",), "'vocabulary' has a report of its own"),
        (("--among", "kind=word"), "--among is of tokens, and 'vocabulary' is asked for"),
        (("--rule", "multiset"), "--rule is of tokens"),
        (("--top", 101), "--top must be from 1 to 100"),
    ):
        done = invoke("query.py", "report", "vocabulary", *options, *where)
        assert (done.code, done.out) == (2, "")
        assert said in done.err
    (tmp_path / "new.html").write_text("mine")
    assert "pass --overwrite" in invoke("query.py", "report", "vocabulary", *where).err
    assert (tmp_path / "new.html").read_text() == "mine"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("width", [390, 1280])
def test_it_reads_well_and_asks_for_nothing(width: int, file: Path, page: Parsed, browser: Browser) -> None:
    with visiting(browser, file, width=width) as visit:
        expect(visit.page.locator(".chart svg")).to_have_count(len(page.charts))
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(visit.page)
        assert found.violations_count == 0, found.generate_report()
        assert visit.log == []
        assert [each for each in visit.requests if not each.startswith("file:")] == []
