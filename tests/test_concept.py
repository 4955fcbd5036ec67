"""`concept`: made vocabularies with and without a direction, the bundled model's families, and a float64 oracle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
import smollm2_oracle
from conftest import Built, build, invoke, query
from models import save_tokenizer, word_tokenizer
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy.stats import t as student

import index
from index.api import OpenVocabulary
from index.errors import ParameterError
from index.measures.concepts import Pairs, cosines, exact_p, jackknife
from index.sources import judgments

V, D, PAIRS = 240, 12, 14
SECTIONS = ("family", "gram3-comparative", "gram7-past-tense", "gram8-plural", "gram9-plural-verbs")


def planted(seed: int, *, strength: float) -> NDArray[np.float32]:
    """Random rows: word i + 100 is word i and a step along the last axis, and something else of its own."""
    rows = np.random.default_rng(seed).normal(size=(V, D)).astype(np.float32)
    rows[100 : 100 + PAIRS] = 0.7 * rows[100 : 100 + PAIRS] + rows[:PAIRS]
    rows[100 : 100 + PAIRS, -1] += strength
    return rows


def built(folder: Path, gamma: NDArray, *options: object) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "gamma.npy", gamma)
    save_tokenizer(folder / "tokenizer", word_tokenizer(V))
    options = (*options, "--tokenizer", folder / "tokenizer", "--neighbors", 10, "--density-k", 5)
    build(folder / "gamma.npy", "--out", folder / "bundle", *options)
    return folder / "bundle"


def write_pairs(path: Path, pairs: list[tuple[int, int]], *more: str) -> Path:
    path.write_text("\n".join(["# words", *(f"w{a}\tw{b}" for a, b in pairs), *more]) + "\n")
    return path


TRUE = [(at, 100 + at) for at in range(PAIRS)]
SHARED = [(20, 50), (20, 51), (21, 52), (22, 52), (23, 53), (24, 54), (25, 55)]
OTHERS = [(int(a), int(b)) for a, b in np.random.default_rng(4).permutation(np.arange(30, 86)).reshape(-1, 2)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("small"), planted(0, strength=3.0))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pairs")
    named = (("true", TRUE), ("others", OTHERS), ("shared", SHARED))
    return [write_pairs(folder / f"{name}.txt", pairs) for name, pairs in named]


# --- the oracle: word by word, pair by pair, in x^T G y -------------------------------------------------------------


def inner(x: NDArray, y: NDArray, G: NDArray) -> float:
    return float(x @ G @ y)


def cosine(x: NDArray, y: NDArray, G: NDArray) -> float:
    return inner(x, y, G) / np.sqrt(inner(x, x, G) * inner(y, y, G))


def linked(pairs: list[tuple[int, int]]) -> list[set[int]]:
    """For each pair, the places of those that a chain of shared words links to it."""
    found = [{at} for at in range(len(pairs))]
    for _ in pairs:
        for at, group in enumerate(found):
            words = {word for each in group for word in pairs[each]}
            found[at] = {other for other, pair in enumerate(pairs) if words & set(pair)}
    return found


def left_out_cosines(gamma: NDArray, pairs: list[tuple[int, int]], G: NDArray, without: set[int]) -> list[float]:
    """Each pair's cosine with the mean difference of those not linked to it, and not in `without`."""
    groups = linked(pairs)
    found = []
    for at, (a, b) in enumerate(pairs):
        if at in without:
            continue
        others = [gamma[d] - gamma[c] for other, (c, d) in enumerate(pairs) if other not in groups[at] | without]
        found.append(cosine(gamma[b] - gamma[a], np.mean(others, axis=0), G))
    return found


def expected(gamma: NDArray, pairs: list[tuple[int, int]], G: NDArray) -> dict[str, Any]:
    each = left_out_cosines(gamma, pairs, G, set())
    of_pair = linked(pairs)
    groups = {frozenset(group) for group in of_pair}
    without = [np.mean(left_out_cosines(gamma, pairs, G, set(group))) for group in groups]
    m = len(groups)
    error = np.sqrt((m - 1) / m * sum((value - np.mean(without)) ** 2 for value in without))
    reach = student.ppf(0.975, m - 1) * error
    crossed = []
    for at, (a, _) in enumerate(pairs):
        for other, (_, d) in enumerate(pairs):
            if other in of_pair[at]:
                continue
            out = of_pair[at] | of_pair[other]
            rest = [gamma[y] - gamma[x] for n, (x, y) in enumerate(pairs) if n not in out]
            crossed.append(cosine(gamma[d] - gamma[a], np.mean(rest, axis=0), G))
    mean = float(np.mean(each))
    return {"each": each, "mean": mean, "interval": (mean - reach, mean + reach), "crossed": np.mean(crossed)}


