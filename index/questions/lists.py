"""Neighbor lists of stored tokens: ids and distances off the graph, and records of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError
from index.geometry.maps import similarity_of
from index.questions.among import Subset
from index.search.finder import search_with_ties
from index.tokens.vocabulary import Token

LIST_LENGTH = 30
"""Of a neighbor list, where none is asked for."""


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
    ids = space.ids[row]
    kept = ids >= 0
    if rows is not None:
        kept &= np.isin(ids, rows)
    ids, distances = ids[kept], space.distances[row][kept]
    left_out = (row, *space.excluded)
    others = len(space.ids) - len(left_out) if rows is None else int((~np.isin(rows, left_out)).sum())
    # A stored list is enough when it ends beyond the ties at the last place asked for.
    if len(ids) == others or (len(ids) > top and distances[-1] > distances[top - 1] + space.resolution):
        return ids, distances
    if rows is None:
        ids, distances = _twins_expanded(space, row, top)
        if len(ids) > top and distances[-1] > distances[top - 1] + space.resolution:
            return ids, distances
    found = search_with_ties(space.points, space.points[row], top, space.resolution, exclude=left_out, rows=rows)
    return _in_the_graphs_order(space, row, *found)


def _twins_expanded(space: Space, row: int, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a longer list than the stored one, of ids and distances, where twins crowd that: off the distinct points.

    It ends with the first point beyond the ties at the last place asked for, or with the last point that is stored.
    """
    firsts = space.distinct_ids[row]
    stored = firsts >= 0
    firsts, apart = firsts[stored], space.distinct_distances[row][stored]
    own, sizes = space.groups.others(row), space.groups.sizes(firsts)
    filled = len(own) + np.concatenate([[0], np.cumsum(sizes)])  # places taken before each point
    reached = int(np.searchsorted(filled, top))  # so many points fill the places asked for
    border = (apart[reached - 1] if 0 < reached <= len(firsts) else np.float32(0)) + space.resolution
    n = int(np.searchsorted(apart, border, side="right")) + 1
    ids = np.concatenate([own, *(space.groups.members(first) for first in firsts[:n].tolist())])
    distances = np.repeat(np.concatenate([[np.float32(0)], apart[:n]]), [len(own), *sizes[:n]])
    order = np.lexsort((ids, distances))
    found = ids[order], distances[order]
    return _in_the_graphs_order(space, row, *found) if (np.diff(apart[:n]) == 0).any() else found


def _in_the_graphs_order(
    space: Space, row: int, ids: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Order the ids, (n,), of different points whose distances round to the same float32.

    The engine's own sums decide, then the row: other sums of the same numbers may round otherwise.
    """
    firsts = space.groups.first[ids]
    if not ((np.diff(distances) == 0) & (np.diff(firsts) != 0)).any():
        return ids, distances
    from index.search.kernels import measure_rows

    squared = np.empty(len(ids))
    measure_rows(space.points[ids], space.points[row], np.arange(len(ids)), 0, len(ids), squared)
    return ids[np.lexsort((ids, squared, distances))], distances


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
            float(similarity_of(distance)) if space.geometry.angular else None,
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


def checked_top(bundle: Bundle, top: int | None, *, usual: int = LIST_LENGTH) -> int:
    """Return how long a list is to be: as asked for, or as usual where the tokens suffice; else a ParameterError."""
    longest = len(bundle) - 1
    if top is None:
        return min(usual, longest)
    if not 1 <= top <= longest:
        raise ParameterError(f"--top must be from 1 to {longest}, one less than the tokens here, got: {top}")
    return top
