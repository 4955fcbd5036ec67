"""`search`: the nearest of any vectors, and what hidden states read out, against float64 brute force."""

import csv
import json
from io import StringIO
from pathlib import Path

import ml_dtypes
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import Built, build, invoke
from gguf import GGUFWriter
from numpy.typing import NDArray
from safetensors.numpy import save_file
from synthetic import planted, write_model

import index
from index.answers.page import Facts
from index.api import OpenVocabulary
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.geometry.readout import NormKind
from index.measures.narrow import least_rounding_to, to_bfloat16
from index.questions.search.search import Searched
from index.search import batch
from index.search.queries import nearest_points
from index.search.scores import BFLOAT16, FLOAT32, INT8

V, D = 400, 24
GEOMETRIES = ("causal", "cosine", "causal_cosine")


@pytest.fixture(scope="module")
def gamma() -> NDArray:
    rows = planted(V, D, seed=3, twin_sizes=(30, 3, 2), singles=9).gamma
    rows[17] = 0
    return rows


@pytest.fixture(scope="module")
def built(gamma: NDArray, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("search")
    path = folder / "planted"
    return Built(path, build(write_model(folder / "m.safetensors", gamma), "--out", path, "--neighbors", 20))


@pytest.fixture(scope="module")
def vocabulary(built: Built) -> OpenVocabulary:
    return index.open(built.path)


@pytest.fixture(scope="module")
def centered(built: Built, gamma: NDArray) -> OpenVocabulary:
    """The same with its causal cosines at the mean row."""
    path = built.path.with_name("centered")
    build(write_model(path.with_name("c.safetensors"), gamma), "--out", path, "--neighbors", 20, "--centered")
    return index.open(path)


def oracle_maps(gamma: NDArray, vectors: NDArray, *, center: bool = False) -> dict[str, tuple[NDArray, NDArray]]:
    """Rows of gamma and vectors in each geometry, by a Cholesky factor: a row without direction is NaN there."""
    rows, asked = gamma.astype(np.float64), vectors.astype(np.float64)
    origin = rows.mean(axis=0) if center else np.zeros(D)
    M = np.linalg.inv(np.cov(rows.T, bias=True) + 1e-6 * np.eye(D))
    factor = np.linalg.cholesky((M + M.T) / 2)

    def unit(x: NDArray) -> NDArray:
        x = x / np.abs(x).max(axis=1, keepdims=True)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "causal": (rows @ factor, asked @ factor),
            "cosine": (unit(rows), unit(asked)),
            "causal_cosine": (unit((rows - origin) @ factor), unit((asked - origin) @ factor)),
        }


def agree(shown: list[dict], distances: NDArray, slack: float, top: int, allowed: NDArray) -> None:
    """A list has the least distances there are, each as far as it says, within what float32 points can tell."""
    order = allowed[np.argsort(distances[allowed], kind="stable")]
    order = order[~np.isnan(distances[order])][:top]
    assert [each["rank"] for each in shown] == list(range(1, len(order) + 1))
    for each, row in zip(shown, order, strict=True):
        assert each["distance"] == pytest.approx(distances[row], abs=slack)
        assert each["distance"] == pytest.approx(distances[each["row"]], abs=slack)
    assert len({each["row"] for each in shown}) == len(order)


def some_vectors(gamma: NDArray, scale: float = 1.0) -> NDArray:
    rng = np.random.default_rng(5)
    rows = gamma.astype(np.float64)
    i, j = rng.integers(0, V, (2, 40))
    near_zero = np.array([0, 1e-9])[:, None] * np.ones(D)
    return scale * np.concatenate([rows[i], (rows[i] + rows[j]) / 2, rng.normal(size=(30, D)), near_zero])


