"""`overlap`, `duplicates`, `extremes`: questions to all tokens at once."""

import csv
import json
from io import StringIO
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
from index.answers.answer import jsonable, to_json
from index.errors import ParameterError
from index.measures import density
from index.measures.density import Rule
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


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["overlap"], "two different geometries are compared, got causal-cosine twice"),
        (["neighbors", "#1"], "each once, as in causal,cosine; got: causal-cosine,causal_cosine"),
    ],
)
def test_one_geometry_twice_is_named_as_it_is_typed(asked: list[str], said: str, small: Path) -> None:
    assert said in refused(*asked, "--geometry", "causal-cosine,causal_cosine", "--index", small)


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

    distances = np.load(smollm2.path / f"{names[0]}.distances.npy").astype(np.float64)
    twins = pq.read_table(smollm2.path / "tokens.parquet", columns=["twin_group"])["twin_group"].to_pylist()
    densities = []
    for row, (near, ids) in enumerate(zip(distances.tolist(), lists[names[0]].tolist(), strict=True)):
        others = {twins[id]: distance for id, distance in zip(ids, near, strict=True) if twins[id] != twins[row]}
        densities.append(20 / sum(sorted(others.values())[:20]))
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
        for token in found[end]:
            for k, share in token["overlap"].items():
                assert 0 <= token["lowest"][k] <= share <= token["highest"][k] <= 1


def test_what_ties_could_make_of_the_overlap_of_each_token(
    small: Path, small_gamma: NDArray[np.float64], tmp_path: Path
) -> None:
    """Against brute force, though thirty twins are more than a list keeps: the distinct points go on."""
    _, cov = oracles.covariance(small_gamma)
    points = oracles.causal_points(small_gamma, oracles.metric(cov, 1e-6))
    zero = int(np.flatnonzero(~small_gamma.any(axis=1))[0])
    with np.errstate(invalid="ignore"):
        unit = oracles.unit_rows(small_gamma)[oracles.group_of_every_row(small_gamma)]
    causal, cosine = oracles.all_distances(points), oracles.all_distances(unit)
    cosine[zero] = cosine[:, zero] = np.inf
    spaces = index.open(small).spaces
    resolutions = [spaces[index.Geometry(name)].resolution for name in ("causal", "cosine")]
    k = 12
    bounds = np.array(
        [
            oracles.overlap_bounds(
                *(oracles.choices(d[row], row, k, r) for d, r in zip((causal, cosine), resolutions, strict=True))
            )
            for row in range(V)
            if row != zero
        ]
    )
    found = query("overlap", "--top", k, "--tokens", V, "--index", small)
    at = found["tops"][str(k)]
    assert (bounds[:, 0] < bounds[:, 1]).sum() == at["tied"] >= 30
    assert (at["lowest"], at["highest"]) == pytest.approx(tuple(bounds.mean(axis=0) / k), rel=1e-12)
    assert (at["none_always"], at["whole_always"]) == ((bounds[:, 1] == 0).sum(), (bounds[:, 0] == k).sum())
    assert at["bounded"] == 0
    ends = query("extremes", "overlap", "--overlap-k", k, "--top", V - 1, "--index", small)["highest"]
    rows = np.delete(np.arange(V), zero)
    for place in ends:
        expected = bounds[np.searchsorted(rows, place["row"])] / k
        assert (place["lowest"], place["highest"]) == pytest.approx(tuple(expected), rel=1e-12)

    shown = invoke("query.py", "overlap", "--top", k, "--index", small).said
    assert f"{k} {100 * at['lowest']:.1f} {100 * at['highest']:.1f}" in shown
    whole = found["tops"] | query("overlap", "--top", K, "--index", small)["tops"]
    assert whole[str(K)]["bounded"] > 0
    assert "the range allows for any" in invoke("query.py", "overlap", "--top", K, "--index", small).said


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
    for rule in ("distinct", "notebook"):
        found = query("extremes", "density", "--geometry", "cosine", "--rule", rule, "--index", small)
        assert found["zero_rows"] == 1
        assert found["tokens"] + found["undefined"] + found["zero_rows"] == V
        assert found["undefined"] == (30 if rule == "notebook" else 0)  # the twins that fill their own lists
    said = invoke("query.py", "extremes", "density", "--geometry", "cosine", "--index", small).said
    assert "1 zero row, without direction and cosine neighbors" in said
    assert "rule 'notebook'" not in said


def test_one_geometry_is_enough_where_one_is_looked_at(small: Path) -> None:
    for measure in ("norm", "density", "hubness"):
        one, two = (
            query("extremes", measure, "--geometry", asked, "--index", small) for asked in ("cosine", "cosine,causal")
        )
        assert one == two


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
        (["extremes", "overlap", "--overlap-k", "9", "--geometry", "cosine,cosine"], "each once"),
        (["extremes", "overlap", "--overlap-k", "9", "--geometry", "cosine"], "--geometry must name two of causal"),
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
    assert found["groups"][2] == {
        "size": 2,
        "ids": [7, 45175],
        "texts": ["<gh_stars>", " transistorsum"],
        "pieces": ["<gh_stars>", "Ġtransistorsum"],
    }


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


