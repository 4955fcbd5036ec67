"""`overlap`, `duplicates`, `extremes`: questions to all tokens at once."""

from pathlib import Path

import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
from conftest import Built, build, invoke, query
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_known_answers import known

import index
from index.errors import ParameterError
from index.measures.groups import connected_groups

V, D, K = 260, 5, 20


@pytest.fixture(scope="module")
def lists(smollm2: Built) -> dict[str, NDArray]:
    return {name: np.load(smollm2.path / f"{name}.ids.npy") for name in ("causal", "cosine", "causal_cosine")}


@pytest.fixture(scope="module")
def small_gamma() -> NDArray[np.float64]:
    """Clusters larger than a neighbor list, twins, and a zero row."""
    rng = np.random.default_rng(12)
    rows = rng.normal(size=(V, D)) * 4
    for start, size in ((0, 60), (60, 50), (110, 30)):
        rows[start : start + size] = rows[start] + rng.normal(size=(size, D)) * 0.3
    rows[200:230] = rows[200]  # more twins than neighbors kept
    rows[[5, 17]] = rows[4]
    rows[259] = 0
    return np.asarray(rows[rng.permutation(V)])


@pytest.fixture(scope="module")
def small(small_gamma: NDArray[np.float64], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("census")
    np.save(folder / "gamma.npy", small_gamma)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", K)
    return folder / "bundle"


def refused(*arguments: object) -> str:
    done = invoke("query.py", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    return done.err


def test_no_lengths_are_refused(small: Path) -> None:
    with pytest.raises(ParameterError, match="tops must name one length of lists or more, from 1 to 20, got none"):
        index.open(small).overlap(tops=[])


@pytest.mark.parametrize("ask", ["neighbors", "overlap"])
def test_one_geometry_twice_is_named_as_it_is_typed(ask: str, small: Path) -> None:
    tokens = ["#1"] if ask == "neighbors" else []
    assert "two different geometries are compared, got causal-cosine twice" in refused(
        ask, *tokens, "--geometry", "causal-cosine,causal_cosine", "--index", small
    )


# --- overlap ----------------------------------------------------------------------------------------------------------


def test_known_overlaps(smollm2: Built) -> None:
    found = query("overlap", "--index", smollm2.path)
    assert list(found["tops"]) == ["10", "30", "100"]
    at_30 = found["tops"]["30"]
    assert at_30["mean"] == known("0.321")
    assert [round(100 * quartile) for quartile in at_30["quartiles"]] == [10, 23, 50]
    assert at_30["chance"] == 30 / 49_151


@pytest.mark.parametrize("names", [("causal", "cosine"), ("causal_cosine", "causal")])
def test_overlap_of_sets(names: tuple[str, str], lists: dict[str, NDArray], smollm2: Built) -> None:
    spelled = ",".join(names).replace("_", "-")
    found = query("overlap", "--top", "30,5", "--tokens", 40, "--geometry", spelled, "--index", smollm2.path)
    shares = {}
    for k in (5, 30):
        both = zip(*(lists[name][:, :k].tolist() for name in names), strict=True)
        shares[k] = np.array([oracles.overlap(a, b) / k for a, b in both])
        at = found["tops"][str(k)]
        assert at["mean"] == pytest.approx(shares[k].mean(), rel=1e-12)  # summed in another order
        assert at["quartiles"] == np.percentile(shares[k], [25, 50, 75]).tolist()
        assert (at["none"], at["whole"]) == ((shares[k] == 0).sum(), (shares[k] == 1).sum())

    distances = np.load(smollm2.path / f"{names[0]}.distances.npy")[:, :21].astype(np.float64)
    densities = [oracles.notebook_density(np.array([0, *row]), 0, 20) for row in distances]
    order = sorted(range(len(densities)), key=lambda row: (densities[row], row))
    assert len(found["by_density_decile"]) == 10
    for decile, part in zip(found["by_density_decile"], np.array_split(np.array(order), 10), strict=True):
        assert decile["tokens"] == len(part)
        # Means of 20 numbers, summed in another order.
        assert decile["density"] == pytest.approx([densities[part[0]], densities[part[-1]]], rel=1e-13)
        for k in (5, 30):
            assert decile["mean"][str(k)] == pytest.approx(shares[k][part].mean(), abs=1e-4)  # levels may swap places

    rows = range(len(densities))
    for end, sign in (("most", -1), ("least", 1)):
        expected = sorted(rows, key=lambda row: (sign * shares[30][row], sign * shares[5][row], row))[:40]
        assert [token["id"] for token in found[end]] == expected
        assert [token["overlap"] for token in found[end]] == [
            {"5": shares[5][i], "30": shares[30][i]} for i in expected
        ]


def test_tops_go_as_far_as_the_lists(small: Path) -> None:
    assert list(query("overlap", "--index", small)["tops"]) == ["10", "20"]
    assert "--top must be from 1 to 20, the neighbors kept in bundle, got: 21; build with more --neighbors" in refused(
        "overlap", "--top", "5,21", "--index", small
    )


def test_a_zero_row_is_left_out(small: Path) -> None:
    assert query("overlap", "--index", small)["tokens"] == V - 1
    assert query("extremes", "overlap", "--overlap-k", 9, "--index", small)["tokens"] == V - 1
    assert query("extremes", "hubness", "--geometry", "cosine,causal", "--index", small)["tokens"] == V - 1
    assert query("extremes", "hubness", "--index", small)["tokens"] == V


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["overlap", "--top", "0"], "--top must be from 1 to 20"),
        (["overlap", "--top", "10,x"], "--top must be whole numbers with commas between, as in 10,30,100; got: 10,x"),
        (["overlap", "--top", ""], "--top must be whole numbers"),
        (["overlap", "--tokens", "0"], "--tokens must be from 1 to 260"),
        (["overlap", "--geometry", "causal,causal"], "two different geometries are compared, got causal twice"),
        (["overlap", "--json", "--csv"], "exclude each other"),
        (["duplicates", "--within", "-1"], "--within must be 0 logometers or more, got: -1"),
        (["duplicates", "--within", "nan"], "got: nan"),
        (["duplicates", "--top", "0"], "--top must be 1 or more, got: 0"),
        (["extremes", "beauty"], "MEASURE must be one of norm, density, overlap, hubness; got: beauty"),
        (["extremes", "norm", "--top", "261"], "--top must be from 1 to 260"),
        (["extremes", "density", "--density-k", "21"], "--density-k must be from 1 to 20"),
        (["extremes", "overlap", "--overlap-k", "21"], "--overlap-k must be from 1 to 20"),
        (["extremes", "overlap", "--overlap-k", "9", "--geometry", "cosine,cosine"], "two different geometries"),
    ],
)
def test_bad_questions(arguments: list[str], said: str, small: Path) -> None:
    assert said in refused(*arguments, "--index", small)


