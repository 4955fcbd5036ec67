"""`distance` and `rank` against float64 brute force."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import oracles
import pytest
import smollm2_oracle as oracle
from conftest import Built, invoke, query

import index
from index.questions.neighbors import neighbors

PAIRS = [(46835, 3925), (46835, 21993), (46835, 16079), (7, 45175), (7, 8), (8, 10), (190, 0)]
"""Near and far words, twins, and tokens whose distances to many others tie."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.build_small(tmp_path_factory.mktemp("paired"), "--neighbors", 21, gamma=oracle.paired_gamma())


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_distances(a: int, b: int, smollm2: Built) -> None:
    answer = query("distance", f"#{a}", f"#{b}", "--index", smollm2.path)
    assert list(answer) == ["a", "b", *oracle.GEOMETRIES]
    assert (answer["a"]["id"], answer["b"]["id"]) == (a, b)
    expected = oracle.distances("causal", a)[b]
    oracles.assert_close(answer["causal"]["distance"], expected, absolute=oracle.tolerance("causal"))
    for geometry in ("cosine", "causal_cosine"):
        points = oracle.points(geometry)
        # A similarity moves by the chord times what the chord moves by.
        tolerance = oracle.distances(geometry, a)[b] * oracle.tolerance(geometry) + 2**-52
        oracles.assert_close(answer[geometry]["similarity"], points[a] @ points[b], absolute=tolerance)


@pytest.mark.parametrize("row", [46835, 7])
def test_distances_are_those_of_the_lists(row: int, smollm2: Built) -> None:
    """To the last bit: one question has one answer."""
    neighbors = query("neighbors", f"#{row}", "--top", 12, "--index", smollm2.path)[0]
    for place in neighbors["causal"]:
        answer = query("distance", f"#{row}", f"#{place['id']}", "--index", smollm2.path)
        assert answer["causal"]["distance"] == place["distance"]
    for place in neighbors["cosine"]:
        answer = query("distance", f"#{place['id']}", f"#{row}", "--index", smollm2.path)
        assert answer["cosine"]["similarity"] == place["similarity"]


def check_place(geometry: str, center: int, other: int, rank: int, tied: list[int]) -> None:
    """A place is right if it lies where the oracle's ties allow, and so is a range that holds all sure ties."""
    distances, tolerance = oracle.distances(geometry, center), oracle.tolerance(geometry)
    others = np.delete(distances, center)
    nearer = int((others < distances[other] - 2 * tolerance).sum())
    not_further = int((others <= distances[other] + 2 * tolerance).sum())
    assert nearer + 1 <= tied[0] <= rank <= tied[1] <= not_further
    equal = others == distances[other]
    assert tied[1] - tied[0] + 1 >= int(equal.sum())


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_ranks(a: int, b: int, smollm2: Built) -> None:
    answer = query("rank", f"#{a}", f"#{b}", "--index", smollm2.path)
    assert list(answer) == ["a", "b", *oracle.GEOMETRIES]
    for geometry in oracle.GEOMETRIES:
        found = answer[geometry]
        check_place(geometry, a, b, found["b_in_a"], found["tied"]["b_in_a"])
        check_place(geometry, b, a, found["a_in_b"], found["tied"]["a_in_b"])


def test_ranks_are_those_of_the_lists(small: Path) -> None:
    """Every place of a whole list, stored and searched: each rank once, as `neighbors` numbers them."""
    for row in (3, oracle.TWINS[0]):
        neighbors = query("neighbors", f"#{row}", "--top", 344, "--index", small)[0]
        for geometry in ("causal", "cosine"):
            for place in neighbors[geometry][::9]:
                if place["id"] == oracle.ZERO:
                    continue
                answer = query("rank", f"#{row}", f"#{place['id']}", "--index", small)
                assert answer[geometry]["b_in_a"] == place["rank"]


def test_twins_hold_two_places_wherever_they_stand(paired: Path) -> None:
    """Near or far, stored or searched, or with the stored list ending between the two: one behind the other, tied."""
    where = set()
    for row in range(3, 11):
        order = np.array(
            [place["id"] for place in query("neighbors", f"#{row}", "--top", 344, "--index", paired)[0]["causal"]]
        )
        for first in (*range(45, 90, 8), order[20], order[0]):
            if (twins := sorted((int(first), twin_of(int(first)))))[0] < 45:
                continue
            places = [query("rank", f"#{row}", f"#{twin}", "--index", paired)["causal"] for twin in twins]
            near, far = (place["b_in_a"] for place in places)
            assert far == near + 1
            assert [order[near - 1], order[far - 1]] == twins
            assert all(place["tied"]["b_in_a"] == [near, far] for place in places)
            where.add("stored" if far < 21 else "between" if near == 21 else "searched")
    assert where == {"stored", "between", "searched"}


