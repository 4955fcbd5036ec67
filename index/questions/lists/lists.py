"""Neighbor lists of stored tokens: ids and distances off the graph, records of them, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from index.answers.page import TEXT, Block, Heading, Sentence, Table, Words, as_length, table
from index.bundle.bundle import Bundle, Space
from index.geometry.maps import Geometry, similarity_of
from index.measures.lists import NeighborLists
from index.progress import Share
from index.questions.asking.among import Subset
from index.questions.lists.marks import HUBNESS, Mark, legend, marks_of, signs
from index.tokens.display import display
from index.tokens.vocabulary import Token


@dataclass(frozen=True)
class Neighbor:
    """One place in a neighbor list."""

    rank: int  # from 1
    token: Token
    distance: float  # in logometers, or the chord between directions
    similarity: float | None  # the cosine of the angle, in the angular geometries
    hubness: float  # in how many causal lists of the build's `density_k` the token is
    marks: tuple[Mark, ...]

    @property
    def tied(self) -> bool:
        """Whether the one before or after is no further apart than the resolution: the order is arbitrary there."""
        return Mark.TIED in self.marks

    def json(self) -> dict[str, Any]:
        """Return the place with its token's fields among its own."""
        similarity = {} if self.similarity is None else {"similarity": self.similarity}
        return {
            "rank": self.rank,
            **self.token.json(),
            **similarity,
            "distance": self.distance,
            "tied": self.tied,
            "hubness": self.hubness,
            "marks": [mark.value for mark in self.marks],
        }

    def record(self) -> dict[str, Any]:
        """Return the place as a flat record of `PLACE_COLUMNS` and its piece."""
        return {
            "rank": self.rank,
            **self.token.json(),
            "similarity": self.similarity,
            "distance": self.distance,
            "tied": self.tied,
            "hubness": self.hubness,
            "marks": " ".join(self.marks),
        }


Lists = dict[Geometry, tuple[Neighbor, ...]]
"""Neighbor lists, nearest first, by geometry."""

TOKEN_COLUMNS = {"row": int, "id": int, "text": str}
PIECE = {"piece": str}
"""The last column wherever a row names a token: among those without a text of their own it tells which it is."""
PLACE_COLUMNS = {
    "rank": int,
    **TOKEN_COLUMNS,
    "similarity": float,
    "distance": float,
    "tied": bool,
    "hubness": float,
    "marks": str,
}
"""Of one place, in CSV and Parquet files and DataFrames, without its piece."""

NAMED_TWINS = 5
NEAREST_BY = {
    Geometry.CAUSAL: "in the causal metric",
    Geometry.COSINE: "by cosine similarity",
    Geometry.CAUSAL_COSINE: "by causal cosine",
}


