"""`within` against float64 brute force, the same tokens up to ties; and the tables of questions about reach."""

from pathlib import Path

import numpy as np
import oracles
import pytest
import smollm2_oracle as oracle
from conftest import Built, invoke, query

import index
from index.geometry.maps import Geometry
from index.questions.within import within

PLANET, TWIN = 46835, 7
"""A word, and a token with a twin and with neighbors 0.01 logometers away."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.build_small(tmp_path_factory.mktemp("small"))


# --- within -----------------------------------------------------------------------------------------------------------


def check_within(answer: dict, geometry: str, row: int, limit: float) -> None:
    """Everything nearer than `limit` is listed, nothing further, but for what lies on the border."""
    distances, tolerance = oracle.distances(geometry, row), oracle.tolerance(geometry)
    others = np.arange(len(distances)) != row
    certain = np.flatnonzero((distances <= limit - tolerance) & others)
    possible = np.flatnonzero((distances <= limit + tolerance) & others)
    listed = [place["row"] for place in answer["neighbors"]]
    assert answer["token"]["row"] == row
    assert answer["geometry"] == geometry
    assert answer["count"] == len(listed)
    assert set(certain) <= set(listed) <= set(possible)
    assert answer["lowest"] <= answer["count"] <= answer["highest"]
    shown = [place["distance"] for place in answer["neighbors"]]
    if listed:
        oracles.assert_nearest_up_to_ties(listed, shown, distances, row, tolerance)


@pytest.mark.slow("float64 points of the bundled model are made for its brute force")
@pytest.mark.parametrize("radius", [0, 0.05, 20, 27.5, 36, 200])
@pytest.mark.parametrize("row", [PLANET, TWIN])
def test_within_a_radius(row: int, radius: float, smollm2: Built) -> None:
    answer = query("within", f"#{row}", "--radius", radius, "--index", smollm2.path)
    assert answer["threshold"] == radius
    check_within(answer, "causal", row, radius)
    assert [place["id"] for place in answer["neighbors"] if place["twin"]] == ([45175] if row == TWIN else [])


@pytest.mark.parametrize("geometry", ["cosine", "causal_cosine"])
@pytest.mark.parametrize("similarity", [1, 0.75, 0.4, -0.2])
def test_within_a_cone(similarity: float, geometry: str, smollm2: Built) -> None:
    options = ["--similarity", similarity, "--geometry", geometry.replace("_", "-"), "--index", smollm2.path]
    answer = query("within", "planet", *options)
    assert answer["threshold"] == similarity
    check_within(answer, geometry, PLANET, np.sqrt(2 - 2 * similarity))
    for place in answer["neighbors"]:
        assert place["similarity"] >= similarity - 1e-15  # 1 - (sqrt(2 - 2 s))^2 / 2 rounds


def test_a_similarity_alone_is_cosine(smollm2: Built) -> None:
    assert query("within", "planet", "--similarity", 0.7, "--index", smollm2.path)["geometry"] == "cosine"


def test_tokens_on_the_border_are_stated(smollm2: Built) -> None:
    """A radius of exactly the third distance: it counts, and the range says that it might not."""
    bundle = index.open(smollm2.path)
    third = within(bundle, "planet", radius=22).neighbors[2].distance
    found = within(bundle, "planet", radius=third)
    assert (found.lowest, found.count, found.highest) == (2, 3, 3)
    just_less = float(np.nextafter(np.float32(third), np.float32(0)))
    found = within(bundle, "planet", radius=just_less)
    assert (found.lowest, found.count, found.highest) == (2, 2, 3)
    shown = invoke("query.py", "within", "planet", "--radius", just_less, "--index", smollm2.path).said
    assert "1 tokens within the resolution of it: the count could be 2 to 3" in shown


@pytest.fixture(scope="module")
def thirteen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows 20 to 32 are twins."""
    rows = oracle.small_gamma()
    rows[20:33] = rows[20]
    return oracle.build_small(tmp_path_factory.mktemp("thirteen"), gamma=rows)


@pytest.mark.parametrize(
    "options", [["--radius", 0], ["--similarity", 1], ["--similarity", 1, "--geometry", "causal-cosine"]]
)
def test_twins_are_certain(options: list[object], thirteen: Path) -> None:
    """Their distance is 0 however points are rounded."""
    answer = query("within", "#25", *options, "--index", thirteen)
    assert (answer["lowest"], answer["count"], answer["highest"]) == (12, 12, 12)
    assert all(place["twin"] for place in answer["neighbors"])
    assert "could be" not in invoke("query.py", "within", "#25", *options, "--index", thirteen).said


