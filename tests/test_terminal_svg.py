"""`--svg`: the picture shows what the terminal would, and loads nothing."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from conftest import Built, invoke
from rich.console import Console
from rich.text import Text
from texts import WORST

from index.answers.lines import shown
from index.answers.page import Sentence
from index.answers.terminal import CELL_WIDTH, COLUMNS, terminal_svg
from index.tokens.vocabulary import Token

SVG = "{http://www.w3.org/2000/svg}"


def lines(picture: str) -> list[str]:
    """The lines of the terminal without spaces, in place of which a picture has coordinates."""
    root = ET.fromstring(picture)
    matrix = next(group for group in root.iter(f"{SVG}g") if str(group.get("class")).endswith("-matrix"))
    found: dict[str, str] = {}
    for text in matrix.iter(f"{SVG}text"):
        found[text.attrib["clip-path"]] = found.get(text.attrib["clip-path"], "") + "".join(text.itertext())
    return [line.replace("\xa0", "").strip() for line in found.values() if line.strip()]


def draw(path: Path, smollm2: Built, *arguments: object) -> str:
    done = invoke("query.py", *arguments, "--index", smollm2.path, "--svg", path)
    assert (done.code, done.out, done.err) == (0, "", "")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("question", [["densest", "--top", 5], ["neighbors", "planet", "#7", "--top", 5]])
def test_it_shows_what_the_terminal_would(
    question: list[object], smollm2: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = draw(tmp_path / "picture.svg", smollm2, *question)
    monkeypatch.setattr("conftest.CliRunner", lambda env: _runner(COLUMNS))
    printed = invoke("query.py", *question, "--index", smollm2.path).out
    assert lines(picture) == [line.replace(" ", "") for line in printed.splitlines() if line.strip()]


def _runner(columns: int) -> object:
    from typer.testing import CliRunner

    return CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1"})


def test_it_loads_nothing(smollm2: Built, tmp_path: Path) -> None:
    picture = draw(tmp_path / "picture.svg", smollm2, "neighbors", "planet")
    assert set(re.findall(r"https?://[^\"' )]+", picture)) == {"http://www.w3.org/2000/svg"}
    assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)\)", picture))
    assert "@font-face" not in picture
    assert "<script" not in picture


@pytest.mark.parametrize("text", WORST)
def test_texts_stay_texts(text: str) -> None:
    token = Token(0, 0, text, None)
    picture = terminal_svg([Sentence(f"a {shown(token)} b")], title=f"of {shown(token)}")
    harmless = terminal_svg([Sentence("a harmless b")], title="of harmless")
    assert [element.tag for element in ET.fromstring(picture).iter()] == [
        element.tag for element in ET.fromstring(harmless).iter()
    ]
    console = Console(width=COLUMNS, no_color=True)
    with console.capture() as captured:
        console.print(Text(f"a {shown(token)} b"))
    assert lines(picture) == [captured.get().strip().replace(" ", "")]


def test_what_is_refused(smollm2: Built, tmp_path: Path) -> None:
    for arguments, why in (
        (["densest", "--json"], "--json, --csv, --parquet and --svg exclude each other"),
        (["neighbors", "planet", "--csv"], "--json, --csv, --parquet and --svg exclude each other"),
        (["neighbors", "--file", tmp_path / "tokens.txt"], "--svg is of tokens named on the command line"),
    ):
        done = invoke("query.py", *arguments, "--index", smollm2.path, "--svg", tmp_path / "picture.svg")
        assert (done.code, done.out) == (2, "")
        assert why in done.err
    done = invoke("query.py", "densest", "--index", smollm2.path, "--svg", tmp_path / "none" / "picture.svg")
    assert done.code == 2
    assert "picture.svg cannot be written" in done.err


def test_wide_scripts_have_the_room_of_their_cells() -> None:
    """A Chinese character takes two cells, and a picture that counted characters pressed it into one."""
    root = ET.fromstring(terminal_svg([Sentence("中文字 abc"), Sentence("abc")], title="widths"))
    widths = {
        "".join(text.itertext()): float(text.attrib["textLength"])
        for text in root.iter(f"{SVG}text")
        if "textLength" in text.attrib
    }
    assert widths["中文字\xa0abc"] == pytest.approx(10 * CELL_WIDTH)
    assert widths["abc"] == pytest.approx(3 * CELL_WIDTH)
