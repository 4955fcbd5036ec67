"""`analogy` against float64 brute force, and how its terms are read."""

from pathlib import Path

import numpy as np
import oracles
import pytest
import smollm2_oracle as oracle
from conftest import Built, invoke, query
from numpy.typing import NDArray

from index.errors import ParameterError
from index.questions.analogy.terms import parse_terms

PLANET = 46835


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def centered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.build_small(tmp_path_factory.mktemp("centered"), "--centered")


def mapped(vector: NDArray[np.float64], geometry: str) -> NDArray[np.float64]:
    """A vector of gamma's space where the oracle's points are."""
    if geometry == "cosine":
        return vector / np.linalg.norm(vector)
    point = vector @ np.linalg.cholesky(oracle.metric()[1])
    return point if geometry == "causal" else point / np.linalg.norm(point)


def check_list(places: list[dict], distances: NDArray[np.float64], tolerance: float) -> None:
    """The listed rows, and the distances shown, are rank by rank the smallest; infinite ones are left out."""
    listed, shown = [place["row"] for place in places], [place["distance"] for place in places]
    expected = np.sort(distances)[: len(listed)]
    assert len(set(listed)) == len(listed)
    oracles.assert_close(distances[listed], expected, absolute=tolerance)
    oracles.assert_close(shown, expected, absolute=tolerance)


@pytest.mark.parametrize(
    ("expression", "terms"),
    [
        ("vier - four + planet", [(1, 21993), (-1, 13996), (1, 46835)]),
        ("vier-four+planet", [(1, 21993), (-1, 13996), (1, 46835)]),
        ("#7", [(1, 7)]),
        ("- ' four' + #7 - \"planet\" - four", [(-1, 1876), (1, 7), (-1, 46835), (-1, 13996)]),
        ("planet + planet", [(1, 46835), (1, 46835)]),
    ],
)
@pytest.mark.parametrize("include_terms", [False, True])
def test_analogies(expression: str, terms: list[tuple[int, int]], include_terms: bool, smollm2: Built) -> None:
    options = ["--include-terms"] if include_terms else []
    answer = query("analogy", *options, "--top", 50, "--index", smollm2.path, expression)
    assert [(term["sign"], term["id"]) for term in answer["terms"]] == terms
    rows = [row for _, row in terms]
    vector = sum(sign * oracle.gamma()[row].astype(np.float64) for sign, row in terms)
    for geometry in oracle.GEOMETRIES:
        point = mapped(np.asarray(vector), geometry)
        distances = np.linalg.norm(oracle.points(geometry) - point, axis=1)
        if not include_terms:
            distances[rows] = np.inf
        # Beyond what rounds every distance: a float32 distance from a point further out than any token.
        tolerance = oracle.tolerance(geometry) + oracles.HALF_ULP * float(np.linalg.norm(point))
        assert len(answer[geometry]) == 50
        check_list(answer[geometry], distances, tolerance)


def test_one_term_has_its_own_neighbors(smollm2: Built) -> None:
    alone = query("analogy", "planet", "--top", 30, "--index", smollm2.path)
    neighbors = query("neighbors", "planet", "--top", 30, "--index", smollm2.path)[0]
    for geometry in ("causal", "cosine"):
        check_list(alone[geometry], exclude(oracle.distances(geometry, PLANET), PLANET), oracle.tolerance(geometry))
        assert [place["id"] for place in alone[geometry]][:7] == [place["id"] for place in neighbors[geometry]][:7]
    included = query("analogy", "planet", "--top", 1, "--include-terms", "--index", smollm2.path)
    for geometry in oracle.GEOMETRIES:
        assert included[geometry][0]["id"] == PLANET
        assert included[geometry][0]["distance"] <= oracle.tolerance(geometry)


def exclude(distances: NDArray[np.float64], row: int) -> NDArray[np.float64]:
    return np.where(np.arange(len(distances)) == row, np.inf, distances)


def test_a_twin_of_a_term_is_no_term(smollm2: Built) -> None:
    found = query("analogy", "#7", "--top", 1, "--index", smollm2.path)
    for geometry in oracle.GEOMETRIES:
        assert found[geometry][0]["id"] == 45175
        assert found[geometry][0]["distance"] <= oracle.tolerance(geometry)


