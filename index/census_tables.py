"""Answers of `overlap`, `duplicates`, `extremes`, `metric` and `find` as terminal tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from index.geometry.maps import Geometry
from index.questions.census import Agreement, Duplicates, OverlapCensus
from index.questions.extremes import Extremes, Measure, Placed
from index.questions.find import Found, Part
from index.questions.metric import Lengths, MetricReport, Spectrum
from index.tables import facts_table, figures_table, shown, text_cell, title
from index.tokens.display import display, stray_bytes
from index.tokens.vocabulary import Token

GROUP_TEXTS = 12
"""How many texts of a group are shown before the rest is only counted."""

WAYS = {
    "exact": "this text",
    "with_space": "behind a space",
    "other_cases": "in other cases",
    "pieces": "this piece",
    "prefixes": "beginning with it",
}


def overlap_report(found: OverlapCensus) -> RenderableType:
    """Return the terminal report of `overlap`; shares in percent."""
    first, second = found.geometries
    whole = Table.grid(padding=(0, 3))
    for _ in range(8):
        whole.add_column(justify="right", no_wrap=True)
    whole.add_row(*_bold("top", "mean", "25 %", "50 %", "75 %", "by chance", "share none", "share all"))
    for top, at in found.tops.items():
        figures = [_percent(value) for value in (at.mean, *at.quartiles)]
        whole.add_row(str(top), *figures, f"{100 * at.chance:.3f}", f"{at.none:,}", f"{at.whole:,}")
    tops = list(found.tops)
    deciles = Table.grid(padding=(0, 3))
    for _ in range(4 + len(tops)):
        deciles.add_column(justify="right", no_wrap=True)
    deciles.add_row(*_bold("tenth", "tokens", "density from", "to", *(f"top {top}" for top in tops)))
    for decile in found.deciles:
        means = (_percent(decile.means[top]) for top in tops)
        bounds = (f"{decile.lowest:.6f}", f"{decile.highest:.6f}")
        deciles.add_row(str(decile.decile), f"{decile.tokens:,}", *bounds, *means)
    return Group(
        title(f"Overlap of the nearest by {first.words} and by {second.words}, in percent: {found.tokens:,} tokens"),
        whole,
        title(f"Mean by density ({first.label}), from the sparsest tenth of the tokens to the densest"),
        deciles,
        title(f"Agree most, at top {tops[-1]}"),
        _agreements(found.most, tops),
        title(f"Agree least, at top {tops[-1]}"),
        _agreements(found.least, tops),
    )


def duplicates_report(found: Duplicates, top: int) -> RenderableType:
    """Return the terminal report of `duplicates`: its `top` largest groups."""
    what = "twins, with bit-identical rows"
    if found.within is not None:
        what = f"near-twins, linked within {found.within:g} logometers"
    facts = facts_table([("groups", f"{len(found.groups):,} of {what}"), ("tokens", f"{found.tokens:,} in them")])
    if not found.groups:
        return facts
    table = _wide(figures_table("size", "id"), 0, 7)
    for group in found.groups[:top]:
        table.add_row(f"{len(group):,}", str(group[0].id), Text(_texts(group), no_wrap=True, overflow="ellipsis"))
    rest = len(found.groups) - top
    parts: list[RenderableType] = [facts, title("Groups, by their first token"), table]
    if rest > 0:
        parts.append(Text(f"and {rest:,} more, of {len(found.groups[top])} tokens or fewer: see --top", "dim"))
    return Group(*parts)


def extremes_report(found: Extremes) -> RenderableType:
    """Return the terminal report of `extremes`."""
    return Group(
        facts_table([(found.measure.value, _explained(found)), ("tokens", f"{found.tokens:,}")]),
        title("Percentiles"),
        facts_table([(f"{p} %", _value(found, value)) for p, value in found.percentiles.items()]),
        title(f"Highest{_level(found.level[0], len(found.highest))}"),
        _ends(found, found.highest),
        title(f"Lowest{_level(found.level[1], len(found.lowest))}"),
        _ends(found, found.lowest),
    )


def metric_report(found: MetricReport) -> RenderableType:
    """Return the terminal report of `metric`."""
    of = "Cov(gamma)" if found.ridge is not None else "the inverse of M"
    parts: list[RenderableType] = [
        facts_table([("metric", f"M, {found.origin}")]),
        title("Eigenvalues"),
        _spectra({of: found.covariance, "M": found.metric}),
    ]
    if found.ridge is not None:
        ridge = found.ridge
        rows = [
            ("ridge", f"{ridge.value:g}"),
            ("  highest eigenvalue of M", f"{ridge.highest_with:.7g}, without it {ridge.highest_without:.7g}"),
            ("  ridge tr M", f"{ridge.dimensions_lost:.6g}: what it takes off the variance of points, in dimensions"),
        ]
        parts += [title("What the ridge changed"), facts_table(rows)]
    parts += [title("Lengths in logometers, beside what the identities say"), _lengths(found)]
    if found.norms.expected is None:
        parts.append(Text("M was given: the identities hold for M = (Cov(gamma) + ridge I)^-1 only", "dim"))
    elif found.sampled:
        parts.append(Text("this is a sample: the identities hold for the whole vocabulary only", "dim"))
    return Group(*parts)


def find_report(found: Found) -> RenderableType:
    """Return the terminal report of `find`."""
    table = _wide(_wide(figures_table("match", "count", "id"), 0, max(map(len, WAYS.values()))), 1, 7)
    for way, matches in found.ways.items():
        for at, token in enumerate(matches.tokens):
            name = (WAYS[way], f"{matches.count:,}") if at == 0 else ("", "")
            table.add_row(Text(name[0]), name[1], str(token.id), text_cell(token))
    parts = ", ".join(f"'{_part(part)}' #{part.id}" for part in found.split)
    length = f"{len(found.split)} token{'s' if len(found.split) > 1 else ''}: {parts}"
    split = facts_table(
        [("text", display(found.text)), ("split into", length if found.split else "not known: no tokenizer")]
    )
    return Group(split, title("Tokens it can mean"), table) if found.any else Group(split)


def _part(part: Part) -> str:
    """Show the bytes of a token smaller than a character, else its text."""
    fragment = stray_bytes("\ufffd", part.piece) is not None
    return display("\ufffd", part.piece) if fragment else display(part.text)


def _wide(table: Table, column: int, cells: int) -> Table:
    """Keep a column's width: only the text gives way on a narrow terminal."""
    table.columns[column].min_width = cells
    return table


