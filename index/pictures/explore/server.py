"""Serving the pages of a bundle on this machine, until it is interrupted."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from index.errors import ParameterError, parameter
from index.files import brief, require
from index.questions.asking.question import Question

ADDRESS = "127.0.0.1"
"""Of this machine, and reached from no other."""


def require_libraries() -> None:
    """Raise ParameterError unless the extra `explore` is installed."""
    for library in ("jinja2", "starlette", "uvicorn", "vl_convert"):
        require(library, extra="explore", command="explore")


def listen(port: int) -> socket.socket:
    """Return a socket that takes connections from this machine; ParameterError when the port is taken, or is none.

    Port 0 is any that is free.
    """
    if not 0 <= port < 65536:
        raise ParameterError(f"{parameter('port')} must be from 0 to 65535, got: {port}")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A port that was in use a moment ago is free; one that is in use is not. (Windows means the opposite by this word.)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise ParameterError(
                f"port {port} of {ADDRESS} is in use; pass another {parameter('port')}, "
                f"or {parameter('port', 0)} for any that is free"
            ) from error
        raise ParameterError(
            f"port {port} of {ADDRESS} cannot be opened: {brief(error)}; pass another {parameter('port')}"
        ) from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the address of the first page."""
    return f"http://{ADDRESS}:{listening.getsockname()[1]}/"


def serve(folder: Path, map_path: Path, questions: Mapping[str, Question[Any, Any]], listening: socket.socket) -> None:
    """Answer requests until the process is interrupted: the pages are those of `explore.app.application`."""
    try:
        import uvicorn

        from index.pictures.explore.app import application

        config = uvicorn.Config(
            application(folder, map_path, questions),
            lifespan="off",
            log_level="error",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ws="none",
        )
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        return  # which is how it is ended
