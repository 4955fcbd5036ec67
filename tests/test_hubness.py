"""`hubness`: how unevenly lists are filled, among some tokens, and by local scaling, against float64 brute force."""

import csv
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import build, invoke, query
from models import byte_level_tokenizer, save_tokenizer
from numpy.typing import NDArray
from scipy.stats import norm
from synthetic import gaussian, write_model

import index
from index.api import OpenVocabulary
from index.measures.scaling import as_far, farness, moments

V, D, K, TOP = 340, 12, 40, 7
TWINS = ((3, 50, 51, 200, 201, 202, 203, 204, 205, 250, 251, 252, 253), (7, 8))
ZERO = 30


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> OpenVocabulary:
    """A heap of twins near the mean, two twins, a row of zeros, and a row far from everything."""
    folder = tmp_path_factory.mktemp("hubness")
    rows = gaussian(V, D, seed=11, largest=1.0, smallest=0.05)
    for group in TWINS:
        rows[list(group)] = rows[group[0]]
    rows[list(TWINS[0])] = rows.mean(axis=0)
    rows[ZERO], rows[31] = 0, 20 * rows[31]
    save_tokenizer(folder / "tokenizer", byte_level_tokenizer())
    write_model(folder / "model.safetensors", rows.astype(ml_dtypes.bfloat16))
    source = (folder / "model.safetensors", "--tokenizer", folder / "tokenizer", "--out", folder / "bundle")
    build(*source, "--neighbors", K, "--density-k", 5)
    return index.open(folder / "bundle")


def squared(points: NDArray) -> NDArray[np.float64]:
    """All squared distances, by differences; infinite from a point to itself."""
    x = points.astype(np.float64)
    found = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(found, np.inf)
    return found


def counts(scores: NDArray, k: int, tied: float = 1e-9) -> NDArray:
    """In how many lists of the k least scores of each row a column is, last places shared among what ties for them."""
    found = np.zeros(len(scores))
    for row, each in enumerate(scores):
        others = np.delete(np.arange(len(scores)), row)
        border = np.sort(each[others])[k - 1]
        certain = [at for at in others if each[at] < border - tied * abs(border) - 1e-12]
        ties = [at for at in others if abs(each[at] - border) <= tied * abs(border) + 1e-12]
        found[certain] += 1
        found[ties] += (k - len(certain)) / len(ties)
    return found


def by_csls(apart: NDArray, neighbors: int) -> NDArray:
    """2 cos - r - r with 1 - d^2 / 2 for the cosine, turned about: the least is the nearest."""
    similarity = 1 - apart / 2
    mean = np.sort(similarity, axis=1)[:, ::-1][:, :neighbors].mean(axis=1)
    return -(2 * similarity - mean[:, None] - mean[None])


def by_mutual_proximity(apart: NDArray) -> NDArray:
    """-log of P(X > d) P(Y > d), normal and independent, of all other tokens' squared distances."""
    finite = np.where(np.isinf(apart), np.nan, apart)
    mean, deviation = np.nanmean(finite, axis=1), np.nanstd(finite, axis=1)
    far = -norm.logsf((finite - mean[:, None]) / deviation[:, None])
    scores: NDArray = np.where(np.isnan(finite), np.inf, far - norm.logsf((finite - mean) / deviation))
    return scores


def require_same(found: dict[str, Any], found_in: NDArray, k: int) -> None:
    centered = found_in - found_in.mean()
    assert found["k"] == k
    assert found["skewness"] == pytest.approx((centered**3).mean() / (centered**2).mean() ** 1.5, rel=1e-6)
    for percent, share in found["share"].items():
        most = np.sort(found_in)[::-1][: max(1, round(len(found_in) * float(percent) / 100))]
        assert share == pytest.approx(most.sum() / found_in.sum(), rel=1e-6)
    assert found["in_no_list"] == (found_in == 0).sum()
    for bar in found["distribution"]:
        low, high = (-1 if bar["from"] is None else bar["from"]), (np.inf if bar["to"] is None else bar["to"])
        assert bar["tokens"] == ((found_in > low) & (found_in <= high)).sum()


