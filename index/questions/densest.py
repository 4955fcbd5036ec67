"""`densest`: the token of highest k-NN density, and what surrounds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row, json_number
from index.answers.page import TEXT, Block, Heading, Table, facts, table
from index.bundle.bundle import Bundle
from index.measures import density
from index.measures.density import Rule
from index.questions.among import kept
from index.questions.approximate import ByFactory, approximation
from index.questions.lists import among_facts
from index.questions.neighbors import Neighborhood, neighborhood
from index.questions.parameters import (
    CAUSAL_AND_COSINE,
    Among,
    DensityK,
    DensityRule,
    ListedGeometries,
    Top,
    Without,
    density_k_of,
)
from index.tokens.vocabulary import Token


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

    columns: ClassVar = Neighborhood.columns

    @property
    def note(self) -> str | None:
        """Say what its neighborhood says."""
        return self.neighborhood.note

    @property
    def title(self) -> str:
        """As a person would ask for it."""
        return "the densest token"

    def rows(self) -> list[Row]:
        """Return the rows of its neighborhood."""
        return self.neighborhood.rows()

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
                    *((f"  {name}", f"{value} {around.density_unit}") for name, value in self.spread()),
                ]
            ),
            Heading("Densest token"),
            around.center(),
            Heading("Densest under each rule"),
            self.winners(),
            *around.lists_and_overlap(),
        ]

    def spread(self) -> list[tuple[str, str]]:
        """Return how the densities of all tokens lie, in names and figures."""
        values = {"minimum": self.minimum, "maximum": self.maximum, "mean": self.mean, "median": self.median}
        twins_alone = "0 (where all nearest are twins)" if self.neighborhood.rule is Rule.NOTEBOOK else "0"
        return [(name, f"{value:.7g}" if value else twins_alone) for name, value in values.items()]

    def winners(self) -> Table:
        """Return the densest token under each rule."""
        lines = (
            (rule.value, f"{winner.density:.7g}", str(winner.tied), str(winner.token.id), winner.token)
            for rule, winner in self.by_rule.items()
        )
        return table(("rule", "density", "tied", "id", TEXT), lines)


def densest(
    bundle: Bundle,
    *,
    top: Top = None,
    density_k: DensityK = None,
    rule: DensityRule = Rule.NOTEBOOK,
    geometries: ListedGeometries = CAUSAL_AND_COSINE,
    among: Among = None,
    without: Without = None,
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
    distances, distinct = space.distances.whole, space.distinct_distances.whole
    means = {each: density.mean_distances(distances, distinct, each, k)[rows] for each in Rule}
    by_rule = {}
    for each, mean in means.items():
        first = int(np.nanargmin(mean)) if np.isfinite(mean).any() else 0
        tied = density.tied_with(mean, mean[first], space.resolution)
        by_rule[each] = Winner(bundle.vocabulary.token(rows[first]), float(density.density(mean[first])), len(tied))
    densities = density.density(means[rule])
    return Densest(
        neighborhood(bundle, by_rule[rule].token.row, top, k, rule, geometries, among, by),
        float(densities.min()),
        float(densities.max()),
        float(densities.mean()),
        float(np.median(densities)),
        by_rule,
        f"{bundle.name}: {len(bundle):,} tokens x {bundle.manifest.D:,}, {bundle.manifest.K} neighbors kept",
        bundle.manifest.metric.origin,
    )
