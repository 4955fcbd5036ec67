"""What another bundle answers to the same question, next to a bundle's own answer: mostly that of a control."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from index.answers.answer import Answer, Row
from index.answers.control import Control
from index.answers.page import Block, Sentence
from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry
from index.questions.asking.among import Subset
from index.questions.asking.question import Doc
from index.tokens.display import display

A = TypeVar("A", bound=Answer)

BesideBundle = Annotated[
    Bundle | None,
    Doc(
        "What this bundle answers stands beside: a control, made by a build; its folder, or its name.",
        metavar="BUNDLE",
        option="--beside",
        on_page="What this bundle answers stands beside: a control, made by a build, of those in the same folder.",
    ),
]

COLUMN = "bundle"
MORE_COLUMNS = {COLUMN: str}
"""Whose line it is, in CSV and Parquet files and DataFrames; there only where two bundles are asked."""


@dataclass(frozen=True)
class Beside(Generic[A]):
    """Another bundle's answer to the same question."""

    of: str  # the name of the bundle that was asked first
    bundle: str  # of the other
    control: Control | None  # what the other is; None: vectors of a model
    answer: A
    notes: tuple[str, ...]  # why it is not what points without structure would give in the first one's place

    @property
    def own(self) -> str:
        """What the first bundle's lines are called."""
        return "model" if self.control is not None and not self.notes else display(self.of)

    @property
    def other(self) -> str:
        """What the other's lines are called."""
        return f"{self.control.kind.value} control" if self.control and not self.notes else display(self.bundle)

    @property
    def sentences(self) -> list[str]:
        """What the other is, and what keeps it from being a control of the first."""
        if self.control is None:
            return list(self.notes)
        said = f"Beside it {display(self.bundle)}: {self.control.kind.words} {display(self.control.source)}"
        return [f"{said} ({self.control.short}). They have no other structure.", *self.notes]

    def blocks(self) -> list[Block]:
        """Return the sentences as blocks of a page."""
        return [Sentence(each) for each in self.sentences]

    def json(self) -> dict[str, Any]:
        """Return the other's answer, in the shape of its own, with its bundle's name."""
        said = {"bundle": self.bundle, "control": None if self.control is None else self.control.json()}
        return {**said, "notes": list(self.notes), **self.answer.json()}


def beside_json(beside: Beside[Any] | None) -> dict[str, Any]:
    """Return what JSON says of another bundle; nothing where none was asked."""
    return {} if beside is None else {"beside": beside.json()}


def beside_rows(rows: list[Row], beside: Beside[Any] | None) -> list[Row]:
    """Return an answer's rows, and behind them those of another bundle, each with its bundle's name."""
    if beside is None:
        return rows
    named = ((beside.of, rows), (beside.bundle, beside.answer.rows()))
    return [{**row, COLUMN: name} for name, some in named for row in some]


def beside(
    bundle: Bundle,
    other: Bundle | None,
    ask: Callable[[Bundle], A],
    *,
    k: int,
    geometries: Collection[Geometry],
    among: Subset | None = None,
) -> Beside[A] | None:
    """Ask another bundle too, where one is given; `ask` keeps to the rows of `among` there as here.

    ParameterError where its answer about lists of k in these geometries could not stand beside.
    """
    if other is None:
        return None
    _require_comparable(bundle, other, k, geometries, among)
    return Beside(bundle.name, other.name, other.manifest.control, ask(other), tuple(notes_beside(bundle, other)))


def same_tokens(bundle: Bundle, other: Bundle) -> bool:
    """Whether the rows of two bundles of one size are of the same token ids."""
    return bool((bundle.vocabulary.token_ids == other.vocabulary.token_ids).all())


def _require_comparable(
    bundle: Bundle, other: Bundle, k: int, geometries: Collection[Geometry], among: Subset | None
) -> None:
    own, its, named = bundle.manifest, other.manifest, f"{parameter('beside')} {other.name}"
    if (own.V, own.D) != (its.V, its.D):
        raise ParameterError(
            f"{named} holds {its.V:,} tokens x {its.D:,}, and {bundle.name} {own.V:,} x {own.D:,}; wanted one of the "
            "same shape: build a control of the same source, with the same sample"
        )
    if k > its.K:
        raise ParameterError(
            f"{named} keeps {its.K} neighbors, and lists of {k} are asked for; pass a smaller {parameter('top')}, or "
            f"build it with more {parameter('neighbors')}"
        )
    if own.settings.density_k != its.settings.density_k:
        raise ParameterError(
            f"{named} averages {its.settings.density_k} neighbors in its densities, and {bundle.name} "
            f"{own.settings.density_k}; build it with {parameter('density_k', own.settings.density_k)}"
        )
    angles = [each.manifest.spaces.causal_cosine.centered for each in (bundle, other)]
    if Geometry.CAUSAL_COSINE in geometries and angles[0] != angles[1]:
        raise ParameterError(
            f"{named} takes its causal cosines at {('zero', 'the mean row')[angles[1]]}, and {bundle.name} at "
            f"{('zero', 'the mean row')[angles[0]]}; build both with {parameter('centered', True)}, or neither"
        )
    if among is not None and not same_tokens(bundle, other):
        raise ParameterError(
            f"{named} holds other tokens than {bundle.name}, so {among.name} means nothing there; build a control of "
            "the same sample"
        )


def notes_beside(bundle: Bundle, other: Bundle) -> Iterator[str]:
    """Yield what keeps another bundle from showing what structureless points would give in place of a model's."""
    own, its, name = bundle.manifest, other.manifest, display(other.name)
    if own.control is not None:
        yield f"{display(bundle.name)} is a control itself: what stands beside it is no measure of it."
    if its.control is None:
        yield f"{name} is no control: its points are a model's, with a structure of their own."
    elif its.control.sha256 != (own.source.sha256 if own.control is None else own.control.sha256):
        yield f"{name} is a control of another matrix: what it keeps is not of {display(bundle.name)}."
    if own.metric.origin != its.metric.origin:
        yield f"{name} has another metric ({display(its.metric.origin)}; here {display(own.metric.origin)})."
    if not same_tokens(bundle, other):
        yield f"The rows of {name} are of other tokens than those of {display(bundle.name)}."
