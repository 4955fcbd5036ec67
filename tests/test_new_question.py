"""A question costs one module and its line in `index/api.py`: the README's example, added to a copy of the tree."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Built

README = (ROOT / "README.md").read_text(encoding="utf-8")
NAME = "prefixed"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the library and its program, with the question added as the README says."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "index", folder / "index", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "query.py", folder)
    block = re.search(rf"<!-- index/questions/{NAME}\.py -->\n```python\n(.*?)```", README, re.DOTALL)
    assert block is not None
    (folder / f"index/questions/{NAME}.py").write_text(block[1], encoding="utf-8")
    api = (folder / "index/api.py").read_text(encoding="utf-8")
    api = api.replace("    rank = Question(rank)\n", f"    rank = Question(rank)\n    {NAME} = Question({NAME})\n")
    first = "from index.questions.asking.question import Question\n"
    (folder / "index/api.py").write_text(
        api.replace(first, f"from index.questions.{NAME} import {NAME}\n{first}"), encoding="utf-8"
    )
    return folder


def run(tree: Path, *command: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def answer(tree: Path, smollm2: Built, *options: object) -> str:
    done = run(tree, "query.py", NAME, "plan", "--top", 3, *options, "--index", smollm2.path)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def expected(smollm2: Built) -> tuple[int, list[dict[str, object]]]:
    """How many tokens begin with `plan`, and the first three, read off the table of tokens."""
    table = pq.read_table(smollm2.path / "tokens.parquet").to_pylist()
    found = [line for line in table if line["text"].startswith("plan")]
    names = {"row": "row", "id": "token_id", "text": "text", "piece": "piece"}
    return len(found), [{name: line[column] for name, column in names.items()} for line in found[:3]]


def test_the_help_has_its_example(tree: Path) -> None:
    done = run(tree, "query.py", NAME, "--help")
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    assert "Tokens that begin with a text." in said
    assert "uv run query.py prefixed plan --top 3" in said
    assert "The first letters." in said
    assert NAME in run(tree, "query.py", "--help").stdout


def test_every_form(tree: Path, smollm2: Built, expected: tuple[int, list[dict[str, object]]], tmp_path: Path) -> None:
    count, tokens = expected
    assert json.loads(answer(tree, smollm2, "--json")) == {"prefix": "plan", "count": count, "tokens": tokens}
    lines = list(csv.DictReader(StringIO(answer(tree, smollm2, "--csv"))))
    assert lines == [{name: str(value) for name, value in token.items()} for token in tokens]
    assert answer(tree, smollm2, "--parquet", tmp_path / "found.parquet") == ""
    assert pq.read_table(tmp_path / "found.parquet").to_pylist() == tokens
    assert answer(tree, smollm2, "--svg", tmp_path / "found.svg") == ""
    assert (tmp_path / "found.svg").read_text(encoding="utf-8").startswith("<svg")
    shown = answer(tree, smollm2)
    assert f"tokens  {count:,}" in shown
    assert all(f"{token['id']}   {token['text']}" in shown for token in tokens)


def test_its_limit_is_told_in_the_words_of_the_caller(tree: Path, smollm2: Built) -> None:
    done = run(tree, "query.py", NAME, "plan", "--top", 0, "--index", smollm2.path)
    assert (done.returncode, done.stderr) == (2, "error: --top must be 1 or more, got: 0\n")
    ask = f"index.open({str(smollm2.path)!r}).{NAME}('plan', top=0)"
    code = f"import index\ntry:\n    {ask}\nexcept index.ParameterError as error:\n    print(error)"
    assert run(tree, "-c", code).stdout == "top must be 1 or more, got: 0\n"


def test_the_method(tree: Path, smollm2: Built, expected: tuple[int, list[dict[str, object]]]) -> None:
    count, tokens = expected
    code = (
        "import index, json\n"
        f"found = index.open({str(smollm2.path)!r}).{NAME}('plan', top=3)\n"
        "print(json.dumps([found.count, found.to_pandas().to_dict('records'), found._repr_html_().count('<tr>')]))"
    )
    assert json.loads(run(tree, "-c", code).stdout) == [count, tokens, 4]


def test_the_page(tree: Path, smollm2: Built, expected: tuple[int, list[dict[str, object]]]) -> None:
    count, tokens = expected
    code = (
        "from pathlib import Path\n"
        "from starlette.testclient import TestClient\n"
        "from index.api import QUESTIONS\n"
        "from index.pictures.explore.app import application\n"
        f"app = application(Path({str(smollm2.path)!r}), Path('none.map.parquet'), QUESTIONS)\n"
        "client = TestClient(app, base_url='http://127.0.0.1')\n"
        f"print(client.get('/ask/{NAME}', params={{'prefix': 'plan', 'top': '3'}}).text)\n"
    )
    done = run(tree, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "The first letters." in done.stdout
    assert f"<td>{count:,}</td>" in done.stdout
    assert all(f'href="/token/{token["id"]}"' in done.stdout for token in tokens)
