"""What no single module shows: imports go one way, and asking a bundle loads no model library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = [
    *("errors", "files", "checksums", "tokenizer_file", "vocabulary", "records", "gguf_file", "numpy_file"),
    *("pickle_data", "torch_contents", "torch_file", "tensors", "folders", "tokens", "gguf_tokens", "sources"),
    *("points", "scores", "kernels", "filtering", "ranking", "neighbors", "finder", "density", "overlap"),
    *("flat_index", "stored", "spaces", "search", "groups", "manifest", "bundle", "writer", "distances"),
    *("diagnosis", "compare", "matrix_check", "crosscheck", "list_check", "deep_check", "verify", "among"),
    *("lists", "questions", "reach", "pairs", "components", "spectrum", "find", "report", "tables"),
    *("verify_report", "reach_report", "reach_tables", "batch", "export_files", "export_graph"),
    *("export_vectors", "export_atlas", "settings", "export_distances", "export", "export_report", "columns"),
    *("census", "extremes", "census_report", "census_tables", "api", "approximate", "resources", "row_build"),
    *("space_build", "exchange", "resume", "workplace", "terminal_svg", "build", "pictures.extras"),
    *("pictures.densities", "pictures.series", "pictures.vocabulary_series", "pictures.fonts", "pictures.paper"),
    *("pictures.labels", "pictures.plot_densities", "pictures.words", "pictures.plot_neighborhood"),
    *("pictures.plot_vocabulary", "pictures.plot", "pictures.vega", "pictures.charts", "pictures.page_tables"),
    *("pictures.html_report", "pictures.explore_suggest", "pictures.explore_address", "pictures.explore_map"),
    *("pictures.explore_bundle", "pictures.explore_views", "pictures.explore_assets", "pictures.explore"),
    *("pictures.explore_server",),
]
"""The modules of `index`, each importing only from those before it."""

HEAVY = ("torch", "transformers", "pandas")


def imported(module: Path) -> set[str]:
    """The modules of `index` that one of them imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {module_of(name.removeprefix("index.")) for name in found if name.startswith("index.")}


def module_of(name: str) -> str:
    """The module in which `pictures.series.neighborhood_series` is: the longest beginning that names one."""
    parts = name.split(".")
    beginnings = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next((each for each in beginnings if each in ORDER), parts[0])


def test_every_module_has_its_place() -> None:
    paths = [path.relative_to(ROOT / "index").with_suffix("") for path in (ROOT / "index").rglob("*.py")]
    assert sorted(".".join(path.parts) for path in paths if path.name != "__init__") == sorted(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_go_one_way(name: str) -> None:
    before = set(ORDER[: ORDER.index(name)])
    assert imported((ROOT / "index" / name.replace(".", "/")).with_suffix(".py")) <= before


def test_a_wrong_import_would_be_seen(tmp_path: Path) -> None:
    module = tmp_path / "errors.py"
    module.write_text("def f():\n    from index.build import build\n")
    assert imported(module) == {"build"}
    module.write_text("from index.pictures import fonts\nfrom index.pictures.series import RankSeries\n")
    assert imported(module) == {"pictures.fonts", "pictures.series"}
    module.write_text("import index.kernels\nfrom index import questions, unheard_of\n")
    assert imported(module) == {"kernels", "questions", "unheard_of"}


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
