"""How two bundles are compared: tokens matched, lists restricted to what both have, and set side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.measures.correlation import spearman
from index.measures.density import Rule
from index.measures.lists import NeighborLists
from index.measures.overlap import chance
from index.measures.overlaps import OVERLAP_TOPS, OverlapAt, Overlaps, overlap_at, overlaps
from index.measures.partitions import group_changes
from index.measures.row_changes import RowChanges, row_changes
from index.progress import Progress, Share
from index.questions.asking.among import Subset
from index.questions.compare.compared_tokens import ComparisonByToken, Shares
from index.questions.compare.comparison import DECILES, PERCENTILES, Comparison, Lists, Moved, Part, RowFigures, Side
from index.questions.lists.lists import lists_among
from index.questions.lists.trained import FEW
from index.questions.metric import eigenvalues_of_m, spectrum
from index.tokens.matching import Matched, match

LISTED = 10
ANOTHER_BASIS = 60.0
"""Degrees of the median angle, above which rows are no former ones that moved: of two bases it is 90."""


def compare_bundles(
    a: Bundle,
    b: Bundle,
    tops: Sequence[int] | None,
    listed: int,
    progress: Progress,
    *,
    by_token: bool = False,
) -> Comparison:
    """Compare two bundles over the tokens that both have; ParameterError where these are fewer than two.

    `by_token` says that the rows of the answer are of tokens.
    """
    progress("tokens", 0.0)
    matched = match(a.vocabulary, b.vocabulary)
    if len(matched.a) < 2:
        raise ParameterError(
            f"{a.name} and {b.name} share {len(matched.a)} tokens by text and kind; wanted two or more to compare"
        )
    moves = row_changes(a.gamma, matched.a, b.gamma, matched.b) if a.manifest.D == b.manifest.D else None
    progress("tokens", 1.0)
    lists, shares = _compare_lists(a, b, matched, _lengths(a, b, matched, tops), partial(progress, "lists"))
    trained = ~(a.untrained[matched.a] | b.untrained[matched.b])
    kept = Matched(matched.a[trained], matched.b[trained], 0, 0, 0)
    of_trained = _trained_lists(a, b, matched, kept, tops, partial(progress, "trained tokens"))
    by, order = _order(moves, shares, len(matched.a))
    tokens = _Tokens(a, b, matched, moves, shares)
    found = Comparison(
        _side(a, matched),
        _side(b, matched),
        len(matched.a),
        matched.by_piece,
        matched.by_text,
        matched.by_id,
        None if moves is None else int(moves.identical.sum()),
        None if moves is None else _row_figures(moves),
        group_changes(a.twins.first[matched.a], b.twins.first[matched.b]),
        lists,
        of_trained,
        int((~trained).sum()),
        _by_density(a, matched, shares),
        _by_kind(a, matched, shares),
        by,
        tokens.of(order[::-1][:listed]),
        tokens.of(order[:listed]),
        _correlations(a, b, matched),
        {
            "covariance": (spectrum(a.metric.eigenvalues), spectrum(b.metric.eigenvalues)),
            "M": (spectrum(eigenvalues_of_m(a.metric)), spectrum(eigenvalues_of_m(b.metric))),
        },
    )
    if not by_token:
        return found
    return ComparisonByToken(
        **vars(found), vocabulary=a.vocabulary, other=b.vocabulary, matched_rows=matched, moves=moves, shares=shares
    )


def _side(bundle: Bundle, matched: Matched) -> Side:
    facts = bundle.manifest
    control = None if facts.control is None else facts.control.short
    return Side(bundle.name, facts.V, facts.D, str(bundle.gamma.dtype), facts.V - len(matched.a), control)


def _lengths(a: Bundle, b: Bundle, matched: Matched, tops: Sequence[int] | None) -> list[int]:
    """Return the lengths of the lists compared, ascending: those asked for, as far as both bundles' lists may go."""
    most = min(a.manifest.K, b.manifest.K)
    longest = max(1, min(most, len(matched.a) - 1))
    beyond = [top for top in tops or () if top > most]
    if beyond:
        raise ParameterError(f"lists of {beyond[0]} are asked for, and one of the bundles keeps {most} neighbors")
    return sorted({min(top, longest) for top in tops or OVERLAP_TOPS})