def products(gamma: NDArray) -> dict[str, NDArray]:
    return {"causal": oracles.metric(oracles.covariance(gamma)[1], 1e-6), "euclidean": np.eye(gamma.shape[1])}


# --- figures --------------------------------------------------------------------------------------------------------


def test_figures_of_a_small_vocabulary_are_the_oracles(small: Path, files: list[Path]) -> None:
    answer = query("concept", *files, "--form", "bare", "--random", 199, "--index", small)
    gamma = planted(0, strength=3.0).astype(np.float64)
    opened = index.open(small)
    assert [(each["name"], each["pairs"], each["kept"], each["groups"]) for each in answer["concepts"]] == [
        ("true", PAIRS, PAIRS, PAIRS),
        ("others", 28, 28, 28),
        ("shared", 7, 7, 5),
    ]
    for each, pairs in zip(answer["concepts"], (TRUE, OTHERS, SHARED), strict=True):
        for name, G in products(gamma).items():
            wanted, held = expected(gamma, pairs, G), each["leave_one_out"][name]
            assert [pair[name]["cosine"] for pair in each["each"]] == pytest.approx(wanted["each"], abs=1e-9)
            assert held["mean_cosine"] == pytest.approx(wanted["mean"], abs=1e-9)
            assert held["crossed_cosine"] == pytest.approx(wanted["crossed"], abs=1e-9)
            drawn = random_cosines(opened, gamma, pairs, G)
            mean, spread = drawn.mean(), drawn.std()
            effects = [(value - mean) / spread for value in (wanted["mean"], *wanted["interval"])]
            assert [held["effect"], held["low"], held["high"]] == pytest.approx(effects, abs=1e-5)
            assert held["random_cosine"] == pytest.approx(mean, abs=1e-6)
            ps = [(1 + np.sum(line >= own)) / (1 + len(line)) for line, own in zip(drawn, wanted["each"], strict=True)]
            assert [pair[name]["p"] for pair in each["each"]] == pytest.approx(ps, abs=2e-4)


def random_cosines(opened: OpenVocabulary, gamma: NDArray, pairs: list[tuple[int, int]], G: NDArray) -> NDArray:
    """Of the same random pairs, which a seed draws, with each pair's direction of the others: (n, pairs)."""
    draw = np.random.default_rng(0)
    left = draw.integers(V, size=10_000)
    right = (left + draw.integers(1, V, size=10_000)) % V
    differences, groups = gamma[right] - gamma[left], linked(pairs)
    lengths = np.sqrt(np.einsum("ij,jk,ik->i", differences, G, differences))
    found = []
    for at in range(len(pairs)):
        others = [gamma[d] - gamma[c] for other, (c, d) in enumerate(pairs) if other not in groups[at]]
        direction = np.mean(others, axis=0)
        found.append(differences @ G @ direction / lengths / np.sqrt(inner(direction, direction, G)))
    return np.array(found)


def test_a_planted_direction_is_found_and_random_pairs_are_not(small: Path, files: list[Path]) -> None:
    answer = query("concept", *files[:2], "--form", "bare", "--random", 999, "--index", small)
    true, others = (each["leave_one_out"]["causal"] for each in answer["concepts"])
    assert true["p"] == pytest.approx(1 / 1000)
    assert true["low"] > 1
    assert true["mean_cosine"] > true["crossed_cosine"]
    assert others["p"] > 0.05
    assert others["low"] < 0 < others["high"]


def test_p_is_exact_where_pairs_are_random(small: Path) -> None:
    """As many in a hundred as it says are that small: by chance alone, of fresh random pairs."""
    opened = index.open(small)
    rng, ps = np.random.default_rng(8), []
    for _ in range(120):
        words = rng.permutation(np.arange(120, V))[:16].reshape(-1, 2)
        path = write_pairs(small.parent / "random.txt", [(int(a), int(b)) for a, b in words])
        answer = opened.concept(path, form="bare", random=99, seed=int(rng.integers(1 << 30)), top=1)
        ps.append(answer.concepts[0].held["causal"].p)
    assert 0.01 <= np.mean(np.array(ps) <= 0.1) <= 0.2
    assert np.mean(ps) == pytest.approx(0.5, abs=0.1)


