"""Values as people write them, as questions take them: names become members, and what is none is refused."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from index.bundle.bundle import Bundle, open_bundle
from index.bundle.places import named_folder
from index.errors import BundleError, ParameterError, parameter
from index.files import brief
from index.geometry.maps import Geometry
from index.questions.asking.among import Subset, listed_subset, subset
from index.questions.asking.vectors import Vectors, given_vectors
from index.tokens.display import display
from index.tokens.vocabulary import Token

Pair = tuple[Geometry, Geometry]
Some = tuple[Geometry, ...]
AxisNumbers = tuple[int | str, ...]
"""Numbers from 1 to the bundle's D, and `last`, which is D; read, they are numbers."""
LAST = "last"
TokenName = str | int | Token
"""What names a token: a text in any of the ways that are understood, its id, or itself."""


def read(name: str, kind: Any, value: Any, bundle: Bundle) -> Any:
    """Return the value of a parameter as a member of its type; ParameterError for what cannot be one."""
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(name, value, bundle)
    return _member(name, value, kind) if isinstance(kind, type) and issubclass(kind, Enum) else value


def _member(name: str, value: Any, kind: type[Enum]) -> Enum:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(each.value) for each in kind)
        raise ParameterError(f"{parameter(name)} must be one of {known}; got: {_shown(value)}") from None


def _whole_number(name: str, value: Any, bundle: Bundle) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ParameterError(f"{parameter(name)} must be a whole number, got: {_shown(value)}") from None


def _number(name: str, value: Any, bundle: Bundle) -> float:
    try:
        if isinstance(value, bool | str):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise ParameterError(f"{parameter(name)} must be a number, got: {_shown(value)}") from None


def _whole_numbers(name: str, value: Any, bundle: Bundle) -> tuple[int, ...]:
    if not isinstance(value, str):
        values = value if isinstance(value, Iterable) else (value,)
        return tuple(_whole_number(name, each, bundle) for each in values)
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise ParameterError(
            f"{parameter(name)} must be whole numbers with commas between, as in 10,30,100; got: {_shown(value)}"
        )
    return tuple(map(int, parts))


def _ranks(name: str, value: Any, bundle: Bundle) -> tuple[int, ...]:
    """Read `1,2,last`, or numbers and `last`, each once."""
    D = bundle.manifest.D
    values = value.split(",") if isinstance(value, str) else value if isinstance(value, Iterable) else (value,)
    found = []
    for each in values:
        said = str(each).strip()
        place = D if said == LAST else int(said) if said.isdecimal() and len(said) < 10 else 0
        if isinstance(each, bool) or not 1 <= place <= D:
            raise ParameterError(
                f"{parameter(name)} must be numbers from 1 to {D:,}, the dimensions, or {LAST}, with commas between; "
                f"got: {_shown(said)}"
            )
        found.append(place)
    if not found:
        raise ParameterError(f"{parameter(name)} is empty; wanted numbers from 1 to {D:,}, or {LAST}")
    return tuple(dict.fromkeys(found))


def _geometry(name: str, value: Any, bundle: Bundle) -> Geometry:
    found = _geometries(value)
    if len(found) != 1:
        known = ", ".join(each.label for each in Geometry)
        raise ParameterError(f"{parameter(name)} must be one of {known}, got: {_shown(value)}")
    return found[0]


def two_geometries(name: str, value: Any, bundle: Bundle) -> Pair:
    """Read `causal,cosine`, or two names or members, as two different geometries."""
    found = _geometries(value)
    if len(found) != 2:
        known = ", ".join(each.label for each in Geometry)
        raise ParameterError(f"{parameter(name)} must name two of {known}, as in causal,cosine; got: {_shown(value)}")
    if found[0] is found[1]:
        raise ParameterError(f"two different geometries are compared, got {found[0].label} twice")
    return found[0], found[1]


