"""Questions as forms, and their answers' blocks as a page's parts. No question is named here, and HTTP is not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, get_origin

from index.answers.page import Block, Facts, Heading, Reference, Sentence, Table, Words, parts
from index.bundle.bundle import Bundle
from index.bundle.places import names_beside
from index.errors import LogoscopeError, ParameterError, TokenError, one_line, parameter
from index.geometry.maps import Geometry
from index.pictures.explore.address import Choice, Lead, Link, lead, link
from index.questions.asking.among import COLUMNS, Subset, files_in
from index.questions.asking.question import Parameter, Question
from index.questions.asking.reading import Pair, Some
from index.questions.asking.vectors import Vectors
from index.tokens.vocabulary import Token

Typed = Mapping[str, Sequence[str]]
"""What a form sends: the values of each field."""

Cell = list[str | Link | Lead]
"""Texts, and tokens and questions to go to, one behind the other."""

YES, NO = "true", "false"

_FILES = (Path, tuple[Path, ...], Vectors)
"""The kinds of parameters that name files, which pages neither read nor write."""


@dataclass(frozen=True)
class Field:
    """A parameter as one field of a form."""

    name: str
    help: str
    kind: str  # "choice", "token", "terms", "lines", or the type of an input
    values: tuple[str, ...]  # what stands in it; two or three where so many are chosen
    required: bool
    choices: tuple[str, ...] = ()  # an empty one is the default
    least: float | None = None
    most: float | None = None
    step: str = "1"
    problem: str = ""  # what is wrong with what was typed


@dataclass(frozen=True)
class Part:
    """A block of an answer; a heading or a sentence is one row of one cell."""

    kind: str  # "heading", "facts", "table" whose last column is a token, "grid", "sentence", "aside"
    rows: list[list[Cell]]
    columns: tuple[str, ...] = ()


def why_not(question: Question[Any, Any]) -> str | None:
    """Return why a question is asked on the command line alone; None where it has a page."""
    needed = any(each.kind in _FILES and each.required for each in question.parameters)
    return "of files, which pages neither read nor write" if needed else None


def offered(question: Question[Any, Any]) -> tuple[Parameter, ...]:
    """Return the parameters that have a field: all but files, and what is done with them."""
    return tuple(each for each in question.parameters if each.doc.page and each.kind not in _FILES)


def answered_at_once(question: Question[Any, Any]) -> bool:
    """Whether a page shows an answer before anything is typed: where nothing must be, and it does not take long."""
    return not question.reports_progress and not any(each.required for each in offered(question))


def fields(question: Question[Any, Any], typed: Typed, bundle: Bundle) -> list[Field]:
    """Return the form of a question, filled in with what was typed."""
    return [_field(each, tuple(typed.get(each.name, ())), bundle) for each in offered(question)]


def with_problem(fields: list[Field], error: LogoscopeError, bundle: Bundle) -> list[Field]:
    """Return a form with an error at the field that it is about; without it where it is about none of them."""
    names = [name for name in error.parameters if any(each.name == name for each in fields)]
    if isinstance(error, TokenError):
        names = [each.name for each in fields if each.kind == "token" and each.values[0] and not _known(each, bundle)]
    return [replace(each, problem=str(error)) if [each.name] == names[:1] else each for each in fields]


def _known(field: Field, bundle: Bundle) -> bool:
    try:
        bundle.vocabulary.resolve(field.values[0])
    except TokenError:
        return False
    return True


def arguments(question: Question[Any, Any], typed: Typed, bundle: Bundle) -> dict[str, Any]:
    """Return what was typed as a question takes it; ParameterError for what it cannot be asked with.

    An empty field is one that is not given. Limits, and what no reader here knows, are the question's own to check.
    """
    known = {each.name for each in offered(question)}
    unknown = [name for name in typed if name not in known]
    if unknown:
        raise ParameterError(f"{question.name} has no parameter {unknown[0]!r:.60}; it has {', '.join(sorted(known))}")
    given = {}
    for each in offered(question):
        values = [value for value in typed.get(each.name, ()) if value]
        text = ",".join(values if each.kind in (Pair, Some) else values[:1])
        if text:
            given[each.name] = tuple(values) if each.kind == tuple[str, str] else _value(each, text, bundle)
        elif each.required:
            raise ParameterError(f"{parameter(each.name)} is missing; fill it in")
    return given


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


def _field(each: Parameter, typed: tuple[str, ...], bundle: Bundle) -> Field:
    default = None if each.required or each.default is None else _written(each.default)
    told = each.doc.default or default
    told_of = f"{each.doc.text.rstrip('.')}; a page reads no file" if each.kind is Subset else each.doc.text
    others = names_beside(bundle.folder) if each.kind is Bundle else []
    if each.kind is Bundle:
        told_of = f"{each.doc.text.rstrip('.')}; on a page its name"
    help = told_of.rstrip(".") + (f". Default: {told}." if told and each.kind is not bool else ".")
    if each.kind in (Pair, Some):
        chosen = tuple(",".join(typed or [default or ""]).split(","))
        choices = _choices(Geometry) if each.kind == Pair else ("", *_choices(Geometry))  # of some, one may be none
        return Field(each.name, help, "choice", (*chosen, "", "")[: len(choices) - 1], each.required, choices)
    if each.kind is bool or (isinstance(each.kind, type) and issubclass(each.kind, Enum)):
        choices = (NO, YES) if each.kind is bool else _choices(each.kind)
        choices = choices if default or each.required else ("", *choices)
        return Field(each.name, help, "choice", typed[:1] or (default or choices[0],), each.required, choices)
    if others:
        chosen, choices = typed[:1] or ("",), tuple(others) if each.required else ("", *others)
        return Field(each.name, help, "choice", chosen, each.required, choices)
    values = typed[:1] or ("",)
    if each.kind == tuple[str, str]:
        return Field(each.name, help, "terms", (*typed, "", "")[:2], each.required)
    if each.kind in (int, float):
        limit, step = each.limit, "1" if each.kind is int else "any"
        most = None if limit is None else limit.most(bundle) if callable(limit.most) else limit.most
        return Field(
            each.name, help, "number", values, each.required, (), None if limit is None else limit.least, most, step
        )
    if get_origin(each.kind) is list:
        return Field(each.name, f"{help} One on each line.", "lines", values, each.required)
    kind = {"TOKEN": "token", "TERMS": "terms"}.get(each.doc.metavar or "", "text")
    return Field(each.name, help, kind, values, each.required)


def _value(each: Parameter, text: str, bundle: Bundle) -> Any:
    if each.kind in (int, float):
        try:
            return each.kind(text)
        except ValueError:
            return text  # which the question refuses, in its own words
    if each.kind is bool:
        if text not in (YES, NO):
            raise ParameterError(f"{parameter(each.name)} must be {YES} or {NO}, got: {text[:60]}")
        return text == YES
    if each.kind is Subset and files_in(text):  # a link from elsewhere must open no file
        wanted = " or ".join(("@SET", *(f"{column}=VALUE" for column in COLUMNS)))
        raise ParameterError(f"{parameter(each.name)} is {wanted} on a page, which reads no file; got: {text[:60]}")
    if each.kind is Bundle and Path(text).name != text:  # nor any folder
        raise ParameterError(
            f"{parameter(each.name)} is the name of a bundle on a page, not a folder; got: {text[:60]}"
        )
    if each.kind is Bundle and text in names_beside(bundle.folder):
        return bundle.folder.resolve().with_name(text)
    return text.splitlines() if get_origin(each.kind) is list else text


def _choices(kind: type[Enum]) -> tuple[str, ...]:
    return tuple(map(_written, kind))


def _written(value: Any) -> str:
    """Return a value as it is typed: `causal,cosine`."""
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    if isinstance(value, bool):
        return YES if value else NO
    return str(value.value).replace("_", "-") if isinstance(value, Enum) else str(value)
