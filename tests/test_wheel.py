"""The wheel holds all it needs: its commands build and answer in an environment of their own, outside the tree."""

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from conftest import ROOT

from index.build.build import VERSION

pytestmark = pytest.mark.slow("packs a wheel, makes an environment with pip in it, and compiles the kernels there")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    packed = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(packed, cwd=ROOT, capture_output=True, check=True)
    (made,) = folder.glob("*.whl")
    return made


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel alone in it; what the wheel depends on is this environment's."""

    folder: Path

    def run(self, program: str, *arguments: object, cwd: Path) -> str:
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            [self.folder / "bin" / program, *map(str, arguments)],
            cwd=cwd,
            env=clean | {"COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    pytest.importorskip("ensurepip", reason="this Python makes no environments with pip in them")
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    found = Environment(folder)
    found.run("pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    packages = found.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return found


def test_it_holds_the_library_and_what_pages_are_made_of(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        held = {name for name in packed.namelist() if ".dist-info/" not in name}
    tree = {path.relative_to(ROOT).as_posix() for path in (ROOT / "index").rglob("*") if path.is_file()}
    assert held == {name for name in tree if "__pycache__" not in name}
    assert {".html", ".css", ".js", ".svg"} <= {Path(name).suffix for name in held}


def test_it_asks_for_nothing_that_pip_would_have_to_compile(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        (name,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        facts = HeaderParser().parsestr(packed.read(name).decode())
    assert (facts["Name"], facts["Version"]) == ("logoscope", VERSION)
    assert not [line for line in facts.get_all("Requires-Dist", []) if line.startswith(("llm", "llama"))]


@pytest.mark.parametrize(("command", "said"), [("logoscope", "neighbors"), ("logoscope-build", "--index-factory")])
def test_its_commands_explain_themselves(command: str, said: str, installed: Environment, tmp_path: Path) -> None:
    assert said in installed.run(command, "--help", cwd=tmp_path)


def test_it_builds_and_answers_anywhere(installed: Environment, tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    gamma = np.random.default_rng(7).normal(size=(200, 8)).astype(np.float32)
    np.save(here / "gamma.npy", gamma)
    built = installed.run("logoscope-build", "gamma.npy", "--neighbors", 20, "--json", cwd=here)
    assert json.loads(built)["densest"]
    bundle = here / "data" / "indexes" / "gamma"
    question = ("neighbors", "#3", "--top", 5, "--geometry", "cosine,causal", "--json")
    (answer,) = json.loads(installed.run("logoscope", *question, cwd=here))
    unit = gamma / np.linalg.norm(gamma, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit[3]), kind="stable")[1:6]
    assert [place["id"] for place in answer["cosine"]] == nearest.tolist()
    assert json.loads(installed.run("logoscope", *question, "--index", bundle, cwd=elsewhere)) == [answer]
    code = f"import index; print(index.__file__); print(index.open({str(bundle)!r}).neighbors('#3').token.id)"
    module, token = installed.run("python", "-c", code, cwd=elsewhere).splitlines()
    assert Path(module).is_relative_to(installed.folder)
    assert token == "3"
