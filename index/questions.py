"""Questions to an open bundle, answered with frozen records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from index import density, overlap
from index.among import Subset
from index.bundle import Bundle, Geometry, Space
from index.density import Rule
from index.errors import ParameterError
from index.overlap import Overlap
from index.records import Tabular
from index.search import distances_to, search_with_ties

DEFAULT_GEOMETRIES = (Geometry.CAUSAL, Geometry.COSINE)


@dataclass(frozen=True)
class Token:
    """A token: its row in the bundle, its id, its exact text and its piece (None for an orphan row)."""

    row: int
    id: int
    text: str | None
    piece: str | None


@dataclass(frozen=True)
class Neighbor:
    """One place in a neighbor list.

    Attributes
    ----------
    rank : int
        From 1.
    token : Token
    distance : float
        In the space's unit: logometers, or the chord between directions.
    similarity : float or None
        The cosine of the angle, in the angular geometries.
    tied : bool
        Whether the token before or after is no further apart than the resolution: the order is arbitrary there.
    """

    rank: int
    token: Token
    distance: float
    similarity: float | None
    tied: bool


@dataclass(frozen=True)
class Shared:
    """A token that both neighbor lists hold, with its rank in the first and in the second."""

    token: Token
    ranks: tuple[int, int]


@dataclass(frozen=True)
class Neighborhood(Tabular):
    """A token and its nearest others in two geometries.

    Attributes
    ----------
    token : Token
    twins : tuple of Token
        The other tokens with the same vector.
    density : float
        In the first geometry, under `rule` at `density_k`; in 1/logometers where that is the causal one.
    mean_distance : float
        NaN where the rule leaves nothing to average.
    rule : Rule
    density_k : int
    lists : dict of Geometry to tuple of Neighbor
        The two lists, nearest first; an angular one is empty for a zero row, which has no direction.
    overlap : Overlap or None
        None where a list is empty.
    shared : tuple of Shared
        By rank in the first list.
    among : Subset or None
        What the lists, but not the density, keep to.
    """

    token: Token
    twins: tuple[Token, ...]
    density: float
    mean_distance: float
    rule: Rule
    density_k: int
    lists: dict[Geometry, tuple[Neighbor, ...]]
    overlap: Overlap | None
    shared: tuple[Shared, ...]
    among: Subset | None = None


@dataclass(frozen=True)
class Winner:
    """The densest token under one rule, and how many tokens, itself among them, tie for it."""

    token: Token
    density: float
    tied: int


@dataclass(frozen=True)
class Densest(Tabular):
    """The densest token of a bundle and what surrounds it.

    Attributes
    ----------
    neighborhood : Neighborhood
    minimum, maximum, mean, median : float
        Of all densities under the rule asked for, or of the subset's, in 1/logometers.
    by_rule : dict of Rule to Winner
    """

    neighborhood: Neighborhood
    minimum: float
    maximum: float
    mean: float
    median: float
    by_rule: dict[Rule, Winner]


def densest(
    bundle: Bundle,
    *,
    top: int = 30,
    density_k: int | None = None,
    rule: Rule = Rule.NOTEBOOK,
    geometries: tuple[Geometry, Geometry] = DEFAULT_GEOMETRIES,
    among: Subset | None = None,
) -> Densest:
    """Find the token of highest k-NN density, and its neighbors in two geometries.

    Parameters
    ----------
    bundle : Bundle
    top : int
        Length of the neighbor lists.
    density_k : int, optional
        Neighbors averaged; the build's own by default, at most the K of the bundle.
    rule : Rule
        What the zero distances of twins do (`index.density`).
    geometries : pair of Geometry
        Densities are taken in the first.
    among : Subset, optional
        Look for the densest token here, and list only neighbors from here. Densities stay those in the whole
        vocabulary.

    Raises
    ------
    ParameterError
        When `top`, `density_k` or `geometries` is out of range.
    """
    k = checked_density_k(bundle, density_k)
    space = bundle.spaces[geometries[0]]
    rows = np.arange(len(bundle)) if among is None else among.rows
    distances, distinct = space.distances.whole, space.distinct_distances.whole
    means = {each: density.mean_distances(distances, distinct, each, k)[rows] for each in Rule}
    by_rule = {}
    for each, mean in means.items():
        tied = density.tied_for_densest(mean, space.resolution)
        first = int(np.nanargmin(mean)) if np.isfinite(mean).any() else 0
        by_rule[each] = Winner(token_at(bundle, int(rows[first])), float(density.density(mean[first])), len(tied))
    densities = density.density(means[rule])
    return Densest(
        _neighborhood(bundle, by_rule[rule].token.row, top, k, rule, geometries, among),
        float(densities.min()),
        float(densities.max()),
        float(densities.mean()),
        float(np.median(densities)),
        by_rule,
    )


def neighbors(
    bundle: Bundle,
    token: str,
    *,
    top: int = 30,
    density_k: int | None = None,
    rule: Rule = Rule.NOTEBOOK,
    geometries: tuple[Geometry, Geometry] = DEFAULT_GEOMETRIES,
    among: Subset | None = None,
) -> Neighborhood:
    """Find a token's nearest others in two geometries, and how far the two lists agree.

    Parameters
    ----------
    bundle : Bundle
    token : str
        `#id`, an exact text, an exact piece, or a text without its leading space.
    top : int
        Length of the lists, up to V - 1: beyond the K of the bundle the points themselves are searched.
    density_k, rule, geometries
        As in `densest`.
    among : Subset, optional
        List only tokens from here, as many as there are. The density stays the one in the whole vocabulary.

    Raises
    ------
    TokenError
        When `token` is not one token.
    ParameterError
        When `top`, `density_k` or `geometries` is out of range.
    """
    k = checked_density_k(bundle, density_k)
    return _neighborhood(bundle, bundle.vocabulary.resolve(token), top, k, rule, geometries, among)


def _neighborhood(
    bundle: Bundle,
    row: int,
    top: int,
    density_k: int,
    rule: Rule,
    geometries: tuple[Geometry, Geometry],
    among: Subset | None,
) -> Neighborhood:
    check_top(bundle, top)
    if geometries[0] is geometries[1]:
        raise ParameterError(f"two different geometries are compared, got {geometries[0].value} twice")
    first, second = (bundle.spaces[geometry] for geometry in geometries)
    found = {space.geometry: ranked(space, row, top, among) for space in (first, second)}
    mean = density.mean_distances(
        first.distances[row : row + 1], first.distinct_distances[row : row + 1], rule, density_k
    )
    agreement, shared = _agreement(bundle, first, second, found[first.geometry], found[second.geometry], top)
    return Neighborhood(
        token_at(bundle, row),
        tuple(tokens_at(bundle, bundle.twins.others(row))),
        float(density.density(mean)[0]),
        float(mean[0]),
        rule,
        density_k,
        {space.geometry: neighbor_list(bundle, space, *found[space.geometry], top) for space in (first, second)},
        agreement,
        shared,
        among,
    )


def _agreement(
    bundle: Bundle,
    first: Space,
    second: Space,
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
    top: int,
) -> tuple[Overlap | None, tuple[Shared, ...]]:
    """Compare two ranked lists, (ids, distances) each, at `top` or as far as both go."""
    k = min(top, len(a[0]), len(b[0]))
    if k == 0:
        return None, ()
    agreement = overlap.overlap(
        a[0][:k],
        b[0][:k],
        overlap.nearest(*a, k, first.resolution),
        overlap.nearest(*b, k, second.resolution),
    )
    place = {int(row): rank for rank, row in enumerate(b[0][:k], 1)}
    shared = (
        Shared(token_at(bundle, int(row)), (rank, place[int(row)]))
        for rank, row in enumerate(a[0][:k], 1)
        if int(row) in place
    )
    return agreement, tuple(shared)


def ranked(space: Space, row: int, top: int, among: Subset | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the neighbors of a stored token: at least `top` of them, and every one that ties with the last of these.

    Parameters
    ----------
    space : Space
    row : int
    top : int
        From 1.
    among : Subset, optional
        The only tokens to list.

    Returns
    -------
    ids : ndarray of shape (n,), int32
        Nearest first; n is less than `top` only where there are fewer points.
    distances : ndarray of shape (n,), float32
    """
    if row in space.excluded:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    rows = None if among is None else among.rows
    kept = space.ids[row] >= 0
    if rows is not None:
        kept &= np.isin(space.ids[row], rows)
    ids, distances = space.ids[row][kept], space.distances[row][kept]
    left_out = (row, *space.excluded)
    others = len(space.ids) - len(left_out) if rows is None else int((~np.isin(rows, left_out)).sum())
    # A stored list is enough when it ends beyond the ties at the last place asked for.
    if len(ids) == others or (len(ids) > top and distances[-1] > distances[top - 1] + space.resolution):
        return ids, distances
    if rows is None:
        ids, distances = _twins_expanded(space, row, top)
        if len(ids) > top and distances[-1] > distances[top - 1] + space.resolution:
            return ids, distances
    return search_with_ties(space.points, space.points[row], top, space.resolution, exclude=left_out, rows=rows)


