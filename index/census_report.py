"""Answers of `overlap`, `duplicates`, `extremes`, `metric` and `find` as JSON and as lines of CSV, with exact texts."""

from __future__ import annotations

from typing import Any

from index.answers.answer import records
from index.questions.census import Agreement, Duplicates, OverlapCensus
from index.questions.extremes import Extremes, Placed
from index.questions.find import Found
from index.questions.metric import Lengths, MetricReport, Spectrum
from index.report import csv_text, number_json, token_json

_TOKEN = ("row", "id", "text")
DUPLICATES_COLUMNS = ("group", "size", *_TOKEN)
EXTREMES_COLUMNS = ("end", "rank", *_TOKEN, "value", "percentile")
METRIC_COLUMNS = ("name", "value")
FIND_COLUMNS = ("match", "count", *_TOKEN)


def overlap_json(found: OverlapCensus) -> dict[str, Any]:
    """Return the JSON of `overlap`; shares from 0 to 1."""
    return {
        "geometries": [geometry.value for geometry in found.geometries],
        "tokens": found.tokens,
        "tops": {
            str(top): {
                "mean": at.mean,
                "quartiles": list(at.quartiles),
                "chance": at.chance,
                "none": at.none,
                "whole": at.whole,
            }
            for top, at in found.tops.items()
        },
        "by_density_decile": [
            {
                "decile": decile.decile,
                "tokens": decile.tokens,
                "density": [number_json(decile.lowest), number_json(decile.highest)],
                "mean": _by_top(decile.means),
            }
            for decile in found.deciles
        ],
        "most": [_agreement_json(each) for each in found.most],
        "least": [_agreement_json(each) for each in found.least],
    }


@records.register
def overlap_records(found: OverlapCensus) -> list[dict[str, Any]]:
    """Return `overlap` as one record for each length of lists."""
    return [
        {
            "top": top,
            "tokens": found.tokens,
            "mean": at.mean,
            **{f"quartile_{number}": value for number, value in enumerate(at.quartiles, 1)},
            "chance": at.chance,
            "none": at.none,
            "whole": at.whole,
            **{f"decile_{decile.decile}": decile.means[top] for decile in found.deciles},
        }
        for top, at in found.tops.items()
    ]


def overlap_csv(found: OverlapCensus) -> str:
    """Return `overlap` as CSV; the mean of each tenth by density is a column."""
    lines = overlap_records(found)
    return csv_text(list(lines[0]), lines)


def duplicates_json(found: Duplicates) -> dict[str, Any]:
    """Return the JSON of `duplicates`."""
    return {
        "tokens": found.tokens,
        "groups": [
            {"size": len(group), "ids": [token.id for token in group], "texts": [token.text for token in group]}
            for group in found.groups
        ],
    }


@records.register
def duplicates_records(found: Duplicates) -> list[dict[str, Any]]:
    """Return `duplicates` as one record of `DUPLICATES_COLUMNS` for each token of a group; groups count from 1."""
    return [
        {"group": number, "size": len(group), **token_json(token)}
        for number, group in enumerate(found.groups, 1)
        for token in group
    ]


def duplicates_csv(found: Duplicates) -> str:
    """Return `duplicates` as CSV."""
    return csv_text(DUPLICATES_COLUMNS, duplicates_records(found))


def extremes_json(found: Extremes) -> dict[str, Any]:
    """Return the JSON of `extremes`."""
    return {
        "measure": found.measure.value,
        "geometries": [geometry.value for geometry in found.geometries],
        "k": found.k,
        "unit": found.unit,
        "tokens": found.tokens,
        "percentiles": {str(p): number_json(value) for p, value in found.percentiles.items()},
        "level": dict(zip(("highest", "lowest"), found.level, strict=True)),
        "highest": [_placed_json(rank, placed) for rank, placed in enumerate(found.highest, 1)],
        "lowest": [_placed_json(rank, placed) for rank, placed in enumerate(found.lowest, 1)],
    }


