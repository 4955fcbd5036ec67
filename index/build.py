"""Model files -> bundle: the straight composition of everything else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from index import density, spaces, writer
from index.approximate import check_factory
from index.bundle import GAMMA, METRIC, TOKENIZER, TOKENS, Bundle, Geometry, density_column
from index.columns import token_columns
from index.crosscheck import crosscheck
from index.density import Rule
from index.distances import open_matrix
from index.errors import MetricError
from index.points import check_k
from index.report import crosscheck_json
from index.settings import Settings, chosen_device, sampled_rows
from index.sources import Source, load
from index.space_build import BuiltSpace, Progress, build_space
from index.spaces import Metric
from index.tensors import read_npy, read_safetensors, read_torch
from index.vocabulary import Kind, Vocabulary

VERSION = "0.1.0"
DEFAULT_ROOT = Path("data/indexes")
LIBRARIES = ("faiss-cpu", "numpy", "pyarrow", "safetensors", "torch")


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes
    ----------
    folder : Path
    bytes : int
        Of all its files.
    seconds : float
    orphans : int
        Rows without text.
    zero_ids : tuple of int
        Tokens whose row is zero: they have no cosine.
    crosscheck_passed : bool or None
        None where no matrix was given.
    """

    folder: Path
    bytes: int
    seconds: float
    orphans: int
    zero_ids: tuple[int, ...]
    crosscheck_passed: bool | None


def build(settings: Settings, progress: Progress = lambda step, done, total: None) -> Built:
    """Build a bundle.

    Parameters
    ----------
    settings : Settings
    progress : callable, optional
        Called with the step in words, how many of its items are done, and how many there are.

    Raises
    ------
    LogoscopeError
        SourceError, MetricError, DistancesError, BundleError or ParameterError: nothing is left behind.
    """
    started = time.perf_counter()
    settings.check()
    device = chosen_device(settings.device)
    if settings.out is not None:
        writer.check_target(settings.out, overwrite=settings.overwrite)
    progress("reading the model", 0, 1)
    source = load(settings.source, tokenizer=settings.tokenizer)
    target = settings.out or DEFAULT_ROOT / source.name
    writer.check_target(target, overwrite=settings.overwrite)
    rows = sampled_rows(settings, len(source.gamma))
    _check_against_source(settings, source, rows)
    progress("reading the model", 1, 1)
    with _threads(settings.threads), writer.writing(target, overwrite=settings.overwrite) as folder:
        return _fill(folder, target, source, rows, settings, device, progress, started)


def _fill(
    folder: Path,
    target: Path,
    source: Source,
    rows: np.ndarray | None,
    settings: Settings,
    device: str,
    progress: Progress,
    started: float,
) -> Built:
    """Write every file of a bundle into `folder`, the manifest last."""
    metric = _metric(source, settings, progress)
    gamma = source.gamma if rows is None else np.ascontiguousarray(source.gamma[rows])
    vocabulary = source.vocabulary if rows is None else source.vocabulary.take(rows)
    writer.save_tensors(folder / GAMMA, {"gamma": gamma})
    _save_metric(folder / METRIC, metric)
    if vocabulary.tokenizer_json is not None:
        (folder / TOKENIZER).write_text(vocabulary.tokenizer_json, encoding="utf-8")
    built = {
        geometry: build_space(folder, geometry, gamma, metric, settings, device, progress) for geometry in Geometry
    }
    progress("writing", 0, 1)
    table = _token_table(vocabulary, gamma, built, settings)
    pq.write_table(table, folder / TOKENS, compression="zstd")
    manifest = {
        "name": target.name,
        "V": gamma.shape[0],
        "D": gamma.shape[1],
        "K": settings.neighbors,
        "source": _source_facts(source),
        "settings": _settings_facts(settings, metric, device, sampled=rows is not None),
        "metric": {"ridge": metric.ridge, "origin": metric.origin},
        "spaces": {geometry.value: space.facts for geometry, space in built.items()},
        "versions": {"logoscope": VERSION, **{library: version(library) for library in LIBRARIES}},
        "crosscheck": None,
    }
    passed = None
    if settings.distances is not None:
        outcome = crosscheck(
            Bundle(folder, manifest),
            distances=settings.distances,
            progress=lambda share: progress("checking the stored distances", round(1000 * share), 1000),
        )
        manifest["crosscheck"] = crosscheck_json(outcome)
        passed = outcome.passed
    files_bytes = writer.save_manifest(folder, manifest | {"build_seconds": time.perf_counter() - started})
    progress("writing", 1, 1)
    return Built(
        target,
        files_bytes,
        time.perf_counter() - started,
        sum(kind == Kind.ORPHAN for kind in vocabulary.kinds.to_pylist()),
        tuple(int(vocabulary.token_ids[row]) for row in built[Geometry.COSINE].facts["excluded_rows"]),
        passed,
    )


