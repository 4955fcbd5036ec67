"""Result records as terminal tables.

Token texts are shown in printable form (`tokens.display`), always in the last column, so that no script, width or
direction of writing can move another column.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from index.bundle.manifest import Manifest, Recall
from index.checks.crosscheck import CrossCheck, PairCheck
from index.checks.matrix import MatrixCheck
from index.errors import one_line
from index.geometry.maps import Geometry
from index.measures.overlap import Overlap, Verdict
from index.questions.among import Subset
from index.questions.lists import Neighbor
from index.questions.neighbors import Densest, Neighborhood
from index.questions.reach import Analogy
from index.tokens.display import display
from index.tokens.vocabulary import Token

TEXT_CELLS = 40
"""How wide a token's text may be in a table."""

NEAREST_BY = {
    Geometry.CAUSAL: "in the causal metric",
    Geometry.COSINE: "by cosine similarity",
    Geometry.CAUSAL_COSINE: "by causal cosine",
}

TIES = "=  as far as the one before or after, within the resolution: the order is arbitrary"

FIGURE_CELLS = {"row": 6, "id": 6, "logometers": 10, "similarity": 10, "chord": 8, "density": 9, "rule": 8}
"""How wide a column of figures always is."""

VERDICTS = {
    Verdict.HIGH: "nearly the same neighborhoods: here {0} sees what {1} sees.",
    Verdict.MODERATE: "neighborhoods that agree in part: {0} keeps some of what {1} sees.",
    Verdict.LOW: "different neighborhoods: here {0} sees another structure than {1}.",
    Verdict.UNDECIDED: "ties alone could decide it either way: no verdict can be read from these two lists.",
}


def densest_report(found: Densest, *, name: str, facts: Manifest) -> RenderableType:
    """Return the terminal report of `densest` in a bundle of this name and manifest."""
    around = found.neighborhood
    unit = _density_unit(around)
    settings = facts_table(
        [
            ("bundle", f"{name}: {facts.V:,} tokens x {facts.D:,}, {facts.K} neighbors kept"),
            ("metric", facts.metric.origin),
            *among_fact(around.among),
            ("density", f"1 / mean distance to {around.density_k} neighbors, rule '{around.rule.value}'"),
            ("  minimum", f"{found.minimum:.7g} {unit}"),
            ("  maximum", f"{found.maximum:.7g} {unit}"),
            ("  mean", f"{found.mean:.7g} {unit}"),
            ("  median", f"{found.median:.7g} {unit}"),
        ]
    )
    return Group(
        settings,
        title("Densest token"),
        _center_table(around),
        title("Densest under each rule"),
        _rules_table(found),
        *_lists(around),
    )


def neighborhood_report(found: Neighborhood) -> RenderableType:
    """Return the terminal report of one answer of `neighbors`."""
    return Group(title(f"{shown(found.token)}  #{found.token.id}"), _center_table(found), *_lists(found))


def crosscheck_report(found: CrossCheck) -> RenderableType:
    """Return the terminal report of `crosscheck`."""
    form = found.quadratic_form
    rows = [
        ("quadratic form", passed_word(form.passed)),
        ("  tolerance", f"{form.tolerance:.3g} logometers, the resolution of the causal space"),
        ("  random pairs", _pair_line(form.random)),
        ("  nearest pairs", _pair_line(form.nearest)),
    ]
    if found.matrix is not None:
        rows += _matrix_rows(found.matrix)
    return facts_table(rows)


def info_report(facts: Manifest, folder: str) -> RenderableType:
    """Return the terminal report of `info` from a manifest."""
    return facts_table([("bundle", f"{facts.name}  ({folder})"), *info_facts(facts)])


