"""`findings`: every number is that of the question it is taken from, and of a count by other means."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import smollm2_oracle
from conftest import Built, build, invoke, query

import index
from index.api import OpenVocabulary
from index.errors import ParameterError
from index.geometry.views import VIEWS, View
from index.questions.evaluate import evaluate
from index.questions.evaluate.figures import Difference, PairFigures, SetResult
from index.questions.findings import quoted
from index.sources.judgments import JudgedPairs, gensims_judgments, read_judgments

QUICK = ("overlap", "untrained", "hubs", "twins", "texts")
WORDS = ("planet", "star", "moon", "the", "of", "and")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smollm2_oracle.build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def smollm2_findings(smollm2: Built) -> dict[str, Any]:
    return figures(query("findings", "--quick", "--index", smollm2.path))


def figures(answer: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each["figures"] for each in answer["findings"]}


def sentences(answer: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["sentence"] for each in answer["findings"]}


# --- the bundled model ------------------------------------------------------------------------------------------------


def test_what_is_counted_of_the_bundled_model(smollm2: Built, smollm2_findings: dict[str, Any]) -> None:
    """Twins, texts and untrained tokens by the columns, places and overlaps by the stored lists."""
    assert tuple(smollm2_findings) == QUICK
    table = pq.read_table(smollm2.path / "tokens.parquet").to_pydict()
    groups, counts = np.unique(table["twin_group"], return_counts=True)
    found = smollm2_findings["twins"]
    assert len(groups) == len(counts)
    assert [found[name]["value"] for name in ("groups", "tokens", "largest")] == [
        (counts > 1).sum(),
        counts[counts > 1].sum(),
        counts.max(),
    ]
    lost = sum(each not in ("ok", "special", "bytes", "orphan") for each in table["class"])
    assert [each["value"] for each in smollm2_findings["texts"].values()] == [
        lost,
        table["class"].count("bytes"),
        table["text"].count(None),
    ]
    opened = index.open(smollm2.path)
    untrained = np.array(table["untrained"])
    assert smollm2_findings["untrained"]["tokens"]["value"] == untrained.sum()
    lists = {each: np.asarray(getattr(opened, each).ids[:, :30]) for each in smollm2_oracle.GEOMETRIES}
    for geometry, ids in lists.items():
        share = smollm2_findings["untrained"][geometry]["value"]
        assert share == pytest.approx(untrained[ids].mean(), abs=2e-3)  # ties at the last places are shared out
    found_in = np.bincount(lists["causal"].ravel(), minlength=len(opened))
    most = np.sort(found_in)[::-1][: round(len(opened) / 1000)].sum() / found_in.sum()
    assert smollm2_findings["hubs"]["share"]["value"] == pytest.approx(most, abs=2e-3)
    assert smollm2_findings["hubs"]["in_no_list"]["value"] == pytest.approx((found_in == 0).sum(), abs=5)
    shared = [len(set(a) & set(b)) for a, b in zip(lists["causal"].tolist(), lists["cosine"].tolist(), strict=True)]
    overlap = smollm2_findings["overlap"]["share"]
    assert overlap["value"] == pytest.approx(np.mean(shared) / 30, abs=1e-12)
    assert overlap["low"] <= overlap["value"] <= overlap["high"]


def test_they_are_the_answers_of_other_questions(smollm2: Built, smollm2_findings: dict[str, Any]) -> None:
    opened = index.open(smollm2.path)
    hubness, census = opened.hub_shares(top=30), opened.census()
    for geometry, filled in hubness.geometries.items():
        assert smollm2_findings["untrained"][geometry.value]["value"] == filled.untrained
    assert smollm2_findings["untrained"]["tokens"]["value"] == len(census.members) == hubness.untrained
    cleaned = opened.overlap(tops="30", without="@untrained,@hubs").tops[30]
    assert smollm2_findings["overlap"]["share_without"] == {
        "value": cleaned.mean,
        "low": cleaned.lowest,
        "high": cleaned.highest,
    }


def test_sentences_say_the_figures(smollm2: Built) -> None:
    said = sentences(query("findings", "--quick", "--index", smollm2.path))
    assert said["overlap"] == (
        "Lists of 30 by causal distance and by cosine similarity share 32.1 % of their places, 30.2 % without "
        "untrained tokens and hubs."
    )
    assert said["untrained"].startswith(
        "23 untrained tokens fill 57.2 % of all places in lists of 30 by causal distance"
    )
    assert said["twins"] == "4 groups of twins hold 15 of 49,152 tokens, the largest 7."


def test_a_control_stands_beside(smollm2: Built, smollm2_control: Built) -> None:
    asked = ("findings", "--quick", "--beside", smollm2_control.path, "--index", smollm2.path)
    answer = query(*asked)
    there = query("overlap", "--top", 30, "--index", smollm2_control.path)["tops"]["30"]["mean"]
    assert figures(answer["beside"])["overlap"]["share"]["value"] == there
    assert sentences(answer)["overlap"].endswith(f"; covariance control: {100 * there:.1f} %.")
    assert {each["name"] for each in answer["beside"]["left_out"]} >= {"untrained", "texts"}
    lines = invoke("query.py", *asked, "--csv").out.splitlines()
    assert lines[0].endswith(",misleads,bundle")
    refused = invoke("query.py", "findings", "--quick", "--top", 101, "--index", smollm2.path)
    assert (refused.code, "--top must be from 1 to 100" in refused.err) == (2, True)


# --- what people judged -----------------------------------------------------------------------------------------------


def judgments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of gensim's sets: pairs of all words there are, and of two."""
    pairs = [(a, b, n % 7) for n, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS if a < b)]
    (folder / "many.tsv").write_text("\n".join("\t".join(map(str, each)) for each in pairs))
    (folder / "few.tsv").write_text("planet\tstar\t3\nmoon\tstar\t4\n")
    read = [read_judgments(folder / f"{name}.tsv") for name in ("many", "few")]
    monkeypatch.setattr(evaluate, "gensims_judgments", lambda: read)


