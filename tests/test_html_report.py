"""`report`: the page says what `neighbors` and `densest` say, needs no network, and no token's text becomes markup."""

import hashlib
import json
import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from browsing import chromium
from conftest import Built, invoke, query
from report_pages import parsed, small_vocabulary, values, written

import index
from index.api import OpenVocabulary
from index.bundle.manifest import CrossCheckFacts
from index.checks.crosscheck import CrossCheck, PairCheck, QuadraticForm
from index.checks.matrix import Decade, MatrixCheck
from index.geometry.maps import Geometry
from index.pictures.page.report import html_report
from index.pictures.page.tables import crosscheck_facts, without_folders
from index.pictures.page.words import verdict_sentences
from index.tokens.display import display


@pytest.fixture(scope="module")
def vocabulary(smollm2: Built) -> OpenVocabulary:
    return index.open(smollm2.path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> OpenVocabulary:
    return small_vocabulary(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(smollm2: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(smollm2, tmp_path_factory.mktemp("report"))


# --- what it says -----------------------------------------------------------------------------------------------------


def cells(place: dict[str, Any]) -> list[str]:
    """A place of a list in JSON as the row of a table."""
    figures = [f"{place[name]:.6f}" for name in ("similarity", "distance") if name in place]
    signs = {"twin": "≡", "tied": "=", "hub": "*", "untrained": "†"}
    marks = "".join(signs[mark] for mark in place["marks"])
    return [str(place["rank"]), str(place["id"]), *figures, f"{place['hubness']:,.0f}", marks]


def test_the_tables_are_the_answers(smollm2: Built, tmp_path: Path) -> None:
    for token in ("planet", "#7"):
        (answer,) = query("neighbors", token, "--top", 12, "--index", smollm2.path)
        path = tmp_path / f"{answer['token']['id']}.html"
        assert invoke("query.py", "report", token, "--top", 12, "--index", smollm2.path, "--out", path).code == 0
        tables = parsed(path.read_text(encoding="utf-8")).tables
        for name, caption in (
            ("causal", "12 nearest in the causal metric"),
            ("cosine", "12 nearest by cosine similarity"),
        ):
            assert [row[:-1] for row in tables[caption][1:]] == [cells(place) for place in answer[name]]
            assert [row[-1] for row in tables[caption][1:]] == [display(place["text"]) for place in answer[name]]
        shared = [
            [str(row["causal_rank"]), str(row["cosine_rank"]), str(row["id"])] for row in answer["overlap"]["tokens"]
        ]
        assert [row[:3] for row in tables[f"In both lists: {len(shared)}"][1:]] == shared
        facts = dict(map(tuple, tables["The token"]))
        assert facts["density"].split()[0] == f"{answer['token']['density']:.7g}"
        assert facts["mean distance"].split()[0] == f"{answer['token']['mean_distance']:.7g}"
        assert facts["id"] == str(answer["token"]["id"])


def test_the_densest_token_has_its_rules(smollm2: Built, page: Path) -> None:
    answer = query("densest", "--index", smollm2.path)
    tables = parsed(page.read_text(encoding="utf-8")).tables
    expected = [
        [rule, f"{winner['density']:.7g}", str(winner["tied"]), str(winner["id"]), display(winner["text"])]
        for rule, winner in answer["density"]["by_rule"].items()
    ]
    assert tables["Densest under each rule"][1:] == expected
    facts = tables["Densities, in 1/logometers"]
    assert [float(value) for _, value in facts] == pytest.approx(
        [answer["density"][name] for name in ("min", "max", "mean", "median")], rel=1e-6
    )


def test_the_verdict_in_words(vocabulary: OpenVocabulary) -> None:
    found = vocabulary.neighbors("planet", top=30)
    said = parsed(html_report(vocabulary, [found], top=30))
    count, tied = found.overlap.count, [sum(each.tied for each in listed) for listed in found.lists.values()]
    assert f"Verdict: {found.overlap.verdict}" in said.headings
    text = " ".join(said.paragraphs)
    assert f"{count} of the 30 nearest tokens are in both lists ({count / 0.3:.1f} %)" in text
    assert f"blindly would share {30 * 30 / (len(vocabulary) - 1):.1g}." in text
    assert "No tie at the last place" in text
    for where, number in zip(("causal metric", "cosine similarity"), tied, strict=True):
        assert re.search(rf"In (the )?{where}, {number} of 30 neighbors are tied", text)


def test_ties_that_decide_the_verdict_are_said(small: OpenVocabulary) -> None:
    """Nine twins at distance 0 in both lists: which five are listed is arbitrary."""
    found = small.neighbors("#12", top=5)
    assert (found.overlap.lowest, found.overlap.highest, found.overlap.verdict) == (1, 5, "undecided")
    text = " ".join(parsed(html_report(small, [found], top=5)).paragraphs)
    assert "anything from 1 to 5, on both sides of 30 % and of 70 %." in text
    assert "9 other tokens have the very same vector" in text
    one_border = replace(found.overlap, k=10, count=4, lowest=2, highest=6)
    said = verdict_sentences(replace(found, overlap=one_border), small.spaces, 0.1)
    assert said[3].endswith("anything from 2 to 6, on both sides of 30 %.")
    within = replace(one_border, lowest=4)
    assert verdict_sentences(replace(found, overlap=within), small.spaces, 0.1)[3].endswith("anything from 4 to 6.")


def test_a_short_list_has_no_verdict(small: OpenVocabulary) -> None:
    found = small.neighbors("#12", top=3)
    said = parsed(html_report(small, [found], top=3))
    assert "Verdict: none" in said.headings
    assert "No verdict: 3 neighbors are too few for one, which takes 5." in said.paragraphs
    assert "anything from 0 to 3." in " ".join(said.paragraphs)


@pytest.mark.parametrize(
    ("k", "count", "chance", "found", "expected"),
    [
        (1, 0, 1 / 49_151, "The nearest token is not the same in both lists (0.0 %)", "0.00002"),
        (1, 1, 0.5, "The nearest token is the same in both lists (100.0 %)", "0.5"),
        (30, 1, 900 / 49_151, "1 of the 30 nearest tokens is in both lists (3.3 %)", "0.02"),
        (30, 29, 900 / 39, "29 of the 30 nearest tokens are in both lists (96.7 %)", "23.1"),
    ],
)
def test_counts_are_said_in_plain_numbers(
    k: int, count: int, chance: float, found: str, expected: str, small: OpenVocabulary
) -> None:
    answer = small.neighbors("#0", top=3)
    agreed = replace(answer.overlap, k=k, count=count, percent=100 * count / k, lowest=count, highest=count)
    sentence = verdict_sentences(replace(answer, overlap=agreed), small.spaces, chance)[0]
    assert sentence == f"{found}; two lists drawn blindly would share {expected}."


def test_denser_than(vocabulary: OpenVocabulary, small: OpenVocabulary) -> None:
    """The share of tokens below; of two that tie for the highest density, neither is denser than all others."""
    for bundle, token in ((vocabulary, "#7"), (vocabulary, "planet"), (small, "#0"), (small, "#12")):
        found = bundle.neighbors(token)
        known = [math.inf if value is None else value for value in densities_of(bundle)]
        share = Fraction(100 * sum(value < known[found.token.row] for value in known), len(known))
        page = parsed(html_report(bundle, [found], top=30))
        (percent, of) = dict(map(tuple, page.tables["The token"]))["denser than"].split(" %")
        step = Fraction(1, 10 ** len(percent.split(".")[1]))
        assert of == " of all tokens"
        assert 0 <= share - Fraction(percent) < step <= max(Fraction(1, 10), Fraction(100, len(known)))
        assert (float(percent) == 0) == (share == 0)


def densities_of(bundle: OpenVocabulary) -> list[float]:
    return pq.read_table(bundle.folder / "tokens.parquet")["density_distinct"].to_pylist()


def test_tokens_without_text_are_called_by_their_ids(small: OpenVocabulary) -> None:
    answers = [small.neighbors(token, top=4) for token in ("#0", "#1")]
    said = parsed(html_report(small, answers, top=4))
    assert said.headings[0] == "Nearest tokens of #0, #1 in bundle"
    assert {"#0", "#1"} <= set(said.headings)
    twins = parsed(html_report(small, [small.neighbors("#12", top=4)], top=4)).tables["The token"]
    assert dict(map(tuple, twins))["twins"] == "9: " + ", ".join(f"#{row}" for row in range(10, 20) if row != 12)
    assert [row["text"] for row in values(said.charts["chart-1-1"])] == [
        f"#{each.token.id}" for each in answers[0].lists[Geometry.CAUSAL]
    ]


def test_a_key_names_only_what_is_drawn(small: OpenVocabulary) -> None:
    for token, top in (("#12", 9), ("#0", 1), ("#0", 9)):
        chart = parsed(html_report(small, [small.neighbors(token, top=top)], top=top)).charts["chart-1-5"]
        fill, shape = (chart["layer"][0]["encoding"][name]["scale"] for name in ("fill", "shape"))
        assert set(fill["domain"]) == set(shape["domain"]) == {row["lists"] for row in values(chart)}
        assert len(fill["range"]) == len(shape["range"]) == len(fill["domain"])


def test_every_file_has_its_checksum(smollm2: Built, page: Path) -> None:
    rows = parsed(page.read_text(encoding="utf-8")).tables["Files of the bundle"][1:]
    assert {name for name, _, _ in rows} == {path.name for path in smollm2.path.iterdir()}
    for name, size, checksum in rows:
        content = (smollm2.path / name).read_bytes()
        assert checksum == hashlib.sha256(content).hexdigest()
        assert size == ("" if name == "manifest.json" else f"{len(content):,}")


def test_the_settings_are_said(vocabulary: OpenVocabulary) -> None:
    found = vocabulary.neighbors(
        "planet", top=5, density_k=7, rule="distinct", geometries=("causal_cosine", "cosine"), among="kind=word"
    )
    tables = parsed(html_report(vocabulary, [found], top=5)).tables
    facts = dict(map(tuple, tables["The question"]))
    assert facts["geometries compared"] == "causal cosine and cosine similarity"
    assert (facts["length of lists"], facts["density"]) == ("5", "1 / mean distance to 7 neighbors")
    assert facts["rule"].startswith("distinct")
    assert facts["among"] == f"kind=word: {len(found.among):,} tokens"


@pytest.mark.parametrize("worst_error", [1e-6, 1.0])
def test_the_crosscheck_that_was_stored(worst_error: float) -> None:
    pairs = PairCheck(100, worst_error, (1, 2))
    matrix = MatrixCheck("d.pt", 9, "float16", 1e-3, 0.1, 36, 0.75, 3.5, (4, 5), 9, 8, 2, "another metric")
    decades = (Decade(0.0, 1.0, 10, 9, 3.5), Decade(1.0, None, 26, 0, 0.01))
    matrix = replace(
        matrix, expansion=1e-7, at_zero=0.01, hidden=4, hidden_rows=2, decades=decades, rows_judged=9, rows_unfit=7
    )
    checked = CrossCheck(matrix if worst_error == 1 else None, QuadraticForm(pairs, pairs, 1e-5))
    stored = msgspec.convert(json.loads(json.dumps(checked.json())), CrossCheckFacts)
    facts = dict(crosscheck_facts(stored).rows)
    assert facts["outcome"] == ("passed" if worst_error < 1e-5 else "FAILED")
    assert ("stored matrix" in facts) == (worst_error == 1)
    if worst_error == 1:
        assert (facts["stored matrix"], facts["  cause"]) == ("FAILED, d.pt", "another metric")
        assert facts["  entries"] == "36, 75.0000% within tolerance"
        in_a_terminal = dict(checked.page()[0].rows)
        for name in ("  too small", "    0 to 1", "    from 1", "  neighbors"):
            assert facts[name] == in_a_terminal[name], name
        assert facts["    0 to 1"] == "3.5 among 10 entries, 9 beyond tolerance"
        assert facts["  neighbors"].startswith("unfit for neighbors in 7 of 9 rows: ")


def test_no_crosscheck_is_said(page: Path) -> None:
    tables = parsed(page.read_text(encoding="utf-8")).tables
    assert tables["Cross-check"] == [["outcome", "not run when the bundle was built"]]


@pytest.mark.parametrize("token", ["planet", "#7"])
def test_the_charts_show_the_lists(token: str, vocabulary: OpenVocabulary) -> None:
    found = vocabulary.neighbors(token, top=20)
    charts = parsed(html_report(vocabulary, [found], top=20)).charts
    for name, listed in zip(("chart-1-1", "chart-1-2"), found.lists.values(), strict=True):
        assert [(row["rank"], row["id"], row["distance"], row["tied"]) for row in values(charts[name])] == [
            (each.rank, str(each.token.id), each.distance, "yes" if each.tied else "no") for each in listed
        ]
        assert [row["text"] for row in values(charts[name])] == [display(each.token.text) for each in listed]
    at_20 = values(charts["chart-1-3"])[19]
    assert at_20["k"] == 20
    assert at_20["share"] * 20 == pytest.approx(found.overlap.count)
    assert sum(row["tokens"] for row in values(charts["chart-1-4"])) == len(vocabulary)
    causal, cosine = found.lists.values()
    union = {row["id"]: row for row in values(charts["chart-1-5"])}
    assert union.keys() == {str(each.token.id) for each in (*causal, *cosine)}
    for each in causal:
        assert (union[str(each.token.id)]["across"], union[str(each.token.id)]["first_rank"]) == (
            each.distance,
            str(each.rank),
        )
    for each in cosine:
        assert (union[str(each.token.id)]["up"], union[str(each.token.id)]["second_rank"]) == (
            each.similarity,
            str(each.rank),
        )
    both = {str(shared.token.id) for shared in found.shared}
    assert {token for token, row in union.items() if row["lists"] == "both lists"} == both


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_same_question_gives_the_same_file(smollm2: Built, tmp_path: Path, page: Path) -> None:
    again = tmp_path / "again.html"
    assert invoke("query.py", "report", "planet", "#7", "densest", "--index", smollm2.path, "--out", again).code == 0
    assert again.read_bytes() == page.read_bytes()
    assert page.stat().st_size < 6_000_000


def test_with_no_question_it_is_of_the_densest_token(smollm2: Built, tmp_path: Path) -> None:
    assert invoke("query.py", "report", "--index", smollm2.path, "--out", tmp_path / "r.html").code == 0
    said = parsed((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert said.headings[0] == "Nearest tokens of the densest token in SmolLM2-135M-Instruct.Q4_1 (smollm2-135m)"


def refused(*arguments: object) -> str:
    done = invoke("query.py", "report", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    return done.err


def test_what_is_refused(smollm2: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there.html"
    there.write_text("mine")
    where = ("--index", smollm2.path, "--out")
    assert "pass --overwrite" in refused("planet", *where, there)
    assert there.read_text() == "mine"
    assert invoke("query.py", "report", "planet", *where, there, "--overwrite").code == 0
    assert there.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "no token has the text 'planett'" in refused("planett", *where, tmp_path / "new.html")
    assert "lies in a bundle's folder" in refused("planet", *where, smollm2.path / "new.html")
    monkeypatch.setattr("index.files.find_spec", lambda name: None if name == "vl_convert" else object())
    assert "uv run --extra report query.py report" in refused("planet", *where, tmp_path / "new.html")
    assert list(tmp_path.iterdir()) == [there]


def test_what_is_mailed_names_no_folder_of_its_maker(small: OpenVocabulary) -> None:
    """Neither of the matrix, nor of a metric that was given, nor of one that was checked against."""
    folder = str(Path(small.manifest.source.location).parent)
    assert Path(folder).is_absolute()
    assert folder not in html_report(small, [small.neighbors("#0", top=3)], top=3)
    for location, wanted in (
        ("/home/someone/models/gamma.npy", "gamma.npy"),
        (r"C:\Users\someone\gamma.npy", "gamma.npy"),
        ("../secret/gamma.npy", "gamma.npy"),
        ("models/gamma.npy", "models/gamma.npy"),
        ("Qwen/Qwen3-4B@main", "Qwen/Qwen3-4B@main"),
        ("bundled:SmolLM2.gguf", "bundled:SmolLM2.gguf"),
        ("inverse of Cov(gamma) + 1e-06 I", "inverse of Cov(gamma) + 1e-06 I"),
    ):
        assert without_folders(location) == wanted


@pytest.mark.parametrize("width", [320, 390, 1024, 1280])
def test_no_table_is_cut(width: int, page: Path) -> None:
    with chromium() as browser:
        window = browser.new_page(viewport={"width": width, "height": 900})
        window.goto(page.as_uri())
        wider = "(all) => all.filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.ariaLabel)"
        assert window.locator(".scroll").evaluate_all(wider) == []
        assert window.evaluate("document.documentElement.scrollWidth") <= width
