"""logoscope: the vocabulary of a language model in two geometries, indexed once, asked any number of times.

>>> import index
>>> vocabulary = index.open("data/indexes/smollm2-135m")  # doctest: +SKIP
"""

from index.bundle import Bundle
from index.bundle import open_bundle as open
from index.errors import (
    BundleError,
    DistancesError,
    LogoscopeError,
    MetricError,
    ParameterError,
    SourceError,
    TokenError,
)

__all__ = [
    "Bundle",
    "BundleError",
    "DistancesError",
    "LogoscopeError",
    "MetricError",
    "ParameterError",
    "SourceError",
    "TokenError",
    "open",
]
