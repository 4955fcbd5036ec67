"""Questions kept to a subset: the subset itself, and exact lists within it."""

from pathlib import Path

import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
import smollm2_oracle as oracle
import torch
from conftest import Built, build, invoke, query
from numpy.typing import NDArray

import index
from index.questions.asking.among import subset

V, PLANET = 49152, 46835


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def columns(smollm2: Built) -> dict[str, list]:
    return pq.read_table(smollm2.path / "tokens.parquet").to_pydict()


# --- which tokens a subset holds --------------------------------------------------------------------------------------


def test_ids_from_files(small: Path, tmp_path: Path) -> None:
    bundle = index.open(small)
    ids = [40, 3, 90, 3]
    (tmp_path / "lines.txt").write_text("40\n3\n90\n3\n")
    (tmp_path / "words").write_text("#40, #3,#90 3")
    (tmp_path / "marked.txt").write_text("40\n3\n90\n", encoding="utf-8-sig")
    np.save(tmp_path / "ids.npy", np.array(ids))
    torch.save({"token_indices": torch.tensor(ids), "N": 4}, tmp_path / "sample.pt")
    for name in ("lines.txt", "words", "marked.txt", "ids.npy", "sample.pt"):
        found = subset(bundle, str(tmp_path / name))
        assert found.rows.tolist() == [3, 40, 90]
        assert found.name == str(tmp_path / name)


def test_ids_are_not_rows(tmp_path: Path) -> None:
    """A bundle of a sample: its row i is the token the sample lists at i."""
    sample = np.random.default_rng(5).permutation(oracle.V)[:200]
    np.save(tmp_path / "sample.npy", sample)
    bundle = index.open(oracle.build_small(tmp_path, "--sample", tmp_path / "sample.npy"))
    np.save(tmp_path / "ids.npy", np.sort(sample[[5, 60]]))
    assert subset(bundle, str(tmp_path / "ids.npy")).rows.tolist() == [5, 60]


@pytest.mark.parametrize("wanted", ["kind=digits", "kind=word,punctuation", "script=Cyrillic", "script=cyrillic, Han"])
def test_columns(wanted: str, smollm2: Built, columns: dict[str, list]) -> None:
    column, values = wanted.split("=")
    chosen = [value.strip().capitalize() if column == "script" else value for value in values.split(",")]
    expected = [row for row, entry in enumerate(columns[column]) if entry in chosen]
    assert len(expected) > 3
    assert subset(index.open(smollm2.path), wanted).rows.tolist() == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1 2 three", "names no token: not '1 2 three' is one token here"),
        ("1\n2\nthree", "holds 'three' among 2 numbers; wanted ids alone, or words, where an id is #7"),
        ("-4\nzz", "names no token: not '-4' nor another of its 2 lines is one token here"),
        ("", "is empty"),
        ("3 345 400", "names token 345 and 1 more, which bundle has not: its 345 ids lie between 0 and 344"),
        (np.eye(2), "holds float64 of shape (2, 2)"),
        (
            None,
            "there is no such file; wanted @SET, kind=VALUE, script=VALUE, or a file of ids (text, .npy, .pt), a mask",
        ),
    ],
)
def test_bad_files(content: str | NDArray | None, said: str, small: Path, tmp_path: Path) -> None:
    path = tmp_path / ("ids.npy" if isinstance(content, np.ndarray) else "ids.txt")
    if isinstance(content, np.ndarray):
        np.save(path, content)
    elif content is not None:
        path.write_text(content)
    for command in (["neighbors", "#3"], ["densest"], ["analogy", "#3"]):
        outcome = invoke("query.py", *command, "--among", path, "--index", small)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert f"error: --among {path}" in outcome.err
        assert said in outcome.err


@pytest.mark.parametrize("suffix", [".npy", ".pt"])
def test_a_missing_sample_is_not_called_a_number(suffix: str, small: Path, tmp_path: Path) -> None:
    outcome = invoke("query.py", "densest", "--among", tmp_path / f"absent{suffix}", "--index", small)
    assert outcome.code == 2
    assert "there is no such file" in outcome.err


def test_unknown_values_name_what_there_is(small: Path) -> None:
    outcome = invoke("query.py", "neighbors", "#3", "--among", "kind=noun", "--index", small)
    assert outcome.code == 2
    assert "--among kind='noun': no token has it; there are " in outcome.err
    assert "orphan (5)" in outcome.err


# --- lists within it --------------------------------------------------------------------------------------------------


