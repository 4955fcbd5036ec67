"""What `verify` found, as JSON and a terminal table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from index.bundle.bundle import Geometry
from index.checks.stored_lists import ListCheck
from index.checks.verify import Verification
from index.tables import facts_table, passed_word
from index.tokens.vocabulary import display

ROUNDING = 1e-12
"""What float64 sums in another order leave of a difference: its digits depend on the processor and say nothing."""


def verify_json(found: Verification) -> dict[str, Any]:
    """Return the JSON of `verify`."""
    form = found.quadratic_form
    deep = found.deep
    return {
        "passed": found.passed,
        "files": {"checked": found.files, "bytes": found.bytes, "unlisted": list(found.unlisted)},
        "graphs": _lists_json(found.graphs),
        "quadratic_form": {"passed": form.passed, **asdict(form)},
        "deep": None
        if deep is None
        else {
            "passed": deep.passed,
            "lists": _lists_json(deep.lists),
            "metric_recomputed": deep.metric_recomputed,
            "metric_difference": deep.metric_difference,
        },
        "versions": found.versions,
    }


def _lists_json(lists: Mapping[Geometry, ListCheck]) -> dict[str, Any]:
    return {geometry.value: {"passed": check.passed, **_finite(asdict(check))} for geometry, check in lists.items()}


def _finite(facts: dict[str, Any]) -> dict[str, Any]:
    return facts | {"worst_error": facts["worst_error"] if facts["worst_error"] < float("inf") else None}


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
