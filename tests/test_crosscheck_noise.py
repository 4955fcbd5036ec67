"""`crosscheck --distances`: what the precision of a matrix does to it passes, and what anything else did does not.

A distance of 30 in float32 is off by millionths, and one of 0.03 by itself: no single tolerance tells noise from both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import oracles
import pytest
import synthetic
import torch
from conftest import build, invoke
from numpy.typing import NDArray

from index.bundle.bundle import Bundle, open_bundle
from index.checks.matrix import MatrixCheck, check_matrix
from index.checks.precision import Allowance

SHAPES = {"32 wide": (500, 32), "300 wide": (700, 300)}


@dataclass(frozen=True, eq=False)
class Example:
    """A bundle, and what its distances are."""

    bundle: Bundle
    points: NDArray  # float64, uncentered
    exact: NDArray  # (V, V) float64
    norms: NDArray  # (V,)


def made(folder: Path, V: int, D: int) -> Example:
    """Rows of which every tenth has another 0.05 logometers beside it, and 30 lie within a thousandth of each other."""
    gamma = synthetic.gaussian(V, D, seed=D).astype(np.float64)
    M = oracles.metric(oracles.covariance(gamma)[1], 1e-6)
    rng = np.random.default_rng(D)

    def beside(rows: NDArray, length: float) -> NDArray:
        steps = rng.normal(size=rows.shape)
        return rows + steps * (length / np.sqrt(np.einsum("ij,jk,ik->i", steps, M, steps)))[:, None]

    gamma[1:400:10] = beside(gamma[0:400:10], 0.05)
    gamma[400:430] = beside(np.repeat(gamma[399:400], 30, axis=0), 0.001)
    np.save(folder / "gamma.npy", gamma)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 20)
    points = oracles.causal_points(gamma, oracles.metric(oracles.covariance(gamma)[1], 1e-6))
    return Example(
        open_bundle(folder / "bundle"), points, oracles.all_distances(points), np.linalg.norm(points, axis=1)
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return made(tmp_path_factory.mktemp("noise"), *SHAPES["32 wide"])


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Example:
    return made(tmp_path_factory.mktemp("noise"), *request.param)


def by_numpy(points: NDArray) -> NDArray:
    x = points.astype(np.float32)
    squares = np.square(x).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * (x @ x.T), 0))


def by_cdist(points: NDArray) -> NDArray:
    x = torch.from_numpy(points.astype(np.float32))
    return torch.cdist(x, x).numpy()


PIPELINES: dict[str, Callable[[NDArray], NDArray]] = {
    "float64": oracles.all_distances,
    "float64, rounded": lambda points: oracles.all_distances(points).astype(np.float32),
    "expansion by NumPy": by_numpy,
    "torch.cdist": by_cdist,
    "float16 of an expansion": lambda points: by_numpy(points).astype(np.float16).astype(np.float32),
}


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_sound_matrices_pass(example: Example, tmp_path: Path, pipeline: str) -> None:
    distances = PIPELINES[pipeline](example.points)
    np.save(tmp_path / "d.npy", distances)
    found = check_matrix(example.bundle, tmp_path / "d.npy")
    assert (found.passed, found.within_share, found.rows_agreeing) == (True, 1, found.rows_checked)
    assert found.born == pipeline.split(maxsplit=1)[0].rstrip(",") if "float16" in pipeline else True
    off = ~np.eye(len(distances), dtype=bool)
    assert found.worst_error == pytest.approx(np.abs(distances - example.exact)[off].max(), abs=1e-5)


def test_sound_compressed_matrices_pass(example: Example, tmp_path: Path) -> None:
    file = synthetic.write_compressed(tmp_path / "d.pt", by_numpy(example.points), np.arange(len(example.points)))
    assert check_matrix(example.bundle, file).passed


def noise(size: float) -> Callable[[NDArray], NDArray]:
    def noisy(exact: NDArray) -> NDArray:
        drawn = np.triu(np.random.default_rng(0).uniform(-size, size, size=exact.shape), 1)
        return np.where(np.eye(len(exact), dtype=bool), 0, np.abs(exact + drawn + drawn.T))

    return noisy


HARM: dict[str, tuple[Callable[[NDArray], NDArray], str]] = {
    "noise of 0.1": (noise(0.1), "nothing in the file shows why"),
    "noise of 0.001": (noise(0.001), "nothing in the file shows why"),
    "one decimal": (lambda exact: np.round(exact, 1), "rounded to 1 decimal: they say distances to 0.05 logometers"),
    "below 0.1 set to 0": (lambda exact: np.where(exact < 0.1, 0, exact), "small distances were set to 0"),
}


@pytest.mark.parametrize("harm", HARM)
def test_harmed_matrices_fail_and_no_cause_is_made_up(example: Example, tmp_path: Path, harm: str) -> None:
    """One tolerance for all entries, that of two equal points, let all of these pass on a large vocabulary."""
    harmed, said = HARM[harm]
    np.save(tmp_path / "d.npy", harmed(example.exact).astype(np.float32))
    found = check_matrix(example.bundle, tmp_path / "d.npy")
    if (
        harm.startswith("below") and found.at_zero > 0.1
    ):  # float32 cannot know them where norms are 78: then that is said
        assert found.hidden >= ((example.exact > 0) & (example.exact < 0.1)).sum()
        assert (
            found.unfit
            == "unfit for neighbors in 31 of 700 rows: what is allowed to their entries hides which 20 are nearest"
        )
        return
    assert found.cause is not None
    assert said in found.cause
    if harm.startswith("below"):
        assert f"up to {example.exact[example.exact < 0.1].max():.3g} logometers apart" in found.cause


def test_noise_on_a_smaller_sample_is_not_another_order(small: Example, tmp_path: Path) -> None:
    """Means of rows hardly feel it: sorted or not, they agree."""
    tokens = np.random.default_rng(2).permutation(len(small.exact))[:150]
    distances = noise(0.05)(small.exact[np.ix_(tokens, tokens)])
    file = synthetic.write_distances(tmp_path, "noisy", distances, tokens)
    for path in (file, tmp_path / "noisy.pt"):
        cause = check_matrix(small.bundle, path).cause
        assert cause is not None
        assert "nothing in the file shows why" in cause


@pytest.mark.parametrize("compressed", [True, False])
def test_another_order_is_still_named(example: Example, tmp_path: Path, compressed: bool) -> None:
    order = np.random.default_rng(3).permutation(len(example.exact))
    file = synthetic.write_distances(tmp_path, "d", example.exact[np.ix_(order, order)], np.arange(len(order)))
    found = check_matrix(example.bundle, tmp_path / "d.pt" if compressed else file)
    assert found.cause == "the rows of the matrix are in another order than its tokens"


def test_what_is_too_small_is_counted_and_unfit_for_neighbors(small: Example, tmp_path: Path) -> None:
    """Thirty tokens a thousandth apart: in float32 their distances are noise, and no check of it can say otherwise."""
    distances = by_numpy(small.points)
    distances[399:430, 399:430] = 0
    np.save(tmp_path / "d.npy", distances)
    found = check_matrix(small.bundle, tmp_path / "d.npy")
    assert found.passed
    allowance = Allowance.of("float32", 32, float(small.norms.max()))
    sums = small.norms[:, None] ** 2 + small.norms**2
    hidden = (
        small.exact**2 <= (allowance.rtol * small.exact + allowance.atol) * small.exact + allowance.expansion * sums
    )
    np.fill_diagonal(hidden, False)
    assert found.hidden == hidden.sum() >= 31 * 30
    assert found.hidden_rows == hidden.any(axis=1).sum()
    assert found.rows_unfit == 31
    assert found.unfit is not None
    outcome = invoke("query.py", "crosscheck", "--index", small.bundle.folder, "--distances", tmp_path / "d.npy")
    assert outcome.code == 0
    assert f"{found.hidden:,} entries in {found.hidden_rows} rows: 0 in their place would pass, too" in outcome.said
    assert "unfit for neighbors in 31 of 500 rows" in outcome.said


def test_errors_are_shown_by_decade_of_distance(small: Example, tmp_path: Path) -> None:
    distances = by_numpy(small.points)
    np.save(tmp_path / "d.npy", distances)
    found = check_matrix(small.bundle, tmp_path / "d.npy")
    off = ~np.eye(len(distances), dtype=bool)
    errors = np.abs(distances - small.exact)
    assert sum(each.entries for each in found.decades) == off.sum() == found.entries
    for each in found.decades:
        inside = off & (small.exact >= each.start) & (small.exact < (each.stop or np.inf))
        assert abs(each.entries - inside.sum()) <= 2, "one pair on the border"
        assert each.worst_error == pytest.approx(errors[inside].max(), abs=1e-5)
    # What the issue is about: near zero the error is thousands of times that of ordinary distances.
    assert found.decades[0].worst_error > 100 * found.decades[-1].worst_error


def test_infinite_entries_are_no_crash(small: Example, tmp_path: Path) -> None:
    distances = small.exact.astype(np.float32)
    distances[3, 5] = distances[5, 3] = np.inf
    np.save(tmp_path / "d.npy", distances)
    outcome = invoke(
        "query.py", "crosscheck", "--index", small.bundle.folder, "--distances", tmp_path / "d.npy", "--json"
    )
    assert outcome.code == 1
    assert outcome.json["matrix"]["passed"] is False


@pytest.mark.parametrize("born", ["float16", "float32", "float64"])
def test_the_allowance_bounds_both_sides(born: str) -> None:
    """`at` is the furthest that the form of the entry lets D be, above d and below."""
    allowance = Allowance.of(born, 100, 40.0)
    distances, sums = np.geomspace(1e-6, 100, 200), np.full(200, 900.0)
    allowed = allowance.at(distances, sums)

    def agrees(stored: NDArray) -> NDArray:
        e = allowance.expansion * sums + allowance.floor
        limit = allowance.rtol * distances + allowance.atol + e / (distances + stored)
        return np.abs(distances - stored) <= limit

    for step in (1.0000001, -1.0000001):
        beyond = distances + step * allowed
        assert not agrees(beyond)[beyond > 0].any()
    assert (allowance.hides(distances, sums) == agrees(np.zeros(200))).all()


def test_a_check_is_built_without_what_only_a_whole_one_has() -> None:
    check = MatrixCheck("d.pt", 0, None, None, None, 0, 0.0, None, None, 0, 0, 5, "wrong size")
    assert (check.unfit, check.decades) == (None, ())
