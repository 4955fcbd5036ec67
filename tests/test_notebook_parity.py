"""The reference notebook's figures, from its own steps on its own inputs, against what the program says.

The notebook reads three files: a full matrix `.npy`, its metadata `.pt`, and a metric tensor `.pt`. They are written
here from small models whose twins and near-twins (bfloat16 steps apart) are planted. Twice: once the matrix is stored
as exactly as float32 can, and figures agree to rounding; once it comes through float16, as the real one did.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
import synthetic
from conftest import build, query
from numpy.typing import NDArray

V, D, N = 1_500, 48, 700
K, TOP = 20, 30


@dataclass(frozen=True, eq=False)
class Notebook:
    """What the notebook prints."""

    densities: NDArray
    densest: int
    mean_distance: float
    causal: NDArray  # rows
    causal_distances: NDArray
    cosine: NDArray  # rows
    similarities: NDArray
    overlap: int
    skipped: tuple[int, int]  # the row each list left out as "self"; with near-twins about, it may be another


def notebook(distances: NDArray, embeddings: NDArray) -> Notebook:
    """Its steps, as it writes them: float32, self skipped by position."""
    densities, means = np.zeros(len(distances)), np.zeros(len(distances))
    for i, row in enumerate(distances):
        smallest = np.partition(row, K)[: K + 1]
        smallest = smallest[smallest > 0][:K]
        means[i] = smallest.mean() if len(smallest) else np.nan
        densities[i] = 1.0 / means[i] if means[i] > 0 else 0
    densest = int(np.argmax(densities))
    causal_order = np.argsort(distances[densest], kind="stable")
    causal = causal_order[1 : TOP + 1]
    norms = np.linalg.norm(embeddings, axis=1)
    similarities = embeddings @ embeddings[densest] / (norms * norms[densest])
    cosine_order = np.argsort(similarities)[::-1]
    cosine = cosine_order[1 : TOP + 1]
    return Notebook(
        densities,
        densest,
        float(means[densest]),
        causal,
        distances[densest][causal],
        cosine,
        similarities[cosine],
        len(set(causal) & set(cosine)),
        (int(causal_order[0]), int(cosine_order[0])),
    )


@dataclass(frozen=True, eq=False)
class Case:
    """One vocabulary as files, the truth about it, and both answers.

    Arrays are of the sample: row i is token `tokens[i]`.
    """

    knot: str
    tokens: NDArray
    gamma: NDArray
    exact: NDArray
    chords: NDArray
    stored: NDArray
    notebook: Notebook
    report: Any
    bundle: Path
    tolerance: float  # of a causal distance


def make_case(folder: Path, knot: str, *, float16: bool) -> Case:
    settings = KNOTS[knot]
    model = synthetic.planted(V, D, **settings)
    rng = np.random.default_rng(settings["seed"])
    planted = [row for group in model.twins for row in group] + list(model.singles)
    ordinary = np.setdiff1d(np.arange(V), planted)
    tokens = rng.permutation(np.concatenate([planted, rng.choice(ordinary, size=N - len(planted), replace=False)]))

    # As in real files, M is float32 and not quite symmetric; the quadratic form sees its symmetric half only.
    _, cov = oracles.covariance(model.gamma)
    M = oracles.metric(cov, 1e-6)
    given = (M + 1e-6 * np.abs(M).max() * rng.normal(size=M.shape)).astype(np.float32)
    assert not np.array_equal(given, given.T)
    points = oracles.causal_points(model.gamma[tokens], given.astype(np.float64))
    exact = oracles.all_distances(points)

    # A float16 pipeline leaves its compressed `.pt`, and the full matrix unfolded from it. Where the full one is
    # better than that, it is what the notebook reads, and the `.pt` only says which tokens its rows are.
    stored = exact.astype(np.float16).astype(np.float32) if float16 else exact.astype(np.float32)
    matrix = synthetic.write_distances(folder, "distances_causal_700", stored, tokens)
    metric = synthetic.write_metric(folder / "causal_metric_tensor.pt", given)
    source = synthetic.write_model(folder / "model.safetensors", model.gamma)
    sample = folder / "distances_causal_700.pt"
    bundle = folder / "bundle"
    report = build(source, "--sample", sample, "--metric-tensor", metric, "--distances", matrix, "--out", bundle)
    gamma = model.gamma[tokens]
    return Case(
        knot=knot,
        tokens=tokens,
        gamma=gamma,
        exact=exact,
        chords=oracles.all_distances(oracles.unit_rows(gamma)),
        stored=stored,
        notebook=notebook(stored, gamma.astype(np.float32)),
        report=report,
        bundle=bundle,
        tolerance=oracles.rounding_tolerance(points),
    )


KNOTS: dict[str, dict[str, Any]] = {
    # Fewer than k tokens in the knot: its members' means reach out to ordinary tokens. One densest.
    "small knot": {"seed": 19, "twin_sizes": (5, 3, 2), "singles": 7},
    # More than k, so the densest has only near-twins among its 20. Two twins tie for it.
    "large knot": {"seed": 12, "twin_sizes": (3, 2, 2), "singles": 20},
    # Here float32 finds two near-twins more similar to the densest than itself: the notebook skips one of them, counts
    # the densest among its own neighbors, and its overlap comes out one short.
    "self not first": {"seed": 13, "twin_sizes": (5, 3, 2), "singles": 7},
}


@pytest.fixture(scope="module", params=list(KNOTS))
def exact_case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("parity"), request.param, float16=False)


@pytest.fixture(scope="module", params=list(KNOTS))
def float16_case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("parity16"), request.param, float16=True)


def tied_densest(case: Case) -> list[int]:
    """Rows whose exact density under the notebook's rule is the highest there is, up to float64 rounding."""
    exact = np.array([oracles.notebook_density(case.exact[row], row, K) for row in range(N)])
    return np.flatnonzero(exact > exact.max() * (1 - 1e-9)).tolist()


