"""`compare --by-token`: what became of each token that two bundles share, a row each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from index.answers.answer import Row
from index.geometry.maps import Geometry
from index.measures.row_changes import RowChanges
from index.questions.compare.comparison import Comparison
from index.tokens.matching import Matched
from index.tokens.vocabulary import Vocabulary

Shares = dict[Geometry, dict[int, np.ndarray]]
"""Of each shared token, (n,): the share of its nearest that are the same; NaN where it has no list as long."""


@dataclass(frozen=True, eq=False)
class ComparisonByToken(Comparison):
    """The same comparison; its rows are of the shared tokens, in the order of the first bundle's."""

    vocabulary: Vocabulary  # of the first
    other: Vocabulary
    matched_rows: Matched
    moves: RowChanges | None  # None where widths differ
    shares: Shares

    columns: ClassVar = {"id": int, "text": str, "kind": str, "other_id": int} | {
        "identical": bool,
        "degrees": float,
        "change": float,
    }

    @property
    def more_columns(self) -> Mapping[str, type]:
        """One for each geometry and length of lists."""
        return {f"{of.value}_{top}": float for of, tops in self.shares.items() for top in tops}

    def rows(self) -> list[Row]:
        """Return one record a token; None for an angle or a share that is not defined."""
        first = self.matched_rows.a
        nothing, moves = [None] * len(first), self.moves
        columns = {
            "id": np.asarray(self.vocabulary.token_ids)[first].tolist(),
            "text": self.vocabulary.texts.take(first).to_pylist(),
            "kind": self.vocabulary.kinds.take(first).to_pylist(),
            "other_id": np.asarray(self.other.token_ids)[self.matched_rows.b].tolist(),
            "identical": nothing if moves is None else moves.identical.tolist(),
            "degrees": nothing if moves is None else _known(moves.angles),
            "change": nothing if moves is None else _known(moves.changes),
            **{f"{of.value}_{top}": _known(share) for of, tops in self.shares.items() for top, share in tops.items()},
        }
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _known(values: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]