def ranked(space: Space, row: int, top: int, among: Subset | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the neighbors of a stored token: at least `top` of them, and every one that ties with the last of these.

    Ids (n,) int32, nearest first, and distances (n,) float32; n is less than `top` only where there are fewer points.
    """
    if row in space.excluded:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    ids = space.ids[row]
    kept = ids >= 0
    if among is not None:
        kept &= among.holds(ids)
    ids, distances = ids[kept], space.distances[row][kept]
    left_out = np.array([row, *space.excluded])
    others = len(space.ids) - len(left_out) if among is None else len(among) - int(among.holds(left_out).sum())
    # A stored list is enough when it ends beyond the ties at the last place asked for.
    if len(ids) == others or (len(ids) > top and distances[-1] > distances[top - 1] + space.resolution):
        return ids, distances
    ids, distances = _twins_expanded(space, row, top, among)
    if len(ids) > top and distances[-1] > distances[top - 1] + space.resolution:
        return ids, distances
    rows = None if among is None else among.rows
    found = space.finder.search_with_ties(space.points[row], top, space.resolution, exclude=left_out, rows=rows)
    return _in_the_graphs_order(space, row, *found)


def lists_among(space: Space, among: Subset | None, k: int, progress: Share = lambda share: None) -> NeighborLists:
    """Return the lists of all tokens, or of some and kept to these: token i there is `among.rows[i]`.

    They hold at least k tokens where there are as many. Exact: what the stored lists lack is searched for, which takes
    long where k is near the neighbors kept.
    """
    if among is None:
        return space.lists
    from index.search.subset import lists_within

    return lists_within(space.lists, space.points, among.rows, k, progress)


def _twins_expanded(space: Space, row: int, top: int, among: Subset | None) -> tuple[np.ndarray, np.ndarray]:
    """Return a longer list than the stored one, of ids and distances, where twins crowd that: off the distinct points.

    It ends with the first point beyond the ties at the last place asked for, or with the last point that is stored;
    of some tokens alone, with that.
    """
    firsts = space.distinct_ids[row]
    stored = firsts >= 0
    firsts, apart = firsts[stored], space.distinct_distances[row][stored]
    own, sizes = space.groups.others(row), space.groups.sizes(firsts)
    n = len(firsts)
    if among is None:
        filled = len(own) + np.concatenate([[0], np.cumsum(sizes)])  # places taken before each point
        reached = int(np.searchsorted(filled, top))  # so many points fill the places asked for
        border = (apart[reached - 1] if 0 < reached <= len(firsts) else np.float32(0)) + space.resolution
        n = int(np.searchsorted(apart, border, side="right")) + 1
    ids = np.concatenate([own, *(space.groups.members(first) for first in firsts[:n].tolist())])
    distances = np.repeat(np.concatenate([[np.float32(0)], apart[:n]]), [len(own), *sizes[:n]])
    if among is not None:
        kept = among.holds(ids)
        ids, distances = ids[kept], distances[kept]
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
    from index.search.kernels import measure_pairs

    squared, own = np.empty(len(ids)), np.full(len(ids), len(ids))
    measure_pairs(np.ascontiguousarray(space.points[[*ids, row]]), np.arange(len(ids)), own, squared)
    return ids[np.lexsort((ids, squared, distances))], distances


def neighbor_list(
    bundle: Bundle,
    space: Space,
    ids: np.ndarray,
    distances: np.ndarray,
    top: int,
    twins: np.ndarray | tuple[()] = (),
    *,
    resolution: float = 0.0,
) -> tuple[Neighbor, ...]:
    """Return the first `top` of a ranked list, (n,) rows and distances, as records with their marks.

    `twins` are the rows with the same vector as what the list is around. What is closer than the space's resolution is
    tied, or than a larger one that is given, as around a vector that is longer than every point.
    """
    close = np.diff(distances, prepend=-np.inf, append=np.inf) <= max(space.resolution, resolution)
    tied = close[:-1] | close[1:]
    angular = space.geometry.angular
    same = np.isin(ids[:top], twins)
    shown = zip(ids[:top].tolist(), distances[:top].tolist(), tied[:top].tolist(), same.tolist(), strict=True)
    return tuple(
        Neighbor(
            rank,
            bundle.vocabulary.token(row),
            distance,
            similarity_of(distance) if angular else None,
            float(bundle.hubness[row]),
            marks_of(bundle, row, tied=is_tied, twin=is_twin),
        )
        for rank, (row, distance, is_tied, is_twin) in enumerate(shown, 1)
    )


def lists_json(lists: Lists) -> dict[str, Any]:
    """Return neighbor lists under the names of their geometries."""
    return {geometry.value: [neighbor.json() for neighbor in found] for geometry, found in lists.items()}


def among_json(among: Subset | None) -> dict[str, Any]:
    """Return what lists keep to, with its size; nothing where they hold the whole vocabulary."""
    if among is None:
        return {}
    unresolved = {"unresolved": list(among.unresolved)} if among.unresolved else {}
    return {"among": {"subset": among.name, "size": len(among), **unresolved}}


def among_facts(among: Subset | None) -> list[tuple[str, Words]]:
    """Return what lists keep to as a fact; none where they hold the whole vocabulary."""
    return [] if among is None else [("among", f"{display(among.name)}: {len(among):,} tokens")]


def twins_said(twins: Sequence[Token]) -> Words:
    """Return how many twins there are, and the first of them."""
    if not twins:
        return "none"
    named: list[str | Token] = [f"{len(twins)}: "]
    for number, twin in enumerate(twins[:NAMED_TWINS]):
        named += [", " if number else "", twin, f" #{twin.id}"]
    return (*named, ", …" if len(twins) > NAMED_TWINS else "")


@dataclass(frozen=True)
class OtherList:
    """The list that one is compared with."""

    label: str  # of its geometry
    ranks: Mapping[int, int]  # of the tokens that both hold, by their rows

    def rank(self, token: Token) -> str:
        """Return where that list holds a token, `-` where it does not."""
        return str(self.ranks.get(token.row, "-"))


def neighbors_table(geometry: Geometry, neighbors: Iterable[Neighbor], other: OtherList | None = None) -> Table:
    """Return a neighbor list: ranks, here and in another list; logometers, or similarity and chord; marks."""
    figures = ("similarity", "chord") if geometry.angular else ("logometers",)

    def line(neighbor: Neighbor) -> tuple[Words, ...]:
        token = neighbor.token
        ranks = (str(neighbor.rank), *([] if other is None else [other.rank(token)]))
        similarity = () if neighbor.similarity is None else (f"{neighbor.similarity:.6f}",)
        measured = (*similarity, as_length(neighbor.distance), f"{neighbor.hubness:,.0f}")
        return (*ranks, str(token.row), str(token.id), *measured, signs(neighbor.marks), token)

    ranks = ("rank", *([] if other is None else [f"by {other.label}"]))
    return table((*ranks, "row", "id", *figures, "hubness", "", TEXT), map(line, neighbors))


def legends(neighbors: Iterable[Neighbor]) -> list[Block]:
    """Return what the last columns of a list mean."""
    said = [HUBNESS, *legend(mark for neighbor in neighbors for mark in neighbor.marks)]
    return [Sentence(each, aside=True) for each in said]


def list_blocks(
    lists: Lists,
    why_none: Callable[[Geometry], str],
    nearest: str = "nearest",
    others: Mapping[Geometry, OtherList] = MappingProxyType({}),
) -> list[Block]:
    """Return lists under their headings, and what their marks mean; of an empty one, why it is.

    `nearest` is what a heading calls the tokens of lists that may lack some; `others` are what lists are compared with.
    """
    blocks: list[Block] = []
    for geometry, neighbors in lists.items():
        if neighbors:
            blocks.append(Heading(f"{len(neighbors)} {nearest} {NEAREST_BY[geometry]}"))
            blocks.append(neighbors_table(geometry, neighbors, others.get(geometry)))
        else:
            blocks.append(Heading(f"None {NEAREST_BY[geometry]}: {why_none(geometry)}"))
    listed = [neighbor for neighbors in lists.values() for neighbor in neighbors]
    return [*blocks, *legends(listed)] if listed else blocks


def why_no_other(geometry: Geometry, asked: Collection[int], among: Subset | None) -> str:
    """Return why nothing is listed around the rows asked for, which have a direction."""
    others = "no other token" if among is None else "no other token of the subset"
    alone = among is not None and set(asked).issuperset(among.rows.tolist())
    return f"{others} has a direction" if geometry.angular and not alone else others
