"""`analogy --expect`, `--scale fit` and `--method mul`, against float64 brute force and gensim."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
from conftest import build, invoke, query
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from synthetic import gaussian

import index

V, D, ZERO = 250, 9, 40
TWINS = (11, 90)
GEOMETRIES = ("causal", "cosine", "causal_cosine")
EXPRESSION, SIGNED = "#3 - #5 + #8", [(1, 3), (-1, 5), (1, 8)]


def rows() -> NDArray[np.float64]:
    made = gaussian(V, D, seed=2, largest=1.0, smallest=0.02)
    made[TWINS[1]] = made[TWINS[0]]
    made[ZERO] = 0
    return made.astype(np.float32).astype(np.float64)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("expected")
    np.save(folder / "gamma.npy", rows().astype(np.float32))
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 20, "--density-k", 5)
    return folder / "bundle"


@cache
def flat(geometry: str) -> NDArray[np.float64]:
    """Rows where the plain inner product is the geometry's."""
    gamma = rows()
    if geometry == "cosine":
        return gamma
    factor: NDArray = np.linalg.cholesky(oracles.metric(oracles.covariance(gamma)[1], 1e-6))
    return gamma @ factor


def unit(vectors: NDArray) -> NDArray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def apart(geometry: str, point: NDArray) -> NDArray:
    """The distances of all rows from a point of `flat`."""
    if geometry == "causal":
        return np.linalg.norm(flat(geometry) - point, axis=1)
    found = np.linalg.norm(unit(flat(geometry)) - unit(point), axis=1)
    found[ZERO] = np.inf
    return found


def summed(geometry: str, factor: float = 1.0) -> NDArray:
    points = flat(geometry)
    return points[3] + factor * (points[8] - points[5])


def require_standing(found: dict[str, Any], distances: NDArray, row: int, others: NDArray) -> None:
    assert found["distance"] == pytest.approx(distances[row], rel=1e-5)
    nearer = others[distances[others] < distances[row] * (1 - 1e-6)]
    as_near = others[np.abs(distances[others] - distances[row]) <= distances[row] * 1e-6]
    assert found["tied"] == [len(nearer) + 1, len(nearer) + len(set(as_near) | {row})]
    assert found["rank"] == len(nearer) + 1 + (as_near < row).sum()


@pytest.mark.parametrize("options", [[], ["--include-terms"], ["--among", "odd"]])
@pytest.mark.parametrize("wanted", [8, 11, 90, 201])
def test_where_the_answer_stands(wanted: int, options: list[str], bundle: Path, tmp_path: Path) -> None:
    others = np.arange(V)
    given: list[object] = list(options)
    if "--among" in options:
        others = np.arange(1, V, 2)
        (tmp_path / "odd").write_text("".join(f"#{row}\n" for row in others))
        given = ["--among", tmp_path / "odd"]
    if "--include-terms" not in options:
        others = others[~np.isin(others, [3, 5, 8])]
        if wanted == 8:
            said = invoke("query.py", "analogy", EXPRESSION, "--expect", "#8", *given, "--index", bundle)
            assert said.code == 2
            assert "--expect names a term" in said.err
            return
    found = query("analogy", EXPRESSION, "--expect", f"#{wanted}", "--scale", "fit", *given, "--index", bundle)[
        "expected"
    ]
    assert found["id"] == wanted
    for geometry in GEOMETRIES:
        there = others if geometry == "causal" else others[others != ZERO]
        require_standing(found[geometry], apart(geometry, summed(geometry)), wanted, there)
        fit = found[geometry]["fit"]

        def off(factor: float, geometry: str = geometry) -> float:
            answer, point = flat(geometry)[wanted], summed(geometry, factor)
            return float(np.linalg.norm(answer - point if geometry == "causal" else unit(answer) - unit(point)))

        tried = np.concatenate([np.linspace(-60, 60, 1201), [-1e9, 1e9]])
        best = min(tried, key=off)
        if fit["factor"] is None:
            assert abs(best) >= 60
            continue
        exact = minimize_scalar(off, bracket=(fit["factor"] - 0.5, fit["factor"] + 0.4), tol=1e-12)
        assert fit["factor"] == pytest.approx(exact.x, rel=1e-3, abs=1e-3)
        assert off(fit["factor"]) <= off(best) * (1 + 1e-9)
        require_standing(fit["standing"], apart(geometry, summed(geometry, fit["factor"])), wanted, there)


def test_where_no_factor_is_best(tmp_path: Path) -> None:
    """Away from the first term the cosine only rises: the answer lies where the difference leads."""
    gamma = gaussian(60, 4, seed=0, largest=1.0, smallest=0.2)
    gamma[:3] = [[1, 0, 0, 0], [0, 1, 0, 0], [-0.5, 1, 0, 0]]
    np.save(tmp_path / "gamma.npy", gamma)
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 10, "--density-k", 2)
    given = ("analogy", "#0 + #1", "--expect", "#2", "--scale", "fit", "--index", tmp_path / "bundle")
    found = query(*given)["expected"]
    assert found["cosine"]["fit"] == {"factor": None, "standing": None}
    assert found["causal"]["fit"]["factor"] is not None
    assert "none: the farther the sum goes" in invoke("query.py", *given).said


