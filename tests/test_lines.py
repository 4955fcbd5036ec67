"""Facts and tables on terminals of any width: as rich lays them out where there is room, and no number cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from conftest import build
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

import index
from index.answers.answer import Answer
from index.answers.lines import FIGURE_CELLS, plain
from index.answers.page import TEXT, Block, Column, Facts, Several, Table, facts, table
from index.answers.terminal import renderable
from index.api import OpenVocabulary
from index.tokens.vocabulary import Token

TEXTS = ("planet", " planet", "\n\n", "日本語の惑星", "שלום", "e\u0301", "x" * 90, "")


def by_rich(block: Facts | Table) -> RichTable:
    """The same block as a table of rich."""
    if isinstance(block, Facts):
        grid = RichTable.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in block.rows:
            grid.add_row(Text(name), Text(plain(value)))
    elif block.of_tokens:
        grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in block.columns[:-1]:
            name = column.name if isinstance(column, Column) else column
            cells = column.cells if isinstance(column, Column) else FIGURE_CELLS.get(name, max(len(name), 1))
            grid.add_column(name, justify="right" if name else "left", no_wrap=True, min_width=cells)
        grid.add_column(block.names[-1], overflow="ellipsis")
        for row in block.rows:
            grid.add_row(*map(Text, map(plain, row[:-1])), Text(plain(row[-1]), no_wrap=True, overflow="ellipsis"))
    else:
        grid = RichTable.grid(padding=(0, 3))
        for name in block.names:
            grid.add_column(no_wrap=True, justify="right" if name else "left")
        for row in (block.names, *block.rows):
            grid.add_row(*map(Text, map(plain, row)))
    return grid


def printed(shown: RenderableType, width: int) -> list[str]:
    console = Console(width=width, file=StringIO(), highlight=False)
    with console.capture() as captured:
        console.print(shown)
    return captured.get().splitlines()


def blocks() -> Iterable[Facts | Table]:
    rng = np.random.default_rng(0)
    for _ in range(40):
        tokens = [Token(n, int(rng.integers(10**6)), str(rng.choice(TEXTS)), None) for n in range(4)]
        rows = [(str(n + 1), str(each.id), f"{rng.normal():.6f}", "=" * (n % 2), each) for n, each in enumerate(tokens)]
        yield table(("rank", "id", "logometers", "", "text"), rows)
        yield table((Column("hubs", 9), "text"), [(row[0], row[-1]) for row in rows])
        yield table(("", "a", "of all"), [("causal", row[1], row[2]) for row in rows])
        yield table(("k", "mean"), [row[:2] for row in rows])
        words = " ".join(map(str, rng.integers(10**6, size=rng.integers(1, 12))))
        yield facts([("text", tokens[0]), ("mean distance", words), ("  of", ("#7  ", tokens[1]))])


@pytest.mark.parametrize("width", [80, 84, 200])
def test_with_room_they_are_as_rich_has_them(width: int) -> None:
    for block in blocks():
        assert printed(renderable([block]), width) == printed(by_rich(block), width)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> OpenVocabulary:
    folder: Path = tmp_path_factory.mktemp("lines")
    rows = np.random.default_rng(1).normal(size=(3000, 6))
    rows[7] = rows[8]
    np.save(folder / "gamma.npy", rows)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 20, "--density-k", 5)
    return index.open(folder / "bundle")


def numbers(page: Iterable[Block]) -> set[str]:
    """All that a wide terminal shows with a digit in it, but for checksums, versions and paths."""
    words = " ".join(printed(renderable(page), 400)).split()
    return {word for word in words if re.fullmatch(r"[#(]?-?\d[\d,.%-]*[),;.]*", word)}


ASKED: dict[str, Callable[[OpenVocabulary], Answer]] = {
    "neighbors": lambda vocabulary: vocabulary.neighbors("#2999", top=5),
    "within": lambda vocabulary: vocabulary.within("#2999", radius=1.0),
    "analogy": lambda vocabulary: vocabulary.analogy("#7 - #2999"),
    "rank": lambda vocabulary: vocabulary.rank("#7", "#2999"),
    "distance": lambda vocabulary: vocabulary.distance("#7", "#2999"),
    "densest": lambda vocabulary: vocabulary.densest(density_k=5, top=5),
    "overlap": lambda vocabulary: vocabulary.overlap(tops=[5, 10]),
    "extremes": lambda vocabulary: vocabulary.extremes("norm"),
    "spectrum": lambda vocabulary: vocabulary.spectrum(),
}


@pytest.mark.parametrize("width", [20, 30, 40, 60])
@pytest.mark.parametrize("question", ASKED)
def test_no_number_is_cut(question: str, width: int, vocabulary: OpenVocabulary) -> None:
    answer = ASKED[question](vocabulary)
    lines = printed(renderable(answer.page()), width)
    assert max(map(len, lines)) <= width
    assert numbers(answer.page()) <= {word for line in lines for word in line.split()}
    if question == "neighbors":
        found = answer.json()["causal"] + answer.json()["cosine"]
        shown = {str(place["id"]) for place in found} | {
            f"{place['distance']:.6f}" for place in answer.json()["causal"]
        }
        assert shown <= {word for line in lines for word in line.split()}


@pytest.mark.parametrize("width", [20, 40, 60])
def test_texts_shrink_first(width: int) -> None:
    token = Token(7, 123_456, "planetary" * 4, None)
    block = table(("rank", "id", "logometers", "text"), [("1", "123456", "17.470337", token)])
    lines = printed(renderable([block]), width)
    said = " ".join(lines)
    assert {"1", "123456", "17.470337"} <= set(said.split())
    assert "planet" in said
    assert "…" in said


@pytest.mark.parametrize("width", [80, 60, 40])
def test_a_group_says_how_many_more_it_holds(width: int) -> None:
    """Whole texts, as many as there is room for, and the count of the rest is never what is cut."""
    tokens = tuple(Token(row, row, f"<token_{row}>", None) for row in range(20))
    block = table(("id", TEXT), [("0", Several(tokens))])
    console = Console(width=width, file=StringIO())
    console.print(renderable([block]))
    line = console.file.getvalue().splitlines()[-1].rstrip()
    found = re.fullmatch(r" *0   ((?:<token_\d+>  )+)and (\d+) more", line)
    assert found is not None
    assert len(line) <= width
    assert found[1].count("<token_") + int(found[2]) == 20
