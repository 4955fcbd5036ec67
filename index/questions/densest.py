"""`densest`: the token of highest k-NN density, and what surrounds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from index.answers.answer import Answer, Row, json_number
from index.answers.page import TEXT, Block, Heading, Sentence, Table, counted, facts, table
from index.bundle.bundle import Bundle, Space
from index.measures import density
from index.measures.density import Rule
from index.questions.asking.among import kept
from index.questions.asking.beside import MORE_COLUMNS, Beside, BesideBundle, beside_json, beside_rows
from index.questions.asking.beside import beside as asked_beside
from index.questions.asking.parameters import (
    CAUSAL_AND_COSINE,
    Among,
    DensityK,
    DensityRule,
    ListedGeometries,
    Top,
    Without,
    density_k_of,
)
from index.questions.lists.approximate import ByFactory, approximation
from index.questions.lists.lists import among_facts
from index.questions.neighbors import Neighborhood, neighborhood
from index.tokens.vocabulary import Token

SURELY = 1e-12
"""More than a mean distance, its inverse and the inverse of that are rounded by, as a share."""


@dataclass(frozen=True)
class Winner:
    """The densest token under one rule, and how many tokens, itself among them, tie for it."""

    token: Token
    density: float
    tied: int


@dataclass(frozen=True)
class Densest(Answer):
    """The densest token of a bundle and what surrounds it."""

    neighborhood: Neighborhood
    minimum: float  # of all densities under the rule asked for, or of the subset's, in 1/logometers;
    maximum: float  # rows without a direction are left out, unless there are no others
    mean: float
    median: float
    by_rule: dict[Rule, Winner]
    bundle: str  # its name and its size, in words
    metric: str  # where its M comes from
    beside: Beside[Densest] | None = None  # another bundle's

    columns: ClassVar = Neighborhood.columns

    @property
    def more_columns(self) -> Mapping[str, type]:
        """Whose line it is, where another bundle stands beside."""
        return {} if self.beside is None else MORE_COLUMNS

    @property
    def note(self) -> str | None:
        """Say what its neighborhood says."""
        return self.neighborhood.note

    @property
    def title(self) -> str:
        """As a person would ask for it."""
        return "the densest token"

    def complete(self) -> Self:
        """Complete its neighborhood, and the other bundle's."""
        self.neighborhood.complete()
        if self.beside is not None:
            self.beside.answer.complete()
        return self

    def rows(self) -> list[Row]:
        """Return the rows of its neighborhood."""
        return beside_rows(self.neighborhood.rows(), self.beside)

    def json(self) -> dict[str, Any]:
        """Return the JSON of its neighborhood, and how the densities of all tokens lie."""
        around = self.neighborhood
        answer = around.json()
        return {
            "densest": answer.pop("token"),
            "density": {
                "k": around.density_k,
                "rule": around.rule.value,
                "min": json_number(self.minimum),
                "max": json_number(self.maximum),
                "mean": json_number(self.mean),
                "median": json_number(self.median),
                "by_rule": {
                    rule.value: {
                        "id": winner.token.id,
                        "text": winner.token.text,
                        "piece": winner.token.piece,
                        "density": json_number(winner.density),
                        "tied": winner.tied,
                    }
                    for rule, winner in self.by_rule.items()
                },
            },
            **answer,
            **beside_json(self.beside),
        }

    def page(self) -> list[Block]:
        """Return how densities lie, who is densest under each rule, and the neighborhood."""
        around = self.neighborhood
        return [
            facts(
                [
                    ("bundle", self.bundle),
                    ("metric", self.metric),
                    *among_facts(around.among),
                    ("density", f"1 / mean distance to {around.density_k} neighbors, rule '{around.rule.value}'"),
                    *self._densities(),
                ]
            ),
            *([] if self.beside is None else self.beside.blocks()),
            Heading("Densest token"),
            around.center(),
            Heading("Densest under each rule"),
            self.winners(),
            *around.overlap_and_lists(),
            *self._lists_beside(),
        ]

    def _densities(self) -> Iterator[tuple[str, str]]:
        """Yield how densities lie, and beside each figure another bundle's."""
        unit = self.neighborhood.density_unit
        other = dict(self.beside.answer.spread()) if self.beside is not None else {}
        for name, value in self.spread():
            said = "" if self.beside is None else f"; {self.beside.other} {other[name]}"
            yield f"  {name}", f"{value} {unit}{said}"

    def spread(self) -> list[tuple[str, str]]:
        """Return how the densities of all tokens lie, in names and figures."""
        values = {"minimum": self.minimum, "maximum": self.maximum, "mean": self.mean, "median": self.median}
        twins_alone = "0 (where all nearest are twins)" if self.neighborhood.rule is Rule.NOTEBOOK else "0"
        return [(name, f"{value:.7g}" if value else twins_alone) for name, value in values.items()]

    def winners(self) -> Table:
        """Return the densest token under each rule."""
        other = self.beside
        named = () if other is None else (other.other,)

        def beside(rule: Rule) -> tuple[str, ...]:
            return () if other is None else (f"{other.answer.by_rule[rule].density:.7g}",)

        lines = (
            (rule.value, f"{winner.density:.7g}", *beside(rule), str(winner.tied), str(winner.token.id), winner.token)
            for rule, winner in self.by_rule.items()
        )
        return table(("rule", "density", *named, "tied", "id", TEXT), lines)

    def _lists_beside(self) -> list[Block]:
        """Say how far the lists of another bundle's densest point agree."""
        if self.beside is None:
            return []
        found, name = self.beside.answer.neighborhood.overlap, self.beside.other
        if found is None:
            return [Sentence(f"There are no two lists to compare around the densest point of the {name}.")]
        said = f"{found.count} of {found.k} are in both lists ({found.percent:.1f} %)"
        return [Sentence(f"Around the densest point of the {name}, {said}.")]


