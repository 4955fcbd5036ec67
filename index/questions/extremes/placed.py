"""A token at its place in an order of all: its value, and how many are below."""

from __future__ import annotations

from dataclasses import dataclass

from index.answers.answer import Row, json_number
from index.tokens.vocabulary import Token


@dataclass(frozen=True)
class Placed:
    """A token, its value, and the percentile it stands at: the share of tokens below, and half of those level."""

    token: Token
    value: float
    percentile: float
    bounds: tuple[float, float] | None = None  # of an overlap: what it could be if ties were broken otherwise

    def record(self, rank: int) -> Row:
        """Return the token with its place."""
        lowest, highest = self.bounds or (None, None)
        return {
            "rank": rank,
            **self.token.json(),
            "value": self.value,
            "percentile": self.percentile,
            "lowest": lowest,
            "highest": highest,
        }

    def json(self, rank: int) -> Row:
        """Return the token with its place, and with bounds where it has some."""
        record = self.record(rank) | {"value": json_number(self.value)}
        return {name: value for name, value in record.items() if self.bounds or name not in ("lowest", "highest")}
