"""Parts of a census of overlaps: tenths of the tokens by density, and the tokens that agree most or least."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.answers.page import TEXT, Table, Words, as_length, table
from index.tokens.vocabulary import Token

DECILES = 10


@dataclass(frozen=True)
class Decile:
    """A tenth of the tokens by density, the sparsest first; ties by row."""

    decile: int  # from 1
    tokens: int
    lowest: float  # their densities, of the rule 'distinct' in the first geometry
    highest: float
    means: dict[int, float]  # the mean overlap at each length of lists, a share


@dataclass(frozen=True)
class Agreement:
    """A token, and the share of its nearest that both geometries name, at each length of lists."""

    token: Token
    shares: dict[int, float]
    lowest: dict[int, float]  # the least share of every way to break the ties at the last places
    highest: dict[int, float]  # the most

    def json(self) -> dict[str, Any]:
        """Return the token with its shares, and the range that ties allow."""
        return {
            **self.token.json(),
            "overlap": by_top(self.shares),
            "lowest": by_top(self.lowest),
            "highest": by_top(self.highest),
        }


def tenths(densities: np.ndarray, shares: dict[int, np.ndarray]) -> tuple[Decile, ...]:
    """Return tenths of n tokens by their densities (n,), with the means of their shares (n,) at each length."""
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


def deciles_table(deciles: Sequence[Decile], tops: Iterable[int]) -> Table:
    """Return the tenths with their densities and mean overlaps, in percent."""
    columns = ("tenth", "tokens", "density from", "to", *(f"top {top}" for top in tops))
    lines = (
        (
            str(each.decile),
            f"{each.tokens:,}",
            as_length(each.lowest),
            as_length(each.highest),
            *(percent(share) for share in each.means.values()),
        )
        for each in deciles
    )
    return table(columns, lines)


def by_top(shares: dict[int, float]) -> dict[str, float]:
    """Return shares under the lengths of lists as JSON has keys."""
    return {str(top): share for top, share in shares.items()}


def percent(share: float) -> str:
    """Return a share in percent, with one digit after the point."""
    return f"{100 * share:.1f}"


def _with_range(each: Agreement, top: int) -> str:
    share, lowest, highest = percent(each.shares[top]), each.lowest[top], each.highest[top]
    return f"{share} ({percent(lowest)}-{percent(highest)})" if lowest < highest else share


def agreements_table(agreements: Sequence[Agreement], tops: Sequence[int]) -> Table:
    """Return tokens with their shares in percent, and the range that ties allow."""
    lines: Iterator[tuple[Words, ...]] = (
        (str(each.token.id), *(_with_range(each, top) for top in tops), each.token) for each in agreements
    )
    return table(("id", *(f"top {top}" for top in tops), TEXT), lines)
