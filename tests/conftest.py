"""What tests of several files share: running the two programs, and the bundled model, built once for all workers."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oracles
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
SLOW_SECONDS = 10
CONTROL = "smollm2-135m-control-covariance"
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
def smollm2(shared_folder: Path) -> Built:
    """The bundled model with every default: what a first user gets."""
    return built_once(shared_folder / "smollm2-135m")


@pytest.fixture(scope="session")
def smollm2_sample(shared_folder: Path) -> Built:
    """16,000 tokens of it, drawn with seed 42."""
    return built_once(shared_folder / "smollm2-16000", "--sample", 16_000, "--seed", 42)


@pytest.fixture(scope="session")
def smollm2_control(shared_folder: Path) -> Built:
    """Random points with its mean and covariance, under the name that such a control gets."""
    return built_once(shared_folder / CONTROL, "--control", "covariance")


@pytest.fixture
def at_home(smollm2: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, but that the bundle of the bundled model stands where it does for a user."""
    (tmp_path / "data" / "indexes").mkdir(parents=True)
    (tmp_path / "data" / "indexes" / "smollm2-135m").symlink_to(smollm2.path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of a parallel run have in common."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "indexes"
    folder.mkdir(exist_ok=True)
    return folder


def built_once(path: Path, *options: object) -> Built:
    """Build the bundled model, or take what another worker has built."""
    report = path.with_suffix(".json")
    with FileLock(path.with_suffix(".lock")):
        if not report.exists():
            done = run("build_index.py", *options, "--out", path, "--json")
            assert done.code == 0, done.err
            report.write_text(done.out, encoding="utf-8")
    return Built(path, json.loads(report.read_text(encoding="utf-8")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a parallel run begin with the files that have slow tests: none of them is left to one worker at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name the tests that took more than ten seconds and do not say why, with the mark `slow`."""
    for report in terminalreporter.stats.get("passed", []):
        if report.duration > SLOW_SECONDS and "slow" not in report.keywords:
            terminalreporter.write_line(f"{report.duration:.0f} s, and no reason given: {report.nodeid}")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary that is built in a blink, for builds that are interrupted."""
    from interrupted import write_source  # which imports this module

    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of its bundle, of a build that nothing interrupts."""
    from interrupted import uninterrupted

    return uninterrupted(source, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def old(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another bundle of it, that is there before."""
    from interrupted import another

    return another(source, tmp_path_factory.mktemp("old"))


@pytest.fixture
def target(old: Path, tmp_path: Path) -> Path:
    """A copy of the old bundle, to be replaced."""
    return Path(shutil.copytree(old, tmp_path / "bundle"))
