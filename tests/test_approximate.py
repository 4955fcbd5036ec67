"""`--approximate`: lists by an index that may miss tokens: right distances, and what is missing is said."""

import csv
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
import synthetic
from conftest import build, invoke, query
from numpy.typing import NDArray

import index
from index.api import OpenVocabulary
from index.bundle.bundle import Space
from index.errors import BundleError, ParameterError
from index.geometry.maps import Geometry
from index.sources.load import as_typed

ROUGH, EXACT, GRAPH = "IVF16,Flat", "Flat", "HNSW4,SQ8"
K = 40


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows in clusters, twins, and three zero rows."""
    folder = tmp_path_factory.mktemp("approximate")
    rows = synthetic.planted(600, 12, seed=5, twin_sizes=(30, 4), singles=20).gamma.astype(np.float32)
    np.save(folder / "gamma.npy", np.concatenate([rows, np.zeros((3, 12), np.float32)]))
    factories = [part for factory in (ROUGH, EXACT, GRAPH) for part in ("--index-factory", factory)]
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", K, *factories)
    return folder / "bundle"


@pytest.fixture(scope="module")
def vocabulary(bundle: Path) -> OpenVocabulary:
    return index.open(bundle)


def exact_list(points: NDArray, target: NDArray, left_out: Iterable[int]) -> NDArray:
    """All distances in float64, those left out infinite."""
    apart = np.linalg.norm(points.astype(np.float64) - target.astype(np.float64), axis=1)
    apart[list(left_out)] = np.inf
    return apart


def truly_near(space: Space, row: int, ids: list[int], top: int) -> int:
    apart = exact_list(np.asarray(space.points), space.points[row], [row, *space.excluded])
    return int((apart[ids] <= np.sort(apart)[top - 1] + space.resolution).sum())


@pytest.mark.parametrize("factory", [ROUGH, GRAPH, EXACT])
def test_what_is_listed_is_right_and_what_is_missing_is_counted(factory: str, vocabulary: OpenVocabulary) -> None:
    """Distances are float64 brute force's, in order; how many of the nearest are held is what brute force counts."""
    recalls: dict[Geometry, list[float]] = {geometry: [] for geometry in Geometry}
    for row in range(0, 600, 7):
        found = vocabulary.neighbors(row, top=30, geometries=tuple(Geometry), approximate=factory)
        assert found.approximate is not None
        for geometry, listed in found.lists.items():
            space = vocabulary.spaces[geometry]
            ids = [each.token.row for each in listed]
            apart = exact_list(np.asarray(space.points), space.points[row], [row])
            distances = [each.distance for each in listed]
            assert distances == sorted(distances)
            np.testing.assert_allclose(distances, apart[ids], rtol=1e-6, atol=1e-9)
            assert len(set(ids) | {row, *space.excluded}) == len(ids) + 1 + len(space.excluded)
            held, of = found.approximate.held[geometry]
            assert (held, of) == (min(30, truly_near(space, row, ids, 30)), 30)
            recalls[geometry].append(held / of)
            if factory == EXACT:
                exact = vocabulary.neighbors(row, top=30, geometries=tuple(Geometry)).lists[geometry]
                assert held == 30
                np.testing.assert_allclose(distances, [each.distance for each in exact], rtol=1e-6)
    for geometry, each in recalls.items():
        stated = next(one for one in vocabulary.spaces[geometry].facts.approximate if one.factory == factory)
        assert stated.recall is not None
        # Of every seventh token, where the build asked all; candidates are ranked anew, which can only add.
        assert np.mean(each) == pytest.approx(stated.recall, abs=0.12)


def test_it_is_the_index_that_answers(vocabulary: OpenVocabulary) -> None:
    """The same candidates as FAISS names when asked directly."""
    space = vocabulary.cosine
    direct = faiss.read_index(str(vocabulary.folder / "cosine.ivf16_flat.faiss"))
    for row in (3, 100, 599):
        _, ids = direct.search(space.points[[row]], 10 + 2)
        wanted = set(ids[0].tolist()) - {row, -1, *space.excluded}
        found = vocabulary.neighbors(row, top=10, geometries=("cosine",), approximate=ROUGH).lists[Geometry.COSINE]
        assert {each.token.row for each in found} <= wanted
        assert len(found) == min(10, len(wanted))


def test_an_analogy_by_an_index(vocabulary: OpenVocabulary) -> None:
    question = "#3 - #100 + #200"
    exact, rough, whole = (vocabulary.analogy(question, top=20, approximate=each) for each in (None, ROUGH, EXACT))
    for geometry in Geometry:
        near = {each.token.row: each.distance for each in vocabulary.analogy(question, top=602).lists[geometry]}
        assert all(near[each.token.row] == each.distance for each in rough.lists[geometry])
        assert [each.distance for each in whole.lists[geometry]] == [each.distance for each in exact.lists[geometry]]
        assert not {3, 100, 200} & {each.token.row for each in rough.lists[geometry]}
    assert exact.approximate is None
    assert rough.approximate is not None
    assert not rough.approximate.held  # no stored list to compare with
    assert vocabulary.analogy("#3 - #3", approximate=ROUGH).undefined == (Geometry.COSINE, Geometry.CAUSAL_COSINE)