def _check_against_source(settings: Settings, source: Source, rows: np.ndarray | None) -> None:
    """Refuse before the work what could only fail after it."""
    V, D = source.gamma.shape
    check_k(settings.neighbors, V if rows is None else len(rows))
    if settings.distances is not None:
        open_matrix(settings.distances)
    for factory in settings.index_factories:
        check_factory(factory, D)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Hold every library's pool of threads to `count`; None leaves them as they are.

    FAISS and torch each bring an OpenMP of their own, and on macOS the second one to start aborts the process. torch
    runs one thread in each of the engine's (`neighbors`), and FAISS only writes files here, unless an approximate index
    is asked for; so there FAISS's OpenMP is not touched, which would start it.
    """
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    if sys.platform != "darwin":
        import faiss

        faiss.omp_set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def _source_facts(source: Source) -> dict[str, Any]:
    return {
        "location": source.location,
        "tensor": source.tensor,
        "dtype": str(source.gamma.dtype),
        "rows": len(source.gamma),
        "sha256": _checksum(source.gamma),
    }


def _settings_facts(settings: Settings, metric: Metric, device: str, *, sampled: bool) -> dict[str, Any]:
    return {
        "ridge": metric.ridge,
        "metric_tensor": None if settings.metric_tensor is None else str(settings.metric_tensor),
        "sample": settings.sample,
        "seed": settings.seed if sampled else None,
        "density_k": settings.density_k,
        "device": device,
    }


def _metric(source: Source, settings: Settings, progress: Progress) -> Metric:
    """Return M of the whole vocabulary, whatever sample is indexed."""
    progress("measuring the metric", 0, 1)
    if settings.metric_tensor is None:
        metric = spaces.metric_from_covariance(*spaces.covariance(source.gamma), settings.ridge)
    else:
        given = _given_metric(settings.metric_tensor)
        mean = source.gamma.mean(axis=0, dtype=np.float64)
        metric = spaces.metric_from_matrix(given, mean, origin=str(settings.metric_tensor))
    progress("measuring the metric", 1, 1)
    return metric


def _given_metric(path: Path) -> np.ndarray:
    if not path.is_file():
        raise MetricError(f"--metric-tensor {path}: there is no such file")
    if path.suffix == ".npy":
        return read_npy(path).values
    if path.suffix == ".safetensors":
        return read_safetensors(path, ("M",)).values
    if path.suffix in (".pt", ".pth"):
        return read_torch(path, ("M",)).values
    raise MetricError(f"--metric-tensor {path}: wanted a .pt, .safetensors or .npy file")


def _save_metric(path: Path, metric: Metric) -> None:
    writer.save_tensors(
        path,
        {"mean": metric.mean, "M": metric.matrix, "factor": metric.factor, "eigenvalues": metric.eigenvalues},
        {"ridge": "given" if metric.ridge is None else repr(metric.ridge), "origin": metric.origin},
    )


def _token_table(
    vocabulary: Vocabulary, gamma: np.ndarray, built: dict[Geometry, BuiltSpace], settings: Settings
) -> pa.Table:
    causal = built[Geometry.CAUSAL]
    groups = spaces.twin_groups(gamma)
    counts = np.bincount(groups, minlength=len(groups))[groups]
    columns: dict[str, Any] = {
        "row": np.arange(len(gamma), dtype=np.int32),
        "token_id": vocabulary.token_ids,
        "text": vocabulary.texts,
        "piece": vocabulary.pieces,
        "kind": vocabulary.kinds,
        "twin_group": groups,
        "twin_count": counts.astype(np.int32),
        "euclidean_norm": spaces.norms(gamma),
        "causal_norm": causal.norms,
    }
    for rule in Rule:
        means = density.mean_distances(
            causal.graph.distances, causal.graph.distinct_distances, rule, settings.density_k
        )
        columns[density_column(rule)] = density.density(means)
    columns |= token_columns(vocabulary, causal.graph, built[Geometry.COSINE].graph, settings.density_k)
    return pa.table(columns)


def _checksum(gamma: np.ndarray) -> str:
    digest = sha256()
    for start in range(0, len(gamma), 4096):
        digest.update(gamma[start : start + 4096].tobytes())
    return digest.hexdigest()
