"""`axes`: eigenvectors of Cov(gamma), and who stands at their ends, against a float64 eigendecomposition."""

from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
from conftest import build, invoke, query
from numpy.typing import NDArray
from synthetic import gaussian, write_metric

import index

V, D = 400, 10
TWINS = (17, 200, 350)


def planted() -> NDArray[np.float32]:
    rows = gaussian(V, D, seed=4, largest=1.0, smallest=0.01)
    rows[list(TWINS)] = 9 * rows[17]  # far out, three times
    return rows.astype(np.float32)


def bundle_of(rows: NDArray, folder: Path, *given: object) -> Path:
    np.save(folder / "gamma.npy", rows)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 20, "--density-k", 5, *given)
    return folder / "bundle"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(planted(), tmp_path_factory.mktemp("axes"))


def axis(matrix: NDArray, rank: int) -> tuple[float, NDArray]:
    """The eigenvalue of a rank, largest first, and its vector with the largest coordinate positive."""
    values, vectors = np.linalg.eigh(matrix)
    vector = vectors[:, -rank]
    return values[-rank], vector * np.sign(vector[np.abs(vector).argmax()])


def require_ends(found: dict[str, Any], along: NDArray, rows: NDArray, meters: float, top: int) -> None:
    for end, sign in (("positive", 1), ("negative", -1)):
        order = sorted(rows.tolist(), key=lambda row: (-sign * round(along[row], 9), row))[:top]
        assert [each["id"] for each in found[end]] == order
        assert [each["place"] for each in found[end]] == list(range(1, top + 1))
        oracles.assert_close([each["projection"] for each in found[end]], along[order], relative=1e-9)
        oracles.assert_close([each["logometers"] for each in found[end]], along[order] * meters, relative=1e-9)
        assert [each["tied"] for each in found[end]] == [
            (np.abs(along[rows] - along[row]) < 1e-9).sum() > 1 for row in order
        ]


@pytest.mark.parametrize("among", [None, "odd"])
def test_ends_against_an_eigendecomposition(bundle: Path, among: str | None, tmp_path: Path) -> None:
    rows = np.arange(V) if among is None else np.arange(1, V, 2)
    asked: list[object] = []
    if among is not None:
        (tmp_path / "odd.txt").write_text("".join(f"#{row}\n" for row in rows))
        asked = ["--among", tmp_path / "odd.txt"]
    found = query("axes", "--rank", "1,3,last", "--top", 6, "--index", bundle, *asked)
    gamma = planted().astype(np.float64)
    mean, cov = oracles.covariance(gamma)
    assert (found["of"], found["dimensions"]) == ("Cov(gamma)", D)
    assert [each["rank"] for each in found["axes"]] == [1, 3, D]
    for each in found["axes"]:
        value, vector = axis(cov, each["rank"])
        assert each["eigenvalue"] == pytest.approx(value, rel=1e-9)
        assert each["share"] == pytest.approx(value / np.trace(cov), rel=1e-9)
        assert each["eigenvalue_of_M"] == pytest.approx(1 / (value + 1e-6), rel=1e-9)
        along = (gamma - mean) @ vector
        assert along.var() == pytest.approx(value, rel=1e-9)
        require_ends(each, along, rows, (value + 1e-6) ** -0.5, 6)


def test_twins_tie_and_are_marked(bundle: Path) -> None:
    (found,) = query("axes", "--rank", 1, "--top", 3, "--index", bundle)["axes"]
    (end,) = (found[end] for end in ("positive", "negative") if found[end][0]["id"] == TWINS[0])
    assert [each["id"] for each in end] == list(TWINS)
    assert all("tied" in each["marks"] for each in end)


@pytest.mark.parametrize(("values", "expected"), [((9, 4, 4, 1), {1: [1, 1], 2: [2, 3], 3: [2, 3], 4: [4, 4]})])
def test_near_equal_eigenvalues_are_a_plane(
    values: tuple[int, ...], expected: dict[int, list[int]], tmp_path: Path
) -> None:
    """Rows with exactly these variances, two of them equal."""
    rows = np.random.default_rng(0).normal(size=(V, len(values)))
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(rows.T @ rows / V).T) * np.sqrt(values)
    bundle = bundle_of(rows, tmp_path)
    found = query("axes", "--rank", "1,2,3,4", "--index", bundle)["axes"]
    assert {each["rank"]: each["alike"] for each in found} == expected
    said = invoke("query.py", "axes", "--rank", 3, "--index", bundle).said
    assert "No axis by itself: eigenvalues 2 to 3 follow each other closer" in said
    assert "No axis by itself" not in invoke("query.py", "axes", "--rank", 4, "--index", bundle).said


def test_of_a_given_metric(tmp_path: Path) -> None:
    rows = planted()
    basis, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(D, D)))
    given = basis * np.geomspace(1, 50, D) @ basis.T
    metric = write_metric(tmp_path / "metric.pt", given)
    given = given.astype(np.float32).astype(np.float64)
    bundle = bundle_of(rows, tmp_path, "--metric-tensor", metric)
    found = query("axes", "--rank", "1,last", "--top", 4, "--index", bundle)
    assert found["of"] == "the inverse of M"
    gamma = rows.astype(np.float64)
    for each in found["axes"]:
        value, vector = axis(np.linalg.inv(given), each["rank"])
        assert each["eigenvalue_of_M"] == pytest.approx(1 / value, rel=1e-6)
        along = (gamma - gamma.mean(axis=0)) @ vector
        order = np.argsort(-along, kind="stable")[:4]
        np.testing.assert_allclose([one["projection"] for one in each["positive"]], along[order], rtol=1e-5)
    assert "need be no variance" in invoke("query.py", "axes", "--index", bundle).said


def test_every_form_says_the_same(bundle: Path) -> None:
    given = ("axes", "--rank", "last,1", "--top", 2, "--index", bundle)
    found = query(*given)
    lines = invoke("query.py", *given, "--csv").out.splitlines()
    assert lines[0].split(",")[:6] == ["rank", "eigenvalue", "share", "end", "place", "row"]
    assert [line.split(",")[0] for line in lines[1:]] == [str(D)] * 4 + ["1"] * 4
    usual = index.open(bundle).axes(top=1)
    assert [each.axis.rank for each in usual.axes] == [1, 2, D]
    assert [each["rank"] for each in query("axes", "--index", bundle)["axes"]] == [1, 2, D]
    shown = invoke("query.py", *given).out
    for each in found["axes"]:
        assert f"{each['negative'][1]['projection']:.6g}" in shown
        assert f"{100 * each['share']:.3g} % of the trace" in shown


@pytest.mark.parametrize("rank", ["0", str(D + 1), "first", "", "1,,2", "-1", "1.5"])
def test_ranks_that_are_none(rank: str, bundle: Path) -> None:
    said = invoke("query.py", "axes", f"--rank={rank}", "--index", bundle)
    assert said.code == 2
    assert f"--rank must be numbers from 1 to {D}" in said.said
