"""Named sets: which tokens each holds, every question among or without them, and those kept beside a bundle."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
import smollm2_oracle as oracle
from conftest import build, invoke, query
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import index
from index.api import QUESTIONS
from index.questions.asking.among import Subset, subset
from index.questions.asking.named_sets import BUILT_IN

V, ZERO, TWINS, K = oracle.V, oracle.ZERO, oracle.TWINS, 20


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def own(small: Path, tmp_path: Path) -> Path:
    """A copy to keep sets beside."""
    return Path(shutil.copytree(small, tmp_path / "own"))


@pytest.fixture(scope="module")
def columns(small: Path) -> dict[str, list]:
    return pq.read_table(small / "tokens.parquet").to_pydict()


@pytest.fixture(scope="module")
def apart() -> dict[str, NDArray[np.float64]]:
    """All distances, (V, V), of the causal and the cosine geometry; a zero row's of the latter are NaN."""
    gamma = oracle.small_gamma()
    _, cov = oracles.covariance(gamma)
    with np.errstate(invalid="ignore"):
        directions = oracles.all_distances(oracles.unit_rows(gamma))
    return {
        "causal": oracles.all_distances(oracles.causal_points(gamma, oracles.metric(cov, 1e-6))),
        "cosine": directions,
    }


def lists_of(distances: NDArray[np.float64], rows: NDArray[np.int64], k: int) -> dict[int, list[int]]:
    """The k nearest of some rows to each of them, among these alone."""
    placed = [row for row in rows.tolist() if not np.isnan(distances[row, rows]).all()]
    return {row: sorted((r for r in placed if r != row), key=lambda r: (distances[row, r], r))[:k] for row in placed}


# --- which tokens they hold -------------------------------------------------------------------------------------------


def expected_sets(columns: dict[str, list]) -> dict[str, list[int]]:
    gamma, k = oracle.small_gamma(), 20
    rows = range(V)
    return {
        "untrained": [row for row in rows if columns["untrained"][row]],
        "hubs": [row for row in rows if columns["hubness"][row] > 100 * k],
        "twins": sorted(row for group in oracles.twin_groups(gamma) for row in group),
        "orphans": [row for row in rows if columns["text"][row] is None],
        "reachable": [row for row in rows if columns["reachable"][row] is True],
        "words": [row for row in rows if columns["kind"][row] in ("word", "word-start")],
    }


def test_every_set_holds_what_its_definition_says(small: Path, columns: dict[str, list]) -> None:
    expected = expected_sets(columns)
    assert set(expected) == set(BUILT_IN)
    assert len(expected["orphans"]) == 5
    assert expected["twins"] == list(TWINS)
    assert 50 < len(expected["words"]) < V
    bundle = index.open(small)
    for name, rows in expected.items():
        assert subset(bundle, f"@{name}").rows.tolist() == rows
    listed = query("sets", "--index", small)
    assert [(each["name"], each["size"]) for each in listed] == [(name, len(expected[name])) for name in BUILT_IN]
    assert all(each["definition"] for each in listed)


def test_hubs_are_tokens_in_over_a_hundred_times_their_share_of_lists(tmp_path: Path) -> None:
    """One row at the center of a shell in many coordinates is in nearly every list."""
    rows = np.random.default_rng(3).normal(size=(900, 300)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[5] = 1e-3 * rows[5]
    np.save(tmp_path / "gamma.npy", rows)
    build(tmp_path / "gamma.npy", "--out", tmp_path / "b", "--neighbors", 8, "--density-k", 4, "--ridge", 1)
    assert subset(index.open(tmp_path / "b"), "@hubs").rows.tolist() == [5]


@pytest.mark.parametrize(
    ("among", "without", "expected"),
    [
        ("@words", "@twins", lambda c: set(c["words"]) - set(c["twins"])),
        ("@words,@orphans", None, lambda c: set(c["words"]) | set(c["orphans"])),
        (None, "@words,@orphans", lambda c: set(range(V)) - set(c["words"]) - set(c["orphans"])),
        ("kind=word,word-start", "@words", None),
        ("kind=orphan,@twins", None, lambda c: set(c["orphans"]) | set(c["twins"])),
    ],
)
def test_sets_combine(
    among: str | None, without: str | None, expected: Callable | None, small: Path, columns: dict[str, list]
) -> None:
    options = [*(["--among", among] if among else []), *(["--without", without] if without else [])]
    done = invoke("query.py", "extremes", "norm", *options, "--top", 1, "--json", "--index", small)
    if expected is None:
        assert done.code == 2
        assert done.err == f"error: --without {without} leaves no token of bundle to ask about\n"
        return
    rows = expected(expected_sets(columns))
    found = done.json["among"]
    assert found["size"] == len(rows) == done.json["tokens"]
    assert found["subset"] == f"{among or 'all'}{f' without {without}' if without else ''}"


def test_an_empty_set_is_no_part_to_ask_about(small: Path) -> None:
    done = invoke("query.py", "densest", "--among", "@hubs", "--index", small)
    assert (done.code, done.err) == (2, f"error: --among @hubs holds none of the {V} tokens here\n")
    assert invoke("query.py", "densest", "--without", "@hubs", "--index", small).code == 0


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("@nope", "there is no set @nope of bundle; there are @untrained, @hubs, @twins, @orphans, @reachable, @words"),
        ("@words,", "has nothing before or behind a comma"),
        ("@../bundle/manifest", "there is no set @../bundle/manifest"),
        ("", "has nothing before or behind a comma"),
    ],
)
def test_what_is_no_set_is_told(wanted: str, said: str, small: Path) -> None:
    for option in ("--among", "--without"):
        done = invoke("query.py", "densest", option, wanted, "--index", small)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert done.err.startswith(f"error: {option} ")
        assert said in done.err


