"""How whoever takes long says how far it is: in one shape, from the engine to the bar that shows it."""

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Called with a step in words, how much of it is done, and of how much; without that it is a share, from 0 to 1."""

    def __call__(self, step: str, done: float, total: float = 1.0, /) -> None:
        """Tell."""


Share = Callable[[float], None]
"""A progress whose step is named already, `partial(progress, "lists")`: called with the share that is done."""


def silent(step: str, done: float, total: float = 1.0, /) -> None:
    """Report no progress."""