def densest(
    bundle: Bundle,
    *,
    top: Top = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometries: ListedGeometries = CAUSAL_AND_COSINE,
    among: Among = None,
    without: Without = None,
    beside: BesideBundle = None,
    approximate: ByFactory = None,
) -> Densest:
    """The token at the densest point, and its neighbors in both geometries.

    Example: uv run query.py densest --top 10 --rule distinct

    `among` is where the densest token is looked for, less what is `without`, and what the lists keep to. Densities stay
    those in the whole vocabulary, and exact: `approximate` is the two lists alone.

    >>> index.open("data/indexes/smollm2-135m").densest().neighborhood.token.text
    '<gh_stars>'
    """
    among, k = kept(bundle, among, without), density_k_of(bundle, density_k)
    by = approximation(bundle, approximate, geometries, among)
    space = bundle.spaces[geometries[0]]
    rows = np.arange(len(bundle)) if among is None else among.rows
    placed = rows[~np.isin(rows, space.excluded)]
    rows = placed if len(placed) else rows
    by_density = {each: _densities(bundle, space, each, k)[rows] for each in Rule}
    by_rule = {each: _winner(bundle, space, rows, found, each, k) for each, found in by_density.items()}
    densities = by_density[rule]
    return Densest(
        neighborhood(bundle, by_rule[rule].token.row, top, k, rule, geometries, among, by),
        float(densities.min()),
        float(densities.max()),
        float(densities.mean()),
        float(np.median(densities)),
        by_rule,
        f"{bundle.name}: {len(bundle):,} tokens x {bundle.manifest.D:,}, {counted(bundle.manifest.K, 'neighbor')} kept",
        bundle.manifest.metric.origin,
        asked_beside(
            bundle,
            beside,
            lambda other: densest(other, top=top, density_k=k, rule=rule, geometries=geometries, among=among),
            k=k,
            geometries=geometries,
            among=among,
        ),
    )


def _densities(bundle: Bundle, space: Space, rule: Rule, k: int) -> np.ndarray:
    """Return the densities of all tokens, (V,): as stored, where they are, which is a hundredth of the lists' bytes."""
    if space is bundle.causal and k == bundle.manifest.settings.density_k:
        return bundle.densities(rule)
    return density.density(density.mean_distances(space.distances.whole, space.distinct_distances.whole, rule, k))


def _winner(bundle: Bundle, space: Space, rows: np.ndarray, densities: np.ndarray, rule: Rule, k: int) -> Winner:
    """Return the densest of some rows, (n,), and how many tie with it, of their densities, (n,).

    Two mean distances may have one density, and it is distances that tie: those of the rows that may be meant are read.
    """
    with np.errstate(divide="ignore"):
        least = 1 / (1 / densities.max() + space.resolution)
    near = rows[densities >= least * (1 - SURELY)] if least > 0 else rows
    mean = density.mean_distances(space.distances[near], space.distinct_distances[near], rule, k)
    first = int(np.nanargmin(mean)) if np.isfinite(mean).any() else 0
    tied = density.tied_with(mean, mean[first], space.resolution)
    return Winner(bundle.vocabulary.token(near[first]), float(density.density(mean[first])), len(tied))
