"""The columns that say how a token is written and how it sits among the others."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
from conftest import Built, build
from hypothesis import given
from hypothesis import strategies as st
from models import SPECIAL, TOKENS, byte_level_tokenizer, save_tokenizer, sentencepiece_like_tokenizer
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers

from index.measures.hubness import hubness
from index.measures.lists import NeighborLists
from index.measures.overlaps import overlaps
from index.tokens.vocabulary import Vocabulary
from index.tokens.writing import reachable, script


@pytest.fixture(scope="module")
def tokens(smollm2: Built) -> dict[str, list]:
    return pq.read_table(smollm2.path / "tokens.parquet").to_pydict()


# --- script -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" planet", "Latin"),
        ("naïve", "Latin"),
        ("e\u0301", "Latin"),  # the accent is Inherited
        ("Жук42", "Cyrillic"),
        ("รับ", "Thai"),
        ("\u0e34", "Thai"),  # a vowel sign alone: a mark, no letter, and Thai all the same
        ("日本", "Han"),
        ("日本の", "Mixed"),
        ("Aж", "Mixed"),
        ("한국", "Hangul"),
        ("ᐃᓄᒃ", "Canadian Aboriginal"),
        ("42", "Common"),
        (" == ", "Common"),
        ("", "Common"),
        ("\ufffd", "Common"),
        ("\ue000", "Common"),  # private use: Unknown
    ],
)
def test_scripts(text: str, expected: str) -> None:
    assert script(text) == expected


def test_scripts_of_letters_are_in_their_names(tokens: dict[str, list]) -> None:
    """Unicode names of letters begin with the script, as in LATIN SMALL LETTER A; only ideographs do not."""
    seen = set()
    for text, found in zip(tokens["text"], tokens["script"], strict=True):
        for letter in text or "":
            if unicodedata.category(letter).startswith("L") and found not in ("Mixed", "Common"):
                begins = unicodedata.name(letter).split(" LETTER ")[0]  # else a sign, as the masculine ordinal º
                if begins != unicodedata.name(letter) or begins.startswith("CJK"):
                    assert begins.startswith("CJK UNIFIED" if found == "Han" else found.upper()), (text, letter, found)
                    seen.add(found)
    assert {"Latin", "Cyrillic", "Greek", "Han", "Hebrew", "Arabic"} <= seen


# --- reachable --------------------------------------------------------------------------------------------------------


def test_reachable_is_what_the_tokenizer_makes_of_each_text(tokens: dict[str, list], smollm2: Built) -> None:
    tokenizer = Tokenizer.from_file(str(smollm2.path / "tokenizer.json"))
    expected = [
        tokenizer.encode(text, add_special_tokens=False).ids == [row] for row, text in enumerate(tokens["text"])
    ]
    assert tokens["reachable"] == expected
    assert set(expected) == {True, False}


def test_rows_without_text_and_vocabularies_without_tokenizer_have_none(tmp_path: Path) -> None:
    gamma = np.random.default_rng(3).normal(size=(TOKENS + 2, 6))
    np.save(tmp_path / "gamma.npy", gamma)
    save_tokenizer(tmp_path / "tokenizer", byte_level_tokenizer())
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bare", "--neighbors", 40)
    build(tmp_path / "gamma.npy", "--tokenizer", tmp_path / "tokenizer", "--out", tmp_path / "named", "--neighbors", 40)
    bare, named = (pq.read_table(tmp_path / name / "tokens.parquet").to_pydict() for name in ("bare", "named"))
    assert bare["reachable"] == bare["script"] == [None] * len(gamma)
    assert named["reachable"][-2:] == named["script"][-2:] == [None, None]
    assert None not in named["reachable"][:-2]
    assert named["reachable"][named["text"].index(SPECIAL)] is True
    assert named["overlap_100"] == [None] * len(gamma)
    assert None not in named["overlap_30"]


def vocabulary(tokenizer: Tokenizer, texts: dict[str, str], ids: dict[str, int] | None = None) -> Vocabulary:
    """The vocabulary of some pieces, whose texts are given."""
    ids = ids or {piece: tokenizer.token_to_id(piece) for piece in texts}
    whole = Vocabulary.from_tokens(list(texts.values()), list(texts), tokenizer_json=tokenizer.to_str())
    return Vocabulary(
        np.array([ids[piece] for piece in texts]), whole.texts, whole.pieces, whole.kinds, whole.tokenizer_json
    )


@pytest.mark.parametrize("kind", ["Metaspace", "Prepend"])
def test_a_tokenizer_that_puts_a_space_before_a_text(kind: str) -> None:
    """Llama 2's never starts a text with `pl`, but does make it inside one; its byte for `a` it never makes."""
    tokenizer = sentencepiece_like_tokenizer()
    if kind == "Prepend":
        state = json.loads(tokenizer.to_str()) | {"pre_tokenizer": None}
        tokenizer = Tokenizer.from_str(json.dumps(state))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    texts = {"▁ab": " ab", "pl": "pl", "a": "a", "<0x61>": "a", "<0x41>": "A", "<0xE6>": "\ufffd", "<s>": "<s>"}
    expected = [True, True, True, False, True, False, True]
    assert tokenizer.encode("pl", add_special_tokens=False).tokens == ["▁", "pl"]
    assert reachable(vocabulary(tokenizer, texts)) == expected