def check_among(places: list[dict], geometry: str, row: int, chosen: NDArray) -> None:
    distances = np.full(V, np.inf)
    distances[chosen] = oracle.distances(geometry, row)[chosen]
    listed, shown = [place["row"] for place in places], [place["distance"] for place in places]
    assert [place["rank"] for place in places] == list(range(1, len(places) + 1))
    oracles.assert_nearest_up_to_ties(listed, shown, distances, row, oracle.tolerance(geometry))


@pytest.mark.slow("float64 points of the bundled model are made for its brute force")
@pytest.mark.parametrize("step", [2, 41])
@pytest.mark.parametrize("row", [PLANET, 7])
@pytest.mark.parametrize("top", [1, 5, 40])
def test_neighbors_among_some(row: int, step: int, top: int, smollm2: Built, tmp_path: Path) -> None:
    """Half of all tokens, where the stored lists may do, and one in 41, where they never do."""
    chosen = np.arange(1, V, step)
    np.save(tmp_path / "ids.npy", chosen)
    options = ["--among", tmp_path / "ids.npy", "--top", top, "--geometry", "causal,causal-cosine"]
    answer = query("neighbors", f"#{row}", *options, "--index", smollm2.path)[0]
    assert answer["among"] == {"subset": str(tmp_path / "ids.npy"), "size": len(chosen)}
    for geometry in ("causal", "causal_cosine"):
        assert len(answer[geometry]) == top
        check_among(answer[geometry], geometry, row, chosen)
    whole = query("neighbors", f"#{row}", "--top", top, "--geometry", "causal,causal-cosine", "--index", smollm2.path)
    assert answer["token"] == whole[0]["token"], "a density stays the one in the whole vocabulary"
    assert "among" not in whole[0]


def test_a_list_ends_where_the_subset_does(smollm2: Built, tmp_path: Path) -> None:
    chosen = np.array([5, 7, PLANET, 3925, 16079])
    np.save(tmp_path / "ids.npy", chosen)
    answer = query("neighbors", "planet", "--among", tmp_path / "ids.npy", "--index", smollm2.path)[0]
    for geometry in ("causal", "cosine"):
        assert {place["id"] for place in answer[geometry]} == set(chosen) - {PLANET}
        check_among(answer[geometry], geometry, PLANET, chosen)
    assert (answer["overlap"]["k"], answer["overlap"]["count"]) == (4, 4)
    shown = invoke("query.py", "neighbors", "planet", "--among", tmp_path / "ids.npy", "--index", smollm2.path).said
    assert f"among {tmp_path / 'ids.npy'}: 5 tokens" in shown


