"""`axes`: the tokens at both ends of the directions in which a vocabulary varies most, or least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Row, json_number
from index.answers.page import TEXT, Block, Heading, Sentence, Words, facts, table
from index.bundle.bundle import Bundle
from index.geometry.blocks import row_slices
from index.geometry.metric import Axis, axes_of
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import TOKENS, Among, Without
from index.questions.asking.question import Doc
from index.questions.asking.reading import AxisNumbers
from index.questions.enrich.rankings import along_axis
from index.questions.enrich.sets_in_order import LEVEL, Enriched, sets_in_order
from index.questions.lists.lists import PIECE, TOKEN_COLUMNS, among_facts, among_json
from index.questions.lists.marks import Mark, legend, marks_of, signs
from index.tokens.vocabulary import Token

USUAL_LENGTH = 10
ENDS = ("positive", "negative")


@dataclass(frozen=True)
class Along:
    """A token's place on an axis."""

    place: int  # from the end, from 1
    token: Token
    projection: float  # of its row of gamma less the mean row on the unit vector, in gamma's own unit
    logometers: float  # the same, as the causal metric measures it
    marks: tuple[Mark, ...]

    def json(self) -> dict[str, Any]:
        """Return the place with its token's fields among its own."""
        return {
            "place": self.place,
            **self.token.json(),
            **self._figures(),
            "marks": [each.value for each in self.marks],
        }

    def record(self) -> Row:
        """Return the place as a flat record."""
        return {"place": self.place, **self.token.json(), **self._figures(), "marks": " ".join(self.marks)}

    def _figures(self) -> dict[str, Any]:
        return {"projection": self.projection, "logometers": self.logometers, "tied": Mark.TIED in self.marks}


@dataclass(frozen=True, eq=False)
class Listed:
    """An axis with the tokens at its ends."""

    axis: Axis
    ends: dict[str, tuple[Along, ...]]  # by the names of `ENDS`, the farthest first
    sets: tuple[Enriched, ...] | None = None  # those of a high score stand at the positive end; None: not asked for


@dataclass(frozen=True)
class Axes(AmongSome):
    """Axes of the metric, with the tokens at their ends."""

    of: str  # what the eigenvalues are of: `Cov(gamma)`, or `the inverse of M` where M was given
    dimensions: int  # D
    axes: tuple[Listed, ...]
    among: Subset | None = None  # what the ends keep to; axes are of the whole vocabulary

    columns: ClassVar = {
        "rank": int,
        "eigenvalue": float,
        "share": float,
        "end": str,
        "place": int,
        **TOKEN_COLUMNS,
        "projection": float,
        "logometers": float,
        "tied": bool,
        "marks": str,
        **PIECE,
    }

    def rows(self) -> list[Row]:
        """Return one record for each token at an end."""
        return [
            {"rank": each.axis.rank, "eigenvalue": each.axis.eigenvalue, "share": each.axis.share, "end": end}
            | along.record()
            for each in self.axes
            for end, listed in each.ends.items()
            for along in listed
        ]

    def json(self) -> dict[str, Any]:
        """Return shares from 0 to 1; `alike` are the first and last rank that cannot be told apart from the axis's."""
        return {
            "of": self.of,
            "dimensions": self.dimensions,
            "axes": [
                {
                    "rank": each.axis.rank,
                    "eigenvalue": each.axis.eigenvalue,
                    "share": json_number(each.axis.share),
                    "eigenvalue_of_M": each.axis.of_m,
                    "alike": list(each.axis.alike),
                    **{end: [along.json() for along in listed] for end, listed in each.ends.items()},
                    **({} if each.sets is None else {"sets": [vars(one) for one in each.sets]}),
                }
                for each in self.axes
            ],
            **among_json(self.among),
        }

    def page(self) -> list[Block]:
        """Return each axis with its eigenvalues and both its ends, and how it is to be read."""
        blocks: list[Block] = [facts(among_facts(self.among))] if self.among is not None else []
        for each in self.axes:
            blocks += self._blocks(each)
        marks = [
            mark for each in self.axes for listed in each.ends.values() for along in listed for mark in along.marks
        ]
        said = [
            "projections are of rows less the mean row, on the unit eigenvector, in gamma's unit; then in logometers",
            "the sign of an axis is arbitrary: its largest coordinate is made positive",
            *legend(marks),
        ]
        if any(each.sets for each in self.axes):
            said.append(f"{_SETS_READING}: `enrich` along an axis has all figures")
        if self.of != "Cov(gamma)":
            said.insert(0, "M was given: eigenvalues are of its inverse, and need be no variance of this vocabulary")
        return [*blocks, *(Sentence(each, aside=True) for each in said)]

    def _blocks(self, each: Listed) -> list[Block]:
        axis = each.axis
        first, last = axis.alike
        rows: list[tuple[str, Words]] = [
            ("eigenvalue", f"{axis.eigenvalue:.6g} of {self.of}, {100 * axis.share:.3g} % of the trace"),
            ("  of M", f"{axis.of_m:.6g}"),
        ]
        blocks: list[Block] = [Heading(f"Axis {axis.rank:,} of {self.dimensions:,}"), facts(rows)]
        if first < last:
            said = (
                f"No axis by itself: eigenvalues {first:,} to {last:,} follow each other closer than another "
                "vocabulary as large would move them. Axes there may as well be turned among those beside them: "
                "the ends of a single one mean nothing."
            )
            blocks.append(Sentence(said))
        for end, listed in each.ends.items():
            lines = (
                (
                    str(along.token.id),
                    f"{along.projection:.6g}",
                    f"{along.logometers:.4f}",
                    signs(along.marks),
                    along.token,
                )
                for along in listed
            )
            blocks += [
                Heading(f"Axis {axis.rank:,}, {end} end"),
                table(("id", "projection", "logometers", "", TEXT), lines),
            ]
        return blocks if each.sets is None else [*blocks, Sentence(_sets_said(each.sets))]