def _bold(*names: str) -> Iterable[Text]:
    return (Text(name, "bold") for name in names)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _agreements(agreements: Sequence[Agreement], tops: Sequence[int]) -> Table:
    table = figures_table("id", *(f"top {top}" for top in tops))
    for each in agreements:
        figures = (_percent(each.shares[top]) for top in tops)
        table.add_row(str(each.token.id), *figures, text_cell(each.token))
    return table


def _texts(group: Sequence[Token]) -> str:
    texts = "  ".join(shown(token) for token in group[:GROUP_TEXTS])
    return texts + (f"  and {len(group) - GROUP_TEXTS:,} more" if len(group) > GROUP_TEXTS else "")


def _explained(found: Extremes) -> str:
    words = " and ".join(geometry.words for geometry in found.geometries)
    if found.measure is Measure.NORM:
        kind = "Euclidean" if found.geometries == (Geometry.COSINE,) else "causal"
        return f"{kind} length of the row, uncentered"
    if found.measure is Measure.DENSITY:
        return f"1 / mean distance to {found.k} neighbors by {words}, in {found.unit}"
    if found.measure is Measure.HUBNESS:
        return f"in how many tokens' {found.k} nearest by {words} a token is; the mean is {found.k}"
    return f"percent of the {found.k} nearest that {words} share"


def _value(found: Extremes, value: float) -> str:
    if found.measure is Measure.HUBNESS:
        return f"{value:,.0f}"
    return _percent(value) if found.measure is Measure.OVERLAP else f"{value:.7g}"


def _level(count: int, listed: int) -> str:
    return f" ({count:,} tokens share this value: those of the lowest rows)" if count > listed else ""


def _ends(found: Extremes, listed: Sequence[Placed]) -> Table:
    table = _wide(figures_table("rank", "id", found.measure.value, "percentile"), 2, 10)
    for rank, placed in enumerate(listed, 1):
        figures = (str(rank), str(placed.token.id), _value(found, placed.value), f"{placed.percentile:.3f}")
        table.add_row(*figures, text_cell(placed.token))
    return table


def _spectra(spectra: dict[str, Spectrum]) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(no_wrap=True)
    for _ in spectra:
        table.add_column(justify="right", no_wrap=True)
    table.add_row("", *_bold(*spectra))
    each = list(spectra.values())
    table.add_row("lowest", *(f"{one.lowest:.6g}" for one in each))
    for p in each[0].percentiles:
        table.add_row(f"{p} %", *(f"{one.percentiles[p]:.6g}" for one in each))
    table.add_row("highest", *(f"{one.highest:.6g}" for one in each))
    table.add_row("trace", *(f"{one.trace:.6g}" for one in each))
    table.add_row("condition number", *(f"{one.condition:.6g}" for one in each))
    table.add_row("participation ratio", *(f"{one.participation_ratio:.6g}" for one in each))
    return table


def _lengths(found: MetricReport) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(no_wrap=True)
    for _ in range(2):
        table.add_column(justify="right", no_wrap=True)
    names = (f"{found.norms.count:,} norms", f"{found.pairs.count:,} random distances")
    table.add_row("", *_bold(*names))
    both: tuple[Lengths, Lengths] = (found.norms, found.pairs)
    table.add_row("lowest", *(f"{one.lowest:.6f}" for one in both))
    table.add_row("mean", *(f"{one.mean:.6f}" for one in both))
    table.add_row("standard deviation", *(f"{one.deviation:.6f}" for one in both))
    table.add_row("highest", *(f"{one.highest:.6f}" for one in both))
    table.add_row("mean square", *(f"{one.mean_square:.6f}" for one in both))
    table.add_row("  its standard error", "", f"{found.pairs.standard_error:.6f}")
    if found.norms.expected is not None:
        table.add_row("  by the identity", *(f"{one.expected:.6f}" for one in both))
    return table
