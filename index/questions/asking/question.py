"""What makes a function a question: its signature says all that a method, a command and a page need to know.

::

    def prefixed(bundle: Bundle, prefix: Annotated[str, Doc("The first letters.")], *, top: Top = 30) -> Prefixed:

Values are understood and limits checked here, once, whoever asks: Python hears of `top`, the command line of `--top`.
"""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, wraps
from types import MethodType, NoneType, UnionType
from typing import Annotated, Any, Concatenate, Generic, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from index.answers.answer import Answer
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.lazy import loaded
from index.questions.asking.reading import read

P = ParamSpec("P")
A = TypeVar("A", bound=Answer)


_LARGEST = sys.float_info.max
"""What no number may exceed, whole ones neither."""


@dataclass(frozen=True)
class Doc:
    """What a parameter is for, as help texts and forms say it."""

    text: str
    metavar: str | None = None  # what stands for its value
    default: str | None = None  # what happens without it, in words
    option: str | None = None  # its name on a command line, where that is another
    many: bool = False  # a command takes several, and asks for each
    minus: bool = False  # it may begin with a minus, and is no option then
    page: bool = True  # whether a page has a field for it: not for what is done with files, nor for what may run away
    parts: tuple[str, ...] = ()  # where a text names parts of the vocabulary, files among them: what else it may name
    on_page: str | None = None  # what a page says in place of `text`: of what it has not, as files


@dataclass(frozen=True)
class Limit:
    """The range of a number."""

    least: float
    most: float | Callable[[Bundle], int] | None = None
    meaning: str = ""  # what `most` is, said behind it
    unit: str = ""  # said behind `least`, where there is no `most`
    more: str | None = None  # the parameter of a build that would raise it

    def check(self, name: str, value: float, bundle: Bundle) -> None:
        """Raise ParameterError for a value outside."""
        most = self.most(bundle) if callable(self.most) else self.most
        if self.least <= value <= (_LARGEST if most is None else most):  # not NaN
            return
        unit = f" {self.unit}" if self.unit else ""
        span = f"{self.least:,}{unit} or more" if most is None else f"from {self.least:,} to {most:,}"
        meaning = f", {self.meaning.format(bundle=bundle.name)}" if self.meaning else ""
        got = f"{value:g}" if isinstance(value, float) or abs(value) <= _LARGEST else "more than any number here"
        advice = f"; build with more {parameter(self.more)} for more" if self.more else ""
        raise ParameterError(f"{parameter(name)} must be {span}{meaning}, got: {got}{advice}")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a question."""

    name: str
    kind: Any  # its type, without None: int, str, Pair, ...
    default: Any  # `inspect.Parameter.empty` where there is none
    positional: bool
    doc: Doc
    limit: Limit | None

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    @property
    def argument(self) -> bool:
        """Whether a command takes it by its place; one with an option's name is an option there."""
        return self.positional and self.doc.option is None

    @property
    def option(self) -> str:
        """Its name on a command line: `--density-k`."""
        return self.doc.option or "--" + self.name.replace("_", "-")

    def read(self, value: Any, bundle: Bundle) -> Any:
        """Return a value as the question takes it: names become members and subsets, limits hold."""
        if value is None:
            return None
        value = read(self.name, self.kind, value, bundle)
        if self.limit is not None:
            for each in value if isinstance(value, tuple) else (value,):
                self.limit.check(self.name, each, bundle)
        return value


