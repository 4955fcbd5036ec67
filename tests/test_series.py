"""The arrays behind the charts, against float64 brute force on a small vocabulary of clusters, twins and a zero row."""

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import oracles
import pytest
from conftest import build
from numpy.typing import NDArray

import index
from index.api import OpenVocabulary
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.pictures.numbers.densities import all_densities
from index.pictures.numbers.series import LENGTHS, model_of, neighborhood_series
from index.pictures.numbers.vocabulary_series import vocabulary_series

V, D, K, DENSITY_K = 300, 5, 20, 7
ZERO = 299
TWINS = tuple(range(200, 230))


@dataclass(frozen=True, eq=False)
class Small:
    vocabulary: OpenVocabulary
    gamma: NDArray[np.float64]
    distances: dict[Geometry, NDArray[np.float64]]  # (V, V); infinite to and from the zero row where it has no point
    tolerance: dict[Geometry, float]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(V, D)) * 4
    for start, size in ((0, 60), (60, 50), (110, 30)):
        rows[start : start + size] = rows[start] + rng.normal(size=(size, D)) * 0.3
    rows[list(TWINS)] = rows[TWINS[0]]  # more than the neighbors kept
    rows[[5, 17]] = rows[4]
    rows[ZERO] = 0
    folder = tmp_path_factory.mktemp("series")
    np.save(folder / "gamma.npy", rows)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", K, "--density-k", DENSITY_K)
    points = oracles.causal_points(rows, oracles.metric(oracles.covariance(rows)[1], 1e-6))
    chords = np.full((V, V), np.inf)
    chords[:ZERO, :ZERO] = oracles.all_distances(oracles.unit_rows(rows[:ZERO]))
    return Small(
        index.open(folder / "bundle"),
        rows,
        {Geometry.CAUSAL: oracles.all_distances(points), Geometry.COSINE: chords},
        {Geometry.CAUSAL: oracles.rounding_tolerance(points), Geometry.COSINE: 4 * oracles.HALF_ULP},
    )


def bounds(small: Small, row: int, k: int) -> tuple[int, int]:
    """The fewest and the most that the two lists of k can share."""
    causal, cosine = (
        oracles.choices(small.distances[geometry][row], row, k, small.tolerance[geometry])
        for geometry in (Geometry.CAUSAL, Geometry.COSINE)
    )
    return oracles.overlap_bounds(causal, cosine)


@pytest.mark.parametrize("row", [0, 4, 150, TWINS[3]])
def test_distances_by_rank(small: Small, row: int) -> None:
    for series in neighborhood_series(small.vocabulary, small.vocabulary.neighbors(f"#{row}", top=15)).ranks:
        distances, tolerance = small.distances[series.geometry][row], small.tolerance[series.geometry]
        expected = distances[oracles.nearest(distances, row, 16)]
        assert series.ranks.tolist() == list(range(1, 16))
        oracles.assert_close(series.distances, expected[:15], absolute=tolerance)
        level = np.diff(expected, prepend=-1) <= tolerance
        assert series.tied.tolist() == (level | np.append(level[1:], False))[:15].tolist()
        assert series.unit == ("logometers" if series.geometry is Geometry.CAUSAL else "chord")
        assert 0 < series.resolution <= 2 * tolerance


@pytest.mark.parametrize("row", [0, 4, 63, 150, TWINS[3]])
@pytest.mark.parametrize("top", [3, 15, 40])
def test_overlap_at_every_length(small: Small, row: int, top: int) -> None:
    found = small.vocabulary.neighbors(f"#{row}", top=top)
    series = neighborhood_series(small.vocabulary, found).overlap
    assert series.lengths.tolist() == list(range(1, series.lengths[-1] + 1))
    assert series.lengths[-1] >= top
    if row == 150:  # no ties there: as far as the lists that are kept decide it
        assert series.lengths[-1] == max(top, K - 1)
    for k, share, lowest, highest, chance in zip(
        series.lengths.tolist(), series.shares, series.lowest, series.highest, series.chance, strict=True
    ):
        assert (lowest * k, highest * k) == pytest.approx(bounds(small, row, k))
        assert lowest <= share <= highest
        assert chance == k / (V - 1)
    assert found.overlap is not None
    assert series.shares[top - 1] * top == pytest.approx(found.overlap.count)