# --- files of words and masks -----------------------------------------------------------------------------------------


def test_a_list_of_words_names_what_is_no_token(small: Path, tmp_path: Path, columns: dict[str, list]) -> None:
    known = [text for text in columns["text"] if text and text.isalpha() and columns["text"].count(text) == 1][:3]
    (tmp_path / "words.txt").write_text("\n".join([*known, "no such token", "#9"]), encoding="utf-8")
    for form in ([], ["--json"], ["--csv"]):
        done = invoke("query.py", "neighbors", "#3", "#4", "--among", tmp_path / "words.txt", *form, "--index", small)
        assert done.code == 0
        assert done.err == f"{tmp_path}/words.txt: left out as no single token: 'no such token'\n"
    found = query("neighbors", "#3", "--among", tmp_path / "words.txt", "--index", small)[0]["among"]
    assert (found["size"], found["unresolved"]) == (4, ["no such token"])
    rows = {columns["text"].index(text) for text in known} | {columns["token_id"].index(9)}
    assert set(subset(index.open(small), str(tmp_path / "words.txt")).rows.tolist()) == rows
    assert set(index.open(small).subset([*known, "no such token", "#9"]).rows.tolist()) == rows


def test_many_words_are_read_as_one(small: Path, columns: dict[str, list]) -> None:
    """Beyond a number of scans an index answers, and the same."""
    vocabulary = index.open(small).vocabulary
    texts = [text for text in columns["text"] if text]
    asked = [*texts, *(text.strip() for text in texts), "no such", "", "␣", *(f"#{n}" for n in range(0, 700, 50))]
    found = vocabulary.resolve_all(asked)
    for text in set(asked):
        try:
            row: int | None = index.open(small).vocabulary.resolve(text)
        except index.TokenError:
            row = None
        assert found[text] == row, text


def test_masks(small: Path, tmp_path: Path) -> None:
    mask = np.zeros(V, bool)
    mask[[3, 40, 90]] = True
    np.save(tmp_path / "mask.npy", mask)
    save_file({"mask": mask, "other": np.ones(2)}, tmp_path / "mask.safetensors")
    save_file({"any": mask}, tmp_path / "one.safetensors")
    bundle = index.open(small)
    for name in ("mask.npy", "mask.safetensors", "one.safetensors"):
        assert subset(bundle, str(tmp_path / name)).rows.tolist() == [3, 40, 90]
    assert bundle.subset(mask).rows.tolist() == [3, 40, 90]


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"mask": np.ones(V - 1, bool)}, f"is a mask of shape ({V - 1},); wanted ({V},), the rows of the model"),
        ({"mask": np.ones(V)}, "holds no mask; wanted one tensor of bools, 'mask', got: mask (float64)"),
        ({"a": np.ones(V, bool), "b": np.ones(V, bool)}, "got: a (bool), b (bool)"),
        (None, "cannot be read: "),
    ],
)
def test_bad_masks(tensors: dict[str, NDArray] | None, said: str, small: Path, tmp_path: Path) -> None:
    path = tmp_path / "mask.safetensors"
    if tensors is None:
        path.write_bytes(b"\x01\x02")
    else:
        save_file(tensors, path)
    done = invoke("query.py", "densest", "--without", path, "--index", small)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"error: --without {path}" in done.err
    assert said in done.err


