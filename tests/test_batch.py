"""Many tokens at once: every form holds what single answers hold, as soon as they are known."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Built, invoke, query
from typer.testing import CliRunner

import query as program
from index.answers import parquet
from index.answers.answer import Row
from index.cli import many
from index.errors import ParameterError
from index.questions.neighbors import Neighborhood

PLACE = ["rank", "row", "id", "text", "similarity", "distance", "tied", "hubness", "marks", "recall", "piece"]
NAMES = ["token_id", "token", "geometry", *PLACE]
LINES = ["planet", " planet", "", "#7", "plannett", "Ġthe", "#99999999", "vier"]
ANSWERED = ["planet", " planet", "#7", "Ġthe", "vier"]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


def check_refusals(err: str, name: str) -> None:
    fifth, seventh = err.splitlines()
    assert fifth.startswith(f"error: {name}, line 5: no token has the text 'plannett'")
    assert seventh.startswith(f"error: {name}, line 7: no token has the id #99999999")


def test_json_lines(tokens: Path, smollm2: Built) -> None:
    outcome = invoke("query.py", "neighbors", "--file", tokens, "--top", 3, "--json", "--index", smollm2.path)
    assert outcome.code == 2
    check_refusals(outcome.err, str(tokens))
    found = [json.loads(line) for line in outcome.out.splitlines()]
    assert found == query("neighbors", *ANSWERED, "--top", 3, "--index", smollm2.path)


def test_csv_lines(tokens: Path, smollm2: Built) -> None:
    outcome = invoke("query.py", "neighbors", "--file", tokens, "--top", 3, "--csv", "--index", smollm2.path)
    assert outcome.code == 2
    check_refusals(outcome.err, str(tokens))
    single = invoke("query.py", "neighbors", *ANSWERED, "--top", 3, "--csv", "--index", smollm2.path)
    assert outcome.out == single.out


@pytest.mark.parametrize("group", [4, 50_000])
def test_parquet(group: int, tokens: Path, smollm2: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same table whether it is written in one row group or in many."""
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", group)
    path = tmp_path / "neighbors.parquet"
    options = ["--top", 3, "--index", smollm2.path]
    outcome = invoke("query.py", "neighbors", "--file", tokens, "--parquet", path, *options)
    assert (outcome.code, outcome.out) == (2, "")
    check_refusals(outcome.err, str(tokens))
    file = pq.ParquetFile(path)
    assert file.metadata.num_row_groups == (1 if group > 100 else 5)
    types = [
        pa.int64(),
        pa.string(),
        pa.string(),
        *[pa.int64()] * 3,
        pa.string(),
        *[pa.float64()] * 2,
        pa.bool_(),
        pa.float64(),
        pa.string(),
        pa.float64(),
        pa.string(),
    ]
    assert dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)) == dict(
        zip(NAMES, types, strict=True)
    )
    expected = [
        {"token_id": answer["token"]["id"], "token": answer["token"]["text"], "geometry": geometry}
        | {"similarity": None, "recall": None}
        | place
        | {"marks": " ".join(place["marks"])}
        for answer in query("neighbors", *ANSWERED, *options)
        for geometry in ("causal", "cosine")
        for place in answer[geometry]
    ]
    assert file.read().to_pylist() == expected


def test_parquet_of_named_tokens_and_of_none(smollm2: Built, tmp_path: Path) -> None:
    path = tmp_path / "two.parquet"
    options = ["--parquet", path, "--top", 2, "--index", smollm2.path]
    assert invoke("query.py", "neighbors", "planet", "#7", *options).code == 0
    assert pq.read_table(path)["token_id"].to_pylist() == [46835] * 4 + [7] * 4
    (tmp_path / "empty").touch()
    assert invoke("query.py", "neighbors", "--file", tmp_path / "empty", "--overwrite", *options).code == 0
    assert pq.read_table(path).num_rows == 0


def test_texts_survive(smollm2: Built, tmp_path: Path) -> None:
    """Control characters, stray bytes and texts of other scripts, to the last character."""
    path = tmp_path / "all.parquet"
    options = ["--top", 60, "--index", smollm2.path]
    names = ["#190", "#39014", "#0", "#201"]
    assert invoke("query.py", "neighbors", *names, "--parquet", path, *options).code == 0
    found = query("neighbors", *names, *options)
    texts = [place["text"] for answer in found for name in ("causal", "cosine") for place in answer[name]]
    assert pq.read_table(path)["text"].to_pylist() == texts
    assert any("\x00" in text for text in texts)


def test_tables(tokens: Path, smollm2: Built) -> None:
    outcome = invoke("query.py", "neighbors", "--file", tokens, "--top", 3, "--index", smollm2.path)
    single = invoke("query.py", "neighbors", *ANSWERED, "--top", 3, "--index", smollm2.path)
    # Printed one by one, a table is not padded to the width of the others.
    assert " ".join(outcome.out.split()) == " ".join(single.out.split())


@pytest.mark.parametrize("arguments", [["-"], ["--file", "-"]])
def test_standard_input(arguments: list[str], smollm2: Built) -> None:
    options = ["--top", "2", "--json", "--index", str(smollm2.path)]
    outcome = CliRunner().invoke(program.app, ["neighbors", *arguments, *options], input="\n".join(LINES))
    assert outcome.exit_code == 2
    check_refusals(outcome.stderr, "standard input")
    assert [json.loads(line)["token"]["id"] for line in outcome.stdout.splitlines()][:2] == [46835, 3925]
    assert CliRunner().invoke(program.app, ["neighbors", "-", *options], input="planet\n").exit_code == 0