# --- duplicates -------------------------------------------------------------------------------------------------------


def test_twins_of_the_bundled_model(smollm2: Built, smollm2_gamma: NDArray) -> None:
    found = query("duplicates", "--index", smollm2.path)
    assert found["tokens"] == 15
    assert [group["size"] for group in found["groups"]] == [7, 4, 2, 2]
    assert [group["ids"] for group in found["groups"]] == oracles.twin_groups(smollm2_gamma)
    assert found["groups"][2] == {"size": 2, "ids": [7, 45175], "texts": ["<gh_stars>", " transistorsum"]}


def components(linked: NDArray[np.bool_]) -> list[list[int]]:
    """Groups of two or more that links (V, V) connect: largest first, then by first row."""
    left, groups = set(range(len(linked))), []
    while left:
        group, frontier = set(), {min(left)}
        while frontier:
            group |= frontier
            frontier = {int(other) for row in frontier for other in np.flatnonzero(linked[row])} - group
        left -= group
        groups.append(sorted(group))
    return sorted((group for group in groups if len(group) > 1), key=lambda group: (-len(group), group[0]))


@pytest.mark.parametrize("within", [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 100])
def test_near_twins_beyond_the_stored_lists(within: float, small: Path, small_gamma: NDArray[np.float64]) -> None:
    """Every pair counts, though clusters, and a twin group, are larger than the 20 neighbors kept."""
    _, cov = oracles.covariance(small_gamma)
    distances = oracles.all_distances(oracles.causal_points(small_gamma, oracles.metric(cov, 1e-6)))
    tolerance = oracles.rounding_tolerance(oracles.causal_points(small_gamma, oracles.metric(cov, 1e-6)))
    assert within == 0 or not (np.abs(distances - within) <= tolerance).any()  # else either answer would be right
    found = query("duplicates", "--within", within, "--index", small)
    assert [group["ids"] for group in found["groups"]] == components(distances <= within)


