"""What `verify` found, as a terminal table."""

from __future__ import annotations

from rich.console import RenderableType

from index.checks.stored_lists import ListCheck
from index.checks.verify import Verification
from index.geometry.maps import Geometry
from index.tables import facts_table, passed_word
from index.tokens.display import display

ROUNDING = 1e-12
"""What float64 sums in another order leave of a difference: its digits depend on the processor and say nothing."""


def verify_report(found: Verification) -> RenderableType:
    """Return the terminal report of `verify`."""
    form = found.quadratic_form
    rows = [
        ("verification", passed_word(found.passed)),
        ("files", f"{found.files} with {found.bytes / 1e6:,.0f} MB are what was written"),
    ]
    if found.unlisted:
        rows.append(("  not of the bundle", ", ".join(map(display, found.unlisted))))
    rows.append(("graphs", "stored lists against float64 brute force over the points"))
    rows += [_list_line(geometry, check) for geometry, check in found.graphs.items()]
    worst = max(form.random.worst_error, form.nearest.worst_error)
    pairs = form.random.pairs + form.nearest.pairs
    rows.append(
        ("quadratic form", f"{passed_word(form.passed)}  {pairs:,} pairs, worst difference {worst:.3g} logometers")
    )
    if found.deep is not None:
        rows.append(("deep", "stored lists against float64 brute force over gamma itself"))
        rows += [_list_line(geometry, check) for geometry, check in found.deep.lists.items()]
        metric = f"computed again, differs by {_difference(found.deep.metric_difference)} of its largest entry"
        rows.append(
            ("  M", metric if found.deep.metric_recomputed else "as stored: it was given, or comes from more tokens")
        )
    rows.append(("built by", ", ".join(" ".join(each) for each in found.versions.items())))
    return facts_table(rows)


def _difference(share: float) -> str:
    return f"less than {ROUNDING:g}" if share < ROUNDING else f"{share:.2g}"


def _list_line(geometry: Geometry, check: ListCheck) -> tuple[str, str]:
    unit = "of the chord" if geometry.angular else "logometers"
    return (
        f"  {geometry.label}",
        f"{passed_word(check.passed)}  {check.rows:,} tokens, {check.ids:,} ids: {check.differing:,} differ, "
        f"{check.wrong:,} beyond ties; worst error {check.worst_error:.2g}, resolution {check.tolerance:.2g} {unit}",
    )
