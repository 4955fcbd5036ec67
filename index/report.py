"""Answers as JSON, CSV and flat records, with exact texts."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from io import StringIO
from typing import Any

from index.answers.answer import records
from index.geometry.maps import Geometry
from index.questions.among import Subset
from index.questions.lists import Neighbor
from index.questions.neighbors import Densest, Neighborhood
from index.tokens.vocabulary import Token

PLACE_COLUMNS = ("rank", "row", "id", "text", "similarity", "distance", "tied")
NEIGHBOR_COLUMNS = ("token_id", "token", "geometry", *PLACE_COLUMNS)
"""The columns of neighbor lists in CSV and Parquet files and DataFrames."""


def token_json(token: Token) -> dict[str, Any]:
    """Return a token with its exact text."""
    return {"row": token.row, "id": token.id, "text": token.text}


def neighborhood_json(found: Neighborhood) -> dict[str, Any]:
    """Return the JSON of one answer of `neighbors`."""
    return {
        "token": _center_json(found),
        **lists_json(found.lists),
        "overlap": _overlap_json(found),
        "verdict": None if found.overlap is None else found.overlap.verdict.value,
        **among_json(found.among),
    }


def among_json(among: Subset | None) -> dict[str, Any]:
    """Return what lists keep to, with its size; nothing where they hold the whole vocabulary."""
    return {} if among is None else {"among": {"subset": among.name, "size": len(among)}}


def lists_json(lists: dict[Geometry, tuple[Neighbor, ...]]) -> dict[str, Any]:
    """Return neighbor lists under the names of their geometries."""
    return {geometry.value: [neighbor_json(neighbor) for neighbor in found] for geometry, found in lists.items()}


def densest_json(found: Densest) -> dict[str, Any]:
    """Return the JSON of `densest`."""
    around = found.neighborhood
    answer = neighborhood_json(around)
    statistics = {
        "k": around.density_k,
        "rule": around.rule.value,
        "min": number_json(found.minimum),
        "max": number_json(found.maximum),
        "mean": number_json(found.mean),
        "median": number_json(found.median),
        "by_rule": {
            rule.value: {
                "id": winner.token.id,
                "text": winner.token.text,
                "density": number_json(winner.density),
                "tied": winner.tied,
            }
            for rule, winner in found.by_rule.items()
        },
    }
    return {"densest": answer.pop("token"), "density": statistics, **answer}


def to_json(answer: Any) -> str:
    """Return strict JSON on one document; characters beyond ASCII are escaped, so a terminal obeys none of them."""
    return json.dumps(answer, indent=2, allow_nan=False)


def to_csv(found: Sequence[Neighborhood]) -> str:
    """Return neighborhoods as CSV, one line per neighbor and geometry."""
    return csv_text(NEIGHBOR_COLUMNS, neighborhood_records(found))


def csv_text(columns: Sequence[str], records: Iterable[dict[str, Any]]) -> str:
    """Return records as CSV under a header."""
    out = StringIO()
    writer = csv.DictWriter(out, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def _center_json(found: Neighborhood) -> dict[str, Any]:
    return {
        **token_json(found.token),
        "density": number_json(found.density),
        "mean_distance": number_json(found.mean_distance),
        "twins": [twin.id for twin in found.twins],
    }


def neighbor_json(neighbor: Neighbor) -> dict[str, Any]:
    """Return one place of a neighbor list."""
    similarity = {} if neighbor.similarity is None else {"similarity": neighbor.similarity}
    return {
        "rank": neighbor.rank,
        **token_json(neighbor.token),
        **similarity,
        "distance": neighbor.distance,
        "tied": neighbor.tied,
    }


def _overlap_json(found: Neighborhood) -> dict[str, Any] | None:
    if found.overlap is None:
        return None
    return {
        **asdict(found.overlap),
        "tokens": [
            {
                "id": shared.token.id,
                "text": shared.token.text,
                **{f"{geometry.value}_rank": rank for geometry, rank in zip(found.lists, shared.ranks, strict=True)},
            }
            for shared in found.shared
        ],
    }


def neighborhood_records(found: Iterable[Neighborhood]) -> list[dict[str, Any]]:
    """Return neighborhoods as flat records of `NEIGHBOR_COLUMNS`."""
    return [
        {
            "token_id": around.token.id,
            "token": around.token.text,
            "geometry": geometry.value,
            **place_record(neighbor),
        }
        for around in found
        for geometry, neighbors in around.lists.items()
        for neighbor in neighbors
    ]


@records.register
def _neighborhood_alone(found: Neighborhood) -> list[dict[str, Any]]:
    return neighborhood_records([found])


@records.register
def _densest_alone(found: Densest) -> list[dict[str, Any]]:
    return neighborhood_records([found.neighborhood])


def place_record(neighbor: Neighbor) -> dict[str, Any]:
    """Return one place of a neighbor list as a flat record of `PLACE_COLUMNS`."""
    return {
        "rank": neighbor.rank,
        "row": neighbor.token.row,
        "id": neighbor.token.id,
        "text": neighbor.token.text,
        "similarity": neighbor.similarity,
        "distance": neighbor.distance,
        "tied": neighbor.tied,
    }


def number_json(value: float) -> float | None:
    """Return a number, None (null) where it is infinite or undefined: JSON has no word for these."""
    return value if math.isfinite(value) else None