def test_a_sample_compares_ids_not_rows() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "c": 2, "?": 3}, unk_token="?"))
    assert reachable(vocabulary(tokenizer, {"c": "c", "a": "a", "b": "z"})) == [True, True, False]


# --- hubness, overlaps ------------------------------------------------------------------------------------------------


def untied(ids: NDArray[np.int32]) -> NeighborLists:
    """Lists (V, K) in which no token is as far as another."""
    V, K = ids.shape
    distances = np.where(ids >= 0, np.arange(1, K + 1), np.inf).astype(np.float32)
    return NeighborLists(ids, distances, ids, distances, np.arange(V, dtype=np.int32), 1e-3, V)


def test_hubness_by_hand() -> None:
    lists = untied(np.array([[1, 2], [2, 0], [1, -1], [1, 0]], dtype=np.int32))
    assert hubness(lists, 1).tolist() == [0, 3, 1, 0]
    assert hubness(lists, 2).tolist() == [2, 3, 2, 0]


LISTS = st.lists(st.permutations(range(7)), min_size=7, max_size=7)


@given(LISTS, LISTS, st.integers(1, 5))
def test_overlaps_are_those_of_sets(a: list[list[int]], b: list[list[int]], k: int) -> None:
    first, second = (
        [[other for other in each if other != row][:5] for row, each in enumerate(lists)] for lists in (a, b)
    )
    found = overlaps(untied(np.array(first, np.int32)), untied(np.array(second, np.int32)), k)
    expected = [oracles.overlap(x[:k], y[:k]) for x, y in zip(first, second, strict=True)]
    assert found.counts.tolist() == expected
    if k < 5:
        assert found.lowest.tolist() == found.highest.tolist() == expected


def test_a_list_too_short_has_no_overlap() -> None:
    a = np.array([[1, 2, 3], [4, -1, -1], *[[-1] * 3] * 5], np.int32)
    b = np.array([[3, 2, -1], [4, 5, 6], *[[-1] * 3] * 5], np.int32)
    for k, expected in ((1, [0, 1]), (2, [1, np.nan]), (3, [np.nan, np.nan])):
        found = overlaps(untied(a), untied(b), k)
        for values in (found.counts, found.lowest, found.highest):
            np.testing.assert_array_equal(values[:2], expected)


def tied_places(distances: NDArray[np.float32], k: int, resolution: float) -> tuple[int, int]:
    """Where the ties at the k-th place of a sorted list begin, and where they end."""
    tied = np.flatnonzero(np.abs(distances - distances[k - 1]) <= np.float32(resolution))
    return int(tied[0]), int(tied[-1]) + 1


