"""What `compare` says of two bundles: rows, twins, neighbor lists, figures and metrics of the tokens they share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from index.answers.answer import Answer, Row, jsonable
from index.answers.page import TEXT, Block, Heading, Sentence, Table, Words, facts, table
from index.geometry.maps import Geometry
from index.measures.overlaps import OverlapAt
from index.measures.partitions import GroupChanges
from index.questions.lists.trained import overlap_table
from index.questions.metric import Spectrum, spectra_table
from index.tokens.vocabulary import Token

PERCENTILES = (50, 90, 99, 100)
DECILES = 10


@dataclass(frozen=True)
class Side:
    """One of the two bundles."""

    name: str
    tokens: int
    width: int
    dtype: str
    only: int  # tokens that the other has not
    control: str | None = None  # which, where it is no model


@dataclass(frozen=True)
class RowFigures:
    """How far the rows of the shared tokens moved, by percentiles of all of them; None where it is not defined."""

    moved: int  # rows that are not identical
    angle: Mapping[int, float]  # degrees, of rows that have a direction in both
    change: Mapping[int, float]  # |b - a| / max(|a|, |b|)
    steps: Mapping[int, float] | None  # the most in any coordinate, where both hold numbers of one 16-bit format
    coordinates: Mapping[int, float] | None  # how many differ


@dataclass(frozen=True)
class Part:
    """Some of the shared tokens: a tenth by density, a kind."""

    name: str
    tokens: int
    means: Mapping[Geometry, Mapping[int, float]]  # of the shares that both lists of a token have in common


@dataclass(frozen=True)
class Moved:
    """A token, and what became of it."""

    token: Token  # of the first bundle
    other_id: int  # in the second
    change: float | None  # of its row; None where widths differ
    angle: float | None  # degrees
    shares: Mapping[Geometry, Mapping[int, float]]  # of its nearest that are the same, at each length

    def json(self) -> dict[str, Any]:
        """Return the token with its figures."""
        rows = {"change": jsonable(self.change), "angle": jsonable(self.angle)}
        return {**self.token.json(), "other_id": self.other_id, **rows, "overlap": _by_geometry(self.shares)}


@dataclass(frozen=True)
class Lists:
    """How far neighbor lists agree between the bundles, in each geometry, at each length."""

    tokens: Mapping[Geometry, int]  # those that have lists as long in both
    tops: Mapping[Geometry, Mapping[int, OverlapAt]]
    not_compared: tuple[int, ...] = ()  # lengths that stored lists do not reach


@dataclass(frozen=True)
class Comparison(Answer):
    """Two bundles, compared over the tokens that both have."""

    a: Side
    b: Side
    matched: int
    by_piece: int  # of these, how many by text, kind and piece,
    by_text: int  # by text and kind,
    by_id: int  # by id, among tokens that repeat each other or have no text
    identical: int | None  # rows with the same numbers; None where widths differ
    rows_moved: RowFigures | None
    twins: GroupChanges
    lists: Lists
    trained: Lists  # of tokens untrained in neither, and lists of such tokens
    untrained: int  # tokens left out there
    by_density: tuple[Part, ...]  # tenths by the density of the first, the sparsest first
    by_kind: tuple[Part, ...]
    moved_by: str  # what the most and the least are told by: "rows" or "lists"
    most_moved: tuple[Moved, ...]
    least_moved: tuple[Moved, ...]
    correlations: Mapping[str, float]  # Spearman's rho over the shared tokens; NaN where one side is constant
    spectra: Mapping[str, tuple[Spectrum, Spectrum]]  # of the first and the second: "covariance", "M"

    columns: ClassVar = (
        {"geometry": str, "top": int, "trained": bool, "tokens": int, "mean": float, "quartile_1": float}
        | {"quartile_2": float, "quartile_3": float, "chance": float, "none": int, "whole": int, "lowest": float}
        | {"highest": float, "none_always": int, "whole_always": int, "tied": int, "bounded": int}
    )

    @property
    def title(self) -> Words:
        """Both names."""
        return f"{self.a.name} and {self.b.name}"

    @property
    def note(self) -> str | None:
        """Say where rows cannot be compared coordinate by coordinate."""
        if self.moved_by == "rows" or self.rows_moved is None:
            return None
        return (
            f"rows are at a median angle of {self.rows_moved.angle[50]:.0f} degrees: these are two bases, and not one "
            "model that moved; the most and the least moved are told by lists"
        )

    def rows(self) -> list[Row]:
        """Return one record for each geometry and length of lists, of all tokens and of trained ones."""
        return [
            {
                "geometry": geometry.label,
                "top": top,
                "trained": trained,
                "tokens": lists.tokens[geometry],
                **{name: value for name, value in vars(at).items() if name != "quartiles"},
                **{f"quartile_{number}": value for number, value in enumerate(at.quartiles, 1)},
            }
            for trained, lists in ((False, self.lists), (True, self.trained))
            for geometry, tops in lists.tops.items()
            for top, at in tops.items()
        ]

    def token_ids(self) -> list[int]:
        """Return the ids, in the first, of the tokens that moved most, and least."""
        return [each.token.id for each in (*self.most_moved, *self.least_moved)]

    def json(self) -> dict[str, Any]:
        """Return everything; shares from 0 to 1."""
        return {
            "a": self.a.name,
            "b": self.b.name,
            "matched": self.matched,
            "only_a": self.a.only,
            "only_b": self.b.only,
            "matched_by": {"piece": self.by_piece, "text": self.by_text, "id": self.by_id},
            "sides": {"a": jsonable(self.a), "b": jsonable(self.b)},
            "identical": self.identical,
            "rows": jsonable(self.rows_moved),
            "overlap": _overlap_json(self.lists),
            "trained": {"untrained": self.untrained, "not_compared": list(self.trained.not_compared)}
            | {"overlap": _overlap_json(self.trained)},
            "by_density_decile": [_part_json(each) for each in self.by_density],
            "by_kind": [_part_json(each) for each in self.by_kind],
            "moved_by": self.moved_by,
            "most_moved": [each.json() for each in self.most_moved],
            "least_moved": [each.json() for each in self.least_moved],
            "twins": {"kept": self.twins.kept, "split": self.twins.parted, "merged": self.twins.joined},
            "correlation": jsonable(self.correlations),
            "spectra": {name: {"a": jsonable(a), "b": jsonable(b)} for name, (a, b) in self.spectra.items()},
        }

    def page(self) -> list[Block]:
        """Return rows, twins, lists, parts, the most and the least moved, and the metrics."""
        return [
            facts(self._facts()),
            *self._row_blocks(),
            *self._list_blocks(),
            Heading(f"Mean by density in {self.a.name} ('distinct'), the sparsest tenth first, in percent"),
            self._parts("tenth", self.by_density),
            Heading("Mean by kind, in percent"),
            self._parts("kind", self.by_kind),
            Heading(f"Moved most, by their {self.moved_by}"),
            self._moved(self.most_moved),
            Heading(f"Moved least, by their {self.moved_by}"),
            self._moved(self.least_moved),
            Heading("Rank correlation over the shared tokens"),
            facts((name, _number(rho, ".4f")) for name, rho in self.correlations.items()),
            *self._spectra(),
        ]

    def _facts(self) -> Iterator[tuple[str, Words]]:
        for name, side in (("a", self.a), ("b", self.b)):
            control = "" if side.control is None else f", a control ({side.control})"
            yield name, f"{side.name}: {side.tokens:,} tokens x {side.width:,}, {side.dtype}{control}"
        by = ((self.by_piece, "piece"), (self.by_text, "text alone"), (self.by_id, "id"))
        yield "in both", f"{self.matched:,} tokens ({', '.join(f'{count:,} by {what}' for count, what in by if count)})"
        yield "only in a", f"{self.a.only:,}"
        yield "only in b", f"{self.b.only:,}"
        yield "identical", "widths differ" if self.identical is None else f"{self.identical:,} rows"
        kept, split, merged = self.twins.kept, self.twins.parted, self.twins.joined
        yield "twin groups", f"{kept:,} kept, {split:,} split, {merged:,} merged"

    def _row_blocks(self) -> list[Block]:
        found = self.rows_moved
        if found is None:
            return []
        lines = [
            ("angle, degrees", found.angle, ".4g"),
            ("change of length and direction", found.change, ".4g"),
            ("steps in a coordinate", found.steps, ",.0f"),
            ("coordinates that differ", found.coordinates, ",.0f"),
        ]
        shown = ((name, *(_number(at[p], form) for p in PERCENTILES)) for name, at, form in lines if at is not None)
        return [
            Heading(f"How far the rows moved: {found.moved:,} of {self.matched:,}"),
            table(("", *(f"{p} %" for p in PERCENTILES[:-1]), "most"), shown),
        ]

    def _list_blocks(self) -> list[Block]:
        blocks: list[Block] = []
        for geometry, tops in self.lists.tops.items():
            tokens = self.lists.tokens[geometry]
            blocks.append(Heading(f"Nearest by {geometry.words} that are the same, in percent: {tokens:,} tokens"))
            blocks.append(overlap_table(dict(tops)))
        blocks += self._ties()
        for geometry, tops in self.trained.tops.items():
            tokens = self.trained.tokens[geometry]
            blocks.append(Heading(f"The same by {geometry.words}, of {tokens:,} trained tokens alone"))
            blocks.append(overlap_table(dict(tops)))
        for top in self.trained.not_compared:
            said = f"top {top}: lists end too early without untrained tokens; asked for by itself, it is searched for"
            blocks.append(Sentence(said, aside=True))
        return blocks

    def _ties(self) -> list[Block]:
        said = [
            f"{geometry.label}, top {top}: other orders of tied tokens would give {100 * at.lowest:.1f} to "
            f"{100 * at.highest:.1f} %"
            for geometry, tops in self.lists.tops.items()
            for top, at in tops.items()
            if at.tied
        ]
        return [Sentence(each, aside=True) for each in said]

    def _parts(self, name: str, parts: Sequence[Part]) -> Table:
        heads = [(geometry, top) for geometry, tops in self.lists.tops.items() for top in tops]
        shown = [each for each in heads if each[1] == max(top for of, top in heads if of is each[0])]
        lines = (
            (each.name, f"{each.tokens:,}", *(_number(100 * each.means[of][top], ".1f") for of, top in shown))
            for each in parts
        )
        return table((name, "tokens", *(f"{of.label}, {top}" for of, top in shown)), lines)

    def _moved(self, tokens: Sequence[Moved]) -> Table:
        tops = {geometry: max(at) for geometry, at in self.lists.tops.items() if at}

        def line(each: Moved) -> tuple[Words, ...]:
            rows = () if each.change is None else (f"{each.change:.4g}", _number(each.angle, ".4g"))
            shares = (_number(100 * each.shares[of][top], ".0f") for of, top in tops.items())
            return (str(each.token.id), *rows, *shares, each.token)

        rows = () if self.rows_moved is None else ("change", "degrees")
        return table(("id", *rows, *(f"{of.label}, {top}" for of, top in tops.items()), TEXT), map(line, tokens))

    def _spectra(self) -> Iterator[Block]:
        for name, (a, b) in self.spectra.items():
            yield Heading("Spectrum of M" if name == "M" else "Spectrum of Cov(gamma)")
            yield spectra_table({f"a: {self.a.name}": a, f"b: {self.b.name}": b})


def _overlap_json(lists: Lists) -> dict[str, Any]:
    return {
        geometry.value: {str(top): {**jsonable(at), "tokens": lists.tokens[geometry]} for top, at in tops.items()}
        for geometry, tops in lists.tops.items()
    }


def _part_json(each: Part) -> dict[str, Any]:
    return {"name": each.name, "tokens": each.tokens, "mean": _by_geometry(each.means)}


def _by_geometry(shares: Mapping[Geometry, Mapping[int, float]]) -> dict[str, Any]:
    return {of.value: {str(top): jsonable(share) for top, share in at.items()} for of, at in shares.items()}


def _number(value: float | None, form: str) -> str:
    return "" if value is None or math.isnan(value) else format(value, form)
