"""A bundle against itself: its files' bytes, a sample of its graphs in float64 and by FAISS, the quadratic form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row, nested_rows
from index.answers.page import Block, Words, facts, passed
from index.bundle.bundle import Bundle, Space
from index.bundle.checksums import file_sha256, unreadable
from index.bundle.manifest import FLAT, MANIFEST
from index.checks.brute import nearest_points
from index.checks.crosscheck import QuadraticForm, check_quadratic_form
from index.checks.deep import DeepCheck, deep_check, lists_json
from index.checks.stored_lists import ListCheck, check_list, total
from index.checks.through_faiss import FaissCheck, check_through_faiss
from index.geometry.maps import Geometry, row_distances
from index.measures.density import Rule
from index.progress import Progress, Share, silent
from index.questions.asking.parameters import PAIRS, POSITIVE
from index.questions.asking.question import Doc
from index.tokens.display import display

_SEED = 42

ROUNDING = 1e-12
"""What float64 sums in another order leave of a difference: its digits depend on the processor and say nothing."""


@dataclass(frozen=True)
class Verification(Answer):
    """What `verify` found; damaged files are no finding but an error."""

    files: int  # checked against their SHA-256
    bytes: int  # of these files
    unlisted: tuple[str, ...]  # names of files in the folder that are none of the bundle's
    graphs: dict[Geometry, ListCheck]  # lists of random tokens, by float64 brute force over points
    faiss: dict[Geometry, FaissCheck]  # of the densest token and those, as the FAISS indexes themselves answer
    quadratic_form: QuadraticForm
    deep: DeepCheck | None  # against gamma itself, where that was asked for
    versions: dict[str, str]  # of what built it
    coarse: dict[Geometry, str]  # spaces whose resolution is more than a hundredth of usual distances, in words

    no = "it is wrong"
    columns: ClassVar = {"name": str, "value": str}

    @property
    def passed(self) -> bool:
        """Whether everything that was checked is right."""
        lists = all(check.passed for check in self.graphs.values())
        lists = lists and all(check.passed for check in self.faiss.values())
        return lists and self.quadratic_form.passed and (self.deep is None or self.deep.passed)

    @property
    def refusal(self) -> str | None:
        """What to do where something is wrong."""
        return None if self.passed else "the bundle is wrong: build it again"

    def rows(self) -> list[Row]:
        """Return one record for each figure, named as its path in the JSON: `graphs.causal.wrong`."""
        return nested_rows(self.json())

    def page(self) -> list[Block]:
        """Return the outcome of every part."""
        form = self.quadratic_form
        rows: list[tuple[str, Words]] = [
            ("verification", passed(self.passed)),
            ("files", f"{self.files} with {self.bytes / 1e6:,.0f} MB are what was written"),
        ]
        if self.unlisted:
            rows.append(("  not of the bundle", ", ".join(map(display, self.unlisted))))
        rows.append(("graphs", "stored lists against float64 brute force over the points"))
        for geometry, check in self.graphs.items():
            rows.append(_list_line(geometry, check))
            if geometry in self.coarse:
                rows.append(("    note", self.coarse[geometry]))
        rows.append(("FAISS indexes", "stored lists against what they answer, in float32"))
        rows += [_faiss_line(geometry, check) for geometry, check in self.faiss.items()]
        worst = max(form.random.worst_error, form.nearest.worst_error)
        pairs = form.random.pairs + form.nearest.pairs
        rows.append(
            ("quadratic form", f"{passed(form.passed)}  {pairs:,} pairs, worst difference {worst:.3g} logometers")
        )
        if self.deep is not None:
            rows += _deep_lines(self.deep)
        rows.append(("built by", ", ".join(" ".join(each) for each in self.versions.items())))
        return [facts(rows)]

    def json(self) -> dict[str, Any]:
        """Return what was found as `verify` prints it."""
        return {
            "passed": self.passed,
            "files": {"checked": self.files, "bytes": self.bytes, "unlisted": list(self.unlisted)},
            "graphs": lists_json(self.graphs),
            "faiss": {geometry.value: check.json() for geometry, check in self.faiss.items()},
            "quadratic_form": {"passed": self.quadratic_form.passed, **asdict(self.quadratic_form)},
            "deep": None if self.deep is None else self.deep.json(),
            "versions": self.versions,
            "coarse": {geometry.value: said for geometry, said in self.coarse.items()},
        }


def verify(
    bundle: Bundle,
    *,
    rows: Annotated[int, Doc("Random tokens whose lists are found again in float64."), POSITIVE] = 100,
    pairs: Annotated[int, Doc("Random, and nearest, pairs for the quadratic form."), PAIRS] = 20_000,
    deep: Annotated[bool, Doc("Also against float64 brute force over the model's own rows, and M anew.")] = False,
    deep_rows: Annotated[int, Doc("Random tokens for that."), POSITIVE] = 1000,
    progress: Progress = silent,
) -> Verification:
    """Check a bundle: every byte, a sample of its graphs in float64, the quadratic form.

    Example: uv run query.py verify --deep

    Both FAISS indexes are asked for the same lists, and for the densest token's, by FAISS alone. Damaged files are no
    finding but a BundleError, which names them all.
    """
    _check_files(bundle, progress)
    files = bundle.checksums.files
    present = {path.name for path in bundle.folder.iterdir()}
    sample = _sample(len(bundle), rows)
    graphs = {
        geometry: _check_graph(space, sample, partial(progress, f"{geometry.label} lists"))
        for geometry, space in bundle.spaces.items()
    }
    densest = int(np.argmax(bundle.densities(Rule.NOTEBOOK)))
    asked = np.union1d(sample, densest)
    by_faiss = {
        geometry: check_through_faiss(
            bundle.spaces[geometry], asked, partial(progress, f"{geometry.label} lists through FAISS")
        )
        for geometry in map(Geometry, FLAT)
    }
    found = None
    if deep:
        found = deep_check(bundle, _sample(len(bundle), deep_rows), partial(progress, "lists from gamma"))
    return Verification(
        len(files),
        sum(facts.bytes for facts in files.values()),
        tuple(sorted(present - set(files) - {MANIFEST})),
        graphs,
        by_faiss,
        check_quadratic_form(bundle, pairs),
        found,
        dict(bundle.manifest.versions),
        {geometry: said for geometry, space in bundle.spaces.items() if (said := space.facts.coarse) is not None},
    )


def _sample(V: int, count: int) -> np.ndarray:
    drawn: np.ndarray = np.random.default_rng(_SEED).permutation(V)[: min(count, V)]
    return np.sort(drawn)


def _check_files(bundle: Bundle, progress: Progress) -> None:
    files = bundle.checksums.files
    damaged = []
    for done, (name, written) in enumerate(files.items(), start=1):
        path = bundle.folder / name
        try:
            if file_sha256(path) != written.sha256:
                damaged.append(name)
        except FileNotFoundError:
            damaged.append(name)
        except OSError as error:
            raise unreadable(path, error) from error
        progress("files", done / len(files))
    if damaged:
        raise bundle.checksums.not_as_written(f"{bundle.folder}: {', '.join(damaged)} not as written")


def _check_graph(space: Space, rows: np.ndarray, progress: Share) -> ListCheck:
    """Check the stored lists of some rows against float64 brute force over the points."""
    K = space.ids.shape[1]

    def checks() -> Iterator[ListCheck]:
        found = nearest_points(space.points, rows, K, space.excluded)
        for done, (row, (nearest_ids, distances)) in enumerate(zip(rows.tolist(), found, strict=True), 1):
            ids = space.ids[row].astype(np.int64)
            exact = row_distances(space.points[np.maximum(ids, 0)], space.points[row])  # not read where an id is -1
            nearest = np.full((K, 2), (-1, np.inf))
            nearest[: len(nearest_ids)] = np.column_stack([nearest_ids, distances])
            yield check_list(ids, space.distances[row], exact, nearest, row, space.resolution)
            progress(done / len(rows))

    return total(checks(), space.resolution)


def _deep_lines(deep: DeepCheck) -> list[tuple[str, Words]]:
    difference = f"less than {ROUNDING:g}" if deep.metric_difference < ROUNDING else f"{deep.metric_difference:.2g}"
    metric = f"computed again, differs by {difference} of its largest entry"
    if not deep.metric_recomputed:
        metric = "as stored: it was given, or comes from more tokens"
    lists = (_list_line(geometry, check) for geometry, check in deep.lists.items())
    return [("deep", "stored lists against float64 brute force over gamma itself"), *lists, ("  M", metric)]


def _list_line(geometry: Geometry, check: ListCheck) -> tuple[str, Words]:
    unit = "of the chord" if geometry.angular else "logometers"
    return (
        f"  {geometry.label}",
        f"{passed(check.passed)}  {check.rows:,} tokens, {check.ids:,} ids: {check.differing:,} differ, "
        f"{check.wrong:,} beyond ties; worst error {check.worst_error:.2g}, resolution {check.tolerance:.2g} {unit}",
    )


def _faiss_line(geometry: Geometry, check: FaissCheck) -> tuple[str, Words]:
    """Return no figure that depends on the processor: the errors of FAISS's sums do."""
    known = f"{check.absolute:.1g}" if geometry.angular else f"{check.relative:.1g} of them"
    said = f"{check.rows:,} tokens, {check.ids:,} ids: {check.wrong:,} beyond what float32 can tell"
    return f"  {geometry.label}", f"{passed(check.passed)}  {said}, squared distances to {known}"