# --- every question ---------------------------------------------------------------------------------------------------


def test_every_question_that_takes_one_takes_the_other() -> None:
    taking = {name for name, each in QUESTIONS.items() if any(p.kind is Subset for p in each.parameters)}
    assert taking >= {"densest", "neighbors", "within", "analogy", "rank", "overlap", "duplicates", "extremes", "find"}
    for name in taking:
        assert {p.name for p in QUESTIONS[name].parameters if p.kind is Subset} == {"among", "without"}


@pytest.fixture(scope="module")
def half() -> NDArray[np.int64]:
    drawn = np.random.default_rng(4).random(V) < 0.5
    drawn[[ZERO, *TWINS, 3]] = True
    return np.flatnonzero(drawn)


def test_overlap(small: Path, half: NDArray[np.int64], apart: dict[str, NDArray[np.float64]]) -> None:
    found = index.open(small).overlap(tops=[5, 10], among=half)
    for k in (5, 10):
        causal, cosine = (lists_of(apart[name], half, k) for name in ("causal", "cosine"))
        shares = [len(set(causal[row]) & set(cosine[row])) / k for row in cosine]
        assert found.tokens == len(half) - 1  # without the zero row
        assert found.tops[k].lowest <= np.mean(shares) <= found.tops[k].highest
        assert found.tops[k].mean == pytest.approx(np.mean(shares), abs=2 / k / len(shares))  # the twins may tie
    assert {each.token.row for each in (*found.most, *found.least)} <= set(half.tolist())
    whole = index.open(small).overlap(tops=[5, 10])
    assert whole.tops[10].mean != found.tops[10].mean


@pytest.mark.parametrize("measure", ["norm", "density", "hubness", "overlap"])
def test_extremes(measure: str, small: Path, half: NDArray[np.int64], apart: dict[str, NDArray[np.float64]]) -> None:
    bundle, left_out = index.open(small), np.setdiff1d(np.arange(V), half)
    one = bundle.extremes(measure, among=half, top=3, overlap_k=10)
    other = bundle.extremes(measure, without=left_out, top=3, overlap_k=10)
    assert one.json() | {"among": 0} == other.json() | {"among": 0}
    assert {each.token.row for each in (*one.highest, *one.lowest)} <= set(half.tolist())
    if measure in ("norm", "density"):
        whole = bundle.extremes(measure, top=V)
        values = {each.token.row: each.value for each in whole.highest}
        expected = {row: values[row] for row in half.tolist()}
    elif measure == "hubness":
        lists = lists_of(apart["causal"], half, 20)
        expected = {row: sum(row in each for each in lists.values()) for row in half.tolist()}
    else:
        causal, cosine = (lists_of(apart[name], half, 10) for name in ("causal", "cosine"))
        expected = {row: len(set(causal[row]) & set(cosine[row])) / 10 for row in cosine}
    assert one.tokens == len(expected)
    slack = {"norm": 1e-6, "density": 1e-6, "hubness": 1, "overlap": 0.1}[measure]
    ranked = sorted(expected.values())
    assert [each.value for each in one.highest] == pytest.approx(ranked[::-1][:3], abs=slack)
    assert [each.value for each in one.lowest] == pytest.approx(ranked[:3], abs=slack)


def test_rank(small: Path, half: NDArray[np.int64], apart: dict[str, NDArray[np.float64]]) -> None:
    a, b = 3, int(np.setdiff1d(np.arange(V), half)[0])  # b is not among them, and has its place
    found = index.open(small).rank(f"#{a}", f"#{b}", among=half)
    for name in ("causal", "cosine"):
        for center, other, places in ((a, b, found.b_in_a), (b, a, found.a_in_b)):
            held = [row for row in half.tolist() if row not in (a, b) and not np.isnan(apart[name][center, row])]
            expected = 1 + sum(apart[name][center, row] < apart[name][center, other] for row in held)
            place = places[index.Geometry(name)]
            assert place is not None
            assert place.lowest <= expected <= place.highest
            assert found.lengths[index.Geometry(name)] == len(held) + 1


