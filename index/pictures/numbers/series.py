"""The arrays behind the charts of a token, computed from its answer and the bundle. Nothing here draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle, Space
from index.geometry.maps import Geometry, distances_to, similarity_of
from index.measures import overlap
from index.measures.overlap import Overlap
from index.pictures.numbers.densities import Densities, all_densities, unit
from index.questions.lists import ranked
from index.questions.neighbors import Neighborhood
from index.tokens.display import display
from index.tokens.vocabulary import Token

LENGTHS = 256
"""At how many lengths of lists an overlap is taken; longer lists than this are compared at lengths evenly spaced."""


@dataclass(frozen=True, eq=False)
class RankSeries:
    """Distance by rank in one geometry: n neighbors, none for a zero row in an angular geometry.

    Attributes
    ----------
    geometry : Geometry
    unit : str
        "logometers" or "chord".
    ranks : ndarray of shape (n,), int64
        From 1.
    distances : ndarray of shape (n,), float64
    tied : ndarray of shape (n,), bool
    resolution : float
        In the same unit.
    """

    geometry: Geometry
    unit: str
    ranks: np.ndarray
    distances: np.ndarray
    tied: np.ndarray
    resolution: float


@dataclass(frozen=True, eq=False)
class OverlapSeries:
    """The overlap of two lists at growing lengths k, as shares of k from 0 to 1.

    Attributes
    ----------
    lengths : ndarray of shape (n,), int64
        Every k from 1 to the last, or `LENGTHS` of them; empty where a list is.
    shares : ndarray of shape (n,), float64
        As the lists are shown, ties broken by row.
    lowest, highest : ndarrays of shape (n,), float64
        The range over every breaking of ties at the k-th place.
    chance : ndarray of shape (n,), float64
        Expected of two lists drawn blindly from the C tokens that can be listed: k / C.
    """

    lengths: np.ndarray
    shares: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    chance: np.ndarray


@dataclass(frozen=True, eq=False)
class UnionSeries:
    """Every token of either list, with its distance in both geometries: n tokens.

    Attributes
    ----------
    tokens : tuple of n Token
        By rank in the first list, then by rank in the second.
    texts : tuple of n str
        What they are called.
    shared : ndarray of shape (n,), bool
        Whether both lists hold the token.
    ranks : dict of Geometry to ndarray of shape (n,), int64
        From 1; 0 where that list does not hold the token.
    distances : dict of Geometry to ndarray of shape (n,), float64
        In logometers, or of the chord; NaN where the token asked for, or this one, has no direction.
    similarities : dict of Geometry to ndarray of shape (n,), float64
        The cosine of the angle, for the angular ones of the two geometries.
    """

    tokens: tuple[Token, ...]
    texts: tuple[str, ...]
    shared: np.ndarray
    ranks: dict[Geometry, np.ndarray]
    distances: dict[Geometry, np.ndarray]
    similarities: dict[Geometry, np.ndarray]


@dataclass(frozen=True, eq=False)
class NeighborhoodSeries:
    """What the charts of one token show.

    Attributes
    ----------
    text : str
        What the token is called.
    ranks : pair of RankSeries
        In the order of the question's geometries.
    overlap : OverlapSeries
    densities : Densities
        Of the whole vocabulary.
    density : float
        The token's own, in the unit of `densities`.
    denser_than : str or None
        The percent of `densities` below it; None for a row without a point.
    union : UnionSeries
    """

    text: str
    ranks: tuple[RankSeries, RankSeries]
    overlap: OverlapSeries
    densities: Densities
    density: float
    denser_than: str | None
    union: UnionSeries


def called(token: Token) -> str:
    """Return a token's printable form, or `#id` where it has no text: pictures hold many such, and name no other id."""
    return f"#{token.id}" if token.text is None else display(token.text, token.piece)


