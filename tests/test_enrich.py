"""`enrich`: running sums against a slow oracle, chance against simulation, and the orders it takes."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smollm2_oracle
from conftest import Built, build, invoke, query
from models import save_tokenizer, word_tokenizer
from numpy.typing import NDArray

import index
from index.measures.enrichment import Order, Sets, false_discovery_rates, shuffled_p

V, D = 300, 8


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of a byte-level tokenizer, a pair of twins and a zero row."""
    return smollm2_oracle.build_small(tmp_path_factory.mktemp("small"))


# --- the oracle -----------------------------------------------------------------------------------------------------


def running_sum(values: NDArray, members: set[int]) -> tuple[float, int]:
    """The score of a set of items by the definition, item by item, and how many stand before it is reached."""
    order = sorted(range(len(values)), key=lambda item: -values[item])
    groups: list[list[int]] = []
    for item in order:
        if groups and values[groups[-1][0]] == values[item]:
            groups[-1].append(item)
        else:
            groups.append([item])
    weight, done = {}, 0
    for group in groups:
        for item in group:
            weight[item] = abs(done + (len(group) + 1) / 2 - (len(values) + 1) / 2)
        done += len(group)
    total = sum(weight[item] for item in members)
    if total == 0:
        weight, total = dict.fromkeys(members, 1.0), float(len(members))
    sum_, best, at, done = 0.0, 0.0, 0, 0
    for group in groups:
        for item in group:
            sum_ += weight[item] / total if item in members else -1 / (len(values) - len(members))
        done += len(group)
        if abs(sum_) > abs(best) + 1e-9 or (abs(sum_) > abs(best) - 1e-9 and sum_ > best + 1e-9):
            best, at = sum_, done
    return best, at


def some_sets(rng: np.random.Generator, N: int) -> list[NDArray]:
    return [np.sort(rng.choice(N, size, replace=False)) for size in (1, 2, 7, 20, N // 2, N - 1) if size < N]


@pytest.mark.parametrize("levels", [None, 12, 3, 1])
def test_scores_are_those_of_the_definition(levels: int | None) -> None:
    rng = np.random.default_rng(0)
    for N in (8, 61):
        for _ in range(20):
            values = rng.normal(size=N) if levels is None else rng.integers(levels, size=N).astype(float)
            values = -np.sort(-values)
            members = [each for each in some_sets(rng, N) if len(each) < N]
            found = Sets(members, N).scores(Order.of(values))
            wanted = [running_sum(values, set(each.tolist())) for each in members]
            np.testing.assert_allclose(found.values, [score for score, _ in wanted], atol=1e-12)
            places = [at for score, at in wanted if abs(score) > 1e-9]
            assert found.places[np.abs(found.values) > 1e-9].tolist() == places


def test_the_order_of_equal_values_decides_nothing() -> None:
    """Items that tie, in any order: the same scores."""
    rng = np.random.default_rng(1)
    values, tags = np.repeat([3.0, 2.0, 1.0], [10, 25, 15]), rng.permutation(50)
    found = []
    for _ in range(5):
        shuffle = np.concatenate([rng.permutation(10), 10 + rng.permutation(25), 35 + rng.permutation(15)])
        members = [np.flatnonzero(np.isin(tags[shuffle], wanted)) for wanted in (range(12), range(20, 23))]
        found.append(Sets(members, 50).scores(Order.of(values)).values)
    np.testing.assert_allclose(found, [found[0]] * 5, atol=1e-12)


def test_a_set_about_the_middle_has_no_high_score() -> None:
    """Of plain Kolmogorov and Smirnov, without weights, it would be half."""
    order = Order.of(np.arange(1000.0)[::-1].copy())
    middle, top = np.arange(480, 520), np.arange(40)
    score = Sets([middle, top], 1000).scores(order).values
    assert abs(score[0]) <= 0.51
    assert score[1] == pytest.approx(1.0)


def test_p_is_of_the_same_random_orders() -> None:
    rng = np.random.default_rng(2)
    values = -np.sort(-rng.integers(9, size=40).astype(float))
    members = [np.arange(6), np.arange(12, 30), np.array([1, 39, 20, 8, 30])]
    order, sets = Order.of(values), Sets(members, 40)
    found = sets.scores(order).values
    p = shuffled_p(sets, order, found, 99, 5, lambda share: None)
    draw, counts = np.random.default_rng(5), np.zeros(3)
    for _ in range(99):
        places = draw.permutation(40)
        scores = [running_sum(values, {int(places[item]) for item in each})[0] for each in members]
        counts += np.abs(scores) >= np.abs(found) - 1e-9
    np.testing.assert_array_equal(p, (1 + counts) / 100)


def test_false_discoveries_under_shuffles_are_as_rare_as_it_says() -> None:
    """Orders that have nothing to do with the sets: any set passes 10 % in one of ten; p is even. Ties included."""
    rng = np.random.default_rng(3)
    N, trials, any_found, ps = 120, 200, 0, []
    members = [rng.choice(N, size, replace=False) for size in (5, 8, 15, 30, 60, 100)]
    for trial in range(trials):
        values = rng.normal(size=N) if trial % 2 else rng.integers(20, size=N).astype(float)
        down = np.argsort(-values, kind="stable")
        place = np.argsort(down)
        sets, order = Sets([place[each] for each in members], N), Order.of(values[down])
        p = shuffled_p(sets, order, sets.scores(order).values, 99, trial, lambda share: None)
        any_found += bool((false_discovery_rates(p) <= 0.1).any())
        ps.append(p)
    assert any_found / trials <= 0.15  # 0.1, and twice its standard error
    assert np.mean(np.array(ps) <= 0.1) == pytest.approx(0.1, abs=0.03)
    assert np.mean(ps) == pytest.approx(0.5, abs=0.04)


def test_false_discovery_rates_are_benjamini_and_hochbergs() -> None:
    """The example of their paper (1995), section 4: the four least of fifteen stand at 5 %."""
    p = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719])
    p = np.append(p, [0.6528, 0.759, 1.0])
    rates = false_discovery_rates(p)
    assert (rates <= 0.05).sum() == 4
    wanted = [min(15 * each / rank for rank, each in enumerate(p, 1) if rank >= at) for at in range(1, 16)]
    np.testing.assert_allclose(rates, wanted)


