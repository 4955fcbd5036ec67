"""Where answers go: pipes that close, disks that are full, terminals and code pages that lack characters."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import smollm2_oracle as oracle
from conftest import ROOT

FULL = Path("/dev/full")
FORMS = [["info"], ["info", "--json"], ["neighbors", "the"], ["neighbors", "the", "--csv"], ["duplicates", "--json"]]
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
posix = pytest.mark.skipif(sys.platform == "win32", reason="closed pipes and terminals are others there")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens.txt"
    path.write_text("the\n#3\n")
    return path


@pytest.fixture
def closed() -> Iterator[int]:
    """A pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


def ask(*arguments: object, stdout: object = subprocess.PIPE, **settings: str) -> subprocess.CompletedProcess[bytes]:
    return start("query.py", *arguments, stdout=stdout, **settings)


def start(script: str, *arguments: object, stdout: object, **settings: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "", "COLUMNS": "200", "NO_COLOR": "1", **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=stdout, stderr=subprocess.PIPE, check=False)  # type: ignore[call-overload, no-any-return]


# --- nobody reads, nothing fits ---------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", FORMS, ids=" ".join)
def test_a_closed_pipe_ends_quietly(arguments: list[str], unbuffered: str, closed: int, small: Path) -> None:
    done = ask(*arguments, "--index", small, stdout=closed, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (141, b"")


@posix
@pytest.mark.parametrize("form", [["--json"], ["--csv"], []], ids=str)
def test_a_closed_pipe_is_not_blamed_on_the_tokens(form: list[str], closed: int, small: Path, tokens: Path) -> None:
    done = ask("neighbors", "--file", tokens, *form, "--index", small, stdout=closed)
    assert (done.returncode, done.stderr) == (141, b"")


@posix
def test_an_answer_of_no_that_nobody_reads(closed: int, small: Path) -> None:
    """What is printed before exit code 1 is flushed, too."""
    done = ask("find", "xyzzy 日本", "--json", "--index", small, stdout=closed)
    assert done.returncode == 141
    assert b"Exception" not in done.stderr


@posix
def test_a_reader_that_has_enough(small: Path) -> None:
    """Far more is printed than the 64 KiB that a pipe holds."""
    asked = ["neighbors", *(f"#{token_id}" for token_id in range(9)), "--top", "344", "--json", "--index", str(small)]
    command, piped = [sys.executable, "query.py", *asked], subprocess.PIPE
    # Unbuffered, Python itself takes a write that a closing pipe cut short for a whole one.
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=piped, stderr=piped) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"[\n"
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", FORMS, ids=" ".join)
def test_a_full_disk_is_one_line(arguments: list[str], unbuffered: str, small: Path) -> None:
    with FULL.open("w") as full:
        done = ask(*arguments, "--index", small, stdout=full, PYTHONUNBUFFERED=unbuffered)
    said = b"error: standard output cannot be written: No space left on device; write the answer elsewhere\n"
    assert (done.returncode, done.stderr) == (2, said)


@needs_full
@pytest.mark.parametrize("form", [["--json"], ["--csv"], []], ids=str)
def test_a_full_disk_is_not_blamed_on_the_tokens(form: list[str], small: Path, tokens: Path) -> None:
    with FULL.open("w") as full:
        done = ask("neighbors", "--file", tokens, *form, "--index", small, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: standard output cannot be written: No space left on device")
    assert done.stderr.count(b"\n") == 1


@needs_full
def test_a_build_whose_report_does_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", oracle.small_gamma())
    with FULL.open("w") as full:
        done = start("build_index.py", tmp_path / "gamma.npy", "--out", tmp_path / "bundle", stdout=full)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(b"error: standard output cannot be written: No space left")
    assert (tmp_path / "bundle" / "manifest.json").exists()


# --- characters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16"])
@pytest.mark.parametrize("form", [["--csv"], ["--json"], []], ids=str)
def test_what_is_no_terminal_gets_utf8(form: list[str], encoding: str, small: Path) -> None:
    arguments = ["neighbors", "the", "--top", "344", *form, "--index", small]
    expected = ask(*arguments, PYTHONIOENCODING="utf-8")
    done = ask(*arguments, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected.stdout
    if form != ["--json"]:
        assert "日本" in done.stdout.decode("utf-8")


def test_a_build_under_another_encoding(tmp_path: Path) -> None:
    """Its report has rules drawn with box characters."""
    np.save(tmp_path / "gamma.npy", oracle.small_gamma())
    out = ["--out", tmp_path / "bundle"]
    done = start("build_index.py", tmp_path / "gamma.npy", *out, stdout=subprocess.PIPE, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "────" in done.stdout.decode("utf-8")


@posix
@pytest.mark.parametrize("form", [["--csv"], []], ids=str)
def test_a_terminal_without_the_characters_gets_escapes(form: list[str], small: Path) -> None:
    import pty

    outside, inside = pty.openpty()
    command = [sys.executable, str(ROOT / "query.py"), "neighbors", "the", "--top", "344", *form, "--index", str(small)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "200", "NO_COLOR": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=inside, stderr=subprocess.PIPE) as running:
        os.close(inside)
        shown = b"".join(read_terminal(outside))
        assert running.stderr is not None
        assert running.stderr.read() == b""
    os.close(outside)
    assert running.returncode == 0
    assert rb"\u65e5\u672c" in shown
    assert shown.isascii()


def read_terminal(outside: int) -> Iterator[bytes]:
    with suppress(OSError):  # how a terminal ends
        while chunk := os.read(outside, 1 << 16):
            yield chunk
