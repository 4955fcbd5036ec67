"""What `search` finds of one vector: its nearest tokens, or the tokens that it reads out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from index.answers.answer import Row
from index.answers.page import TEXT, Block, Heading, Sentence, Words, as_length, facts, table
from index.geometry.maps import Geometry
from index.questions.asking.among import AmongSome, Subset
from index.questions.lists.lists import (
    PIECE,
    TOKEN_COLUMNS,
    Lists,
    Neighbor,
    among_facts,
    among_json,
    legends,
    list_blocks,
    lists_json,
    neighbors_table,
    why_no_other,
)
from index.questions.lists.marks import HUBNESS, Mark, legend, signs
from index.tokens.vocabulary import Token

LOGITS, DUAL = "logits", "dual"
"""The two lists of what is read out, as JSON and CSV name them."""

COLUMNS = {
    "vector": int,
    "list": str,
    "rank": int,
    **TOKEN_COLUMNS,
    "logit": float,
    "bf16": float,
    "alike": int,
    "similarity": float,
    "distance": float,
    "tied": bool,
    "hubness": float,
    "marks": str,
    **PIECE,
}
"""Of one place in one list of one vector, whichever lists were asked for."""

_TIED = "=  tied: another token's logit is the same number in bfloat16; `alike` says how many such tokens there are"


@dataclass(frozen=True)
class NearVector(AmongSome):
    """The tokens nearest to a vector, in every geometry."""

    vector: int  # its number in what was asked, from 0
    lists: Lists  # one is empty where it is `undefined`, and where no token, or none of the subset, has a place
    undefined: tuple[Geometry, ...] = ()  # where the vector has no direction
    among: Subset | None = None

    columns: ClassVar = COLUMNS

    def why_none(self, geometry: Geometry) -> str:
        """Return why the list in a geometry is empty."""
        if geometry in self.undefined:
            return "this vector is zero there and has no direction"
        return why_no_other(geometry, (), self.among)

    def rows(self) -> list[Row]:
        """Return one record for each geometry and place."""
        return [
            _row(self.vector, geometry.label, neighbor.record())
            for geometry, neighbors in self.lists.items()
            for neighbor in neighbors
        ]

    def json(self) -> dict[str, Any]:
        """Return a list for each geometry."""
        undefined = {"undefined": [each.value for each in self.undefined]} if self.undefined else {}
        return {"vector": self.vector, **lists_json(self.lists), **undefined, **among_json(self.among)}

    def page(self) -> list[Block]:
        """Return the lists under the vector's number."""
        return [Heading(f"Vector {self.vector}"), *_kept_to(self.among), *list_blocks(self.lists, self.why_none)]


@dataclass(frozen=True)
class Logit:
    """A token and its logit."""

    rank: int  # from 1
    token: Token
    logit: float  # float64
    bf16: float  # the nearest number of bfloat16
    alike: int  # how many tokens have that, itself among them
    hubness: float
    marks: tuple[Mark, ...]

    @property
    def tied(self) -> bool:
        """Whether another token's logit is the same number in bfloat16."""
        return Mark.TIED in self.marks

    def json(self) -> dict[str, Any]:
        """Return the place with its token's fields among its own."""
        return {**self.record(), "marks": [mark.value for mark in self.marks]}

    def record(self) -> dict[str, Any]:
        """Return the place as a flat record."""
        return {
            "rank": self.rank,
            **self.token.json(),
            "logit": self.logit,
            "bf16": self.bf16,
            "alike": self.alike,
            "tied": self.tied,
            "hubness": self.hubness,
            "marks": " ".join(self.marks),
        }


@dataclass(frozen=True)
class ReadOut(AmongSome):
    """The tokens that a hidden state, or a direction, reads out: by logit, and by its angle in the dual."""

    vector: int
    logits: tuple[Logit, ...]
    dual: tuple[Neighbor, ...]  # `similarity` is the cosine of the angle; empty for a state without direction
    has_direction: bool
    among: Subset | None = None

    columns: ClassVar = COLUMNS

    def rows(self) -> list[Row]:
        """Return one record for each place in either list."""
        return [
            *(_row(self.vector, LOGITS, each.record()) for each in self.logits),
            *(_row(self.vector, DUAL, each.record()) for each in self.dual),
        ]

    def json(self) -> dict[str, Any]:
        """Return both lists."""
        return {
            "vector": self.vector,
            LOGITS: [each.json() for each in self.logits],
            DUAL: [each.json() for each in self.dual],
            **({} if self.has_direction else {"undefined": [DUAL]}),
            **among_json(self.among),
        }

    def page(self) -> list[Block]:
        """Return both lists under the vector's number."""
        return [Heading(f"Vector {self.vector}"), *_kept_to(self.among), *self._logits(), *self._dual()]

    def _logits(self) -> list[Block]:
        def line(each: Logit) -> tuple[Words, ...]:
            figures = f"{as_length(each.logit)}", f"{each.bf16:.6g}", f"{each.alike:,}"
            places = map(str, (each.rank, each.token.row, each.token.id))
            return (*places, *figures, f"{each.hubness:,.0f}", signs(each.marks), each.token)

        marks = {mark for each in self.logits for mark in each.marks}
        said = [HUBNESS, *([_TIED] if Mark.TIED in marks else []), *legend(marks - {Mark.TIED})]
        return [
            Heading(f"{len(self.logits)} highest by logit"),
            table(("rank", "row", "id", "logit", "bf16", "alike", "hubness", "", TEXT), map(line, self.logits)),
            *(Sentence(each, aside=True) for each in said),
        ]

    def _dual(self) -> list[Block]:
        if not self.dual:
            why = why_no_other(Geometry.CAUSAL_COSINE, (), self.among)
            return [Heading(f"None by angle in the dual: {why if self.has_direction else 'this vector is zero'}")]
        return [
            Heading(f"{len(self.dual)} nearest by angle in the dual"),
            neighbors_table(Geometry.CAUSAL_COSINE, self.dual),
            *legends(self.dual),
        ]


def _kept_to(among: Subset | None) -> list[Block]:
    """Return what all lists keep to; nothing where they hold the whole vocabulary."""
    return [] if among is None else [facts(among_facts(among))]


def _row(vector: int, name: str, record: dict[str, Any]) -> Row:
    return dict.fromkeys(COLUMNS) | {"vector": vector, "list": name} | record