def _compare_lists(
    a: Bundle, b: Bundle, matched: Matched, lengths: Sequence[int], progress: Share
) -> tuple[Lists, Shares]:
    tokens: dict[Geometry, int] = {}
    found: dict[Geometry, dict[int, OverlapAt]] = {}
    shares: Shares = {}
    for done, geometry in enumerate(Geometry):
        progress(done / len(Geometry))
        sides = (a.spaces[geometry], matched.a), (b.spaces[geometry], matched.b)
        left_out = [np.isin(rows, space.excluded) for space, rows in sides]
        others = [max(0, len(matched.a) - int(out.sum()) - 1) for out in (*left_out, left_out[0] | left_out[1])]
        reached = [top for top in lengths if top <= min(others[:2])]
        each: dict[int, Overlaps] = {}
        if reached:
            first, second = (_restricted(space, rows, reached[-1]) for space, rows in sides)
            each = {top: overlaps(first, second, top) for top in reached}
        shares[geometry] = {top: at.counts / top for top, at in each.items()}
        rows = np.flatnonzero(~np.isnan(each[reached[-1]].counts)) if reached else np.empty(0, np.int64)
        tokens[geometry] = len(rows)
        of_rows = {top: at.of(rows) for top, at in each.items()} if len(rows) else {}
        found[geometry] = {top: overlap_at(at, float(chance(top, *others))) for top, at in of_rows.items()}
    progress(1.0)
    return Lists(tokens, found), shares


def _restricted(space: Space, rows: np.ndarray, k: int) -> NeighborLists:
    """Return the lists of some rows, (n,) in any order, kept to these: token i there is `rows[i]` here.

    Of equal distances those come first that come first among the rows, so that no order of rows makes a difference.
    """
    order = np.argsort(rows)
    some = None if len(rows) == len(space.ids) else Subset("shared", rows[order].astype(np.int32))
    found = lists_among(space, some, k)
    ids, distances = found.ids[:], found.distances[:]
    distinct_ids, distinct_distances = found.distinct_ids[:], found.distinct_distances[:]
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows))
    named = np.append(order, -1).astype(np.int32)  # what is -1 stays that
    ids, distances = _by_row(named[ids[place]], distances[place])
    distinct = named[distinct_ids[place]], distinct_distances[place]
    groups = order[found.groups[place]].astype(np.int32)
    return NeighborLists(ids, distances, *distinct, groups, found.resolution, found.placed)