@pytest.mark.parametrize("row", [0, 4, 63, 150])
def test_ties_beyond_the_lists_that_are_kept(row: int, small: Small) -> None:
    """With a coarse resolution many distances tie, and some ties go on past the last neighbor kept."""
    vocabulary = index.open(small.vocabulary.folder)
    coarse = {Geometry.CAUSAL: 0.05, Geometry.COSINE: 0.02}
    for geometry, resolution in coarse.items():
        vocabulary.spaces[geometry].resolution = resolution
    series = neighborhood_series(vocabulary, vocabulary.neighbors(f"#{row}", top=3)).overlap
    rough = Small(vocabulary, small.gamma, small.distances, coarse)
    expected = [bounds(rough, row, k) for k in series.lengths.tolist()]
    assert np.column_stack([series.lowest, series.highest]) * series.lengths[:, None] == pytest.approx(
        np.array(expected, float)
    )
    assert series.lengths[-1] < K - 1
    assert (series.lowest < series.highest).any()


def test_shares_where_nothing_is_tied(small: Small) -> None:
    row = 150
    series = neighborhood_series(small.vocabulary, small.vocabulary.neighbors(f"#{row}", top=5)).overlap
    for k, share in zip(series.lengths.tolist(), series.shares, strict=True):
        causal, cosine = (oracles.nearest(distances[row], row, k) for distances in small.distances.values())
        assert share * k == pytest.approx(oracles.overlap(causal, cosine))


def test_long_lists_are_compared_at_some_lengths(small: Small) -> None:
    series = neighborhood_series(small.vocabulary, small.vocabulary.neighbors("#150", top=V - 1)).overlap
    longest = V - 2  # the zero row has no direction
    assert (len(series.lengths), series.lengths[0], series.lengths[-1]) == (LENGTHS, 1, longest)
    assert set(np.diff(series.lengths).tolist()) == {1, 2}
    assert [bounds(small, 150, k)[0] / k for k in series.lengths[::50].tolist()] == pytest.approx(
        series.lowest[::50].tolist()
    )


@pytest.mark.parametrize("rule", list(Rule))
def test_densities(small: Small, rule: Rule) -> None:
    """Twins have none under one rule, and an infinite one under another."""
    groups = oracles.group_of_every_row(small.gamma)
    expected = oracles.densities(small.distances[Geometry.CAUSAL], groups, DENSITY_K)[rule.value]
    found = all_densities(small.vocabulary, Geometry.CAUSAL, rule, DENSITY_K)
    finite = np.isfinite(expected) & (expected > 0)
    assert found.values[~finite].tolist() == expected[~finite].tolist()
    # A mean of distances is off by no more than the worst of them.
    tolerance = small.tolerance[Geometry.CAUSAL]
    oracles.assert_close(1 / found.values[finite], 1 / expected[finite], absolute=tolerance)
    assert (found.zero, found.infinite) == ((expected == 0).sum(), np.isposinf(expected).sum())


@pytest.mark.parametrize("geometry", [Geometry.CAUSAL, Geometry.COSINE])
def test_histogram_of_densities(small: Small, geometry: Geometry) -> None:
    found = all_densities(small.vocabulary, geometry, Rule.NOTEBOOK, DENSITY_K)
    assert np.flatnonzero(np.isnan(found.values)).tolist() == ([ZERO] if geometry is Geometry.COSINE else [])
    binned = [value for value in found.values.tolist() if 0 < value < np.inf]
    assert (found.edges[0], found.edges[-1]) == (min(binned), max(binned))
    ratios = found.edges[1:] / found.edges[:-1]
    assert ratios == pytest.approx(np.full(len(ratios), ratios[0]))
    places = np.searchsorted(found.edges[1:-1], binned, side="right")
    assert found.counts.tolist() == [(places == place).sum() for place in range(len(found.counts))]
    assert found.counts.sum() + found.zero + found.infinite + (geometry is Geometry.COSINE) == V