# --- the question ---------------------------------------------------------------------------------------------------


def expected(opened: Any, values: NDArray, ranked: NDArray, members: NDArray) -> tuple[int, float, float, float]:
    """Vectors, score, and the shares before it, of a set of rows among those ranked, with twins taken as one."""
    groups = np.asarray(opened.tokens["twin_group"].to_pylist())
    firsts = sorted(set(groups[ranked].tolist()))
    inside = {firsts.index(first) for first in set(groups[np.intersect1d(members, np.flatnonzero(ranked))].tolist())}
    score, at = running_sum(values[firsts], inside)
    order = sorted(range(len(firsts)), key=lambda item: -values[firsts[item]])
    before = len(inside & set(order[:at])) / len(inside)
    share = (before, at / len(firsts)) if score >= 0 else (1 - before, 1 - at / len(firsts))
    return len(inside), score, *share


def test_sets_of_a_tokens_list(small: Path) -> None:
    opened = index.open(small)
    row, table = 40, opened.tokens.to_pydict()
    asked = ("enrich", "#40", "--geometry", "cosine", "--pattern", "^ [a-z]", "--pattern", "an", "--shuffles", 19)
    answer = query(*asked, "--sets", "script,kind,class,@", "--index", small)
    gamma = smollm2_oracle.small_gamma().astype(np.float64)
    lengths = np.linalg.norm(gamma, axis=1)
    points = (gamma / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32).astype(np.float64)
    values = -np.linalg.norm(points - points[row], axis=1)
    ranked = np.ones(len(values), dtype=bool)
    ranked[[40, 90, 7]] = False  # itself, its twin, and the row without direction
    assert (answer["tokens"], answer["vectors"]) == (342, 342)
    assert answer["ranking"] == {"by": "token", "of": opened.vocabulary.token(40).json(), "geometry": "cosine"}
    known = {each["name"]: each for each in answer["sets"]}
    assert len(known) > 8
    for name, each in known.items():
        if name.startswith("/"):
            held = [text is not None and bool(re.search(name[1:-1], text)) for text in table["text"]]
        elif name.startswith("@"):
            held = np.isin(np.arange(len(values)), opened.subset(name).rows).tolist()
        else:
            column, _, value = name.partition("=")
            held = [entry == value for entry in table[column]]
        wanted = expected(opened, values, ranked, np.flatnonzero(held))
        assert each["vectors"] == wanted[0]
        assert (each["score"], each["share"], each["within"]) == pytest.approx(wanted[1:], abs=1e-9)
        assert 1 / 20 <= each["p"] <= each["q"] <= 1
    scores = [each["score"] for each in answer["sets"]]
    assert scores == sorted(scores, reverse=True)
    assert all(each["vectors"] < 5 or each["vectors"] > 337 for each in answer["left_out"])