class Question(Generic[P, A]):
    """A question as a method of an open vocabulary, and what a command or a page is made of.

    One that reports progress takes long, or is `seldom_long`: then a page answers it before anything is typed.
    """

    def __init__(
        self, ask: Callable[Concatenate[Any, P], A], name: str | None = None, *, seldom_long: bool = False
    ) -> None:
        self._given, self._seldom_long = ask, seldom_long
        self.name = name or ask.__name__

    def __set_name__(self, owner: type, name: str) -> None:
        self._names = name, f"{owner.__qualname__}.{name}"

    def __get__(self, bundle: Any, owner: type | None = None) -> Callable[P, A]:
        method: Callable[P, A] = self._method if bundle is None else MethodType(self._method, bundle)  # type: ignore[assignment]
        return method

    def __call__(self, bundle: Bundle, *args: P.args, **kwargs: P.kwargs) -> A:
        """Ask, with values as people write them."""
        given = self._signature.bind(bundle, *args, **kwargs)
        for each in self.parameters:
            if each.name in given.arguments:
                given.arguments[each.name] = each.read(given.arguments[each.name], bundle)
        found = self._ask(*given.args, **given.kwargs)
        found.about(bundle.manifest.control)
        return found

    @cached_property
    def _ask(self) -> Callable[Concatenate[Any, P], A]:
        ask: Callable[Concatenate[Any, P], A] = loaded(self._given)
        return ask

    @cached_property
    def _method(self) -> Callable[Concatenate[Any, P], A]:
        @wraps(self._ask)
        def asked(bundle: Bundle, *args: P.args, **kwargs: P.kwargs) -> A:
            return self(bundle, *args, **kwargs)

        # A bound method is pickled as its name, which is not always the function's.
        asked.__name__, asked.__qualname__ = self._names
        return asked  # type: ignore[return-value]

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self._ask)  # costs more than many an answer

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self._ask, include_extras=True)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """What can be asked for, without the bundle and the report of progress."""
        _, *declared = self._signature.parameters.values()
        return tuple(_parameter(each, self._hints[each.name]) for each in declared if each.name != "progress")

    @cached_property
    def answer(self) -> type[Answer]:
        """The kind of record it is answered with."""
        kind: type[Answer] = self._hints["return"]
        return kind

    @property
    def reports_progress(self) -> bool:
        """Whether it may take long enough to say how far it is."""
        return "progress" in self._signature.parameters

    @property
    def takes_long(self) -> bool:
        """Whether it does so mostly, and is not to be begun unasked."""
        return self.reports_progress and not self._seldom_long

    @property
    def help(self) -> str:
        """What it answers: the docstring's text before its example."""
        return inspect.cleandoc(self._ask.__doc__ or "").split("\n\nExample:")[0]

    @property
    def example(self) -> str:
        """A command line that asks it."""
        _, _, rest = inspect.cleandoc(self._ask.__doc__ or "").partition("\n\nExample: ")
        return rest.split("\n\n")[0]

    def typed(self, given: Mapping[str, Any], first: tuple[str, ...] = (), last: tuple[str, ...] = ()) -> str:
        """Return the question as a command line asks it, less what is usual, and what only says where files go.

        Arguments begin with those in `first`, options end with those in `last`.
        """
        arguments, options = [*first], []
        for each in self.parameters:
            value = given.get(each.name)
            if value is None or value is False or value in ("", [], written(each.default)):
                continue
            if each.name in ("out", "overwrite"):
                continue
            values = [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
            if each.argument:
                arguments += values
            elif value is True:
                options.append(each.option)
            elif isinstance(value, list):
                options += [word for one in values for word in (each.option, one)]
            else:
                options += [each.option, *values]
        options += last
        if any(word.startswith("-") for word in arguments):
            return shlex.join([self.name, *options, "--", *arguments])
        return shlex.join([self.name, *arguments, *options])


def written(value: Any) -> Any:
    """Return a value as it is typed: `causal,cosine`."""
    if isinstance(value, tuple):
        return ",".join(str(written(each)) for each in value)
    return str(value.value).replace("_", "-") if isinstance(value, Enum) else value


def _parameter(declared: inspect.Parameter, hint: Any) -> Parameter:
    kind, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if get_origin(kind) in (Union, UnionType):
        kinds = [each for each in get_args(kind) if each is not NoneType]
        kind = kinds[0] if len(kinds) == 1 else kind
    doc = next((note for note in notes if isinstance(note, Doc)), None)
    if doc is None:
        raise TypeError(f"the parameter '{declared.name}' of a question has no Doc")
    limit = next((note for note in notes if isinstance(note, Limit)), None)
    positional = declared.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    return Parameter(declared.name, kind, declared.default, positional, doc, limit)
