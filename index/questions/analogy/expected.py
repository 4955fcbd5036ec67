"""Where the expected answer of an analogy stands, and whether another factor on the difference would come nearer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from index.answers.answer import jsonable
from index.answers.page import Block, Heading, Sentence, Words, facts, table
from index.bundle.bundle import Bundle, Space
from index.geometry.maps import Geometry, distances_to, similarity_of
from index.geometry.views import View
from index.questions.lists.place import Place, place_among, place_around
from index.tokens.vocabulary import Token


class Scale(StrEnum):
    """What the difference in a sum is multiplied with, beside 1."""

    FIT = "fit"


@dataclass(frozen=True)
class Standing:
    """Where a token stands in a list, and how near it is."""

    place: Place
    distance: float | None = None  # logometers, or the chord; None where places are by a score
    similarity: float | None = None  # in the angular geometries
    score: float | None = None  # of 3CosMul


@dataclass(frozen=True)
class Fit:
    """The best factor on the difference."""

    factor: float | None  # None where the difference alone, or its opposite, is nearer than any sum
    standing: Standing | None  # with that factor


@dataclass(frozen=True)
class Expected:
    """Where an expected answer stands in each geometry."""

    token: Token
    standings: dict[Geometry, Standing | None]  # None where the sum or the token has no direction
    fits: dict[Geometry, Fit] | None = None  # where they were asked for

    def json(self) -> dict[str, Any]:
        """Return the token, and its standing under the names of geometries."""
        shown: dict[str, Any] = {}
        for geometry, standing in self.standings.items():
            shown[geometry.value] = _json(standing)
            if self.fits is not None and standing is not None:
                fit = self.fits[geometry]
                shown[geometry.value]["fit"] = {"factor": jsonable(fit.factor), "standing": _json(fit.standing)}
        return {**self.token.json(), **shown}

    def blocks(self) -> list[Block]:
        """Return the token, and a line for each geometry."""
        figures = [each for each in self.standings.values() if each is not None]
        scored = any(each.score is not None for each in figures)
        heads = ("score",) if scored else ("logometers", "similarity")
        lines: list[tuple[Words, ...]] = []
        for geometry, standing in self.standings.items():
            lines.append((geometry.label, "" if scored else "1", *_cells(standing, scored)))
            if self.fits is not None and standing is not None:
                fit = self.fits[geometry]
                factor = "none" if fit.factor is None else f"{fit.factor:.4g}"
                lines.append(("  best factor", factor, *_cells(fit.standing, scored)))
        said = (
            ["(from-to): the places of what is as near within what rounding leaves open"] if _any_tied(figures) else []
        )
        if self.fits is not None:
            said.append(
                "best factor: on what follows the first term, the one that brings the sum nearest to the answer. It is "
                "fitted to the answer: it says whether the line leads past it. Others may be nearer there still"
            )
            if any(fit.factor is None for fit in self.fits.values()):
                said.append("none: the farther the sum goes along the difference, the nearer it comes")
        columns = ("", "" if scored else "factor", "rank", *heads)
        return [
            Heading("The expected answer"),
            facts([("token", (f"#{self.token.id}  ", self.token))]),
            Sentence(""),
            table(columns, lines),
            *(Sentence(each, aside=True) for each in said),
        ]


def standing(
    space: Space, query: np.ndarray, row: int, left_out: tuple[int, ...], rows: np.ndarray | None
) -> Standing | None:
    """Return where a row stands around a point, (D,) float64, among `rows` and itself; None without a direction."""
    if row in space.excluded or (space.geometry.angular and not query.any()):
        return None
    if rows is None:
        place = place_around(space, query, row, left_out)
    else:
        place = place_among(space, query, row, rows[~np.isin(rows, [*left_out, *space.excluded])])
    distance = float(distances_to(space.points, query[np.newaxis], rows=np.array([row]))[0, 0])
    return Standing(place, distance, similarity_of(distance) if space.geometry.angular else None)


def fit(
    bundle: Bundle,
    geometry: Geometry,
    first: np.ndarray,
    difference: np.ndarray,
    row: int,
    stand: Callable[[np.ndarray], Standing | None],
) -> Fit:
    """Return the factor s for which first + s difference, vectors (D,) of gamma's space, is nearest to a row's vector.

    In the causal geometry the least distance, by least squares: s = (e - a) . d / d . d in M. In the angular ones the
    least angle to e: of (p + q s) / |a + s d|, p = a . e and q = d . e, the derivative is 0 at
    s = (q a.a - p a.d) / (p d.d - q a.d), which is the highest cosine where the divisor is above 0; otherwise the
    cosine only rises toward one end of the line, and no factor is best.
    """
    view = View(geometry, bundle.spaces[geometry].facts.centered)
    flat = view.flat(np.stack([first, first + difference, bundle.gamma[[row]][0].astype(np.float64)]), bundle.metric)
    a, d, e = flat[0], flat[1] - flat[0], flat[2]
    if not geometry.angular:
        numerator, divisor = float((e - a) @ d), float(d @ d)
    else:
        p, q = float(a @ e), float(d @ e)
        numerator, divisor = q * float(a @ a) - p * float(a @ d), p * float(d @ d) - q * float(a @ d)
    if not divisor > 0:
        return Fit(None, None)
    factor = numerator / divisor
    return Fit(factor, stand(first + factor * difference))


def _json(found: Standing | None) -> Any:
    if found is None:
        return None
    place = {"rank": found.place.rank, "tied": [found.place.lowest, found.place.highest]}
    figures = {"distance": found.distance, "similarity": found.similarity, "score": found.score}
    return place | {name: value for name, value in figures.items() if value is not None}


def _cells(found: Standing | None, scored: bool) -> tuple[str, ...]:
    """Return rank and figures; a distance of logometers alone, for chords are another form of similarities."""
    if found is None:
        return ("undefined", *([""] if scored else ["", ""]))
    if scored:
        return (found.place.words, "" if found.score is None else f"{found.score:.6f}")
    if found.similarity is None:
        return (found.place.words, f"{found.distance:.6f}", "")
    return (found.place.words, "", f"{found.similarity:.6f}")


def _any_tied(found: list[Standing]) -> bool:
    return any(each.place.lowest < each.place.highest for each in found)