@records.register
def extremes_records(found: Extremes) -> list[dict[str, Any]]:
    """Return `extremes` as one record of `EXTREMES_COLUMNS` for each token at either end."""
    return [
        {"end": end, **_placed_json(rank, placed)}
        for end, listed in (("highest", found.highest), ("lowest", found.lowest))
        for rank, placed in enumerate(listed, 1)
    ]


def extremes_csv(found: Extremes) -> str:
    """Return `extremes` as CSV."""
    return csv_text(EXTREMES_COLUMNS, extremes_records(found))


def metric_json(found: MetricReport) -> dict[str, Any]:
    """Return the JSON of `metric`: eigenvalues of squared entries of gamma and of M, lengths in logometers."""
    ridge = found.ridge
    return {
        "origin": found.origin,
        "covariance": _spectrum_json(found.covariance),
        "M": _spectrum_json(found.metric),
        "ridge": None
        if ridge is None
        else {
            "value": ridge.value,
            "highest_with": ridge.highest_with,
            "highest_without": number_json(ridge.highest_without),
            "dimensions_lost": ridge.dimensions_lost,
        },
        "norms": _lengths_json(found.norms),
        "pairs": _lengths_json(found.pairs),
        "sampled": found.sampled,
    }


@records.register
def metric_records(found: MetricReport) -> list[dict[str, Any]]:
    """Return `metric` as one record for each figure, named as its path in the JSON: `M.percentiles.50`."""
    figures: list[dict[str, Any]] = []

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{name}.{key}" if name else key, inner)
        else:
            figures.append({"name": name, "value": value})

    add("", metric_json(found))
    return figures


def metric_csv(found: MetricReport) -> str:
    """Return `metric` as CSV."""
    return csv_text(METRIC_COLUMNS, metric_records(found))


def find_json(found: Found) -> dict[str, Any]:
    """Return the JSON of `find`."""
    return {
        "text": found.text,
        **{
            way: {"count": matches.count, "tokens": [token_json(token) for token in matches.tokens]}
            for way, matches in found.ways.items()
        },
        "split": [{"row": part.row, "id": part.id, "text": part.text, "piece": part.piece} for part in found.split],
    }


@records.register
def find_records(found: Found) -> list[dict[str, Any]]:
    """Return `find` as one record of `FIND_COLUMNS` for each token named, and for each part of the split text."""
    named = [
        {"match": way, "count": matches.count, **token_json(token)}
        for way, matches in found.ways.items()
        for token in matches.tokens
    ]
    parts = [
        {"match": "split", "count": len(found.split), "row": part.row, "id": part.id, "text": part.text}
        for part in found.split
    ]
    return named + parts


def find_csv(found: Found) -> str:
    """Return `find` as CSV."""
    return csv_text(FIND_COLUMNS, find_records(found))


def _by_top(shares: dict[int, float]) -> dict[str, float]:
    return {str(top): share for top, share in shares.items()}


def _agreement_json(found: Agreement) -> dict[str, Any]:
    return {**token_json(found.token), "overlap": _by_top(found.shares)}


def _placed_json(rank: int, placed: Placed) -> dict[str, Any]:
    value = number_json(placed.value)
    return {"rank": rank, **token_json(placed.token), "value": value, "percentile": placed.percentile}


def _spectrum_json(found: Spectrum) -> dict[str, Any]:
    return {
        "lowest": found.lowest,
        "highest": found.highest,
        "percentiles": {str(p): value for p, value in found.percentiles.items()},
        "condition": number_json(found.condition),
        "trace": found.trace,
        "participation_ratio": found.participation_ratio,
    }


def _lengths_json(found: Lengths) -> dict[str, Any]:
    return {
        "count": found.count,
        "mean": found.mean,
        "deviation": found.deviation,
        "lowest": found.lowest,
        "highest": found.highest,
        "mean_square": found.mean_square,
        "standard_error": found.standard_error,
        "expected_mean_square": found.expected,
    }
