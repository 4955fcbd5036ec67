"""Imports that wait until what they name is used: of thirty questions, a command needs one.

Python 3.15 has a statement for it, `lazy from`: https://peps.python.org/pep-0810/.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any


@dataclass(frozen=True)
class Later:
    """A name whose module is not imported yet."""

    module: str
    __name__: str

    def load(self) -> Any:
        """Import the module, and return what the name stands for."""
        return getattr(import_module(self.module), self.__name__)


@contextmanager
def lazy_imports(module: str) -> Iterator[None]:
    """Have each `from ... import name` of a module wait while the block runs: `name` is a `Later`.

    To a type checker, and to whoever reads the module, the statements are what they always are.
    """
    imported: Callable[..., Any] = builtins.__import__

    def wait(
        name: str, namespace: Any = None, local: Any = None, fromlist: Sequence[str] | None = (), level: int = 0
    ) -> Any:
        if not fromlist or level or not namespace or namespace.get("__name__") != module:  # another module, or thread
            return imported(name, namespace, local, fromlist, level)
        return SimpleNamespace(**{each: Later(name, each) for each in fromlist})

    builtins.__import__ = wait  # type: ignore[assignment]
    try:
        yield
    finally:
        builtins.__import__ = imported


def loaded(given: Any) -> Any:
    """Return what is given, or what it stands for."""
    return given.load() if isinstance(given, Later) else given
