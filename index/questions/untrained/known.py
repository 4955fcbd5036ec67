"""Tokens that are known to be unused, from a file, and how a proposed set does against them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.answers.answer import json_number
from index.answers.page import Block, facts
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.files import brief, no_file
from index.tokens.display import display
from index.tokens.vocabulary import Token

MOST_BYTES = 1 << 26
LISTED = 10


@dataclass(frozen=True, eq=False)
class KnownTokens:
    """The tokens that a file names."""

    path: Path
    rows: np.ndarray  # (n,) ascending, each once
    absent: tuple[str, ...]  # lines that name no token here


@dataclass(frozen=True)
class Known:
    """A proposed set against known tokens."""

    file: KnownTokens
    both: int
    proposed: int
    missed: tuple[Token, ...]  # known, and not proposed

    @property
    def precision(self) -> float:
        """The share of the proposed that are known; NaN where none are proposed."""
        return self.both / self.proposed if self.proposed else float("nan")

    @property
    def recall(self) -> float:
        """The share of the known that are proposed."""
        return self.both / len(self.file.rows)

    def json(self) -> dict[str, Any]:
        """Return both shares, and what was missed."""
        return {
            "tokens": len(self.file.rows),
            "absent": list(self.file.absent),
            "both": self.both,
            "precision": json_number(self.precision),
            "recall": self.recall,
            "missed": [token.json() for token in self.missed],
        }

    def page(self) -> list[Block]:
        """Return both shares, and what was missed."""
        known = len(self.file.rows)
        beyond = f" and {len(self.missed) - LISTED:,} more" if len(self.missed) > LISTED else ""
        missed = ", ".join(f"'{display(token.text, token.piece)}' #{token.id}" for token in self.missed[:LISTED])
        absent = ", ".join(f"'{display(line)}'" for line in self.file.absent[:LISTED])
        rows = [
            ("known", f"{known:,} tokens of {self.file.path}"),
            ("  precision", f"{self.both:,} of {self.proposed:,} proposed are known{_percent(self.precision)}"),
            ("  recall", f"{self.both:,} of {known:,} known are proposed{_percent(self.recall)}"),
        ]
        if self.missed:
            rows.append(("  missed", missed + beyond))
        if absent:
            rows.append(("  not here", f"{len(self.file.absent):,} lines name no token: {absent}"))
        return [facts(rows)]


def known_tokens(bundle: Bundle, path: Path) -> KnownTokens:
    """Read a file with an id (`7`, `#7`) or a text on each line; ParameterError for one that names no token here.

    A text stands for all tokens that it names. Digits alone are an id.
    """
    name = parameter("known")
    try:
        if not os.path.isfile(path):  # Path.is_file raises for a path that no file system takes
            raise ParameterError(f"{name} {path}: {no_file(path)}; wanted an id or a text on each line")
        if path.stat().st_size > MOST_BYTES:
            raise ParameterError(f"{name} {path} has more than {MOST_BYTES:,} bytes; wanted an id or a text a line")
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise ParameterError(f"{name} {path} is no text in UTF-8; wanted an id or a text on each line") from None
    except OSError as error:
        raise ParameterError(f"{name} {path} cannot be read: {brief(error)}") from None
    found: set[int] = set()
    absent: list[str] = []
    for line in (each.removesuffix("\r") for each in lines):
        if not line:
            continue
        rows = _rows(bundle, line)
        found.update(rows)
        if not rows:
            absent.append(line)
    if not found:
        raise ParameterError(f"{name} {path} names no token of {bundle.name}; wanted an id or a text on each line")
    return KnownTokens(path, np.array(sorted(found)), tuple(absent))


def compare(bundle: Bundle, known: KnownTokens, proposed: np.ndarray) -> Known:
    """Hold a proposed set, (n,) rows, against known tokens."""
    missed = np.setdiff1d(known.rows, proposed)
    return Known(
        known, len(known.rows) - len(missed), len(proposed), tuple(map(bundle.vocabulary.token, missed.tolist()))
    )


def _rows(bundle: Bundle, line: str) -> list[int]:
    if re.fullmatch(r"\s*#?[0-9]{1,18}\s*", line):
        row = bundle.vocabulary.row_of_id(int(line.strip().removeprefix("#")))
        return [] if row is None else [row]
    return bundle.vocabulary.meanings.named(line).rows


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f", {100 * share:.1f} %"
