"""A vocabulary ruled by twins: groups larger than a list, than k, and than the K neighbors a bundle keeps.

Qwen3-4B has 814 twins of one vector. There a list of 30 neighbors is an arbitrary pick, a graph of 100 neighbors holds
nothing but twins, and the tool must say what it cannot know.
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

import index

V, D, TOP, K = 900, 24, 30, 20
TWINS = (150, 45, 12, 2)


@dataclass(frozen=True, eq=False)
class Ruled:
    bundle: Path
    report: Any
    model: synthetic.Planted
    causal: NDArray  # (V, V)
    chords: NDArray
    tolerance: dict[str, float]


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Ruled:
    folder = tmp_path_factory.mktemp("ties")
    model = synthetic.planted(V, D, seed=9, twin_sizes=TWINS, singles=10)
    source = synthetic.write_model(folder / "model.safetensors", model.gamma)
    report = build(source, "--out", folder / "bundle")
    points = oracles.causal_points(model.gamma, oracles.metric(oracles.covariance(model.gamma)[1], 1e-6))
    unit = oracles.unit_rows(model.gamma)
    return Ruled(
        folder / "bundle",
        report,
        model,
        oracles.all_distances(points),
        oracles.all_distances(unit),
        {"causal": oracles.rounding_tolerance(points), "cosine": oracles.rounding_tolerance(unit)},
    )


@pytest.mark.parametrize("rule", ["notebook", "distinct", "multiset"])
def test_densities(ruled: Ruled, rule: str) -> None:
    """Also the rule of distinct vectors, which needs neighbors past 149 twins."""
    expected = oracles.densities(ruled.causal, oracles.group_of_every_row(ruled.model.gamma), K)
    report = query("densest", "--rule", rule, "--index", ruled.bundle)
    winner = expected[rule].max()
    tied = np.flatnonzero(expected[rule] >= winner * (1 - 1e-9))
    assert report["densest"]["row"] == tied[0]
    shown = report["density"]["by_rule"][rule]
    assert (shown["id"], shown["tied"]) == (tied[0], len(tied))
    finite = expected[rule][np.isfinite(expected[rule])]
    relative = 4 * ruled.tolerance["causal"] * finite.max()
    for name, figure in (("min", np.min), ("max", np.max), ("mean", np.mean), ("median", np.median)):
        value = float(figure(expected[rule]))
        assert report["density"][name] == (pytest.approx(value, rel=relative) if np.isfinite(value) else "Infinity"), (
            name
        )
    if rule == "multiset":
        # Means of zero: infinite, a tie of all twins in groups larger than k. JSON has a text for it.
        assert len(tied) == 150 + 45
        assert report["densest"]["density"] == "Infinity"
        assert report["densest"]["mean_distance"] == 0
    if rule == "notebook":
        # Their own density under this rule is 0: nothing is left after the zeros.
        assert report["density"]["min"] == 0


@pytest.mark.parametrize("group", range(len(TWINS)))
def test_overlap_bounds(ruled: Ruled, group: int) -> None:
    """Lowest and highest over every way to break ties, also of ties that reach beyond the bundle's 100 neighbors."""
    row = ruled.model.twins[group][-1]
    (answer,) = query("neighbors", f"#{row}", "--index", ruled.bundle)
    for space, distances in (("causal", ruled.causal[row]), ("cosine", ruled.chords[row])):
        shown = answer[space]
        oracles.assert_nearest_up_to_ties(
            [entry["row"] for entry in shown],
            [entry["distance"] for entry in shown],
            distances,
            row,
            ruled.tolerance[space],
        )
    pools = [
        oracles.choices(ruled.causal[row], row, TOP, ruled.tolerance["causal"]),
        oracles.choices(ruled.chords[row], row, TOP, ruled.tolerance["cosine"]),
    ]
    lowest, highest = oracles.overlap_bounds(*pools)
    overlap = answer["overlap"]
    assert (overlap["lowest"], overlap["highest"]) == (lowest, highest)
    if TWINS[group] == 150:
        assert (lowest, highest) == (0, 30), "149 equals for 30 places"
    if TWINS[group] == 45:
        assert (lowest, highest) == (16, 30), "44 equals for 30 places"
    assert lowest <= overlap["count"] <= highest
    assert overlap["count"] == oracles.overlap(*([e["id"] for e in answer[s]] for s in ("causal", "cosine")))