def test_answers_come_as_they_are_done(smollm2: Built) -> None:
    """The second token is asked only once the first answer has been read."""
    command = [sys.executable, "query.py", "neighbors", "-", "--top", "1", "--index", str(smollm2.path)]
    for form in ("--json", "--csv"):
        environment = {**os.environ, "PYTHONUNBUFFERED": ""}
        with subprocess.Popen(
            [*command, form], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            if form == "--csv":
                assert running.stdout.readline().startswith("token_id,")
            for token, token_id in (("planet", 46835), ("#7", 7)):
                running.stdin.write(f"{token}\n")
                running.stdin.flush()
                line = running.stdout.readline()
                if form == "--json":
                    assert json.loads(line)["token"]["id"] == token_id
                else:
                    assert next(csv.reader([line]))[0] == str(token_id)
                    running.stdout.readline()
            running.stdin.close()
        assert running.returncode == 0


def test_reading_lines() -> None:
    lines = [b"\xef\xbb\xbfplanet\r\n", b"\n", b" planet\n", b"\r\n", b" \n", b"caf\xc3\xa9\n", b"\xff\n", b"last"]
    read = [(1, "planet"), (3, " planet"), (5, " "), (6, "café"), (7, "\udcff"), (8, "last")]
    assert list(many.numbered(lines)) == read


def test_a_line_that_is_no_text(smollm2: Built, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_bytes(b"\xff\xfe\nplanet\n")
    outcome = invoke("query.py", "neighbors", "--file", tmp_path / "tokens", "--csv", "--index", smollm2.path)
    assert outcome.code == 2
    assert f"{tmp_path / 'tokens'}, line 1: no token has the text '\\udcff\\udcfe'" in outcome.err
    assert outcome.out.count("\n") == 61


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name tokens, or a --file with one on each line, or - for standard input"),
        (["planet", "--file", "tokens.txt"], "name tokens, or a --file"),
        (["--file", "absent.txt"], "--file absent.txt cannot be read"),
        (["--file", "tokens.txt", "--json", "--csv"], "--json, --csv, --parquet and --svg exclude each other"),
        (["planet", "--parquet", "out.parquet", "--csv"], "--json, --csv, --parquet and --svg exclude each other"),
        (["planet", "--parquet", "no/such/folder.parquet"], "--parquet no/such/folder.parquet cannot be written"),
        (["--file", "tokens.txt", "--top", "0", "--json"], "--top must be from 1"),
    ],
)
def test_bad_calls(
    arguments: list[str], said: str, smollm2: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tokens.txt").write_text("planet\n")
    outcome = invoke("query.py", "neighbors", *arguments, "--index", smollm2.path)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"error: {said}" in outcome.err
    assert outcome.err.count("\n") == 1


def test_no_form_loads_pandas(smollm2: Built, tmp_path: Path) -> None:
    """Nor torch: each would cost more than the answer. FAISS is loaded by what searches, and by nothing else."""
    common = ["--index", str(smollm2.path)]
    stored = [
        ["neighbors", "planet", "--parquet", str(tmp_path / "p.parquet"), *common],
        ["distance", "planet", "vier", *common],
    ]
    searched = [
        ["neighbors", "planet", "--top", "150", *common],
        ["neighbors", "planet", "--among", "kind=word", *common],
        ["analogy", "vier - #13996 + #46835", "--json", *common],
        ["within", "planet", "--similarity", "0.3", "--csv", *common],
        ["rank", "planet", "vier", *common],
    ]
    for commands, heavy in ((stored, ("pandas", "torch", "transformers", "faiss")), (searched, ("pandas", "torch"))):
        code = (
            "import sys, query\n"
            f"for command in {commands!r}:\n"
            "    query.app(command, standalone_mode=False)\n"
            f"print(*[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stderr.strip() == ""


def failing_rows() -> Iterator[list[Row]]:
    raise OSError("a disk under the bundle failed")
    yield


def test_what_fails_while_lines_are_open_is_not_their_fault(tokens: Path) -> None:
    with many.open_lines(tokens) as lines:
        assert next(lines) == b"planet\n"
    with pytest.raises(OSError, match="no space left"), many.open_lines(tokens):
        raise OSError("no space left")
    with pytest.raises(UnicodeEncodeError), many.open_lines(tokens):
        "п".encode("ascii")


def test_what_fails_while_answers_are_written_is_not_the_parquets_fault(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="under the bundle failed"):
        parquet.write_parquet(Neighborhood.columns, failing_rows(), tmp_path / "out.parquet")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_parquet_file_that_does_not_fit(smollm2: Built) -> None:
    outcome = invoke("query.py", "neighbors", "planet", "--parquet", "/dev/full", "--index", smollm2.path)
    assert outcome.code == 2
    assert outcome.err.startswith("error: --parquet /dev/full cannot be written: ")
    assert outcome.err.count("\n") == 1


def test_a_folder_of_tokens_is_refused(smollm2: Built, tmp_path: Path) -> None:
    outcome = invoke("query.py", "neighbors", "--file", tmp_path, "--csv", "--index", smollm2.path)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"error: --file {tmp_path} cannot be read: " in outcome.err


def test_the_csv_of_no_token_is_its_head(smollm2: Built, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    outcome = invoke("query.py", "neighbors", "--file", tmp_path / "empty", "--csv", "--index", smollm2.path)
    assert (outcome.code, outcome.out) == (0, ",".join(NAMES) + "\n")


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with (
        pytest.raises(ParameterError, match="file=- cannot be read: standard input is closed"),
        many.open_lines(Path("-")),
    ):
        pass
