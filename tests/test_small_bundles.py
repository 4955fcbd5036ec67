"""Vocabularies smaller than the usual lists: a default is cut to what there is, what was asked for is refused."""

import shlex
import warnings
from pathlib import Path

import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
from conftest import build, invoke, query

import index

V = 5


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five tokens on a line, whose order is plain: 0 and 1 are near, 4 is far."""
    folder = tmp_path_factory.mktemp("five")
    np.save(folder / "gamma.npy", np.array([[1.0, 0], [1, 0.1], [1, 0.3], [1, 0.7], [1, 2]]))
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 4, "--density-k", 2)
    return folder / "bundle"


def test_lists_hold_all_others(five: Path) -> None:
    for answer in (query("densest", "--index", five), query("neighbors", "#0", "--index", five)[0]):
        assert [len(answer[geometry]) for geometry in ("causal", "cosine")] == [4, 4]
        assert (answer["overlap"]["k"], answer["overlap"]["count"]) == (4, 4)
        assert answer["verdict"] is None
    assert (
        "No verdict: 4 neighbors are too few for one, which takes 5."
        in invoke("query.py", "densest", "--index", five).said
    )
    assert (
        "No verdict: 1 neighbor is too few" in invoke("query.py", "neighbors", "#0", "--top", 1, "--index", five).said
    )
    assert [place["id"] for place in answer["causal"]] == [1, 2, 3, 4]
    sums = query("analogy", "#0 - #1 + #2", "--index", five)
    assert sorted(place["id"] for place in sums["causal"]) == [3, 4]


def test_lists_of_most_of_the_tokens_have_no_verdict(tmp_path: Path) -> None:
    """Two lists of 30 out of 39 are alike to 54 % at least: what they share says nothing."""
    rows = np.random.default_rng(4).normal(size=(40, 6))
    rows[7] = 0
    np.save(tmp_path / "gamma.npy", rows)
    bundle, ten, twelve = tmp_path / "bundle", tmp_path / "10.txt", tmp_path / "12.txt"
    ten.write_text(" ".join(map(str, range(10))))
    twelve.write_text(" ".join(map(str, range(12))))
    build(tmp_path / "gamma.npy", "--out", bundle, "--neighbors", 30, "--density-k", 5)
    for options, said in (
        (["--top", 30], "two lists of 30 out of 38 tokens share 22 whatever they are"),
        (["--top", 20], "two lists of 20 out of 38 tokens share 2 whatever they are"),
        (["--among", ten], "two lists of 8 out of 8 tokens share 8 whatever they are"),
    ):
        assert query("neighbors", "#0", *options, "--index", bundle)[0]["verdict"] is None
        assert said in " ".join(invoke("query.py", "neighbors", "#0", *options, "--index", bundle).said.split())
    assert query("neighbors", "#0", "--top", 19, "--index", bundle)[0]["verdict"] is not None
    found = query("neighbors", "#0", "--top", 5, "--among", twelve, "--index", bundle)[0]
    assert found["verdict"] is not None


def test_small_distances_are_not_shown_as_none(tmp_path: Path) -> None:
    """Rows of 1e-18 under a ridge of 1e-6: all distances are some 1e-15, and none is zero."""
    rows = np.random.default_rng(3).normal(size=(40, 6)) * 1e-18
    np.save(tmp_path / "gamma.npy", rows)
    bundle = tmp_path / "bundle"
    build(tmp_path / "gamma.npy", "--out", bundle, "--neighbors", 10, "--density-k", 5)
    for asked in ("distance '#1' '#2'", "neighbors '#1' --top 3", "within '#1' --radius 1", "metric"):
        shown = invoke("query.py", *shlex.split(asked), "--index", bundle).said
        assert "0.000000" not in shown.split("cosine")[0], asked
    lengths = query("metric", "--index", bundle)["norms"]
    assert lengths["mean_square"] == pytest.approx(lengths["expected_mean_square"], rel=1e-6)
    exact = oracles.all_distances(rows * 1e3)[1, 2]  # M is the identity over the ridge
    assert query("distance", "#1", "#2", "--index", bundle)["causal"]["distance"] == pytest.approx(exact, rel=1e-5)
    assert f"causal         {exact:.2e} logometers" in invoke("query.py", "distance", "#1", "#2", "--index", bundle).out
    refused = invoke("query.py", "export", "distances", "--out", tmp_path / "d", "--index", bundle)
    assert refused.code == 2
    assert "below 3e-08 logometers, 0 in float16: no matrix was written" in refused.err
    assert not list(tmp_path.glob("d.*"))


def test_questions_to_all_tokens(five: Path) -> None:
    overlap = query("overlap", "--index", five)
    assert {top: at["mean"] for top, at in overlap["tops"].items()} == {"4": 1}
    assert [len(overlap[end]) for end in ("most", "least")] == [V, V]
    for measure in ("norm", "density", "overlap", "hubness"):
        ends = query("extremes", measure, "--density-k", 2, "--index", five)
        assert [len(ends[end]) for end in ("highest", "lowest")] == [V, V]


def test_lists_that_a_zero_row_shortens(tmp_path: Path) -> None:
    """Of 14 tokens, 13 have a direction: no cosine list holds the 13 others that K allows."""
    rows = np.random.default_rng(2).normal(size=(14, 3))
    rows[3] = 0
    np.save(tmp_path / "gamma.npy", rows)
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 13, "--density-k", 2)
    overlap = query("overlap", "--index", tmp_path / "bundle")
    assert list(overlap["tops"]) == ["10", "12"]
    # twelve of the causal thirteen, which miss one: the zero row, or another where that one is listed
    assert overlap["tops"]["12"]["mean"] == pytest.approx(_mean_overlap(rows, 12))


def _mean_overlap(rows: np.ndarray, k: int) -> float:
    metric = np.linalg.inv(np.cov(rows.T, bias=True) + 1e-6 * np.eye(rows.shape[1]))
    shares = []
    for at in np.flatnonzero(rows.any(axis=1)):
        differences = rows - rows[at]
        causal = np.sqrt(np.einsum("ij,jk,ik->i", differences, metric, differences))
        with np.errstate(invalid="ignore"):
            cosine = 1 - rows @ rows[at] / np.linalg.norm(rows, axis=1) / np.linalg.norm(rows[at])
        causal[at] = cosine[at] = np.inf
        nearest = [set(np.argsort(np.nan_to_num(each, nan=np.inf))[:k]) for each in (causal, cosine)]
        shares.append(len(nearest[0] & nearest[1]) / k)
    return float(np.mean(shares))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["densest", "--top", 30], "--top must be from 1 to 4, one less than the tokens here, got: 30"),
        (["neighbors", "#0", "--top", 5], "--top must be from 1 to 4, "),
        (["analogy", "#0 + #1", "--top", 5], "--top must be from 1 to 4, "),
        (["overlap", "--tokens", 6], "--tokens must be from 1 to 5, "),
        (["overlap", "--top", 10], "--top must be from 1 to 4, "),
        (["extremes", "norm", "--top", 6], "--top must be from 1 to 5, "),
        (["extremes", "overlap", "--overlap-k", 5], "--overlap-k must be from 1 to 4, "),
    ],
)
def test_what_is_asked_for_is_not_cut(arguments: list[object], said: str, five: Path) -> None:
    outcome = invoke("query.py", *arguments, "--index", five)
    assert outcome.code == 2
    assert said in outcome.err


@pytest.mark.slow("UMAP is compiled")
def test_a_map_of_rows_of_one_number(tmp_path: Path) -> None:
    """They have one principal component, and UMAP has nothing to warn of."""
    np.save(tmp_path / "gamma.npy", np.random.default_rng(4).normal(size=(12, 1)))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 11, "--density-k", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        query("export", "atlas", "--out", tmp_path / "map.parquet", "--index", tmp_path / "bundle")
    table = pq.read_table(tmp_path / "map.parquet")
    assert np.isfinite(np.column_stack([table["projection_x"], table["projection_y"]])).all()


def test_where_no_row_or_few_rows_have_a_direction(tmp_path: Path) -> None:
    """Of twelve rows three have one: their lists hold two."""
    rows = np.zeros((12, 3))
    np.save(tmp_path / "none.npy", rows)
    rows[:3] = np.eye(3)
    np.save(tmp_path / "three.npy", rows)
    for name in ("none", "three"):
        build(tmp_path / f"{name}.npy", "--out", tmp_path / name, "--neighbors", 11, "--density-k", 2, "--ridge", 0.1)
    form = ("--geometry", "cosine", "--index")
    for name, others, zero_rows in (("none", 0, 12), ("three", 2, 9)):
        exported = query("export", "knn-csr", "--out", tmp_path / f"{name}.npz", *form, tmp_path / name)
        assert exported["content"] == f"{others} nearest by cosine similarity, without {zero_rows} zero rows"
        ranks = index.open(tmp_path / name).rank("#0", "#1")
        assert list(ranks.lengths.values()) == [11, others, others]
    spectrum = query("metric", "--index", tmp_path / "none")["covariance"]
    assert (spectrum["trace"], spectrum["participation_ratio"]) == (0, None)
    assert "participation ratio undefined" in invoke("query.py", "metric", "--index", tmp_path / "none").said
    refused = "no token of three has 11 neighbors in both geometries; lower --overlap-k"
    assert refused in invoke("query.py", "extremes", "overlap", "--overlap-k", 11, "--index", tmp_path / "three").err
    refused = "no token of none has 1 neighbor in both geometries\n"
    assert refused in invoke("query.py", "overlap", "--index", tmp_path / "none").err