@pytest.mark.slow("float64 brute force from each token of the group to all")
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
    column = {"norm": "causal_norm", "density": "density_distinct", "overlap": "overlap_30"}.get(measure, measure)
    values = np.array(pq.read_table(smollm2.path / "tokens.parquet", columns=[column])[column].to_pylist(), np.float64)
    found = query("extremes", measure, "--top", 25, "--index", smollm2.path)
    assert found["tokens"] == len(values)
    for end, expected in expected_ends(values, np.arange(len(values)), 25).items():
        assert [(place["id"], place["value"]) for place in found[end]] == expected
        for place in found[end]:
            below, level = (values < place["value"]).mean(), (values == place["value"]).mean()
            assert place["percentile"] == pytest.approx(100 * (below + level / 2), rel=1e-12)
    if measure != "density":  # told apart by the resolution: below
        assert found["level"] == {"highest": (values == values.max()).sum(), "lowest": (values == values.min()).sum()}
    for p, value in found["percentiles"].items():
        assert (values <= value).mean() >= int(p) / 100
        assert (values < value).mean() <= int(p) / 100


@pytest.mark.parametrize("rule", ["notebook", "distinct", "multiset"])
def test_ties_for_the_densest_are_counted_once_for_all(rule: str, small: Path) -> None:
    """`densest` and `extremes` ask the same: whose mean distance cannot be told from the densest's."""
    tied = query("densest", "--rule", rule, "--index", small)["density"]["by_rule"][rule]["tied"]
    assert query("extremes", "density", "--rule", rule, "--index", small)["level"]["highest"] == tied
    if rule == "multiset":
        assert tied == 30


def test_near_ties_for_the_densest(tmp_path: Path) -> None:
    """Pairs equally far apart, whose places round their distance differently: no two densities are equal."""
    rows = np.random.default_rng(8).normal(size=(30, 4)) * 50
    both = np.concatenate([rows, rows + np.array([0.1, 0, 0, 0])])
    np.save(tmp_path / "gamma.npy", both)
    np.save(tmp_path / "M.npy", np.eye(4))
    build(
        *(tmp_path / "gamma.npy", "--metric-tensor", tmp_path / "M.npy", "--out", tmp_path / "bundle"),
        *("--neighbors", 5, "--density-k", 1),
    )
    tied = query("densest", "--index", tmp_path / "bundle")["density"]["by_rule"]["notebook"]["tied"]
    found = query("extremes", "density", "--top", 60, "--index", tmp_path / "bundle")
    assert len({place["value"] for place in found["highest"]}) > 1
    assert found["level"] == {"highest": 60, "lowest": 60}
    assert tied == 60


@pytest.mark.parametrize("among", [None, list(range(0, V, 3)), [5], list(range(40))])
def test_the_densest_of_stored_densities_is_that_of_the_lists(among: list[int] | None, small: Path) -> None:
    """Winner, ties and spread from all lists, as they were before densities were stored."""
    vocabulary = index.open(small)
    k = vocabulary.manifest.settings.density_k
    for geometry in (index.Geometry.CAUSAL, index.Geometry.COSINE):
        space = vocabulary.spaces[geometry]
        rows = np.setdiff1d(np.arange(V) if among is None else among, space.excluded)
        found = vocabulary.densest(geometries=(geometry,), among=among)
        for rule in Rule:
            means = density.mean_distances(space.distances[:], space.distinct_distances[:], rule, k)[rows]
            first = int(np.nanargmin(means)) if np.isfinite(means).any() else 0
            winner = found.by_rule[rule]
            assert (winner.token.row, winner.density) == (rows[first], density.density(means[first]))
            assert winner.tied == len(density.tied_with(means, means[first], space.resolution))
            if rule is Rule.NOTEBOOK:
                densities = density.density(means)
                spread = densities.min(), densities.max(), densities.mean(), np.median(densities)
                assert (found.minimum, found.maximum, found.mean, found.median) == spread


def test_twins_are_in_as_many_lists(small: Path, small_gamma: NDArray[np.float64]) -> None:
    found = query("extremes", "hubness", "--density-k", 7, "--top", V, "--index", small)
    values = {place["row"]: place["value"] for place in found["highest"]}
    for group in oracles.twin_groups(small_gamma):
        assert len({values[row] for row in group}) == 1
    assert sum(values.values()) == pytest.approx(7 * V)


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


def test_infinite_densities_are_texts_and_highest(small: Path, tmp_path: Path) -> None:
    """Thirty twins, of whom each has twenty others at distance 0: JSON has a word for it, files have the number."""
    asked = ("extremes", "density", "--rule", "multiset", "--top", 31, "--index", small)
    found = query(*asked)
    assert found["level"]["highest"] == 30
    assert [place["value"] for place in found["highest"]][:30] == ["Infinity"] * 30
    assert isinstance(found["highest"][30]["value"], float)
    assert found["percentiles"]["100"] == "Infinity"

    lines = list(csv.DictReader(StringIO(invoke("query.py", *asked, "--csv").out)))
    assert [line["value"] for line in lines[:30]] == ["inf"] * 30
    assert lines[0]["lowest"] == ""  # there is none
    assert invoke("query.py", *asked, "--parquet", tmp_path / "ends.parquet").code == 0
    table = pq.read_table(tmp_path / "ends.parquet").to_pydict()
    assert table["value"][:30] == [np.inf] * 30
    assert table["lowest"][0] is None
    frame = index.open(small).extremes("density", rule="multiset", top=31).to_pandas()
    assert frame["value"][:30].tolist() == [np.inf] * 30


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5),
        (np.inf, "Infinity"),
        (-np.inf, "-Infinity"),
        (np.nan, None),
        ([np.inf, {"a": np.nan}], ["Infinity", {"a": None}]),
    ],
)
def test_json_has_a_word_for_what_is_infinite(value: object, expected: object) -> None:
    assert jsonable(value) == expected
    assert json.loads(to_json(jsonable(value)), parse_constant=refused) == expected
