"""`shares` against brute force over every place of every list, and intervals against a control."""

import math
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smollm2_oracle
from conftest import Built, build, invoke, query

import index
from index.answers.page import share_bar
from index.api import OpenVocabulary
from index.measures.shares import Trait, shares
from index.questions.shares.shares import TRAITS


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smollm2_oracle.build_small(tmp_path_factory.mktemp("small"))


def tokens_of(opened: OpenVocabulary) -> list[dict[str, Any]]:
    """What each token has, with its places in the orders of norms and ids."""
    tokens = opened.tokens.to_pylist()
    for name in ("causal_norm", "euclidean_norm", "token_id"):
        order = sorted(range(len(tokens)), key=lambda row: (tokens[row][name], row))
        for place, row in enumerate(order):
            tokens[row][f"{name}_place"] = place
    return tokens


def in_common(a: dict[str, Any], b: dict[str, Any], V: int) -> dict[str, bool]:
    forms = ["".join((each["text"] or "").split()).casefold() for each in (a, b)]
    whole = not any(each["text"] is None or "\ufffd" in each["text"] for each in (a, b))
    starts = [form[:3] for form in forms]
    same = {name: a[name] == b[name] and a[name] is not None for name in ("script", "kind", "class")}
    orders = ("causal_norm", "euclidean_norm", "token_id")
    near = {name: abs(a[f"{name}_place"] - b[f"{name}_place"]) <= V // 20 for name in orders}
    return {
        "word": whole and forms[0] == forms[1] != "",
        "letters": whole and starts[0] == starts[1] and len(starts[0]) == 3 and starts[0].isalpha(),
        **same,
        "causal_norm": near["causal_norm"],
        "norm": near["euclidean_norm"],
        "id": near["token_id"],
        "twin": a["twin_group"] == b["twin_group"],
    }


@pytest.mark.slow("compares each token with each")
def test_shares_are_those_of_brute_force(small: Path) -> None:
    opened = index.open(small)
    tokens, V = tokens_of(opened), len(opened)
    assert set(in_common(tokens[0], tokens[1], V)) == set(TRAITS)
    every = [[in_common(a, b, V) for b in tokens] for a in tokens]
    untrained = [token["untrained"] for token in tokens]
    assert 0 < sum(untrained) < V
    for rows, asked in ((range(V), ()), (range(300, 320), ("--among",)), ([40], ("#40",))):
        if asked == ("--among",):
            (small.parent / "ids.txt").write_text(" ".join(map(str, rows)))
            asked = ("--among", str(small.parent / "ids.txt"))
        answer = query("shares", *asked, "--top", 7, "--index", small)
        assert (answer["k"], answer["tokens"]) == (7, len(rows))
        for name in TRAITS:
            others = [every[row][other][name] for row in rows for other in range(V) if other != row]
            assert answer["chance"][name]["share"] == pytest.approx(np.mean(others), abs=1e-12)
            kept = [
                every[row][other][name] for row in rows for other in range(V) if other != row and not untrained[other]
            ]
            assert answer["trained"]["chance"][name]["share"] == pytest.approx(np.mean(kept), abs=1e-12)
            for geometry in smollm2_oracle.GEOMETRIES:
                ids = getattr(opened, geometry).ids
                places = [every[row][other][name] for row in rows for other in ids[row][:7] if other >= 0]
                found = answer[geometry][name]
                assert found["share"] == pytest.approx(np.mean(places), abs=1e-12)
                firsts = {row: [o for o in ids[row].tolist() if o >= 0 and not untrained[o]][:7] for row in rows}
                cleaned = [every[row][other][name] for row in rows for other in firsts[row]]
                assert answer["trained"][geometry][name]["share"] == pytest.approx(np.mean(cleaned), abs=1e-12)
                assert answer["trained"]["short"][geometry] == sum(len(first) < 7 for first in firsts.values())
                held = [bool(untrained[other]) for row in rows for other in ids[row][:7] if other >= 0]
                assert answer["untrained"][geometry] == pytest.approx(np.mean(held), abs=1e-12)
                if len(rows) > 1:
                    assert found["low"] <= found["share"] <= found["high"]
                else:
                    assert found["low"] is found["high"] is None


def test_vectors_that_know_nothing_of_texts_share_what_chance_gives(small: Path) -> None:
    """Its rows were drawn at random: they have nothing to do with texts, kinds, scripts or ids."""
    answer = query("shares", "--index", small)
    for geometry in smollm2_oracle.GEOMETRIES:
        for name in ("letters", "script", "kind", "id"):
            found = answer[geometry][name]
            assert found["low"] <= answer["chance"][name]["share"] <= found["high"], (geometry, name)


def test_what_no_token_has_has_no_share(tmp_path: Path) -> None:
    """Of a matrix without texts it was said that 0 % of neighbors are the same word, as by chance."""
    np.save(tmp_path / "gamma.npy", np.random.default_rng(2).normal(size=(60, 5)))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "b", "--neighbors", 10, "--density-k", 5)
    found = query("shares", "--index", tmp_path / "b")
    for trait in ("word", "letters", "script"):
        assert found["chance"][trait]["share"] is None
        assert found["causal"][trait] == {"share": None, "low": None, "high": None}
    assert found["causal"]["id"]["share"] is not None
    assert "nan" not in invoke("query.py", "shares", "--index", tmp_path / "b").said