def test_a_link_that_no_list_holds() -> None:
    """Two clusters of three, two neighbors kept: 0.2 and 1 are in each other's reach, but in no list."""
    points = np.array([[0], [0.1], [0.2], [1], [1.1], [1.2]], np.float32)
    distances = oracles.all_distances(points)
    ids = np.array([oracles.nearest(distances[row], row, 2) for row in range(6)], np.int32)
    assert all(set(listed) <= {0, 1, 2} for listed in ids[:3].tolist())
    kept = np.take_along_axis(distances, ids.astype(np.int64), axis=1).astype(np.float32)
    assert connected_groups(points, ids, kept, np.arange(6), 0.7).tolist() == [0, 0, 0, 3, 3, 3]
    assert connected_groups(points, ids, kept, np.arange(6), 0.9).tolist() == [0] * 6


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=40),
    st.integers(1, 5),
    st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, 1e200]),
)
def test_connected_groups_are_those_of_all_pairs(cells: list[tuple[int, int]], k: int, bound: float) -> None:
    """Points on a grid, so that distances are exactly equal to the bound, and twins abound."""
    points = np.array(cells, np.float32)
    distances = oracles.all_distances(points)
    k = min(k, len(points) - 1)
    ids = np.array([oracles.nearest(distances[row], row, k) for row in range(len(points))], np.int32)
    kept = np.take_along_axis(distances, ids.astype(np.int64), axis=1).astype(np.float32)
    found = connected_groups(points, ids, kept, oracles.group_of_every_row(points), bound)
    expected = np.arange(len(points))
    for group in components(distances <= bound):
        expected[group] = group[0]
    assert found.tolist() == expected.tolist()


def test_near_twins_of_the_bundled_model(smollm2: Built, smollm2_gamma: NDArray) -> None:
    """The never-trained tokens are one group within half a logometer: float64 brute force from each to all."""
    found = query("duplicates", "--within", 0.5, "--index", smollm2.path)
    (group,) = found["groups"]
    assert group["size"] == found["tokens"] == len(group["texts"])
    _, cov = oracles.covariance(smollm2_gamma)
    points = oracles.causal_points(smollm2_gamma, oracles.metric(cov, 1e-6))
    linked = oracles.distances_from(points, group["ids"]) <= 0.5
    assert set(np.flatnonzero(linked.any(axis=0))) == set(group["ids"])
    assert components(linked[:, group["ids"]]) == [list(range(group["size"]))]
    others = np.setdiff1d(np.random.default_rng(1).choice(len(points), 100, replace=False), group["ids"])
    assert (oracles.distances_from(points, others) <= 0.5).sum() == len(others)  # each only to itself


# --- extremes ---------------------------------------------------------------------------------------------------------


def expected_ends(values: NDArray, ids: NDArray, top: int) -> dict[str, list[tuple[int, float]]]:
    pairs = [(int(i), float(value)) for i, value in zip(ids, values, strict=True)]
    return {
        "highest": sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:top],
        "lowest": sorted(pairs, key=lambda pair: (pair[1], pair[0]))[:top],
    }


@pytest.mark.parametrize("measure", ["norm", "density", "overlap", "hubness"])
def test_ends_are_those_of_the_columns(measure: str, smollm2: Built) -> None:
    column = {"norm": "causal_norm", "density": "density_notebook", "overlap": "overlap_30"}.get(measure, measure)
    values = np.array(pq.read_table(smollm2.path / "tokens.parquet", columns=[column])[column].to_pylist(), np.float64)
    found = query("extremes", measure, "--top", 25, "--index", smollm2.path)
    assert found["tokens"] == len(values)
    for end, expected in expected_ends(values, np.arange(len(values)), 25).items():
        assert [(place["id"], place["value"]) for place in found[end]] == expected
        for place in found[end]:
            below, level = (values < place["value"]).mean(), (values == place["value"]).mean()
            assert place["percentile"] == pytest.approx(100 * (below + level / 2), rel=1e-12)
    assert found["level"] == {"highest": (values == values.max()).sum(), "lowest": (values == values.min()).sum()}
    for p, value in found["percentiles"].items():
        assert (values <= value).mean() >= int(p) / 100
        assert (values < value).mean() <= int(p) / 100


def test_extremes_in_other_geometries(smollm2: Built, lists: dict[str, NDArray]) -> None:
    norms = np.array(pq.read_table(smollm2.path / "tokens.parquet")["euclidean_norm"].to_pylist())
    found = query("extremes", "norm", "--geometry", "cosine,causal", "--top", 3, "--index", smollm2.path)
    assert [place["id"] for place in found["highest"]] == np.argsort(-norms)[:3].tolist()
    found = query(
        "extremes", "hubness", "--geometry", "causal-cosine,causal", "--density-k", 7, "--index", smollm2.path
    )
    counts = np.bincount(lists["causal_cosine"][:, :7].ravel())
    assert (found["highest"][0]["id"], found["highest"][0]["value"]) == (counts.argmax(), counts.max())
    assert (found["k"], found["geometries"]) == (7, ["causal_cosine"])


def test_infinite_densities_are_null_and_highest(small: Path) -> None:
    """Thirty twins, of whom each has twenty others at distance 0."""
    found = query("extremes", "density", "--rule", "multiset", "--top", 31, "--index", small)
    assert found["level"]["highest"] == 30
    assert [place["value"] is None for place in found["highest"]] == [True] * 30 + [False]
    assert found["percentiles"]["100"] is None
