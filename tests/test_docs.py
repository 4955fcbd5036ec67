"""What the README shows is what the programs print."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import ROOT, Built
from typer.testing import CliRunner

import query

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```text\n\$ uv run query\.py (.*)\n((?s:.*?))```", README)


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_shown_output(command: str, output: str, smollm2: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(query.app, [*shlex.split(command), "--index", str(smollm2.path)])
    # The bundle's name is the folder's; here it stands in another folder than a user's.
    said = result.output.replace(f"bundle     {smollm2.path.name}:", "bundle     smollm2-135m:")
    lines = [line.rstrip() for line in said.rstrip().splitlines()]
    expected = output.rstrip().splitlines()
    if expected[-1] == "…":
        expected = expected[:-1]
        lines = lines[: len(expected)]
    assert lines == expected


def test_every_command_and_option_is_in_the_readme() -> None:
    from typer.main import get_command

    import build_index

    for command in get_command(query.app).commands:  # type: ignore[attr-defined]
        assert f"`{command}" in README
    for parameter in get_command(build_index.app).params:
        if parameter.param_type_name == "option" and parameter.name not in ("help", "seed"):
            assert f"`{parameter.opts[0]}" in README, parameter.opts[0]


def test_every_shown_file_is_in_a_bundle(smollm2: Built) -> None:
    table = README.split("## A bundle on disk")[1].split("## ")[0]
    for pattern in re.findall(r"`([*\w.]+\.\w+)`", table):
        assert list(Path(smollm2.path).glob(pattern)), pattern
