"""A question's signature becomes a command: arguments, options, help, and every form of output."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from index.answers.page import parts
from index.bundle.bundle import Bundle
from index.cli.ask import Spelled, answering, as_option, ask_opened, open_index, show
from index.cli.form import Form
from index.cli.keep import Keeper
from index.cli.many import ask_many
from index.cli.progress import progress_of
from index.cli.usage import OneLineCommand, said
from index.errors import ParameterError
from index.questions.asking.question import written
from index.questions.asking.reading import TokenName

if TYPE_CHECKING:
    from index.answers.answer import Answer
    from index.questions.asking.question import Parameter, Question

Index = Annotated[
    Path | None,
    typer.Option(
        "--index",
        metavar="DIR",
        help="The bundle's folder, or its name.",
        show_default="the one under data/indexes",
    ),
]

_SHARED: dict[str, tuple[Any, Any]] = {
    "index": get_args(Index),
    "json": (bool, typer.Option("--json", help="Print JSON, with exact texts.")),
    "csv": (bool, typer.Option("--csv", help="Print CSV, with exact texts.")),
    "parquet": (Path | None, typer.Option("--parquet", metavar="FILE", help="Write what CSV holds to a Parquet file.")),
    "svg": (
        Path | None,
        typer.Option(
            "--svg", metavar="FILE", help="Write the table as a picture of a terminal, instead of printing it."
        ),
    ),
    "save_set": (
        str | None,
        typer.Option("--save-set", metavar="NAME", help="Keep the tokens listed beside the bundle, as the set @NAME."),
    ),
    "overwrite": (bool, typer.Option("--overwrite", help="Replace the file, or the set, that is there.")),
}
"""The options of every command: their types and what they say."""

_JSON_OF_MANY = "Print JSON, with exact texts: one array, indented; with --file or -, each answer on a line of its own."

_FORMS = ("json", "csv", "parquet", "svg", "save_set")
"""Those that say in which form an answer leaves."""

_TYPED = (int, float, bool, Path, list[Path], list[str], tuple[str, str])
"""What typer reads; everything else is a text that the question reads."""


class _Command(OneLineCommand):
    """Shows the line to type where a shell has taken a text apart, or has taken it away."""

    texts: frozenset[str] = frozenset()  # the arguments that may be any text
    many = False  # whether it takes any number of them

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; of one too many or too few say how it is quoted."""
        typed = " ".join(map(shlex.quote, (*ctx.command_path.split(" "), *args)))
        ctx.allow_extra_args = len(self.texts) == 1 and not self.many
        try:
            rest = super().parse_args(ctx, args)
        except typer.BadParameter as error:
            # Without a message of its own it is click's MissingParameter, which typer does not show.
            if error.message or error.param is None or error.param.name not in self.texts:
                raise
            raise ParameterError(
                f"{said(error)}; a #id is quoted, or the shell takes it for a comment: {typed} '#7'"
            ) from None
        if rest:
            (text,) = (ctx.params[name] for name in self.texts)
            whole = shlex.quote(" ".join([text, *rest]))
            raise ParameterError(f"{1 + len(rest)} arguments where one is wanted; quote it: {ctx.command_path} {whole}")
        return rest


