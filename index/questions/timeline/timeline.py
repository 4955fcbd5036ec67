"""`timeline`: what becomes of a vocabulary over the steps of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from index.bundle.bundle import Bundle, open_bundle
from index.bundle.sweep import Step, Sweep, read_sweep
from index.errors import BundleError, ParameterError, parameter
from index.geometry.maps import Geometry
from index.geometry.views import View
from index.measures.density import Rule, tied_with
from index.measures.overlap import chance
from index.measures.overlaps import overlap_at, overlaps
from index.measures.partitions import GroupChanges, group_changes, same_rows
from index.progress import Progress, silent
from index.questions.evaluate.evaluate import evaluate
from index.questions.evaluate.figures import PairFigures
from index.questions.timeline.steps import Agreed, Densities, Judged, StepFacts, Timeline

TOP = 10
QUARTILES = (25, 50, 75)


def timeline(
    folder: str | Path,
    *,
    top: int = TOP,
    judgments: Sequence[Path] | None = None,
    progress: Progress = silent,
) -> Timeline:
    """Follow a vocabulary over the steps of a sweep: rows, twins, densities, lists, each against the step before.

    Parameters
    ----------
    folder : str or Path
        What `build_index.py --sweep` was given as `--out`.
    top : int
        Length of the lists that are compared.
    judgments : sequence of Path, optional
        Evaluate each step on these files; none of them: on the sets that gensim carries. None: do not.

    Raises
    ------
    BundleError
        When the folder is no sweep, no step has a bundle, or one of them is damaged.
    ParameterError
        When the steps have other tokens than the first.
    """
    folder = Path(folder)
    sweep = read_sweep(folder)
    steps = [step for step in sweep.steps if step.built]
    if not steps:
        raise BundleError(f"no step of {folder} has a bundle; run `build_index.py --sweep` again")
    walk = _Walk(folder, sweep, steps, top, judgments)
    found = []
    for number, step in enumerate(steps):
        progress("steps", number / len(steps))
        found.append(walk.facts(step))
    progress("steps", 1)
    missing = tuple(step.name for step in sweep.steps if not step.built)
    return Timeline(str(folder), top, tuple(found), missing)


class _Walk:
    """Goes from step to step, with the first, the last and the one before at hand."""

    def __init__(
        self, folder: Path, sweep: Sweep, steps: Sequence[Step], top: int, judgments: Sequence[Path] | None
    ) -> None:
        self.folder, self.sweep, self.top, self.judgments = folder, sweep, top, judgments
        self.steps = steps
        self.first, self.last = self._open(steps[0]), self._open(steps[-1])
        for step in steps[1:]:
            self._require_tokens(step)
        most = min(self.first.manifest.K, len(self.first) - 1)
        if not 1 <= top <= most:
            raise ParameterError(f"{parameter('top')} must be from 1 to {most}, the neighbors kept, got: {top}")
        self.still = np.ones(len(self.first), bool)  # which rows were the same at all steps so far
        self.before: Bundle | None = None

    def facts(self, step: Step) -> StepFacts:
        """Return the facts of the next step."""
        bundle = self._open(step)
        moved, changes = self._since(bundle)
        twins = bundle.twins.first
        sizes = np.bincount(twins)
        facts = StepFacts(
            step=step.name,
            source=step.source,
            same_as=step.same_as,
            tokens=len(bundle),
            distinct=len(np.unique(twins)),
            groups=int((sizes > 1).sum()),
            twins=int(sizes[sizes > 1].sum()),
            changes=changes,
            moved=moved,
            never_moved=int(self.still.sum()),
            densities=_densities(bundle),
            overlap=_agreed(bundle, Geometry.CAUSAL, bundle, Geometry.COSINE, self.top),
            before=self._lists(bundle, self.before),
            last=self._lists(bundle, None if step is self.steps[-1] else self.last),
            judged=() if self.judgments is None else tuple(_judged(bundle, self.judgments)),
        )
        self.before = bundle
        return facts

    def _open(self, step: Step) -> Bundle:
        return open_bundle(self.sweep.folder(self.folder, step))

    def _require_tokens(self, step: Step) -> None:
        bundle = self._open(step)
        first = self.first
        same = np.array_equal(first.vocabulary.token_ids, bundle.vocabulary.token_ids)
        if not same or not first.vocabulary.texts.equals(bundle.vocabulary.texts):
            raise ParameterError(
                f"{step.name} has other tokens ({len(bundle):,}) than {first.name} ({len(first):,}): "
                "a timeline follows the same tokens from step to step"
            )

    def _since(self, bundle: Bundle) -> tuple[int | None, GroupChanges | None]:
        """Return how many rows have moved since the step before, and what became of the groups of twins."""
        before = self.before
        if before is None:
            return None, None
        alike = before.gamma.shape == bundle.gamma.shape and before.gamma.dtype == bundle.gamma.dtype
        same = same_rows(before.gamma, bundle.gamma) if alike else np.zeros(len(bundle), bool)
        self.still &= same
        return int((~same).sum()), group_changes(before.twins.first, bundle.twins.first)

    def _lists(self, bundle: Bundle, other: Bundle | None) -> dict[Geometry, Agreed]:
        if other is None:
            return {}
        return {geometry: _agreed(bundle, geometry, other, geometry, self.top) for geometry in Geometry}


def _densities(bundle: Bundle) -> Densities:
    """Return where the densities of all tokens lie; those of rows without a point are left out."""
    space = bundle.causal
    rows = np.setdiff1d(np.arange(len(bundle)), space.excluded)
    densities = bundle.densities(Rule.DISTINCT)[rows]
    low, median, high = np.percentile(densities, QUARTILES).tolist()
    best = int(densities.argmax())
    with np.errstate(divide="ignore"):
        means = 1 / densities
    tied = len(tied_with(means, float(means[best]), space.resolution))
    return Densities(bundle.vocabulary.token(int(rows[best])), float(densities[best]), tied, low, median, high)


def _agreed(a: Bundle, of: Geometry, b: Bundle, against: Geometry, top: int) -> Agreed:
    """Return how far the lists of all tokens agree that have one in both."""
    first, second = a.spaces[of], b.spaces[against]
    found = overlaps(first.lists, second.lists, top)
    rows = np.flatnonzero(~np.isnan(found.counts))
    if len(rows) == 0:
        return Agreed(0, float("nan"), float("nan"), float("nan"), float("nan"))
    V = len(a)
    others = [V - len(excluded) - 1 for excluded in (first.excluded, second.excluded)]
    both = V - len(np.union1d(first.excluded, second.excluded)) - 1
    at = overlap_at(found.of(rows), float(chance(top, others[0], others[1], both)))
    return Agreed(len(rows), at.mean, at.lowest, at.highest, at.chance)


def _judged(bundle: Bundle, files: Sequence[Path]) -> Iterator[Judged]:
    for each in evaluate(bundle, tuple(files) or None).sets:
        figures = {geometry: each.figures[View(geometry)] for geometry in Geometry}
        of_pairs = all(isinstance(figure, PairFigures) for figure in figures.values())
        values = {
            geometry: float(figure.spearman if isinstance(figure, PairFigures) else figure.top1)
            for geometry, figure in figures.items()
        }
        yield Judged(each.name, "spearman" if of_pairs else "top1", each.covered, values)