def percent(lower: int, of: int) -> str:
    """Rounded down, with the fewest digits, one at least, that let no share but none seem 0."""
    share = Fraction(100 * lower, of)
    digits = next(n for n in range(1, 20) if Fraction(100, of) >= Fraction(1, 10**n))
    return f"{Decimal(math.floor(share * 10**digits)).scaleb(-digits)} %"


def test_denser_than(small: Small) -> None:
    series = neighborhood_series(small.vocabulary, small.vocabulary.neighbors("#150"))
    values = series.densities.values.tolist()
    assert series.density == values[150]
    assert series.denser_than == percent(sum(value < values[150] for value in values), V)
    assert series.densities.denser_than(0.0) == percent(0, V)  # level with all twins, above none
    assert series.densities.denser_than(max(values)) == percent(V - values.count(max(values)), V)


@pytest.mark.parametrize("V", [1, 2, 3, 40, 99, 100, 101, 1000, 1001, 49_152, 151_936])
def test_no_rounding_makes_one_denser_than_all(V: int, small: Small) -> None:
    known = all_densities(small.vocabulary, Geometry.CAUSAL, Rule.NOTEBOOK, DENSITY_K)
    apart = replace(known, values=np.append(np.arange(V, dtype=np.float64), np.nan))
    for lower in {0, 1, V // 2, V - 1} & set(range(V)):
        said = apart.denser_than(lower)
        assert said == percent(lower, V)
        assert (float(said.split()[0]) == 0) == (lower == 0)
        assert float(said.split()[0]) < 100
    level = replace(known, values=np.full(V, 0.7))
    assert level.denser_than(0.7) == percent(0, V)
    twins = replace(known, values=np.append(np.arange(V, dtype=np.float64), V - 1))
    assert twins.denser_than(V - 1) == percent(V - 1, V + 1)


@pytest.mark.parametrize("row", [0, 4, 150, TWINS[3]])
def test_union_of_both_lists(small: Small, row: int) -> None:
    found = small.vocabulary.neighbors(f"#{row}", top=12)
    union = neighborhood_series(small.vocabulary, found).union
    lists = {geometry: {each.token.row: each for each in listed} for geometry, listed in found.lists.items()}
    rows = [token.row for token in union.tokens]
    causal, cosine = lists[Geometry.CAUSAL], lists[Geometry.COSINE]
    assert rows == [*causal, *(other for other in cosine if other not in causal)]
    assert union.shared.tolist() == [other in causal and other in cosine for other in rows]
    twins = {twin.row for twin in found.twins}
    signs = ["≡" * (other in twins) + "†" * bool(small.vocabulary.untrained[other]) for other in rows]
    assert union.texts == tuple(f"#{other}" for other in rows)  # none has a text
    assert union.signs == tuple(signs)
    for geometry, listed in lists.items():
        expected = small.distances[geometry][row][rows]
        oracles.assert_close(union.distances[geometry], expected, absolute=small.tolerance[geometry])
        for other, rank, distance in zip(rows, union.ranks[geometry], union.distances[geometry], strict=True):
            assert rank == (listed[other].rank if other in listed else 0)
            assert other not in listed or distance == listed[other].distance
    assert set(union.similarities) == {Geometry.COSINE}
    similarities = oracles.cosine_similarities(small.gamma[:ZERO], row)[rows]
    oracles.assert_close(union.similarities[Geometry.COSINE], similarities, absolute=1e-6)


def test_a_zero_row(small: Small) -> None:
    found = small.vocabulary.neighbors(f"#{ZERO}", top=10)
    series = neighborhood_series(small.vocabulary, found)
    assert [len(ranks.ranks) for ranks in series.ranks] == [10, 0]
    assert len(series.overlap.lengths) == 0
    assert len(series.union.tokens) == 10
    assert np.isfinite(series.union.distances[Geometry.CAUSAL]).all()
    assert np.isnan(series.union.similarities[Geometry.COSINE]).all()
    turned = small.vocabulary.neighbors(f"#{ZERO}", top=10, geometries=("cosine", "causal"))
    assert neighborhood_series(small.vocabulary, turned).denser_than is None


def test_a_zero_row_among_the_neighbors(small: Small) -> None:
    union = neighborhood_series(small.vocabulary, small.vocabulary.neighbors("#0", top=V - 1)).union
    at = [token.row for token in union.tokens].index(ZERO)
    assert np.flatnonzero(np.isnan(union.distances[Geometry.COSINE])).tolist() == [at]
    assert np.isfinite(union.distances[Geometry.CAUSAL]).all()


def test_a_subset(small: Small, tmp_path: Path) -> None:
    """Chance is that of lists drawn from the subset."""
    chosen = [*range(100, 140), 150]
    (tmp_path / "ids.txt").write_text(" ".join(map(str, chosen)))
    found = small.vocabulary.neighbors("#150", top=5, among=str(tmp_path / "ids.txt"))
    series = neighborhood_series(small.vocabulary, found)
    assert series.overlap.chance.tolist() == (series.overlap.lengths / 40).tolist()
    others = np.array([other for other in chosen if other != 150])
    for k, share in zip(series.overlap.lengths.tolist(), series.overlap.shares, strict=True):
        causal, cosine = (
            others[np.argsort(distances[150][others], kind="stable")[:k]] for distances in small.distances.values()
        )
        assert share * k == pytest.approx(oracles.overlap(causal, cosine))


def test_densities_may_be_given(small: Small) -> None:
    known = all_densities(small.vocabulary, Geometry.CAUSAL, Rule.NOTEBOOK, DENSITY_K)
    assert neighborhood_series(small.vocabulary, small.vocabulary.neighbors("#1"), known).densities is known


# --- the whole vocabulary ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [Geometry.CAUSAL, Geometry.COSINE])
def test_norms_against_densities(small: Small, first: Geometry) -> None:
    second = Geometry.COSINE if first is Geometry.CAUSAL else Geometry.CAUSAL
    series = vocabulary_series(small.vocabulary, geometries=(first, second))
    norms = np.linalg.norm(small.gamma, axis=1)
    if first is Geometry.CAUSAL:
        M = oracles.metric(oracles.covariance(small.gamma)[1], 1e-6)
        norms = np.sqrt(np.einsum("ij,jk,ik->i", small.gamma, M, small.gamma))
    drawn = np.isfinite(series.densities.values) & (series.densities.values > 0)
    assert series.norms.unit == ("logometers" if first is Geometry.CAUSAL else "Euclidean")
    oracles.assert_close(series.norms.norm_edges[[0, -1]], [norms[drawn].min(), norms[drawn].max()], relative=1e-6)
    assert series.norms.counts.sum() == drawn.sum()
    assert series.norms.counts.sum(axis=0).tolist() == series.densities.counts.tolist()
    middle = series.norms.norm_edges[30]
    assert series.norms.counts[:30].sum() == (norms[drawn] < middle).sum()


def test_spectrum(small: Small) -> None:
    eigenvalues = np.linalg.eigvalsh(oracles.covariance(small.gamma)[1])[::-1]
    found = vocabulary_series(small.vocabulary).spectrum
    oracles.assert_close(found.covariance, eigenvalues, relative=1e-10)
    oracles.assert_close(found.metric, 1 / (eigenvalues + 1e-6), relative=1e-10)
    assert found.ridge == 1e-6


def test_overlap_by_decile_is_the_census(small: Small) -> None:
    found = vocabulary_series(small.vocabulary).overlap
    assert found == small.vocabulary.overlap()
    assert [decile.decile for decile in found.deciles] == list(range(1, 11))


def test_a_vocabulary_without_directions(tmp_path: Path) -> None:
    """Rows that are all zero but one: no token has a neighbor by cosine."""
    np.save(tmp_path / "gamma.npy", np.concatenate([np.zeros((5, 3)), np.ones((1, 3))]))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 3, "--density-k", 2)
    assert vocabulary_series(index.open(tmp_path / "bundle")).overlap is None