def test_what_cancels_has_no_direction(smollm2: Built) -> None:
    expression = "planet + vier - planet - vier"
    answer = query("analogy", expression, "--top", 20, "--index", smollm2.path)
    assert answer["cosine"] == answer["causal_cosine"] == []
    norms = np.linalg.norm(oracle.points("causal"), axis=1)
    norms[[PLANET, 21993]] = np.inf
    check_list(answer["causal"], norms, oracle.tolerance("causal"))
    said = invoke("query.py", "analogy", expression, "--index", smollm2.path).said
    assert "None by cosine similarity: the sum is zero and has no direction" in said


def test_centered_causal_cosines(small: Path, centered: Path) -> None:
    """A sum is mapped as the bundle's rows are: less the mean where these are centered."""
    gamma = oracle.small_gamma().astype(np.float64)
    mean, cov = oracles.covariance(gamma)
    factor = np.linalg.cholesky(oracles.metric(cov, 1e-6))
    vector = gamma[3] + gamma[4]
    for folder, origin in ((small, np.zeros(oracle.D)), (centered, mean)):
        rows, point = (gamma - origin) @ factor, (vector - origin) @ factor
        similarities = rows @ point / np.maximum(np.linalg.norm(rows, axis=1), 1e-300) / np.linalg.norm(point)
        left_out = [3, 4] + ([oracle.ZERO] if folder == small else [])
        chords = np.sqrt(2 - 2 * similarities)
        chords[left_out] = np.inf
        answer = query("analogy", "#3 + #4", "--top", 20, "--index", folder)
        # The oracle's chords come from 1 - cos, which costs digits: 2^-52 / chord, far below float32's step.
        check_list(answer["causal_cosine"], chords, 4 * oracles.HALF_ULP)


def test_analogies_among_a_subset(smollm2: Built, tmp_path: Path) -> None:
    chosen = np.arange(0, 49152, 37)
    (tmp_path / "ids.txt").write_text("\n".join(map(str, chosen)))
    options = ["--among", tmp_path / "ids.txt", "--top", 12, "--index", smollm2.path]
    answer = query("analogy", "vier - four + planet", *options)
    assert answer["among"] == {"subset": str(tmp_path / "ids.txt"), "size": len(chosen)}
    vector = (oracle.gamma()[21993].astype(np.float64) - oracle.gamma()[13996]) + oracle.gamma()[46835]
    for geometry in oracle.GEOMETRIES:
        distances = np.full(49152, np.inf)
        distances[chosen] = np.linalg.norm(oracle.points(geometry)[chosen] - mapped(vector, geometry), axis=1)
        check_list(answer[geometry], distances, 2 * oracle.tolerance(geometry))


# --- reading terms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "terms"),
    [
        ("vier - four + planet", [(1, "vier"), (-1, "four"), (1, "planet")]),
        ("king-man+woman", [(1, "king"), (-1, "man"), (1, "woman")]),
        ("  -a\t+ b ", [(-1, "a"), (1, "b")]),
        ("' four' - \"e-mail\"", [(1, " four"), (-1, "e-mail")]),
        ('\'it\'\'s\' + "a ""b""" - "\'s"', [(1, "it's"), (1, 'a "b"'), (-1, "'s")]),
        ("it's + C#", [(1, "it's"), (1, "C#")]),
        ("#12-#7", [(1, "#12"), (-1, "#7")]),
        ("'+' - '-'", [(1, "+"), (-1, "-")]),
        ("'a'-'b'", [(1, "a"), (-1, "b")]),
    ],
)
def test_terms(expression: str, terms: list[tuple[int, str]]) -> None:
    assert parse_terms(expression) == terms


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "a term is missing"),
        ("  ", "a term is missing"),
        ("vier -", "a term is missing in 'vier -', at '-'"),
        ("vier - + four", "a term is missing"),
        ("vier -- four", "a term is missing"),
        ("hello world", "+ or - is missing in 'hello world', before 'world'"),
        ("'a'b", "+ or - is missing"),
        ("a - 'four", "a text or a closing quotation mark is missing"),
        ("''", "a text or a closing quotation mark is missing"),
    ],
)
def test_terms_that_cannot_be_read(expression: str, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_terms(expression)
    assert said in str(caught.value)
    assert "quote a text that holds spaces or signs" in str(caught.value)


def test_terms_must_be_tokens(small: Path) -> None:
    assert "no token has the text 'nought'" in invoke("query.py", "analogy", "#3 - nought", "--index", small).said
    outcome = invoke("query.py", "analogy", "#3 -", "--index", small)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
