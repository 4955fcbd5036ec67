"""The answer of `timeline`: its records, its rows, its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from index.answers.answer import Answer, Row, json_number, jsonable
from index.answers.page import TEXT, Block, Heading, Sentence, Table, Words, table
from index.geometry.maps import Geometry
from index.measures.partitions import GroupChanges
from index.tokens.vocabulary import Token

MOST_NAMED = 5


@dataclass(frozen=True)
class Agreed:
    """How much of their lists of one length the tokens share between two spaces, on average."""

    tokens: int  # that have such a list in both
    mean: float  # share, from 0 to 1; NaN where there are none
    lowest: float  # the least that other orders of tied tokens at the last places would give
    highest: float  # the most
    chance: float  # what lists drawn blindly would share


@dataclass(frozen=True)
class Densities:
    """Densities under the rule `distinct`, in 1/logometers of the step's own metric."""

    densest: Token
    highest: float  # of the densest token,
    tied: int  # with which so many tokens tie, itself among them
    quartile_1: float
    median: float
    quartile_3: float


@dataclass(frozen=True)
class Judged:
    """How near the geometries come to what people judged, on one set."""

    name: str
    figure: str  # "spearman", or "top1" of analogies
    covered: int  # items whose words are tokens
    values: Mapping[Geometry, float]  # NaN where none is covered


@dataclass(frozen=True)
class StepFacts:
    """One step of a sweep, and how it differs from the one before and from the last."""

    step: str
    source: str
    same_as: str | None  # the step whose matrix and tokens it has, bit for bit
    tokens: int
    distinct: int  # different rows
    groups: int  # of twins
    twins: int  # tokens in them
    changes: GroupChanges | None  # since the step before; None for the first
    moved: int | None  # tokens whose row is not, bit for bit, that of the step before; None for the first
    never_moved: int  # tokens whose row was the same at all steps so far
    densities: Densities
    overlap: Agreed  # of the causal and the cosine lists
    before: Mapping[Geometry, Agreed]  # with the same geometry's lists at the step before; empty for the first
    last: Mapping[Geometry, Agreed]  # with those of the last step; empty for the last
    judged: tuple[Judged, ...]  # empty where it was not asked

    def json(self) -> dict[str, Any]:
        """Return the step as JSON."""
        return {
            "step": self.step,
            "source": self.source,
            "same_as": self.same_as,
            "tokens": self.tokens,
            "distinct": self.distinct,
            "groups": self.groups,
            "twins": self.twins,
            "changes": jsonable(self.changes),
            "moved": self.moved,
            "never_moved": self.never_moved,
            "densest": {
                **self.densities.densest.json(),
                "density": json_number(self.densities.highest),
                "tied": self.densities.tied,
            },
            "density": {name: json_number(getattr(self.densities, name)) for name in _QUARTILES},
            "overlap": jsonable(self.overlap),
            "before": jsonable(self.before) if self.before else None,
            "last": jsonable(self.last) if self.last else None,
            "evaluate": {
                each.name: {"figure": each.figure, "covered": each.covered, **jsonable(each.values)}
                for each in self.judged
            }
            or None,
        }

    def row(self) -> Row:
        """Return the step as one flat record."""
        changes = dict.fromkeys(_CHANGES) if self.changes is None else vars(self.changes)
        lists: Row = {f"overlap_{name}": getattr(self.overlap, name) for name in _SHARES}
        for which, found in (("before", self.before), ("last", self.last)):
            for geometry in Geometry:
                at = found.get(geometry)
                lists |= {
                    f"{which}_{geometry.value}_{name}": None if at is None else getattr(at, name) for name in _SHARES
                }
        return {
            **{
                name: getattr(self, name)
                for name in ("step", "source", "same_as", "tokens", "distinct", "groups", "twins")
            },
            **changes,
            "moved": self.moved,
            "never_moved": self.never_moved,
            "densest_id": self.densities.densest.id,
            "densest_text": self.densities.densest.text,
            "densest_density": self.densities.highest,
            "densest_tied": self.densities.tied,
            **{f"density_{name}": getattr(self.densities, name) for name in _QUARTILES},
            **lists,
            **{
                f"{each.name}_{each.figure}_{geometry.value}": value
                for each in self.judged
                for geometry, value in each.values.items()
            },
        }


_QUARTILES = ("quartile_1", "median", "quartile_3")
_CHANGES = ("kept", "born", "gone", "split", "merged")
_SHARES = ("mean", "lowest", "highest", "chance")


