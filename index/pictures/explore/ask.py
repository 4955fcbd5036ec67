"""Answers' blocks as a page's parts, with addresses for their tokens and questions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from index.answers.page import Block, Facts, Heading, Reference, Sentence, Table, Words, parts
from index.errors import one_line
from index.pictures.explore.address import Choice, Lead, Link, lead, link
from index.tokens.vocabulary import Token

Cell = list[str | Link | Lead]
"""Texts, and tokens and questions to go to, one behind the other."""


@dataclass(frozen=True)
class Part:
    """A block of an answer; a heading or a sentence is one row of one cell."""

    kind: str  # "heading", "facts", "table" whose last column is a token, "grid", "sentence", "aside"
    rows: list[list[Cell]]
    columns: tuple[str, ...] = ()


def shown(page: Iterable[Block], choice: Choice) -> list[Part]:
    """Return an answer's blocks with addresses for their tokens."""

    def cell(words: Words) -> Cell:
        return [
            one_line(part)
            if isinstance(part, str)
            else lead(part)
            if isinstance(part, Reference)
            else link(part, choice)
            for part in parts(words)
        ]

    def part(block: Block) -> Part:
        if isinstance(block, Facts):
            return Part("facts", [[cell(name), cell(value)] for name, value in block.rows])
        if isinstance(block, Table):
            rows = [list(map(cell, row)) for row in block.rows]
            return Part("table" if block.of_tokens else "grid", rows, block.names)
        if isinstance(block, Heading):
            return Part("heading", [[cell(block.text if isinstance(block.text, str) else _named(block.text))]])
        return Part("aside" if block.aside else "sentence", [[cell(block.text)]])

    return [part(block) for block in page if not (isinstance(block, Sentence) and not block.text)]


def _named(token: Token) -> Words:
    return (token, "" if token.text is None else f" #{token.id}")
