"""The rows of a bundle: gamma, its tokens and its metric, written before any space is built."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from index.answers.control import Control
from index.build.settings import Settings
from index.bundle import write as writer
from index.bundle.bundle import GAMMA, METRIC, TOKENIZER
from index.bundle.manifest import SourceFacts
from index.errors import MetricError, parameter
from index.files import no_file, open_file
from index.geometry.metric import Metric, covariance, metric_from_covariance, metric_from_matrix
from index.geometry.twins import twin_groups
from index.progress import Progress
from index.sources.load import Source
from index.sources.matrix import read_matrix
from index.tokens.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Rows:
    """What is indexed, and where it comes from."""

    gamma: np.ndarray  # (V, D), mapped from the bundle's own file
    vocabulary: Vocabulary  # of the V rows
    metric: Metric  # of the whole source, whatever sample of it is indexed
    twins: np.ndarray  # (V,) int32, the first row that is bit-identical to each
    source: SourceFacts
    control: Control | None  # what stands in place of the source's matrix


def write_rows(
    folder: Path,
    source: Source,
    control: Control | None,
    selected: np.ndarray | None,
    settings: Settings,
    progress: Progress,
) -> Rows:
    """Write gamma, the metric and the tokenizer into the folder of a bundle.

    `control` says what the source's matrix is, where that is no model's. `selected`, (V,), are the rows of the source
    to index; None for all.
    """
    metric = _metric(source, settings, progress)
    vocabulary = source.vocabulary if selected is None else source.vocabulary.take(selected)
    writer.save_tensors(folder / GAMMA, {"gamma": source.gamma if selected is None else source.gamma[selected]})
    writer.save_tensors(
        folder / METRIC,
        {"mean": metric.mean, "M": metric.matrix, "factor": metric.factor, "eigenvalues": metric.eigenvalues},
        {"ridge": "given" if metric.ridge is None else repr(metric.ridge), "origin": metric.origin},
    )
    if vocabulary.tokenizer_json is not None:
        writer.save_text(folder / TOKENIZER, vocabulary.tokenizer_json)
    facts = SourceFacts(
        location=source.location,
        tensor=source.tensor,
        dtype=str(source.gamma.dtype),
        rows=len(source.gamma),
        sha256=numbers_sha256(source.gamma),
    )
    gamma = read_matrix(open_file(folder / GAMMA), ("gamma",)).values
    return Rows(gamma, vocabulary, metric, twin_groups(gamma), facts, control)


def _metric(source: Source, settings: Settings, progress: Progress) -> Metric:
    """Return the metric, taken apart on one thread: the last digits of eigenvectors depend on the number of threads."""
    progress("measuring the metric", 0, 1)
    if settings.metric_tensor is None:
        mean, cov = covariance(source.gamma)
        with threadpool_limits(1):
            metric = metric_from_covariance(mean, cov, settings.ridge)
    else:
        given = _given_metric(settings.metric_tensor)
        mean = source.gamma.mean(axis=0, dtype=np.float64)
        with threadpool_limits(1):
            metric = metric_from_matrix(given, mean, origin=str(settings.metric_tensor))
    progress("measuring the metric", 1, 1)
    return metric


def _given_metric(path: Path) -> np.ndarray:
    if not os.path.isfile(path):  # Path.is_file raises for a path that no file system takes
        raise MetricError(f"{parameter('metric_tensor', path)}: {no_file(path)}")
    if path.suffix not in (".npy", ".safetensors", ".pt", ".pth"):
        raise MetricError(f"{parameter('metric_tensor', path)}: wanted a .pt, .safetensors or .npy file")
    return read_matrix(open_file(path), ("M",)).values


def numbers_sha256(gamma: np.ndarray) -> str:
    """Return the SHA-256 of the numbers of a matrix (V, D), row by row."""
    digest = sha256()
    for start in range(0, len(gamma), 4096):
        digest.update(gamma[start : start + 4096].tobytes())
    return digest.hexdigest()
