"""What can go wrong, as one small tree.

::

    LogoscopeError
    ├── SourceError      a model file or folder cannot be read
    ├── MetricError      a covariance, or a given M, is not a metric
    ├── DistancesError   a stored distance matrix cannot be read
    ├── TokenError       what a person typed is not one token
    ├── BundleError      a bundle is missing, damaged or foreign
    └── ParameterError   a setting is out of its range

Every message is one line: what, where, got, wanted, what to do next.
"""

import re
from collections.abc import Callable

_PARAMETER = re.compile("\ufdd0([a-z_]+)(?:=([^\ufdd0\ufdd1]*))?\ufdd1")
"""A parameter's name, and perhaps a value, between two code points that no text has (Unicode's noncharacters)."""

_ISOLATED = re.compile("([\u2066\u2068])([^\u2066-\u2069]*)(\u2069)")
"""A text with right-to-left letters, which moves nothing that stands around it."""


def one_line(message: str) -> str:
    r"""Return a message as one line that a terminal shows and does not obey: an escape becomes `\x1b`."""
    parts = _ISOLATED.split(message)  # outside, then opening, inside, closing and outside, again and again
    return "".join(part if place % 4 in (1, 3) else _printable(part) for place, part in enumerate(parts))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def parameter(name: str, value: object = None) -> str:
    """Return a parameter as the message of an error names it: `top` in Python and `--top` on a command line.

    With a value it is something to pass: `overwrite=True`, or `--overwrite`.
    """
    return f"\ufdd0{name}\ufdd1" if value is None else f"\ufdd0{name}={value}\ufdd1"


def in_python(name: str, value: str | None) -> str:
    """Spell a parameter as Python does."""
    return name if value is None else f"{name}={value}"


class LogoscopeError(Exception):
    """Anything a user can cause and can mend; its text is one line, whatever a file's name or content put into it."""

    def told(self, spelled: Callable[[str, str | None], str]) -> str:
        """Return the message with each `parameter` as the caller spells a name and a value."""
        return one_line(_PARAMETER.sub(lambda found: spelled(found[1], found[2]), super().__str__()))

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters that the message names, in its order."""
        return [found[1] for found in _PARAMETER.finditer(super().__str__())]

    def __str__(self) -> str:
        return self.told(in_python)


class SourceError(LogoscopeError):
    """A model file or folder cannot be read."""


class MetricError(LogoscopeError):
    """A covariance, or a given M, is not a metric."""


class DistancesError(LogoscopeError):
    """A stored distance matrix cannot be read."""


class TokenError(LogoscopeError):
    """What a person typed is not one token."""


class BundleError(LogoscopeError):
    """A bundle is missing, damaged or foreign."""


class ParameterError(LogoscopeError):
    """A setting is out of its range."""