def twin_of(row: int) -> int:
    return row + 1 if row % 2 else row - 1


def test_a_list_that_ends_between_twins_says_so(paired: Path) -> None:
    """As long as the stored list: its last token is tied with one that is not stored."""
    for row in range(3, 20):
        bundle = index.open(paired)
        whole, stored = (neighbors(bundle, f"#{row}", top=top) for top in (344, 21))
        for geometry in stored.lists:
            assert stored.lists[geometry] == whole.lists[geometry][:21]


def test_a_zero_row_has_no_angle(small: Path) -> None:
    zero = f"#{oracle.ZERO}"
    distance = query("distance", "#3", zero, "--index", small)
    assert distance["causal"]["distance"] > 0
    assert distance["cosine"] == distance["causal_cosine"] == {"similarity": None}
    rank = query("rank", zero, "#3", "--index", small)
    assert rank["causal"]["b_in_a"] >= 1
    undefined = {"b_in_a": None, "a_in_b": None, "tied": {"b_in_a": None, "a_in_b": None}}
    assert rank["cosine"] == rank["causal_cosine"] == undefined
    for command in ("distance", "rank"):
        assert "a zero row has no direction" in invoke("query.py", command, zero, "#3", "--index", small).said
        assert invoke("query.py", command, zero, "#3", "--csv", "--index", small).code == 0


def test_a_zero_row_takes_no_place(small: Path) -> None:
    """The list of directions holds one token less, and the last place shows it."""
    cosine = query("neighbors", "#3", "--top", 344, "--index", small)[0]["cosine"]
    last = query("rank", "#3", f"#{cosine[-1]['id']}", "--index", small)["cosine"]
    assert last["b_in_a"] == last["tied"]["b_in_a"][1] == 343


def test_a_token_and_itself(smollm2: Built) -> None:
    answer = query("distance", "planet", "#46835", "--index", smollm2.path)
    assert answer["causal"]["distance"] == 0
    assert answer["cosine"]["similarity"] == answer["causal_cosine"]["similarity"] == 1
    outcome = invoke("query.py", "rank", "planet", "#46835", "--index", smollm2.path)
    assert (outcome.code, outcome.out) == (2, "")
    assert "both are 'planet'" in outcome.err


def test_twins_are_the_first_of_each_other(smollm2: Built) -> None:
    answer = query("rank", "#7", "#45175", "--index", smollm2.path)
    assert all(answer[geometry]["b_in_a"] == answer[geometry]["a_in_b"] == 1 for geometry in oracle.GEOMETRIES)


def test_ties_are_shown(smollm2: Built) -> None:
    found = query("rank", "#7", "#10", "--index", smollm2.path)["causal"]
    assert found["tied"]["b_in_a"] == [2, 8]  # seven twins of one vector, behind #7's own twin
    shown = invoke("query.py", "rank", "#7", "#10", "--index", smollm2.path).said
    assert f"causal {found['b_in_a']} (2-8)" in shown
    assert "(from-to): the places of what is as far away within the resolution" in shown


def test_csv(smollm2: Built) -> None:
    for command, columns in (("distance", 9), ("rank", 13)):
        out = invoke("query.py", command, "planet", "star", "--csv", "--index", smollm2.path).out
        lines = list(csv.DictReader(StringIO(out)))
        assert [line["geometry"] for line in lines] == ["causal", "cosine", "causal-cosine"]
        assert all(len(line) == columns for line in lines)
        answer = query(command, "planet", "star", "--index", smollm2.path)
        name = "distance" if command == "distance" else "b_in_a"
        assert float(lines[0][name]) == answer["causal"][name]


@pytest.mark.parametrize("command", ["within", "analogy", "distance", "rank"])
def test_help_has_an_example(command: str) -> None:
    shown = invoke("query.py", command, "--help")
    assert shown.code == 0
    assert f"Example: uv run query.py {command}" in shown.said