_SETS_READING = "sets: scripts, kinds and those with names; in brackets the score, from -1 to 1"
_MOST_SETS = 5
"""So many sets are named at each end."""


def _sets_said(sets: tuple[Enriched, ...]) -> str:
    found = [each for each in sets if each.q <= LEVEL]
    ends = ([each for each in found if each.score > 0], [each for each in reversed(found) if each.score < 0])
    said = [
        f"{end} end: {', '.join(f'{each.name} ({each.score:+.2f})' for each in some[:_MOST_SETS])}"
        for end, some in zip(ENDS, ends, strict=True)
        if some
    ]
    at = f"at a false discovery rate of {100 * LEVEL:.0f} %"
    return f"Sets that stand at the {'; the '.join(said)} ({at})." if said else f"No set stands at either end {at}."


def axes(
    bundle: Bundle,
    *,
    rank: Annotated[
        AxisNumbers | None,
        Doc(
            "Axes by their eigenvalues: 1 is of the largest, last of the smallest.", metavar="N,...", default="1,2,last"
        ),
    ] = None,
    top: Annotated[int | None, Doc("Tokens listed at each end.", default="10, or all"), TOKENS] = None,
    among: Among = None,
    without: Without = None,
    enriched: Annotated[
        bool,
        Doc(
            "Say which scripts, kinds and named sets stand at either end, as `enrich --axis` does.",
            on_page="Say which scripts, kinds and named sets stand at either end, as enrich does along an axis.",
        ),
    ] = False,
) -> Axes:
    """The tokens at both ends of eigenvectors of Cov(gamma), how much variance each holds, and its eigenvalue in M.

    Example: uv run query.py axes --rank 1,2,last --without @untrained

    Axes are of the whole vocabulary, whatever tokens are listed. Those whose eigenvalues lie close span a plane, or
    more, in which no single axis means anything; it is said where that is so (North, Bell, Cahalan and Moeng, "Sampling
    Errors in the Estimation of Empirical Orthogonal Functions", Monthly Weather Review 1982: an eigenvalue is off by
    about sqrt(2 / V) of itself).

    >>> answer = index.open("data/indexes/smollm2-135m").axes(rank=1, top=1)
    >>> round(answer.axes[0].axis.eigenvalue, 4)
    0.6358
    """
    some = kept(bundle, among, without)
    D = len(bundle.metric.mean)
    found = [
        axes_of(bundle.metric, bundle.manifest.source.rows, int(each))
        for each in (dict.fromkeys((1, min(2, D), D)) if rank is None else rank)
    ]
    rows = np.arange(len(bundle)) if some is None else some.rows
    projections, longest = _projections(bundle, np.stack([axis.vector for axis in found], axis=1), rows)
    slack = D * 2.0**-51 * longest  # of a sum of D products in float64, twice
    length = USUAL_LENGTH if top is None else top
    listed = [
        Listed(
            axis,
            {end: _end(bundle, axis, rows, sign * along, sign, length, slack) for end, sign in _SIGNS},
            sets_in_order(bundle, along_axis(bundle, axis.rank).values, some).sets if enriched else None,
        )
        for axis, along in zip(found, projections.T, strict=True)
    ]
    of = "Cov(gamma)" if bundle.metric.ridge is not None else "the inverse of M"
    return Axes(of, D, tuple(listed), some)


_SIGNS = tuple(zip(ENDS, (1, -1), strict=True))


def _projections(bundle: Bundle, vectors: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the projections of rows of gamma less the mean on unit vectors (D, A), (n, A), and the longest row."""
    found, longest = np.empty((len(rows), vectors.shape[1])), 0.0
    for where in row_slices((len(rows), len(vectors))):
        block = bundle.gamma[rows[where]].astype(np.float64)
        longest = max(longest, float(np.linalg.norm(block, axis=1).max()))
        block -= bundle.metric.mean
        found[where] = block @ vectors
    return found, longest


def _end(
    bundle: Bundle, axis: Axis, rows: np.ndarray, along: np.ndarray, sign: int, length: int, slack: float
) -> tuple[Along, ...]:
    """Return the `length` rows farthest along, ties by row: tied is what is no further from the one before or after."""
    order = np.lexsort((rows, -along))
    close = np.abs(np.diff(along[order], prepend=np.inf, append=-np.inf)) <= slack
    tied = close[:-1] | close[1:]
    return tuple(
        Along(
            place,
            bundle.vocabulary.token(int(rows[at])),
            float(sign * along[at]),
            float(sign * along[at] * np.sqrt(axis.of_m)),
            marks_of(bundle, int(rows[at]), tied=bool(is_tied)),
        )
        for place, (at, is_tied) in enumerate(zip(order[:length], tied[:length], strict=True), 1)
    )
