"""Orders of the tokens that other questions make: around a token, by a column, along a concept or an axis of M."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.answers.page import Words
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.geometry.blocks import row_blocks
from index.geometry.maps import Geometry, distances_to
from index.geometry.metric import axes_of
from index.questions.asking.reading import TokenName
from index.questions.concept import directions
from index.questions.concept.directions import SUFFIX, kept_pairs
from index.sources.judgments import read_word_pairs
from index.tokens.vocabulary import Token
from index.tokens.words import Case, WordFinder, WordForm, WordRows

NOT_MEASURES = ("row", "twin_group")
"""Columns of numbers that order nothing."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """An order of tokens, the highest value first."""

    by: str  # "token", "column", "concept" or "axis"
    of: str | Token  # the token, or what the order is called
    words: Words  # what stands high
    values: np.ndarray  # (V,) float64; NaN of what is not ranked
    geometry: Geometry | None = None  # of a token's list

    def json(self) -> dict[str, Any]:
        """Return what the order is of."""
        geometry = {} if self.geometry is None else {"geometry": self.geometry.value}
        return {"by": self.by, "of": self.of.json() if isinstance(self.of, Token) else self.of, **geometry}


def around(bundle: Bundle, name: TokenName, geometry: Geometry) -> Ranking:
    """Order all other vectors by their distance from a token, the nearest first."""
    row, space = bundle.vocabulary.resolve(name), bundle.spaces[geometry]
    token = bundle.vocabulary.token(row)
    if row in space.excluded:
        raise ParameterError(f"{parameter('token')} #{token.id} has no direction: {geometry.label} knows no nearest")
    values = -distances_to(space.points, space.points[row].astype(np.float64)[np.newaxis])[0]
    values[[*space.excluded, row, *bundle.twins.others(row)]] = np.nan
    return Ranking("token", token, ("the nearest of ", token, f" by {geometry.words}"), values, geometry)


def by_column(bundle: Bundle, column: str) -> Ranking:
    """Order tokens by a column of numbers, the highest first."""
    import pyarrow as pa

    table = bundle.tokens
    known = [
        field.name
        for field in table.schema
        if (pa.types.is_floating(field.type) or pa.types.is_integer(field.type)) and field.name not in NOT_MEASURES
    ]
    if column not in known:
        raise ParameterError(f"{parameter('column')} must be one of {', '.join(known)}; got: {column!r:.60}")
    values = [np.nan if value is None else float(value) for value in table[column].to_pylist()]
    return Ranking("column", column, f"the highest {column}", np.array(values))


def along_concept(bundle: Bundle, path: Path) -> Ranking:
    """Order tokens by how far they lie along a concept: of one file of word pairs, or as `concept` saved it.

    Its pairs' own words, which made the direction, are not ranked.
    """
    if path.suffix == SUFFIX:
        name, vector, own = directions.saved(bundle, path, "concept")
    else:
        concepts = read_word_pairs(path, "concept")
        if len(concepts) != 1:
            raise ParameterError(f"{parameter('concept')} {path} holds {len(concepts)} concepts; keep to one")
        without_point = {row for space in bundle.spaces.values() for row in space.excluded}
        finder = WordFinder(bundle.vocabulary, WordForm.SPACE, Case.EXACT, WordRows.SINGLE, without_point)
        kept = kept_pairs(bundle, finder, concepts[0])
        name, vector, own = kept.name, directions.unembedding(bundle, kept), kept.words
    if not vector.any():
        raise ParameterError(
            f"{parameter('concept')} {path} gives no direction: none of its pairs is two tokens behind a space, or "
            "they cancel; for words of another form save the direction by `concept`, and name that file"
        )
    values = directions.along(bundle, vector[np.newaxis], centered=True)[0]
    values[np.isin(bundle.twins.first, bundle.twins.first[own])] = np.nan
    return Ranking("concept", name, f"what lies furthest along {name}, toward its second words", values)


def along_axis(bundle: Bundle, rank: int) -> Ranking:
    """Order tokens along an eigenvector of Cov(gamma) and M: the first has the most variance, the D-th the least."""
    axis, values = axes_of(bundle.metric, bundle.manifest.source.rows, rank), np.empty(len(bundle))
    for where, rows in row_blocks(bundle.gamma):
        values[where] = (rows - bundle.metric.mean) @ axis.vector
    words = f"the positive end of axis {rank:,} of {bundle.manifest.D:,}, as in `axes`: its sign is arbitrary"
    first, last = axis.alike
    if first < last:
        words += f"; axes {first:,} to {last:,} have nearly one variance, and a single one means nothing"
    return Ranking("axis", str(rank), words, values[bundle.twins.first])
