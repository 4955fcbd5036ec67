"""The arrays behind the charts of a token, computed from its answer and the bundle. Nothing here draws."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PureWindowsPath

import numpy as np

from index.bundle.bundle import Bundle, Space
from index.geometry.maps import Geometry, distances_to, similarity_of
from index.measures import overlap
from index.measures.density import Rule
from index.measures.overlap import Overlap
from index.pictures.numbers.beside import SeriesBeside
from index.pictures.numbers.densities import Densities, all_densities, unit
from index.questions.lists.lists import ranked
from index.questions.lists.marks import Mark, signs
from index.questions.neighbors import Neighborhood
from index.tokens.display import display
from index.tokens.vocabulary import Token

_MATRIX = re.compile(r"(gamma|lm_head|unembedding)\b.*")
"""Files that are called by what they hold."""

_GENERIC = re.compile(r"[\\/.]*|[0-9a-f]{40}|snapshots|(model|pytorch_model)\b.*")
"""Parts of a path that name no model."""

LENGTHS = 256
"""At how many lengths of lists an overlap is taken; longer lists than this are compared at lengths evenly spaced."""


@dataclass(frozen=True, eq=False)
class RankSeries:
    """Distance by rank in one geometry: n neighbors, none for a zero row in an angular geometry."""

    geometry: Geometry
    unit: str  # "logometers" or "chord"
    ranks: np.ndarray  # (n,) int64, from 1
    distances: np.ndarray  # (n,) float64
    tied: np.ndarray  # (n,) bool
    resolution: float  # in the same unit


@dataclass(frozen=True, eq=False)
class OverlapSeries:
    """The overlap of two lists at n growing lengths k, as shares of k from 0 to 1."""

    lengths: np.ndarray  # (n,) int64: every k from 1 to the last, or `LENGTHS` of them; empty where a list is
    shares: np.ndarray  # (n,) float64: as the lists are shown, ties broken by row
    lowest: np.ndarray  # (n,) float64: the range over every breaking of ties at the k-th place
    highest: np.ndarray
    chance: np.ndarray  # (n,) float64: of two lists drawn blindly from the tokens that can be listed in each

    def expected(self, found: Overlap | None) -> float:
        """Return how many tokens two lists drawn blindly would share, on average, where so many were compared."""
        return 0.0 if found is None else found.k**2 * float(self.chance[0] / self.lengths[0])


@dataclass(frozen=True, eq=False)
class UnionSeries:
    """Each of the n tokens of either list, with its distance in both geometries."""

    tokens: tuple[Token, ...]  # by rank in the first list, then by rank in the second
    texts: tuple[str, ...]  # what they are called
    signs: tuple[str, ...]  # of their marks, but the tied one, which is a place's
    shared: np.ndarray  # (n,) bool: whether both lists hold the token
    ranks: dict[Geometry, np.ndarray]  # (n,) int64 each, from 1; 0 where that list does not hold the token
    distances: dict[Geometry, np.ndarray]  # (n,) float64 each, logometers or chord; NaN where one has no direction
    similarities: dict[Geometry, np.ndarray]  # (n,) float64: the cosine of the angle, for angular ones of the two


@dataclass(frozen=True, eq=False)
class NeighborhoodSeries:
    """What the charts of one token show."""

    text: str  # what the token is called
    ranks: tuple[RankSeries, RankSeries]  # in the order of the question's geometries
    overlap: OverlapSeries
    densities: Densities  # of the whole vocabulary, by the rule `distinct`, which orders every token
    density: float  # the token's own among them
    denser_than: str | None  # the percent of `densities` below it; None for a row without a point
    union: UnionSeries
    beside: SeriesBeside | None = None  # another bundle's


def titled(bundle: Bundle) -> str:
    """Return what a picture calls a bundle: of a control it says so."""
    control = bundle.manifest.control
    model = model_of(bundle)
    return model if control is None else f"{model}, a control ({control.short})"


def model_of(bundle: Bundle) -> str:
    """Return the name of the model that a bundle is of, and behind it the bundle's where that is another.

    The last part of where the matrix was read: `Qwen/Qwen3-4B` and `bundled:Qwen3-4B.gguf` as well as a folder.
    """
    parts = PureWindowsPath(bundle.manifest.source.location.removeprefix("bundled:")).parts  # takes both slashes
    own = [part for part in parts if not _GENERIC.fullmatch(part)]
    if not own or _MATRIX.fullmatch(own[-1]):
        return bundle.name
    cached = [part.split("--")[-1] for part in own if part.startswith("models--")]
    model = cached[-1] if cached else own[-1].removesuffix(".gguf").removesuffix(".safetensors").removesuffix(".npy")
    plain = re.sub(r"[^a-z0-9._]+", "-", model.lower()).strip("-.")
    return model if plain == bundle.name else f"{model} ({bundle.name})"


def called(token: Token) -> str:
    """Return a token's printable form, or `#id` where it has no text: pictures hold many such, and name no other id."""
    return f"#{token.id}" if token.text is None else display(token.text, token.piece)


