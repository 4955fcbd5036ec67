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


class LogoscopeError(Exception):
    """Anything a user can cause and can mend."""


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
