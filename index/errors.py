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

_ISOLATES = frozenset("\u2066\u2068\u2069")
"""Around a text with right-to-left letters; what they do ends with the line."""


def one_line(message: str) -> str:
    r"""Return a message as one line that a terminal shows and does not obey: an escape becomes `\x1b`."""
    return "".join(
        character if character.isprintable() or character in _ISOLATES else ascii(character)[1:-1]
        for character in message
    )


class LogoscopeError(Exception):
    """Anything a user can cause and can mend; its text is one line, whatever a file's name or content put into it."""

    def __str__(self) -> str:
        return one_line(super().__str__())


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
