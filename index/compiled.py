"""How loops are compiled: by numba, once for all processes where a place can be written for its cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from pickle import PickleError
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile


@cache
def _files_in(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, time and size of each module of a folder: a loop calls others of its own folder alone."""
    with os.scandir(folder) as files:
        found = [(file.name, file.stat()) for file in files if file.name.endswith(".py")]
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in found))


class _Cache(FunctionCache):
    """What was compiled before; where it cannot be read or kept, it is compiled again and the answer is the same.

    numba keeps a loop until its own file changes, and with it, as they were, the loops of other files that it calls.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        stamp = (self._impl.locator.get_source_stamp(), _files_in(Path(function.__code__.co_filename).parent))
        self._cache_file: Any = IndexDataCacheFile(self._cache_path, self._impl.filename_base, stamp)  # type: ignore[no-untyped-call]

    def load_overload(self, *given: Any) -> Any:
        """Return what was kept, None where there is nothing."""
        try:
            with suppress(OSError):
                return super().load_overload(*given)  # type: ignore[no-untyped-call]
        except (AttributeError, ImportError, EOFError, ValueError, PickleError):  # of another version: a type is gone
            with suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
        return None

    def save_overload(self, *given: Any) -> None:
        """Keep what was compiled, if there is room."""
        with suppress(OSError):
            super().save_overload(*given)  # type: ignore[no-untyped-call]


def compiled(*, fastmath: bool | set[str] = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function when it is first called; in a read-only home, where numba's own `cache=True` raises, too."""

    def decorated(function: Callable[..., Any]) -> Any:
        dispatcher: Any = njit(nogil=True, fastmath=fastmath)(function)
        with suppress(RuntimeError, OSError):  # neither the package's folder nor the home can be written
            dispatcher._cache = _Cache(function)
        return dispatcher

    return decorated