def made(folder: Path, *, planted: bool) -> Path:
    """Words `w0` to `w299`; those with a 7 in them longer, where that is planted; rows 100 to 119 are twins."""
    rows = np.random.default_rng(4).normal(size=(V, D)).astype(np.float32)
    if planted:
        rows[["7" in str(word) for word in range(V)]] *= 4
    rows[100:120] = rows[100]
    np.save(folder / "gamma.npy", rows)
    save_tokenizer(folder / "tokenizer", word_tokenizer(V))
    options = ("--tokenizer", folder / "tokenizer", "--neighbors", 10, "--density-k", 5)
    build(folder / "gamma.npy", "--out", folder / "bundle", *options)
    return folder / "bundle"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("planted"), planted=True)


def test_a_planted_set_is_found_and_twins_are_one_witness(planted: Path) -> None:
    asked = ("--column", "euclidean_norm", "--pattern", "7", "--pattern", "^w1", "--sets")
    answer = query("enrich", *asked, "@twins,@words", "--index", planted)
    sevens = next(each for each in answer["sets"] if each["name"] == "/7/")
    assert answer["vectors"] == V - 19
    assert sevens["score"] > 0.8
    assert sevens["p"] == 1 / 1000
    assert sevens["q"] <= len(answer["sets"]) / 1000
    ones = next(each for each in answer["sets"] if each["name"] == "/^w1/")
    assert (ones["tokens"], ones["vectors"]) == (111, 92)  # w100 to w119 are one vector


def test_columns_concepts_and_axes(planted: Path, tmp_path: Path) -> None:
    opened = index.open(planted)
    gamma = np.asarray(opened.gamma).astype(np.float64)
    everyone = np.ones(V, dtype=bool)
    held = np.array(["7" in str(word) for word in range(V)])
    pattern = ("--pattern", "7", "--sets", "@twins", "--shuffles", 19, "--index", planted)
    values, vectors = np.linalg.eigh(np.cov(gamma.T, bias=True))
    for rank in (1, 3, D):
        vector = vectors[:, np.argsort(-values)[rank - 1]]
        vector = vector if vector[np.abs(vector).argmax()] > 0 else -vector
        (found,) = (each for each in query("enrich", "--axis", rank, *pattern)["sets"] if each["name"] == "/7/")
        assert found["score"] == pytest.approx(expected(opened, gamma @ vector, everyone, np.flatnonzero(held))[1])
    (tmp_path / "pairs.txt").write_text("".join(f"w{at}\tw{at + 50}\n" for at in range(6)))
    M = np.linalg.inv(np.cov(gamma.T, bias=True) + 1e-6 * np.eye(D))
    along = gamma @ M @ np.mean([gamma[at + 50] - gamma[at] for at in range(6)], axis=0)
    ranked = ~np.isin(np.arange(V), [*range(6), *range(50, 56)])
    wanted = expected(opened, along, ranked, np.flatnonzero(held))
    saved = ("concept", tmp_path / "pairs.txt", "--form", "bare", "--random", 19, "--save", tmp_path / "c.safetensors")
    assert invoke("query.py", *saved, "--index", planted).code == 0
    answer = query("enrich", "--concept", tmp_path / "c.safetensors", *pattern)
    assert answer["ranking"] == {"by": "concept", "of": "pairs"}
    (found,) = (each for each in answer["sets"] if each["name"] == "/7/")
    assert (found["vectors"], found["score"]) == pytest.approx(wanted[:2])
    bare = invoke("query.py", "enrich", "--concept", tmp_path / "pairs.txt", *pattern)
    assert bare.code == 2
    assert "gives no direction: none of its pairs is two tokens behind a space" in bare.err


def test_what_is_enriched_at_the_ends_of_axes(small: Path) -> None:
    asked = ("--without", "@twins", "--index", small)
    plain = query("axes", "--rank", "1,last", *asked)
    assert all("sets" not in each for each in plain["axes"])
    for each in query("axes", "--rank", "1,last", "--enriched", *asked)["axes"]:
        alone = query("enrich", "--axis", each["rank"], "--shuffles", 199, *asked)
        assert each["sets"] == alone["sets"]
    said = invoke("query.py", "axes", "--rank", "1", "--enriched", *asked).said
    assert re.search("No set stands at either end|Sets that stand at the (positive|negative) end: ", said)


