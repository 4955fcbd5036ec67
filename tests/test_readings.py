"""Numbers that cannot be misread: what fills lists is named, and no token with many twins is called sparse."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
from conftest import Built, build, invoke
from numpy.typing import NDArray

import index
from index.api import QUESTIONS, OpenVocabulary

V, D, K, DENSITY_K = 400, 64, 40, 2
TWINS = np.arange(100, 130)  # more than the neighbors averaged
ALONE = 7  # in the middle of the cloud: in every list


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[OpenVocabulary, NDArray]:
    """A shell of random rows around one row in the middle, and near that one row thirty times."""
    rows = np.random.default_rng(5).normal(size=(V, D))
    rows *= 5 / np.linalg.norm(rows, axis=1)[:, None]
    rows[ALONE] = 0.01
    rows[TWINS] = rows[TWINS[0]] * 0.3
    folder = tmp_path_factory.mktemp("readings")
    np.save(folder / "rows.npy", rows.astype(np.float32))
    out = folder / "bundle"
    build(folder / "rows.npy", "--out", out, "--neighbors", K, "--density-k", DENSITY_K)
    return index.open(out), rows.astype(np.float32)


def causal_distances(rows: NDArray) -> NDArray:
    """All causal distances, (V, V) float64."""
    _, cov = oracles.covariance(rows)
    return oracles.all_distances(oracles.causal_points(rows, oracles.metric(cov, 1e-6)))


def hubness(distances: NDArray, k: int, tied: float = 1e-5) -> NDArray:
    """In how many lists of k each token is, by sorting whole rows; the last places shared among what ties for them."""
    counts = np.zeros(len(distances))
    for row, line in enumerate(distances):
        others = [other for other in np.argsort(line, kind="stable") if other != row]
        border = line[others[k - 1]]
        nearer = [other for other in others if line[other] < border - tied]
        level = [other for other in others if abs(line[other] - border) <= tied]
        counts[nearer] += 1
        counts[level] += (k - len(nearer)) / len(level)
    return counts


def test_hubs_are_in_over_a_hundred_times_their_share(planted: tuple[OpenVocabulary, NDArray]) -> None:
    vocabulary, rows = planted
    distances = causal_distances(rows)
    expected = hubness(distances, DENSITY_K)
    np.testing.assert_allclose(vocabulary.hubness, expected, rtol=1e-9)
    assert np.flatnonzero(vocabulary.hubs).tolist() == np.flatnonzero(expected > 100 * DENSITY_K).tolist() == [ALONE]


@pytest.mark.parametrize("row", [0, 50, int(TWINS[3]), ALONE])
@pytest.mark.parametrize("top", [10, 35, 200])
def test_the_overlap_without_untrained_tokens_and_hubs(
    planted: tuple[OpenVocabulary, NDArray], row: int, top: int
) -> None:
    vocabulary, rows = planted
    left_out = vocabulary.untrained | vocabulary.hubs
    lists = []
    for distances in (causal_distances(rows)[row], oracles.all_distances(oracles.unit_rows(rows))[row]):
        order = [other for other in np.argsort(distances, kind="stable") if other != row]
        lists.append((order[:top], [other for other in order if not left_out[other]][:top]))
    shared = set(lists[0][0]) & set(lists[1][0])
    found = vocabulary.neighbors(f"#{row}", top=top).json()["overlap"]
    if left_out[row] or top > 35:  # twins tie for no last place here
        assert found["untrained"] == sum(bool(vocabulary.untrained[each["id"]]) for each in found["tokens"])
    else:
        assert found["untrained"] == sum(bool(vocabulary.untrained[other]) for other in shared)
        assert found["hubs"] == sum(bool(vocabulary.hubs[other]) for other in shared)
    expected = len(set(lists[0][1]) & set(lists[1][1]))
    without = found["without"]
    assert (without["k"], without["count"]) == (top, expected)
    assert without["percent"] == pytest.approx(100 * expected / top)
    others = int(np.count_nonzero(~left_out)) - int(not left_out[row])
    verdict = oracles.verdict(expected, expected, expected, top)
    assert without["verdict"] == (verdict if 2 * top <= others else None)


def test_rows_alone_search_for_no_lists_without_untrained_tokens_and_hubs(
    planted: tuple[OpenVocabulary, NDArray], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Of a real vocabulary of 262,144 tokens such a search took 50 ms, for nothing that CSV holds.
    vocabulary, _ = planted
    whole = vocabulary.neighbors("#0").without
    where = ["neighbors", "#0", "#1", "--index", vocabulary.folder]

    def refuse(*_: object) -> None:
        raise AssertionError("searched for")

    monkeypatch.setattr("index.questions.neighbors.apart", refuse)
    assert vocabulary.neighbors("#0").rows() == vocabulary.neighbors(0).rows()
    assert vocabulary.neighbors("#0") == vocabulary.neighbors(0)
    assert invoke("query.py", *where, "--csv").code == 0
    assert invoke("query.py", *where, "--parquet", tmp_path / "rows.parquet").code == 0
    for form in ([], ["--json"]):
        with pytest.raises(AssertionError, match="searched for"):
            invoke("query.py", *where, *form)
    monkeypatch.undo()
    found = vocabulary.neighbors("#0").complete()
    monkeypatch.setattr("index.questions.neighbors.apart", refuse)
    assert found.without == whole


def test_marks_and_hubness_are_the_same_in_every_form(planted: tuple[OpenVocabulary, NDArray]) -> None:
    vocabulary, _ = planted
    row = int(TWINS[0])
    answer = vocabulary.neighbors(f"#{row}", top=35)
    places = answer.json()["causal"]
    assert [place["marks"] for place in places[:29]] == [["twin", "tied", "untrained"]] * 29
    assert any("hub" in place["marks"] for place in vocabulary.neighbors("#0", top=5).json()["causal"])
    for place, record in zip(places, answer.rows(), strict=False):
        assert record["marks"] == " ".join(place["marks"])
        assert record["hubness"] == place["hubness"] == vocabulary.hubness[place["row"]]
        assert place["tied"] == ("tied" in place["marks"])
    printed = invoke("query.py", "neighbors", f"#{row}", "--top", 35, "--index", vocabulary.folder).out
    assert printed.count("≡=†") == 2 * 29
    assert "≡  a twin" in printed
    assert "†  untrained" in printed


def test_lists_of_twins_alone_have_an_empty_verdict(planted: tuple[OpenVocabulary, NDArray]) -> None:
    found = planted[0].neighbors(f"#{TWINS[0]}", top=29)
    assert found.overlap is not None
    assert found.overlap.percent == 100
    assert found.json()["verdict"] == "empty"
    assert planted[0].neighbors(f"#{TWINS[0]}", top=35).json()["verdict"] != "empty"


def test_it_is_said_how_many_distances_were_averaged(planted: tuple[OpenVocabulary, NDArray]) -> None:
    row, vocabulary = int(TWINS[0]), planted[0]
    found = vocabulary.neighbors(f"#{row}", density_k=35, rule="notebook")
    assert found.json()["token"]["averaged"] == 6
    assert found.averaging() == "35 neighbors: 29 zeros dropped, 6 averaged"
    distances = np.sort(causal_distances(planted[1])[row])
    assert found.mean_distance == pytest.approx(distances[30:36].mean(), rel=1e-5)
    assert vocabulary.neighbors(f"#{row}", density_k=35).averaging() == "35 neighbors"
    assert vocabulary.neighbors(f"#{row}", rule="notebook").json()["token"]["averaged"] == 0


def densities_said(value: Any) -> Iterator[float]:
    """Every density that JSON names of a token, whatever it is in."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in ("density", "distinct_density") and not isinstance(each, dict | list):
                yield float(each)
            else:
                yield from densities_said(each)
    elif isinstance(value, list):
        for each in value:
            yield from densities_said(each)


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_answer_calls_a_token_with_many_twins_sparse(
    name: str, planted: tuple[OpenVocabulary, NDArray], tmp_path: Path
) -> None:
    """Whatever is asked about it, no zero density, no low percentile, no place among the sparsest is its own."""
    vocabulary, _ = planted
    token = f"#{TWINS[0]}"
    asked: dict[str, list[object]] = {
        "neighbors": [token], "within": [token, "--radius", 1], "analogy": [token], "distance": [token, "#3"],
        "rank": [token, "#3"], "extremes": ["density", "--top", 100], "find": [token],
        "plot": [token, "vocabulary", "--out", tmp_path / "a.svg"], "report": [token, "--out", tmp_path / "a.html"],
        "export": ["atlas", "--out", tmp_path / "out"], "densest": ["--rule", "notebook"],
        "search": ["--vectors", tmp_path / "vector.npy"], "enrich": [token],
        "compare": [vocabulary.folder, vocabulary.folder],
    }  # fmt: skip
    np.save(tmp_path / "vector.npy", vocabulary.vector(token))
    index = [] if name == "compare" else ["--index", vocabulary.folder]
    printed = invoke("query.py", name, *asked.get(name, []), *index)
    if printed.code == 2:
        assert name in ("find", "export")  # no tokenizer here, and no library for a map
        return
    said = printed.said + "".join(path.read_text("utf-8") for path in tmp_path.glob("a.*"))
    for phrase in ("denser than 0.0", "of zero density", "of density 0", "density is zero", "density is 0"):
        assert phrase not in said
    outcome = invoke("query.py", name, *asked.get(name, []), *index, *(
        ["--overwrite"] if name in ("plot", "report", "export") else []), "--json")  # fmt: skip
    answer = json.loads(outcome.out)
    if name == "extremes":
        sparse = {place["id"] for place in answer["lowest"]}
        assert not sparse & set(TWINS.tolist())
        under = vocabulary.extremes("density", rule="notebook", top=100)
        assert not {each.token.row for each in under.lowest} & set(TWINS.tolist())
        assert under.undefined == len(TWINS)
    elif name != "densest":
        assert all(value > 0 for value in densities_said(answer))
    else:
        assert "0 (where all nearest are twins)" in printed.said