def test_a_rotation_of_gamma_changes_nothing(small: Path, files: list[Path], tmp_path: Path) -> None:
    gamma = planted(0, strength=3.0).astype(np.float64)
    Q = np.linalg.qr(np.random.default_rng(5).normal(size=(D, D)))[0]
    turned = query("concept", *files, "--form", "bare", "--random", 99, "--index", built(tmp_path / "a", gamma @ Q))
    answer = query("concept", *files, "--form", "bare", "--random", 99, "--index", small)
    for product in ("causal", "euclidean"):
        np.testing.assert_allclose(turned["cosines"][product], answer["cosines"][product], atol=1e-6)
        for one, other in zip(turned["concepts"], answer["concepts"], strict=True):
            held, same = one["leave_one_out"][product], other["leave_one_out"][product]
            assert held == pytest.approx(same, abs=1e-5)
            assert [place["id"] for place in one["toward"]] == [place["id"] for place in other["toward"]]


def test_an_orthogonal_map_in_place_of_m_is_the_plain_inner_product(
    small: Path, files: list[Path], tmp_path: Path
) -> None:
    """Rows times a random orthogonal Q, where M's factor was: nothing causal is left, and nothing plain has changed."""
    Q = np.linalg.qr(np.random.default_rng(6).normal(size=(D, D)))[0]
    np.save(tmp_path / "M.npy", np.eye(D))
    turned = planted(0, strength=3.0).astype(np.float64) @ Q
    plain = built(tmp_path / "b", turned, "--metric-tensor", tmp_path / "M.npy")
    answer = query("concept", *files, "--form", "bare", "--random", 99, "--index", plain)
    known = query("concept", *files, "--form", "bare", "--random", 99, "--index", small)
    np.testing.assert_allclose(answer["cosines"]["causal"], known["cosines"]["euclidean"], atol=1e-9)
    np.testing.assert_allclose(answer["cosines"]["euclidean"], known["cosines"]["euclidean"], atol=1e-9)
    gamma = planted(0, strength=3.0).astype(np.float64)
    for one, other, pairs in zip(answer["concepts"], known["concepts"], (TRUE, OTHERS, SHARED), strict=True):
        for product in ("causal", "euclidean"):
            assert one["leave_one_out"][product] == pytest.approx(other["leave_one_out"]["euclidean"], abs=1e-5)
        along = gamma @ np.mean([gamma[b] - gamma[a] for a, b in pairs], axis=0)
        along[[word for pair in pairs for word in pair]] = -np.inf
        assert [place["id"] for place in one["toward"]] == np.argsort(-along)[:10].tolist()


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Planted directions, 300 samples each: bootstrap draws of the cosines would hold it in 75 to 87 of a hundred."""
    rng = np.random.default_rng(1)
    for n, width, strength in ((6, 50, 0.4), (20, 100, 0.3)):
        samples = rng.normal(size=(300, n, width)) / np.sqrt(width)
        samples[..., 0] += strength
        truth = np.mean([cosines(each, np.arange(n)).mean() for each in samples])
        found = [jackknife(each, np.arange(n)) for each in samples]
        assert 0.92 <= np.mean([low <= truth <= high for low, high in found]) <= 1


def test_exact_p_counts_what_was_found_among_the_draws() -> None:
    assert exact_p(2.0, np.array([1.0, 2.0, 3.0])) == 3 / 4
    assert exact_p(9.0, np.zeros(19)) == 1 / 20
    assert np.isnan(exact_p(float("nan"), np.zeros(3)))


def test_groups_are_chains_of_shared_words() -> None:
    first, second = np.array(SHARED).T
    assert Pairs(first, second).groups.tolist() == [0, 0, 1, 1, 2, 3, 4]
    assert Pairs(np.array([0, 1, 2, 5]), np.array([1, 2, 3, 6])).groups.tolist() == [0, 0, 0, 1]


# --- both ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centered", [False, True])
def test_tokens_along_a_direction(centered: bool, small: Path, files: list[Path]) -> None:
    options = ("--centered",) if centered else ()
    answer = query("concept", files[0], "--form", "bare", "--random", 19, "--top", 7, *options, "--index", small)
    gamma = planted(0, strength=3.0).astype(np.float64)
    mean, M = gamma.mean(axis=0), products(gamma)["causal"]
    rows = gamma - mean if centered else gamma
    difference = np.mean([gamma[b] - gamma[a] for a, b in TRUE], axis=0)
    values = rows @ M @ difference / np.sqrt(inner(difference, difference, M))
    own = {word for pair in TRUE for word in pair}
    order = [row for row in np.argsort(-values) if row not in own]
    for end, wanted in (("toward", order[:7]), ("away", order[::-1][:7])):
        places = answer["concepts"][0][end]
        assert [place["id"] for place in places] == [int(row) for row in wanted]
        assert [place["along"] for place in places] == pytest.approx(values[wanted], abs=1e-9)
        angles = [cosine(rows[row], difference, M) for row in wanted]
        assert [place["cosine"] for place in places] == pytest.approx(angles, abs=1e-9)
    assert answer["concepts"][0]["toward_trained"] == answer["concepts"][0]["toward"]


def test_untrained_tokens_are_left_out_beside(tmp_path: Path, files: list[Path]) -> None:
    """Rows in bulk far along the axis: listed with their mark, and a second time without them."""
    gamma = planted(0, strength=3.0)
    gamma[200:230] = 0.5
    gamma[200:230, -1] = 9
    small = built(tmp_path / "heap", gamma)
    (answer,) = query("concept", files[0], "--form", "bare", "--random", 19, "--top", 5, "--index", small)["concepts"]
    assert all(200 <= place["id"] < 230 and "untrained" in place["marks"] for place in answer["toward"])
    assert [place["id"] for place in answer["toward"]] == [200, 201, 202, 203, 204]
    assert not any(200 <= place["id"] < 230 for place in answer["toward_trained"])
    said = invoke("query.py", "concept", files[0], "--form", "bare", "--random", 19, "--top", 5, "--index", small).said
    assert "Without untrained tokens" in said
    without = query(
        "concept", files[0], "--form", "bare", "--random", 19, "--top", 5, "--without", "@untrained", "--index", small
    )
    assert [place["id"] for place in without["concepts"][0]["toward"]] == [
        place["id"] for place in answer["toward_trained"]
    ]


def test_one_concept_is_its_own_cosine_in_json_and_no_table(small: Path, files: list[Path]) -> None:
    one = ("concept", files[0], "--form", "bare", "--random", 19, "--index", small)
    answer = query(*one)
    assert answer["cosines"] == {"causal": [[1.0]], "euclidean": [[1.0]]}
    assert answer["between"] == {"causal": None, "euclidean": None}
    assert "Cosines between" not in invoke("query.py", *one).out


# --- matrices, two differences, files -------------------------------------------------------------------------------


def test_cosines_between_concepts(small: Path, files: list[Path]) -> None:
    answer = query("concept", *files, "--form", "bare", "--random", 19, "--index", small)
    gamma = planted(0, strength=3.0).astype(np.float64)
    means = [np.mean([gamma[b] - gamma[a] for a, b in pairs], axis=0) for pairs in (TRUE, OTHERS, SHARED)]
    for name, G in products(gamma).items():
        wanted = [[cosine(x, y, G) for y in means] for x in means]
        np.testing.assert_allclose(answer["cosines"][name], wanted, atol=1e-9)
        pairs = abs(wanted[0][1]), abs(wanted[0][2]), abs(wanted[1][2])
        assert answer["between"][name] == pytest.approx(np.mean(pairs), abs=1e-9)


def test_the_figure_of_concepts_holds_their_cosines(small: Path, files: list[Path], tmp_path: Path) -> None:
    opened = index.open(small)
    out = tmp_path / "concepts.svg"
    asked = ("plot", "concepts", *(word for path in files for word in ("--pairs", path)), "--out", out)
    refused = invoke("query.py", *asked, "--index", small)
    assert refused.code == 2  # no word stands behind a space here
    assert "no pair of true, others, shared is kept" in refused.err
    found = opened.concept(files, form="bare", random=19, top=1)
    from index.pictures.plot.concepts import concepts_figure, texts_drawn
    from index.pictures.plot.fonts import typeface

    figure = concepts_figure(found, "small", typeface(texts_drawn(found, "small")))
    left, right, _ = figure.axes
    for axes, name in ((left, "causal"), (right, "euclidean")):
        np.testing.assert_allclose(axes.images[0].get_array(), found.cosines[name])
        written = [text.get_text() for text in axes.texts if text.get_text()[-1].isdigit()]
        assert written == [f"{value:.2f}" for line in found.cosines[name] for value in line]
    assert [label.get_text() for label in left.get_yticklabels()] == ["true  1", "others  2", "shared  3"]
    for words, said in (
        (("plot", "concepts", "--pairs", files[0]), "compares concepts, and --pairs gives one; pass another file"),
        (("plot", "w1", "--pairs", files[0]), "--pairs goes with plot concepts, which is not asked for"),
        (("plot", "concepts", "--top", 3), "plot concepts is of all tokens and has no lists"),
    ):
        outcome = invoke("query.py", *words, "--out", out, "--index", small)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert said in outcome.err


@pytest.mark.parametrize("centered", [False, True])
def test_two_differences(centered: bool, small: Path) -> None:
    options = ("--form", "bare", "--random", 199, *(("--centered",) if centered else ()), "--index", small)
    answer = query("concept", "--parallel", "w100 - w0", "w101 - #1", *options)
    assert answer["concepts"] == []
    gamma = planted(0, strength=3.0).astype(np.float64)
    M, rows = products(gamma)["causal"], gamma - gamma.mean(axis=0) if centered else gamma
    for name, points, G in (
        ("causal", gamma, M),
        ("euclidean", gamma, np.eye(D)),
        ("cosine", rows / np.linalg.norm(rows, axis=1, keepdims=True), np.eye(D)),
        ("causal_cosine", rows / np.sqrt(np.einsum("ij,jk,ik->i", rows, M, rows))[:, None], M),
    ):
        wanted = cosine(points[100] - points[0], points[101] - points[1], G)
        assert answer["parallel"][name]["cosine"] == pytest.approx(wanted, abs=1e-9)
        assert 1 / 200 <= answer["parallel"][name]["p"] <= 1
    assert [(term["sign"], term["id"]) for term in answer["parallel"]["b"]] == [(1, 101), (-1, 1)]


def test_a_saved_direction_and_its_dual(small: Path, files: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "true.safetensors"
    asked = ("concept", files[0], "--form", "bare", "--random", 19, "--save", path, "--index", small)
    answer = query(*asked)
    assert answer["saved"] == str(path)
    tensors, gamma = load_file(path), planted(0, strength=3.0).astype(np.float64)
    assert set(tensors) == {"unembedding_to_probe", "embedding_to_steer"}
    M = products(gamma)["causal"]
    difference = np.mean([gamma[b] - gamma[a] for a, b in TRUE], axis=0)
    difference /= np.sqrt(inner(difference, difference, M))
    np.testing.assert_allclose(tensors["unembedding_to_probe"], difference, atol=1e-9)
    np.testing.assert_allclose(tensors["embedding_to_steer"], M @ difference, atol=1e-9)
    # Added to a hidden state, the dual raises each token's logit by what the token has along the concept.
    hidden = np.random.default_rng(0).normal(size=D)
    raised = gamma @ (hidden + tensors["embedding_to_steer"]) - gamma @ hidden
    for place in answer["concepts"][0]["toward"]:
        assert raised[place["row"]] == pytest.approx(place["along"], abs=1e-9)
    with safe_open(path, "numpy") as file:
        facts = file.metadata()
    assert json.loads(facts["pairs"]) == [list(pair) for pair in TRUE]
    assert "Not to be added to a hidden state" in facts["unembedding_to_probe"]
    assert "Not a probe" in facts["embedding_to_steer"]
    again = invoke("query.py", *asked)
    assert again.code == 2
    assert f"{path} exists; pass --overwrite to replace it" in again.err
    assert invoke("query.py", *asked, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("{0}", "{1}", "--save", "x.safetensors"), "--save keeps the direction of one concept, and 2 are given"),
        (("{0}", "--save", "x.txt"), "--save must end in .safetensors, got: x.txt"),
        (("{0}", "{0}"), "PAIRS name the concept 'true' twice"),
        (("{0}", "--only", "false"), "--only 'false' names no concept; there are true"),
        (("{0}", "--random", "3"), "--random must be from 19 to 100,000, got: 3"),
        (("{0}", "--among", "#1,#2"), "--among #1"),
        (("--parallel", "w1 + w2", "w3 - w4"), "--parallel 'w1 + w2' is no difference"),
        (("--parallel", "w1 - w1", "w3 - w4"), "--parallel 'w1 - w1' is nothing: its tokens cancel"),
        (("--parallel", "w1 - unheard", "w3 - w4"), "--parallel"),
        (("missing.txt",), "PAIRS missing.txt cannot be read"),
    ],
)
def test_what_cannot_be_asked(asked: tuple[str, ...], said: str, small: Path, files: list[Path]) -> None:
    words = [word.format(*files) for word in asked]
    outcome = invoke("query.py", "concept", *words, "--form", "bare", "--index", small)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert said in outcome.err


def test_two_texts_are_wanted_in_python(small: Path) -> None:
    opened = index.open(small)
    for given, said in (("w1 - w2", "parallel must be two texts, got: w1 - w2"), (["w1 - w2"], "two texts, got 1")):
        with pytest.raises(ParameterError, match=said):
            opened.concept(parallel=given)
    found = opened.concept(parallel=["w1 - w2", "w3 - w4"], form="bare", random=19).parallel
    assert found is not None
    assert [[(sign, token.text) for sign, token in side] for side in found.terms] == [
        [(1, "w1"), (-1, "w2")],
        [(1, "w3"), (-1, "w4")],
    ]


def test_fewer_tokens_than_random_pairs_need(small: Path, files: list[Path]) -> None:
    with pytest.raises(ParameterError, match="random pairs are of 28 different tokens, and there are 5 to draw from"):
        index.open(small).concept(files[0], form="bare", among=range(5))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("w1 w2\n", "line 1: 'w1 w2' is no pair; wanted two words with a tab between"),
        ("w1\tw2\nw1\t\n", "line 2"),
        ("w1\tw2\tw3\n", "line 1"),
        ("# nothing\n", "holds no line but comments"),
        (": s\nw1 w2 w3\n", "has 3 words; wanted four"),
    ],
)
def test_files_that_hold_no_pairs(content: str, said: str, small: Path, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text(content)
    outcome = invoke("query.py", "concept", tmp_path / "file.txt", "--form", "bare", "--index", small)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert said in outcome.err


def test_pairs_that_are_left_out_are_named(small: Path, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "some.txt", TRUE[:3], "w0\tw100", "w5\tw5", "unheard\tw7", "un\theard")
    (answer,) = query("concept", path, "--form", "bare", "--random", 19, "--index", small)["concepts"]
    assert (answer["pairs"], answer["kept"]) == (7, 3)
    assert [(each["first"], each["second"], each["why"]) for each in answer["left_out"]] == [
        ("w0", "w100", "it is there already"),
        ("w5", "w5", "both have the same vector"),
        ("unheard", "w7", "'unheard' is not one token"),
        ("un", "heard", "'un' and 'heard' are not one token"),
    ]
    said = invoke("query.py", "concept", path, "--form", "bare", "--random", 19, "--index", small).said
    assert "some: 3 of 7 pairs kept" in said
    assert "w0 - w100 (it is there already)" in said


def test_concepts_with_nothing_to_hold_them_against(small: Path, tmp_path: Path) -> None:
    one = write_pairs(tmp_path / "one.txt", TRUE[:1])
    back = write_pairs(tmp_path / "back.txt", [(0, 100), (100, 0)])
    none = write_pairs(tmp_path / "none.txt", [], "unheard\tof-this")
    answer = query("concept", one, back, none, "--form", "bare", "--random", 19, "--index", small)
    first, second, third = answer["concepts"]
    assert (first["groups"], first["leave_one_out"]["causal"]["p"]) == (1, None)
    assert len(first["toward"]) == 10
    assert (second["groups"], second["toward"]) == (1, [])
    assert (third["kept"], third["groups"], third["toward"]) == (0, 0, [])
    assert answer["cosines"]["causal"] == [[1.0, None, None], [None, None, None], [None, None, None]]
    said = invoke("query.py", "concept", one, back, none, "--form", "bare", "--random", 19, "--index", small).said
    assert "have nothing to be held against" in said
    assert "their differences cancel" in said
    refused = invoke("query.py", "concept", none, "--form", "bare", "--index", small)
    assert refused.code == 1
    assert "no pair of none is kept: none is two single tokens of different vectors" in refused.err


def test_rows_of_csv_and_parquet(small: Path, files: list[Path], tmp_path: Path) -> None:
    asked = ("concept", *files[:2], "--form", "bare", "--random", 19, "--top", 3, "--index", small)
    answer = query(*asked)
    frame = index.open(small).concept(files[:2], form="bare", random=19, top=3).to_pandas()
    assert frame["part"].value_counts().to_dict() == {"concept": 4, "pair": 2 * (14 + 28), "place": 24, "cosine": 8}
    true = frame[(frame["part"] == "concept") & (frame["concept"] == "true") & (frame["product"] == "causal")]
    assert true["cosine"].tolist() == [answer["concepts"][0]["leave_one_out"]["causal"]["mean_cosine"]]
    assert invoke("query.py", *asked, "--parquet", tmp_path / "out.parquet").code == 0
    assert invoke("query.py", *asked, "--csv").out.startswith("part,concept,other,product,pairs,kept,groups,first")
    kept = invoke("query.py", *asked, "--save-set", "ends")
    assert "@ends holds" in kept.err
    assert len(query("sets", "--index", small)) == 7


def test_without_gensim_it_says_what_to_install(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.files.find_spec", lambda name: None)
    assert "uv run --extra evaluate query.py concept" in invoke("query.py", "concept", "--index", small).err


# --- the bundled model ----------------------------------------------------------------------------------------------


def sections() -> dict[str, list[tuple[str, str]]]:
    """The pairs of each section of gensim's analogies, read on its own."""
    import gensim

    path = Path(gensim.__file__).parent / "test/test_data" / judgments.GENSIM["questions-words"]
    found: dict[str, list[tuple[str, str]]] = {}
    for line in path.read_text().splitlines():
        if line.startswith(":"):
            name = line[2:]
            continue
        a, b, c, d = line.split()
        for pair in ((a, b), (c, d)):
            if pair not in found.setdefault(name, []):
                found[name].append(pair)
    return found


