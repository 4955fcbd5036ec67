"""The built points against what they must equal: a stored distance matrix, and the quadratic form itself.

Nothing here uses the spaces: distances come from differences of stored points, the quadratic form from gamma and M.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row, jsonable, nested_rows
from index.answers.page import Block, Words, counted, facts, passed
from index.bundle.bundle import Bundle
from index.measures.pairs import random_pairs
from index.progress import Progress, silent
from index.questions.asking.parameters import PAIRS
from index.questions.asking.question import Doc
from index.tokens.display import display

if TYPE_CHECKING:
    from index.bundle.manifest import DecadeFacts, MatrixFacts
    from index.checks.matrix import Decade, MatrixCheck

_PAIRS_PER_BLOCK = 4096
_SEED = 42


@dataclass(frozen=True)
class PairCheck:
    """Points against the quadratic form, over some pairs."""

    pairs: int
    worst_error: float  # in logometers
    worst_ids: tuple[int, int]  # the two tokens it stands between


@dataclass(frozen=True)
class QuadraticForm:
    """Distances between points against sqrt((x - y)^T M (x - y)), both in float64."""

    random: PairCheck  # pairs of random tokens
    nearest: PairCheck  # pairs of a random token and one of its neighbors
    tolerance: float  # the resolution of the causal space, in logometers

    @property
    def passed(self) -> bool:
        """Whether no pair differs by more than the tolerance."""
        return max(self.random.worst_error, self.nearest.worst_error) <= self.tolerance


@dataclass(frozen=True)
class CrossCheck(Answer):
    """What a cross-check found."""

    matrix: MatrixCheck | None  # None where no stored matrix was named
    quadratic_form: QuadraticForm

    no = "they differ"
    columns: ClassVar = {"name": str, "value": str}

    @property
    def passed(self) -> bool:
        """Whether both parts passed."""
        return self.quadratic_form.passed and (self.matrix is None or self.matrix.passed)

    @property
    def refusal(self) -> str | None:
        """What differs, where something does."""
        if self.passed:
            return None
        cause = None if self.matrix is None else self.matrix.cause
        return f"the cross-check failed: {cause or 'the quadratic form differs'}"

    def rows(self) -> list[Row]:
        """Return one record for each figure, named as its path in the JSON: `quadratic_form.random.worst_error`."""
        return nested_rows(self.json())

    def page(self) -> list[Block]:
        """Return the outcome of both parts."""
        form = self.quadratic_form
        rows: list[tuple[str, Words]] = [
            ("quadratic form", passed(form.passed)),
            ("  tolerance", f"{form.tolerance:.3g} logometers, the resolution of the causal space"),
            ("  random pairs", _pair_line(form.random)),
            ("  nearest pairs", _pair_line(form.nearest)),
        ]
        return [facts(rows if self.matrix is None else rows + _matrix_rows(self.matrix))]

    def json(self) -> dict[str, Any]:
        """Return the check as `crosscheck` prints it and a bundle's manifest keeps it."""
        form = self.quadratic_form
        return {
            "passed": self.passed,
            "matrix": None if self.matrix is None else {"passed": self.matrix.passed, **jsonable(self.matrix)},
            "quadratic_form": {
                "passed": form.passed,
                "tolerance": form.tolerance,
                "random": asdict(form.random),
                "nearest": asdict(form.nearest),
            },
        }


def crosscheck(
    bundle: Bundle,
    *,
    distances: Annotated[Path | None, Doc("A stored distance matrix: .npy (full), .pt (compressed).")] = None,
    pairs: Annotated[int, Doc("Random, and nearest, pairs for the quadratic form."), PAIRS] = 100_000,
    progress: Progress = silent,
) -> CrossCheck:
    """Check the causal distances against (x - y)^T M (x - y), and against a stored matrix.

    Example: uv run query.py crosscheck --distances distances_causal_32000.pt

    Raises DistancesError when `distances` is no distance matrix.
    """
    checking = partial(progress, "checking the stored distances")
    if distances is None:
        return CrossCheck(None, check_quadratic_form(bundle, pairs))
    from index.checks.matrix import check_matrix

    matrix = check_matrix(bundle, distances, checking)
    return CrossCheck(matrix, check_quadratic_form(bundle, pairs))


