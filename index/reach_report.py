"""Answers of `within`, `analogy`, `distance` and `rank` as JSON and as lines of CSV, with exact texts."""

from __future__ import annotations

from typing import Any

from index.answers.answer import records
from index.questions.pairs import Distance, Place, Ranks
from index.questions.reach import Analogy, Within
from index.report import (
    NEIGHBOR_COLUMNS,
    PLACE_COLUMNS,
    among_json,
    csv_text,
    lists_json,
    neighbor_json,
    place_record,
    token_json,
)
from index.tokens.vocabulary import Token

WITHIN_COLUMNS = (*NEIGHBOR_COLUMNS, "twin")
ANALOGY_COLUMNS = ("terms", "geometry", *PLACE_COLUMNS)
DISTANCE_COLUMNS = ("a_id", "a", "b_id", "b", "geometry", "similarity", "distance")
RANK_COLUMNS = (
    *("a_id", "a", "b_id", "b", "geometry"),
    *("b_in_a", "b_in_a_lowest", "b_in_a_highest", "a_in_b", "a_in_b_lowest", "a_in_b_highest"),
)


def within_json(found: Within) -> dict[str, Any]:
    """Return the JSON of `within`."""
    return {
        "token": token_json(found.token),
        "geometry": found.geometry.value,
        "threshold": found.threshold,
        "count": found.count,
        "lowest": found.lowest,
        "highest": found.highest,
        "neighbors": [
            {**neighbor_json(neighbor), "twin": neighbor.token.row in found.twins} for neighbor in found.neighbors
        ],
    }


@records.register
def within_records(found: Within) -> list[dict[str, Any]]:
    """Return `within` as one record of `WITHIN_COLUMNS` for each neighbor listed."""
    return [
        {
            "token_id": found.token.id,
            "token": found.token.text,
            "geometry": found.geometry.value,
            **place_record(neighbor),
            "twin": neighbor.token.row in found.twins,
        }
        for neighbor in found.neighbors
    ]


def within_csv(found: Within) -> str:
    """Return `within` as CSV."""
    return csv_text(WITHIN_COLUMNS, within_records(found))


def analogy_json(found: Analogy) -> dict[str, Any]:
    """Return the JSON of `analogy`; a sign is 1 or -1."""
    return {
        "terms": [{"sign": term.sign, "id": term.token.id, "text": term.token.text} for term in found.terms],
        **lists_json(found.lists),
        **among_json(found.among),
    }


@records.register
def analogy_records(found: Analogy) -> list[dict[str, Any]]:
    """Return `analogy` as one record of `ANALOGY_COLUMNS` for each geometry and neighbor; terms are signed ids."""
    terms = " ".join(f"{'+' if term.sign > 0 else '-'}#{term.token.id}" for term in found.terms)
    return [
        {"terms": terms, "geometry": geometry.value, **place_record(neighbor)}
        for geometry, neighbors in found.lists.items()
        for neighbor in neighbors
    ]


def analogy_csv(found: Analogy) -> str:
    """Return `analogy` as CSV."""
    return csv_text(ANALOGY_COLUMNS, analogy_records(found))


def distance_json(found: Distance) -> dict[str, Any]:
    """Return the JSON of `distance`."""
    return {
        "a": token_json(found.a),
        "b": token_json(found.b),
        **{
            geometry.value: {"similarity": found.similarity(geometry)} if geometry.angular else {"distance": distance}
            for geometry, distance in found.distances.items()
        },
    }


@records.register
def distance_records(found: Distance) -> list[dict[str, Any]]:
    """Return `distance` as one record of `DISTANCE_COLUMNS` for each geometry."""
    return [
        {
            **_pair_record(found.a, found.b),
            "geometry": geometry.value,
            "similarity": found.similarity(geometry) if geometry.angular else None,
            "distance": distance,
        }
        for geometry, distance in found.distances.items()
    ]


def distance_csv(found: Distance) -> str:
    """Return `distance` as CSV."""
    return csv_text(DISTANCE_COLUMNS, distance_records(found))


def rank_json(found: Ranks) -> dict[str, Any]:
    """Return the JSON of `rank`; `tied` has the first and last place each could have, within the resolution."""
    return {
        "a": token_json(found.a),
        "b": token_json(found.b),
        **{
            geometry.value: {
                "b_in_a": None if b_in_a is None else b_in_a.rank,
                "a_in_b": None if a_in_b is None else a_in_b.rank,
                "tied": {"b_in_a": _range(b_in_a), "a_in_b": _range(a_in_b)},
            }
            for geometry, b_in_a, a_in_b in _places(found)
        },
    }


@records.register
def rank_records(found: Ranks) -> list[dict[str, Any]]:
    """Return `rank` as one record of `RANK_COLUMNS` for each geometry."""
    return [
        {
            **_pair_record(found.a, found.b),
            "geometry": geometry.value,
            **_place_fields("b_in_a", b_in_a),
            **_place_fields("a_in_b", a_in_b),
        }
        for geometry, b_in_a, a_in_b in _places(found)
    ]


def rank_csv(found: Ranks) -> str:
    """Return `rank` as CSV."""
    return csv_text(RANK_COLUMNS, rank_records(found))


def _places(found: Ranks) -> list[tuple[Any, Place | None, Place | None]]:
    return [(geometry, place, found.a_in_b[geometry]) for geometry, place in found.b_in_a.items()]


def _range(place: Place | None) -> list[int] | None:
    return None if place is None else [place.lowest, place.highest]


def _place_fields(name: str, place: Place | None) -> dict[str, int | None]:
    if place is None:
        return {name: None, f"{name}_lowest": None, f"{name}_highest": None}
    return {name: place.rank, f"{name}_lowest": place.lowest, f"{name}_highest": place.highest}


def _pair_record(a: Token, b: Token) -> dict[str, Any]:
    return {"a_id": a.id, "a": a.text, "b_id": b.id, "b": b.text}