def _some_geometries(name: str, value: Any, bundle: Bundle) -> Some:
    """Read one geometry or several, each once."""
    found = _geometries(value)
    if not found or len(set(found)) < len(found):
        known = ", ".join(each.label for each in Geometry)
        raise ParameterError(
            f"{parameter(name)} must name one or more of {known}, each once, as in causal,cosine; got: {_shown(value)}"
        )
    return tuple(found)


def _geometries(value: Any) -> list[Geometry]:
    """Return the geometries of names, in both spellings of `causal-cosine`; none of them if one is no geometry."""
    values = value.split(",") if isinstance(value, str) else value if isinstance(value, Iterable) else ()
    known = {each.label: each for each in Geometry}
    found = [known.get(str(value).strip().replace("_", "-")) for value in values]
    return [] if None in found else [each for each in found if each is not None]


def _subset(name: str, value: Any, bundle: Bundle) -> Subset:
    if isinstance(value, Subset):
        return value
    if isinstance(value, str | Path):
        return subset(bundle, str(value), name)
    if not isinstance(value, Iterable):
        raise ParameterError(
            f"{parameter(name)} must be @SET, ids, words, kind=VALUE, script=VALUE or a file, got: {_shown(value)}"
        )
    if isinstance(value, np.ndarray) and value.dtype == bool:
        return listed_subset(bundle, value, name)
    values = [each.id if isinstance(each, Token) else each for each in value]
    if values and all(isinstance(each, str) for each in values):
        return listed_subset(bundle, values, name)
    return listed_subset(bundle, [_whole_number(name, each, bundle) for each in values], name)


def _text(name: str, value: Any, bundle: Bundle) -> str:
    if not isinstance(value, str):
        raise ParameterError(f"{parameter(name)} must be a text, got: {_shown(value)}")
    return value


def _token(name: str, value: Any, bundle: Bundle) -> TokenName:
    if isinstance(value, str | Token):
        return value
    try:
        return _whole_number(name, value, bundle)
    except ParameterError:
        raise ParameterError(f"{parameter(name)} must be a text, an id or a Token, got: {_shown(value)}") from None


def _path(name: str, value: Any, bundle: Bundle) -> Path:
    try:
        return Path(value)
    except TypeError:
        raise ParameterError(f"{parameter(name)} must be a path, got: {_shown(value)}") from None


def _bundle(name: str, value: Any, bundle: Bundle) -> Bundle:
    """Open another bundle, by its folder or its name; one that is open stays."""
    if isinstance(value, Bundle):
        return value
    folder = named_folder(_path(name, value, bundle))
    try:
        return open_bundle(folder)
    except BundleError as error:
        raise ParameterError(f"{parameter(name)} {_shown(value)}: {brief(error)}") from error


def _paths(name: str, value: Any, bundle: Bundle) -> tuple[Path, ...]:
    values = (value,) if isinstance(value, str | Path) or not isinstance(value, Iterable) else value
    return tuple(_path(name, each, bundle) for each in values)


def _two_texts(name: str, value: Any, bundle: Bundle) -> tuple[str, str]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ParameterError(f"{parameter(name)} must be two texts, got: {_shown(value)}")
    texts = [_text(name, each, bundle) for each in value]
    if len(texts) != 2:
        raise ParameterError(f"{parameter(name)} must be two texts, got {len(texts)}")
    return texts[0], texts[1]


def _vectors(name: str, value: Any, bundle: Bundle) -> Vectors:
    return given_vectors(name, value)


def _shown(value: Any) -> str:
    return display(str(value)[:60])


_READERS: dict[Any, Callable[[str, Any, Bundle], Any]] = {
    int: _whole_number,
    float: _number,
    tuple[int, ...]: _whole_numbers,
    AxisNumbers: _ranks,
    Geometry: _geometry,
    Pair: two_geometries,
    Some: _some_geometries,
    TokenName: _token,
    str: _text,
    tuple[str, str]: _two_texts,
    Subset: _subset,
    Path: _path,
    tuple[Path, ...]: _paths,
    Vectors: _vectors,
    Bundle: _bundle,
}
"""How a value of each type is understood."""
