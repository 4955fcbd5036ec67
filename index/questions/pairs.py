"""Two tokens: how far apart they are, and where each stands in the other's list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.answers.answer import Tabular
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError
from index.geometry.maps import Geometry, distances_to, pair_distances, similarity_of
from index.questions.lists import token_at
from index.tokens.vocabulary import Token


@dataclass(frozen=True)
class Distance(Tabular):
    """How far apart two tokens are.

    Attributes
    ----------
    a, b : Token
    distances : dict of Geometry to float or None
        In the space's unit: logometers, or the chord; None where one of the two has no direction.
    """

    a: Token
    b: Token
    distances: dict[Geometry, float | None]

    def similarity(self, geometry: Geometry) -> float | None:
        """Return the cosine of the angle in an angular geometry."""
        chord = self.distances[geometry]
        return None if chord is None else similarity_of(chord)


@dataclass(frozen=True)
class Place:
    """A token's place in a list of all others, from 1, by exact distance and then by row.

    Attributes
    ----------
    rank : int
    lowest, highest : int
        The places it could have as well, because tokens there are as far away within the resolution.
    """

    rank: int
    lowest: int
    highest: int


@dataclass(frozen=True)
class Ranks(Tabular):
    """The places of two tokens in each other's list.

    Attributes
    ----------
    a, b : Token
    b_in_a, a_in_b : dict of Geometry to Place or None
        None where one of the two has no direction.
    lengths : dict of Geometry to int
        How many tokens such a list holds.
    """

    a: Token
    b: Token
    b_in_a: dict[Geometry, Place | None]
    a_in_b: dict[Geometry, Place | None]
    lengths: dict[Geometry, int]


def distance(bundle: Bundle, a: str, b: str) -> Distance:
    """Measure how far two tokens are apart, in every geometry.

    Parameters
    ----------
    bundle : Bundle
    a, b : str
        As in `questions.neighbors`; the same token is 0 from itself.

    Raises
    ------
    TokenError
        When one of them is not one token.
    """
    rows = [bundle.vocabulary.resolve(text) for text in (a, b)]
    apart = {}
    for geometry, space in bundle.spaces.items():
        exact = pair_distances(space.points, np.array(rows[:1]), np.array(rows[1:]))[0]
        # As neighbor lists hold it, rounded to float32.
        apart[geometry] = None if set(rows) & set(space.excluded) else float(np.float32(exact))
    return Distance(token_at(bundle, rows[0]), token_at(bundle, rows[1]), apart)


def rank(bundle: Bundle, a: str, b: str) -> Ranks:
    """Find b's place among all neighbors of a, and a's among those of b, in every geometry.

    Parameters
    ----------
    bundle : Bundle
    a, b : str
        As in `questions.neighbors`.

    Raises
    ------
    TokenError
        When one of them is not one token.
    ParameterError
        When both are the same: no token stands in its own list.
    """
    rows = [bundle.vocabulary.resolve(text) for text in (a, b)]
    if rows[0] == rows[1]:
        token = bundle.vocabulary.display(rows[0])
        raise ParameterError(f"two tokens are ranked in each other's lists, but both are '{token}' (row {rows[0]})")
    places = {geometry: _places(space, *rows) for geometry, space in bundle.spaces.items()}
    return Ranks(
        token_at(bundle, rows[0]),
        token_at(bundle, rows[1]),
        {geometry: found[0] for geometry, found in places.items()},
        {geometry: found[1] for geometry, found in places.items()},
        {geometry: len(bundle) - len(space.excluded) - 1 for geometry, space in bundle.spaces.items()},
    )


def _places(space: Space, a: int, b: int) -> tuple[Place | None, Place | None]:
    """Return b's place in a's list and a's in b's."""
    if {a, b} & set(space.excluded):
        return None, None
    stored = _stored_place(space, a, b), _stored_place(space, b, a)
    if None not in stored:
        return stored
    from_a, from_b = distances_to(space.points, space.points[[a, b]].astype(np.float64))
    return stored[0] or _place(space, from_a, a, b), stored[1] or _place(space, from_b, b, a)


def _stored_place(space: Space, center: int, other: int) -> Place | None:
    """Return the place of `other` where the stored list shows it and all its ties, else None."""
    at = np.flatnonzero(space.ids[center] == other)
    distances = space.distances[center]
    if len(at) == 0 or not distances[-1] > distances[at[0]] + space.resolution:
        return None
    return Place(int(at[0]) + 1, *_tied_places(distances, distances[at[0]], space.resolution))


def _place(space: Space, exact: np.ndarray, center: int, other: int) -> Place:
    """Return the place of `other` in the list of `center`, from the distances to all, (V,) float64."""
    exact[[center, *space.excluded]] = np.inf
    before = np.count_nonzero(exact < exact[other]) + np.count_nonzero(exact[:other] == exact[other])
    distances = exact.astype(np.float32)
    return Place(int(before) + 1, *_tied_places(distances, distances[other], space.resolution))


def _tied_places(distances: np.ndarray, distance: float, resolution: float) -> tuple[int, int]:
    """Return the first and last place of what is as far as `distance`, among all distances (n,)."""
    return (
        int(np.count_nonzero(distances < distance - resolution)) + 1,
        int(np.count_nonzero(distances <= distance + resolution)),
    )
