"""`metric`: the spectrum of M, what the ridge changed, whether distances and norms are what they must be.

The identities follow from M = (C + ridge I)^-1, with C = Cov(gamma) of V rows and width D, and the mean row mu::

    mean over i != j of d(i, j)^2  =  2 tr(M C) V / (V - 1)     =  2 (D - ridge tr M) V / (V - 1)
    mean over i of |x_i|_M^2       =  tr(M C) + mu^T M mu       =  D - ridge tr M + mu^T M mu
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row, jsonable, nested_rows
from index.answers.page import Block, Heading, Sentence, Table, Words, as_length, facts, table
from index.bundle.bundle import Bundle
from index.geometry.maps import pair_distances
from index.geometry.metric import Metric, large_ridge
from index.measures.pairs import random_pairs
from index.questions.asking.parameters import PAIRS
from index.questions.asking.question import Doc, Limit

PERCENTILES = (5, 25, 50, 75, 95)
_SEED = 0


@dataclass(frozen=True)
class Spectrum:
    """The eigenvalues of a symmetric matrix, in figures."""

    lowest: float
    highest: float
    percentiles: dict[int, float]  # of the D eigenvalues, linear between them
    condition: float  # highest / lowest; infinite for a singular matrix
    trace: float  # their sum
    participation_ratio: float  # (sum of e)^2 / sum of e^2: how many directions share it, 1 to D; NaN where all are 0


@dataclass(frozen=True)
class Ridge:
    """What the ridge did to M: its highest eigenvalue is 1 / (lowest of Cov(gamma) + ridge)."""

    value: float
    highest_with: float  # M's highest eigenvalue;
    highest_without: float  # infinite where Cov(gamma) is singular
    dimensions_lost: float  # ridge tr M: by so many logometers squared the mean squared causal norm is below D
    dimensions: int  # D


@dataclass(frozen=True)
class Lengths:
    """Norms or distances, in logometers."""

    count: int
    mean: float
    deviation: float  # the standard one, divided by the count
    lowest: float
    highest: float
    mean_square: float  # in logometers squared
    standard_error: float  # of `mean_square`, where it is of random pairs; 0 where it is of all tokens
    expected_mean_square: float | None  # by the identity, over the whole vocabulary; None for a given M, which has none


@dataclass(frozen=True)
class MetricReport(Answer):
    """The metric of a bundle."""

    origin: str
    covariance: Spectrum  # of Cov(gamma); for a given M, of its inverse
    metric: Spectrum  # of M
    ridge: Ridge | None  # None for a given M
    norms: Lengths  # causal norms of all tokens, uncentered
    pairs: Lengths  # causal distances of random pairs of different tokens
    sampled: bool  # whether the bundle holds a sample: the identities hold for the whole vocabulary only

    columns: ClassVar = {"name": str, "value": str}

    def rows(self) -> list[Row]:
        """Return one record for each figure, named as its path in the JSON: `M.percentiles.50`."""
        return nested_rows(self.json())

    def json(self) -> dict[str, Any]:
        """Return eigenvalues of squared entries of gamma and of M, lengths in logometers."""
        return {"M" if name == "metric" else name: value for name, value in jsonable(self).items()}

    def page(self) -> list[Block]:
        """Return eigenvalues, what the ridge changed, and lengths beside what the identities say."""
        of = "Cov(gamma)" if self.ridge is not None else "the inverse of M"
        blocks: list[Block] = [
            facts([("metric", f"M, {self.origin}")]),
            Heading("Eigenvalues"),
            spectra_table({of: self.covariance, "M": self.metric}),
        ]
        if self.ridge is not None:
            ridge = self.ridge
            rows: list[tuple[str, Words]] = [
                ("ridge", f"{ridge.value:g}"),
                ("  highest eigenvalue of M", f"{ridge.highest_with:.7g}, without it {ridge.highest_without:.7g}"),
                (
                    "  ridge tr M",
                    f"{ridge.dimensions_lost:.6g}: what it takes off the variance of points, in dimensions",
                ),
            ]
            blocks += [Heading("What the ridge changed"), facts(rows)]
            said = large_ridge(ridge.value, ridge.dimensions_lost, ridge.dimensions)
            if said is not None:
                blocks.append(Sentence(said))
        blocks += [Heading("Lengths in logometers, beside what the identities say"), self._lengths()]
        if self.norms.expected_mean_square is None:
            given = "M was given: the identities hold for M = (Cov(gamma) + ridge I)^-1 only"
            blocks.append(Sentence(given, aside=True))
        elif self.sampled:
            blocks.append(Sentence("this is a sample: the identities hold for the whole vocabulary only", aside=True))
        return blocks

    def _lengths(self) -> Table:
        both = (self.norms, self.pairs)
        lines = [
            (name, *(as_length(getattr(one, field)) for one in both))
            for name, field in (
                ("lowest", "lowest"),
                ("mean", "mean"),
                ("standard deviation", "deviation"),
                ("highest", "highest"),
                ("mean square", "mean_square"),
            )
        ]
        lines.append(("  its standard error", "", as_length(self.pairs.standard_error)))
        expected = [each for one in both if (each := one.expected_mean_square) is not None]
        if expected:
            lines.append(("  by the identity", *map(as_length, expected)))
        columns = ("", f"{self.norms.count:,} norms", f"{self.pairs.count:,} random distances")
        return table(columns, lines)


def metric(
    bundle: Bundle,
    *,
    pairs: Annotated[int, Doc("Random pairs whose distances are measured."), Limit(2, PAIRS.most)] = 20_000,
) -> MetricReport:
    """The spectrum of Cov(gamma) and M, what the ridge changed, and norms and distances beside what they must be.

    Example: uv run query.py metric --pairs 100000

    Pairs are ordered, of two different tokens, drawn with a fixed seed.

    >>> round(index.open("data/indexes/smollm2-135m").spectrum().covariance.condition, 1)
    2507.3
    """
    found, rows = bundle.metric, bundle.manifest.source.rows
    variance = _expected_variance(found)
    mean_norm = float(found.mean @ found.matrix @ found.mean)
    norms = np.from_dlpack(bundle.columns("causal_norm")["causal_norm"].combine_chunks())
    a, b = random_pairs(np.random.default_rng(_SEED), len(bundle), pairs)
    distances = pair_distances(bundle.causal.points, a, b)
    return MetricReport(
        found.origin,
        spectrum(found.eigenvalues),
        spectrum(eigenvalues_of_m(found)),
        _ridge(found),
        _lengths(norms, 0.0, None if variance is None else variance + mean_norm),
        _lengths(
            distances,
            float(np.std(distances**2, ddof=1) / np.sqrt(pairs)),
            None if variance is None else 2 * variance * rows / (rows - 1),
        ),
        len(bundle) != rows,
    )


def spectrum(eigenvalues: np.ndarray) -> Spectrum:
    """Describe eigenvalues, (D,) float64."""
    lowest, highest, trace = float(eigenvalues.min()), float(eigenvalues.max()), float(eigenvalues.sum())
    largest = float(np.abs(eigenvalues).max())
    relative = eigenvalues / largest if largest > 0 else eigenvalues  # whose squares float64 holds
    squares = float((relative**2).sum())
    return Spectrum(
        lowest,
        highest,
        dict(zip(PERCENTILES, np.percentile(eigenvalues, PERCENTILES).tolist(), strict=True)),
        highest / lowest if lowest > 0 else float("inf"),
        trace,
        float(relative.sum()) ** 2 / squares if squares > 0 else float("nan"),
    )


def eigenvalues_of_m(found: Metric) -> np.ndarray:
    """Return the eigenvalues of M, (D,) ascending."""
    return 1 / (found.eigenvalues[::-1] + (found.ridge or 0.0))


def _expected_variance(found: Metric) -> float | None:
    """Return tr(M C) = D - ridge tr M; None for a given M, for which C is another matrix than M^-1.

    As the sum of e / (e + ridge) over C's eigenvalues: of a ridge that takes nearly all, the difference keeps no digit.
    """
    if found.ridge is None:
        return None
    return float((found.eigenvalues / (found.eigenvalues + found.ridge)).sum())


def _ridge(found: Metric) -> Ridge | None:
    lost = found.dimensions_lost
    if found.ridge is None or lost is None:
        return None
    lowest, of_m = float(found.eigenvalues[0]), eigenvalues_of_m(found)
    without = 1 / lowest if lowest > 0 else float("inf")
    return Ridge(found.ridge, float(of_m[-1]), without, lost, len(found.mean))


def _lengths(values: np.ndarray, standard_error: float, expected: float | None) -> Lengths:
    return Lengths(
        len(values),
        float(values.mean()),
        float(values.std()),
        float(values.min()),
        float(values.max()),
        float((values**2).mean()),
        standard_error,
        expected,
    )


def spectra_table(spectra: dict[str, Spectrum]) -> Table:
    """Return spectra side by side, under their names."""
    each = list(spectra.values())
    rows = [
        ("lowest", [one.lowest for one in each]),
        *((f"{p} %", [one.percentiles[p] for one in each]) for p in each[0].percentiles),
        ("highest", [one.highest for one in each]),
        ("trace", [one.trace for one in each]),
        ("condition number", [one.condition for one in each]),
        ("participation ratio", [one.participation_ratio for one in each]),
    ]
    lines = ((name, *("undefined" if np.isnan(value) else f"{value:.6g}" for value in values)) for name, values in rows)
    return table(("", *spectra), lines)