@pytest.mark.slow("the first use compiles the kernels of a sweep")
@pytest.mark.parametrize("few", [0, 10**6])
@pytest.mark.parametrize("scale", [1.0, 1e6, 1e20])
def test_nearest_as_brute_force_has_them(
    few: int, scale: float, gamma: NDArray, vocabulary: OpenVocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On points, halfway between points, anywhere, far and farther off; one by one, and by a sweep."""
    monkeypatch.setattr(batch, "FEW", few)
    vectors = some_vectors(gamma, scale)
    maps = oracle_maps(gamma, vectors)
    answers = vocabulary.search(vectors, top=8).json()
    assert [each["vector"] for each in answers] == list(range(len(vectors)))
    for geometry, (points, asked) in maps.items():
        reach = np.nanmax(np.linalg.norm(points, axis=1))
        for number, each in enumerate(answers):
            distances = np.linalg.norm(points - asked[number], axis=1)
            slack = 2.0**-22 * max(reach, float(np.linalg.norm(asked[number])))
            agree(each[geometry], distances, slack, 8, np.arange(V))


@pytest.mark.parametrize("few", [0, 10**6])
def test_nearest_among_some_and_from_the_mean_row(
    few: int, gamma: NDArray, centered: OpenVocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "FEW", few)
    vectors = np.concatenate([some_vectors(gamma), gamma.astype(np.float64).mean(axis=0)[None]])
    some = np.setdiff1d(np.arange(5, 180), [17, 100])
    steps: list[tuple[str, float]] = []
    answers = centered.search(
        vectors, top=8, among=np.arange(5, 180), without=[17, 100], progress=lambda *told: steps.append(told)
    ).json()
    for geometry, (points, asked) in oracle_maps(gamma, vectors, center=True).items():
        reach = np.nanmax(np.linalg.norm(points, axis=1))
        for number, each in enumerate(answers[:-1] if geometry == "causal_cosine" else answers):
            distances = np.linalg.norm(points - asked[number], axis=1)
            slack = 2.0**-22 * max(reach, float(np.linalg.norm(asked[number])))
            agree(each[geometry], distances, slack, 8, some)
    assert list(dict.fromkeys(step for step, _ in steps)) == [each.words for each in Geometry]
    for step in dict(steps):
        shares = [share for name, share in steps if name == step]
        assert shares == sorted(shares)
        assert shares[-1] == 1


def test_both_ways_give_the_same(gamma: NDArray, vocabulary: OpenVocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = some_vectors(gamma)
    for options in ({"top": 8}, {"top": V}, {"top": 5, "among": np.arange(100, 180)}, {"top": 3, "without": "@twins"}):
        monkeypatch.setattr(batch, "FEW", 0)
        swept = vocabulary.search(vectors, **options).json()
        monkeypatch.setattr(batch, "FEW", 10**6)
        assert vocabulary.search(vectors, **options).json() == swept


@pytest.mark.parametrize("arithmetic", [INT8, BFLOAT16, FLOAT32])
def test_a_sweep_in_each_arithmetic(arithmetic: object) -> None:
    """Among points with a dense heap, and more asked for than a tile has points."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2500, 70)).astype(np.float32)
    points[:700] = points[5] + 1e-4 * rng.normal(size=(700, 70))
    queries = np.concatenate([points[:60] + 0.1, 8 * rng.normal(size=(60, 70)), points[600:660]]).astype(np.float32)
    rows = np.setdiff1d(np.arange(2500), [7, 1000])
    distances = np.linalg.norm(queries[:, None].astype(np.float64) - points[rows], axis=2)
    order = np.argsort(distances, axis=1, kind="stable")
    for k in (1, 10, 1200):
        ids, found = nearest_points(points, rows, queries, k, arithmetic=arithmetic)  # type: ignore[arg-type]
        np.testing.assert_array_equal(ids, rows[order[:, :k]])
        np.testing.assert_allclose(found, np.take_along_axis(distances, order[:, :k], 1), rtol=1e-12, atol=1e-12)


def test_twins_and_ties_are_named(gamma: NDArray, built: Built, vocabulary: OpenVocabulary) -> None:
    heap = max((vocabulary.twins.members(row) for row in range(V)), key=len)
    (found,) = vocabulary.search(gamma[heap[0]], top=4)
    for listed in found.lists.values():
        assert [each.token.row for each in listed] == heap[:4].tolist()  # equal distances by row
        assert all(each.tied for each in listed)
    rows = gamma.astype(np.float64)
    (middle,) = vocabulary.search((rows[200] + rows[201]) / 2, among=[200, 201, 30], top=2)
    assert {each.token.row for each in middle.lists["causal"]} == {200, 201}
    assert all(each.tied for each in middle.lists["causal"])


def test_a_vector_without_direction(vocabulary: OpenVocabulary) -> None:
    answer = vocabulary.search(np.zeros(D), top=3)
    (found,) = answer.json()
    assert found["undefined"] == ["cosine", "causal_cosine"]
    assert found["cosine"] == found["causal_cosine"] == []
    assert found["causal"][0]["row"] == 17
    shown = " ".join(str(block) for block in answer.page())
    assert "this vector is zero there and has no direction" in shown


def to_bf16_by_hand(value: float) -> float:
    """The nearest of all numbers that bfloat16 has, ties to the even one: by trying them all."""
    known = np.arange(0x7F80, dtype=np.uint16).view(ml_dtypes.bfloat16).astype(np.float64)
    gaps = np.abs(known - abs(value))
    best = np.flatnonzero(gaps == gaps.min())
    nearest = known[best[best % 2 == 0][0] if len(best) > 1 else best[0]]
    if abs(value) >= known[-1] + 2.0**119:  # halfway to what would come next
        nearest = np.inf
    return float(np.copysign(nearest, value))


def test_rounding_to_bfloat16() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate(
        [rng.normal(size=300) * 10.0 ** rng.integers(-42, 38, 300), [0, 1, 1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8]]
    )
    values = np.concatenate([values, [1 + 2.0**-8 + 2.0**-40, 3.4e38, -3.4e38, 1e39, 2.0**-133, 2.0**-134, 2.0**-135]])
    for value in values:
        rounded = float(to_bfloat16(np.array(value)))
        assert rounded == to_bf16_by_hand(value), value
        least = least_rounding_to(value)
        assert least <= value or np.isinf(rounded)
        assert to_bf16_by_hand(np.nextafter(least, -np.inf)) <= rounded


def rms(h: NDArray, weight: NDArray) -> NDArray:
    return h / np.sqrt((h**2).mean(axis=1, keepdims=True)) * weight


@pytest.mark.parametrize("few", [0, 10**6])
def test_what_states_read_out(
    few: int, gamma: NDArray, vocabulary: OpenVocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits as plain products, tied where bfloat16 has one number for several; angles by the definition."""
    monkeypatch.setattr(batch, "FEW", few)
    rng = np.random.default_rng(2)
    states = np.concatenate([rng.normal(size=(20, D)), 1e6 * rng.normal(size=(3, D)), 30 + rng.normal(size=(20, D))])
    states = np.concatenate([states, np.zeros((1, D))])
    rows = gamma.astype(np.float64)
    C = np.cov(rows.T, bias=True) + 1e-6 * np.eye(D)
    M = np.linalg.inv(C)
    lengths = np.sqrt(np.einsum("ij,jk,ik->i", rows, M, rows))
    answers = vocabulary.search(states, role="readout", top=12).json()
    for state, found in zip(states, answers, strict=True):
        logits = rows @ state
        rounded = np.array([to_bf16_by_hand(value) for value in logits])
        assert [each["rank"] for each in found["logits"]] == list(range(1, 13))
        best = np.sort(logits)[::-1][:12]
        for each, value in zip(found["logits"], best, strict=True):
            assert each["logit"] == pytest.approx(value, rel=1e-12, abs=1e-12)
            assert each["logit"] == pytest.approx(logits[each["row"]], rel=1e-12, abs=1e-12)
            assert each["bf16"] == rounded[each["row"]]
            assert each["alike"] == (rounded == each["bf16"]).sum()
            assert each["tied"] == (each["alike"] > 1) == ("tied" in each["marks"])
        if not state.any():
            assert found["undefined"] == ["dual"]
            assert found["dual"] == []
            assert [each["row"] for each in found["logits"]] == list(range(12))
            continue
        with np.errstate(invalid="ignore"):
            cosines = logits / (np.sqrt(state @ C @ state) * lengths)
        assert len(found["dual"]) == 12
        for each, value in zip(found["dual"], np.sort(cosines[~np.isnan(cosines)])[::-1], strict=False):
            assert each["similarity"] == pytest.approx(value, abs=1e-6)
            assert each["similarity"] == pytest.approx(cosines[each["row"]], abs=1e-6)


def test_angles_of_states_from_the_mean_row(gamma: NDArray, centered: OpenVocabulary) -> None:
    states, rows = np.random.default_rng(2).normal(size=(20, D)), gamma.astype(np.float64)
    C = np.cov(rows.T, bias=True) + 1e-6 * np.eye(D)
    apart = rows - rows.mean(axis=0)
    lengths = np.sqrt(np.einsum("ij,jk,ik->i", apart, np.linalg.inv(C), apart))
    for state, found in zip(states, centered.search(states, role="readout", top=12).json(), strict=True):
        cosines = apart @ state / (np.sqrt(state @ C @ state) * lengths)
        similarities = [each["similarity"] for each in found["dual"]]
        np.testing.assert_allclose(similarities, np.sort(cosines)[::-1][:12], atol=1e-6)
        np.testing.assert_allclose(similarities, cosines[[each["row"] for each in found["dual"]]], atol=1e-6)


@pytest.mark.parametrize("kind", list(NormKind))
def test_the_final_norm(kind: NormKind, gamma: NDArray, vocabulary: OpenVocabulary, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    states, weight = rng.normal(size=(5, D)) + 1, rng.normal(size=D)
    save_file({"model.norm.weight": weight, "other": rng.normal(size=D)}, tmp_path / "norm.safetensors")
    found = vocabulary.search(states, role="readout", norm=tmp_path / "norm.safetensors", norm_kind=kind, top=3)
    expected = {
        NormKind.RMS: rms(states, weight),
        NormKind.GEMMA: rms(states, 1 + weight),
        NormKind.LAYER: rms(states - states.mean(axis=1, keepdims=True), weight),
    }[kind]
    logits = expected @ gamma.astype(np.float64).T
    for each, values in zip(found, logits, strict=True):
        np.testing.assert_allclose([place.logit for place in each.logits], np.sort(values)[::-1][:3], rtol=1e-12)
    same = vocabulary.search(states, role="readout", norm=weight, norm_kind=kind.value, top=3)
    assert same.json() == found.json()


def test_a_norm_and_vectors_out_of_gguf(gamma: NDArray, vocabulary: OpenVocabulary, tmp_path: Path) -> None:
    """A GGUF of a whole model has the norm beside quantized matrices, and a control vector is one tensor a layer."""
    rng = np.random.default_rng(6)
    weight, states = rng.normal(size=D).astype(np.float32), rng.normal(size=(3, D)).astype(np.float32)
    path = tmp_path / "model.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_tensor("token_embd.weight", rng.normal(size=(40, 32)).astype(np.float16))
    writer.add_tensor("output_norm.weight", weight)
    writer.add_tensor("direction.1", states)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = vocabulary.search(path, tensor="direction.1", role="readout", norm=path, top=3)
    logits = rms(states.astype(np.float64), weight.astype(np.float64)) @ gamma.astype(np.float64).T
    for each, values in zip(found, logits, strict=True):
        np.testing.assert_allclose([place.logit for place in each.logits], np.sort(values)[::-1][:3], rtol=1e-12)


def test_twins_have_one_logit(gamma: NDArray, vocabulary: OpenVocabulary) -> None:
    heap = max((vocabulary.twins.members(row) for row in range(V)), key=len)
    state = gamma[heap[0]].astype(np.float64)
    state *= 100 / (state @ state)
    found = vocabulary.search(state, role="readout", among=heap)[0]
    assert [each.token.row for each in found.logits] == heap[:10].tolist()
    assert len({each.logit for each in found.logits}) == 1
    assert all(each.tied and each.alike == len(heap) for each in found.logits)


def written(folder: Path, vectors: NDArray) -> list[Path]:
    paths = [folder / name for name in ("v.npy", "v.pt", "v.safetensors", "bits.npy", "big.npy")]
    np.save(paths[0], vectors)
    torch.save({"W_dec": torch.from_numpy(vectors), "b_dec": 3}, paths[1])
    save_file({"W_dec": vectors}, paths[2])
    np.save(paths[3], vectors.astype(ml_dtypes.bfloat16).view(np.uint16))
    np.save(paths[4], vectors.astype(">f8"))
    return paths


def test_every_kind_of_file(gamma: NDArray, built: Built, vocabulary: OpenVocabulary, tmp_path: Path) -> None:
    vectors = gamma[3:6].astype(np.float32)
    expected = vocabulary.search(vectors, top=3).json()
    for path in written(tmp_path, vectors):
        done = invoke("query.py", "search", "--vectors", path, "--top", 3, "--json", "--index", built.path)
        assert [json.loads(line) for line in done.out.splitlines()] == expected
    np.save(tmp_path / "one.npy", vectors[0])
    done = invoke("query.py", "search", "--vectors", tmp_path / "one.npy", "--top", 3, "--json", "--index", built.path)
    assert json.loads(done.out) == expected[0]
    save_file({"a": vectors, "b": vectors[:1]}, tmp_path / "two.safetensors")
    arguments = ("search", "--vectors", tmp_path / "two.safetensors", "--top", 3, "--json", "--index", built.path)
    done = invoke("query.py", *arguments, "--tensor", "a")
    assert [json.loads(line) for line in done.out.splitlines()] == expected
    done = invoke("query.py", *arguments)
    assert done.code == 2
    assert "holds no one array of vectors; it holds 'a' (3, 24), 'b' (1, 24); name one with --tensor" in done.err


def test_every_form(gamma: NDArray, built: Built, vocabulary: OpenVocabulary, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", gamma[3:5].astype(np.float32))
    arguments = ("search", "--vectors", tmp_path / "v.npy", "--top", 2, "--index", built.path)
    answer = vocabulary.search(tmp_path / "v.npy", top=2)
    assert isinstance(answer, Searched)
    lines = list(csv.DictReader(StringIO(invoke("query.py", *arguments, "--csv").out)))
    assert [(int(line["vector"]), line["list"], int(line["row"])) for line in lines] == [
        (row["vector"], row["list"], row["row"]) for row in answer.rows()
    ]
    assert len(lines) == len(answer.to_pandas()) == 2 * 3 * 2
    assert invoke("query.py", *arguments, "--parquet", tmp_path / "v.parquet").code == 0
    assert pq.read_table(tmp_path / "v.parquet").to_pylist() == answer.rows()
    shown = invoke("query.py", *arguments).out
    assert "Vector 0" in shown
    assert "Vector 1" in shown
    assert "2 nearest by causal cosine" in shown
    read = invoke("query.py", *arguments, "--as", "readout")
    assert "2 highest by logit" in read.out
    assert "2 nearest by angle in the dual" in read.out
    assert "the final norm, a bias and a softcap are left out" in read.err
    assert invoke("query.py", *arguments, "--svg", tmp_path / "v.svg").code == 0
    assert invoke("query.py", *arguments, "--save-set", "near").code == 0
    assert set(index.open(built.path).subset("@near").rows) == {row["row"] for row in answer.rows()}


def refused(built: Built, *options: object) -> str:
    done = invoke("query.py", "search", *options, "--index", built.path)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    return done.err


def test_what_is_refused(built: Built, vocabulary: OpenVocabulary, tmp_path: Path) -> None:
    file = tmp_path / "v.npy"
    vectors = np.ones((7, D), np.float32)
    vectors[2, 0], vectors[5, 1], vectors[6, 3] = np.nan, np.inf, 1e31
    np.save(file, vectors)
    said = refused(built, "--vectors", file)
    assert "3 of 7 vectors hold NaN, infinity or an entry beyond 1e+30: 2, 5, 6" in said
    np.save(file, np.ones((2, D + 1)))
    assert f"has shape (2, {D + 1}); wanted (Q, {D}) or ({D},)" in refused(built, "--vectors", file)
    np.save(file, np.ones((2, 2, D)))
    assert "holds no one array of vectors" in refused(built, "--vectors", file)
    np.save(file, np.ones((2, D), np.int64))
    assert "wanted float64, float32, float16 or bfloat16" in refused(built, "--vectors", file)
    np.save(file, np.ones((0, D)))
    assert "holds no one array of vectors" in refused(built, "--vectors", file)
    np.save(file, np.ones(D))
    assert "--vectors: " in refused(built, "--vectors", tmp_path / "none.npy")
    assert "wanted .npy" in refused(built, "--vectors", tmp_path / "v.csv")
    assert "--norm goes with --as readout: rows of gamma have no norm" in refused(
        built, "--vectors", file, "--norm", file
    )
    assert "--norm-kind goes with --norm" in refused(built, "--vectors", file, "--norm-kind", "gemma")
    assert "--top must be from 1 to 400" in refused(built, "--vectors", file, "--top", 0)
    assert "--as must be one of unembedding, readout" in refused(built, "--vectors", file, "--as", "row")
    with pytest.raises(ParameterError, match="vectors must be numbers, or a file of them, got: list"):
        vocabulary.search([["a", "b"]])
    with pytest.raises(ParameterError, match=r"vectors has shape \(3,\); wanted"):
        vocabulary.search([1, 2, 3])


def test_no_token_with_a_direction(vocabulary: OpenVocabulary) -> None:
    (found,) = vocabulary.search(np.ones(D), among=[17]).json()
    assert found["cosine"] == []
    assert [each["row"] for each in found["causal"]] == [17]
    (state,) = vocabulary.search(np.ones(D), role="readout", among=[17]).json()
    assert state["dual"] == []
    assert [each["row"] for each in state["logits"]] == [17]


def test_what_lists_keep_to_is_said(vocabulary: OpenVocabulary) -> None:
    for role in ("unembedding", "readout"):
        for among, expected in ((None, []), ([17, 18, 19], [("among", "ids: 3 tokens")])):
            found = vocabulary.search(np.ones(D), role=role, among=among)[0]
            shown = [row for block in found.page() if isinstance(block, Facts) for row in block.rows]
            assert shown == expected