def test_part_of_the_vocabulary(planted: Path) -> None:
    opened = index.open(planted)
    answer = opened.enrich(column="hubness", patterns="7", sets="@twins", among=range(200), shuffles=19)
    assert (answer.tokens, answer.vectors) == (200, 181)
    assert answer.json()["among"]["size"] == 200
    values = np.array(opened.tokens["hubness"].to_pylist())
    held = np.array(["7" in str(word) for word in range(V)])
    wanted = expected(opened, values, np.arange(V) < 200, np.flatnonzero(held))
    assert answer.sets[0].score == pytest.approx(wanted[1])
    without = opened.enrich(column="hubness", patterns="7", sets="@twins", without="@twins", shuffles=19)
    assert (without.tokens, without.vectors) == (280, 280)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((), "one order is asked about: TOKEN, --column, --concept or --axis, and none is given"),
        (("w1", "--axis", "1"), "and 2 are given"),
        (("--axis", "9"), "--axis must be from 1 to 8, the width, got: 9"),
        (("--column", "text"), "--column must be one of token_id, "),
        (("--column", "hubness", "--geometry", "cosine"), "--geometry is of distances from TOKEN, and none is given"),
        (("--column", "hubness", "--pattern", "("), "--pattern '(' is no regular expression: missing ), "),
        (("--column", "hubness", "--sets", "@nothing"), "--sets @nothing: there is no set @nothing"),
        (("--column", "hubness", "--sets", "kind,"), "--sets has nothing before or behind a comma"),
        (("--column", "hubness", "--shuffles", "3"), "--shuffles must be from 19 to 100,000, got: 3"),
        (("--concept", "gone.txt"), "--concept gone.txt cannot be read"),
        (("--concept", "gone.safetensors"), "--concept gone.safetensors holds no direction that `concept` saved"),
    ],
)
def test_what_cannot_be_asked(asked: tuple[str, ...], said: str, planted: Path) -> None:
    outcome = invoke("query.py", "enrich", *asked, "--index", planted)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert said in outcome.err


def test_a_direction_of_other_rows_is_refused(planted: Path, small: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("planet\tstar\nmoon\tthe\n")
    path = tmp_path / "c.safetensors"
    assert invoke("query.py", "concept", tmp_path / "pairs.txt", "--save", path, "--index", small).code == 0
    refused = invoke("query.py", "enrich", "--concept", path, "--index", planted)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "holds no direction of width 8" in refused.err


def test_no_set_that_is_large_enough_is_an_answer_that_is_no(planted: Path) -> None:
    outcome = invoke("query.py", "enrich", "--column", "hubness", "--sets", "@orphans", "--index", planted)
    assert outcome.code == 1
    assert "no set has, and lacks, 5 of the 281 vectors ranked; there are @orphans (0)" in outcome.err


def test_forms(planted: Path, tmp_path: Path) -> None:
    asked = ("enrich", "--column", "euclidean_norm", "--pattern", "7", "--shuffles", 99, "--index", planted)
    said = invoke("query.py", *asked).said
    assert "At a false discovery rate of 5 % /7/ high" in said
    assert "left out, with fewer than 5 vectors" in said
    assert invoke("query.py", *asked, "--csv").out.startswith("set,tokens,vectors,score,p,q,share,within\n/7/,")
    assert invoke("query.py", *asked, "--parquet", tmp_path / "out.parquet").code == 0
    frame = index.open(planted).enrich(column="euclidean_norm", patterns=["7"], shuffles=99).to_pandas()
    assert frame["set"].tolist() == [each["name"] for each in query(*asked)["sets"]]


@pytest.mark.slow("a smollm2 bundle")
def test_axis_of_the_bundled_model(smollm2: Built) -> None:
    """Ten tokens of digits stand at one end of the axis of most variance; a rank test says so, too."""
    from scipy.stats import mannwhitneyu

    (found,) = query(
        "enrich", "--axis", 1, "--pattern", r"\d", "--sets", "@twins", "--shuffles", 99, "--index", smollm2.path
    )["sets"][:1]
    gamma, (mean, _) = smollm2_oracle.gamma().astype(np.float64), smollm2_oracle.metric()
    values, vectors = np.linalg.eigh(np.cov(gamma.T, bias=True))
    along = (gamma - mean) @ vectors[:, values.argmax()]
    texts = index.open(smollm2.path).vocabulary.texts.to_pylist()
    held = np.array([bool(re.search(r"\d", text)) for text in texts])
    assert found["vectors"] == held.sum()
    U = mannwhitneyu(np.abs(along[held]), np.abs(along[~held])).statistic / held.sum() / (~held).sum()
    assert abs(found["score"]) > 0.9
    assert U > 0.9
