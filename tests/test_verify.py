"""`verify` counts what is wrong, and finds what checksums cannot: wrong numbers that were written as such."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import oracles
import pytest
import synthetic
from conftest import Built, build, invoke, query
from numpy.typing import NDArray
from rich.console import Console

from index.answers.terminal import renderable
from index.bundle.bundle import open_bundle
from index.bundle.checksums import describe, seal
from index.checks.verify import verify


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twins, and clusters one bfloat16 step apart."""
    folder = tmp_path_factory.mktemp("verify")
    model = synthetic.planted(700, 20, seed=3, twin_sizes=(60, 9, 2), singles=40)
    build(
        synthetic.write_model(folder / "model.safetensors", model.gamma), "--out", folder / "bundle", "--neighbors", 30
    )
    return folder / "bundle"


def rewritten(bundle: Path, target: Path, change: Callable[[Path], None]) -> Path:
    """A copy with changed files and a manifest that says they are right."""
    shutil.copytree(bundle, target)
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    for name in ("manifest.json", "checksums.json"):
        (target / name).unlink()
    change(target)
    manifest["files"] = msgspec.to_builtins(describe(target))
    (target / "manifest.json").write_text(json.dumps(manifest | {"checksum": seal(manifest)}), encoding="utf-8")
    return target