def vocabulary_of(rows: NDArray[np.float64], folder: Path, K: int) -> OpenVocabulary:
    np.save(folder / "gamma.npy", rows)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", K, "--density-k", min(2, K))
    return index.open(folder / "bundle")


def test_a_vocabulary_of_six_tokens(tmp_path: Path) -> None:
    """Fewer than the ten that agree most: all are named."""
    found = vocabulary_series(vocabulary_of(np.random.default_rng(1).normal(size=(6, 3)), tmp_path, 3)).overlap
    assert found is not None
    assert (found.tokens, list(found.tops)) == (6, [3])
    assert {each.token.row for each in found.most} == {each.token.row for each in found.least} == set(range(6))


def test_lists_that_a_zero_row_shortens(tmp_path: Path) -> None:
    """No token has K = V - 1 neighbors by cosine; the shorter lists are compared."""
    rows = np.random.default_rng(2).normal(size=(40, 4))
    rows[7] = 0
    found = vocabulary_series(vocabulary_of(rows, tmp_path, 39)).overlap
    assert found is not None
    assert (found.tokens, list(found.tops)) == (39, [10, 30, 38])
    points = oracles.causal_points(rows, oracles.metric(oracles.covariance(rows)[1], 1e-6))
    causal, others = oracles.all_distances(points), np.delete(np.arange(40), 7)
    chords = np.full((40, 40), np.inf)
    chords[np.ix_(others, others)] = oracles.all_distances(oracles.unit_rows(rows[others]))
    for top, at in found.tops.items():
        shares = [
            oracles.overlap(oracles.nearest(causal[row], row, top), oracles.nearest(chords[row], row, top)) / top
            for row in others
        ]
        assert at.mean == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("low", [0.0, 1e-12])
