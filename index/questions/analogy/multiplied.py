"""Lists of an analogy by 3CosMul: places by a product of cosines, where other lists have distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from index.answers.page import TEXT, Block, Heading, Sentence, Words, table
from index.bundle.bundle import Bundle, Space
from index.geometry.maps import Geometry
from index.measures.products import EPSILON, products
from index.questions.lists.marks import HUBNESS, Mark, legend, marks_of, signs
from index.questions.lists.place import Place
from index.tokens.vocabulary import Token


@dataclass(frozen=True)
class Product:
    """One place in a list by 3CosMul."""

    rank: int  # from 1
    token: Token
    score: float  # 0 or more; no cosine: above 1 where what is subtracted is far
    hubness: float
    marks: tuple[Mark, ...]

    def json(self) -> dict[str, Any]:
        """Return the place with its token's fields among its own."""
        return {**self._fields(), "marks": [mark.value for mark in self.marks]}

    def record(self) -> dict[str, Any]:
        """Return the place as a flat record, without a distance."""
        return {**self._fields(), "similarity": None, "distance": None, "marks": " ".join(self.marks)}

    def _fields(self) -> dict[str, Any]:
        tied = Mark.TIED in self.marks
        return {"rank": self.rank, **self.token.json(), "score": self.score, "tied": tied, "hubness": self.hubness}


Products = dict[Geometry, tuple[Product, ...]]


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of all tokens in one angular geometry."""

    scores: np.ndarray  # (V,)
    off: np.ndarray  # (V,) how far off each may be, for points are rounded to float32

    def listed(self, bundle: Bundle, rows: np.ndarray, top: int, twins: np.ndarray) -> tuple[Product, ...]:
        """Return the `top` highest of some rows, (n,), equal ones by row; tied is what rounding could turn about."""
        order = rows[np.lexsort((rows, -self.scores[rows]))][: top + 1]
        close = -np.diff(self.scores[order]) <= self.off[order[1:]] + self.off[order[:-1]]
        tied = np.concatenate([[False], close]) | np.concatenate([close, [False]])
        return tuple(
            Product(
                rank,
                bundle.vocabulary.token(row),
                float(self.scores[row]),
                float(bundle.hubness[row]),
                marks_of(bundle, row, tied=is_tied, twin=is_twin),
            )
            for rank, (row, is_tied, is_twin) in enumerate(
                zip(order[:top].tolist(), tied[:top].tolist(), np.isin(order[:top], twins).tolist(), strict=True), 1
            )
        )

    def place(self, row: int, rows: np.ndarray) -> Place:
        """Return the place of a row among others, (n,), and itself."""
        others = rows[rows != row]
        ahead = self.scores[others] - self.scores[row]
        before = (ahead > 0) | ((ahead == 0) & (others < row))
        reach = self.off[others] + self.off[row]
        lowest, highest = int((ahead > reach).sum()) + 1, int((ahead >= -reach).sum()) + 1
        return Place(int(before.sum()) + 1, lowest, highest)


def scores_of(space: Space, signed: list[tuple[int, int]]) -> Scores | None:
    """Return the scores for a signed sum of rows; None where one of them has no direction."""
    rows = [row for _, row in signed]
    if set(rows) & set(space.excluded):
        return None
    terms = space.points[rows].astype(np.float64)
    return Scores(*products(space.points, terms, np.array([sign for sign, _ in signed])))


def product_blocks(lists: Products, undefined: tuple[Geometry, ...]) -> list[Block]:
    """Return lists under their headings, and how a score is made."""
    blocks: list[Block] = []
    for geometry, found in lists.items():
        if not found:
            why = "a term has no direction" if geometry in undefined else "no other token has a place"
            blocks.append(Heading(f"None by {geometry.words}, multiplied: {why}"))
            continue
        lines: list[tuple[Words, ...]] = [
            (
                *map(str, (each.rank, each.token.row, each.token.id)),
                f"{each.score:.6f}",
                f"{each.hubness:,.0f}",
                signs(each.marks),
                each.token,
            )
            for each in found
        ]
        blocks.append(Heading(f"{len(found)} highest by {geometry.words}, multiplied (3CosMul)"))
        blocks.append(table(("rank", "row", "id", "score", "hubness", "", TEXT), lines))
    said = (
        f"score: (1 + cos) / 2 to each term with a plus, multiplied, over those to terms with a minus and {EPSILON:g}; "
        "the causal metric has distances and no such list"
    )
    listed = [each for found in lists.values() for each in found]
    meanings = (HUBNESS, *legend(mark for each in listed for mark in each.marks)) if listed else ()
    return [*blocks, *(Sentence(each, aside=True) for each in (said, *meanings))]