def test_there_is_no_verdict_where_twins_fill_both_lists(ruled: Ruled) -> None:
    """Ties alone decide the number, and whatever they decide, only twins of the token are shared."""
    report = query("densest", "--rule", "multiset", "--index", ruled.bundle)
    assert report["overlap"]["highest"] == TOP
    assert report["overlap"]["lowest"] < 9
    assert index.open(ruled.bundle).densest(rule="multiset").neighborhood.overlap.verdict == "undecided"  # type: ignore[union-attr]
    assert report["verdict"] == "empty"
    assert {entry["id"] for entry in report["overlap"]["tokens"]} <= set(report["densest"]["twins"])
    assert all(entry["tied"] for entry in report["causal"])
    assert all(entry["tied"] for entry in report["cosine"])


def test_the_verdict_of_the_notebooks_winner(ruled: Ruled) -> None:
    overlap = ruled.report["overlap"]
    expected = oracles.verdict(overlap["count"], overlap["lowest"], overlap["highest"], overlap["k"])
    assert ruled.report["verdict"] == expected


@pytest.mark.parametrize("space", ["causal", "cosine"])
def test_every_row_of_the_graph(ruled: Ruled, space: str) -> None:
    ids = np.load(ruled.bundle / f"{space}.ids.npy")
    shown = np.load(ruled.bundle / f"{space}.distances.npy")
    distances = ruled.causal if space == "causal" else ruled.chords
    for row in range(V):
        oracles.assert_nearest_up_to_ties(ids[row], shown[row], distances[row], row, ruled.tolerance[space])
    # A twin's first neighbors are its twins, lowest rows first.
    group = ruled.model.twins[0]
    for row in (group[0], group[77], group[-1]):
        assert ids[row].tolist() == [twin for twin in group if twin != row][:100]
        assert not shown[row].any()


@pytest.mark.parametrize("geometry", ["causal", "cosine", "causal_cosine"])
@pytest.mark.parametrize("top", [1, 5, 30, 120, 400])
def test_crowded_lists_are_those_of_a_search(
    ruled: Ruled, geometry: str, top: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored list ends within the 150 twins; the stored distinct points go on, and the answer is the same."""
    from index.questions.lists import lists
    from index.search.finder import Finder, search_with_ties

    space = index.open(ruled.bundle).spaces[index.Geometry(geometry)]
    rows = [*ruled.model.twins[0][:2], ruled.model.twins[2][0], *ruled.model.singles[:2], 0, 1, 2]
    searched = []
    find = Finder.search_with_ties
    monkeypatch.setattr(Finder, "search_with_ties", lambda *_, **__: searched.append(1) or find(*_, **__))
    for row in rows:
        ids, distances = lists.ranked(space, row, top)
        wanted, exact = search_with_ties(space.points, space.points[row], top, space.resolution, exclude=(row,))
        n = min(len(ids), len(wanted))
        assert n > top
        np.testing.assert_array_equal(ids[:n], wanted[:n])
        np.testing.assert_allclose(distances[:n], exact[:n], rtol=2**-23)
    if top != 120:  # there some lists reach far enough
        assert bool(searched) == (top == 400)


def test_exact_ties_have_one_order_however_long_the_list(tmp_path: Path) -> None:
    """Rows that permute one vector are equally far from zero, but sums of their squares round differently.

    With each row stands its negative, so that the mean which is taken off is zero.
    """
    rng = np.random.default_rng(5)
    base = rng.normal(size=48)
    half = np.array([*(rng.permutation(base) for _ in range(6)), *(3 * rng.normal(size=(67, 48)))], np.float32)
    np.save(tmp_path / "gamma.npy", np.concatenate([np.zeros((1, 48), np.float32), half, -half]))
    np.save(tmp_path / "M.npy", np.eye(48))
    options = ("--metric-tensor", tmp_path / "M.npy", "--neighbors", 30)
    build(tmp_path / "gamma.npy", *options, "--out", tmp_path / "bundle")
    stored = np.load(tmp_path / "bundle" / "causal.ids.npy")[0].tolist()
    distances = np.load(tmp_path / "bundle" / "causal.distances.npy")[0]
    assert len(set(distances[:12].tolist())) == 1
    for top in (3, 29, 30, 60, 140):
        listed = query("neighbors", "#0", "--top", top, "--index", tmp_path / "bundle")[0]["causal"]
        assert [place["id"] for place in listed][:30] == stored[: min(top, 30)], top