def test_the_tenths_of_an_overlap_know_it_is_dense(planted: tuple[OpenVocabulary, NDArray]) -> None:
    vocabulary, rows = planted
    groups = np.arange(V)
    groups[TWINS] = TWINS[0]
    expected = oracles.densities(causal_distances(rows), groups, DENSITY_K)["distinct"]
    found = vocabulary.overlap().json()["by_density_decile"]
    np.testing.assert_allclose(found[0]["density"][0], expected.min(), rtol=1e-5)
    np.testing.assert_allclose(found[-1]["density"][1], expected.max(), rtol=1e-5)


def test_planet_without_the_tokens_in_over_9_000_lists(smollm2: Built, smollm2_gamma: NDArray) -> None:
    """The 20 tokens masked by hand, both lists in float64: 14 of 30 where the lists as they are share 27."""
    vocabulary = index.open(smollm2.path)
    heap = vocabulary.hubness > 9000
    assert heap.sum() == 20
    assert (heap <= vocabulary.hubs).all()
    gamma = smollm2_gamma.astype(np.float64)
    row = vocabulary["planet"].row
    centered = gamma - gamma.mean(axis=0)
    covariance = centered.T @ centered / len(gamma) + 1e-6 * np.eye(gamma.shape[1])
    apart = centered - centered[row]
    causal = np.einsum("ij,ij->i", apart, np.linalg.solve(covariance, apart.T).T)
    cosine = -(gamma @ gamma[row]) / np.linalg.norm(gamma, axis=1)

    def shared(left_out: NDArray) -> int:
        lists = []
        for far in (causal, cosine):
            order = np.argsort(far, kind="stable")
            lists.append({int(other) for other in order[(order != row) & ~left_out[order]][:30]})
        return len(lists[0] & lists[1])

    assert shared(np.zeros(len(gamma), bool)) == 27
    assert shared(heap) == 14
    found = vocabulary.neighbors("planet").json()["overlap"]
    assert found["count"] == 27
    assert found["without"]["count"] == shared(vocabulary.hubs | vocabulary.untrained)


