"""A chart of a page, and what all charts say of a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.pictures.numbers.series import UnionSeries
from index.pictures.page.vega import tip
from index.tokens.vocabulary import Token

Address = Callable[[Token], str]
"""Where the page of a token is."""

TOKEN_TIPS = [tip("text", "token"), tip("id", "id"), tip("marks", "marks")]


@dataclass(frozen=True)
class Chart:
    """A chart of a page."""

    title: str
    caption: str  # how to read it, and what ties and missing values mean for it
    specification: dict[str, Any] | None  # Vega-Lite, strict JSON; None where nothing is drawn: the caption says why


def links(address: Address | None) -> dict[str, Any]:
    """Return the encoding that makes points links, where tokens have addresses."""
    return {} if address is None else {"href": {"field": "address"}}


def token_columns(union: UnionSeries, places: np.ndarray, address: Address | None) -> dict[str, Any]:
    """Return the columns that name the tokens at some places of a union."""
    links = {} if address is None else {"address": [address(union.tokens[at]) for at in places]}
    return {
        **links,
        "text": [union.texts[at] for at in places],
        "id": [str(union.tokens[at].id) for at in places],
        "marks": [union.signs[at] for at in places],
    }
