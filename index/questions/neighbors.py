"""Questions to an open bundle, answered with frozen records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.answers.answer import Tabular
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.measures import density, overlap
from index.measures.density import Rule
from index.measures.overlap import Overlap
from index.questions.among import Subset
from index.questions.lists import Neighbor, checked_top, neighbor_list, ranked, token_at, tokens_at
from index.tokens.vocabulary import Token

DEFAULT_GEOMETRIES = (Geometry.CAUSAL, Geometry.COSINE)


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
        The two lists, nearest first; one is empty where it is `undefined`, and where no other token, or none of the
        subset, has a place in it.
    overlap : Overlap or None
        None where a list is empty.
    shared : tuple of Shared
        By rank in the first list.
    among : Subset or None
        What the lists, but not the density, keep to.
    undefined : tuple of Geometry
        Those of the two in which the token's row is zero and has no direction.
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
    undefined: tuple[Geometry, ...] = ()


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
        Of all densities under the rule asked for, or of the subset's, in 1/logometers. Rows without a direction are
        left out, unless there are no others.
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
    top: int | None = None,
    density_k: int | None = None,
    rule: Rule = Rule.NOTEBOOK,
    geometries: tuple[Geometry, Geometry] = DEFAULT_GEOMETRIES,
    among: Subset | None = None,
) -> Densest:
    """Find the token of highest k-NN density, and its neighbors in two geometries.

    Parameters
    ----------
    bundle : Bundle
    top : int, optional
        Length of the neighbor lists: 30 by default, or all others where they are fewer.
    density_k : int, optional
        Neighbors averaged; the build's own by default, at most the K of the bundle.
    rule : Rule
        What the zero distances of twins do (`index.measures.density`).
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
    placed = rows[~np.isin(rows, space.excluded)]
    rows = placed if len(placed) else rows
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
    top: int | None = None,
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
    top : int, optional
        Length of the lists, up to V - 1: beyond the K of the bundle the points themselves are searched. The default
        is that of `densest`.
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
    top: int | None,
    density_k: int,
    rule: Rule,
    geometries: tuple[Geometry, Geometry],
    among: Subset | None,
) -> Neighborhood:
    top = checked_top(bundle, top)
    check_two(geometries)
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
        tuple(space.geometry for space in (first, second) if row in space.excluded),
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


def check_two(geometries: tuple[Geometry, Geometry]) -> None:
    """Raise ParameterError unless two geometries differ."""
    if geometries[0] is geometries[1]:
        raise ParameterError(f"two different geometries are compared, got {geometries[0].label} twice")


def checked_density_k(bundle: Bundle, density_k: int | None) -> int:
    """Return the neighbors to average: those asked for, or the build's own; ParameterError beyond the K kept."""
    k = bundle.manifest.settings.density_k if density_k is None else density_k
    K = bundle.manifest.K
    if not 1 <= k <= K:
        raise ParameterError(
            f"--density-k must be from 1 to {K}, the neighbors kept in {bundle.name}, got: {k}; "
            "build with more --neighbors for more"
        )
    return k
