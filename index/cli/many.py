"""Many values of one parameter: read from lines, answered one after another, written out as they are done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from index.answers.page import Words, parts
from index.cli.ask import ask_opened, open_index, print_json, print_pages, print_text, write_svg
from index.cli.form import Form
from index.errors import LogoscopeError, ParameterError, TokenError, one_line, parameter
from index.files import brief

if TYPE_CHECKING:
    from index.answers.answer import Answer, Row
    from index.bundle.bundle import Bundle
    from index.cli.keep import Keeper
    from index.questions.asking.question import Question

LONGEST_LINE = 1 << 20
STANDARD_INPUT = Path("-")


def ask_many(
    question: Question[Any, Any],
    name: str,
    given: dict[str, Any],
    index: Path | None,
    form: Form,
    keeper: Keeper,
) -> None:
    """Ask for each value named, or for the one on each line of a file; exit code 2 where some have no answer."""
    named, file = given.pop(name), given.pop("file")
    if bool(named) is (file is not None):
        raise ParameterError(
            f"name {name}s, or a {parameter('file')} with one on each line, or - for standard input"
            + ("" if named else "; a #id is quoted, or the shell takes it for a comment: '#7'")
        )
    if named == [str(STANDARD_INPUT)]:
        file = STANDARD_INPUT
    if file is not None and form.svg is not None:
        raise ParameterError(
            f"{parameter('svg')} is of {name}s named on the command line; leave {parameter('file')} and - out"
        )
    from index.answers.answer import with_label

    refused: list[str] = []

    def ask_all(bundle: Bundle, texts: Iterable[tuple[str, str]]) -> Iterator[Answer]:
        keeper.require(question, bundle)
        found = _answers(partial(question, bundle, **given), name, texts, refused, keeper)
        return found if form.shows_rows_alone else (each.complete() for each in found)

    def columns(bundle: Bundle) -> Mapping[str, type]:
        return with_label(question.answer.columns, bundle.manifest.control)

    if file is None:
        bundle, found = ask_opened(index, lambda bundle: list(ask_all(bundle, (("", each) for each in named))))
        if found:
            keeper.write(bundle)
            _show_all(found, columns(bundle), form, _title(found, question.name, bundle.name))
    else:
        where = "standard input" if file == STANDARD_INPUT else one_line(str(file))
        with open_lines(file) as lines:
            texts = ((f"{where}, line {number}: ", text) for number, text in numbered(lines))
            bundle = open_index(index)
            stream(ask_all(bundle, texts), columns(bundle), form)
            if keeper.ids:
                keeper.write(bundle)
    if refused:
        raise typer.Exit(2)


def _answers(
    ask: Callable[..., Answer], name: str, texts: Iterable[tuple[str, str]], refused: list[str], keeper: Keeper
) -> Iterator[Answer]:
    """Yield the answers to texts, each with where it stands; what is no token is said, and the others are answered."""
    noted: set[str] = set()
    for where, text in texts:
        try:
            found = ask(**{name: text})
        except TokenError as error:
            refused.append(text)
            print(f"error: {where}{error}", file=sys.stderr)
            continue
        keeper.add(found)
        yield found
        if found.note is not None and found.note not in noted:
            noted.add(found.note)
            print(one_line(found.note), file=sys.stderr)


def numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yield what stands on each line, without its end, and the line's number from 1; empty lines are passed over.

    Spaces count: ` planet` and `planet` are different tokens. What is no UTF-8 becomes a text that no token has.
    """
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise ParameterError(f"line {number} has more than {LONGEST_LINE:,} bytes, wanted one token on each line")
        text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="surrogateescape").removesuffix("\n")
        if token := text.removesuffix("\r"):
            yield number, token


@contextmanager
def open_lines(path: Path) -> Iterator[Iterator[bytes]]:
    """Open a file, `-` for standard input, and give its lines; ParameterError when it cannot be read."""
    with ExitStack() as stack:
        with _reading(path):
            if path == STANDARD_INPUT and sys.stdin is None:  # as after `<&-`
                raise OSError("standard input is closed")
            file: BinaryIO = sys.stdin.buffer if path == STANDARD_INPUT else stack.enter_context(path.open("rb"))

        def read() -> bytes:
            with _reading(path):
                # A device may have no end of line: no more is read than tells that a line is too long.
                return file.readline(LONGEST_LINE + 1)

        yield iter(read, b"")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise what the system has against the block as a ParameterError; nothing else belongs in it."""
    try:
        yield
    except (OSError, ValueError) as error:  # a path with a zero in it is a ValueError
        raise ParameterError(f"{parameter('file', path)} cannot be read: {brief(error)}") from error


def _show_all(found: list[Answer], columns: Mapping[str, type], form: Form, title: Words) -> None:
    """Show several answers as one: a JSON array, one CSV under one head, one table after another."""
    from index.answers.answer import json_of, page_of

    if form.json:
        print_json([json_of(each) for each in found])
    elif form.svg is not None:
        write_svg([block for each in found for block in page_of(each)], form, title)
    else:
        _write(iter(found), columns, form)


def stream(found: Iterator[Answer], columns: Mapping[str, type], form: Form) -> None:
    """Write each answer as soon as it is known; in JSON each is a line."""
    if form.json:
        from index.answers.answer import json_of, to_json

        for each in found:
            print_text(to_json(json_of(each), indent=None) + "\n")
    else:
        _write(found, columns, form)


def _write(found: Iterator[Answer], columns: Mapping[str, type], form: Form) -> None:
    from index.answers.answer import page_of, rows_of, to_csv

    if form.parquet is not None:
        from index.answers.parquet import write_parquet

        with form.placing() as path:
            write_parquet(columns, _rows(found), path)
    elif form.csv:
        print_text(to_csv(tuple(columns), []))
        for each in found:
            print_text(to_csv(tuple(columns), rows_of(each), head=False))
    else:
        print_pages(page_of(each) for each in found)


def _rows(found: Iterator[Answer]) -> Iterator[list[Row]]:
    """Yield the rows of each answer; what the system has against one is not the fault of the file they go into."""
    from index.answers.answer import rows_of

    try:
        for each in found:
            yield rows_of(each)
    except OSError as error:
        raise LogoscopeError(brief(error)) from error


def _title(found: list[Answer], question: str, bundle: str) -> Words:
    """Return what a picture of several answers is called."""
    named = [part for each in found for part in (", ", *parts(each.title or question))]
    return (*named[1:], f" in {bundle}")