def test_thresholds_are_not_rounded_to_float32(thirteen: Path) -> None:
    """Nor compared as such: a radius just short of a stored distance, by less than float32 can tell, leaves it out."""
    bundle = index.open(thirteen)
    third = within(bundle, "#3", radius=100).neighbors[2].distance
    assert within(bundle, "#3", radius=third).count == 3
    assert within(bundle, "#3", radius=float(np.nextafter(third, 0))).count == 2
    assert within(bundle, "#3", radius=float(np.nextafter(third, 9))).count == 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("radius", [1e39, 1e308])
def test_a_radius_beyond_float32_holds_everything(radius: float, thirteen: Path) -> None:
    found = within(index.open(thirteen), "#3", radius=radius)
    assert (found.lowest, found.count, found.highest) == (344, 344, 344)


def test_the_stored_list_and_the_search_agree(smollm2: Built) -> None:
    """One radius inside the hundred stored neighbors, one beyond: the longer list begins with the shorter."""
    bundle = index.open(smollm2.path)
    last = float(bundle.causal.distances[PLANET, -1])
    short, long = (within(bundle, "planet", radius=radius) for radius in (last - 0.1, last + 0.1))
    assert short.count < 100 < long.count
    assert long.neighbors[: short.count - 1] == short.neighbors[:-1]


def test_the_table_says_what_it_leaves_out(smollm2: Built) -> None:
    shown = invoke("query.py", "within", "planet", "--radius", 31, "--index", smollm2.path).said
    count = query("within", "planet", "--radius", 31, "--index", smollm2.path)["count"]
    assert f"count {count:,} tokens" in shown
    assert f"and {count - 30:,} more, further away" in shown
    assert query("within", "planet", "--radius", 31, "--top", 2, "--index", smollm2.path)["count"] == count
    assert "≡*† ␣transistorsum" in invoke("query.py", "within", "#7", "--radius", 1, "--index", smollm2.path).said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "one threshold is needed"),
        (["--radius", 1, "--similarity", 1], "one threshold is needed"),
        (["--radius", "-1"], "--radius must be 0 logometers or more, got: -1"),
        (["--radius", "nan"], "--radius must be 0 logometers or more, got: nan"),
        (["--similarity", "1.5"], "--similarity must be from -1 to 1, got: 1.5"),
        (["--similarity", "nan"], "--similarity must be from -1 to 1, got: nan"),
        (["--radius", 1, "--geometry", "cosine"], "cosine takes a --similarity"),
        (["--similarity", 1, "--geometry", "causal"], "the causal geometry takes a --radius"),
        (["--radius", 1, "--geometry", "flat"], "--geometry must be one of causal, cosine, causal-cosine, got: flat"),
        (["--radius", 1, "--top", 0], "--top must be from 1 to 344"),
        (["--radius", 1, "--json", "--csv"], "exclude each other"),
    ],
)
def test_bad_thresholds(options: list[object], said: str, small: Path) -> None:
    outcome = invoke("query.py", "within", "#3", *options, "--index", small)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.said


def test_nothing_is_within_a_cone_around_a_zero_row(small: Path) -> None:
    answer = query("within", f"#{oracle.ZERO}", "--similarity", -1, "--index", small)
    assert (answer["count"], answer["neighbors"]) == (0, [])
    shown = invoke("query.py", "within", f"#{oracle.ZERO}", "--similarity", -1, "--index", small).said
    assert "this token's row is zero and has no direction" in shown
    everyone = query("within", "#3", "--similarity", -1, "--index", small)["neighbors"]
    assert {place["row"] for place in everyone} == set(range(oracle.V)) - {3, oracle.ZERO}
    header = invoke("query.py", "within", f"#{oracle.ZERO}", "--similarity", 1, "--csv", "--index", small).out
    assert header.startswith("token_id,token,geometry,rank,")


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["within", "planet", "--similarity", "0.6"],
        ["within", "#7", "--radius", "1"],
        ["analogy", "vier - four + planet"],
        ["distance", "#39014", "#190"],
        ["rank", "#39014", "#190"],
        ["neighbors", "planet", "--top", "5", "--among", "kind=digits"],
    ],
)
def test_no_line_is_wider_than_the_terminal(
    arguments: list[str], smollm2: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.cells import cell_len
    from typer.testing import CliRunner

    import query as program

    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(program.app, [*arguments, "--index", str(smollm2.path)]).stdout
    assert max(map(cell_len, shown.splitlines())) <= 80
    assert "similari…" not in shown
    assert all(character.isprintable() or character in "\n\u2066\u2068\u2069" for character in shown)


def test_tables_hold_what_json_holds(smollm2: Built) -> None:
    expression = "vier - four + planet"
    answer = query("analogy", expression, "--index", smollm2.path)
    shown = invoke("query.py", "analogy", expression, "--index", smollm2.path).said
    for geometry in Geometry:
        assert len(answer[geometry.value]) == 10
        for place in answer[geometry.value]:
            similarity = f"{place['similarity']:.6f} " if geometry.angular else ""
            assert f"{place['rank']} {place['row']} {place['id']} {similarity}{place['distance']:.6f}" in shown