@pytest.mark.parametrize("names", [("causal", "cosine"), ("cosine", "causal_cosine")])
def test_beside_the_overlap_of_all_stands_that_of_trained_tokens(
    names: tuple[str, str], planted: tuple[OpenVocabulary, NDArray]
) -> None:
    """Without the thirty twins, as if they were not in the vocabulary; lists longer than those kept are completed."""
    vocabulary, rows = planted
    M = oracles.metric(oracles.covariance(rows)[1], 1e-6)
    points = {"causal": oracles.causal_points(rows, M), "cosine": oracles.unit_rows(rows)}
    points["causal_cosine"] = oracles.unit_rows(points["causal"])
    trained = np.setdiff1d(np.arange(V), np.flatnonzero(vocabulary.untrained))
    assert set(TWINS) <= set(np.flatnonzero(vocabulary.untrained))
    found = vocabulary.overlap(tops=[5, K], geometries=",".join(names)).json()["trained"]
    assert (found["tokens"], found["untrained"], found["not_compared"]) == (len(trained), V - len(trained), [])
    apart = [oracles.all_distances(points[name][trained]) for name in names]
    for top in (5, K):
        shares = [
            len(set.intersection(*(set(oracles.nearest(distances[row], row, top)) for distances in apart))) / top
            for row in range(len(trained))
        ]
        at = found["tops"][str(top)]
        assert at["mean"] == pytest.approx(np.mean(shares), rel=1e-12)
        assert at["lowest"] == at["highest"] == at["mean"]  # no ties without the twins
        assert at["quartiles"] == pytest.approx(np.percentile(shares, [25, 50, 75]))


