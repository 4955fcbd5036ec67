"""The pictures in README.md and docs/ are what the commands beside them make."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Built, invoke

pytestmark = pytest.mark.shown

DOCS = ROOT / "docs"
COMMANDS = {
    "neighbors.svg": "uv run query.py neighbors planet --top 8 --svg docs/neighbors.svg --overwrite",
    "plot.svg": "uv run --extra plot query.py plot planet --out docs/plot.svg --overwrite",
}
SVG = "{http://www.w3.org/2000/svg}"


def made(name: str, smollm2: Built, folder: Path) -> str:
    """What the command of a picture makes now."""
    arguments = COMMANDS[name].split("query.py ")[1].split()
    arguments[arguments.index(f"docs/{name}")] = str(folder / name)
    done = invoke("query.py", *arguments, "--index", smollm2.path)
    assert (done.code, done.err) == (0, "")
    return (folder / name).read_text(encoding="utf-8")


def strokes(figure: str) -> Iterator[tuple[str, list[float]]]:
    """What is drawn beside texts and keys, whose places depend on the fonts: commands and coordinates."""
    pending = [ET.fromstring(figure)]
    while pending:
        element = pending.pop()
        if re.match("text_|legend_", element.get("id", "")) or element.tag == f"{SVG}defs":
            continue
        drawn = " ".join(element.get(name, "") for name in ("d", "x", "y"))
        if drawn.strip():
            yield (
                re.sub(r"[-0-9.e\s]+", " ", drawn),
                [float(number) for number in re.findall(r"-?[0-9.]+(?:e-?\d+)?", drawn)],
            )
        pending.extend(element)


def terminal(picture: str) -> list[tuple[str, str, str]]:
    """What a picture of a terminal shows: the line, the style and the letters of each text; rich places them."""
    drawn = ET.fromstring(picture)
    sheet = "".join(style.text or "" for style in drawn.iter(f"{SVG}style"))
    styles = dict(re.findall(r"\.([\w-]+) \{([^}]*)\}", sheet))
    return [
        (text.get("clip-path", "").rpartition("-")[2], styles[text.attrib["class"]].strip(), "".join(text.itertext()))
        for text in drawn.iter(f"{SVG}text")
    ]


def test_the_terminal(smollm2: Built, tmp_path: Path) -> None:
    now = terminal(made("neighbors.svg", smollm2, tmp_path))
    assert len(now) > 100
    assert now == terminal((DOCS / "neighbors.svg").read_text(encoding="utf-8"))


def test_the_figure(smollm2: Built, tmp_path: Path) -> None:
    now = list(strokes(made("plot.svg", smollm2, tmp_path)))
    kept = list(strokes((DOCS / "plot.svg").read_text(encoding="utf-8")))
    assert len(now) > 200
    assert [commands for commands, _ in now] == [commands for commands, _ in kept]
    for (_, new), (_, old) in zip(now, kept, strict=True):
        assert new == pytest.approx(old, abs=0.05)


@pytest.mark.parametrize(
    ("page", "shown", "name", "most"),
    [
        ("README.md", "docs/neighbors.svg", "neighbors.svg", 60_000),
        ("docs/pictures.md", "plot.svg", "plot.svg", 300_000),
    ],
)
def test_a_page_shows_it_and_how_it_was_made(page: str, shown: str, name: str, most: int) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert re.search(rf"!\[[^]]+\]\({re.escape(shown)}\)", text)
    assert COMMANDS[name] in text
    assert (DOCS / name).stat().st_size < most
