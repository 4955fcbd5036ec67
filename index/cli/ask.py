"""From an answer to a form and an exit code; from the library's errors to one line on standard error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import typer

from index.cli.form import Form
from index.errors import BundleError, LogoscopeError, one_line
from index.files import brief

if TYPE_CHECKING:
    from index.answers.answer import Answer
    from index.answers.page import Block, Words
    from index.bundle.bundle import Bundle

CLOSED_PIPE = 141
"""What a shell says of a program that wrote to a pipe nobody reads: 128 + SIGPIPE."""

Asked = TypeVar("Asked")

Spelled = Callable[[str, str | None], str]
"""How a command line spells a parameter's name, and a value to give it."""


def as_option(name: str, value: str | None) -> str:
    """Spell a parameter as an option: `--density-k 20`, `--overwrite`."""
    option = "--" + name.replace("_", "-")
    return option if value in (None, "True") else f"{option} {value}"


@contextmanager
def answering(spelled: Spelled = as_option) -> Iterator[None]:
    """Turn what a user can cause into one line on standard error and exit code 2; a closed pipe into `CLOSED_PIPE`."""
    try:
        try:
            with np.errstate(all="ignore"):  # of numbers that are none, the answer says so; a warning is a line more
                yield
        finally:
            flush_answer()
    except LogoscopeError as error:
        said = error.told(spelled)
    except BrokenPipeError:  # `| head` has read enough: nothing went wrong
        raise typer.Exit(CLOSED_PIPE) from None
    except OSError as error:  # a path that no file system takes, or a disk that fails
        said = brief(error)
    except MemoryError as error:
        said = f"memory ran out ({one_line(str(error)) or 'no more is known'}); free some, or ask for less"
    else:
        return
    print(f"error: {said}", file=sys.stderr)
    raise typer.Exit(2)


def open_index(path: Path | None) -> Bundle:
    """Open the bundle that was named, by its folder or its name under `data/indexes`, or the one there is.

    Controls are opened by name, unless there is nothing else.
    """
    from index.bundle.bundle import open_bundle
    from index.bundle.manifest import MANIFEST
    from index.bundle.places import ROOT, is_control, named_folder

    if path is not None:
        return open_bundle(named_folder(path))
    found = sorted(manifest.parent for manifest in ROOT.glob(f"[!.]*/{MANIFEST}"))
    if not found:
        raise BundleError(
            f"no bundle under {ROOT}; build one with `uv run build_index.py`, or name one with --index DIR"
        )
    if len(found) > 1:
        models = [folder for folder in found if not is_control(folder)]
        found = models if len(models) == 1 else found
    if len(found) > 1:
        raise BundleError(f"{len(found)} bundles under {ROOT}: name one with --index ({', '.join(map(str, found))})")
    return open_bundle(found[0])


def ask_opened(path: Path | None, ask: Callable[[Bundle], Asked]) -> tuple[Bundle, Asked]:
    """Open a bundle and ask it; where a build has put another in its place meanwhile, that one is asked."""
    bundle = open_index(path)
    try:
        return bundle, ask(bundle)
    except BundleError:
        if not bundle.was_replaced():
            raise
    bundle = open_index(path)
    return bundle, ask(bundle)


def show(found: Answer, form: Form, title: Words) -> None:
    """Print an answer, or write it where its form says, under a title in pictures; exit code 1 where it is no."""
    from index.answers.answer import Answers, columns_of, json_of, page_of, rows_of, to_csv

    if isinstance(found, Answers) and form.svg is None:
        from index.cli.many import stream

        stream(iter(found), columns_of(found), form)
    elif form.json:
        print_json(json_of(found))
    elif form.csv:
        print_text(to_csv(tuple(columns_of(found)), rows_of(found)))
    elif form.parquet is not None:
        from index.answers.parquet import write_parquet

        with form.placing() as path:
            write_parquet(columns_of(found), [rows_of(found)], path)
    elif form.svg is not None:
        write_svg(page_of(found), form, title)
    else:
        print_page(page_of(found))
    if found.note is not None:
        print(one_line(found.note), file=sys.stderr)
    if found.refusal is not None:
        print(one_line(found.refusal), file=sys.stderr)
        raise typer.Exit(1)


def print_json(value: Any) -> None:
    """Print one document of strict JSON."""
    from index.answers.answer import to_json

    print_text(to_json(value) + "\n")


def print_text(text: str) -> None:
    """Print a text as it is, at once."""
    with standard_output():
        print(text, end="", flush=True)


def write_svg(page: Iterable[Block], form: Form, title: Words) -> None:
    """Write a page as a picture of a terminal."""
    from index.answers.lines import plain
    from index.answers.terminal import terminal_svg

    picture = terminal_svg(page, title=plain(title))
    with form.placing() as path:
        path.write_text(picture, encoding="utf-8", newline="\n")


def print_page(page: Iterable[Block]) -> None:
    """Print a page, in color only on a terminal."""
    print_pages([page])


def print_pages(pages: Iterable[Iterable[Block]]) -> None:
    """Print pages one behind the other, each as soon as it is there."""
    from rich.console import Console

    from index.answers.terminal import renderable

    class Printer(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to `answering`; rich would exit with code 1."""
            raise BrokenPipeError

    printer = Printer(highlight=False)
    for page in pages:
        with standard_output():
            printer.print(renderable(page))


def settle_encoding() -> None:
    """Have exact texts leave as UTF-8, and a terminal show an escape for a character that it has not."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = None if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def flush_answer() -> None:
    """Write out what was printed, so that it fails here and not in the interpreter's own flush at its end.

    BrokenPipeError when nobody reads standard output any more, LogoscopeError when it cannot be written.
    """
    if sys.stdout is None:  # closed by whoever started this
        return
    try:
        with standard_output():
            sys.stdout.flush()
    except (BrokenPipeError, LogoscopeError):
        # What is left in the buffer goes nowhere ("Note on SIGPIPE" in the documentation of Python's `signal`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


@contextmanager
def standard_output() -> Iterator[None]:
    """Say of what fails in the block, but for a closed pipe, that it was standard output."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LogoscopeError(
            f"standard output cannot be written: {brief(error.strerror or error)}; write the answer elsewhere"
        ) from error
