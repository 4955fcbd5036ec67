"""Kernels are compiled where nothing can be written, or no cache read or kept: the answers are the same."""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from conftest import ROOT
from numba.core import caching
from numba.core.dispatcher import Dispatcher

from index.compiled import compiled


def add(x: int, y: int) -> int:
    return x + y


def test_without_a_place_for_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    assert compiled()(add)(1, 2) == 3


@pytest.mark.parametrize("step", ["_load_overload", "_save_overload"])
def test_a_cache_that_fails(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def fail(*_: object) -> None:
        called.append(step)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.Cache, "_load_overload", lambda *_: None)
    monkeypatch.setattr(caching.Cache, step, fail)
    assert compiled()(add)(1.0, 2.0) == 3
    assert called


@pytest.mark.slow("a process of its own compiles, twice")
def test_what_was_compiled_is_kept(tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from index.search.kernels import measure_pairs\n"
        "measure_pairs(np.eye(3, dtype=np.float32), np.arange(3), np.zeros(3, np.int64), np.empty(3))\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert list(tmp_path.rglob("*.nbc"))
    for kept in (indexes := list(tmp_path.rglob("*.nbi"))):  # as another version left it, with a type that is gone
        kept.write_bytes(pickle.dumps(numba.__version__) + b"cindex.search.kernels\nGone\n.")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert any(b"Gone" not in kept.read_bytes() for kept in indexes)


def test_a_loop_is_compiled_again_when_one_that_it_calls_has_changed(tmp_path: Path) -> None:
    """`filter` calls `kernels`: its own file is as it was, and what it gives is not."""
    code = (
        "import numpy as np\n"
        "from index.search.filter import _measure\n"
        "points, found = np.ones((1, 3), np.float32), np.empty(1)\n"
        "_measure(0, 1, points, np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, 3)), found)\n"
        "print(found[0])"
    )
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "index", tree / "index", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}

    def measured() -> float:
        command = [sys.executable, "-c", code]
        return float(subprocess.run(command, cwd=tree, env=environment, capture_output=True, check=True).stdout)

    assert measured() == 3.0
    kernels = tree / "index/search/kernels.py"
    text = kernels.read_text(encoding="utf-8")
    kernels.write_text(text.replace("total += difference * difference", "total += 2 * difference"), encoding="utf-8")
    assert measured() == 6.0


def test_loops_call_those_of_their_own_folder_alone() -> None:
    """A change in another would not compile them again."""
    called = {}
    for path in sorted((ROOT / "index").rglob("*.py")):
        if "@compiled(" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found = [value for value in vars(importlib.import_module(name)).values() if isinstance(value, Dispatcher)]
            called[name] = {loop.py_func.__module__ for loop in found}
    assert "index.search.kernels" in called["index.search.filter"]
    for name, modules in called.items():
        assert {module.rpartition(".")[0] for module in modules} == {name.rpartition(".")[0]}, name


@pytest.mark.slow("all kernels of a build and of its questions are compiled, in each process")
def test_home_and_package_cannot_be_written(tmp_path: Path) -> None:
    """Files stand where numba makes its folders, which stops even root. It builds and asks without a word."""
    tree, home = tmp_path / "tree", tmp_path / "home"
    home.touch()
    shutil.copytree(ROOT / "index", tree / "index", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [path for path in (tree / "index").rglob("*") if path.is_dir()]:
        (folder / "__pycache__").touch()
    for program in ("query.py", "build_index.py"):
        shutil.copy(ROOT / program, tree)
    np.save(tmp_path / "gamma.npy", np.random.default_rng(0).normal(size=(300, 8)))
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home), "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment["NUMBA_OPT"] = "0"  # how fast the kernels are makes no difference here
    bundle = tmp_path / "bundle"
    for command in (
        ["build_index.py", tmp_path / "gamma.npy", "--out", bundle, "--neighbors", 10, "--density-k", 5, "--json"],
        ["query.py", "neighbors", "#1", "--top", 40, "--json", "--index", bundle],
    ):
        line = [sys.executable, *map(str, command)]
        done = subprocess.run(line, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr, "numba" in done.stderr) == (0, False, False), done.stderr
    assert not list(tree.rglob("*.nbc"))
