"""What tests of several files share: running the two programs, and the bundled model, built once per session."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oracles
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


@dataclass(frozen=True)
class Outcome:
    """What one run of a program left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as strict JSON: one document, no NaN, no Infinity."""
        assert self.code in (0, 1), self.err
        return json.loads(self.out, parse_constant=_refuse)

    @property
    def said(self) -> str:
        """Everything it said, on one line: terminals wrap, and a test looks for words."""
        return " ".join((self.out + " " + self.err).split())


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no strict JSON")


def run(script: str, *arguments: object) -> Outcome:
    """Run `build_index.py` or `query.py` as a user would, in a process of its own."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=600, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


def invoke(script: str, *arguments: object) -> Outcome:
    """Run the same command inside this process, which saves seconds of imports where a test needs many."""
    app = importlib.import_module(script.removesuffix(".py")).app
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Outcome(done.exit_code, done.stdout, done.stderr)


def build(*arguments: object) -> Any:
    """Build a bundle and return the report it ends with."""
    outcome = invoke("build_index.py", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return outcome.json


def query(*arguments: object) -> Any:
    """Ask a bundle something and return the answer."""
    outcome = invoke("query.py", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return outcome.json


@dataclass(frozen=True, eq=False)
class Built:
    """A bundle's folder, and the report its build ended with."""

    path: Path
    report: Any


@pytest.fixture(scope="session")
def smollm2_gamma() -> NDArray:
    """SmolLM2's unembedding matrix, float32, (V, D), read by the oracle."""
    return oracles.bundled_gamma()


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The bundled model with every default: what a first user gets."""
    path = tmp_path_factory.mktemp("indexes") / "smollm2-135m"
    return Built(path, run("build_index.py", "--out", path, "--json").json)


@pytest.fixture(scope="session")
def smollm2_sample(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """16,000 tokens of it, drawn with seed 42."""
    path = tmp_path_factory.mktemp("indexes") / "smollm2-16000"
    return Built(path, run("build_index.py", "--sample", 16_000, "--seed", 42, "--out", path, "--json").json)
