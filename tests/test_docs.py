"""What README.md and docs/ show is what the programs print, and they tell all that the programs take."""

import doctest
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator

import click
import pytest
from conftest import CONTROL, ROOT, Built
from shown import steady
from typer.main import get_command
from typer.testing import CliRunner

import build_index
import query
from index.api import OpenVocabulary

pytestmark = pytest.mark.shown

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
LEFT_OUT = "…"
"""A line of its own: some lines of the output are not shown here, or those from here on are not."""

QUERY = r"uv run (?:--extra \w+ )*query\.py "
SHARED = "## What all questions share"
"""The section of docs/ask.md with the options that most questions have."""


def fenced(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXTS[page], re.MULTILINE | re.DOTALL)


SHOWN = [
    pytest.param(block, id=f"{page}: {block.splitlines()[0]}")
    for page in TEXTS
    for block in fenced(page, "text")
    if re.match(rf"\$ {QUERY}", block)
]


APART = "docs/meaning.md: "
"""What this page shows takes as long as all other pages: test_docs_meaning.py has it, for another process."""


def compare(shown: list[str], printed: list[str]) -> None:
    """Compare what is shown with what was printed; between the parts that are shown, lines may be left out."""
    if LEFT_OUT not in shown:
        assert steady("\n".join(printed)) == steady("\n".join(shown))
        return
    parts: list[list[str]] = [[]]
    for line in shown:
        if line == LEFT_OUT:
            parts.append([])
        else:
            parts[-1].append(line)
    at = 0
    for n, part in enumerate(parts):
        starts = [at] if n == 0 else range(at, len(printed))
        at = next((start for start in starts if printed[start : start + len(part)] == part), at)
        assert printed[at : at + len(part)] == part
        at += len(part)
    assert at == len(printed) or not parts[-1], printed[at:]


def commands(block: str) -> list[tuple[str, str]]:
    """What a block shows: each command's arguments, and its output."""
    return re.findall(rf"^\$ {QUERY}(.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)


def assert_printed(block: str) -> None:
    """Run each command that a block shows, and compare its output."""
    for command, output in commands(block):
        result = CliRunner().invoke(query.app, shlex.split(command))
        compare(output.rstrip().splitlines(), [line.rstrip() for line in result.output.rstrip().splitlines()])


@pytest.mark.slow("verify --deep is computed in full, as it is shown")
@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize(
    "block", [each for each in SHOWN if CONTROL not in each.values[0] and not str(each.id).startswith(APART)]
)
def test_shown_output(block: str) -> None:
    """Beside a control: in test_docs_controls.py."""
    assert_printed(block)


def test_a_wrong_output_would_be_seen() -> None:
    printed = ["a", "b", "c", "d"]
    for shown in (
        ["a", "b", "c", "d"],
        ["a", LEFT_OUT],
        ["a", LEFT_OUT, "d"],
        [LEFT_OUT, "b", LEFT_OUT],
        [LEFT_OUT, "d"],
    ):
        compare(shown, printed)
    for shown in (["a"], ["b", LEFT_OUT], ["a", LEFT_OUT, "c"], ["a", LEFT_OUT, "e", LEFT_OUT], [LEFT_OUT, "c", "b"]):
        with pytest.raises(AssertionError):
            compare(shown, printed)


def test_no_output_is_shown_that_is_not_compared() -> None:
    prompts = sum(len(re.findall(r"^\$ ", text, re.MULTILINE)) for text in TEXTS.values())
    assert prompts == sum(len(commands(block.values[0])) for block in SHOWN)


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("page", [page for page in TEXTS if ">>>" in TEXTS[page]])
def test_shown_python(page: str) -> None:
    """The lines of a page are one session; what follows a line of `>>>` is what Python answers."""
    lines = "\n".join(block for block in fenced(page, "python") if ">>>" in block)
    session = doctest.DocTestParser().get_doctest(lines, {}, page, page, 0)
    said: list[str] = []
    failed = doctest.DocTestRunner(verbose=False).run(session, out=said.append)
    assert failed.attempted > 0
    assert not failed.failed, "".join(said)


def typed(page: str) -> Iterator[tuple[str, list[str]]]:
    """The command lines that a page names without their output: program and arguments."""
    for block in fenced(page, "sh"):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            for part in re.split(r" (?:&&|\|) ", line.split(" #")[0]):
                if found := re.search(r"(?:(build_index|query)\.py|(logoscope(?:-build)?))(?: (.*))?$", part.strip()):
                    builds = "build" in (found[1] or found[2])
                    yield "build_index.py" if builds else "query.py", shlex.split(found[3] or "")


@pytest.mark.parametrize(
    ("program", "arguments"),
    [pytest.param(*line, id=f"{page}: {line[0]} {shlex.join(line[1])}") for page in TEXTS for line in typed(page)],
)
def test_command_lines_can_be_typed(program: str, arguments: list[str]) -> None:
    app = get_command(build_index.app if program == "build_index.py" else query.app)
    if isinstance(app, click.Group) and arguments:
        app, arguments = app.commands[arguments[0]], arguments[1:]
    if arguments != ["--help"]:
        app.make_context(program, arguments)


PIPED = [
    (line, found)
    for page in TEXTS
    for block in fenced(page, "sh")
    for line in block.splitlines()
    if (found := re.search(rf"{QUERY}(.*) \| jq '(.*)'", line))
]


@pytest.mark.usefixtures("at_home")
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize(("arguments", "wanted"), [pytest.param(*found.groups(), id=line) for line, found in PIPED])
def test_what_is_piped_into_jq_runs(arguments: str, wanted: str) -> None:
    printed = CliRunner().invoke(query.app, shlex.split(arguments), input="planet\nstar\n").output
    done = subprocess.run(["jq", wanted], input=printed, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 2
    assert all(isinstance(json.loads(line), str) for line in done.stdout.splitlines())


def test_there_is_a_line_for_jq() -> None:
    assert [found[2] for _, found in PIPED] == [".causal[0].text"]


def options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            yield parameter.opts[0]


def section(title: str) -> str:
    """What stands in docs/ under a heading of the second level with this text, up to the next one."""
    for page in TEXTS:
        found = re.search(rf"^## [^\n]*{title}.*?(?=^## |\Z)", TEXTS[page], re.MULTILINE | re.DOTALL)
        if found and page != "README.md":
            return found[0]
    raise AssertionError(f"no heading names {title}")


@pytest.mark.parametrize("name", get_command(query.app).commands)  # type: ignore[attr-defined]
def test_every_question_and_its_options_are_told(name: str) -> None:
    told = section(f"`{name}[` ]") + TEXTS["docs/ask.md"].split(SHARED)[1].split("\n## ")[0]
    for option in options(get_command(query.app).commands[name]):  # type: ignore[attr-defined]
        assert re.search(rf"`{option}[` ]", told), option


def test_every_option_of_a_build_is_told() -> None:
    for option in options(get_command(build_index.app)):
        assert re.search(rf"`{option}[` ]", TEXTS["docs/build.md"]), option


def test_every_extra_is_told() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras) == set(re.findall(r"^\| `(\w+)` +\|", section("Extras"), re.MULTILINE))


def test_every_named_method_is_there() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"(?<![.\w])vocabulary\.(?!md)(\w+)", text)}
    assert len(named) > 15
    assert [name for name in named if not hasattr(OpenVocabulary, name)] == []


