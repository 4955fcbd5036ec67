"""`untrained`: what training never moved, its indicators, and the gap, where there is one."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Built, build, invoke, query
from models import byte_level_tokenizer, save_tokenizer
from numpy.typing import NDArray
from synthetic import gaussian, write_model

import index
from index.measures.untrained import find_gap, unused_mean

V, D, TEXTS = 400, 16, 340
HEAP = (5, 9, 20, 21, 22, 40, 41, 60)
"""Rows of the planted heap: five twins, two twins, and one alone."""
_COMMON = """
the of and to in is you that it he was for on are as with his they I at be this have from or one had by word
but not what all were we when your can said there use an each which she do how their if will up other about
out many then them these so some her would make like him into time has look two more write go see number no
way could people my than first water been call who oil its now find long down day did get come made may part
over new sound take only little work know place year live me back give most very after thing our just name
good sentence man think say great where help through much before line right too mean old any same tell boy
follow came want show also around form three small set put end does another well large must big even such
because turn here why ask went men read need land different home us move try kind hand picture again change
off play spell air away animal house point page letter mother answer found study still learn should America
world plant
"""
COMMON_WORDS = _COMMON.split()
"""200 of the most frequent words of English prose."""


def planted(*, gap: bool) -> NDArray:
    """Rows around a mean, and a heap; where there is to be no gap, tokens lie all the way from it to the others."""
    rows = gaussian(V, D, seed=3, largest=1.0, smallest=0.1)
    heap = np.full(D, 2.0)
    rows[list(HEAP)] = heap
    rows[40:42] += 1 / 64
    rows[60] += 1 / 32
    if not gap:
        rows[100:140] = heap + (rows[200:240] - heap) * np.linspace(0, 1, 42)[1:-1, None]
    return rows.astype(ml_dtypes.bfloat16)


def bundle_of(gamma: NDArray, folder: Path) -> Path:
    save_tokenizer(folder / "tokenizer", byte_level_tokenizer())
    write_model(folder / "model.safetensors", gamma)
    build(
        *(folder / "model.safetensors", "--tokenizer", folder / "tokenizer", "--out", folder / "bundle"),
        *("--neighbors", 20, "--density-k", 5),
    )
    return folder / "bundle"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A heap apart from the others; the last 60 rows have no text, and stand among the others."""
    return bundle_of(planted(gap=True), tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def found(small: Path) -> Any:
    return query("untrained", "--index", small)


# --- the indicators -----------------------------------------------------------------------------------------------


def oracle(gamma: NDArray, unused: list[int]) -> dict[str, NDArray[np.float64]]:
    """The indicators as their definitions read, one token after the other."""
    rows = gamma.astype(np.float64)
    radius = np.median([np.sqrt(((row - rows.mean(axis=0)) ** 2).sum()) for row in rows]) / 10
    around = [[u for u in unused if np.sqrt(((rows[u] - rows[one]) ** 2).sum()) <= radius] for one in unused]
    center = rows[max(around, key=len)].mean(axis=0)
    _, _, directions = np.linalg.svd(rows - rows.mean(axis=0))
    project = np.eye(rows.shape[1]) - np.outer(directions[0], directions[0])
    apart = np.array([np.sqrt(((row - center) ** 2).sum()) for row in rows])

    def cosines(change: Any) -> NDArray[np.float64]:
        b = change(center)
        return np.array([1 - (a := change(row)) @ b / np.sqrt((a @ a) * (b @ b)) for row in rows])

    return {
        "moved": apart / np.median(apart),
        "unused_cosine": cosines(lambda row: row),
        "unused_cosine_centered": cosines(lambda row: row - rows.mean(axis=0)),
        "unused_cosine_residual": cosines(lambda row: project @ row),
    }


def test_the_columns_are_what_their_definitions_say(small: Path) -> None:
    table = pq.read_table(small / "tokens.parquet").to_pydict()
    classes = table["class"]
    unused = [
        row for row in range(V) if classes[row] == "orphan" or "un" in classes[row] or table["twin_count"][row] >= 3
    ]
    expected = oracle(planted(gap=True), unused)
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_mean_is_where_most_stand() -> None:
    gamma = gaussian(200, 8, seed=1)
    gamma[:6] = 3.0
    gamma[6] = 3.001
    gamma[7:20] = 0
    unused = np.arange(200) < 60  # more of them elsewhere, each by itself
    mean = gamma[20:].mean(axis=0)
    expected = gamma[:7].mean(axis=0)
    np.testing.assert_allclose(unused_mean(gamma, unused, mean), expected)
    unused[:20] = False
    np.testing.assert_allclose(unused_mean(gamma, unused, mean), gamma[20:60].mean(axis=0))
    assert unused_mean(gamma, np.zeros(200, bool), mean) is None
    assert unused_mean(np.zeros((5, 3)), np.ones(5, bool), np.zeros(3)) is None


def test_of_very_many_that_cannot_occur_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of 151,936 tokens, under a tokenizer without merges, took 12 GB."""
    gamma = gaussian(200, 8, seed=1)
    monkeypatch.setattr("index.measures.untrained._MOST_BYTES", 70 * 8 * 8)
    np.testing.assert_allclose(
        unused_mean(gamma, np.ones(200, bool), gamma.mean(axis=0)),
        gamma[::3].mean(axis=0),
    )


# --- the gap ------------------------------------------------------------------------------------------------------


def test_a_planted_gap_is_found(found: Any, small: Path) -> None:
    moved = np.sort(pq.read_table(small / "tokens.parquet")["moved"].to_numpy())
    heap = len(HEAP)
    assert found["gap"] == [moved[heap - 1], moved[heap]]
    assert found["threshold"] == (moved[heap - 1] + moved[heap]) / 2
    assert sum(each["tokens"] for each in found["histogram"]) == V


def test_where_tokens_lie_all_the_way_there_is_none(tmp_path: Path) -> None:
    bundle = bundle_of(planted(gap=False), tmp_path)
    assert query("untrained", "--index", bundle)["gap"] is None
    assert query("untrained", "--index", bundle)["threshold"] is None
    assert "no gap: no threshold is proposed" in invoke("query.py", "untrained", "--index", bundle).said


def test_gaps_against_every_stretch_tried_in_turn() -> None:
    """The widest stretch that begins below 0.5, if it is a tenth wide: read off all of them, one by one."""
    draw = np.random.default_rng(0)
    seen = set()
    for count in (1, 2, 5, 20, 100):
        for _ in range(40):
            moved = draw.beta(*draw.uniform(0.3, 5, 2), count) * 1.5
            stretches = [(b - a, a, b) for a, b in zip(sorted(moved), sorted(moved)[1:], strict=False) if a < 0.5]
            widest = max(stretches, default=(0, 0, 0))
            expected = (widest[1], widest[2]) if widest[0] >= 0.1 else None
            gap = find_gap(draw.permutation(moved))
            assert (None if gap is None else (gap.low, gap.high)) == expected
            seen.add(expected is None)
    assert seen == {True, False}
    assert find_gap(np.full(4, np.nan)) is None


# --- who is proposed ----------------------------------------------------------------------------------------------


def test_members_and_their_reasons(found: Any) -> None:
    by_id = {member["id"]: member for member in found["members"]}
    orphans = set(range(TEXTS, V))
    assert orphans | set(HEAP) <= set(by_id)
    assert all(by_id[row]["reasons"][0] == "orphan" and by_id[row]["class"] == "orphan" for row in orphans)
    assert all(by_id[row]["reasons"] == ["twins", "beside"] for row in HEAP[:5])
    assert all(by_id[row]["reasons"] == ["beside"] for row in HEAP[5:])
    rest = {row: member for row, member in by_id.items() if row not in orphans | set(HEAP)}
    assert all(member["reasons"] == ["unused"] and member["indicator"] < 0.5 for member in rest.values())
    assert found["tokens"] == len(by_id)
    assert found["groups"] == [
        {"size": 5, "ids": list(HEAP[:5]), "texts": [by_id[row]["text"] for row in HEAP[:5]]},
        {"size": 2, "ids": list(HEAP[5:7]), "texts": [by_id[row]["text"] for row in HEAP[5:7]]},
    ]


def test_the_column_the_array_and_the_answer_agree(found: Any, small: Path) -> None:
    opened = index.open(small)
    rows = [member["row"] for member in found["members"]]
    assert np.flatnonzero(opened.untrained).tolist() == sorted(rows)
    assert pq.read_table(small / "tokens.parquet")["untrained"].to_pylist() == opened.untrained.tolist()
    assert [member.token.id for member in opened.census().members] == rows
    counted = pq.read_table(small / "tokens.parquet")["class"].to_pylist()
    assert found["classes"] == {name: counted.count(name) for name in found["classes"]}


def test_nothing_to_measure_from(tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", np.random.default_rng(1).normal(size=(60, 4)))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "plain", "--neighbors", 20)
    answer = query("untrained", "--index", tmp_path / "plain")
    assert (answer["tokens"], answer["threshold"], answer["gap"], answer["members"]) == (0, None, None, [])
    assert answer["classes"]["untested"] == 60
    assert "nothing to measure from" in invoke("query.py", "untrained", "--index", tmp_path / "plain").said
    lines = invoke("query.py", "untrained", "--csv", "--index", tmp_path / "plain").out.splitlines()
    assert lines == ["row,id,text,class,reasons,moved,cosine,centered,residual,norm,instead,piece"]


def test_forms(found: Any, small: Path, tmp_path: Path) -> None:
    lines = list(csv.DictReader(StringIO(invoke("query.py", "untrained", "--csv", "--index", small).out)))
    assert [int(line["id"]) for line in lines] == [member["id"] for member in found["members"]]
    assert [float(line["moved"]) for line in lines] == [member["indicator"] for member in found["members"]]
    assert [line["reasons"].split() for line in lines] == [member["reasons"] for member in found["members"]]
    invoke("query.py", "untrained", "--parquet", tmp_path / "found.parquet", "--index", small)
    assert pq.read_table(tmp_path / "found.parquet")["id"].to_pylist() == [int(line["id"]) for line in lines]


# --- against known tokens -----------------------------------------------------------------------------------------


def test_precision_and_recall(found: Any, small: Path, tmp_path: Path) -> None:
    proposed = {member["id"] for member in found["members"]}
    others = sorted(set(range(TEXTS)) - proposed)[:7]
    texts = pq.read_table(small / "tokens.parquet")["text"].to_pylist()
    lines = [*map(str, HEAP[:4]), f"#{HEAP[5]}", *map(str, others), "no such token", texts[HEAP[6]]]
    named = {*HEAP[:4], HEAP[5], *others, *(row for row, text in enumerate(texts) if text == texts[HEAP[6]])}
    (tmp_path / "known.txt").write_text("\n".join(lines) + "\r\n\n", encoding="utf-8")
    known = query("untrained", "--known", tmp_path / "known.txt", "--index", small)["known"]
    assert known["tokens"] == len(named)
    assert known["absent"] == ["no such token"]
    assert known["both"] == len(named & proposed)
    assert known["precision"] == len(named & proposed) / len(proposed)
    assert known["recall"] == len(named & proposed) / len(named)
    assert {token["id"] for token in known["missed"]} == named - proposed
    said = invoke("query.py", "untrained", "--known", tmp_path / "known.txt", "--index", small).said
    assert f"{len(named & proposed)} of {len(named)} known are proposed" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file; wanted an id or a text on each line"),
        ("", "names no token of bundle"),
        ("999999\n", "names no token of bundle"),
        ("\xff", "is no text in UTF-8"),
    ],
)
def test_a_file_that_names_none(content: str | None, said: str, small: Path, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "known.txt").write_bytes(content.encode("latin-1"))
    outcome = invoke("query.py", "untrained", "--known", tmp_path / "known.txt", "--index", small)
    assert (outcome.code, said in outcome.said, "--known" in outcome.said) == (2, True, True)


# --- the bundled model --------------------------------------------------------------------------------------------


def test_the_bundled_model(smollm2: Built) -> None:
    """The 15 twins, the 14 within 0.1 logometers of the densest, the 20 in over 9,000 lists; no word that it knows."""
    table = pq.read_table(smollm2.path / "tokens.parquet").to_pydict()
    answer = query("untrained", "--index", smollm2.path)
    members = {member["id"] for member in answer["members"]}
    twins = {row for row, count in enumerate(table["twin_count"]) if count > 1}
    hubs = {row for row, count in enumerate(table["hubness"]) if count > 9_000}
    distances = np.load(smollm2.path / "causal.distances.npy", mmap_mode="r")[7]
    near = set(np.load(smollm2.path / "causal.ids.npy", mmap_mode="r")[7][distances <= 0.1].tolist())
    assert (len(twins), len(hubs), len(near)) == (15, 20, 14)
    assert twins | hubs | near <= members
    assert len(members) < 30
    assert len(set(COMMON_WORDS)) == 200
    texts = {table["text"][row].strip().lower() for row in members}
    assert not texts & {word.lower() for word in COMMON_WORDS}
    known = {table["text"][row].strip() for row in range(len(table["text"]))}
    assert set(COMMON_WORDS) <= known
    assert answer["gap"] is None
