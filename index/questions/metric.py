"""The causal metric itself: its spectrum, what the ridge changed, whether distances and norms are what they must be.

The identities follow from M = (C + ridge I)^-1, with C = Cov(gamma) of V rows and width D, and the mean row mu::

    mean over i != j of d(i, j)^2  =  2 tr(M C) V / (V - 1)     =  2 (D - ridge tr M) V / (V - 1)
    mean over i of |x_i|_M^2       =  tr(M C) + mu^T M mu       =  D - ridge tr M + mu^T M mu
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.answers.answer import Tabular
from index.bundle.bundle import Bundle
from index.geometry.maps import pair_distances
from index.geometry.metric import Metric
from index.measures.pairs import check_pairs, random_pairs

PERCENTILES = (5, 25, 50, 75, 95)
_SEED = 0


@dataclass(frozen=True)
class Spectrum:
    """The eigenvalues of a symmetric matrix, in figures.

    Attributes
    ----------
    lowest, highest : float
    percentiles : dict of int to float
        Of the D eigenvalues, linear between them.
    condition : float
        highest / lowest; infinite for a singular matrix.
    trace : float
        Their sum.
    participation_ratio : float
        (sum of e)^2 / sum of e^2: how many directions share the trace, from 1 to D.
    """

    lowest: float
    highest: float
    percentiles: dict[int, float]
    condition: float
    trace: float
    participation_ratio: float


@dataclass(frozen=True)
class Ridge:
    """What the ridge did to M: its highest eigenvalue is 1 / (lowest of Cov(gamma) + ridge).

    Attributes
    ----------
    value : float
    highest_with, highest_without : float
        M's highest eigenvalue; infinite without a ridge where Cov(gamma) is singular.
    dimensions_lost : float
        ridge tr M: by so many logometers squared it lowers the mean squared causal norm from D.
    """

    value: float
    highest_with: float
    highest_without: float
    dimensions_lost: float


@dataclass(frozen=True)
class Lengths:
    """Norms or distances, in logometers.

    Attributes
    ----------
    count : int
    mean, deviation, lowest, highest : float
        The deviation is the standard one, divided by the count.
    mean_square : float
        In logometers squared.
    standard_error : float
        Of `mean_square`, where it is of random pairs; 0 where it is of all tokens.
    expected : float or None
        What the identity says `mean_square` is over the whole vocabulary; None for a given M, which has none.
    """

    count: int
    mean: float
    deviation: float
    lowest: float
    highest: float
    mean_square: float
    standard_error: float
    expected: float | None


@dataclass(frozen=True)
class MetricReport(Tabular):
    """The metric of a bundle.

    Attributes
    ----------
    origin : str
    covariance : Spectrum
        Of Cov(gamma); for a given M, of its inverse.
    metric : Spectrum
        Of M.
    ridge : Ridge or None
        None for a given M.
    norms : Lengths
        Causal norms of all tokens, uncentered.
    pairs : Lengths
        Causal distances of random pairs of different tokens.
    sampled : bool
        Whether the bundle holds a sample: the identities hold for the whole vocabulary only.
    """

    origin: str
    covariance: Spectrum
    metric: Spectrum
    ridge: Ridge | None
    norms: Lengths
    pairs: Lengths
    sampled: bool


def metric(bundle: Bundle, *, pairs: int = 20_000) -> MetricReport:
    """Measure the metric of a bundle, and random pairs of its tokens with it.

    Parameters
    ----------
    bundle : Bundle
    pairs : int
        Random ordered pairs of two different tokens, drawn with a fixed seed.

    Raises
    ------
    ParameterError
        When `pairs` is out of range.
    """
    check_pairs(pairs, least=2)
    found, rows = bundle.metric, bundle.manifest.source.rows
    variance = _expected_variance(found)
    mean_norm = float(found.mean @ found.matrix @ found.mean)
    norms = np.from_dlpack(bundle.columns("causal_norm")["causal_norm"].combine_chunks())
    a, b = random_pairs(np.random.default_rng(_SEED), len(bundle), pairs)
    distances = pair_distances(bundle.causal.points, a, b)
    return MetricReport(
        found.origin,
        spectrum(found.eigenvalues),
        spectrum(_eigenvalues_of_m(found)),
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
    """Describe eigenvalues.

    Parameters
    ----------
    eigenvalues : ndarray of shape (D,), float64
    """
    lowest, highest, trace = float(eigenvalues.min()), float(eigenvalues.max()), float(eigenvalues.sum())
    return Spectrum(
        lowest,
        highest,
        dict(zip(PERCENTILES, np.percentile(eigenvalues, PERCENTILES).tolist(), strict=True)),
        highest / lowest if lowest > 0 else float("inf"),
        trace,
        trace**2 / float((eigenvalues**2).sum()),
    )


def _eigenvalues_of_m(found: Metric) -> np.ndarray:
    return 1 / (found.eigenvalues[::-1] + (found.ridge or 0.0))


def _expected_variance(found: Metric) -> float | None:
    """Return tr(M C) = D - ridge tr M; None for a given M, for which C is another matrix than M^-1."""
    if found.ridge is None:
        return None
    return len(found.mean) - found.ridge * float(_eigenvalues_of_m(found).sum())


def _ridge(found: Metric) -> Ridge | None:
    if found.ridge is None:
        return None
    lowest, of_m = float(found.eigenvalues[0]), _eigenvalues_of_m(found)
    without = 1 / lowest if lowest > 0 else float("inf")
    return Ridge(found.ridge, float(of_m[-1]), without, found.ridge * float(of_m.sum()))


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
