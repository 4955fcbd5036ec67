"""logoscope: the vocabulary of a language model in several geometries, indexed once, asked any number of times.

>>> import index
>>> vocabulary = index.open("data/indexes/smollm2-135m")
>>> vocabulary
OpenVocabulary('smollm2-135m', 49,152 x 576, 100 neighbors)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from index.bundle.bundle import Bundle
from index.errors import (
    BundleError,
    DistancesError,
    LogoscopeError,
    MetricError,
    ParameterError,
    SourceError,
    TokenError,
)
from index.geometry.maps import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from index.api import OpenVocabulary
    from index.questions.timeline.steps import Timeline

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "BundleError",
    "DistancesError",
    "Geometry",
    "LogoscopeError",
    "MetricError",
    "ParameterError",
    "SourceError",
    "TokenError",
    "open",
    "timeline",
]


def open(path: str | Path) -> OpenVocabulary:  # as gzip.open: `index.open(path)`
    """Open a built bundle, by its own folder, for questions.

    BundleError when there is none, it is damaged, or of another format version.
    """
    from index.api import open_vocabulary

    return open_vocabulary(path)


def timeline(folder: str | Path, *, top: int = 10, judgments: Sequence[Path] | None = None) -> Timeline:
    """Follow a vocabulary over the steps of a sweep, by the folder that `build_index.py --sweep` had as `--out`.

    Lists of `top` are compared from step to step; `judgments` are files to evaluate each step on, an empty list stands
    for the sets that gensim carries. BundleError when the folder is no sweep.
    """
    from index.questions.timeline.timeline import timeline as ask

    return ask(folder, top=top, judgments=judgments)