@pytest.mark.parametrize("name", ["causal", "cosine", "causal_cosine"])
def test_how_the_places_of_lists_are_shared_out(name: str, planted: tuple[OpenVocabulary, NDArray]) -> None:
    vocabulary, rows = planted
    points = oracles.causal_points(rows, oracles.metric(oracles.covariance(rows)[1], 1e-6))
    points = {"causal": points, "cosine": oracles.unit_rows(rows), "causal_cosine": oracles.unit_rows(points)}[name]
    counts = hubness(oracles.all_distances(points), 5, oracles.rounding_tolerance(points))
    found = vocabulary.hub_shares(top=5).json()[name]
    assert found["in_no_list"] == sum(count == 0 for count in counts)
    ordered = sorted(counts, reverse=True)
    for percent, held in (("0.1", 1), ("0.5", 2), ("1", 4)):  # of 400 tokens
        assert found["share"][percent] == pytest.approx(sum(ordered[:held]) / (5 * V))
    third = np.mean([(count - 5) ** 3 for count in counts])
    assert found["skewness"] == pytest.approx(third / np.mean([(count - 5) ** 2 for count in counts]) ** 1.5)


def test_21_tokens_fill_the_lists_of_smollm2(smollm2: Built) -> None:
    """Plain counting of the stored lists of 30."""
    for name, share, least in (("causal", 0.546, 0.643), ("cosine", 0.097, 0.343), ("causal_cosine", 0.041, 0.147)):
        ids = np.load(smollm2.path / f"{name}.ids.npy")[:, :30]
        counts = np.sort(np.bincount(ids.ravel()))[::-1]
        assert counts[:21].sum() / ids.size == pytest.approx(share, abs=5e-4)
        found = index.open(smollm2.path).hub_shares().json()[name]
        assert found["share"]["0.5"] == pytest.approx(least, abs=5e-4)
