"""The library from Python: docstrings run as they stand, answers become DataFrames, threads share one bundle."""

import doctest
import inspect
import json
import pickle
import pydoc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import Built
from typer.testing import CliRunner

import index
import query
from index import api
from index.api import OpenVocabulary
from index.questions.asking.question import Question
from index.tokens import vocabulary

QUESTIONS = [name for name, each in vars(OpenVocabulary).items() if isinstance(each, Question)]
MODULES = [index, api, vocabulary, *(sys.modules[getattr(OpenVocabulary, name).__module__] for name in QUESTIONS)]
"""Where examples stand."""


@pytest.fixture(scope="module")
def opened(smollm2: Built) -> OpenVocabulary:
    return index.open(smollm2.path)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_in_docstrings(
    module: object, smollm2: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data/indexes").mkdir(parents=True)
    (tmp_path / "data/indexes/smollm2-135m").symlink_to(smollm2.path)
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(module, extraglobs={"index": index}).failed == 0  # type: ignore[arg-type]


def test_there_are_examples_to_run() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {module: [example for each in finder.find(module) for example in each.examples] for module in MODULES}
    assert sum(map(len, found.values())) >= 10
    assert found[sys.modules[OpenVocabulary.neighbors.__module__]]


def test_neighbors_as_a_frame(opened: OpenVocabulary, smollm2: Built) -> None:
    frame = opened.neighbors("planet", top=12).to_pandas()
    answer = CliRunner().invoke(
        query.app, ["neighbors", "planet", "--top", "12", "--json", "--index", str(smollm2.path)]
    )
    expected = json.loads(answer.stdout)[0]
    for geometry in ("causal", "cosine"):
        rows = frame[frame["geometry"] == geometry]
        assert rows["id"].tolist() == [place["id"] for place in expected[geometry]]
        np.testing.assert_array_equal(rows["distance"], [place["distance"] for place in expected[geometry]])


@pytest.mark.parametrize(
    "ask",
    [
        lambda v: v.densest(top=3),
        lambda v: v.neighbors("planet", top=3),
        lambda v: v.within("planet", radius=23),
        lambda v: v.analogy("planets - planet + star", top=3),
        lambda v: v.distance("planet", "star"),
        lambda v: v.rank("planet", "star"),
        lambda v: v.overlap(tops=[10]),
        lambda v: v.duplicates(),
        lambda v: v.extremes("hubness", top=3),
        lambda v: v.spectrum(pairs=100),
        lambda v: v.find("planet"),
    ],
    ids=[
        *("densest", "neighbors", "within", "analogy", "distance", "rank"),
        *("overlap", "duplicates", "extremes", "spectrum", "find"),
    ],
)
def test_every_answer_is_a_table(ask: object, opened: OpenVocabulary) -> None:
    found = ask(opened)  # type: ignore[operator]
    frame = found.to_pandas()
    assert len(frame) > 0
    shown = found._repr_html_()
    assert shown.count("<tr>") == min(len(frame), 60) + 1
    assert all(f"<th>{name}</th>" in shown for name in frame.columns)


def test_html_holds_texts_as_text(opened: OpenVocabulary) -> None:
    """A token's text is data: markup in it is shown, not obeyed."""
    shown = opened.neighbors("</", top=20)._repr_html_()
    assert "<td>&lt;/</td>" in shown
    assert "<td></</td>" not in shown


def test_graph_is_scikit_learns(opened: OpenVocabulary) -> None:
    graph = opened.kneighbors_graph(15)
    assert graph.shape == (49_152, 49_152)
    assert graph.nnz == 15 * 49_152  # zero distances of twins are kept
    row = graph[[46835]]
    np.testing.assert_array_equal(row.indices, opened.causal.ids[46835, :15])
    np.testing.assert_array_equal(row.data, opened.causal.distances[46835, :15])


def test_threads_share_one_bundle(smollm2: Built) -> None:
    shared = index.open(smollm2.path)
    tokens = [f"#{token_id}" for token_id in range(0, 4_000, 40)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(shared.neighbors, tokens))
    alone = index.open(smollm2.path)
    assert together == [alone.neighbors(token) for token in tokens]


def test_opening_reads_no_array(smollm2: Built) -> None:
    opened = index.open(smollm2.path)
    assert not {"vocabulary", "gamma", "metric"} & set(vars(opened))
    assert all(not {"ids", "distances", "index"} & set(vars(space)) for space in opened.spaces.values())


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_method_has_its_questions_own_signature(name: str, opened: OpenVocabulary) -> None:
    method = getattr(opened, name)
    declared = [each.name for each in vars(OpenVocabulary)[name].parameters]
    assert [each for each in inspect.signature(method).parameters if each != "progress"] == declared
    assert method.__name__ == name
    assert pydoc.plain(pydoc.render_doc(method)).splitlines()[2].startswith(f"{name}(")


def test_a_method_goes_to_another_process(opened: OpenVocabulary) -> None:
    """Also `spectrum`, whose question has another name, which is that of an array here."""
    for method in (opened.neighbors, opened.spectrum):
        there = pickle.loads(pickle.dumps(method))
        assert (there.__name__, there.__self__.folder) == (method.__name__, opened.folder)
    assert pickle.loads(pickle.dumps(opened.find))("planet").exact.tokens[0].id == 46835