@dataclass(frozen=True)
class Timeline(Answer):
    """The steps of a sweep that have a bundle, in order."""

    folder: str
    top: int  # length of the lists compared
    steps: tuple[StepFacts, ...]
    missing: tuple[str, ...]  # steps without a bundle

    def rows(self) -> list[Row]:
        """Return one record for each step."""
        return [step.row() for step in self.steps]

    def json(self) -> list[dict[str, Any]]:
        """Return the steps."""
        return [step.json() for step in self.steps]

    @property
    def note(self) -> str | None:
        """Say which steps have no bundle, and so are left out."""
        if not self.missing:
            return None
        more = f" and {len(self.missing) - MOST_NAMED} more" if len(self.missing) > MOST_NAMED else ""
        return (
            f"{len(self.missing)} of {len(self.missing) + len(self.steps)} steps have no bundle and are left out: "
            f"{', '.join(self.missing[:MOST_NAMED])}{more}; what is said of the step before passes over them"
        )

    def page(self) -> list[Block]:
        """Return rows and twins, densities, lists, and what people judged."""
        first, last = self.steps[0], self.steps[-1]
        chance = _percent(first.overlap.chance)
        return [
            Heading(f"Rows and twins: {first.tokens:,} tokens, {first.step} to {last.step}"),
            self._twins(),
            Sentence(_OF_TWINS, aside=True),
            Heading("Densities ('distinct'), in 1/logometers of each step's own metric"),
            self._densities(),
            Heading(
                f"Lists of {self.top}: shared on average by causal and cosine lists, in percent (by chance {chance})"
            ),
            *self._lists(),
            *self._tied(),
            *self._judged(),
        ]

    def _twins(self) -> Table:
        changes = ("born", "gone", "split", "merged")
        columns = ("", "distinct", "groups", *changes, "moved", "never moved")
        return table(
            columns,
            (
                (
                    each.step,
                    *map(_count, (each.distinct, each.groups)),
                    *(_count(None if each.changes is None else getattr(each.changes, name)) for name in changes),
                    *map(_count, (each.moved, each.never_moved)),
                )
                for each in self.steps
            ),
        )

    def _densities(self) -> Table:
        def line(each: StepFacts) -> tuple[Words, ...]:
            at = each.densities
            figures = (f"{at.median:.5g}", f"{at.highest:.5g}", f"{at.tied:,}", str(at.densest.id))
            return (each.step, *figures, at.densest)

        return table(("step", "median", "densest", "tied", "id", TEXT), map(line, self.steps))

    def _lists(self) -> Iterator[Block]:
        """Yield what geometries share at each step, and what each shares with the step before, and with the last."""
        yield table(("", "causal and cosine"), ((each.step, _share(each.overlap)) for each in self.steps))
        for name, said in (("before", "the step before"), ("last", "the last step")):
            if any(getattr(each, name) for each in self.steps):
                shares = ((getattr(each, name).get(geometry) for geometry in Geometry) for each in self.steps)
                yield Heading(f"With {said}, in percent")
                yield table(
                    ("", *(geometry.label for geometry in Geometry)),
                    ((each.step, *map(_share, found)) for each, found in zip(self.steps, shares, strict=True)),
                )

    def _tied(self) -> list[Block]:
        every = [at for each in self.steps for at in (each.overlap, *each.before.values(), *each.last.values())]
        widest = max((at.highest - at.lowest for at in every if at.tokens), default=0.0)
        if widest == 0:
            return []
        return [
            Sentence(f"Ties could move a figure by up to {100 * widest:.1f}; JSON and CSV have each range", aside=True)
        ]

    def _judged(self) -> list[Block]:
        names = [(each.name, each.figure) for each in self.steps[0].judged]
        blocks: list[Block] = []
        for place, (name, figure) in enumerate(names):
            rows = [
                (
                    each.step,
                    f"{each.judged[place].covered:,}",
                    *(f"{each.judged[place].values[at]:.3f}" for at in Geometry),
                )
                for each in self.steps
            ]
            said = "rho" if figure == "spearman" else "share at top 1"
            blocks += [Heading(f"{name}: {said}"), table(("", "covered", *(at.label for at in Geometry)), rows)]
        return blocks


_OF_TWINS = (
    "born: groups of tokens that were all alone; gone: groups whose tokens are; moved: since the step before, bit for "
    "bit; never moved: at no step so far"
)


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _share(at: Agreed | None) -> str:
    return "" if at is None or not at.tokens else _percent(at.mean)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 0.001 else f"{100 * share:.3f}"