def rows_of(shown: list[dict[str, Any]]) -> list[int]:
    return [entry["row"] for entry in shown]


def assert_same_list(
    rows: NDArray, values: NDArray, shown_values: list[float], truth: NDArray, tolerance: float
) -> None:
    """The notebook's list and the program's, up to ties: the same value at each rank, and each row's true value too.

    The notebook skips one entry by position. Near twins that may be another row than the densest, and the list then
    holds the densest itself; its value ties with theirs, so nothing more is needed.
    """
    assert len(rows) == len(shown_values) == TOP
    assert np.abs(values - np.array(shown_values)).max() <= tolerance
    assert np.abs(truth[rows] - np.array(shown_values)).max() <= tolerance


def restored(reference: Notebook) -> tuple[list[int], list[int]]:
    """The notebook's two lists with the densest itself, where one holds it, put back for what was skipped instead."""
    causal, cosine = (
        [skipped if row == reference.densest else int(row) for row in rows]
        for rows, skipped in zip((reference.causal, reference.cosine), reference.skipped, strict=True)
    )
    return causal, cosine


def gap_after(distances: NDArray, row: int) -> float:
    """How much farther the neighbor of rank TOP + 1 is than that of rank TOP."""
    ordered = np.sort(np.delete(distances, row))
    return float(ordered[TOP] - ordered[TOP - 1])


# --- stored exactly ----------------------------------------------------------------------------------------------


def test_density_statistics(exact_case: Case) -> None:
    # One row's mean distance: rounding of float32 points, and of the notebook's float32 sum of 20.
    mean_distance = exact_case.notebook.mean_distance
    relative = exact_case.tolerance / mean_distance + 21 * oracles.HALF_ULP
    density = exact_case.report["density"]
    for name, figure in (("min", np.min), ("max", np.max), ("mean", np.mean), ("median", np.median)):
        assert density[name] == pytest.approx(figure(exact_case.notebook.densities), rel=relative), name


