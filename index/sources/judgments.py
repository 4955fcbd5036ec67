"""What people judged: pairs of words with scores, and analogies, as gensim lays them out; and pairs without scores.

Pairs: two words and a number on each line, with tabs between; lines that begin with `#` are comments. Analogies: four
words on a line, under lines `: section`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from index.errors import ParameterError, SourceError, parameter
from index.files import brief, read_bytes, require

MOST_BYTES = 1 << 26
_FILES = parameter("files")


@dataclass(frozen=True, eq=False)
class JudgedPairs:
    """Pairs of words, with how alike people find them."""

    name: str
    pairs: tuple[tuple[str, str], ...]
    scores: np.ndarray  # (n,) float64

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class Questions:
    """Analogies: the fourth word is to the third as the second is to the first."""

    name: str
    questions: tuple[tuple[str, str, str, str], ...]
    sections: tuple[str, ...]  # the name of each question's section

    def __len__(self) -> int:
        return len(self.questions)


@dataclass(frozen=True)
class WordPairs:
    """Pairs of words that differ in one thing, as `king` and `queen` do: a concept."""

    name: str
    pairs: tuple[tuple[str, str], ...]


Judgments = JudgedPairs | Questions

GENSIM = {"WordSim-353": "wordsim353.tsv", "SimLex-999": "simlex999.txt", "questions-words": "questions-words.txt"}
"""The sets that the package gensim carries among its tests' data."""


def gensims_judgments() -> list[Judgments]:
    """Read the sets in the package gensim, which is not imported; ParameterError where it is not installed."""
    return [read_judgments(path, name) for name, path in _gensims_files("evaluate").items()]


def gensims_word_pairs(command: str) -> list[WordPairs]:
    """Read the sections of gensim's analogies, for a command of `query.py`; raises what `gensims_judgments` raises."""
    name = "questions-words"
    return pairs_of_sections(_questions(*_lines(_gensims_files(command)[name], name)))


def _gensims_files(command: str) -> dict[str, Path]:
    require("gensim", extra="evaluate", command=command)
    spec = find_spec("gensim")
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    found = [Path(folder) / "test" / "test_data" for folder in folders]
    folder = next((each for each in found if (each / GENSIM["WordSim-353"]).is_file()), None)
    if folder is None:  # as in Debian's package
        raise ParameterError(
            f"the gensim installed here has no test data; install the one of PyPI, or name files as {_FILES}"
        )
    return {name: folder / file for name, file in GENSIM.items()}


def read_judgments(path: Path, name: str | None = None) -> Judgments:
    """Read a file of pairs with scores, or of analogies: the first line that is no comment says which.

    ParameterError when it is neither, with the first line that is wrong.
    """
    where, name, lines = _lines(path, name)
    if not lines:
        raise ParameterError(f"{where} holds no line but comments; wanted pairs of words with scores, or analogies")
    read = _questions if lines[0][1].startswith(":") else _pairs
    return read(where, name, lines)


def read_word_pairs(path: Path, named: str = "files") -> list[WordPairs]:
    """Read a file of word pairs, or of analogies, each section of which is one: the first line says which.

    Pairs are two words on a line with a tab between, as Park, Choe and Veitch (2024) have them. ParameterError, of the
    parameter `named`, when it is neither, with the first line that is wrong.
    """
    where, name, lines = _lines(path, None, named)
    if not lines:
        raise ParameterError(f"{where} holds no line but comments; wanted two words with a tab between on each")
    if lines[0][1].startswith(":"):
        return pairs_of_sections(_questions(where, name, lines))
    pairs = []
    for number, line in lines:
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != 2 or not all(parts):
            raise ParameterError(
                f"{where}, line {number}: {line[:60]!r} is no pair; wanted two words with a tab between, or a line "
                "': section' above analogies"
            )
        pairs.append((parts[0], parts[1]))
    return [WordPairs(name, tuple(pairs))]


def pairs_of_sections(asked: Questions) -> list[WordPairs]:
    """Return the word pairs that analogies are made of, each once, section by section."""
    found: dict[str, dict[tuple[str, str], None]] = {}
    for (a, b, c, d), section in zip(asked.questions, asked.sections, strict=True):
        found.setdefault(section, {}).update({(a, b): None, (c, d): None})
    return [WordPairs(section or asked.name, tuple(pairs)) for section, pairs in found.items()]


def _lines(path: Path, name: str | None, named: str = "files") -> tuple[str, str, list[tuple[int, str]]]:
    """Return what messages call a file, its own name, and its lines that are no comments, with their numbers."""
    where = f"{parameter(named)} {path}"
    try:
        text = read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError(f"{where} is no UTF-8: {brief(error)}") from error
    except (SourceError, OSError, ValueError) as error:
        raise ParameterError(f"{where} cannot be read: {brief(error)}") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    return where, name or path.stem, lines


def _pairs(where: str, name: str, lines: list[tuple[int, str]]) -> JudgedPairs:
    pairs, scores = [], []
    for number, line in lines:
        parts = [part.strip() for part in line.split("\t")]
        try:
            first, second, score = parts[0], parts[1], float(parts[2])
        except (IndexError, ValueError):
            first, second, score = "", "", math.nan
        if len(parts) != 3 or not first or not second or not math.isfinite(score):
            raise ParameterError(
                f"{where}, line {number}: {line[:60]!r} is no pair; wanted two words and a number with tabs between, "
                "or a line ': section' above analogies"
            )
        pairs.append((first, second))
        scores.append(score)
    return JudgedPairs(name, tuple(pairs), np.array(scores))


def _questions(where: str, name: str, lines: list[tuple[int, str]]) -> Questions:
    questions, sections, section = [], [], ""
    for number, line in lines:
        if line.startswith(":"):
            section = line[1:].strip()
            continue
        words = line.split()
        if len(words) != 4:
            raise ParameterError(
                f"{where}, line {number}: {line[:60]!r} has {len(words)} words; wanted four, or ': section'"
            )
        questions.append((words[0], words[1], words[2], words[3]))
        sections.append(section)
    if not questions:
        raise ParameterError(f"{where} has sections and no analogy; wanted four words on a line")
    return Questions(name, tuple(questions), tuple(sections))