def neighborhood_series(
    bundle: Bundle, found: Neighborhood, densities: Densities | None = None, beside: SeriesBeside | None = None
) -> NeighborhoodSeries:
    """Return what the charts of an answer of `neighbors` or `densest` show.

    The densities are of the question's first geometry and density k, by the rule `distinct`; without them they are read
    from the bundle. `beside` is what stands there of another bundle.
    """
    first, second = (bundle.spaces[geometry] for geometry in found.lists)
    if densities is None:
        densities = all_densities(bundle, first.geometry, Rule.DISTINCT, found.density_k)
    has_point = found.token.row not in first.excluded
    return NeighborhoodSeries(
        called(found.token),
        (_rank_series(first, found), _rank_series(second, found)),
        _overlap_series(bundle, found),
        densities,
        found.distinct_density,
        densities.denser_than(found.distinct_density) if has_point else None,
        _union_series(bundle, found),
        beside,
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
    first, second = lists
    compared = [_overlap_at(first, second, k) for k in lengths.tolist()]
    counts, lowest, highest = (
        np.array([getattr(each, name) for each in compared], np.float64) / lengths
        for name in ("count", "lowest", "highest")
    )
    return OverlapSeries(lengths, counts, lowest, highest, _chance(bundle, found, lengths))


def _chance(bundle: Bundle, found: Neighborhood, lengths: np.ndarray) -> np.ndarray:
    """Return the shares that lists drawn blindly would have in common: of all that can be listed in each geometry."""
    rows = np.arange(len(bundle)) if found.among is None else found.among.rows
    left_out = [(found.token.row, *bundle.spaces[geometry].excluded) for geometry in found.lists]
    counts = [int((~np.isin(rows, each)).sum()) for each in (*left_out, left_out[0] + left_out[1])]
    return np.asarray(overlap.chance(lengths, *counts))


def _overlap_at(a: tuple[np.ndarray, np.ndarray, float], b: tuple[np.ndarray, np.ndarray, float], k: int) -> Overlap:
    """Compare the k nearest of two lists, (ids, distances, resolution) each."""
    certain_a, certain_b = (overlap.nearest(ids, distances, k, resolution) for ids, distances, resolution in (a, b))
    return overlap.overlap(a[0][:k], b[0][:k], certain_a, certain_b)


def _union_series(bundle: Bundle, found: Neighborhood) -> UnionSeries:
    places = {
        geometry: {neighbor.token.row: neighbor.rank for neighbor in listed} for geometry, listed in found.lists.items()
    }
    tokens = {neighbor.token.row: neighbor.token for listed in found.lists.values() for neighbor in listed}
    marked = {neighbor.token.row: neighbor.marks for listed in found.lists.values() for neighbor in listed}
    marks = [tuple(mark for mark in each if mark is not Mark.TIED) for each in marked.values()]
    rows = np.array(list(tokens), np.int32)
    ranks = {geometry: np.array([place.get(row, 0) for row in tokens], np.int64) for geometry, place in places.items()}
    distances = {geometry: _distances(bundle.spaces[geometry], found.token.row, rows) for geometry in places}
    return UnionSeries(
        tuple(tokens.values()),
        tuple(map(called, tokens.values())),
        tuple(map(signs, marks)),
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