def test_within(small: Path, half: NDArray[np.int64], apart: dict[str, NDArray[np.float64]]) -> None:
    radius = float(np.median(apart["causal"][3]))
    found = index.open(small).within("#3", radius=radius, among=half)
    expected = [row for row in half.tolist() if row != 3 and apart["causal"][3, row] <= radius]
    assert found.lowest <= len(expected) <= found.highest
    assert {each.token.row for each in found.neighbors} == set(expected)
    assert index.open(small).within(f"#{TWINS[0]}", radius=0, without=[TWINS[1]]).count == 0


def test_duplicates(small: Path, half: NDArray[np.int64], apart: dict[str, NDArray[np.float64]]) -> None:
    bundle = index.open(small)
    assert [[t.row for t in group] for group in bundle.duplicates(among=half).groups] == [list(TWINS)]
    assert bundle.duplicates(without=[TWINS[0]]).groups == ()
    bound = float(np.quantile(apart["causal"][apart["causal"] > 0], 0.002))
    for rows in (half, np.arange(V)):
        links = {row: {r for r in rows.tolist() if apart["causal"][row, r] <= bound} for row in rows.tolist()}
        groups, seen = [], set()
        for row in rows.tolist():
            reached, new = {row}, {row}
            while new := set().union(*(links[r] for r in new)) - reached:
                reached |= new
            if row not in seen and len(reached) > 1:
                groups.append(sorted(reached))
            seen |= reached
        found = [[t.row for t in group] for group in bundle.duplicates(within=bound, among=rows).groups]
        assert len(groups) > 3
        assert sorted(found) == sorted(groups)


def test_find(small: Path, columns: dict[str, list]) -> None:
    words = expected_sets(columns)["words"]
    found = index.open(small).find("a", top=V, among="@words")
    whole = index.open(small).find("a", top=V)
    for way, matches in found.ways.items():
        assert {t.row for t in matches.tokens} == {t.row for t in whole.ways[way].tokens} & set(words)
    done = invoke("query.py", "find", "a", "--among", "@orphans", "--index", small)
    assert (done.code, done.err) == (1, "no token of @orphans can be meant by 'a'\n")


def test_analogy_and_densest(small: Path, half: NDArray[np.int64]) -> None:
    bundle, left_out = index.open(small), np.setdiff1d(np.arange(V), half)
    for question, arguments in (("analogy", ["#3 - #4 + #5"]), ("densest", []), ("neighbors", ["#3"])):
        one = getattr(bundle, question)(*arguments, among=half).json()
        other = getattr(bundle, question)(*arguments, without=left_out).json()
        assert one | {"among": 0} == other | {"among": 0}
        assert {place["row"] for place in one["causal"]} <= set(half.tolist())


# --- sets that are kept beside a bundle -------------------------------------------------------------------------------


def test_an_answer_is_kept_and_asked_about(own: Path) -> None:
    before = sorted(own.iterdir())
    listed = invoke("query.py", "neighbors", "#3", "#9", "--top", 4, "--save-set", "near", "--json", "--index", own)
    ids = sorted({place["id"] for each in listed.json for name in ("causal", "cosine") for place in each[name]})
    assert listed.err == f"@near holds {len(ids)} tokens of bundle\n"
    kept = json.loads((own.parent / "own.sets/near.json").read_text())
    assert (kept["name"], kept["ids"], kept["bundle"]) == ("near", ids, "bundle")
    assert kept["definition"] == "neighbors '#3' '#9' --top 4"
    assert subset(index.open(own), "@near").rows.tolist() == ids
    entry = query("sets", "--index", own)[-1]
    assert entry == {"name": "near", "size": len(ids), "definition": kept["definition"]}
    assert query("extremes", "norm", "--among", "@near", "--index", own)["tokens"] == len(ids)
    assert sorted(own.iterdir()) == before
    assert invoke("query.py", "verify", "--index", own).code == 0
    assert [path.name for path in (own.parent / "own.sets").iterdir()] == ["near.json"]


@pytest.mark.parametrize(
    "question",
    [
        ["densest"],
        ["within", "#3", "--radius", "4"],
        ["analogy", "#3 + #4"],
        ["distance", "#3", "#4"],
        ["rank", "#3", "#4"],
        ["overlap", "--top", "5"],
        ["duplicates"],
        ["extremes", "norm"],
        ["find", "a"],
        ["untrained"],
    ],
)
def test_every_answer_with_tokens_is_kept(question: list[str], own: Path) -> None:
    done = invoke("query.py", *question, "--save-set", "x", "--json", "--index", own)
    assert done.code == 0, done.err
    assert len(subset(index.open(own), "@x")) > 0
    if question[0] in ("distance", "rank"):
        assert subset(index.open(own), "@x").rows.tolist() == [3, 4]


