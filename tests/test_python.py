"""What a Python user means is understood; what is none of it is a ParameterError."""

import pickle
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, build, invoke
from numpy.typing import NDArray
from tokenizers import Tokenizer, models

import index
from index.api import OpenVocabulary
from index.build.build import VERSION
from index.geometry.maps import Geometry

V, D = 60, 6
WORDS = ["the", " the", *(f"w{number}" for number in range(V - 2))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("python")
    vocabulary = {word: token_id for token_id, word in enumerate(WORDS)}
    Tokenizer(models.WordLevel(vocabulary, unk_token="w0")).save(str(folder / "tokenizer.json"))
    np.save(folder / "gamma.npy", np.random.default_rng(1).normal(size=(V, D)))
    options = ["--tokenizer", folder / "tokenizer.json", "--neighbors", 20, "--density-k", 10]
    build(folder / "gamma.npy", *options, "--out", folder / "bundle")
    return folder / "bundle"


@pytest.fixture(scope="module")
def opened(folder: Path) -> OpenVocabulary:
    return index.open(folder)


@pytest.mark.parametrize("token", [7, np.int32(7), np.int64(7), np.uint8(7), "#7", "w5", np.str_("w5")])
def test_a_token_is_named_by_its_id_and_by_texts(token: object, opened: OpenVocabulary) -> None:
    assert opened.neighbors(token).token.id == 7  # type: ignore[arg-type]
    assert opened.rank(token, opened["the"]).a.id == 7  # type: ignore[arg-type]
    assert opened[token] == opened[opened["w5"]]  # type: ignore[index]
    assert token in opened


@pytest.mark.parametrize("token", [7.0, None, b"w5", True, [7], ("w5",)])
def test_what_is_no_token(token: object, opened: OpenVocabulary) -> None:
    assert token not in opened
    with pytest.raises((index.ParameterError, index.TokenError)):
        opened[token]  # type: ignore[index]


@pytest.mark.parametrize("token", [-1, V, 10**30])
def test_ids_that_are_not_there(token: int, opened: OpenVocabulary) -> None:
    assert token not in opened
    with pytest.raises(index.TokenError, match=f"no token has the id #{str(token)[:20]}"):
        opened.neighbors(token)


@pytest.mark.parametrize(
    "among", [[1, 2, 9], (9, 2, 1), {1, 2, 9}, np.array([1, 2, 9]), np.array([1, 2, 9], np.uint16), ["the", 2, 9][1:]]
)
def test_among_ids(among: object, opened: OpenVocabulary) -> None:
    found = opened.neighbors("w5", among=among)  # type: ignore[arg-type]
    assert {place.token.id for place in found.lists[Geometry.CAUSAL]} <= {1, 2, 9}
    tokens = [opened[token_id] for token_id in (1, 2, 9)]
    assert opened.neighbors("w5", among=tokens).among.rows.tolist() == [1, 2, 9]  # type: ignore[arg-type,union-attr]


@pytest.mark.parametrize(
    "ask",
    [
        lambda v: v.neighbors("the", top=2.5),
        lambda v: v.neighbors("the", top=[3]),
        lambda v: v.neighbors("the", top=True),
        lambda v: v.neighbors("the", among=[1, 2.5]),
        lambda v: v.neighbors("the", among=[]),
        lambda v: v.neighbors("the", among=[V]),
        lambda v: v.neighbors("the", among=3),
        lambda v: v.neighbors("the", geometries="euclid"),
        lambda v: v.neighbors("the", geometries=[]),
        lambda v: v.neighbors("the", geometries=3),
        lambda v: v.neighbors("the", geometries="causal,causal"),
        lambda v: v.overlap(geometries="cosine"),
        lambda v: v.overlap(tops=2.5),
        lambda v: v.within("the", radius="3"),
        lambda v: v.find(3),
        lambda v: v.analogy(3),
        lambda v: v.kneighbors_graph(2.5),
        lambda v: v.kneighbors_graph(geometry="euclid"),
        lambda v: v.causal.map([1, 2, 3]),
        lambda v: v.export("umap", out=3),
    ],
)
def test_what_cannot_be_understood(ask: Callable[[OpenVocabulary], object], opened: OpenVocabulary) -> None:
    with pytest.raises(index.ParameterError):
        ask(opened)


@pytest.mark.parametrize("wanted", ["causal-cosine", "causal_cosine", Geometry.CAUSAL_COSINE, ["causal-cosine"]])
def test_one_geometry(wanted: object, opened: OpenVocabulary) -> None:
    both = opened.neighbors("the", geometries="causal_cosine,cosine")
    found = opened.neighbors("the", geometries=wanted)  # type: ignore[arg-type]
    assert list(found.lists) == [Geometry.CAUSAL_COSINE]
    assert found.lists[Geometry.CAUSAL_COSINE] == both.lists[Geometry.CAUSAL_COSINE]
    assert (found.overlap, found.shared, found.density) == (None, (), both.density)
    assert (opened.kneighbors_graph(3, geometry="causal-cosine") != opened.kneighbors_graph(3)).nnz


def test_one_geometry_and_three_on_the_command_line(folder: Path) -> None:
    one, two, three = (
        invoke("query.py", "neighbors", "the", "--geometry", names, "--json", "--index", folder).json[0]
        for names in ("cosine", "cosine,causal", "cosine,causal,causal-cosine")
    )
    assert (one["overlap"], one["verdict"]) == (None, None)
    assert one["cosine"] == two["cosine"] == three["cosine"]
    assert "causal" not in one
    assert three["causal_cosine"]
    assert (three["overlap"], three["verdict"]) == (two["overlap"], two["verdict"])
    assert three["causal"] == two["causal"]
    for names, heads in (("cosine", 1), ("causal,cosine,causal-cosine", 3)):
        done = invoke("query.py", "densest", "--geometry", names, "--index", folder)
        assert (done.code, len(re.findall(r"^\d+ nearest", done.out, re.MULTILINE))) == (0, heads)


def test_vectors_and_their_maps(opened: OpenVocabulary, tmp_path: Path) -> None:
    gamma = np.asarray(opened.gamma)
    np.testing.assert_array_equal(opened.vector("w5"), gamma[7])
    assert opened.vector("w5").dtype == np.float64
    for space in opened.spaces.values():
        mapped = space.map(gamma)
        assert mapped.dtype == np.float64
        np.testing.assert_array_equal(mapped.astype(np.float32), space.points.whole)
        np.testing.assert_allclose(space.map(gamma[7]), mapped[7], rtol=1e-12, atol=1e-13)
        assert space.map(gamma[:0]).shape == (0, D)
    np.save(tmp_path / "half.npy", gamma.astype(np.float16))
    build(tmp_path / "half.npy", "--out", tmp_path / "half", "--neighbors", 20)
    assert index.open(tmp_path / "half").vector(7).dtype == np.float32


def test_stored_arrays_behave_as_arrays(opened: OpenVocabulary) -> None:
    ids, distances = opened.causal.ids, opened.causal.distances
    assert (ids.ndim, ids.size, repr(ids)) == (2, V * 20, f"StoredArray(shape=({V}, 20), dtype=int32)")
    plain: NDArray = np.asarray(distances)
    np.testing.assert_array_equal(distances < 2, plain < 2)
    np.testing.assert_array_equal(ids == ids, np.ones((V, 20), bool))
    np.testing.assert_array_equal(2 * distances + distances, 3 * plain)
    np.testing.assert_array_equal(np.sqrt(distances), np.sqrt(plain))
    np.testing.assert_array_equal(np.sort(distances, axis=0), np.sort(plain, axis=0))
    assert [row.tolist() for row in ids] == np.asarray(ids).tolist()


def test_a_vocabulary_is_pickled_as_its_folder(opened: OpenVocabulary, folder: Path) -> None:
    opened.neighbors("the")
    again = pickle.loads(pickle.dumps(opened))
    assert type(again) is OpenVocabulary
    assert again.neighbors("the").to_pandas().equals(opened.neighbors("the").to_pandas())
    words = pickle.loads(pickle.dumps(opened.vocabulary))
    assert words.resolve("w5") == 7
    assert len(pickle.dumps(opened)) < 1_000


def test_all_tokens_in_order(opened: OpenVocabulary) -> None:
    assert [token.text for token in opened] == WORDS


def test_the_version_is_one() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert index.__version__ == VERSION == wanted