def test_a_subset_of_the_token_alone(smollm2: Built, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text(str(PLANET))
    answer = query("neighbors", "planet", "--among", tmp_path / "ids", "--index", smollm2.path)[0]
    assert answer["causal"] == answer["cosine"] == []
    assert answer["overlap"] is None
    assert invoke("query.py", "neighbors", "planet", "--among", tmp_path / "ids", "--index", smollm2.path).code == 0


def test_the_densest_of_a_subset(smollm2: Built, columns: dict[str, list]) -> None:
    answer = query("densest", "--among", "kind=word", "--top", 8, "--index", smollm2.path)
    words = np.flatnonzero(np.array(columns["kind"]) == "word")
    assert answer["among"] == {"subset": "kind=word", "size": len(words)}
    for rule in ("notebook", "distinct", "multiset"):
        densities = np.array(columns[f"density_{rule}"])[words]
        best = answer["density"]["by_rule"][rule]
        assert best["density"] == densities.max()
        assert best["id"] == words[densities.argmax()]
    densities = np.array(columns["density_notebook"])[words]
    for name, value in (("min", densities.min()), ("max", densities.max()), ("median", np.median(densities))):
        assert answer["density"][name] == value
    assert answer["densest"]["id"] == answer["density"]["by_rule"]["notebook"]["id"]
    for geometry in ("causal", "cosine"):
        check_among(answer[geometry], geometry, answer["densest"]["row"], words)
    assert (
        f"among kind=word: {len(words):,} tokens"
        in invoke("query.py", "densest", "--among", "kind=word", "--index", smollm2.path).said
    )


# --- why a list is empty ----------------------------------------------------------------------------------------------

CAUSAL, COSINE, CAUSAL_COSINE = (
    f"None {words}: " for words in ("in the causal metric", "by cosine similarity", "by causal cosine")
)
NO_OTHER, NO_DIRECTION = "no other token of the subset", "no other token of the subset has a direction"


@pytest.mark.parametrize(
    ("arguments", "ids", "said"),
    [
        (["neighbors", "#3"], "3", [CAUSAL + NO_OTHER, COSINE + NO_OTHER]),
        (["densest"], "3", [CAUSAL + NO_OTHER, COSINE + NO_OTHER]),
        (["analogy", "#3 + #4"], "3 4", [CAUSAL + NO_OTHER, COSINE + NO_OTHER, CAUSAL_COSINE + NO_OTHER]),
        (["neighbors", "#3"], "3 7", ["1 nearest in the causal metric", COSINE + NO_DIRECTION]),
        (["neighbors", "#3", "--geometry", "cosine,causal-cosine"], "7", [COSINE + NO_DIRECTION]),
        (["analogy", "#3"], "7", [COSINE + NO_DIRECTION, CAUSAL_COSINE + NO_DIRECTION]),
        (["neighbors", "#7"], "3", [COSINE + "this token's row is zero and has no direction"]),
        (["analogy", "#3 - #3"], "4", [COSINE + "the sum is zero and has no direction"]),
    ],
)
def test_an_empty_list_says_why(arguments: list[str], ids: str, said: list[str], small: Path, tmp_path: Path) -> None:
    """Token 7 is a zero row."""
    (tmp_path / "ids").write_text(ids)
    shown = invoke("query.py", *arguments, "--among", tmp_path / "ids", "--index", small)
    lines = [line.strip() for line in shown.out.splitlines()]
    assert all(wanted in lines for wanted in said), shown.out
    zero = [line for line in lines if "is zero" in line]
    assert bool(zero) == ("is zero" in said[-1])


def tiny_bundle(rows: NDArray, folder: Path, *options: object) -> Path:
    """A bundle of a few rows, most of which may be equal."""
    np.save(folder / "gamma.npy", rows)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--ridge", 1, *options)
    return folder / "bundle"


def test_where_only_one_token_has_a_direction(tmp_path: Path) -> None:
    rows = np.zeros((3, 2))
    rows[0] = 1
    bundle = tiny_bundle(rows, tmp_path, "--neighbors", 2, "--density-k", 1)
    shown = invoke("query.py", "neighbors", "#0", "--index", bundle).out
    assert COSINE + "no other token has a direction\n" in shown.replace(" \n", "\n")


def test_records_name_the_geometries_without_direction(small: Path) -> None:
    bundle = index.open(small)
    cosine, causal_cosine = index.Geometry.COSINE, index.Geometry.CAUSAL_COSINE
    assert bundle.neighbors("#7").undefined == (cosine,)
    assert bundle.neighbors("#7", geometries=(causal_cosine, cosine)).undefined == (causal_cosine, cosine)
    assert bundle.neighbors("#3").undefined == ()
    assert bundle.analogy("#3 - #3").undefined == (cosine, causal_cosine)
    assert bundle.analogy("#3 - #4").undefined == ()


# --- densities of directions ------------------------------------------------------------------------------------------


def test_zero_rows_have_no_density_of_directions(small: Path) -> None:
    """The figures of `densest` are of the tokens that `extremes density` counts."""
    bundle = index.open(small)
    first, second = index.Geometry.COSINE, index.Geometry.CAUSAL
    found = bundle.densest(geometries=(first, second))
    rows = np.delete(oracle.small_gamma(), oracle.ZERO, axis=0)
    chords = oracles.all_distances(oracles.unit_rows(rows))
    densities = [oracles.notebook_density(apart, row, 20) for row, apart in enumerate(chords)]
    expected = (min(densities), max(densities), np.mean(densities), np.median(densities))
    assert (found.minimum, found.maximum, found.mean, found.median) == pytest.approx(expected, rel=1e-5)
    assert found.minimum == bundle.extremes("density", geometries=(first, second)).lowest[0].value


def test_a_zero_row_does_not_win_or_tie(tmp_path: Path) -> None:
    """Nothing but twins and a zero row: under 'notebook' no token has a mean, and the first that could win does."""
    rows = np.ones((5, 2))
    rows[0] = 0
    bundle = index.open(tiny_bundle(rows, tmp_path, "--neighbors", 3, "--density-k", 3))
    geometries = (index.Geometry.COSINE, index.Geometry.CAUSAL)
    found = bundle.densest(geometries=geometries)
    for winner in found.by_rule.values():
        assert (winner.token.row, winner.tied) == (1, 4)
    (tmp_path / "ids").write_text("0")
    alone = bundle.densest(geometries=geometries, among=str(tmp_path / "ids"))
    assert (alone.neighborhood.token.row, alone.minimum, alone.maximum) == (0, 0, 0)