@pytest.mark.slow("60 trials of 400 draws")
def test_intervals_allow_for_tokens_that_stand_in_most_lists() -> None:
    """Codes that have nothing to do with lists, half of whose places are of five hubs: chance lies in the intervals."""
    rng = np.random.default_rng(0)
    V, k, trials, hits = 400, 10, 60, 0
    for _ in range(trials):
        trait = Trait(rng.integers(4, size=V))
        hubs = rng.choice(V, 5, replace=False)
        lists = np.where(rng.random((V, k)) < 0.5, hubs[rng.integers(5, size=(V, k))], rng.integers(V, size=(V, k)))
        lists[lists == np.arange(V)[:, None]] = -1
        ((_, (low, high)),) = shares(np.arange(V), lists, [trait], V)
        hits += low <= trait.chance(np.arange(V)) <= high
    assert hits / trials > 0.85  # draws of lists alone would hold it in a few of ten


def test_bars_are_as_long_as_shares_and_marked_at_chance() -> None:
    """A cell is a fourteenth, an eighth of one the least that is drawn; the line is between two cells."""
    assert share_bar(0.5, 0.25) == "████│███░░░░░░░"
    assert share_bar(1, 1) == "██████████████│"
    assert share_bar(0, 0) == "│░░░░░░░░░░░░░░"
    assert share_bar(1.5 / 14, 0.5) == "█▌░░░░░│░░░░░░░"
    assert share_bar(math.nan, 0.5) == ""
    assert share_bar(0.5, math.nan) == "███████░░░░░░░"
    for share in np.linspace(0, 1, 113):
        bar = share_bar(share, 0.3).replace("│", "")
        assert len(bar) == 14
        eighths = sum("░▏▎▍▌▋▊▉█".index(cell) for cell in bar)
        assert eighths == pytest.approx(share * 112, abs=0.5001)


def test_forms_and_words(small: Path, tmp_path: Path) -> None:
    outcome = invoke("query.py", "shares", "--index", small)
    assert re.search("Than cosine's, trained neighbors by causal distance have (more|less|no share)", outcome.said)
    assert "by chance" in outcome.said
    assert "cosine's" not in invoke("query.py", "shares", "planet", "--index", small).said
    frame = index.open(small).shares().to_pandas()
    assert len(frame) == 3 * len(TRAITS)
    assert invoke("query.py", "shares", "--parquet", tmp_path / "out.parquet", "--index", small).code == 0
    assert invoke("query.py", "shares", "--csv", "--index", small).out.startswith(
        "geometry,trait,k,tokens,share,low,high,chance,trained_share,trained_low,trained_high,trained_chance\n"
    )
    refused = invoke("query.py", "shares", "planet", "--among", "kind=word", "--index", small)
    assert refused.code == 2
    assert "or those that --among names; pass one" in refused.err


@pytest.mark.slow("counts 1.5 million places in Python")
def test_shares_of_the_bundled_model(smollm2: Built) -> None:
    opened = index.open(smollm2.path)
    texts, kinds = opened.vocabulary.texts.to_pylist(), opened.vocabulary.kinds.to_pylist()
    forms = [unicodedata.normalize("NFKC", text.strip()).casefold() for text in texts]
    whole = ["\ufffd" not in text and form != "" for text, form in zip(texts, forms, strict=True)]
    answer = opened.shares()
    for geometry in smollm2_oracle.GEOMETRIES:
        lists = np.asarray(getattr(opened, geometry).ids[:, :10]).tolist()
        pairs = [(row, other) for row, others in enumerate(lists) for other in others]
        same_word = [whole[a] and whole[b] and forms[a] == forms[b] for a, b in pairs]
        found = answer.found[geometry]
        assert found["word"].share == pytest.approx(np.mean(same_word), abs=1e-12)
        assert found["kind"].share == pytest.approx(np.mean([kinds[a] == kinds[b] for a, b in pairs]), abs=1e-12)
