"""The command that shows a bundle in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from index.bundle.bundle import Bundle
from index.cli.ask import answering, open_index
from index.cli.command import Index
from index.cli.progress import progress_bar
from index.cli.usage import OneLineCommand
from index.errors import ParameterError, one_line

PORT = 8765

app = typer.Typer()


@app.command(cls=OneLineCommand, epilog="Example: uv run --extra explore query.py explore --port 0 --no-browser")
def explore(
    index: Index = None,
    port: Annotated[
        int | None, typer.Option(help="Of 127.0.0.1; 0 for any that is free.", show_default=str(PORT))
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    with_map: Annotated[
        bool,
        typer.Option("--map", help="Lay out maps of the vocabulary first, if there are none. Needs the extra `map`."),
    ] = False,
    map_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the maps are kept.", show_default="NAME.map.parquet by the bundle"),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Serve nothing: write map, tokens, neighbors and search as files to hand on."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier --export.")] = False,
) -> None:
    """Walk through the vocabulary in a browser, on this machine alone; Ctrl-C ends it. Needs the extra `explore`."""
    with answering():
        from index.pictures.explore.server import require_libraries

        require_libraries()
        if export is None and overwrite:
            raise ParameterError("--overwrite goes with --export, which is not given")
        if export is not None and (no_browser or port is not None):
            raise ParameterError("--export serves nothing; leave --port and --no-browser out")
        bundle = open_index(index)
        map_path = _map_path(bundle, map_file, make=with_map)
        if export is not None:
            _export(bundle, map_path, export, overwrite=overwrite)
        else:
            _serve(bundle, map_path, PORT if port is None else port, browser=not no_browser)


def _map_path(bundle: Bundle, map_file: Path | None, *, make: bool) -> Path:
    """Return where the maps of a bundle are, or will be; made now where they are wanted and not there."""
    from index.pictures.explore.map import default_path, make_map, read_map

    path = map_file or default_path(bundle.folder)
    if read_map(path, bundle) is None:
        if make:
            print(f"making a map of {len(bundle):,} tokens ...", file=sys.stderr)
            with progress_bar() as report:
                make_map(bundle, path, report)
        elif map_file is not None:
            raise ParameterError(f"{map_file} is no map of {bundle.name}; pass --map to make it")
    return path


def _serve(bundle: Bundle, map_path: Path, port: int, *, browser: bool) -> None:
    """Print the address, open it in a browser where that is wanted, and answer until it is interrupted."""
    from threading import Thread
    from webbrowser import open as open_browser

    from index.api import QUESTIONS
    from index.pictures.explore.server import address_of, listen, serve

    with listen(port) as listening:
        address = address_of(listening)
        print(address, flush=True)
        if browser:
            # In a thread, because a browser for terminals returns only when it is left.
            Thread(target=open_browser, args=(address,), daemon=True).start()
        serve(bundle.folder, map_path, QUESTIONS, listening)


def _export(bundle: Bundle, map_path: Path, folder: Path, *, overwrite: bool) -> None:
    """Write a site, print its first page, and say how large it is and how long it took."""
    from time import perf_counter

    from index.pictures.explore.opened import OpenedBundle
    from index.pictures.explore.site import export_site

    started = perf_counter()
    with progress_bar() as report:
        made = export_site(OpenedBundle(bundle, map_path), folder, overwrite=overwrite, report=report)
    print(one_line(str(folder / "index.html")))
    said = f"{len(bundle):,} tokens in {made.files:,} files, {made.bytes / 1e6:,.0f} MB"
    print(f"{said}, in {perf_counter() - started:.0f} s", file=sys.stderr)
