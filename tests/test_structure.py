"""What no single module shows: imports go one way, and asking a bundle loads no model library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = [
    *("errors", "vocabulary", "records", "files", "gguf_file", "torch_file", "tensors", "folders"),
    *("tokens", "gguf_tokens", "sources", "spaces", "points", "scores", "kernels", "filtering", "ranking"),
    *("neighbors", "finder", "search", "density", "overlap", "bundle", "writer", "distances", "diagnosis"),
    *("compare", "matrix_check", "crosscheck", "among", "questions", "reach", "pairs", "components"),
    *("spectrum", "find", "report", "tables", "reach_report", "reach_tables", "batch", "export_files"),
    *("export_graph", "export_vectors", "export_atlas", "settings", "export_distances", "export", "export_report"),
    *("columns", "census", "extremes", "census_report", "census_tables", "api", "approximate", "space_build"),
    *("build",),
]
"""The modules of `index`, each importing only from those before it."""

HEAVY = ("torch", "transformers", "pandas")


def imported(module: Path) -> set[str]:
    """The modules of `index` that one of them imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "index":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("index."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("index.")}
    return found


def test_every_module_has_its_place() -> None:
    assert {path.stem for path in (ROOT / "index").glob("*.py")} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_go_one_way(name: str) -> None:
    before = set(ORDER[: ORDER.index(name)])
    assert imported(ROOT / "index" / f"{name}.py") <= before


def test_a_wrong_import_would_be_seen(tmp_path: Path) -> None:
    module = tmp_path / "errors.py"
    module.write_text("def f():\n    from index.build import build\n")
    assert imported(module) == {"build"}


def loaded_by(statement: str) -> set[str]:
    """The heavy libraries that a statement leaves loaded in a new process."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["query", "index", "build_index"])
def test_starting_loads_no_model_library(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


def test_a_loaded_library_would_be_seen() -> None:
    assert loaded_by("import pandas") == {"pandas"}