def test_every_form_says_the_recall(bundle: Path, vocabulary: OpenVocabulary, tmp_path: Path) -> None:
    ask = ("neighbors", "#5", "--top", 8, "--approximate", ROUGH, "--index", bundle)
    stated = {space.name: space.facts.approximate[0].recall for space in vocabulary.spaces.values()}
    found = query(*ask)[0]
    assert found["approximate"]["factory"] == ROUGH
    for name in ("causal", "cosine"):
        said = found["approximate"][name]
        rows_asked = 603 if name == "causal" else 600  # a zero row has a causal point, and no direction
        assert (said["recall"], said["k"], said["rows"], said["of"]) == (stated[name], 30, rows_asked, 8)
        ids = [each["row"] for each in found[name]]
        assert said["held"] == min(8, truly_near(vocabulary.spaces[Geometry(name)], 5, ids, 8))
    assert (found["overlap"], found["verdict"]) == (None, None)
    rows = list(csv.DictReader(invoke("query.py", *ask, "--csv").out.splitlines()))
    assert {(row["geometry"], float(row["recall"])) for row in rows} == {(n, stated[n]) for n in ("causal", "cosine")}
    assert invoke("query.py", *ask, "--parquet", tmp_path / "out.parquet").code == 0
    assert pq.read_table(tmp_path / "out.parquet")["recall"].to_pylist() == [float(row["recall"]) for row in rows]
    shown = " ".join(invoke("query.py", *ask).out.split())
    assert f"{ROUGH}: tokens may be missing; the distances of those listed are exact" in shown
    held = found["approximate"]["causal"]["held"]
    assert (
        f"{stated['causal']:.1%} of the 30 nearest are found, on average over 603 random tokens; here {held} of 8"
        in shown
    )
    assert "No overlap: these lists may lack tokens" in shown
    assert "8 nearest in the causal metric" not in shown
    around = invoke("query.py", "densest", "--approximate", ROUGH, "--json", "--index", bundle).json
    exact = invoke("query.py", "densest", "--json", "--index", bundle).json
    assert around["densest"] == exact["densest"]
    assert around["density"] == exact["density"]
    assert around["approximate"]["causal"]["recall"] == stated["causal"]
    assert "approximate" not in exact
    terms = invoke("query.py", "analogy", "#5 + #6", "--approximate", ROUGH, "--json", "--index", bundle).json
    assert terms["approximate"]["cosine"] == {"recall": stated["cosine"], "k": 30, "rows": 600}


def test_exact_lists_have_no_recall(bundle: Path) -> None:
    rows = csv.DictReader(invoke("query.py", "neighbors", "#5", "--csv", "--index", bundle).out.splitlines())
    assert {row["recall"] for row in rows} == {""}
    assert index.open(bundle).neighbors("#5").to_pandas()["recall"].isna().all()


def test_an_index_that_is_not_there(bundle: Path, tmp_path: Path) -> None:
    outcome = invoke("query.py", "neighbors", "#5", "--approximate", "IVF17,Flat", "--index", bundle)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "--approximate IVF17,Flat is none of bundle's: its approximate indexes are" in outcome.err
    for factory in (ROUGH, EXACT, GRAPH):
        assert factory in outcome.err
    assert f"build_index.py {bundle.parent / 'gamma.npy'} --index-factory IVF17,Flat" in outcome.err
    with pytest.raises(ParameterError, match="leave out among and without"):
        index.open(bundle).neighbors("#5", approximate=ROUGH, among=[1, 2, 3])
    np.save(tmp_path / "gamma.npy", np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "none", "--neighbors", 5, "--density-k", 3)
    said = invoke("query.py", "analogy", "#5 + #6", "--approximate", "Flat", "--index", tmp_path / "none").err
    assert "it has no approximate index at all" in said


def test_the_line_that_builds_one_can_be_typed(bundle: Path, tmp_path: Path) -> None:
    assert as_typed("bundled:model.gguf") == ""
    assert as_typed("a folder/it's.npy") == shlex.quote("a folder/it's.npy")
    rows = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    (tmp_path / "a folder").mkdir()
    np.save(tmp_path / "a folder" / "gamma.npy", rows)
    build(tmp_path / "a folder" / "gamma.npy", "--out", tmp_path / "none", "--neighbors", 5, "--density-k", 3)
    said = invoke("query.py", "neighbors", "#5", "--approximate", "Flat", "--index", tmp_path / "none").err
    _, _, line = said.strip().partition("build_index.py ")
    build(*shlex.split(line), "--out", tmp_path / "again", "--neighbors", 5, "--density-k", 3)
    assert index.open(tmp_path / "again").neighbors("#5", approximate="Flat").approximate is not None


def test_a_list_that_ends_early_says_so(vocabulary: OpenVocabulary) -> None:
    """One cluster is looked into: with 16 of them most hold fewer tokens than there are."""
    found = vocabulary.neighbors("#5", top=500, approximate=ROUGH)
    assert found.approximate is not None
    assert all(0 < len(listed) < 500 for listed in found.lists.values())
    assert {of for _, of in found.approximate.held.values()} == {K}  # as far as the stored list goes
    zero = vocabulary.neighbors("#601", approximate=ROUGH)
    assert zero.undefined == (Geometry.COSINE,)
    assert zero.lists[Geometry.COSINE] == ()


def test_a_damaged_index_is_refused(bundle: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    file = copy / "causal.ivf16_flat.faiss"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=r"causal\.ivf16_flat\.faiss is not what was written"):
        index.open(copy).neighbors("#5", approximate=ROUGH)


def test_an_approximate_list_is_not_a_stored_one(vocabulary: OpenVocabulary) -> None:
    """JSON of Python and of the command is the same."""
    found: Any = vocabulary.neighbors("#5", top=8, approximate=ROUGH).json()
    assert json.loads(json.dumps(found))["approximate"]["factory"] == ROUGH