def test_norms_that_are_all_level(low: float, tmp_path: Path) -> None:
    """Bins no wider than rounding would be drawn as nothing: they lie around the one norm instead."""
    rows = np.eye(8) * (3 + low * np.arange(8))[:, None]
    found = vocabulary_series(vocabulary_of(rows, tmp_path, 4), geometries=(Geometry.COSINE, Geometry.CAUSAL)).norms
    assert found.norm_edges[[0, -1]] == pytest.approx([1.5, 6])
    assert np.diff(found.norm_edges) == pytest.approx(np.full(60, 4.5 / 60))
    place = int(np.searchsorted(found.norm_edges, 3, side="right")) - 1
    assert found.counts.sum() == found.counts[place - 1 : place + 2].sum() == 8


def test_the_same_geometry_twice(small: Small, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="two different geometries"):
        small.vocabulary.plot(["vocabulary"], out=tmp_path / "v.png", geometries=(Geometry.CAUSAL, Geometry.CAUSAL))


@pytest.mark.parametrize(
    ("location", "wanted"),
    [
        ("bundled:SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct.Q4_1 (mine)"),
        ("Qwen/Qwen3-4B", "Qwen3-4B (mine)"),
        ("Someone/Mine", "Mine"),
        ("/models/Qwen3-4B/model.safetensors", "Qwen3-4B (mine)"),
        (r"C:\models\Qwen3-4B\model.safetensors", "Qwen3-4B (mine)"),
        (f"/cache/models--Qwen--Qwen3-4B/snapshots/{'0' * 40}", "Qwen3-4B (mine)"),
        ("/somewhere/gamma.npy", "mine"),
    ],
)
def test_the_name_of_a_model(location: str, wanted: str) -> None:
    source = SimpleNamespace(location=location)
    assert model_of(SimpleNamespace(name="mine", manifest=SimpleNamespace(source=source))) == wanted