def test_columns_of_the_bundled_model(tokens: dict[str, list], smollm2: Built) -> None:
    causal, cosine = (np.load(smollm2.path / f"{name}.ids.npy") for name in ("causal", "cosine"))
    distances = np.load(smollm2.path / "causal.distances.npy")
    resolution = json.loads((smollm2.path / "manifest.json").read_text())["spaces"]["causal"]["resolution"]
    counts = np.zeros(len(causal))
    for listed, apart in zip(causal, distances, strict=True):
        begin, end = tied_places(apart, 20, resolution)
        assert end < 100  # else the list ends among the ties
        counts[listed[:begin]] += 1
        counts[listed[begin:end]] += (20 - begin) / (end - begin)
    np.testing.assert_allclose(tokens["hubness"], counts, rtol=1e-12)
    for k in (10, 30, 100):
        shares = [
            oracles.overlap(a, b) / k for a, b in zip(causal[:, :k].tolist(), cosine[:, :k].tolist(), strict=True)
        ]
        assert tokens[f"overlap_{k}"] == shares


def test_hubness_of_the_bundled_model(tokens: dict[str, list], smollm2_gamma: NDArray) -> None:
    """Twins are in as many lists, where lists cut by rows have 31,060 down to 17,961; twenty tokens are over 9,000."""
    found = np.array(tokens["hubness"])
    for group in oracles.twin_groups(smollm2_gamma):
        assert len(set(found[group])) == 1
    assert found[8] == pytest.approx(25015.13, abs=0.1)
    assert (found > 9000).sum() == 20
    assert (found.argmax(), found.max()) == (190, pytest.approx(38310.4, abs=0.1))
    assert found.mean() == pytest.approx(20)


@pytest.mark.slow("float64 brute force from 100 tokens to all, in two geometries")
def test_overlaps_lie_within_what_ties_allow(tokens: dict[str, list], smollm2_gamma: NDArray) -> None:
    """Against float64 brute force over all tokens, for some of them: those that ties trouble, and others."""
    troubled = np.flatnonzero(np.array(tokens["overlap_30_lowest"]) < np.array(tokens["overlap_30_highest"]))
    assert len(troubled) == 147
    draw = np.random.default_rng(5)
    rows = np.union1d(draw.choice(len(smollm2_gamma), size=90, replace=False), draw.choice(troubled, 10, replace=False))
    _, cov = oracles.covariance(smollm2_gamma)
    points = oracles.causal_points(smollm2_gamma, oracles.metric(cov, 1e-6)), oracles.unit_rows(smollm2_gamma)
    distances = [oracles.distances_from(each, rows) for each in points]
    tolerances = [2 * oracles.rounding_tolerance(each) for each in points]  # of the difference of two distances
    for at, row in enumerate(rows):
        for k in (10, 30, 100):
            a, b = (
                oracles.choices(d[at], row, k, tolerance) for d, tolerance in zip(distances, tolerances, strict=True)
            )
            lowest, highest = oracles.overlap_bounds(a, b)
            assert lowest <= round(k * tokens[f"overlap_{k}"][row]) <= highest
            # The true distances tie the same tokens, unless one lies at the border of the resolution by less than that.
            assert (
                tokens[f"overlap_{k}_lowest"][row] <= tokens[f"overlap_{k}"][row] <= tokens[f"overlap_{k}_highest"][row]
            )
            if k == 100:  # as long as the lists kept: the widest range
                assert round(k * tokens["overlap_100_lowest"][row]) <= lowest
                assert round(k * tokens["overlap_100_highest"][row]) >= highest
            else:
                assert round(k * tokens[f"overlap_{k}_lowest"][row]) >= lowest
                assert round(k * tokens[f"overlap_{k}_highest"][row]) <= highest


def test_it_stays_fast_for_a_large_vocabulary() -> None:
    """Seconds at V = 151,936, K = 100; a generous bound for a busy machine."""
    from time import perf_counter

    ids = np.random.default_rng(0).integers(0, 151_936, (151_936, 100), dtype=np.int32)
    a, b = untied(ids), untied(np.roll(ids, 1, axis=0))
    started = perf_counter()
    for k in (10, 30, 100):
        overlaps(a, b, k)
    hubness(a, 20)
    assert perf_counter() - started < 5