def test_densest(exact_case: Case) -> None:
    tied = tied_densest(exact_case)
    report, reference = exact_case.report, exact_case.notebook
    assert reference.densest in tied
    assert report["densest"]["row"] == tied[0]
    assert report["densest"]["id"] == exact_case.tokens[tied[0]]
    assert report["density"]["by_rule"]["notebook"]["tied"] == len(tied)
    assert (len(tied) == 1) == (exact_case.knot != "large knot"), "both kinds of densest are covered"
    assert report["densest"]["mean_distance"] == pytest.approx(
        reference.mean_distance, rel=21 * oracles.HALF_ULP, abs=exact_case.tolerance
    )


def test_lists(exact_case: Case) -> None:
    report, reference = exact_case.report, exact_case.notebook
    row = report["densest"]["row"]
    shown = [entry["distance"] for entry in report["causal"]]
    truth = exact_case.exact[reference.densest]
    assert_same_list(reference.causal, reference.causal_distances, shown, truth, exact_case.tolerance)
    oracles.assert_nearest_up_to_ties(
        rows_of(report["causal"]), shown, exact_case.exact[row], row, exact_case.tolerance
    )

    # The notebook's cosine is float32: a product of D terms over two norms, each within (D + 2) * 2^-24 at worst.
    similarities = [entry["similarity"] for entry in report["cosine"]]
    noise = 2 * (D + 2) * oracles.HALF_ULP
    truth = oracles.cosine_similarities(exact_case.gamma, reference.densest)
    assert_same_list(reference.cosine, reference.similarities, similarities, truth, noise)
    oracles.assert_nearest_up_to_ties(
        rows_of(report["cosine"]),
        [entry["distance"] for entry in report["cosine"]],
        exact_case.chords[row],
        row,
        oracles.rounding_tolerance(oracles.unit_rows(exact_case.gamma)),
    )


def test_rows_ids_and_ranks_belong_together(exact_case: Case) -> None:
    for space in ("causal", "cosine"):
        shown = exact_case.report[space]
        assert [entry["id"] for entry in shown] == exact_case.tokens[rows_of(shown)].tolist()
        assert [entry["rank"] for entry in shown] == list(range(1, TOP + 1))


def test_overlap(exact_case: Case) -> None:
    report = exact_case.report
    row = report["densest"]["row"]
    # No tie at the last place, neither in the notebook's digits nor in the program's: the count is one number.
    assert gap_after(exact_case.exact[row], row) > 10 * exact_case.tolerance
    similarities = np.sort(np.delete(oracles.cosine_similarities(exact_case.gamma, row), row))[::-1]
    assert similarities[TOP - 1] - similarities[TOP] > 4 * (D + 2) * oracles.HALF_ULP
    # The notebook may count the densest itself, in one list or in both.
    reference = exact_case.notebook
    count = oracles.overlap(*restored(reference))
    assert report["overlap"]["count"] == count
    assert 0 < count < TOP, "a count that could have been otherwise"
    assert abs(reference.overlap - count) <= 1
    assert report["overlap"]["percent"] == pytest.approx(100 * count / TOP, rel=1e-12)
    assert report["overlap"]["jaccard"] == pytest.approx(count / (2 * TOP - count), rel=1e-12)
    assert report["overlap"]["lowest"] == count == report["overlap"]["highest"]
    assert report["verdict"] == oracles.verdict(count, count, count, TOP)
    shown = {space: {entry["id"]: entry["rank"] for entry in report[space]} for space in ("causal", "cosine")}
    assert {t["id"]: (t["causal_rank"], t["cosine_rank"]) for t in report["overlap"]["tokens"]} == {
        i: (shown["causal"][i], shown["cosine"][i]) for i in shown["causal"].keys() & shown["cosine"].keys()
    }