@pytest.mark.parametrize("among", [None, "half", "few"])
@pytest.mark.parametrize("geometry", ["causal", "cosine", "causal_cosine"])
def test_all_lists_against_brute_force(vocabulary: OpenVocabulary, geometry: str, among: str | None) -> None:
    rows = {None: np.arange(V), "half": np.arange(0, V, 2), "few": np.array([3, 7, 8, 30, 50, 99, 120, 140, 160])}[
        among
    ]
    space = vocabulary.spaces[geometry]  # type: ignore[index]
    there = rows[~np.isin(rows, space.excluded)]
    k = TOP if among != "few" else 5
    asked: dict[str, Any] = {} if among is None else {"among": rows.tolist()}
    found = vocabulary.hub_shares(top=k, geometries=geometry, scaled=True, **asked).json()[geometry]  # type: ignore[arg-type]
    apart = squared(space.points[there])
    found_in = counts(np.sqrt(apart), k, tied=1e-6)
    require_same(found, found_in, k)
    untrained = np.array(vocabulary.tokens["untrained"].to_pylist())[there]
    assert untrained.any()
    assert found["share_untrained"] == pytest.approx(found_in[untrained].sum() / found_in.sum(), rel=1e-6)
    scaled = found["scaled"]
    assert list(scaled) == ["csls", "mutual_proximity"]
    require_same(scaled["csls"], counts(by_csls(apart, min(10, len(there) - 1)), k), k)
    require_same(scaled["mutual_proximity"], counts(by_mutual_proximity(apart), k), k)


def test_moments_are_of_all_other_tokens(vocabulary: OpenVocabulary) -> None:
    points = vocabulary.spaces["causal"].points[:]  # type: ignore[index]
    apart = squared(points)
    np.fill_diagonal(apart, np.nan)
    distinct, counted = np.unique(points, axis=0, return_counts=True)
    mean, deviation = moments(distinct, counted.astype(np.float64))
    where = [int(np.flatnonzero((points == each).all(axis=1))[0]) for each in distinct]
    np.testing.assert_allclose(mean, np.nanmean(apart, axis=1)[where], rtol=1e-12)
    np.testing.assert_allclose(deviation, np.nanstd(apart, axis=1)[where], rtol=1e-9)
    assert np.isinf(moments(points[:2], np.ones(2))[1]).all()


@pytest.mark.parametrize("z", [-30.0, -8.0, -1.0, 0.0, 3.0, 20.0])
def test_a_limit_excludes_nothing_as_far(z: float) -> None:
    assert z <= as_far(farness(np.array([z])))[0] <= z + 1e-4 * (1 + abs(z))
    assert farness(np.array([z]))[0] == pytest.approx(-norm.logsf(z), rel=1e-9)


def test_a_heap_of_twins_is_no_hub_by_local_scaling(vocabulary: OpenVocabulary) -> None:
    found = vocabulary.hub_shares(top=TOP, geometries="causal", scaled=True).json()["causal"]  # type: ignore[arg-type]
    assert found["scaled"]["csls"]["share"]["1"] < found["share"]["1"]
    assert found["scaled"]["mutual_proximity"]["in_no_list"] < found["in_no_list"]


def test_every_form_says_the_same(vocabulary: OpenVocabulary, tmp_path: Path) -> None:
    given = ("hubness", "--top", TOP, "--geometry", "cosine", "--index", vocabulary.folder)
    plain, scaled = query(*given), query(*given, "--scaled")
    assert "scaled" not in plain["cosine"]
    assert plain["cosine"] == {name: value for name, value in scaled["cosine"].items() if name != "scaled"}
    lines = list(csv.DictReader(invoke("query.py", *given, "--scaled", "--csv").out.splitlines()))
    assert [line["scaling"] for line in lines] == ["", "csls", "mutual-proximity"]
    assert [line["share_untrained"] for line in lines] == [str(plain["cosine"]["share_untrained"]), "", ""]
    shown = invoke("query.py", *given, "--scaled").out
    assert f"{scaled['cosine']['scaled']['csls']['skewness']:.2f}" in shown
    assert "by mutual proximity" in shown
    assert "over 700: hubs" in " ".join(shown.split())


def test_what_cannot_be_asked(vocabulary: OpenVocabulary) -> None:
    given = ("hubness", "--index", vocabulary.folder)
    one = tmp = vocabulary.folder.parent / "one.txt"
    one.write_text("#5\n")
    assert "has a neighbor" in invoke("query.py", *given, "--among", tmp).err
    tmp.write_text("#5\n#6\n#9\n")
    said = invoke("query.py", *given, "--among", tmp, "--top", 3)
    assert said.code == 2
    assert "--top must be from 1 to 2" in said.err
    assert invoke("query.py", *given, "--among", tmp).code == 0
