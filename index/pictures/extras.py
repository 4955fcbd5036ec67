"""Libraries that only some commands need, and what to say when one is not installed."""

from __future__ import annotations

from importlib.util import find_spec

from index.errors import ParameterError


def require(library: str, *, extra: str, command: str) -> None:
    """Raise ParameterError unless a library of an extra is installed.

    Parameters
    ----------
    library : str
        The module to import.
    extra, command : str
        The extra that holds it, and the command of `query.py` that wants it.
    """
    if find_spec(library) is None:
        raise ParameterError(
            f"`{command}` needs {library}, which is not installed; "
            f"run it as `uv run --extra {extra} query.py {command} ...`"
        )
