"""Lists by an approximate FAISS index that the build made, and what it is known to miss.

The index only names candidates: as many as are listed, and one more. These are measured in float64 from the points, so
that distances are right and in order; what the index does not name is missing, and nothing here can tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from index.answers.page import Words
from index.bundle.bundle import Bundle, Space
from index.bundle.manifest import Recall
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry, distances_to
from index.questions.asking.among import Subset
from index.questions.asking.question import Doc
from index.questions.lists.lists import PIECE, PLACE_COLUMNS, Lists, among_facts, among_json

ByFactory = Annotated[
    str | None,
    Doc(
        "Lists by this approximate FAISS index of the build's, which may miss tokens; its recall is said.",
        metavar="FACTORY",
        default="exact",
    ),
]
LISTED_COLUMNS = {**PLACE_COLUMNS, "recall": float, **PIECE}
"""Of one place: `recall` is that of the index that its list is by; nothing where the list is exact."""
LONGEST_SHOWN = 80
"""Of a factory that is not there, in characters."""


@dataclass(frozen=True)
class Approximation:
    """Which approximate index lists are by, and how much of the true ones such lists hold."""

    factory: str
    recalls: Mapping[Geometry, Recall]  # as the build measured them: an average over random tokens
    held: Mapping[Geometry, tuple[int, int]]  # of lists around a token: how many of the exact nearest, of how many

    def json(self) -> dict[str, Any]:
        """Return the factory, and for each geometry its recall and what that is of."""
        return {"factory": self.factory, **{geometry.value: self._json(geometry) for geometry in self.recalls}}

    def _json(self, geometry: Geometry) -> dict[str, Any]:
        measured = self.recalls[geometry]
        found = {"recall": measured.recall, "k": measured.k, "rows": measured.rows}
        held = {"held": self.held[geometry][0], "of": self.held[geometry][1]} if geometry in self.held else {}
        return {**found, **held}

    def facts(self) -> list[tuple[str, Words]]:
        """Return the index and its recall in each geometry."""
        rows: list[tuple[str, Words]] = [
            ("approximate", f"{self.factory}: tokens may be missing; the distances of those listed are exact")
        ]
        for geometry, each in self.recalls.items():
            said = "recall was not measured: no token has so many neighbors"
            if each.recall is not None:
                said = (
                    f"{each.recall:.1%} of the {each.k} nearest are found, on average over {each.rows:,} random tokens"
                )
            if geometry in self.held:
                said += "; here {} of {}".format(*self.held[geometry])
            rows.append((f"  {geometry.label}", said))
        return rows


def approximation(
    bundle: Bundle, factory: str | None, geometries: Iterable[Geometry], among: Subset | None
) -> Approximation | None:
    """Return what there is to say of the indexes of a factory; None where none is asked for.

    ParameterError for a factory that the build was not told of, and for lists that keep to some tokens.
    """
    if factory is None:
        return None
    shown = factory[:LONGEST_SHOWN]
    where = parameter("approximate", shown)
    if among is not None:
        raise ParameterError(
            f"{where} asks an index of all tokens: leave out {parameter('among')} and {parameter('without')}"
        )
    recalls = {geometry: _of(bundle.spaces[geometry].facts.approximate, factory) for geometry in geometries}
    found = {geometry: each for geometry, each in recalls.items() if each is not None}
    if len(found) < len(recalls):
        from index.sources.load import as_typed  # which reads models, and is needed for this line alone

        built = [each.factory for each in bundle.causal.facts.approximate]
        there = f"its approximate indexes are {', '.join(built)}" if built else "it has no approximate index at all"
        line = ("build_index.py", as_typed(bundle.manifest.source.location), parameter("index_factory", shown))
        raise ParameterError(
            f"{where} is none of {bundle.name}'s: {there}; build it again for one: {' '.join(filter(None, line))}"
        )
    return Approximation(factory, found, {})


def _of(built: Iterable[Recall], factory: str) -> Recall | None:
    """Return what the manifest says of a factory's index."""
    return next((each for each in built if each.factory == factory and isinstance(each.file, str)), None)


def nearest_by(
    asked: Approximation, space: Space, query: np.ndarray, top: int, left_out: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the index finds near a query, (D,) float64: ids (n,) int32, nearest first, and distances, float32.

    At most one more than `top`, so that a tie with the last place is seen; `left_out` rows are not among them.
    """
    index = space.approximate(str(asked.recalls[space.geometry].file))
    with np.errstate(over="ignore"):
        rounded = np.ascontiguousarray(query[np.newaxis], np.float32)
    _, found = index.search(rounded, min(top + 1 + len(left_out), len(space.points)))
    ids = np.setdiff1d(found[0][found[0] >= 0], [*left_out, *space.excluded]).astype(np.int32)
    exact = distances_to(space.points, query[np.newaxis], rows=ids)[0]
    order = np.lexsort((ids, exact))[: top + 1]
    return ids[order], exact[order].astype(np.float32)


def around(
    asked: Approximation, spaces: Collection[Space], row: int, top: int
) -> tuple[Approximation, dict[Geometry, tuple[np.ndarray, np.ndarray]]]:
    """Return what the index finds around a stored token in each space, and how many of these are truly its nearest.

    Those no farther than the last of the exact list, within the resolution, are; a list longer than the stored one is
    judged as far as that goes.
    """
    lists, held = {}, {}
    for space in spaces:
        if row in space.excluded:
            lists[space.geometry] = np.empty(0, np.int32), np.empty(0, np.float32)
            continue
        found = nearest_by(asked, space, space.points[row].astype(np.float64), top, (row,))
        stored = space.distances[row][space.ids[row] >= 0][:top]
        true = found[1][:top] <= (stored[-1] if len(stored) else np.float32(0)) + space.resolution
        lists[space.geometry] = found
        held[space.geometry] = min(int(true.sum()), len(stored)), len(stored)
    return replace(asked, held=held), lists


def place_records(lists: Lists, asked: Approximation | None) -> list[dict[str, Any]]:
    """Return each place of lists as a flat record: its geometry, and `LISTED_COLUMNS`."""
    return [
        {
            "geometry": geometry.label,
            **neighbor.record(),
            "recall": None if asked is None else asked.recalls[geometry].recall,
        }
        for geometry, neighbors in lists.items()
        for neighbor in neighbors
    ]


def limits_json(among: Subset | None, asked: Approximation | None) -> dict[str, Any]:
    """Return what lists keep to, and what they are by; nothing where they are exact, of the whole vocabulary."""
    return {**among_json(among), **({} if asked is None else {"approximate": asked.json()})}


def limits_facts(among: Subset | None, asked: Approximation | None) -> list[tuple[str, Words]]:
    """Return the same as facts."""
    return [*among_facts(among), *([] if asked is None else asked.facts())]