def command_of(question: Question[Any, Any]) -> Any:
    """Return a question as a command, as typer makes them."""
    many = next((each for each in question.parameters if each.doc.many), None)
    own = {each.name for each in question.parameters}
    others = [each.name for each in question.parameters if each.kind is Bundle and each.positional]

    def run(**given: Any) -> None:
        folder = given.pop("index")
        overwrite = given["overwrite"] if "overwrite" in own else given.pop("overwrite")
        with answering(_spelling(question.parameters)):
            form = Form(**{name: given.pop(name) for name in _FORMS}, overwrite=overwrite)
            if "overwrite" not in own:
                form.require_use()
            form.require_free()
            lines = "" if given.get("file") is None else f" --file {shlex.quote(str(given['file']))}"
            keeper = Keeper(form.save_set, question.typed(given) + lines, overwrite)
            if many is not None:
                ask_many(question, many.name, given, folder, form, keeper)
                return

            def ask(bundle: Bundle) -> Answer:
                keeper.require(question, bundle)
                opened = {name: open_index(given[name]) for name in others}
                with progress_of(question) as progress:
                    found: Answer = question(bundle, **{**given, **opened}, **progress)
                    return found if form.shows_rows_alone else found.complete()

            bundle, found = ask_opened(folder, ask)
            keeper.add(found)
            keeper.write(bundle)
            show(found, form, (*parts(found.title or question.name), f" in {bundle.name}"))

    run.__doc__, run.__annotations__ = _help(question), {}
    declared = [each for parameter in question.parameters for each in _declared(parameter)]
    shared = {name: option for name, option in _SHARED.items() if name not in own}
    if many is not None:
        shared["json"] = (bool, typer.Option("--json", help=_JSON_OF_MANY))
    if others:  # two bundles are named alike, one behind the other
        shared.pop("index")
        first = typer.Argument(metavar="A", help="The first bundle's folder, or its name.", show_default=False)
        declared.insert(0, _keyword("index", Path, first, inspect.Parameter.empty))
    declared += [_keyword(name, kind, told, False if kind is bool else None) for name, (kind, told) in shared.items()]
    run.__signature__ = inspect.Signature(declared)  # type: ignore[attr-defined]
    texts = frozenset(each.name for each in question.parameters if each.positional and each.kind in (str, TokenName))
    command = type("QuestionCommand", (_Command,), {"texts": texts, "many": many is not None})
    signs = {"ignore_unknown_options": any(each.doc.minus for each in question.parameters)}
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(question.name, cls=command, epilog=f"Example: {question.example}", context_settings=signs)(run)
    return typer.main.get_command(app)


def _help(question: Question[Any, Any]) -> str:
    """Return what a question answers, and what exit code 1 says of it."""
    first, *rest = question.help.split("\n\n")
    said = f"{first} Exit code 1: {question.answer.no}." if question.answer.no else first
    return "\n\n".join([said, *rest])


def _declared(parameter: Parameter) -> Iterator[inspect.Parameter]:
    """Yield what typer is told of a parameter: of one that a command takes many values of, a list and a file."""
    doc, kind, default = parameter.doc, parameter.kind, written(parameter.default)
    shown: dict[str, Any] = {"help": doc.text, "metavar": _metavar(parameter), "show_default": doc.default or True}
    if kind == tuple[Path, ...]:
        kind, shown["metavar"] = list[Path], f"{shown['metavar']}..."
    kind = Path if kind is Bundle else kind if kind in _TYPED else str
    if doc.many:
        shown |= {"metavar": f"{shown['metavar']}...", "help": f"{doc.text}; - for standard input."}
        yield _keyword(parameter.name, list[str] | None, typer.Argument(**shown), None)
        lines = typer.Option("--file", help="A file with one on each line; answers come as they are done.")
        yield _keyword("file", Path | None, lines, None)
    elif parameter.argument:
        yield _keyword(parameter.name, kind if parameter.required else kind | None, typer.Argument(**shown), default)
    else:
        option = typer.Option(parameter.option, **shown)
        yield _keyword(parameter.name, kind if kind is bool or parameter.required else kind | None, option, default)


def _keyword(name: str, kind: Any, told: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, told])


def _metavar(parameter: Parameter) -> str | None:
    if parameter.doc.metavar is not None:
        return parameter.doc.metavar
    if isinstance(parameter.kind, type) and issubclass(parameter.kind, Enum):
        return "|".join(str(each.value).replace("_", "-") for each in parameter.kind)
    return parameter.name.upper() if parameter.positional else None


def _spelling(parameters: Sequence[Parameter]) -> Spelled:
    """Return how this command spells parameters: arguments as its help shows them, options as they are called here."""
    known = {each.name: (_metavar(each) or "").upper() if each.argument else each.option for each in parameters}

    def spelled(name: str, value: str | None) -> str:
        if name not in known:
            return as_option(name, value)
        return known[name] if value in (None, "True") else f"{known[name]} {value}"

    return spelled
