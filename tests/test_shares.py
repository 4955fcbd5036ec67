"""`shares` against brute force over every place of every list, and intervals against a control."""

import math
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smollm2_oracle
from conftest import Built, build, invoke, query
from numpy.typing import NDArray

import index
from index.answers.page import share_bar
from index.api import OpenVocabulary
from index.measures.shares import Trait, shares, token_draws
from index.questions.shares.in_common import TRAITS


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
            require_chance_in_the_set(answer, name, rows, every, untrained)
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


def require_chance_in_the_set(
    answer: dict[str, Any], name: str, rows: range | list[int], every: list[Any], untrained: list[bool]
) -> None:
    """What another of the same tokens has, where the lists of some are asked for; lists are of all tokens."""
    assert ("among" in answer["chance"][name]) == ("among" in answer)
    if "among" not in answer:
        return
    others = [(every[row][other][name], untrained[other]) for row in rows for other in rows if other != row]
    assert answer["chance"][name]["among"] == pytest.approx(np.mean([has for has, _ in others]), abs=1e-12)
    trained = [has for has, left_out in others if not left_out]
    assert answer["trained"]["chance"][name]["among"] == pytest.approx(np.mean(trained), abs=1e-12)


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


def test_intervals_allow_for_tokens_that_stand_in_most_lists() -> None:
    """Codes that have nothing to do with lists, half of whose places are of five hubs: chance lies in the intervals."""
    rng = np.random.default_rng(0)
    V, k, trials, hits = 400, 10, 60, 0
    drawn = token_draws(V)
    for _ in range(trials):
        trait = Trait(rng.integers(4, size=V))
        hubs = rng.choice(V, 5, replace=False)
        lists = np.where(rng.random((V, k)) < 0.5, hubs[rng.integers(5, size=(V, k))], rng.integers(V, size=(V, k)))
        lists[lists == np.arange(V)[:, None]] = -1
        ((_, (low, high)),) = shares(np.arange(V), lists, [trait], drawn)
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
        "geometry,trait,k,tokens,share,low,high,chance,trained_share,trained_low,trained_high,trained_chance,"
        "chance_among,trained_chance_among\n"
    )
    assert "in the set" not in outcome.said
    of_some = invoke("query.py", "shares", "--among", "kind=word", "--index", small).said
    assert "by chance in the set" in of_some
    assert "in the set: what another of these has" in of_some
    found = query("shares", "--among", "kind=word", "--index", small)
    frame = index.open(small).shares(among="kind=word").to_pandas()
    assert frame["chance_among"].tolist()[: len(TRAITS)] == [found["chance"][name]["among"] for name in TRAITS]
    assert found["chance"]["kind"]["among"] == 1
    refused = invoke("query.py", "shares", "planet", "--among", "kind=word", "--index", small)
    assert refused.code == 2
    assert "or those that --among names; pass one" in refused.err


# --- the bundled model ----------------------------------------------------------------------------------------------


class Counting:
    """What any two tokens of the bundled model have in common, in float64, of its rows of gamma and its texts."""

    def __init__(self, opened: OpenVocabulary) -> None:
        gamma, table = smollm2_oracle.gamma().astype(np.float64), opened.tokens.to_pydict()
        self.V, self.untrained = len(gamma), np.array(table["untrained"])
        forms = [unicodedata.normalize("NFKC", text.strip()).casefold() for text in table["text"]]
        forms = ["" if "\ufffd" in text else form for text, form in zip(table["text"], forms, strict=True)]
        starts = [form[:3] if len(form) > 2 and form[:3].isalpha() else "" for form in forms]
        causal = np.sqrt(np.einsum("ij,ij->i", gamma @ smollm2_oracle.metric()[1], gamma))
        twins = [row.tobytes() for row in smollm2_oracle.gamma()]
        same = {"word": forms, "letters": starts, **{name: table[name] for name in ("script", "kind", "class")}}
        self.codes = {name: numbered(values) for name, values in (same | {"twin": twins}).items()}
        orders = {"causal_norm": causal, "norm": np.linalg.norm(gamma, axis=1), "id": np.arange(self.V)}
        self.places = {name: np.argsort(np.argsort(values, kind="stable")) for name, values in orders.items()}

    def common(self, name: str, rows: NDArray, others: NDArray) -> NDArray[np.bool_]:
        if name in self.places:
            return abs(self.places[name][rows] - self.places[name][others]) <= self.V // 20
        return (self.codes[name][rows] == self.codes[name][others]) & (self.codes[name][rows] >= 0)

    def share(self, name: str, rows: NDArray, lists: NDArray) -> float:
        return float(self.common(name, rows[:, None], lists).mean())


def numbered(values: list[Any]) -> NDArray[np.int64]:
    """A number for each value, -1 for what says nothing."""
    numbers = {value: at for at, value in enumerate(dict.fromkeys(values))}
    return np.array([-1 if value in ("", None) else numbers[value] for value in values])


