"""Questions as forms: what is typed into one, and what a question is asked with. No question is named here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, get_origin

from index.bundle.bundle import Bundle
from index.bundle.places import ROOT, names_beside
from index.bundle.saved_sets import saved_names
from index.errors import LogoscopeError, ParameterError, TokenError, parameter
from index.geometry.maps import Geometry
from index.questions.asking.among import COLUMNS, Subset, files_in
from index.questions.asking.named_sets import BUILT_IN, MARK
from index.questions.asking.question import Parameter, Question, written
from index.questions.asking.reading import Pair, Some
from index.questions.asking.vectors import Vectors
from index.tokens.vocabulary import Kind

Typed = Mapping[str, Sequence[str]]
"""What a form sends: the values of each field."""

YES, NO = "true", "false"

_FILES = (Path, tuple[Path, ...], Vectors)
"""The kinds of parameters that name files, which pages neither read nor write."""


@dataclass(frozen=True)
class Field:
    """A parameter as one field of a form."""

    name: str
    label: str  # the name in words
    help: str
    kind: str  # "choice", "token", "terms", "lines", or the type of an input
    values: tuple[str, ...]  # what stands in it; two or three where so many are chosen
    required: bool
    choices: tuple[str, ...] = ()  # an empty one is the default
    least: float | None = None
    most: float | None = None
    step: str = "1"
    problem: str = ""  # what is wrong with what was typed
    offered: tuple[str, ...] = ()  # what may stand in it, among other things


def why_not(question: Question[Any, Any]) -> str | None:
    """Return why a question is asked on the command line alone; None where it has a page."""
    needed = any(each.kind in _FILES and each.required for each in question.parameters)
    return "of files, which pages neither read nor write" if needed else None


def offered(question: Question[Any, Any]) -> tuple[Parameter, ...]:
    """Return the parameters that have a field: all but files, and what is done with them."""
    return tuple(each for each in question.parameters if each.doc.page and each.kind not in _FILES)


def answered_at_once(question: Question[Any, Any]) -> bool:
    """Whether a page shows an answer before anything is typed: where nothing must be, and it does not take long."""
    return not question.takes_long and not any(each.required for each in offered(question))


def fields(question: Question[Any, Any], typed: Typed, bundle: Bundle) -> list[Field]:
    """Return the form of a question, filled in with what was typed."""
    return [_field(each, tuple(typed.get(each.name, ())), bundle) for each in offered(question)]


def in_words(name: str, value: str | None) -> str:
    """Spell a parameter as the label of its field does."""
    words = name.replace("_", " ")
    return words if value is None else f"{words} {value}"


def with_problem(fields: list[Field], error: LogoscopeError, bundle: Bundle) -> list[Field]:
    """Return a form with an error at the field that it is about; without it where it is about none of them."""
    names = [name for name in error.parameters if any(each.name == name for each in fields)]
    if isinstance(error, TokenError):
        names = [each.name for each in fields if each.kind == "token" and each.values[0] and not _known(each, bundle)]
    return [replace(each, problem=error.told(in_words)) if [each.name] == names[:1] else each for each in fields]


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


def in_a_terminal(question: Question[Any, Any], given: Mapping[str, Any], bundle: Bundle) -> str:
    """Return the command line that asks what a page has asked; `given` is of `arguments`."""
    typed = {name: _named(value) if isinstance(value, Path) else value for name, value in given.items()}
    here, of_two = _named(bundle.folder), any(each.kind is Bundle and each.positional for each in question.parameters)
    line = question.typed(typed, first=(here,)) if of_two else question.typed(typed, last=("--index", here))
    return f"uv run query.py {line}"


def _named(folder: Path) -> str:
    """Return how a bundle is named on a command line."""
    whole = folder.resolve()
    return whole.name if whole.parent == ROOT.resolve() else str(whole)


def _field(each: Parameter, typed: tuple[str, ...], bundle: Bundle) -> Field:
    default = None if each.required or each.default is None else _text(each.default)
    field = Field(each.name, in_words(each.name, None), _help(each, default), "text", typed[:1] or ("",), each.required)
    if each.kind in (Pair, Some):
        chosen = tuple(",".join(typed or [default or ""]).split(","))
        choices = _choices(Geometry) if each.kind == Pair else ("", *_choices(Geometry))  # of some, one may be none
        return replace(field, kind="choice", values=(*chosen, "", "")[: len(choices) - 1], choices=choices)
    if each.kind is bool or (isinstance(each.kind, type) and issubclass(each.kind, Enum)):
        choices = (NO, YES) if each.kind is bool else _choices(each.kind)
        choices = choices if default or each.required else ("", *choices)
        return replace(field, kind="choice", values=typed[:1] or (default or choices[0],), choices=choices)
    others = tuple(names_beside(bundle.folder)) if each.kind is Bundle else ()
    if others:
        return replace(field, kind="choice", choices=others if each.required else ("", *others))
    if each.kind is Subset:
        return replace(field, offered=_subsets(bundle))
    if each.kind == tuple[str, str]:
        return replace(field, kind="terms", values=(*typed, "", "")[:2])
    if each.kind in (int, float):
        return _number_field(field, each, bundle)
    if get_origin(each.kind) is list:
        return replace(field, kind="lines", help=f"{field.help} One on each line.")
    return replace(field, kind={"TOKEN": "token", "TERMS": "terms"}.get(each.doc.metavar or "", "text"))


def _help(each: Parameter, default: str | None) -> str:
    said, told = each.doc.on_page or each.doc.text, each.doc.default or default
    return said.rstrip(".") + (f". Default: {told}." if told and each.kind is not bool else ".")


def _number_field(field: Field, each: Parameter, bundle: Bundle) -> Field:
    limit, step = each.limit, "1" if each.kind is int else "any"
    if limit is None:
        return replace(field, kind="number", step=step)
    most = limit.most(bundle) if callable(limit.most) else limit.most
    return replace(field, kind="number", step=step, least=limit.least, most=most)


def _subsets(bundle: Bundle) -> tuple[str, ...]:
    """Return the parts of a vocabulary that have names: sets, and kinds of tokens."""
    sets = (MARK + name for name in (*BUILT_IN, *saved_names(bundle)))
    return *sets, *(f"kind={kind.value}" for kind in Kind)


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
    named = files_in(text) if each.kind is Subset or each.doc.parts else []
    if not set(named) <= set(each.doc.parts):  # a link from elsewhere must open no file
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
    return tuple(map(_text, kind))


def _text(value: Any) -> str:
    """Return a value as a form sends it."""
    if isinstance(value, bool):
        return YES if value else NO
    return str(written(value))