def without_code(page: str) -> str:
    return re.sub(r"`[^`\n]*`", "``", re.sub(r"^```.*?^```$", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL))


def anchors(page: str) -> set[str]:
    """The anchors that headings get: lower case, spaces to hyphens, without other signs."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_the_first_answer_is_that_of_evaluate() -> None:
    """README's table of rho against what docs/meaning.md shows, which is compared with what is printed."""
    for name in ("WordSim-353", "SimLex-999"):
        shown = re.search(rf"^{name}: \d.*\n.*\n((?:\S.*\n)+?) {{3,}}", TEXTS["docs/meaning.md"], re.MULTILINE)
        assert shown is not None
        rho = dict(re.findall(r"^(causal|cosine|causal-cosine) +(\S+)", shown[1], re.MULTILINE))
        assert f"| {name} | {rho['causal']} | {rho['cosine']} | {rho['causal-cosine']} |" in TEXTS["README.md"]


@pytest.mark.parametrize("page", TEXTS)
def test_no_figure_is_left_to_be_filled_in(page: str) -> None:
    assert re.findall(r"\b[A-Z]{4,}\d+\b", without_code(page)) == []


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT))), link


@pytest.mark.parametrize("page", [page for page in TEXTS if page != "README.md"])
def test_every_page_is_named_in_the_readme(page: str) -> None:
    assert f"]({page})" in TEXTS["README.md"]


def test_the_readme_is_one_page() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 200


def test_every_file_of_a_bundle_is_told(smollm2: Built) -> None:
    named = re.findall(r"`([*\w.]+\.\w+)`", TEXTS["docs/formats.md"].split("\n## ")[1])
    for pattern in named:
        assert list(smollm2.path.glob(pattern)), pattern
    for file in smollm2.path.iterdir():
        assert any(file.match(pattern) for pattern in named), file.name