@pytest.mark.parametrize("question", [["info"], ["verify"], ["sets"], ["plot", "#3", "--out", "x.png"]])
def test_an_answer_without_tokens_is_not(question: list[str], own: Path) -> None:
    done = invoke("query.py", *question, "--save-set", "x", "--index", own)
    assert done.code == 2
    assert done.err == f"error: --save-set keeps tokens, and an answer to {question[0]} lists none\n"
    assert not (own.parent / "own.sets").exists()


def test_many_lines_are_kept_as_one(own: Path, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("#3\nno such token\n#9\n")
    done = invoke("query.py", "neighbors", "--file", tmp_path / "lines", "--save-set", "x", "--csv", "--index", own)
    assert done.code == 2
    both = {n.token.row for t in (3, 9) for near in index.open(own).neighbors(t).lists.values() for n in near}
    assert set(subset(index.open(own), "@x").rows.tolist()) == both


def test_a_set_is_replaced_only_when_asked(own: Path) -> None:
    def keep(token: str, *options: str) -> str:
        return invoke("query.py", "neighbors", token, "--save-set", "x", *options, "--json", "--index", own).err

    keep("#3")
    before = subset(index.open(own), "@x").rows.tolist()
    said = keep("#9")
    assert (
        said == f"error: {own.parent}/own.sets/x.json exists; pass --overwrite to replace it, or another --save-set\n"
    )
    assert subset(index.open(own), "@x").rows.tolist() == before
    keep("#9", "--overwrite")
    assert subset(index.open(own), "@x").rows.tolist() != before
    done = invoke("query.py", "neighbors", "#3", "--overwrite", "--index", own)
    assert done.err == "error: --overwrite goes with --parquet, --svg and --save-set, and none is given\n"


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".x", "a b", "x" * 101, "é", "words", "@hubs"])
def test_bad_names(name: str, own: Path) -> None:
    done = invoke("query.py", "find", "a", "--save-set", name, "--index", own)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("error: --save-set must be ")
    assert not (own.parent / "own.sets").exists()


@pytest.mark.slow("builds a bundle several times")
def test_a_set_survives_a_rebuild_of_the_same_rows_alone(tmp_path: Path) -> None:
    bundle = oracle.build_small(tmp_path)
    invoke("query.py", "neighbors", "#3", "--save-set", "near", "--index", bundle)
    rows = subset(index.open(bundle), "@near").rows.tolist()
    oracle.build_small(tmp_path, "--overwrite", "--neighbors", 30)
    assert subset(index.open(bundle), "@near").rows.tolist() == rows
    other = oracle.small_gamma()
    other[5, 5] += 1
    oracle.build_small(tmp_path, "--overwrite", gamma=other)
    for option in ("--among", "--without"):
        done = invoke("query.py", "densest", option, "@near", "--index", bundle)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert f"error: {option} @near: @near was kept of other rows: bundle holds other vectors or ids" in done.err
    entry = query("sets", "--index", bundle)[-1]
    assert (entry["name"], entry["size"]) == ("near", len(rows))
    assert entry["definition"].startswith("refused: of other rows than these (neighbors '#3')")
    np.save(tmp_path / "sample.npy", np.arange(V)[::-1])
    oracle.build_small(tmp_path, "--overwrite", "--sample", tmp_path / "sample.npy")
    assert invoke("query.py", "densest", "--among", "@near", "--index", bundle).code == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"name": "x"}', b'{"ids": "a"}'])
def test_a_damaged_set_is_told(content: bytes, own: Path) -> None:
    (own.parent / "own.sets").mkdir()
    (own.parent / "own.sets/x.json").write_bytes(content)
    for command in (["densest", "--among", "@x"], ["sets"]):
        done = invoke("query.py", *command, "--index", own)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "@x cannot be read" in done.err


def test_a_newer_set_and_one_of_foreign_ids(own: Path) -> None:
    invoke("query.py", "neighbors", "#3", "--save-set", "x", "--index", own)
    path = own.parent / "own.sets/x.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"ids": [3, V + 5]}))
    assert "names ids that bundle has not" in invoke("query.py", "densest", "--among", "@x", "--index", own).err
    path.write_text(json.dumps(kept | {"format_version": 2}))
    said = invoke("query.py", "densest", "--among", "@x", "--index", own).err
    assert "is logoscope-set 2, wanted logoscope-set 1" in said