def check_quadratic_form(bundle: Bundle, pairs: int) -> QuadraticForm:
    """Compare distances between points with the quadratic form, over random and over nearest pairs."""
    V, K = bundle.causal.ids.shape
    draw = np.random.default_rng(_SEED)
    random = random_pairs(draw, V, pairs)
    left = draw.integers(V, size=pairs)
    nearest = (left, bundle.causal.ids[left, draw.integers(K, size=pairs)].astype(np.int64))
    return QuadraticForm(_check_pairs(bundle, *random), _check_pairs(bundle, *nearest), bundle.causal.resolution)


def _check_pairs(bundle: Bundle, left: np.ndarray, right: np.ndarray) -> PairCheck:
    gamma, points, M = bundle.gamma, bundle.causal.points, bundle.metric.matrix
    errors = np.empty(len(left))
    for start in range(0, len(left), _PAIRS_PER_BLOCK):
        a, b = left[start : start + _PAIRS_PER_BLOCK], right[start : start + _PAIRS_PER_BLOCK]
        difference = gamma[a].astype(np.float64) - gamma[b].astype(np.float64)
        squares = np.einsum("ij,ij->i", difference @ M, difference)
        step = points[a].astype(np.float64) - points[b].astype(np.float64)
        errors[start : start + len(a)] = np.abs(np.linalg.norm(step, axis=1) - np.sqrt(np.maximum(squares, 0)))
    worst = int(np.argmax(errors))
    ids = bundle.vocabulary.token_ids
    return PairCheck(len(left), float(errors[worst]), (int(ids[left[worst]]), int(ids[right[worst]])))


def _pair_line(check: PairCheck) -> str:
    a, b = check.worst_ids
    return f"{check.pairs:,}, worst difference {check.worst_error:.3g} logometers (#{a}, #{b})"


def _matrix_rows(check: MatrixCheck) -> list[tuple[str, Words]]:
    rows: list[tuple[str, Words]] = [("stored matrix", f"{passed(check.passed)}  {display(check.path)}")]
    if check.cause is not None:
        rows.append(("  cause", display(check.cause)))
    if check.worst_ids is None or check.rtol is None or check.atol is None:
        return rows
    a, b = check.worst_ids
    rows += [
        ("  born in", f"{check.born}: |d - D| <= {check.rtol:.3g} d + {check.atol:.3g} + e / (d + D)"),
        ("  e", f"{check.expansion:.3g} (|x|^2 + |y|^2), so up to {check.at_zero:.3g} logometers at d = 0"),
        ("  entries", f"{check.entries:,}, {check.within_share:.4%} within tolerance"),
        ("  too small", too_small(check)),
        ("  worst error", f"{check.worst_error:.6g} logometers (#{a}, #{b})"),
        *((decade_name(each), decade_line(each)) for each in check.decades),
        ("  neighbor lists", f"{check.rows_agreeing:,} of {check.rows_checked:,} rows agree up to ties ({check.k})"),
    ]
    if check.unfit is not None:
        rows.append(("  neighbors", check.unfit))
    return rows


def too_small(check: MatrixCheck | MatrixFacts) -> str:
    """Say how many entries are too small to be checked."""
    if not check.hidden:
        return "none is too small to be checked"
    return f"{check.hidden:,} entries in {counted(check.hidden_rows, 'row')}: 0 in their place would pass, too"


def decade_name(decade: Decade | DecadeFacts) -> str:
    """Return the distances of a decade."""
    if decade.stop is None:
        return f"    from {decade.start:g}"
    return f"    {decade.start:g} to {decade.stop:g}"


def decade_line(decade: Decade | DecadeFacts) -> str:
    """Return the worst error in a decade, and among how many entries."""
    beyond = f", {decade.beyond:,} beyond tolerance" if decade.beyond else ""
    worst = "no finite number" if decade.worst_error is None else f"{decade.worst_error:.3g}"
    return f"{worst} among {decade.entries:,} entries{beyond}"