def _by_row(ids: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put equal distances in lists, (n, K), in the order of their rows."""
    with np.errstate(invalid="ignore"):
        tied = np.flatnonzero((np.diff(distances, axis=1) == 0).any(axis=1))
    if len(tied):
        order = np.lexsort((ids[tied], distances[tied]), axis=-1)
        ids = ids.copy()
        ids[tied] = np.take_along_axis(ids[tied], order, axis=1)
    return ids, distances


def _trained_lists(
    a: Bundle,
    b: Bundle,
    matched: Matched,
    kept: Matched,
    tops: Sequence[int] | None,
    progress: Share,
) -> Lists:
    """Compare trained tokens alone; unless asked for, not at lengths that need a long search."""
    if len(kept.a) < 2:
        return Lists({}, {})
    lengths = _lengths(a, b, kept, tops)
    skipped: list[int] = []
    if tops is None and len(kept.a) < len(matched.a) and len(kept.a) > FEW:
        skipped = [top for top in lengths if 2 * top > min(a.manifest.K, b.manifest.K)]
    reached = [top for top in lengths if top not in skipped]
    found = _compare_lists(a, b, kept, reached, progress)[0] if reached else Lists({}, {})
    return Lists(found.tokens, found.tops, tuple(skipped))


def _order(moves: RowChanges | None, shares: Shares, n: int) -> tuple[str, np.ndarray]:
    """Return what tokens are ordered by, and their order, (n,), from the least moved to the most."""
    if moves is not None:
        angles = moves.angles[~np.isnan(moves.angles)]
        if len(angles) == 0 or np.median(angles) <= ANOTHER_BASIS:
            return "rows", np.argsort(moves.changes, kind="stable")
    longest = [tops[max(tops)] for tops in shares.values() if tops]
    if not longest:
        return "lists", np.arange(n)
    known = ~np.isnan(longest)
    means = np.where(known, longest, 0).sum(axis=0) / np.maximum(1, known.sum(axis=0))
    order = np.argsort(-means, kind="stable")
    return "lists", order[known.sum(axis=0)[order] > 0]


def _row_figures(moves: RowChanges) -> RowFigures:
    def percentiles(values: np.ndarray) -> dict[int, float]:
        values = values[~np.isnan(values)]
        found = np.percentile(values, PERCENTILES) if len(values) else np.full(len(PERCENTILES), np.nan)
        return dict(zip(PERCENTILES, found.tolist(), strict=True))

    return RowFigures(
        int((~moves.identical).sum()),
        percentiles(moves.angles),
        percentiles(moves.changes),
        None if moves.steps is None else percentiles(moves.steps.astype(np.float64)),
        None if moves.coordinates is None else percentiles(moves.coordinates.astype(np.float64)),
    )


@dataclass(frozen=True, eq=False)
class _Tokens:
    """What becomes of shared tokens, by their places among them."""

    a: Bundle
    b: Bundle
    matched: Matched
    moves: RowChanges | None
    shares: Shares

    def of(self, places: np.ndarray) -> tuple[Moved, ...]:
        """Return the tokens at some places."""
        return tuple(
            Moved(
                self.a.vocabulary.token(self.matched.a[at]),
                int(self.b.vocabulary.token_ids[self.matched.b[at]]),
                None if self.moves is None else float(self.moves.changes[at]),
                None if self.moves is None else float(self.moves.angles[at]),
                {of: {top: float(share[at]) for top, share in tops.items()} for of, tops in self.shares.items()},
            )
            for at in places.tolist()
        )


def _part(name: str, places: np.ndarray, shares: Shares) -> Part:
    def mean(values: np.ndarray) -> float:
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else float("nan")

    means = {of: {top: mean(share[places]) for top, share in tops.items()} for of, tops in shares.items()}
    return Part(name, len(places), means)


def _by_density(a: Bundle, matched: Matched, shares: Shares) -> tuple[Part, ...]:
    order = np.argsort(a.densities(Rule.DISTINCT)[matched.a], kind="stable")
    parts = np.array_split(order, min(DECILES, len(order)))
    return tuple(_part(str(number), places, shares) for number, places in enumerate(parts, 1))


def _by_kind(a: Bundle, matched: Matched, shares: Shares) -> tuple[Part, ...]:
    kinds = np.array(a.vocabulary.kinds.to_pylist(), dtype=object)[matched.a]
    names, counts = np.unique(kinds.astype(str), return_counts=True)
    return tuple(
        _part(str(names[at]), np.flatnonzero(kinds == names[at]), shares) for at in np.argsort(-counts, kind="stable")
    )


def _correlations(a: Bundle, b: Bundle, matched: Matched) -> Mapping[str, float]:
    """Return Spearman's rho of what each bundle says of its own tokens, each in its whole vocabulary."""
    names = ("causal_norm", "euclidean_norm")
    columns = [bundle.columns(*names) for bundle in (a, b)]
    values: dict[str, list[Any]] = {
        "density": [bundle.densities(Rule.DISTINCT) for bundle in (a, b)],
        "hubness": [bundle.hubness for bundle in (a, b)],
        **{name: [np.array(table[name].to_pylist()) for table in columns] for name in names},
    }
    return {name: spearman(first[matched.a], second[matched.b]) for name, (first, second) in values.items()}
