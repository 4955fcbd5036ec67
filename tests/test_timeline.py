"""`timeline`: every figure against what the test counts itself, in a model that it trains for 20 steps."""

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import models
import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
import trained
from conftest import ROOT, invoke
from interrupted import contents
from numpy.typing import NDArray
from safetensors.numpy import save_file

import index
from index.bundle.sweep import read_sweep
from index.errors import BundleError, ParameterError
from index.geometry.maps import Geometry
from index.measures.partitions import group_changes, same_rows
from index.pictures.plot import fonts, paper
from index.pictures.plot.timeline import positions, timeline_figure
from index.questions.timeline.steps import Timeline

TOP, DENSITY_K = 10, 20
CHANGES = ("kept", "born", "gone", "split", "merged")


@pytest.fixture(scope="module")
def stack() -> NDArray[np.uint16]:
    return trained.trained()


@pytest.fixture(scope="module")
def command(stack: NDArray[np.uint16], tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """What sweeps all steps, but for where to."""
    folder = tmp_path_factory.mktemp("trained")
    save_file({"unembedding": stack}, folder / "stack.safetensors")
    models.save_tokenizer(folder / "tokenizer", models.word_tokenizer(trained.V))
    return (
        *("build_index.py", "--sweep", folder / "stack.safetensors", "--as", "bf16"),
        *("--tokenizer", folder / "tokenizer", "--neighbors", 60, "--density-k", DENSITY_K, "--out"),
    )


@pytest.fixture(scope="module")
def swept(command: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timeline") / "sweep"
    done = invoke(*command, folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def found(swept: Path) -> Timeline:
    return index.timeline(swept, top=TOP)


def points_of(gamma: NDArray, geometry: Geometry) -> NDArray[np.float64]:
    """Points in float64, by the oracle; a row without direction is NaN."""
    M = oracles.metric(oracles.covariance(gamma)[1], 1e-6)
    if geometry is Geometry.CAUSAL:
        return oracles.causal_points(gamma, M)
    with np.errstate(invalid="ignore"):
        return oracles.unit_rows(gamma if geometry is Geometry.COSINE else oracles.causal_points(gamma, M))


Lists = list[set[int] | None]


def lists_of(points: NDArray[np.float64], top: int) -> Lists:
    """The `top` nearest of each token, equal distances by row; None for a token without a point."""
    there = ~np.isnan(points).any(axis=1)
    distances = oracles.all_distances(np.where(there[:, None], points, 0))
    distances[:, ~there] = np.inf
    rounded = np.round(distances, 9)  # equal distances are equal, however they were summed
    return [
        {int(at) for at in oracles.nearest(rounded[row], row, top)} if there[row] else None
        for row in range(len(points))
    ]


def shared(a: Lists, b: Lists) -> float:
    each = [len(one & other) / TOP for one, other in zip(a, b, strict=True) if one is not None and other is not None]
    return float(np.mean(each))


@pytest.fixture(scope="module")
def lists(stack: NDArray[np.uint16]) -> list[dict[Geometry, Lists]]:
    gammas = stack.view(ml_dtypes.bfloat16).astype(np.float64)
    return [{geometry: lists_of(points_of(gamma, geometry), TOP) for geometry in Geometry} for gamma in gammas]


# --- every figure against the test's own ---------------------------------------------------------------------------


def test_rows_and_groups_are_those_counted(found: Timeline, stack: NDArray[np.uint16]) -> None:
    assert len(found.steps) == trained.STEPS
    seen = dict.fromkeys(CHANGES, 0)
    for step, own in zip(found.steps, trained.counts(stack), strict=True):
        changes = dict.fromkeys(CHANGES) if step.changes is None else vars(step.changes)
        figures = {name: getattr(step, name) for name in ("distinct", "groups", "twins", "moved", "never_moved")}
        assert {**figures, **changes} == vars(own), step.step
        for name in CHANGES:
            seen[name] += changes[name] or 0
    assert all(seen.values()), seen  # each of them happens


def test_densities_are_those_of_the_definition(found: Timeline, stack: NDArray[np.uint16]) -> None:
    for step, bits in list(zip(found.steps, stack, strict=True))[::4]:
        gamma = bits.view(ml_dtypes.bfloat16).astype(np.float64)
        distances = oracles.all_distances(points_of(gamma, Geometry.CAUSAL))
        own = oracles.densities(distances, oracles.group_of_every_row(bits), DENSITY_K)["distinct"]
        at = step.densities
        assert own[at.densest.id] == pytest.approx(own.max(), rel=1e-5)
        assert at.highest == pytest.approx(own.max(), rel=1e-5)
        assert at.tied == int((own > own.max() * (1 - 1e-6)).sum())
        expected = np.percentile(own, [25, 50, 75])
        np.testing.assert_allclose([at.quartile_1, at.median, at.quartile_3], expected, rtol=1e-5)


def test_lists_agree_as_float64_says(found: Timeline, lists: list[dict[Geometry, Lists]]) -> None:
    last = lists[-1]
    for number, (step, own) in enumerate(zip(found.steps, lists, strict=True)):
        pairs = [(step.overlap, own[Geometry.CAUSAL], own[Geometry.COSINE])]
        if number:
            pairs += [(step.before[each], own[each], lists[number - 1][each]) for each in Geometry]
        if number < len(lists) - 1:
            pairs += [(step.last[each], own[each], last[each]) for each in Geometry]
        for at, one, other in pairs:
            mean = shared(one, other)
            # Ties abound on a grid: which of the tied make a list is open, and the range says how far.
            assert at.lowest - 1e-9 <= mean <= at.highest + 1e-9, step.step
            assert at.tokens == sum(a is not None and b is not None for a, b in zip(one, other, strict=True))
    assert not found.steps[0].before
    assert not found.steps[-1].last


def test_agreement_without_ties_is_exact(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    base = random.normal(size=(90, 7))
    stack = np.stack([base + 0.4 * step * random.normal(size=base.shape) for step in range(3)]).astype(np.float32)
    np.save(tmp_path / "stack.npy", stack)
    arguments = ("--sweep", tmp_path / "stack.npy", "--out", tmp_path / "sweep", "--neighbors", 30)
    assert invoke("build_index.py", *arguments).code == 0
    steps = index.timeline(tmp_path / "sweep").steps
    own = [{each: lists_of(points_of(gamma, each), TOP) for each in Geometry} for gamma in stack]
    for geometry in Geometry:
        assert steps[1].before[geometry].mean == pytest.approx(shared(own[0][geometry], own[1][geometry]))
        assert steps[0].last[geometry].mean == pytest.approx(shared(own[0][geometry], own[2][geometry]))
        assert steps[0].last[geometry].lowest == steps[0].last[geometry].highest
    assert steps[2].overlap.mean == pytest.approx(shared(own[2][Geometry.CAUSAL], own[2][Geometry.COSINE]))
    assert steps[2].overlap.chance == pytest.approx(TOP / 89)


def test_the_same_matrix_again_is_agreement_everywhere(found: Timeline) -> None:
    again = found.steps[12]
    assert (again.same_as, again.moved) == ("step11", 0)
    assert all(at.mean == 1 for at in again.before.values())
    assert again.densities == found.steps[11].densities


def test_changes_of_any_partitions() -> None:
    random = np.random.default_rng(0)

    def groups(side: NDArray) -> set[frozenset[int]]:
        return trained._groups([bytes([label]) for label in side.tolist()])

    for _ in range(500):
        before, after = random.integers(0, 4, (2, random.integers(1, 10)))
        own = trained._changes(groups(before), groups(after))
        assert vars(group_changes(before, after)) == own


def test_same_rows_are_told_by_bits() -> None:
    a = np.array([[0.0, 1], [0.0, 1], [np.nan, 1], [2, 3]], np.float32)
    b = np.array([[-0.0, 1], [0.0, 1], [np.nan, 1], [2, 4]], np.float32)
    assert same_rows(a, b).tolist() == [False, True, True, False]


# --- the same sweep, killed ----------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from index.build import step
from index.cli.build import app

original, left = step.build, int(sys.argv.pop(1))

def build(settings, progress, **options):
    global left
    left -= 1
    def dying(step, done, total):
        if left < 0 and step.startswith("mapping into cosine"):
            os.kill(os.getpid(), signal.SIGKILL)
    return original(settings, dying, **options)

step.build = build
app()
"""
"""A sweep that kills itself in the middle of the build that comes after so many."""


@pytest.mark.slow("two processes, each of which imports all that a build needs")
def test_a_sweep_killed_twice_and_resumed_is_the_one_that_was_not(
    command: tuple[object, ...], swept: Path, found: Timeline, tmp_path: Path
) -> None:
    out = tmp_path / "sweep"
    there: dict[str, int] = {}
    for builds, finished in ((6, 6), (8, 15)):  # the thirteenth step is the same as the one before, and is not built
        arguments = [str(builds), *map(str, command[1:]), str(out)]
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        known = {path.parent.name: path.stat().st_ino for path in out.glob("step*/manifest.json")}
        assert there.items() <= known.items()
        there = known
        steps = read_sweep(out).steps
        assert [step.built for step in steps] == [number < finished for number in range(trained.STEPS)]
    told = {each["step"]: each for each in invoke(*command, out, "--json").json}
    assert {name for name, each in told.items() if each["outcome"] == "kept"} == set(there)
    for folder in swept.glob("step*"):
        assert contents(out / folder.name) == contents(folder)
        if folder.name in there:
            assert (out / folder.name / "manifest.json").stat().st_ino == there[folder.name]
    assert (out / "sweep.json").read_bytes() == (swept / "sweep.json").read_bytes()
    assert {path.name for path in out.iterdir()} == {path.name for path in swept.iterdir()}
    assert index.timeline(out, top=TOP).json() == found.json()


# --- forms ----------------------------------------------------------------------------------------------------------


def flat(step: dict[str, Any]) -> dict[str, Any]:
    """One step of the JSON as a record, each field named by the way to it."""
    record: dict[str, Any] = {}
    for name, value in step.items():
        if name == "changes":
            record |= value or {}
        elif name == "densest":
            record |= {f"densest_{key}": value[key] for key in ("id", "text", "density", "tied")}
        elif isinstance(value, dict) and name in ("before", "last"):
            record |= {f"{name}_{of}_{key}": found for of, at in value.items() for key, found in at.items()}
        elif isinstance(value, dict):
            record |= {f"{name}_{key}": found for key, found in value.items()}
        elif name not in ("before", "last", "evaluate"):
            record[name] = value
    return {name: value for name, value in record.items() if not name.endswith("_tokens")}


def test_json_csv_parquet_and_data_frame_say_the_same(swept: Path, found: Timeline, tmp_path: Path) -> None:
    told = invoke("query.py", "timeline", swept, "--json").json
    assert [each["step"] for each in told] == [f"step{number}" for number in range(trained.STEPS)]
    assert told == found.json()
    assert {"step", "source", "distinct", "groups", "moved", "overlap"} <= set(told[3])
    text = invoke("query.py", "timeline", swept, "--csv").out
    lines = list(csv.DictReader(io.StringIO(text)))
    frame = found.to_pandas()
    assert list(frame.columns) == list(lines[0])
    records = [flat(each) for each in told]
    assert all(set(lines[0]) == set(record) for record in records[1:-1])
    for line, record, (_, row) in zip(lines, records, frame.iterrows(), strict=True):
        for name, value in line.items():
            assert value == ("" if record.get(name) is None else str(record[name])), name
            assert row[name] == record.get(name) or (record.get(name) is None and np.isnan(row[name])), name
    path = tmp_path / "t.parquet"
    assert invoke("query.py", "timeline", swept, "--parquet", path).code == 0
    table = pq.read_table(path)
    assert table.column_names == list(lines[0])
    assert table["last_causal_mean"].to_pylist()[0] == told[0]["last"]["causal"]["mean"]
    assert json.dumps(told)


def test_the_table_shows_each_step_by_its_number(swept: Path, found: Timeline) -> None:
    told = invoke("query.py", "timeline", swept).out
    assert told.index("step2 ") < told.index("step10 ") < told.index("step19 ")
    assert f"{trained.V} tokens, step0 to step19" in told
    assert "w" in told.split("Densities")[1].split("Lists")[0]


@pytest.mark.slow("draws two figures in each format, and matplotlib makes its list of fonts")
@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_chart_is_drawn(ending: str, swept: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}{ending}" for name in ("a", "b")]
    for path in paths:
        assert invoke("query.py", "timeline", swept, "--plot", path, "--json").code == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size > 5000


def test_the_chart_shows_the_figures(found: Timeline, stack: NDArray[np.uint16]) -> None:
    """Each curve, point by point; those of rows and groups against what the test counts."""
    from matplotlib import pyplot

    typeface = fonts.typeface(["0123"])
    with paper.look(typeface):
        figure = timeline_figure(found, typeface)
    panels = [{line.get_label(): line for line in axes.get_lines()} for axes in figure.axes]
    curves: dict[str, list[float]] = {name: line.get_ydata() for panel in panels for name, line in panel.items()}
    pyplot.close(figure)
    own = trained.counts(stack)
    told = found.json()
    expected: dict[str, list[float | None]] = {
        "distinct": [each.distinct for each in own],
        "never moved": [each.never_moved for each in own],
        "groups": [each.groups for each in own],
        **{name: [getattr(each, name) for each in own] for name in ("born", "split", "merged")},
        "median": [each["density"]["median"] for each in told],
        "densest": [each["densest"]["density"] for each in told],
        "causal, cosine": [100 * each["overlap"]["mean"] for each in told],
        **{
            f"{geometry}, {which}": [each[which] and 100 * each[which][geometry]["mean"] for each in told]
            for geometry, which in (("causal", "before"), ("cosine", "before"), ("causal", "last"))
        },
    }
    assert set(curves) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(curves[name], np.array(values, float), err_msg=name)
    for panel in panels:
        for line in panel.values():
            assert list(line.get_xdata()) == list(range(trained.STEPS))


@pytest.mark.parametrize(
    ("steps", "places", "named"),
    [
        (["step1", "step10", "step200"], [1, 10, 200], False),
        (["pythia-70m-step1", "pythia-70m-step8"], [1, 8], False),
        (["base", "sft", "dpo"], [0, 1, 2], True),
        (["a1-b2", "a2-b3"], [0, 1], True),
        (["only7"], [7], False),
    ],
)
def test_where_steps_stand(steps: list[str], places: list[float], *, named: bool) -> None:
    found = positions(steps)
    assert found[0] == places
    assert (found[1] is not None) is named


# --- evaluate -------------------------------------------------------------------------------------------------------


def test_evaluate_at_each_step_is_evaluate_of_each_bundle(swept: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pairs = [f"w{a}\tw{b}\t{score:.2f}" for (a, b), score in zip(random.integers(0, 90, (30, 2)), random.random(30),
                                                                strict=True)]  # fmt: skip
    (tmp_path / "pairs.tsv").write_text("\n".join(pairs) + "\n")
    arguments = ("timeline", swept, "--evaluate", "--judgments", tmp_path / "pairs.tsv", "--json")
    told = invoke("query.py", *arguments).json
    for step in (told[0], told[19]):
        alone = index.open(swept / step["step"]).evaluate([tmp_path / "pairs.tsv"]).json()["sets"][0]
        entry = step["evaluate"]["pairs"]
        assert (entry["figure"], entry["covered"]) == ("spearman", alone["covered"])
        for geometry in Geometry:
            assert entry[geometry.value] == alone[geometry.value]["spearman"]


# --- what is refused, and what is left out --------------------------------------------------------------------------


def test_what_is_wrong_is_said_in_one_line(swept: Path, tmp_path: Path) -> None:
    for arguments, words in (
        ((tmp_path,), "holds no sweep (sweep.json)"),
        ((tmp_path / "nowhere",), "holds no sweep"),
        ((swept / "step0",), "holds no sweep"),
        ((swept, "--top", 0), "--top must be from 1 to 60"),
        ((swept, "--top", 61), "--top must be from 1 to 60"),
        ((swept, "--judgments", "x"), "--judgments goes with --evaluate"),
        ((swept, "--evaluate", "--judgments", tmp_path / "x"), "x"),
        ((swept, "--plot", tmp_path / "x.gif"), "--plot must end in"),
        ((swept, "--json", "--csv"), "exclude each other"),
        ((swept, "--overwrite"), "--overwrite goes with"),
    ):
        done = invoke("query.py", "timeline", *arguments)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert words in done.err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "[" * 100_000,
        '{"format":"logoscope-sweep","version":2,"listed":"","settings":{},"steps":[]}',
    ],
)
def test_a_damaged_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises((BundleError, index.SourceError)):
        index.timeline(tmp_path)


@pytest.mark.parametrize(
    "steps",
    [
        [{"name": "../x", "source": "x", "built": True}],
        [{"name": "a", "source": "x", "same_as": "../b", "built": True}],
        [{"name": "a", "source": "x"}, {"name": "a", "source": "y"}],
        [{"name": "a", "source": "x"}],
        [],
    ],
)
def test_a_record_that_names_what_cannot_be_is_refused(steps: list[dict], tmp_path: Path) -> None:
    record = {"format": "logoscope-sweep", "version": 1, "listed": "x", "settings": {}, "steps": steps}
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    with pytest.raises(BundleError):
        index.timeline(tmp_path)


def test_steps_of_other_tokens_are_refused_and_failed_ones_left_out(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    for name, rows in (("a1", 80), ("a2", 80), ("a3", 81)):
        np.save(tmp_path / f"{name}.npy", random.normal(size=(rows, 6)).astype(np.float32))
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path / name}.npy\n" for name in ("a1", "a2", "a4")))
    build = ("build_index.py", "--out", tmp_path / "sweep", "--neighbors", 20, "--sweep", tmp_path / "list.txt")
    assert invoke(*build).code == 1
    told = invoke("query.py", "timeline", tmp_path / "sweep", "--csv")
    assert told.code == 0
    assert "1 of 3 steps have no bundle and are left out: a4" in told.err
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path / name}.npy\n" for name in ("a1", "a2", "a3")))
    assert invoke(*build).code == 0
    with pytest.raises(ParameterError, match=r"a3 has other tokens \(81\) than a1 \(80\)"):
        index.timeline(tmp_path / "sweep")
