"""What `overlap`, `duplicates`, `extremes`, `metric` and `find` print, in every form."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Built, build, invoke, query

import index

COMMANDS = [
    ["overlap"],
    ["duplicates"],
    ["duplicates", "--within", "22", "--top", "50"],
    *(["extremes", measure] for measure in ("norm", "density", "overlap", "hubness")),
    ["metric"],
    ["find", "plan"],
    ["find", "\ufffd"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_tables_fit_and_lose_no_figure(arguments: list[str], smollm2: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.cells import cell_len
    from typer.testing import CliRunner

    import query as app

    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app.app, [*arguments, "--index", str(smollm2.path)]).stdout
    assert max(map(cell_len, shown.splitlines())) <= 80
    assert all(character.isprintable() or character in "\n\u2066\u2068\u2069" for character in shown)
    assert not any("…" in word and any(character.isdigit() for character in word) for word in shown.split()[:-1])


@pytest.mark.parametrize("command", ["overlap", "duplicates", "extremes", "metric", "find"])
def test_help_has_an_example(command: str) -> None:
    shown = invoke("query.py", command, "--help")
    assert shown.code == 0
    assert f"query.py {command}" in shown.said


def read_csv(*arguments: object) -> list[dict[str, Any]]:
    return list(csv.DictReader(StringIO(invoke("query.py", *arguments, "--csv").out)))


def test_csv_is_the_json(smollm2: Built) -> None:
    at = ("--index", smollm2.path)
    lines, found = read_csv("overlap", *at), query("overlap", *at)
    assert [line["top"] for line in lines] == list(found["tops"])
    for line in lines:
        top = found["tops"][line["top"]]
        assert (float(line["mean"]), float(line["quartile_2"])) == (top["mean"], top["quartiles"][1])
        assert float(line["decile_10"]) == found["by_density_decile"][9]["mean"][line["top"]]

    lines, found = read_csv("duplicates", *at), query("duplicates", *at)
    assert [int(line["id"]) for line in lines] == [i for group in found["groups"] for i in group["ids"]]
    assert [line["text"] for line in lines] == [text for group in found["groups"] for text in group["texts"]]

    lines, found = read_csv("extremes", "norm", *at), query("extremes", "norm", *at)
    expected = [(end, place["id"], place["value"]) for end in ("highest", "lowest") for place in found[end]]
    assert [(line["end"], int(line["id"]), float(line["value"])) for line in lines] == expected


def test_no_groups_is_an_answer(tmp_path: Path) -> None:
    np.save(tmp_path / "gamma.npy", np.random.default_rng(1).normal(size=(60, 4)))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "plain", "--neighbors", 20)
    assert query("duplicates", "--index", tmp_path / "plain") == {"tokens": 0, "groups": []}
    assert "0 of twins" in invoke("query.py", "duplicates", "--index", tmp_path / "plain").said
    assert (
        invoke("query.py", "duplicates", "--csv", "--index", tmp_path / "plain").out == "group,size,row,id,text,piece\n"
    )


def test_records_become_frames(smollm2: Built) -> None:
    vocabulary = index.open(smollm2.path)
    answers = {
        ("overlap",): vocabulary.overlap(),
        ("duplicates", "--within", "0.2"): vocabulary.duplicates(within=0.2),
        ("extremes", "hubness"): vocabulary.extremes("hubness"),  # type: ignore[arg-type]
        ("metric",): vocabulary.spectrum(),
        ("find", "a"): vocabulary.find("a"),
    }
    for command, found in answers.items():
        lines = list(csv.reader(StringIO(invoke("query.py", *command, "--csv", "--index", smollm2.path).out)))
        frame = found.to_pandas()
        assert len(frame) == len(lines) - 1
        assert frame.columns.tolist() == lines[0]


def test_no_command_loads_a_model_library(smollm2: Built) -> None:
    import subprocess
    import sys

    from conftest import ROOT

    commands = [[*arguments, "--index", str(smollm2.path)] for arguments in COMMANDS if "\ufffd" not in arguments]
    code = (
        "import sys, query\nfrom typer.testing import CliRunner\n"
        f"for command in {commands!r}:\n"
        "    for form in ([], ['--json'], ['--csv']):\n"
        "        assert CliRunner().invoke(query.app, command + form).exit_code == 0, command\n"
        "print(*({'torch', 'transformers', 'pandas', 'scipy', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