@pytest.mark.slow("a smollm2 bundle, five concepts and 400 sets of random pairs of each")
def test_families_of_the_bundled_model(smollm2: Built) -> None:
    answer = query("concept", "--only", ",".join(SECTIONS), "--random", 199, "--top", 3, "--index", smollm2.path)
    opened = index.open(smollm2.path)
    rows = {piece: row for row, piece in enumerate(opened.vocabulary.pieces.to_pylist())}
    gamma = smollm2_oracle.gamma().astype(np.float64)
    M = smollm2_oracle.metric()[1]
    for each in answer["concepts"]:
        pairs = [(rows.get(f"Ġ{a}"), rows.get(f"Ġ{b}")) for a, b in sections()[each["name"]]]
        known = [pair for pair in pairs if None not in pair]
        assert (each["pairs"], each["kept"]) == (len(pairs), len(known))
        differences = np.array([gamma[b] - gamma[a] for a, b in known])  # type: ignore[index]
        groups = linked(known)  # type: ignore[arg-type]
        assert each["groups"] == len({frozenset(group) for group in groups})
        for name, G in (("causal", M), ("euclidean", None)):
            mapped = differences if G is None else differences @ np.linalg.cholesky((G + G.T) / 2)
            wanted = []
            for at, group in enumerate(groups):
                others = np.array([mapped[n] for n in range(len(known)) if n not in group]).mean(axis=0)
                wanted.append(cosine_of(mapped[at], others))
            assert [pair[name]["cosine"] for pair in each["each"]] == pytest.approx(wanted, abs=1e-7)
            assert each["leave_one_out"][name]["p"] == 1 / 200
        assert each["leave_one_out"]["causal"]["low"] > each["leave_one_out"]["euclidean"]["high"]
    whole = query("concept", "--random", 19, "--top", 1, "--index", smollm2.path)
    for name, factor in (("causal", np.linalg.cholesky((M + M.T) / 2)), ("euclidean", np.eye(len(M)))):
        means = []
        for pairs in sections().values():
            known = [(rows[f"Ġ{a}"], rows[f"Ġ{b}"]) for a, b in pairs if {f"Ġ{a}", f"Ġ{b}"} <= rows.keys()]
            means.append(np.mean([gamma[b] - gamma[a] for a, b in known], axis=0) @ factor)
        between = [abs(cosine_of(x, y)) for at, x in enumerate(means) for y in means[:at]]
        assert whole["between"][name] == pytest.approx(np.mean(between), abs=1e-6)
    assert [round(whole["between"][name], 3) for name in ("causal", "euclidean")] == [0.082, 0.231]


def cosine_of(x: NDArray, y: NDArray) -> float:
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))