def scores(geometry: str, signed: list[tuple[int, int]]) -> NDArray:
    """Equation 4 of Levy and Goldberg, shifted."""
    directions = unit(flat(geometry))
    above, below = np.ones(V), np.ones(V)
    for sign, row in signed:
        factor = (1 + directions @ directions[row]) / 2
        if sign > 0:
            above *= factor
        else:
            below *= factor
    return above / (below + 1e-6)


@pytest.mark.parametrize(
    ("expression", "signed"),
    [(EXPRESSION, SIGNED), ("#3", [(1, 3)]), ("#3 + #3 - #11 - #7", [(1, 3), (1, 3), (-1, 11), (-1, 7)])],
)
def test_multiplied(expression: str, signed: list[tuple[int, int]], bundle: Path) -> None:
    given = ("analogy", expression, "--method", "mul", "--top", 40, "--expect", "#90", "--index", bundle)
    found = query(*given)
    assert found["method"] == "mul"
    assert "causal" not in found
    assert "causal" not in found["expected"]
    for geometry in ("cosine", "causal_cosine"):
        expected = scores(geometry, signed)
        left = [row for row in range(V) if row != ZERO and row not in {row for _, row in signed}]
        order = sorted(left, key=lambda row: -expected[row])[:40]
        listed = found[geometry]
        np.testing.assert_allclose([each["score"] for each in listed], expected[order], rtol=1e-5)
        np.testing.assert_allclose(
            [each["score"] for each in listed], expected[[each["id"] for each in listed]], rtol=1e-5
        )
        assert [each["rank"] for each in listed] == list(range(1, 41))
        place = found["expected"][geometry]
        assert place["score"] == pytest.approx(expected[90], rel=1e-5)
        higher = sum(expected[row] > expected[90] * (1 + 1e-5) for row in left)
        twin = 11 in left
        assert place["tied"] == [higher + 1, higher + 1 + twin]
        assert place["rank"] == higher + 1 + twin
    shown = invoke("query.py", *given[:-2], "--index", bundle).said
    assert f"{found['cosine'][0]['score']:.6f}" in shown


@pytest.mark.filterwarnings("ignore:Call to deprecated `init_sims`:DeprecationWarning")
def test_multiplied_as_gensim_does(bundle: Path) -> None:
    gensim = pytest.importorskip("gensim.models")
    vectors = gensim.KeyedVectors(D)
    vectors.add_vectors(
        [str(row) for row in range(V) if row != ZERO], np.delete(rows(), ZERO, axis=0).astype(np.float32)
    )
    theirs = vectors.most_similar_cosmul(positive=["3", "8"], negative=["5"], topn=15)
    answer = index.open(bundle).analogy(EXPRESSION, method="mul", top=15)  # type: ignore[arg-type]
    assert answer.products is not None
    ours = answer.products["cosine"]  # type: ignore[index]
    assert [str(each.token.id) for each in ours] == [name for name, _ in theirs]
    np.testing.assert_allclose([each.score for each in ours], [score for _, score in theirs], rtol=1e-5)


def test_every_form_of_products(bundle: Path) -> None:
    given = ("analogy", EXPRESSION, "--method", "mul", "--top", 3, "--index", bundle)
    lines = invoke("query.py", *given, "--csv").out.splitlines()
    head = lines[0].split(",")
    assert head[-3:] == ["recall", "score", "piece"]
    found = query(*given)
    for line, each in zip(lines[1:], [*found["cosine"], *found["causal_cosine"]], strict=True):
        record = dict(zip(head, line.split(","), strict=True))
        assert (record["id"], float(record["score"]), record["distance"]) == (str(each["id"]), each["score"], "")
    assert len(index.open(bundle).analogy(EXPRESSION, method="mul").to_pandas()) == 20  # type: ignore[arg-type]


def test_a_term_without_a_direction(bundle: Path) -> None:
    found = query("analogy", f"#{ZERO} + #3", "--method", "mul", "--expect", "#9", "--index", bundle)
    assert (found["cosine"], found["expected"]["cosine"], found["undefined"]) == ([], None, ["cosine", "causal_cosine"])
    given = ("analogy", f"#{ZERO} + #3", "--method", "mul", "--expect", "#9", "--index", bundle)
    assert "a term has no direction" in invoke("query.py", *given).said
    zero = query("analogy", "#3 - #3", "--expect", "#9", "--scale", "fit", "--index", bundle)["expected"]
    assert zero["cosine"] is None
    assert zero["causal"]["rank"] >= 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scale", "fit"], "--scale is fitted to an answer: say which with --expect TOKEN"),
        (["--method", "mul", "--scale", "fit", "--expect", "#9"], "leave out --scale"),
        (["--method", "times"], "--method must be one of add, mul"),
        (["--scale", "2"], "--scale must be one of fit"),
        (["--expect", "nothing such"], "no token"),
    ],
)
def test_what_does_not_go_together(options: list[str], said: str, bundle: Path) -> None:
    found = invoke("query.py", "analogy", EXPRESSION, *options, "--index", bundle)
    assert found.code == 2
    assert said in found.said


def test_one_term_has_no_difference_and_a_product_needs_a_plus(bundle: Path) -> None:
    one = invoke("query.py", "analogy", "#3", "--expect", "#9", "--scale", "fit", "--index", bundle)
    assert "there is one alone" in one.err
    minus = invoke("query.py", "analogy", "--method", "mul", "--index", bundle, "--", "- #3")
    assert "needs a term with a plus" in minus.err
