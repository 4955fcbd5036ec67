"""The map of a vocabulary: how true it is, against scikit-learn; what it is colored by; what its scripts are told."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from browsing import bundle_of, request, with_map
from conftest import Built, build, invoke
from sklearn.manifold import trustworthiness

import index
from index.api import QUESTIONS
from index.bundle.bundle import Bundle
from index.export.layout import FEWEST_POINTS, NEIGHBORS, _disc, _layout, _principal_components, laid_out, set_apart
from index.geometry.maps import Geometry
from index.measures.layout import kept_shares, nearest_places, neighborhood_scores
from index.pictures.explore import map as explore_map
from index.pictures.explore.app import application
from index.pictures.explore.colorings import NONE, REST, STEPS, category, named_rows, number
from index.pictures.numbers.fidelity import fidelity
from index.search.queries import nearest_points
from index.search.ranks import plane_ranks, ranks_of

V = 240


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tmp_path_factory.mktemp("atlas"), [f"token{place}" for place in range(V)], K=100)


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    drawn = np.random.default_rng(3).normal(size=(V, 2)).astype(np.float32)
    drawn[3] = drawn[4]  # twins
    return drawn


@pytest.fixture(scope="module")
def mapped(bundle: Path, places: np.ndarray) -> Path:
    return with_map(bundle, places)


# --- how true a map is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5, 15, 100])
def test_trustworthiness_and_continuity_are_those_of_scikit_learn(k: int) -> None:
    draw = np.random.default_rng(0)
    points = draw.normal(size=(400, 8)).astype(np.float32)
    layout = (points[:, :2] + 0.3 * draw.normal(size=(400, 2))).astype(np.float32)
    distances = np.linalg.norm(points[:, None].astype(np.float64) - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    true, near, all_rows = np.argsort(distances, axis=1)[:, :k], nearest_places(layout, k), np.arange(400)
    trust = neighborhood_scores(ranks_of(points, all_rows, near), 400).mean()
    continuity = neighborhood_scores(plane_ranks(layout, all_rows, true), 400).mean()
    assert trust == pytest.approx(trustworthiness(points.astype(float), layout.astype(float), n_neighbors=k), abs=1e-6)
    assert continuity == pytest.approx(
        trustworthiness(layout.astype(float), points.astype(float), n_neighbors=k), abs=1e-6
    )
    kept = [len(set(a) & set(b)) / k for a, b in zip(true.tolist(), near.tolist(), strict=True)]
    np.testing.assert_allclose(kept_shares(true, near), kept)
    np.testing.assert_allclose(kept_shares(true[:9], near[:9]), kept[:9])  # of a few rows, neighbors are of all


def test_a_map_that_is_true_and_one_that_is_not() -> None:
    layout = np.random.default_rng(1).normal(size=(300, 2)).astype(np.float32)
    all_rows, near = np.arange(300), nearest_places(layout, 15)
    assert neighborhood_scores(ranks_of(layout, all_rows, near), 300).mean() == pytest.approx(1, abs=1e-4)
    other = np.random.default_rng(2).normal(size=(300, 9)).astype(np.float32)
    assert neighborhood_scores(ranks_of(other, all_rows, near), 300).mean() == pytest.approx(0.5, abs=0.03)
    assert np.isnan(neighborhood_scores(np.ones((3, 2), int), 3)).all()


def test_more_places_coincide_than_are_listed() -> None:
    near = nearest_places(np.zeros((9, 2)), 3)
    assert near.shape == (9, 3)
    assert not (near == np.arange(9)[:, None]).any()


@pytest.mark.parametrize("geometry", [Geometry.CAUSAL, Geometry.COSINE])
def test_twins_are_one_and_zero_rows_none(geometry: Geometry, bundle: Path, places: np.ndarray) -> None:
    opened = index.open(bundle)
    found, kept = fidelity(opened, places, geometry)
    without = {4} if geometry is Geometry.CAUSAL else {4, 5}  # the first of twins stands for both; row 5 is zero
    rows = np.array([row for row in range(V) if row not in without])
    points = np.asarray(opened.spaces[geometry].points[rows]).astype(np.float64)
    layout = places[rows].astype(np.float64)
    for figures in found:
        k = figures.k
        assert figures.trustworthiness == pytest.approx(trustworthiness(points, layout, n_neighbors=k), abs=1e-6)
        assert figures.continuity == pytest.approx(trustworthiness(layout, points, n_neighbors=k), abs=1e-6)
        assert (figures.trustworthiness_error, figures.continuity_error) == (0, 0)  # all of them were ranked
        lists = [
            [np.argsort(np.linalg.norm(of - one, axis=1), kind="stable")[1 : k + 1] for one in of]
            for of in (points, layout)
        ]
        shares = [len(set(true) & set(near)) / k for true, near in zip(*lists, strict=True)]
        assert figures.kept == pytest.approx(np.mean(shares))
        if k == 15:
            np.testing.assert_allclose(kept[rows], shares)
    assert kept[3] == kept[4]
    assert np.isnan(kept[5]) == (5 in without)
    assert [figures.k for figures in found] == [15, 100]


@pytest.fixture(scope="module")
def opened_smollm2(smollm2: Built) -> Bundle:
    return index.open(smollm2.path)


@pytest.mark.parametrize("geometry", [Geometry.CAUSAL, Geometry.COSINE])
def test_the_figures_of_smollm2_are_those_of_scikit_learn(opened_smollm2: Bundle, geometry: Geometry) -> None:
    """Of 800 tokens, laid out as its map is, among themselves: of all 49,129 scikit-learn would want 19 GB."""
    space, count = opened_smollm2.spaces[geometry], 800
    rows = np.sort(np.random.default_rng(5).permutation(laid_out(opened_smollm2, space))[:count])
    points, everyone = np.asarray(space.points[rows]), np.arange(count)
    true = nearest_points(points, everyone, points, 101)[0][:, 1:]
    layout = _layout(true[:, :NEIGHBORS], _principal_components(opened_smollm2, rows), lambda share: None)
    near = nearest_places(layout, 100)
    in_truth, on_map = ranks_of(points, everyone, near), plane_ranks(layout, everyone, true)
    for k in (15, 100):
        found = [neighborhood_scores(ranks[:, :k], count).mean() for ranks in (in_truth, on_map)]
        assert min(found) > 0.5  # which chance would give
        exact = points.astype(np.float64)
        assert found[0] == pytest.approx(trustworthiness(exact, layout, n_neighbors=k), abs=1e-6)
        assert found[1] == pytest.approx(trustworthiness(layout, exact, n_neighbors=k), abs=1e-6)


@pytest.mark.parametrize("geometry", [Geometry.CAUSAL, Geometry.COSINE])
def test_ranks_among_all_of_smollm2_are_those_of_float64(opened_smollm2: Bundle, geometry: Geometry) -> None:
    space = opened_smollm2.spaces[geometry]
    rows = laid_out(opened_smollm2, space)
    points = np.asarray(space.points[rows])
    drawn = np.array([0, 77, 4_000, 31_415, 49_000])
    near = np.random.default_rng(7).integers(len(rows), size=(len(drawn), 100))
    near[near == drawn[:, None]] = 1
    for place, found in enumerate(ranks_of(points, drawn, near)):
        apart = np.linalg.norm(points.astype(np.float64) - points[drawn[place]].astype(np.float64), axis=1)
        apart[drawn[place]] = np.inf
        nearer = np.searchsorted(np.sort(apart), apart[near[place]])
        # Ranks are by distances in float32, which leaves a few of 49,129 tokens as far as the one that is ranked.
        assert np.abs(found - 1 - nearer).max() <= 5


def test_untrained_tokens_stand_apart_in_a_disc(opened_smollm2: Bundle) -> None:
    rows = laid_out(opened_smollm2, opened_smollm2.causal)
    assert set(opened_smollm2.twins.first[np.flatnonzero(opened_smollm2.untrained)]).isdisjoint(rows)
    assert len(rows) == len(np.unique(opened_smollm2.twins.first[~opened_smollm2.untrained]))
    assert (
        set_apart(opened_smollm2, opened_smollm2.causal).tolist() == np.flatnonzero(opened_smollm2.untrained).tolist()
    )
    layout = np.random.default_rng(8).normal(size=(1000, 2))
    disc = _disc(layout, 90)
    assert disc[:, 0].min() > layout[:, 0].max()
    spacing = np.linalg.norm(disc[:, None] - disc, axis=2)[np.triu_indices(90, 1)]
    assert spacing.min() > 0
    (width, height), (across, up) = np.ptp(layout, axis=0), np.ptp(disc, axis=0)
    assert across * up / (width * height) == pytest.approx(0.09 * 4 / np.pi, rel=0.2)  # as dense as the layout


def test_few_trained_points_are_laid_out_with_the_others(tmp_path: Path) -> None:
    """A vocabulary of nothing but copies and one token has no five trained points, and not five points either."""
    small = index.open(bundle_of(tmp_path, [f"t{place}" for place in range(FEWEST_POINTS + 1)], K=5))
    assert len(laid_out(small, small.causal)) == FEWEST_POINTS
    assert not explore_map.enough_points(small, small.cosine)


def test_a_build_lays_out_the_maps(tmp_path: Path) -> None:
    rows = np.random.default_rng(9).normal(size=(130, 6)).astype(np.float32)
    rows[3], rows[5] = rows[4], 0
    np.save(tmp_path / "gamma.npy", rows)
    swept = invoke("build_index.py", "--sweep", tmp_path / "list.txt", "--map", "--out", tmp_path / "out")
    assert (swept.code, "--map does not go with --sweep" in swept.err) == (2, True)
    ended: list[str] = []

    def told(step: str, done: float, total: float = 1.0) -> None:
        ended.extend([step] if done == total else [])

    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 20, "--map")
    opened, path = index.open(tmp_path / "bundle"), explore_map.default_path(tmp_path / "bundle")
    found = explore_map.read_map(path, opened)
    assert found is not None
    explore_map.make_map(opened, tmp_path / "again.parquet", told)
    again = explore_map.read_map(tmp_path / "again.parquet", opened)
    assert again is not None
    assert again.fingerprint == found.fingerprint  # nothing in it is drawn at random
    assert ended == [f"{what} the {label} map" for label in ("causal", "cosine") for what in ("laying out", "checking")]
    assert list(found.layouts) == ["causal", "cosine"]
    for label, placed in found.layouts.items():
        assert np.array_equal(placed[3], placed[4])
        assert np.isnan(placed[5]).all() == (label == "cosine")
        assert np.isfinite(np.delete(placed, 5, axis=0)).all()
    # Six dimensions leave many neighbors in two; 15 of 128 would be 0.12 by chance.
    assert [(each.geometry, each.k) for each in found.fidelity] == [("causal", 15), ("cosine", 15)]
    assert found.fidelity[0].kept > 0.35


# --- colors -------------------------------------------------------------------------------------------------------


def test_a_category_has_its_most_frequent_values_first_and_the_rest_as_one() -> None:
    values = [f"v{place:02}" for place in range(20) for _ in range(20 - place)]
    made = category("c", "c", "", [*values, None])
    assert made.labels == (*(f"v{place:02}" for place in range(10)), REST)
    assert made.codes[-1] == NONE
    assert [made.labels[code] for code in made.codes[:-1]] == [
        value if value in made.labels else REST for value in values
    ]


@pytest.mark.parametrize("logarithmic", [False, True])
def test_numbers_are_divided_into_equal_steps(logarithmic: bool) -> None:
    values = np.array([1.0, 10, 100, 1000, np.inf, np.nan, 0])
    made = number("n", "n", "", values, logarithmic=logarithmic)
    low, high = (1, 1000) if logarithmic else (0, 1000)
    assert (made.low, made.high) == (low, high)
    share = np.log(values[:4]) / np.log(1000) if logarithmic else values[:4] / 1000
    assert made.codes[:4].tolist() == np.minimum((share * STEPS).astype(int), STEPS - 1).tolist()
    assert made.codes[4:].tolist() == [STEPS - 1, NONE, 0]


def test_words_that_tell_something_are_named_first(opened_smollm2: Bundle) -> None:
    texts = [opened_smollm2.vocabulary.token(row).text or "" for row in named_rows(opened_smollm2).tolist()]
    assert texts[:4] == [" the", " and", " for", " that"]
    assert all(text[0] == " " and len(text.strip()) >= 3 for text in texts[:20_000])
    assert min(map(texts.index, ("ou", "ud", " of", "ing", "1"))) > 20_000


def test_a_map_answers_its_scripts(mapped: Path) -> None:
    app = application(mapped, explore_map.default_path(mapped), QUESTIONS)
    opened = index.open(mapped)
    found = explore_map.read_map(explore_map.default_path(mapped), opened)
    assert found is not None
    source = f"/map/{found.fingerprint}"
    names = request(app, f"{source}/names").json()
    assert names["texts"] == [opened.vocabulary.display(row) for row in range(V)]
    assert 4 not in names["order"]  # a twin: the first stands for both
    offered = {each["name"]: each for each in request(app, f"{source}/colorings").json()}
    assert {"density_distinct", "kept_causal", "kept_cosine"} <= set(offered)
    codes = np.frombuffer(request(app, f"{source}/coloring/kept_causal").content, np.uint8)
    assert codes.tolist() == number("", "", "", found.kept["causal"]).codes.tolist()
    values = np.frombuffer(request(app, f"{source}/values/causal_norm").content, "<f8")
    assert values.tolist() == opened.tokens["causal_norm"].to_pylist()
    for layout, placed in found.layouts.items():
        packed = np.frombuffer(request(app, f"{source}/places/{layout}").content, "<f4").reshape(2, V)
        np.testing.assert_array_equal(packed.T, placed)
    near = request(app, f"{source}/near/7").json()["lists"]
    for label, geometry in (("causal", Geometry.CAUSAL), ("cosine", Geometry.COSINE)):
        points = np.asarray(opened.spaces[geometry].points[:]).astype(np.float64)
        others = [row for row in range(V) if row not in (4, 7) and row not in opened.spaces[geometry].excluded]
        nearest = sorted(others, key=np.linalg.norm(points - points[7], axis=1).__getitem__)
        assert near[label] == nearest[:30]
    assert request(app, f"{source}/near/5").json()["lists"]["cosine"] == []
    wrong_ones = ("near/999", "coloring/nothing", "values/kind", "places/angular")
    for wrong in (*(f"{source}/{each}" for each in wrong_ones), "/map/0123/names"):
        assert request(app, wrong).status_code == 404


def test_neighbors_that_fill_every_list_are_told_apart(
    smollm2: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what `planet` has in both lists most are untrained: lines alone would say that the geometries agree."""
    opened = index.open(smollm2.path)
    monkeypatch.setattr(explore_map, "lay_out", lambda *_: np.zeros((len(opened), 2), np.float32))
    monkeypatch.setattr(explore_map, "fidelity", lambda *_: ([], np.full(len(opened), np.nan)))
    explore_map.make_map(opened, tmp_path / "map.parquet")
    found = explore_map.read_map(tmp_path / "map.parquet", opened)
    assert found is not None
    app = application(smollm2.path, tmp_path / "map.parquet", QUESTIONS)
    near = request(app, f"/map/{found.fingerprint}/near/46835").json()
    table = pq.read_table(smollm2.path / "tokens.parquet", columns=["untrained", "hubness"]).to_pydict()
    listed = set(near["lists"]["causal"]) | set(near["lists"]["cosine"])
    doubted = {row for row in listed if table["untrained"][row] or table["hubness"][row] > 100 * 20}
    assert set(near["suspect"]) == doubted
    both = set(near["lists"]["causal"]) & set(near["lists"]["cosine"])
    assert len(both & doubted) > len(both - doubted)
