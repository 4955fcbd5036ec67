"""Answers of `within`, `analogy`, `distance` and `rank` as terminal tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from index.geometry.maps import Geometry
from index.questions.pairs import Distance, Place, Ranks
from index.questions.reach import Analogy, Within
from index.tables import TIES, among_fact, facts_table, list_parts, neighbors_table, shown, title
from index.tokens.vocabulary import Token


def within_report(found: Within) -> RenderableType:
    """Return the terminal report of `within`; twins are marked."""
    parts: list[RenderableType] = [title(f"{shown(found.token)}  #{found.token.id}"), facts_table(_within_facts(found))]
    if found.neighbors:
        parts.append(neighbors_table(found.geometry, found.neighbors, found.twins))
    left = found.count - len(found.neighbors)
    if left:
        parts.append(Text(f"and {left:,} more, further away: --top, --json or --csv list them", "dim"))
    if any(neighbor.token.row in found.twins for neighbor in found.neighbors):
        parts.append(Text("≡  a twin: the same vector, bit for bit", "dim"))
    if any(neighbor.tied and neighbor.token.row not in found.twins for neighbor in found.neighbors):
        parts.append(Text(TIES, "dim"))
    return Group(*parts)


def analogy_report(found: Analogy) -> RenderableType:
    """Return the terminal report of `analogy`."""
    facts = [
        ("plus" if term.sign > 0 else "minus", f"#{term.token.id}  {shown(term.token)}") for term in found.terms
    ] + among_fact(found.among)
    return Group(facts_table(facts), *list_parts(found))


def distance_report(found: Distance) -> RenderableType:
    """Return the terminal report of `distance`."""
    rows = []
    for geometry, distance in found.distances.items():
        if distance is None:
            value = "undefined: a zero row has no direction"
        elif geometry.angular:
            value = f"{found.similarity(geometry):.6f} similarity, {distance:.6f} chord"
        else:
            value = f"{distance:.6f} logometers"
        rows.append((geometry.label, value))
    return facts_table([*_pair_facts(found.a, found.b), *rows])


def rank_report(found: Ranks) -> RenderableType:
    """Return the terminal report of `rank`."""
    table = Table.grid(padding=(0, 3))
    table.add_column(no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    table.add_row("", *(Text(name, "bold") for name in ("b in a's list", "a in b's list", "of")))
    for geometry, length in found.lengths.items():
        places = (_place(found.b_in_a[geometry]), _place(found.a_in_b[geometry]))
        table.add_row(Text(geometry.label, "dim"), *places, f"{length:,}")
    parts: list[RenderableType] = [facts_table(_pair_facts(found.a, found.b)), Text(), table]
    if any(place and place.lowest < place.highest for place in (*found.b_in_a.values(), *found.a_in_b.values())):
        parts.append(Text("(from-to): the places of what is as far away within the resolution", "dim"))
    if None in found.b_in_a.values():
        parts.append(Text("undefined: a zero row has no direction", "dim"))
    return Group(*parts)


def _within_facts(found: Within) -> list[tuple[str, str]]:
    if found.geometry is Geometry.CAUSAL:
        reach = f"{found.threshold:g} logometers in the causal metric"
    else:
        reach = f"{found.geometry.words} {found.threshold:g} or more"
    if not found.has_direction:
        return [("within", reach), ("count", "none: this token's row is zero and has no direction")]
    facts = [("within", reach), ("count", f"{found.count:,} tokens")]
    if found.twins:
        facts.append(("twins", f"{len(found.twins):,}, at no distance"))
    if found.lowest < found.highest:
        border = f"{found.highest - found.lowest:,} tokens within the resolution of it"
        facts.append(("border", f"{border}: the count could be {found.lowest:,} to {found.highest:,}"))
    return facts


def _pair_facts(a: Token, b: Token) -> list[tuple[str, str]]:
    return [(name, f"#{token.id}  {shown(token)}") for name, token in (("a", a), ("b", b))]


def _place(place: Place | None) -> str:
    if place is None:
        return "undefined"
    return f"{place.rank:,}" + (f" ({place.lowest:,}-{place.highest:,})" if place.lowest < place.highest else "")
