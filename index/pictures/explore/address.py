"""What the address of a page says: which geometries are compared, how long lists are and of what, and which token."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import urlencode

from index.answers.page import Reference
from index.bundle.bundle import Bundle
from index.errors import ParameterError
from index.geometry.maps import Geometry
from index.pictures.numbers.series import called
from index.questions.asking.parameters import CAUSAL_AND_COSINE
from index.tokens.display import display
from index.tokens.vocabulary import Token

TOP = 30
"""Neighbors listed when an address does not say."""

SUSPECT = "suspect"
"""What `without` is where lists leave out untrained tokens and hubs."""


@dataclass(frozen=True)
class Choice:
    """The two geometries a page compares, how long its lists are, and whether of all tokens."""

    first: Geometry
    second: Geometry
    top: int
    usual: int  # the `top` of a page whose address names none
    longest: int  # the largest there can be
    without_suspect: bool = False  # whether untrained tokens and hubs are left out

    @cached_property
    def parameters(self) -> dict[str, str]:
        """What an address must say to have this choice: nothing that is usual."""
        named = {"first": self.first.label, "second": self.second.label, "top": str(self.top)}
        usual = dict(zip(named, (*(each.label for each in CAUSAL_AND_COSINE), str(self.usual)), strict=True))
        said = {name: value for name, value in named.items() if value != usual[name]}
        return {**said, "without": SUSPECT} if self.without_suspect else said

    def address(self, path: str, **more: str) -> str:
        """Return an address under which this choice holds."""
        query = urlencode({**more, **self.parameters})
        return f"{path}?{query}" if query else path

    @property
    def other(self) -> Choice:
        """The same choice, with untrained tokens and hubs where it leaves them out, and else without."""
        return replace(self, without_suspect=not self.without_suspect)

    def of_token(self, token_id: int) -> str:
        """Return the address of a token's page."""
        return self.address(f"/token/{token_id}")


@dataclass(frozen=True)
class Link:
    """A token to go to."""

    text: str  # what it is called
    id: int
    row: int
    piece: str | None
    address: str

    @property
    def number(self) -> str:
        """The id as it stands beside the text: nothing where the token is called by it."""
        number = f"#{self.id}"
        return "" if self.piece is None and self.text == number else number


@dataclass(frozen=True)
class Lead:
    """Another question to go to."""

    text: str
    address: str


def lead(reference: Reference) -> Lead:
    """Return another question with its address."""
    query = urlencode(reference.typed)
    return Lead(reference.question, f"/ask/{reference.question}" + (f"?{query}" if query else ""))


def read_choice(parameters: Mapping[str, str], bundle: Bundle) -> Choice:
    """Read `first`, `second`, `top` and `without` of an address; ParameterError when one is out of range."""
    known = {geometry.label: geometry for geometry in Geometry}
    pair = []
    for name, default in zip(("first", "second"), CAUSAL_AND_COSINE, strict=True):
        wanted = parameters.get(name, default.label)
        if wanted not in known:
            raise ParameterError(f"{name} must be one of {', '.join(known)}, got: {display(wanted[:60])}")
        pair.append(known[wanted])
    if pair[0] is pair[1]:
        raise ParameterError(f"two different geometries are compared, got {pair[0].label} twice")
    longest = min(bundle.manifest.K, len(bundle) - 1)
    usual = min(TOP, longest)
    typed = parameters.get("top", str(usual)).strip()
    if not (typed.isdecimal() and len(typed) < 10 and 1 <= int(typed) <= longest):
        raise ParameterError(f"the number of neighbors must be from 1 to {longest}, got: {display(typed[:60])}")
    without = parameters.get("without", "")
    if without not in ("", SUSPECT):
        raise ParameterError(f"without must be {SUSPECT}, got: {display(without[:60])}")
    return Choice(pair[0], pair[1], int(typed), usual, longest, without == SUSPECT)


def usual_choice(bundle: Bundle) -> Choice:
    """Return the choice of an address that names nothing."""
    return read_choice({}, bundle)


def link(token: Token, choice: Choice) -> Link:
    """Return a token with its address."""
    return Link(called(token), token.id, token.row, token.piece, choice.of_token(token.id))


def links(bundle: Bundle, rows: Collection[int], choice: Choice) -> list[Link]:
    """Return the tokens of some rows with their addresses."""
    return [link(token, choice) for token in map(bundle.vocabulary.token, rows)]