@pytest.fixture(scope="module")
def counting(smollm2: Built) -> Counting:
    return Counting(index.open(smollm2.path))


A_FEW_PLACES = 1e-5
"""Five of half a million: norms that differ in their last bits alone stand in either order, a place up or down."""


@pytest.mark.slow("counts the half million places of each geometry, and draws from them")
def test_shares_of_the_bundled_model(smollm2: Built, counting: Counting) -> None:
    """All of them, of all tokens, of stored lists; the lists themselves, and intervals, are held below."""
    opened = index.open(smollm2.path)
    answer, everyone = opened.shares(), np.arange(len(opened))
    assert {*counting.codes, *counting.places} == set(TRAITS)
    for geometry in smollm2_oracle.GEOMETRIES:
        lists = np.asarray(getattr(opened, geometry).ids).astype(np.int64)
        trained = np.array([row[~counting.untrained[row]][:10] for row in lists[:, :40]])
        assert answer.untrained[geometry] == pytest.approx(counting.untrained[lists[:, :10]].mean(), abs=1e-12)
        for name in TRAITS:
            share = counting.share(name, everyone, lists[:, :10])
            assert answer.found[geometry][name].share == pytest.approx(share, abs=A_FEW_PLACES)
            share = counting.share(name, everyone, trained)
            assert answer.trained.found[geometry][name].share == pytest.approx(share, abs=A_FEW_PLACES)
    for name, codes in counting.codes.items():
        sizes = np.bincount(codes[codes >= 0])
        pairs = (sizes * (sizes - 1.0)).sum() / (len(everyone) * (len(everyone) - 1.0))
        assert answer.chance[name] == pytest.approx(pairs, abs=1e-12)
    reach = len(everyone) // 20  # on both sides, less at the ends
    near = 2 * reach * len(everyone) - reach * (reach + 1)
    for name in counting.places:
        assert answer.chance[name] == pytest.approx(near / (len(everyone) * (len(everyone) - 1.0)), abs=1e-12)


@pytest.mark.slow("finds the ten nearest of 60 tokens in float64, of all and of the trained ones, in three geometries")
def test_shares_of_some_tokens_of_the_bundled_model(smollm2: Built, counting: Counting) -> None:
    """Lists by float64 brute force, chance by all pairs, and intervals of the same draws, token by token."""
    opened, V = index.open(smollm2.path), 49_152
    rows = np.sort(np.random.default_rng(2).choice(V, 60, replace=False))
    answer = opened.shares(among=rows)
    counts = np.concatenate(list(blocks_of_draws(V)))
    for geometry in smollm2_oracle.GEOMETRIES:
        for pool, found in ((np.ones(V, bool), answer.every), (~counting.untrained, answer.trained)):
            lists, tied = nearest(geometry, rows, pool)
            weights = counts[:, rows][:, :, None] * counts[:, lists]  # a place counts as often as both of its tokens
            for name in TRAITS:
                common = counting.common(name, rows[:, None], lists)
                share = found.found[geometry][name]
                assert share.share == pytest.approx(common.mean(), abs=tied / lists.size + A_FEW_PLACES)
                drawn = (weights * common).sum(axis=(1, 2)) / weights.sum(axis=(1, 2))
                span = np.percentile(drawn, [2.5, 97.5])
                assert [share.low, share.high] == pytest.approx(span, abs=4 * tied / lists.size + A_FEW_PLACES)
    for found, pool in ((answer.every, np.ones(V, bool)), (answer.trained, ~counting.untrained)):
        assert found.chance_among is not None
        for name in TRAITS:
            for chance, of in (
                (found.chance[name], np.flatnonzero(pool)),
                (found.chance_among[name], rows[pool[rows]]),
            ):
                common = counting.common(name, rows[:, None], of)[rows[:, None] != of]
                assert chance == pytest.approx(common.mean(), abs=A_FEW_PLACES)


def blocks_of_draws(V: int) -> Iterator[NDArray[np.int32]]:
    random = np.random.default_rng(0)
    for _ in range(10):
        yield random.multinomial(V, np.full(V, 1 / V), size=40).astype(np.int32)


def nearest(geometry: str, rows: NDArray, pool: NDArray[np.bool_]) -> tuple[NDArray, int]:
    """The ten nearest in a pool of each row, and how many of their last places another token is as near for."""
    points = smollm2_oracle.points(geometry)
    squared = (points**2).sum(axis=1)
    distances = squared[rows, None] + squared - 2 * points[rows] @ points.T
    distances[:, ~pool] = np.inf
    distances[np.arange(len(rows)), rows] = np.inf
    near = np.argpartition(distances, 11, axis=1)[:, :11]
    order = np.take_along_axis(near, np.argsort(np.take_along_axis(distances, near, axis=1), axis=1), axis=1)
    last = np.sqrt(np.take_along_axis(distances, order[:, 9:], axis=1))
    return order[:, :10], int((np.diff(last) <= smollm2_oracle.tolerance(geometry)).sum())
