"""docs/scale.md: every figure follows from the measured tile times that stand there, and from the plan itself."""

import re
from collections.abc import Iterator

import pytest
from conftest import ROOT

from index.build.resources import BuildSize, tile_bytes
from index.build.settings import Settings
from index.build.tiles import chunk_edges, stages
from index.sources.matrix import MOST_ROWS

TEXT = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
K, SPACES = 100, 3
CORES = 12  # that 16 are counted as
LISTED = 12  # bytes of a candidate: its place, its squared distance


def tables() -> Iterator[list[list[str]]]:
    """The cells of each table, without its rule."""
    for found in re.findall(r"(?:^\|.*\|\n)+", TEXT, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
        yield [lines[0], *lines[2:]]


MEASURED, BUILDS, ONE_SPACE, SPACE_HOURS, ONE_CHECKPOINT, CHECKPOINT_HOURS = tables()


def measured(D: int) -> tuple[int, float, float]:
    """Points of a chunk, seconds of two chunks and bytes of one, as the document states them."""
    for chunk, _, two, _, size in MEASURED[1:]:
        n, width = (int(number.replace(",", "")) for number in chunk.split(" x "))
        if width == D:
            return n, float(two), float(size) * 1e6
    raise AssertionError(D)


def tile_seconds(V: int, D: int) -> float:
    n, seconds, _ = measured(D)
    return seconds * (V / (len(chunk_edges(V)) - 1) / n) ** 2


def rest_seconds(V: int, D: int) -> float:
    """What a build takes besides its graphs, on one core: what grows with V, and what does not."""
    sizes = [(*map(int, size.replace(",", "").split(" x ")), float(took)) for size, took in BUILDS[1:]]
    (less, first), (more, second) = ((rows, took) for rows, width, took in sizes if width == D)
    each = (second - first) / (more - less)
    return first + each * (V - less)


def plan_of(V: int) -> list[int]:
    return [len(stage) for stage in stages(len(chunk_edges(V)) - 1)]


def test_one_space_of_ten_million() -> None:
    V, D = 10_000_000, 768
    n, _, size = measured(D)
    chunks, planned = len(chunk_edges(V)) - 1, plan_of(V)
    seconds = tile_seconds(V, D)
    met = [2**number - 1 for number in range(len(planned))]  # chunks met before a stage, of a place
    new = [2 * count / chunks for count in planned]  # sides of tiles, of each chunk
    candidates = K * (1 + sum(each / before for each, before in zip(new[1:], met[1:], strict=True)))
    points, cut, read = 4 * V * D, size * V / n, chunks * size * V / n
    found, merged = LISTED * V * candidates, len(planned) * LISTED * V * K
    moved = points + cut + read + 2 * found + 2 * merged  # what is found and merged is read, too
    expected = [
        f"{seconds:,.0f} s",
        f"{sum(planned) * seconds / 3600:.1f} h",
        f"{(points + cut) / 1e9:.1f} GB",
        f"{read / 1e12:.2f} TB",
        f"{found / 1e9:.1f} GB",
        f"{merged / 1e9:.1f} GB",
        f"{moved / 1e12:.2f} TB",
    ]
    assert f"The whole build moves {SPACES * moved / 1e12:.1f} TB" in TEXT
    assert [line[1] for line in ONE_SPACE[1:]] == expected
    listed = ", ".join(f"{count:,}" for count in planned[:-1]) + f" and {planned[-1]:,} tiles"
    assert f"{chunks} chunks of {V // chunks:,} points, {sum(planned):,} tiles" in TEXT
    assert f"in seven stages of {listed}" in TEXT
    assert len(planned) == 7


def test_hours_of_ten_million() -> None:
    V, D = 10_000_000, 768
    n, _, size = measured(D)
    chunks = len(chunk_edges(V)) - 1
    read = chunks * size * V / n
    rest = rest_seconds(V, D)
    assert f"takes {rest / 3600:.2f} h of one core" in TEXT
    for machines, hours, whole, speed in SPACE_HOURS[1:]:
        rounds = sum(-(-count // int(machines)) for count in plan_of(V))
        seconds = rounds * tile_seconds(V, D) / CORES
        assert hours == f"{SPACES * seconds / 3600:.1f}"
        assert whole == f"{(SPACES * seconds + rest) / 3600:.1f}"
        assert speed == f"{read / seconds / 1e9:.2f}"
        assert (int(machines) >= 64) == (rest > SPACES * seconds)  # more than half of the build


def test_what_breaks_first_at_ten_million() -> None:
    alone, tiled = (BuildSize.of(10_000_000, 768, 2, Settings(), tiled=tiled) for tiled in (False, True))
    for said in (
        f"more than {MOST_ROWS:,} rows is refused",
        f"{tiled.private / 1e9:.1f} GB of its own, and {tiled.points / 1e9:.1f} GB of points",
        f"{alone.disk / 1e9:.0f} GB for the bundle, and {(tiled.disk - alone.disk) / 1e9:.0f} GB more",
        f"needs {tile_bytes(10_000_000, 768, K) / 1e9:.1f} GB for it",
    ):
        assert said in TEXT
    assert tile_bytes(10_000_000, 768, K) == pytest.approx(tiled.private / 10, rel=0.1)


def test_five_hundred_checkpoints() -> None:
    V, D, count, bundle = 151_936, 2_560, 500, 5.29
    tiles, chunks = sum(plan_of(V)), len(chunk_edges(V)) - 1
    hours = SPACES * tiles * tile_seconds(V, D) / 3600
    fetched = 2 * V * D
    rest = rest_seconds(V, D) / 3600
    assert [line[1] for line in ONE_CHECKPOINT[1:]] == [
        f"{hours:.2f} h",
        f"{rest:.2f} h",
        f"{fetched / 1e9:.2f} GB",
        f"{bundle} GB",
        f"{3 * fetched / 1e9 + bundle:.2f} GB",
    ]
    assert f"For 151,936 x 2,560 that is {rest * 3600:.0f} s, where" in TEXT
    assert f"took {534 - 534 / 1.22:.0f} s\nof wall on two cores" in TEXT  # as docs/performance.md has it
    assert f"takes {100 * rest / (hours + rest):.0f} % of a build" in TEXT
    assert f"{chunks} chunks in tiles" in TEXT
    assert f"the {tiles} tiles" in TEXT
    for machines, graphs, whole, speed in CHECKPOINT_HOURS[1:]:
        all_hours = count * (hours + rest) / CORES / int(machines)
        assert graphs == f"{count * hours / CORES / int(machines):.1f}"
        assert whole == f"{all_hours:.1f}"
        assert speed == f"{count * fetched / all_hours / 3600 / 1e6:.0f}"
    points = BuildSize.of(V, D, 2, Settings()).points
    for said in (
        f"{count * bundle / 1e3:.1f} TB of bundles",
        f"and {count * fetched / 1e9:.0f} GB of fetched matrices in the cache",
        f"{count * fetched / 1e9:.0f} GB in all",
        f"a read of {count * fetched / 1e9:.0f} GB, too",
        "need 16 times 1.13 GB of their own",
        f"16 times {points / 1e9:.1f} GB of points",
        f"over and over: {16 * (1.13 + points / 1e9):.0f} GB",
    ):
        assert said in TEXT