def info_facts(facts: Manifest) -> list[tuple[str, str]]:
    """Return what a manifest says of a bundle: names and values; a name behind spaces belongs to the one before."""
    source, settings = facts.source, facts.settings
    sample = f", sample {settings.sample}" if settings.sample else ""
    rows = [
        ("source", f"{display(source.location)}, {source.tensor} ({source.dtype}, {source.rows:,} rows)"),
        ("  sha256", source.sha256),
        ("tokens", f"{facts.V:,} x {facts.D:,}{sample}"),
        ("neighbors", f"{facts.K} kept, {settings.density_k} in densities"),
        ("metric", facts.metric.origin),
    ]
    for name, space in facts.spaces.items():
        zero = f", {len(space.excluded_rows)} zero rows left out" if space.excluded_rows else ""
        centered = ", of centered rows" if space.centered else ""
        what = f"resolution {space.resolution:.3g} {space.unit}, {space.search}{centered}{zero}"
        rows.append((Geometry(name).label, what))
        rows += [("  approximate", _recall_line(each)) for each in space.approximate]
    check = facts.crosscheck
    rows.append(("cross-check", "not run at the build" if check is None else passed_word(check.passed)))
    rows.append(("size", f"{sum(file.bytes for file in facts.files.values()) / 1e6:,.0f} MB"))
    rows.append(("built", f"in {facts.build_seconds:.1f} s by " + ", ".join(map(" ".join, facts.versions.items()))))
    return rows


def shown(token: Token) -> str:
    """Return a token's printable form, cut to fit a table."""
    text = display(token.text, token.piece)
    return text if cell_len(text) <= TEXT_CELLS else set_cell_size(text, TEXT_CELLS - 1) + "…"


def text_cell(token: Token) -> Text:
    """Return a token's printable form as the last cell of a row: on one line, cut with `…` where it does not fit."""
    return Text(shown(token), no_wrap=True, overflow="ellipsis")


def title(text: str) -> Text:
    """Return the heading of a part of a report."""
    return Text(f"\n{text}", style="bold")


def figures_table(*figures: str, tie: bool = False) -> Table:
    """Return a table of right-aligned figures and, last, a text that alone gives way on a narrow terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True, min_width=FIGURE_CELLS.get(name, len(name)))
    if tie:
        table.add_column("", no_wrap=True, min_width=1)
    table.add_column("text", overflow="ellipsis")  # not no_wrap: rich does not shrink such a column
    return table


def facts_table(rows: Iterable[tuple[str, str]]) -> Table:
    """Return names and values side by side."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name, style="dim"), Text(one_line(value)))
    return table


def _recall_line(facts: Recall) -> str:
    found = "-" if facts.recall is None else f"{facts.recall:.3f}"
    return f"{facts.factory}: recall at {facts.k} is {found} over {facts.rows:,} rows"


def _center_table(found: Neighborhood) -> Table:
    twins = f"{len(found.twins)}" if found.twins else "none"
    if found.twins:
        twins += ": " + ", ".join(f"{shown(twin)} #{twin.id}" for twin in found.twins[:5])
        twins += ", …" if len(found.twins) > 5 else ""
    unit = _density_unit(found).removeprefix("1/")
    mean = "undefined" if math.isnan(found.mean_distance) else f"{found.mean_distance:.7g} {unit}"
    return facts_table(
        [
            ("text", shown(found.token)),
            ("id", str(found.token.id)),
            ("row", str(found.token.row)),
            ("density", f"{found.density:.7g} {_density_unit(found)}"),
            ("mean distance", f"{mean}, {found.density_k} neighbors"),
            ("twins", twins),
            *among_fact(found.among),
        ]
    )


def among_fact(among: Subset | None) -> list[tuple[str, str]]:
    """Return what lists keep to as a line of a `facts_table`; none where they hold the whole vocabulary."""
    return [] if among is None else [("among", f"{display(among.name)}: {len(among):,} tokens")]


def _density_unit(found: Neighborhood) -> str:
    return "1/chord" if next(iter(found.lists)).angular else "1/logometers"


def _rules_table(found: Densest) -> Table:
    table = figures_table("rule", "density", "tied", "id")
    for rule, winner in found.by_rule.items():
        table.add_row(
            rule.value, f"{winner.density:.7g}", str(winner.tied), str(winner.token.id), text_cell(winner.token)
        )
    return table


def _lists(found: Neighborhood) -> list[RenderableType]:
    parts = list_parts(found)
    if found.overlap is not None:
        parts += [title("Overlap"), _overlap_lines(found, found.overlap)]
        if found.shared:
            parts.append(_shared_table(found))
    return parts


