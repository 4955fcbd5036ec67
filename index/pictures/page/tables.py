"""The tables of a page: answers and what a manifest says, as captions, heads and cells of plain text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from index.answers.page import counted, passed
from index.bundle.manifest import CrossCheckFacts, FormFacts, Manifest, MatrixFacts
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.pictures.numbers.series import NeighborhoodSeries, called
from index.questions.densest import Densest
from index.questions.info import info_facts
from index.questions.lists import NEAREST_BY, Neighbor
from index.questions.neighbors import Neighborhood
from index.tokens.display import display
from index.tokens.vocabulary import Token

LISTED_TWINS = 20


@dataclass(frozen=True)
class Table:
    """A table whose last column is a token's text.

    Attributes
    ----------
    caption : str
    columns : tuple of str
        Heads; the first column names its row.
    rows : tuple of tuple of str
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Facts:
    """Names and values under a caption."""

    caption: str
    rows: tuple[tuple[str, str], ...]


def text_of(token: Token) -> str:
    """Return the printable form of a token."""
    return display(token.text, token.piece)


def token_facts(found: Neighborhood, series: NeighborhoodSeries) -> Facts:
    """Return what there is to say of one token."""
    unit = series.densities.unit
    mean = "undefined" if math.isnan(found.mean_distance) else f"{found.mean_distance:.7g} {unit.removeprefix('1/')}"
    rows = [
        ("id", str(found.token.id)),
        ("row", str(found.token.row)),
        ("density", f"{found.density:.7g} {unit}"),
        ("mean distance", f"{mean}, {counted(found.density_k, 'neighbor')}"),
        ("twins", _twins(found.twins)),
    ]
    if series.denser_than is not None:
        rows.insert(3, ("denser than", f"{series.denser_than} of all tokens"))
    return Facts("The token", tuple(rows))


def _twins(twins: Sequence[Token]) -> str:
    if not twins:
        return "none"
    listed = twins[:LISTED_TWINS]
    named = ", ".join(called(twin) if twin.text is None else f"{called(twin)} #{twin.id}" for twin in listed)
    more = f" and {len(twins) - LISTED_TWINS} more" if len(twins) > LISTED_TWINS else ""
    return f"{len(twins)}: {named}{more}"


def density_facts(found: Densest, unit: str) -> Facts:
    """Return how the densities of all tokens lie."""
    values = {"minimum": found.minimum, "maximum": found.maximum, "mean": found.mean, "median": found.median}
    return Facts(f"Densities, in {unit}", tuple((name, f"{value:.7g}") for name, value in values.items()))


def rules_table(found: Densest) -> Table:
    """Return the densest token under each rule."""
    rows = (
        (rule.value, f"{winner.density:.7g}", f"{winner.tied:,}", str(winner.token.id), text_of(winner.token))
        for rule, winner in found.by_rule.items()
    )
    return Table("Densest under each rule", ("rule", "density", "tied", "id", "text"), tuple(rows))


def list_table(geometry: Geometry, listed: Sequence[Neighbor], unit: str) -> Table:
    """Return a neighbor list."""
    measures = ("similarity", unit) if geometry.angular else (unit,)
    caption = f"{len(listed)} nearest {NEAREST_BY[geometry]}"
    return Table(caption, ("rank", "id", *measures, "tied", "text"), tuple(map(_place, listed)))


def _place(neighbor: Neighbor) -> tuple[str, ...]:
    similarity = [] if neighbor.similarity is None else [f"{neighbor.similarity:.6f}"]
    tied = "tied" if neighbor.tied else ""
    figures = (*similarity, f"{neighbor.distance:.6f}")
    return (str(neighbor.rank), str(neighbor.token.id), *figures, tied, text_of(neighbor.token))


def shared_table(found: Neighborhood) -> Table:
    """Return the tokens of both lists with their ranks in each."""
    columns = (*(f"rank, {geometry.label}" for geometry in found.lists), "id", "text")
    rows = ((*map(str, shared.ranks), str(shared.token.id), text_of(shared.token)) for shared in found.shared)
    return Table(f"In both lists: {len(found.shared)}", columns, tuple(rows))


def question_facts(names: Sequence[str], found: Neighborhood, top: int) -> Facts:
    """Return what was asked, and with which settings.

    Parameters
    ----------
    names : sequence of str
        What was asked about.
    found : Neighborhood
        One of the answers.
    top : int
        The length of lists asked for.
    """
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
        ("rule", f"{found.rule.value}: {rules[found.rule]}"),
    ]
    if found.among is not None:
        rows.append(("among", f"{display(found.among.name)}: {len(found.among):,} tokens"))
    return Facts("The question", tuple(rows))


def bundle_facts(manifest: Manifest) -> Facts:
    """Return what was asked: which matrix, and how it was indexed."""
    rows = [row for row in info_facts(manifest) if row[0] != "cross-check"]
    return Facts("The bundle", (("name", manifest.name), *rows))


def files_table(manifest: Manifest, checksum: str) -> Table:
    """Return the files of a bundle with their SHA-256; `checksum` is that of the manifest, which holds all others."""
    rows = [("manifest.json", "", checksum)]
    rows += [(name, f"{file.bytes:,}", file.sha256) for name, file in manifest.files.items()]
    return Table("Files of the bundle", ("file", "bytes", "sha256"), tuple(rows))


def crosscheck_facts(stored: CrossCheckFacts | None) -> Facts:
    """Return the outcome of the cross-check that a manifest keeps."""
    caption = "Cross-check"
    if stored is None:
        return Facts(caption, (("outcome", "not run when the bundle was built"),))
    rows = [("outcome", passed(stored.passed)), *_form_facts(stored.quadratic_form)]
    if stored.matrix is not None:
        rows += _matrix_facts(stored.matrix)
    return Facts(caption, tuple(rows))


def _form_facts(form: FormFacts) -> Iterable[tuple[str, str]]:
    yield "quadratic form", f"{passed(form.passed)}, tolerance {form.tolerance:.3g} logometers"
    for name, pairs in (("random", form.random), ("nearest", form.nearest)):
        yield f"  {name} pairs", f"{pairs.pairs:,}, worst difference {pairs.worst_error:.3g} logometers"


def _matrix_facts(matrix: MatrixFacts) -> Iterable[tuple[str, str]]:
    yield "stored matrix", f"{passed(matrix.passed)}, {display(matrix.path)}"
    if matrix.cause is not None:
        yield "  cause", display(matrix.cause)
    if matrix.worst_error is not None:
        yield "  entries", f"{matrix.entries:,}, {matrix.within_share:.4%} within tolerance"
        yield "  worst error", f"{matrix.worst_error:.6g} logometers"
        yield (
            "  neighbor lists",
            f"{matrix.rows_agreeing:,} of {matrix.rows_checked:,} rows agree up to ties ({matrix.k})",
        )