def _twins_expanded(space: Space, row: int, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a longer list than the stored one, of ids and distances, where twins crowd that: off the distinct points.

    It ends with the first point beyond the ties at the last place asked for, or with the last point that is stored.
    """
    stored = space.distinct_ids[row] >= 0
    firsts, apart = space.distinct_ids[row][stored], space.distinct_distances[row][stored]
    own, sizes = space.groups.others(row), space.groups.sizes(firsts)
    filled = len(own) + np.concatenate([[0], np.cumsum(sizes)])  # places taken before each point
    reached = int(np.searchsorted(filled, top))  # so many points fill the places asked for
    border = (apart[reached - 1] if 0 < reached <= len(firsts) else np.float32(0)) + space.resolution
    n = int(np.searchsorted(apart, border, side="right")) + 1
    near = apart[:n].astype(np.float64)
    if (np.diff(near) == 0).any():  # rounded to the same: exact distances order the rows of different points
        near = distances_to(space.points, space.points[[row]], rows=firsts[:n])[0]
    ids = np.concatenate([own, *(space.groups.members(first) for first in firsts[:n].tolist())])
    distances = np.repeat([0.0, *near], [len(own), *sizes[:n]])
    order = np.lexsort((ids, distances))
    return ids[order], distances[order].astype(np.float32)


def neighbor_list(
    bundle: Bundle, space: Space, ids: np.ndarray, distances: np.ndarray, top: int
) -> tuple[Neighbor, ...]:
    """Return the first `top` of a ranked list, (n,) rows and distances, as records with their ties."""
    close = np.diff(distances, prepend=-np.inf, append=np.inf) <= space.resolution
    tied = close[:-1] | close[1:]
    shown = zip(tokens_at(bundle, ids[:top]), distances[:top].astype(np.float64), tied[:top], strict=True)
    return tuple(
        Neighbor(
            rank,
            token,
            float(distance),
            # |x - y|^2 = 2 - 2 cos for rows of norm 1
            float(1 - distance**2 / 2) if space.geometry.angular else None,
            bool(is_tied),
        )
        for rank, (token, distance, is_tied) in enumerate(shown, 1)
    )


def tokens_at(bundle: Bundle, rows: Iterable[int]) -> list[Token]:
    """Return the tokens of some rows."""
    return [token_at(bundle, int(row)) for row in rows]


def token_at(bundle: Bundle, row: int) -> Token:
    """Return the token of a row."""
    vocabulary = bundle.vocabulary
    return Token(row, int(vocabulary.token_ids[row]), vocabulary.text(row), vocabulary.pieces[row].as_py())


def check_top(bundle: Bundle, top: int) -> None:
    """Raise ParameterError unless a list can be `top` tokens long."""
    if not 1 <= top < len(bundle):
        raise ParameterError(f"--top must be from 1 to {len(bundle) - 1}, one less than the tokens here, got: {top}")


def checked_density_k(bundle: Bundle, density_k: int | None) -> int:
    """Return the neighbors to average: those asked for, or the build's own; ParameterError beyond the K kept."""
    k = int(bundle.manifest["settings"]["density_k"]) if density_k is None else density_k
    K = int(bundle.manifest["K"])
    if not 1 <= k <= K:
        raise ParameterError(
            f"--density-k must be from 1 to {K}, the neighbors kept in {bundle.name}, got: {k}; "
            "build with more --neighbors for more"
        )
    return k