def list_parts(found: Neighborhood | Analogy) -> list[RenderableType]:
    """Return the lists of an answer under their titles, and what their ties mean."""
    parts: list[RenderableType] = []
    for geometry, neighbors in found.lists.items():
        if neighbors:
            parts += [title(f"{len(neighbors)} nearest {NEAREST_BY[geometry]}"), neighbors_table(geometry, neighbors)]
        else:
            parts.append(title(f"None {NEAREST_BY[geometry]}: {why_none(found, geometry)}"))
    if any(neighbor.tied for neighbors in found.lists.values() for neighbor in neighbors):
        parts.append(Text(TIES, "dim"))
    return parts


def why_none(found: Neighborhood | Analogy, geometry: Geometry) -> str:
    """Return why an answer's list in a geometry is empty."""
    if isinstance(found, Neighborhood):
        asked, vector = {found.token.row}, "this token's row"
    else:
        asked, vector = {term.token.row for term in found.terms}, "the sum"
    if geometry in found.undefined:
        return f"{vector} is zero and has no direction"
    others = "no other token" if found.among is None else "no other token of the subset"
    alone = found.among is not None and asked.issuperset(found.among.rows.tolist())
    return f"{others} has a direction" if geometry.angular and not alone else others


def neighbors_table(geometry: Geometry, neighbors: Iterable[Neighbor], twins: Collection[int] = ()) -> Table:
    """Return a neighbor list as a table: logometers, or similarity and chord; rows of `twins` are marked as such."""
    figures = ("similarity", "chord") if geometry.angular else ("logometers",)
    table = figures_table("rank", "row", "id", *figures, tie=True)
    for neighbor in neighbors:
        shown_figures = [f"{neighbor.distance:.6f}"]
        if neighbor.similarity is not None:
            shown_figures.insert(0, f"{neighbor.similarity:.6f}")
        place = (neighbor.rank, neighbor.token.row, neighbor.token.id)
        mark = "≡" if neighbor.token.row in twins else "=" if neighbor.tied else ""
        table.add_row(*map(str, place), *shown_figures, mark, text_cell(neighbor.token))
    return table


def _overlap_lines(found: Neighborhood, overlap: Overlap) -> Text:
    border = "" if overlap.lowest == overlap.highest else " (ties at the last place decide)"
    return Text(
        f"{overlap.count} of {overlap.k} tokens in both lists ({overlap.percent:.1f} %), "
        f"Jaccard {overlap.jaccard:.3f}; lowest {overlap.lowest}, highest {overlap.highest}{border}\n"
        f"{overlap.verdict.value.upper()}: "
        + VERDICTS[overlap.verdict].format(*(geometry.words for geometry in found.lists))
    )


def _shared_table(found: Neighborhood) -> Table:
    table = figures_table(*(geometry.label for geometry in found.lists), "id")
    for shared in found.shared:
        table.add_row(*map(str, shared.ranks), str(shared.token.id), text_cell(shared.token))
    return table


def passed_word(passed: bool) -> str:
    """Return whether a check passed, in a word."""
    return "passed" if passed else "FAILED"


def _pair_line(check: PairCheck) -> str:
    a, b = check.worst_ids
    return f"{check.pairs:,}, worst difference {check.worst_error:.3g} logometers (#{a}, #{b})"


def _matrix_rows(check: MatrixCheck) -> list[tuple[str, str]]:
    rows = [("stored matrix", f"{passed_word(check.passed)}  {display(check.path)}")]
    if check.cause is not None:
        rows.append(("  cause", display(check.cause)))
    if check.worst_ids is not None:
        a, b = check.worst_ids
        rows += [
            ("  born in", f"{check.born}: |d - D| <= {check.rtol:.3g} d + {check.atol:.3g} logometers"),
            ("  entries", f"{check.entries:,}, {check.within_share:.4%} within tolerance"),
            ("  worst error", f"{check.worst_error:.6g} logometers (#{a}, #{b})"),
            (
                "  neighbor lists",
                f"{check.rows_agreeing:,} of {check.rows_checked:,} rows agree up to ties ({check.k})",
            ),
        ]
    return rows
