"""What coverage-guided fuzzing found readers to do differently with (tests/corpus): each file is read, or refused."""

import sys
from pathlib import Path

import pytest
from conftest import ROOT

from index.errors import SourceError

sys.path.append(str(ROOT / "benchmarks"))
import fuzz_coverage
import fuzz_inputs

KEPT = [name for name in fuzz_inputs.NAMES if fuzz_inputs.read_corpus(name)]


@pytest.mark.parametrize("name", fuzz_inputs.NAMES)
def test_every_file_is_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "read").mkdir()
    reader = fuzz_inputs.make_reader(name, tmp_path / "made")
    reader.prepare(tmp_path / "read")

    def read(content: bytes) -> None:
        reader.write(tmp_path / "read", content)
        reader.read(tmp_path / "read")

    def outcomes(contents: list[bytes]) -> list[tuple[str, str]]:
        return [fuzz_coverage.judge(read, each) for each in contents]

    assert outcomes(reader.seeds) == [("accepted", "")] * len(reader.seeds)
    found = outcomes(fuzz_inputs.read_corpus(name))
    assert [(number, *each) for number, each in enumerate(found) if each[0] not in ("accepted", "refused")] == []


@pytest.mark.parametrize("name", [name for name in fuzz_inputs.NAMES if name not in ("among", "words")])
def test_what_fuzzing_changes_is_read_without_the_rest(name: str, tmp_path: Path) -> None:
    """A corpus is found by a reader's file alone: valid, it is read there as well."""
    (tmp_path / "made").mkdir()
    (tmp_path / "read").mkdir()
    reader = fuzz_inputs.make_reader(name, tmp_path / "made")
    read = fuzz_inputs.prepared(reader, tmp_path / "read")
    assert {fuzz_coverage.judge(read, each) for each in reader.seeds} == {("accepted", "")}
    assert fuzz_coverage.judge(read, b"\0")[0] == "refused"


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in fuzz_inputs.CORPUS.iterdir()) < 200_000
    assert {path.name.removesuffix(".tar.xz") for path in fuzz_inputs.CORPUS.iterdir()} == set(KEPT)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SourceError("a clear line"), "refused"),
        (SourceError(""), "no clear line"),
        (SourceError("x" * 2000), "no clear line"),
        (ZeroDivisionError(), "traceback"),
        (MemoryError(), "traceback"),
    ],
)
def test_what_is_a_finding(error: Exception, outcome: str) -> None:
    def read(content: bytes) -> None:
        raise error

    assert fuzz_coverage.judge(read, b"")[0] == outcome