def neighborhood_series(bundle: Bundle, found: Neighborhood, densities: Densities | None = None) -> NeighborhoodSeries:
    """Return what the charts of an answer of `neighbors` or `densest` show.

    Parameters
    ----------
    bundle : Bundle
        The one that was asked.
    found : Neighborhood
    densities : Densities, optional
        Of the question's first geometry, rule and density k; taken from the bundle when not given.
    """
    first, second = (bundle.spaces[geometry] for geometry in found.lists)
    if densities is None:
        densities = all_densities(bundle, first.geometry, found.rule, found.density_k)
    has_point = found.token.row not in first.excluded
    return NeighborhoodSeries(
        called(found.token),
        (_rank_series(first, found), _rank_series(second, found)),
        _overlap_series(bundle, found),
        densities,
        found.density,
        densities.denser_than(found.density) if has_point else None,
        _union_series(bundle, found),
    )


def _rank_series(space: Space, found: Neighborhood) -> RankSeries:
    listed = found.lists[space.geometry]
    return RankSeries(
        space.geometry,
        unit(space.geometry),
        np.array([neighbor.rank for neighbor in listed], np.int64),
        np.array([neighbor.distance for neighbor in listed], np.float64),
        np.array([neighbor.tied for neighbor in listed], bool),
        space.resolution,
    )


def _overlap_series(bundle: Bundle, found: Neighborhood) -> OverlapSeries:
    """Compare the lists as far as the stored ones decide their ties, and at least as far as the question went."""
    lists: list[tuple[np.ndarray, np.ndarray, float]] = []
    limits = []
    for geometry, listed in found.lists.items():
        space = bundle.spaces[geometry]
        ids, distances = ranked(space, found.token.row, max(1, len(listed)), found.among)
        decided = int((distances + space.resolution < distances[-1]).sum()) if len(ids) else 0
        lists.append((ids, distances, space.resolution))
        limits.append(max(len(listed), decided))
    longest = min(limits)
    lengths = np.linspace(1, longest, min(longest, LENGTHS)).round().astype(np.int64)
    candidates = len(bundle) - 1
    if found.among is not None:
        candidates = len(found.among) - int(found.token.row in found.among.rows)
    first, second = lists
    compared = [_overlap_at(first, second, k) for k in lengths.tolist()]
    counts, lowest, highest = (
        np.array([getattr(each, name) for each in compared], np.float64) / lengths
        for name in ("count", "lowest", "highest")
    )
    return OverlapSeries(lengths, counts, lowest, highest, lengths / max(1, candidates))


def _overlap_at(a: tuple[np.ndarray, np.ndarray, float], b: tuple[np.ndarray, np.ndarray, float], k: int) -> Overlap:
    """Compare the k nearest of two lists, (ids, distances, resolution) each."""
    certain_a, certain_b = (overlap.nearest(ids, distances, k, resolution) for ids, distances, resolution in (a, b))
    return overlap.overlap(a[0][:k], b[0][:k], certain_a, certain_b)


def _union_series(bundle: Bundle, found: Neighborhood) -> UnionSeries:
    places = {
        geometry: {neighbor.token.row: neighbor.rank for neighbor in listed} for geometry, listed in found.lists.items()
    }
    tokens = {neighbor.token.row: neighbor.token for listed in found.lists.values() for neighbor in listed}
    rows = np.array(list(tokens), np.int32)
    ranks = {geometry: np.array([place.get(row, 0) for row in tokens], np.int64) for geometry, place in places.items()}
    distances = {geometry: _distances(bundle.spaces[geometry], found.token.row, rows) for geometry in places}
    return UnionSeries(
        tuple(tokens.values()),
        tuple(map(called, tokens.values())),
        np.logical_and(*(rank > 0 for rank in ranks.values())),
        ranks,
        distances,
        {geometry: similarity_of(distance) for geometry, distance in distances.items() if geometry.angular},
    )


def _distances(space: Space, row: int, others: np.ndarray) -> np.ndarray:
    """Return the distances from one row to others, (n,) float64, rounded to float32 as those of lists are."""
    if row in space.excluded:
        return np.full(len(others), np.nan)
    found: np.ndarray = (
        distances_to(space.points, space.points[[row]], rows=others)[0].astype(np.float32).astype(np.float64)
    )
    found[np.isin(others, space.excluded)] = np.nan
    return found
