"""What a page says of a token, a question and a bundle that no answer says of itself, as blocks of facts and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath

from msgspec import structs

from index.answers.page import TEXT, Facts, Table, Words, as_length, counted, facts, passed, table
from index.bundle.manifest import CrossCheckFacts, FormFacts, Manifest, MatrixFacts
from index.checks.crosscheck import decade_line, decade_name, too_small
from index.checks.matrix import unfit
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.pictures.numbers.densities import unit
from index.pictures.numbers.series import NeighborhoodSeries, called
from index.questions.info import info_facts
from index.questions.lists.lists import Neighbor
from index.questions.lists.marks import signs
from index.questions.neighbors import Neighborhood
from index.tokens.display import display
from index.tokens.vocabulary import Token

LISTED_TWINS = 20


def token_facts(found: Neighborhood, series: NeighborhoodSeries) -> Facts:
    """Return what there is to say of one token."""
    ids = [("id", str(found.token.id)), ("row", str(found.token.row))]
    return facts(
        [*ids, *density_facts(found, series), ("twins", _twins(found.twins)), ("hubness", found.hubness_said())]
    )


def density_facts(found: Neighborhood, series: NeighborhoodSeries) -> list[tuple[str, str]]:
    """Return how dense it is where a token lies."""
    if series.denser_than is None:
        return found.density_facts()
    rule = "" if found.rule is series.densities.rule else f" (rule '{series.densities.rule.value}')"
    return [*found.density_facts(), ("denser than", f"{series.denser_than} of all tokens{rule}")]


def _twins(twins: Sequence[Token]) -> str:
    if not twins:
        return "none"
    listed = twins[:LISTED_TWINS]
    named = ", ".join(called(twin) if twin.text is None else f"{called(twin)} #{twin.id}" for twin in listed)
    more = f" and {len(twins) - LISTED_TWINS} more" if len(twins) > LISTED_TWINS else ""
    return f"{len(twins)}: {named}{more}"


def list_table(geometry: Geometry, listed: Sequence[Neighbor]) -> Table:
    """Return a neighbor list."""
    measures = ("similarity", unit(geometry)) if geometry.angular else (unit(geometry),)
    return table(("rank", "id", *measures, "hubness", "marks", TEXT), map(_place, listed))


def _place(neighbor: Neighbor) -> tuple[Words, ...]:
    similarity = [] if neighbor.similarity is None else [f"{neighbor.similarity:.6f}"]
    figures = (*similarity, as_length(neighbor.distance), f"{neighbor.hubness:,.0f}")
    return (str(neighbor.rank), str(neighbor.token.id), *figures, signs(neighbor.marks), neighbor.token)


def question_facts(names: Sequence[str], answers: Sequence[Neighborhood], top: int) -> Facts:
    """Return what was asked about, by which settings, for lists of which length."""
    found = answers[0]
    rules = {
        Rule.NOTEBOOK: "zero distances of twins are left out",
        Rule.DISTINCT: "twins are taken as one vector",
        Rule.MULTISET: "zero distances of twins are counted",
    }
    rows = [
        ("nearest tokens of", ", ".join(names)),
        ("geometries compared", " and ".join(geometry.words for geometry in found.lists)),
        ("length of lists", str(top)),
        ("density", f"1 / mean distance to {counted(found.density_k, 'neighbor')}"),
        *(("rule", f"{rule.value}: {rules[rule]}") for rule in dict.fromkeys(each.rule for each in answers)),
    ]
    if found.among is not None:
        rows.append(("among", f"{display(found.among.name)}: {len(found.among):,} tokens"))
    return facts(rows)


def mailed(manifest: Manifest) -> Manifest:
    """Return a manifest without the folders of whoever built the bundle: a page is given to others."""
    source, metric, control = manifest.source, manifest.metric, manifest.control
    return structs.replace(
        manifest,
        source=structs.replace(source, location=without_folders(source.location)),
        metric=structs.replace(metric, origin=without_folders(metric.origin)),
        control=None if control is None else replace(control, source=without_folders(control.source)),
    )


def bundle_facts(manifest: Manifest) -> Facts:
    """Return what was asked: which matrix, and how it was indexed."""
    rows = [row for row in info_facts(mailed(manifest)) if row[0] != "cross-check"]
    return facts([("name", manifest.name), *rows])


def without_folders(location: str) -> str:
    """Return the last part of a path that begins at a root or leaves where it began, anything else as it is."""
    for path in (PurePosixPath(location), PureWindowsPath(location)):
        if path.is_absolute() or path.parts[:1] in ((".",), ("..",), ("~",)):
            return path.name
    return location


def files_table(manifest: Manifest, checksum: str) -> Table:
    """Return the files of a bundle with their SHA-256; `checksum` is that of the manifest, which holds all others."""
    rows = [("manifest.json", "", checksum)]
    rows += [(name, f"{file.bytes:,}", file.sha256) for name, file in manifest.files.items()]
    return table(("file", "bytes", "sha256"), rows)


def crosscheck_facts(stored: CrossCheckFacts | None) -> Facts:
    """Return the outcome of the cross-check that a manifest keeps."""
    if stored is None:
        return facts([("outcome", "not run when the bundle was built")])
    rows = [("outcome", passed(stored.passed)), *_form_facts(stored.quadratic_form)]
    if stored.matrix is not None:
        rows += _matrix_facts(stored.matrix)
    return facts(rows)


def _form_facts(form: FormFacts) -> Iterable[tuple[str, str]]:
    yield "quadratic form", f"{passed(form.passed)}, tolerance {form.tolerance:.3g} logometers"
    for name, pairs in (("random", form.random), ("nearest", form.nearest)):
        yield f"  {name} pairs", f"{pairs.pairs:,}, worst difference {pairs.worst_error:.3g} logometers"


def _matrix_facts(matrix: MatrixFacts) -> Iterable[tuple[str, str]]:
    yield "stored matrix", f"{passed(matrix.passed)}, {display(without_folders(matrix.path))}"
    if matrix.cause is not None:
        yield "  cause", display(matrix.cause)
    if matrix.worst_error is not None:
        yield "  entries", f"{matrix.entries:,}, {matrix.within_share:.4%} within tolerance"
        yield "  too small", too_small(matrix)
        yield "  worst error", f"{matrix.worst_error:.6g} logometers"
        yield from ((decade_name(each), decade_line(each)) for each in matrix.decades)
        yield (
            "  neighbor lists",
            f"{matrix.rows_agreeing:,} of {matrix.rows_checked:,} rows agree up to ties ({matrix.k})",
        )
        if (said := unfit(matrix)) is not None:
            yield "  neighbors", said
