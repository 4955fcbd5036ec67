"""How loops are compiled: by numba, once for all processes where a place can be written for its cache."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pickle import PickleError
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache


class _Cache(FunctionCache):
    """What was compiled before; where it cannot be read or kept, it is compiled again and the answer is the same."""

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
        with suppress(RuntimeError):  # neither the package's folder nor the home can be written
            dispatcher._cache = _Cache(function)  # type: ignore[no-untyped-call]
        return dispatcher

    return decorated