def changed_array(name: str, change: Callable[[NDArray], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        array = np.load(folder / name)
        change(array)
        np.save(folder / name, array)

    return apply


@pytest.mark.slow("300 rows of the bundled model by brute force, in three geometries")
def test_the_real_model_passes_in_every_geometry(smollm2: Built) -> None:
    found = query("verify", "--deep", "--deep-rows", 300, "--rows", 40, "--index", smollm2.path)
    assert found["passed"]
    assert found["files"]["unlisted"] == []
    for lists, rows in ((found["graphs"], 40), (found["deep"]["lists"], 300)):
        assert set(lists) == {"causal", "cosine", "causal_cosine"}
        for check in lists.values():
            assert (check["rows"], check["ids"], check["wrong"]) == (rows, rows * 100, 0)
            assert 0 < check["worst_error"] < check["tolerance"]
    assert found["deep"]["metric_recomputed"]
    assert found["deep"]["metric_difference"] < 1e-9
    assert found["versions"]["faiss-cpu"]


def test_clusters_one_step_apart_pass(small: Path) -> None:
    found = query("verify", "--deep", "--rows", 700, "--deep-rows", 700, "--index", small)
    assert found["passed"]
    for check in (*found["graphs"].values(), *found["deep"]["lists"].values()):
        assert (check["rows"], check["wrong"]) == (700, 0)


def test_swapped_neighbors_are_counted(small: Path, tmp_path: Path) -> None:
    """The first and the last neighbor of three rows change places: six ids are wrong, beyond any tie."""
    rows = [row for row in range(700) if np.ptp(np.load(small / "causal.distances.npy")[row]) > 0.1][:3]

    def swap(ids: NDArray) -> None:
        ids[rows, 0], ids[rows, -1] = ids[rows, -1].copy(), ids[rows, 0].copy()

    wrong = rewritten(small, tmp_path / "wrong", changed_array("causal.ids.npy", swap))
    outcome = invoke("query.py", "verify", "--rows", 700, "--deep", "--json", "--index", wrong)
    assert outcome.code == 1
    assert "build it again" in outcome.err
    assert outcome.json["graphs"]["causal"]["differing"] == 6
    for lists in (outcome.json["graphs"], outcome.json["deep"]["lists"]):
        assert lists["causal"]["wrong"] == 6
        assert lists["cosine"]["passed"]


def test_a_wrong_distance_is_measured(small: Path, tmp_path: Path) -> None:
    def lengthen(distances: NDArray) -> None:
        distances[400, 29] += 0.5

    wrong = rewritten(small, tmp_path / "wrong", changed_array("cosine.distances.npy", lengthen))
    found = invoke("query.py", "verify", "--rows", 700, "--json", "--index", wrong).json
    assert not found["passed"]
    assert found["graphs"]["cosine"]["worst_error"] == pytest.approx(0.5, abs=1e-5)
    assert found["graphs"]["cosine"]["wrong"] == 0


def test_ties_are_counted_and_pass(small: Path, tmp_path: Path) -> None:
    """Two twins of one group change places in the lists of the others: other ids, no wrong ones."""
    twins = max(
        oracles.twin_groups(synthetic.planted(700, 20, seed=3, twin_sizes=(60, 9, 2), singles=40).gamma), key=len
    )

    def swap(ids: NDArray) -> None:
        a, b = ids == twins[3], ids == twins[4]
        both = a.any(axis=1) & b.any(axis=1)
        ids[a & both[:, None]], ids[b & both[:, None]] = twins[4], twins[3]

    changed = rewritten(small, tmp_path / "ties", changed_array("causal.ids.npy", swap))
    found = query("verify", "--rows", 700, "--index", changed)
    assert found["passed"]
    assert found["graphs"]["causal"]["differing"] > 0
    assert found["graphs"]["causal"]["wrong"] == 0


def test_twins_beyond_the_candidates_tie_exactly(tmp_path: Path) -> None:
    """200 twins, and lists of 10: the lowest rows stand in them, and the deep check expects the same."""
    rows = np.random.default_rng(8).normal(size=(400, 12))
    rows[np.random.default_rng(9).permutation(400)[:200]] = rows[0]
    np.save(tmp_path / "gamma.npy", rows.astype(np.float32))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 10, "--density-k", 5)
    found = query("verify", "--deep", "--rows", 400, "--deep-rows", 400, "--index", tmp_path / "bundle")
    assert found["passed"]
    for lists in (found["graphs"], found["deep"]["lists"]):
        for check in lists.values():
            assert (check["rows"], check["ids"], check["differing"], check["wrong"]) == (400, 4000, 0, 0)


def test_a_swapped_twin_is_seen_from_gamma(tmp_path: Path, small: Path) -> None:
    """Other ids at equal distances differ, and are no more than ties."""
    twins = max(
        oracles.twin_groups(synthetic.planted(700, 20, seed=3, twin_sizes=(60, 9, 2), singles=40).gamma), key=len
    )

    def exchange(ids: NDArray) -> None:
        ids[twins[0], -1] = twins[-1]

    changed = rewritten(small, tmp_path / "swapped", changed_array("causal.ids.npy", exchange))
    options = ["--rows", 1, "--deep", "--deep-rows", 700]
    before, after = (query("verify", *options, "--index", bundle)["deep"]["lists"] for bundle in (small, changed))
    assert after["causal"]["differing"] == before["causal"]["differing"] + 1
    assert after["causal"]["wrong"] == 0


def test_points_that_are_not_gammas_fail_the_deep_check(small: Path, tmp_path: Path) -> None:
    """A bundle that is consistent in itself, of another matrix: only gamma shows it."""

    def nudge(folder: Path) -> None:
        content = bytearray((folder / "gamma.safetensors").read_bytes())
        content[-3] ^= 0x01  # the exponent of a bfloat16 near the end
        (folder / "gamma.safetensors").write_bytes(content)

    wrong = rewritten(small, tmp_path / "wrong", nudge)
    found = invoke("query.py", "verify", "--deep", "--json", "--index", wrong).json
    assert not found["deep"]["passed"]


@pytest.mark.parametrize("option", ["--rows", "--pairs", "--deep-rows"])
def test_nothing_to_check_is_refused(small: Path, option: str) -> None:
    outcome = invoke("query.py", "verify", option, 0, "--index", small)
    assert outcome.code == 2
    range_of = "from 1 to 10,000,000" if option == "--pairs" else "1 or more"
    assert f"{option} must be {range_of}, got: 0" in outcome.said


def test_other_files_are_named(small: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(small, tmp_path / "copy"))
    (copy / "notes.txt").write_text("mine")
    assert query("verify", "--index", copy)["files"]["unlisted"] == ["notes.txt"]
    assert "notes.txt" in invoke("query.py", "verify", "--index", copy).said


@pytest.mark.parametrize(("difference", "said"), [(9.6e-15, "less than 1e-12"), (2.5e-11, "2.5e-11")])
def test_what_sums_in_another_order_leave_is_shown_as_a_bound(small: Path, difference: float, said: str) -> None:
    found = verify(open_bundle(small), rows=1, pairs=1, deep=True, deep_rows=1)
    assert found.deep is not None
    found = replace(found, deep=replace(found.deep, metric_difference=difference))
    console = Console(width=200)
    with console.capture() as captured:
        console.print(renderable(found.page()))
    assert f"computed again, differs by {said} of its largest entry" in captured.get()
    assert found.json()["deep"]["metric_difference"] == difference