def test_query_says_the_same(exact_case: Case) -> None:
    assert query("densest", "--index", exact_case.bundle) == exact_case.report


@pytest.mark.parametrize("rule", ["notebook", "distinct", "multiset"])
def test_every_density_rule(exact_case: Case, rule: str) -> None:
    """Not the notebook's, but of the same vocabulary: what its one rule leaves out."""
    groups = oracles.group_of_every_row(exact_case.gamma)
    expected = oracles.densities(exact_case.exact, groups, K)
    report = query("densest", "--rule", rule, "--index", exact_case.bundle)
    relative = exact_case.tolerance * max(densities.max() for densities in expected.values()) + oracles.HALF_ULP * 2
    assert report["density"]["rule"] == rule
    for name, figure in (("min", np.min), ("max", np.max), ("mean", np.mean), ("median", np.median)):
        assert report["density"][name] == pytest.approx(figure(expected[rule]), rel=relative), name
    for other, densities in expected.items():
        winners = np.flatnonzero(densities > densities.max() * (1 - 1e-9))
        runner_up = np.delete(densities, winners).max()
        assert runner_up < densities.max() * (1 - 4 * relative), "a winner beyond rounding"
        shown = report["density"]["by_rule"][other]
        assert (shown["id"], shown["tied"]) == (exact_case.tokens[winners[0]], len(winners)), other
        assert shown["density"] == pytest.approx(densities.max(), rel=relative)
    assert report["densest"]["id"] == report["density"]["by_rule"][rule]["id"]


# --- stored through float16 --------------------------------------------------------------------------------------

# Half a step of float16: every stored distance is within this share of the true one (they are far above underflow).
HALF_STEP = 2.0**-11


def test_float16_density_statistics(float16_case: Case) -> None:
    density = float16_case.report["density"]
    for name, figure in (("min", np.min), ("max", np.max), ("mean", np.mean), ("median", np.median)):
        assert density[name] == pytest.approx(figure(float16_case.notebook.densities), rel=1.1 * HALF_STEP), name


def test_float16_densest(float16_case: Case) -> None:
    """The two maxima agree to the matrix's precision, one token unless others tie to that precision."""
    exact = np.array([oracles.notebook_density(float16_case.exact[row], row, K) for row in range(N)])
    alike = np.flatnonzero(exact >= exact.max() * (1 - 2.2 * HALF_STEP))
    report, reference = float16_case.report, float16_case.notebook
    tied = tied_densest(float16_case)
    assert reference.densest in alike
    assert (report["densest"]["row"], report["densest"]["id"]) == (tied[0], float16_case.tokens[tied[0]])
    assert report["density"]["by_rule"]["notebook"]["tied"] == len(tied)
    assert report["densest"]["mean_distance"] == pytest.approx(reference.mean_distance, rel=1.1 * HALF_STEP)


def test_float16_lists_and_overlap(float16_case: Case) -> None:
    # Asked about the token the notebook found, the program gives the notebook's list, to half a float16 step.
    reference = float16_case.notebook
    row = reference.densest
    (answer,) = query("neighbors", f"#{float16_case.tokens[row]}", "--index", float16_case.bundle)
    shown = np.array([entry["distance"] for entry in answer["causal"]])
    half_step = 1.1 * HALF_STEP * shown.max()
    assert reference.causal_distances == pytest.approx(shown, rel=1.1 * HALF_STEP)
    assert np.abs(float16_case.exact[row][reference.causal] - shown).max() <= 2 * half_step
    assert gap_after(float16_case.exact[row], row) > 2 * half_step, "the last place is not a float16 tie"
    assert [sorted(rows_of(answer[space])) for space in ("causal", "cosine")] == [
        sorted(rows) for rows in restored(reference)
    ]
    count = oracles.overlap(*restored(reference))
    assert answer["overlap"]["count"] == count
    assert abs(reference.overlap - count) <= 1
