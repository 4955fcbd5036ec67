"""What no single module shows: rooms use the rooms below them, and asking a bundle loads no model library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = [
    *("compiled", "errors", "files", "lazy", "process", "progress"),
    *("geometry", "measures", "search", "tokens", "answers", "sources", "bundle"),
    *("questions.asking", "questions.lists", "questions", "checks", "export", "build"),
    *("pictures.numbers", "pictures.plot", "pictures.page", "pictures.explore"),
    *("api", "cli"),
]
"""The rooms of `index`, each using only those before it: folders, their wings, and the few modules that stand alone."""

HEAVY = ("torch", "transformers", "pandas", "pyarrow", "numba")


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module: its folder, a wing by itself where it is a room, or its own name in `index` itself."""
    wing = ".".join(parts[:2])
    return wing if wing in ROOMS else parts[0]


def used_by(module: Path) -> set[str]:
    """The rooms that a module imports from, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {room_of(tuple(name.split(".")[1:])) for name in found if name.startswith("index.")}


def modules() -> list[Path]:
    return sorted(path for path in (ROOT / "index").rglob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("module", modules(), ids=lambda module: str(module.relative_to(ROOT / "index")))
def test_rooms_use_the_rooms_below_them(module: Path) -> None:
    own = room_of(module.relative_to(ROOT / "index").with_suffix("").parts)
    assert used_by(module) <= set(ROOMS[: ROOMS.index(own) + 1])


def test_a_wing_of_pictures_uses_the_numbers_and_no_other_wing_but_that_of_pages() -> None:
    allowed = {"numbers": set(), "plot": {"numbers"}, "page": {"numbers"}, "explore": {"numbers", "page"}}
    for wing, others in allowed.items():
        used = {room for module in (ROOT / "index/pictures" / wing).rglob("*.py") for room in used_by(module)}
        pictures = {room.removeprefix("pictures.") for room in used if room.startswith("pictures")}
        assert pictures <= {wing, *others}


def test_a_wrong_import_would_be_seen(tmp_path: Path) -> None:
    module = tmp_path / "errors.py"
    module.write_text("def f():\n    from index.build.build import build\n")
    assert used_by(module) == {"build"}
    module.write_text("from index.pictures.plot import fonts\nfrom index.pictures.numbers.series import RankSeries\n")
    assert used_by(module) == {"pictures.plot", "pictures.numbers"}
    module.write_text("import index.search.kernels\nfrom index import questions, unheard_of\n")
    assert used_by(module) == {"search", "questions", "unheard_of"}


def loaded_by(statement: str) -> set[str]:
    """The heavy libraries that a statement leaves loaded in a new process."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["query", "index", "build_index"])
def test_starting_loads_no_model_library(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


def test_help_which_loads_every_question_loads_none_either() -> None:
    shown = (
        "import contextlib, io\nfrom index.cli.query import app\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    app(['--help'])"
    )
    assert loaded_by(shown) == set()


def test_a_command_loads_no_other_question() -> None:
    code = (
        "import sys\nfrom index.cli.query import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    print(end.code)\n"
        "from index.api import QUESTIONS\nmodules = {each._given.module for each in QUESTIONS.values()}\n"
        "print(*sorted(modules & set(sys.modules)))"
    )

    def loaded(*arguments: str) -> list[str]:
        started = [sys.executable, "-c", code, *arguments]
        return subprocess.run(started, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-2:]

    assert loaded("distance", "--help") == ["0", "index.questions.distance"]
    assert loaded("nothing-like-it") == ["2", ""]
    assert len(loaded("--help")[-1].split()) > 25


def test_a_loaded_library_would_be_seen() -> None:
    assert loaded_by("import pyarrow") == {"pyarrow"}
    assert loaded_by("import pandas") == {"pandas", "pyarrow"}