def test_python_keeps_answers_and_parts(own: Path) -> None:
    bundle = index.open(own)
    bundle.save_set("near", bundle.neighbors("#3", top=5))
    bundle.save_set("mine", [3, 9])
    assert bundle.subset("@mine").rows.tolist() == [3, 9]
    assert len(bundle.subset("@mine,@near")) == len(bundle.subset("@near", without="@mine")) + 2
    with pytest.raises(index.ParameterError, match="overwrite=True"):
        bundle.save_set("mine", "@words")
    with pytest.raises(index.ParameterError, match="name must be another name"):
        bundle.save_set("words", [3])


# --- to and from files ------------------------------------------------------------------------------------------------


def test_files_and_back(own: Path, tmp_path: Path) -> None:
    ids = [3, 40, 90, 200]
    (tmp_path / "ids.txt").write_text("\n".join(map(str, ids)))
    found = query("sets", "import", tmp_path / "ids.txt", "mine", "--index", own)
    assert found == [{"name": "mine", "size": 4, "definition": f"imported from {tmp_path}/ids.txt"}]
    for name in ("out.txt", "out.npy", "out.safetensors"):
        answer = query("sets", "export", "mine", tmp_path / name, "--index", own)
        assert (answer[0]["size"], answer[0]["file"]) == (4, str(tmp_path / name))
        taken = f"again-{name.partition('.')[2]}"
        query("sets", "import", tmp_path / name, taken, "--index", own)
        assert subset(index.open(own), f"@{taken}").rows.tolist() == ids
    assert (tmp_path / "out.txt").read_text() == "3\n40\n90\n200\n"
    assert np.load(tmp_path / "out.npy").tolist() == ids
    mask = load_file(tmp_path / "out.safetensors")["mask"]
    assert (mask.shape, np.flatnonzero(mask).tolist()) == ((V,), ids)
    again = invoke("query.py", "sets", "export", "mine", tmp_path / "out.npy", "--index", own)
    assert (again.code, "pass --overwrite" in again.err) == (2, True)
    query("sets", "export", "@words", tmp_path / "out.npy", "--overwrite", "--index", own)
    assert np.load(tmp_path / "out.npy").tolist() == subset(index.open(own), "@words").rows.tolist()


def test_a_mask_of_a_sample_is_over_the_rows_of_the_model(tmp_path: Path) -> None:
    sample = np.random.default_rng(5).permutation(V)[:200]
    np.save(tmp_path / "sample.npy", sample)
    bundle = oracle.build_small(tmp_path, "--sample", tmp_path / "sample.npy")
    np.save(tmp_path / "ids.npy", sample[[5, 60]])
    query("sets", "import", tmp_path / "ids.npy", "mine", "--index", bundle)
    query("sets", "export", "mine", tmp_path / "mask.safetensors", "--index", bundle)
    mask = load_file(tmp_path / "mask.safetensors")["mask"]
    assert (len(mask), np.flatnonzero(mask).tolist()) == (V, sorted(sample[[5, 60]].tolist()))
    assert subset(index.open(bundle), "@mine").rows.tolist() == [5, 60]


def test_words_come_in_with_a_note(own: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("#3\nno such token\n")
    done = invoke("query.py", "sets", "import", tmp_path / "words", "mine", "--json", "--index", own)
    assert done.json[0]["size"] == 1
    assert done.err == f"{tmp_path}/words: left out as no single token: 'no such token'\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import"], "`sets import` takes two more: sets import FILE NAME"),
        (["export", "words"], "`sets export` takes two more: sets export NAME FILE"),
        (["export", "nope", "x.txt"], "SOURCE @nope: there is no set @nope of bundle"),
        (["export", "hubs", "x.txt"], "SOURCE @hubs holds no token: there is nothing to write"),
        (["import", "absent.txt", "x"], "SOURCE absent.txt: there is no such file; wanted @SET"),
        (["import", "@words", "hubs"], "TARGET must be another name: @hubs comes with every bundle"),
        (["remove"], "ACTION must be one of import, export; got: remove"),
    ],
)
def test_wrong_use_of_sets(arguments: list[str], said: str, own: Path) -> None:
    done = invoke("query.py", "sets", *arguments, "--index", own)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