def test_what_people_judged_is_what_evaluate_says(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judgments(tmp_path, monkeypatch)
    answer = query("findings", "--index", small)
    (known, _) = query("evaluate", "--index", small)["sets"]
    found = figures(answer)[known["name"]]
    for view in VIEWS:
        figure = known[view.key]
        assert found[view.key] == {"value": figure["spearman"], "low": figure["low"], "high": figure["high"]}
    shares = query("shares", "--index", small)
    in_common = figures(answer)["in common"]
    for geometry in smollm2_oracle.GEOMETRIES:
        assert in_common[f"letters_{geometry}"]["value"] == shares[geometry]["letters"]["share"]
        assert in_common[f"word_{geometry}"]["low"] == shares[geometry]["word"]["low"]
        trained = shares["trained"][geometry]["letters"]
        told = in_common[f"letters_trained_{geometry}"]
        assert (told["value"], told["low"], told["high"]) == (trained["share"], trained["low"], trained["high"])
    assert in_common["letters_chance"]["value"] == shares["chance"]["letters"]["share"]
    (left_out,) = answer["left_out"]
    assert left_out["why"] == "2 of its 2 pairs are of tokens here, and fewer than 10 tell nothing"


def result(values: dict[View, float], differences: dict[tuple[View, View], tuple[float, float]]) -> SetResult:
    found = {view: PairFigures(value, value, value - 0.1, value + 0.1) for view, value in values.items()}
    held = [Difference(of, over, values[of] - values[over], *span) for (of, over), span in differences.items()]
    return SetResult("set", 30, 20, found, tuple(held))


def test_the_best_is_told_only_where_the_intervals_tell_it() -> None:
    causal, cosine, angle, *_ = VIEWS
    values = dict(zip(VIEWS, (0.5, 0.3, 0.6, 0.2, 0.7), strict=True))
    apart = {(causal, cosine): (0.1, 0.3), (angle, cosine): (0.2, 0.4), (angle, causal): (0.01, 0.2)}
    told = quoted.judged(result(values, apart))
    assert isinstance(told, quoted.Finding)
    assert told.said.startswith("On set causal cosine agrees best with human similarity: rho 0.600 [0.500, 0.700], aga")
    assert (
        "at the mean row: 0.200 [0.100, 0.300] by cosine similarity and 0.700 [0.600, 0.800] by causal" in told.misleads
    )
    level = quoted.judged(result(values, {**apart, (angle, causal): (-0.01, 0.2)}))
    assert isinstance(level, quoted.Finding)
    assert "On set causal cosine and causal distance agree best with human similarity, not told apart:" in level.said
    turned = {view: -value for view, value in values.items()}
    cosine_first = quoted.judged(result(turned, {pair: (-high, -low) for pair, (low, high) in apart.items()}))
    assert isinstance(cosine_first, quoted.Finding)
    assert cosine_first.said.startswith("On set cosine similarity agrees best")
    assert isinstance(quoted.judged(result({**values, angle: math.nan}, apart)), str)


def test_the_known_figures_of_the_bundled_model(smollm2: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pairs of words: analogies, and what neighbors share, are held where they are asked about."""
    pytest.importorskip("gensim")
    read = [each for each in gensims_judgments() if isinstance(each, JudgedPairs)]
    monkeypatch.setattr(evaluate, "gensims_judgments", lambda: read)

    def no_shares(*_: Any, **__: Any) -> None:
        raise ParameterError("not asked for")

    monkeypatch.setattr("index.questions.findings.findings.shares", no_shares)
    answer = query("findings", "--index", smollm2.path)
    assert figures(answer)["SimLex-999"]["causal_cosine"]["value"] == pytest.approx(0.483944, abs=1e-4)
    said = sentences(answer)
    assert list(said)[:3] == ["WordSim-353", "SimLex-999", "overlap"]
    assert said["WordSim-353"].startswith(
        "On WordSim-353 causal cosine agrees best with human similarity: rho 0.646 [0.577, 0.705], against 0.579 "
    )
    assert left_out(answer) == {"in common": "not asked for"}


# --- what cannot be said ----------------------------------------------------------------------------------------------


def left_out(answer: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["why"] for each in answer["left_out"]}


def test_without_the_extra_it_is_said_what_to_install(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.files.find_spec", lambda name: None)
    answer = query("findings", "--index", small)
    assert "`uv run --extra evaluate query.py evaluate ...`" in left_out(answer)["what people judged"]
    assert "in common" in figures(answer)
    quick = query("findings", "--quick", "--index", small)
    assert left_out(quick).keys() == {"what people judged", "in common"}


def bundle(folder: Path, rows: np.ndarray, *options: object) -> OpenVocabulary:
    np.save(folder / "gamma.npy", rows)
    build(folder / "gamma.npy", "--out", folder / "b", *options)
    return index.open(folder / "b")


def test_a_bundle_without_texts(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 5))
    opened = bundle(tmp_path, rows, "--neighbors", 10, "--density-k", 5)
    answer = opened.findings()
    assert [each.name for each in answer.found] == ["overlap", "untrained", "hubs", "twins"]
    assert answer.left_out["texts"] == "the bundle holds no texts"
    assert answer.left_out["in common"] == "no token here has a word's text to have in common with another"
    assert answer.sentences["untrained"] == "No token is untrained."
    assert answer.sentences["twins"] == "No two of 60 tokens have the same vector."
    assert "lists of 10" in answer.sentences["overlap"].lower()
    assert "nan" not in invoke("query.py", "findings", "--quick", "--index", opened.folder).said


@pytest.mark.parametrize("rows", [[[1, 0], [0, 1], [1, 2]], [[0, 0], [0, 1], [1, 2]], [[1, 0], [1, 0], [1, 0]]])
def test_tiny_bundles(rows: list[list[int]], tmp_path: Path) -> None:
    opened = bundle(tmp_path, np.array(rows, dtype=np.float64), "--neighbors", 2, "--density-k", 1)
    answer = opened.findings(quick=True)
    names = {each.name for each in answer.found}
    assert "twins" in names
    assert len(names) + len(answer.left_out) == len(QUICK) + 2
    assert all(answer.left_out.values())
    assert answer.page()


def test_forms(small: Path, tmp_path: Path) -> None:
    opened = index.open(small)
    frame = opened.findings(quick=True).to_pandas()
    assert set(frame["finding"]) == set(QUICK)
    assert frame["value"].dtype == np.float64
    assert frame["low"].isna().any()
    out = tmp_path / "out.parquet"
    assert invoke("query.py", "findings", "--quick", "--parquet", out, "--index", small).code == 0
    assert pq.read_table(out)["figure"].to_pylist() == frame["figure"].tolist()
    outcome = invoke("query.py", "findings", "--quick", "--index", small)
    for each in opened.findings(quick=True).found:
        assert each.said in outcome.said
        assert each.misleads in outcome.said
        assert f"more {each.source.said}" in outcome.said
