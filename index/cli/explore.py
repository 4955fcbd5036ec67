"""The command that shows a bundle in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from index.cli.ask import answering, open_index
from index.cli.command import Index
from index.cli.progress import progress_bar
from index.cli.usage import OneLineCommand
from index.errors import ParameterError

app = typer.Typer()


@app.command(cls=OneLineCommand, epilog="Example: uv run --extra explore query.py explore --port 0 --no-browser")
def explore(
    index: Index = None,
    port: Annotated[int, typer.Option(help="Of 127.0.0.1; 0 for any that is free.")] = 8765,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    with_map: Annotated[
        bool,
        typer.Option("--map", help="Lay out maps of the vocabulary first, if there are none. Needs the extra `map`."),
    ] = False,
    map_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the maps are kept.", show_default="NAME.map.parquet by the bundle"),
    ] = None,
) -> None:
    """Walk through the vocabulary in a browser, on this machine alone; Ctrl-C ends it. Needs the extra `explore`."""
    with answering():
        from threading import Thread
        from webbrowser import open as open_browser

        from index.api import QUESTIONS
        from index.pictures.explore import map as explore_map
        from index.pictures.explore import server as explore_server

        explore_server.require_libraries()
        bundle = open_index(index)
        map_path = map_file or explore_map.default_path(bundle.folder)
        if explore_map.read_map(map_path, bundle) is None:
            if with_map:
                print(f"making a map of {len(bundle):,} tokens ...", file=sys.stderr)
                with progress_bar() as report:
                    explore_map.make_map(bundle, map_path, report)
            elif map_file is not None:
                raise ParameterError(f"{map_file} is no map of {bundle.name}; pass --map to make it")
        with explore_server.listen(port) as listening:
            address = explore_server.address_of(listening)
            print(address, flush=True)
            if not no_browser:
                # In a thread, because a browser for terminals returns only when it is left.
                Thread(target=open_browser, args=(address,), daemon=True).start()
            explore_server.serve(bundle.folder, map_path, QUESTIONS, listening)
