"""Questions to the whole vocabulary at once: how far two geometries agree, and which tokens are duplicates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from index.answers.answer import Tabular
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.measures import density
from index.measures.density import Rule
from index.measures.groups import connected_groups
from index.measures.overlap import OVERLAP_TOPS, overlap_shares
from index.questions.lists import token_at, tokens_at
from index.questions.neighbors import DEFAULT_GEOMETRIES, check_two, checked_density_k
from index.tokens.vocabulary import Token

DECILES = 10
LISTED = 10
QUARTILES = (25, 50, 75)


@dataclass(frozen=True)
class OverlapAt:
    """The overlap of all tokens at one length of lists; shares from 0 to 1.

    Attributes
    ----------
    mean : float
    quartiles : tuple of float
        The 25th, 50th and 75th percentile, linear between tokens.
    chance : float
        The mean if both lists were drawn blindly from the V - 1 other tokens: k / (V - 1).
    none, whole : int
        How many tokens share none of their nearest, and how many share all.
    """

    mean: float
    quartiles: tuple[float, float, float]
    chance: float
    none: int
    whole: int


@dataclass(frozen=True)
class Decile:
    """A tenth of the tokens by density, the sparsest first; ties by row.

    Attributes
    ----------
    decile : int
        From 1.
    tokens : int
    lowest, highest : float
        Their densities, of the rule 'notebook' in the first geometry.
    means : dict of int to float
        The mean overlap at each length of lists, a share.
    """

    decile: int
    tokens: int
    lowest: float
    highest: float
    means: dict[int, float]


@dataclass(frozen=True)
class Agreement:
    """A token, and the share of its nearest that both geometries name, at each length of lists."""

    token: Token
    shares: dict[int, float]


@dataclass(frozen=True)
class OverlapCensus(Tabular):
    """How far the neighbor lists of two geometries agree over a vocabulary.

    Attributes
    ----------
    geometries : pair of Geometry
    tokens : int
        Those that have lists as long in both.
    tops : dict of int to OverlapAt
    deciles : tuple of Decile
    most, least : tuple of Agreement
        At the longest lists, ties by the shorter ones, then by row.
    """

    geometries: tuple[Geometry, Geometry]
    tokens: int
    tops: dict[int, OverlapAt]
    deciles: tuple[Decile, ...]
    most: tuple[Agreement, ...]
    least: tuple[Agreement, ...]


@dataclass(frozen=True)
class Duplicates(Tabular):
    """Groups of tokens with the same vector, or of near-twins.

    Attributes
    ----------
    within : float or None
        In logometers: the longest link within a group; None for twins proper, whose vectors are bit-identical.
    groups : tuple of tuple of Token
        Largest first, then by first row; two tokens or more in each.
    """

    within: float | None
    groups: tuple[tuple[Token, ...], ...]

    @property
    def tokens(self) -> int:
        """How many tokens are in a group."""
        return sum(map(len, self.groups))


def overlap(
    bundle: Bundle,
    *,
    tops: Sequence[int] | None = None,
    listed: int | None = None,
    geometries: tuple[Geometry, Geometry] = DEFAULT_GEOMETRIES,
) -> OverlapCensus:
    """Compare the neighbor lists of every token in two geometries.

    Parameters
    ----------
    bundle : Bundle
    tops : sequence of int, optional
        Lengths of the lists, one or more, each from 1 to the K of the bundle; by default 10, 30 and 100 as far as the
        lists go.
    listed : int, optional
        How many tokens that agree most, and least, to name: 10 by default, or all where they are fewer.
    geometries : pair of Geometry
        Deciles are of the density in the first.

    Raises
    ------
    ParameterError
        When `tops`, `listed` or `geometries` is out of range.
    """
    K, V = bundle.manifest.K, len(bundle)
    check_two(geometries)
    listed = checked_listed("--tokens", listed, V)
    first, second = (bundle.spaces[geometry] for geometry in geometries)
    # A zero row is in no list, so that lists may be shorter than K.
    longest = max(1, min(K, V - 1 - max(len(first.excluded), len(second.excluded))))
    tops = sorted({min(top, longest) for top in OVERLAP_TOPS} if tops is None else set(tops))
    if not tops:
        raise ParameterError(f"--top must name one length of lists or more, from 1 to {K}, got none")
    for top in tops:
        check_length("--top", top, bundle)
    shares = {top: overlap_shares(first.ids.whole, second.ids.whole, top) for top in tops}
    means = density.mean_distances(
        first.distances.whole, first.distinct_distances.whole, Rule.NOTEBOOK, checked_density_k(bundle, None)
    )
    rows = np.flatnonzero(~np.isnan(shares[tops[-1]]))
    if len(rows) == 0:
        raise ParameterError(f"no token of {bundle.name} has {tops[-1]} neighbors in both geometries; lower --top")
    shares = {top: values[rows] for top, values in shares.items()}
    upward = np.lexsort((rows, *(shares[top] for top in tops)))
    downward = np.lexsort((rows, *(-shares[top] for top in tops)))

    def agreements(order: np.ndarray) -> tuple[Agreement, ...]:
        return tuple(
            Agreement(token_at(bundle, int(rows[at])), {top: float(shares[top][at]) for top in tops})
            for at in order[:listed]
        )

    return OverlapCensus(
        geometries,
        len(rows),
        {top: _overlap_at(values, top / (V - 1)) for top, values in shares.items()},
        _deciles(density.density(means)[rows], shares),
        agreements(downward),
        agreements(upward),
    )


def duplicates(bundle: Bundle, *, within: float | None = None) -> Duplicates:
    """Find the groups of tokens with the same vector, or, within a bound, those that chains of near-twins connect.

    Parameters
    ----------
    bundle : Bundle
    within : float, optional
        In logometers, 0 or more: two tokens no further apart are in one group, and so are their other near-twins. The
        answer is exact, however many neighbors the bundle keeps.

    Raises
    ------
    ParameterError
        When `within` is no distance.
    """
    if within is not None and not (math.isfinite(within) and within >= 0):
        raise ParameterError(f"--within must be a distance in logometers, 0 or more, got: {within:g}")
    groups, space = bundle.twins.first, bundle.causal
    if within is not None:
        groups = connected_groups(space.points.whole, space.ids.whole, space.distances.whole, groups, within)
    rows = np.flatnonzero(np.bincount(groups, minlength=len(groups))[groups] > 1)
    rows = rows[np.argsort(groups[rows], kind="stable")]
    found = [tuple(tokens_at(bundle, members)) for _, members in groupby(rows.tolist(), key=groups.__getitem__)]
    return Duplicates(within, tuple(sorted(found, key=lambda group: (-len(group), group[0].row))))


def check_length(option: str, k: int, bundle: Bundle) -> None:
    """Raise ParameterError unless lists of k neighbors are kept."""
    K = bundle.manifest.K
    if not 1 <= k <= K:
        raise ParameterError(
            f"{option} must be from 1 to {K}, the neighbors kept in {bundle.name}, got: {k}; "
            "build with more --neighbors for more"
        )


def checked_listed(option: str, count: int | None, V: int) -> int:
    """Return how many of V tokens to list: as many as asked for, 10 by default; else a ParameterError."""
    if count is None:
        return min(LISTED, V)
    if not 1 <= count <= V:
        raise ParameterError(f"{option} must be from 1 to {V}, the tokens here, got: {count}")
    return count


def _overlap_at(shares: np.ndarray, chance: float) -> OverlapAt:
    first, second, third = np.percentile(shares, QUARTILES).tolist()
    none, whole = int((shares == 0).sum()), int((shares == 1).sum())
    return OverlapAt(float(shares.mean()), (first, second, third), chance, none, whole)


def _deciles(densities: np.ndarray, shares: dict[int, np.ndarray]) -> tuple[Decile, ...]:
    parts = np.array_split(np.argsort(densities, kind="stable"), min(DECILES, len(densities)))
    return tuple(
        Decile(
            number,
            len(part),
            float(densities[part[0]]),
            float(densities[part[-1]]),
            {top: float(values[part].mean()) for top, values in shares.items()},
        )
        for number, part in enumerate(parts, 1)
    )
