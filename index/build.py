"""Model files -> bundle: the straight composition of everything else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index import density, spaces, writer
from index.bundle import GAMMA, METRIC, TOKENIZER, TOKENS, Bundle, Geometry, density_column
from index.crosscheck import crosscheck
from index.density import Rule
from index.distances import open_matrix, read_sample
from index.errors import MetricError, ParameterError
from index.neighbors import KnnGraph, check_k, knn_graph
from index.report import crosscheck_json
from index.sources import Source, load
from index.spaces import Metric
from index.tensors import read_npy, read_safetensors, read_torch
from index.vocabulary import Kind, Vocabulary

VERSION = "0.1.0"
DEFAULT_ROOT = Path("data/indexes")
LIBRARIES = ("faiss-cpu", "numpy", "pyarrow", "safetensors", "torch")

Progress = Callable[[str, float], None]
"""Called with the step in words and the share of it that is done, from 0 to 1."""


@dataclass(frozen=True)
class Settings:
    """What to build.

    Attributes
    ----------
    source : str or None
        A Hub id, model folder or file; None for the bundled model.
    tokenizer : str or None
        Where the texts of a bare matrix come from.
    out : Path or None
        The bundle's own folder; `data/indexes/NAME` by default.
    metric_tensor : Path or None
        A given M, instead of the inverse covariance.
    ridge : float
        Added to the diagonal of Cov(gamma).
    sample : str or None
        How many tokens to draw, or a file that lists them.
    seed : int
        Of the draw.
    distances : Path or None
        A stored distance matrix to check against.
    neighbors : int
        K, the neighbors kept per token.
    density_k : int
        Neighbors averaged in a density.
    centered : bool
        Whether causal cosines are taken at the mean row instead of at zero.
    device : str
        cpu, cuda, mps, or auto for what is there.
    overwrite : bool
        Whether to replace a bundle that is there.
    """

    source: str | None = None
    tokenizer: str | None = None
    out: Path | None = None
    metric_tensor: Path | None = None
    ridge: float = 1e-6
    sample: str | None = None
    seed: int = 42
    distances: Path | None = None
    neighbors: int = 100
    density_k: int = 20
    centered: bool = False
    device: str = "auto"
    overwrite: bool = False


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


def build(settings: Settings, progress: Progress = lambda step, share: None) -> Built:
    """Build a bundle.

    Parameters
    ----------
    settings : Settings
    progress : callable, optional

    Raises
    ------
    LogoscopeError
        SourceError, MetricError, DistancesError, BundleError or ParameterError: nothing is left behind.
    """
    started = time.perf_counter()
    if settings.density_k > settings.neighbors:
        raise ParameterError(
            f"--density-k {settings.density_k} needs as many neighbors, but --neighbors is {settings.neighbors}"
        )
    if settings.density_k < 1:
        raise ParameterError(f"--density-k must be 1 or more, got: {settings.density_k}")
    device = _device(settings.device)
    if settings.out is not None:
        writer.check_target(settings.out, overwrite=settings.overwrite)
    progress("reading the model", 0.0)
    source = load(settings.source, tokenizer=settings.tokenizer)
    target = settings.out or DEFAULT_ROOT / source.name
    writer.check_target(target, overwrite=settings.overwrite)
    rows = _sampled_rows(settings, len(source.gamma))
    check_k(settings.neighbors, len(source.gamma) if rows is None else len(rows))
    if settings.distances is not None:
        open_matrix(settings.distances)  # a wrong file is said before the work, not after
    progress("reading the model", 1.0)

    with writer.writing(target, overwrite=settings.overwrite) as folder:
        metric = _metric(source, settings, progress)
        gamma = source.gamma if rows is None else np.ascontiguousarray(source.gamma[rows])
        vocabulary = source.vocabulary if rows is None else source.vocabulary.take(rows)
        writer.save_tensors(folder / GAMMA, {"gamma": gamma})
        _save_metric(folder / METRIC, metric)
        if vocabulary.tokenizer_json is not None:
            (folder / TOKENIZER).write_text(vocabulary.tokenizer_json, encoding="utf-8")
        built = {
            geometry: _build_space(folder, geometry, gamma, metric, settings, device, progress) for geometry in Geometry
        }
        progress("writing", 0.0)
        table = _token_table(vocabulary, gamma, built[Geometry.CAUSAL], settings.density_k)
        pq.write_table(table, folder / TOKENS, compression="zstd")
        manifest: dict[str, Any] = {
            "name": target.name,
            "V": gamma.shape[0],
            "D": gamma.shape[1],
            "K": settings.neighbors,
            "source": {
                "location": source.location,
                "tensor": source.tensor,
                "dtype": str(source.gamma.dtype),
                "rows": len(source.gamma),
                "sha256": _checksum(source.gamma),
            },
            "settings": {
                "ridge": metric.ridge,
                "metric_tensor": None if settings.metric_tensor is None else str(settings.metric_tensor),
                "sample": settings.sample,
                "seed": None if rows is None else settings.seed,
                "density_k": settings.density_k,
                "device": device,
            },
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
                progress=lambda share: progress("checking the stored distances", share),
            )
            manifest["crosscheck"] = crosscheck_json(outcome)
            passed = outcome.passed
        writer.save_manifest(folder, manifest | {"build_seconds": time.perf_counter() - started})
        progress("writing", 1.0)
    return Built(
        target,
        sum(path.stat().st_size for path in target.iterdir()),
        time.perf_counter() - started,
        sum(kind == Kind.ORPHAN for kind in vocabulary.kinds.to_pylist()),
        tuple(int(vocabulary.token_ids[row]) for row in built[Geometry.COSINE].facts["excluded_rows"]),
        passed,
    )


@dataclass(frozen=True, eq=False)
class _BuiltSpace:
    """What the rest of a build needs of a written space: its manifest entry, its graph, its points' norms (V,)."""

    facts: dict[str, Any]
    graph: KnnGraph
    norms: np.ndarray


def _build_space(
    folder: Path,
    geometry: Geometry,
    gamma: np.ndarray,
    metric: Metric,
    settings: Settings,
    device: str,
    progress: Progress,
) -> _BuiltSpace:
    """Write one space's FAISS index and graph."""
    name, k = geometry.value, settings.neighbors
    progress(f"mapping into {geometry.label} space", 0.0)
    V, D = gamma.shape
    index, points = writer.empty_index(V, D, inner_product=geometry.angular)
    centered = geometry is Geometry.CAUSAL_COSINE and settings.centered
    if geometry is Geometry.CAUSAL:
        spaces.causal_points(gamma, metric, out=points)
    elif geometry is Geometry.COSINE:
        spaces.cosine_points(gamma, out=points)
    else:
        spaces.causal_cosine_points(gamma, metric, centered=centered, out=points)
    writer.save_index(folder / f"{name}.faiss", index)
    progress(f"mapping into {geometry.label} space", 1.0)
    excluded = spaces.zero_rows(points) if geometry.angular else np.empty(0, dtype=np.int64)
    step = f"{k} neighbors in {geometry.label} space"
    graph = _graph_without(points, excluded, k, device, lambda share: progress(step, share))
    writer.save_graph(folder, name, graph)
    norms = spaces.norms(points)
    largest = float(norms.max())
    facts = {
        "unit": "of the chord" if geometry.angular else "logometers",
        "search": "inner product" if geometry.angular else "squared L2",
        "centered": centered,
        "largest_norm": largest,
        "resolution": spaces.resolution(largest),
        "excluded_rows": excluded.tolist(),
    }
    return _BuiltSpace(facts, graph, norms)


def _graph_without(
    points: np.ndarray, excluded: np.ndarray, k: int, device: str, progress: Callable[[float], None]
) -> KnnGraph:
    """Return the graph of all points but the excluded, whose rows, like every missing place, hold -1 and infinity."""
    if len(excluded) == 0:
        return knn_graph(points, k=k, device=device, progress=progress)
    kept = np.setdiff1d(np.arange(len(points)), excluded)
    width = min(k, len(kept) - 1)
    ids = np.full((len(points), k), -1, dtype=np.int32)
    distances = np.full((len(points), k), np.inf, dtype=np.float32)
    distinct = distances.copy()
    if width > 0:
        inner = knn_graph(points[kept], k=width, device=device, progress=progress)
        ids[kept, :width] = kept[inner.ids]
        distances[kept, :width] = inner.distances
        distinct[kept, :width] = inner.distinct_distances
    return KnnGraph(ids, distances, distinct)


def _metric(source: Source, settings: Settings, progress: Progress) -> Metric:
    """Return M of the whole vocabulary, whatever sample is indexed."""
    progress("measuring the metric", 0.0)
    if settings.metric_tensor is None:
        metric = spaces.metric_from_covariance(*spaces.covariance(source.gamma), settings.ridge)
    else:
        given = _given_metric(settings.metric_tensor)
        mean = source.gamma.mean(axis=0, dtype=np.float64)
        metric = spaces.metric_from_matrix(given, mean, origin=str(settings.metric_tensor))
    progress("measuring the metric", 1.0)
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


def _token_table(vocabulary: Vocabulary, gamma: np.ndarray, causal: _BuiltSpace, density_k: int) -> pa.Table:
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
        means = density.mean_distances(causal.graph.distances, causal.graph.distinct_distances, rule, density_k)
        columns[density_column(rule)] = density.density(means)
    return pa.table(columns)


def _sampled_rows(settings: Settings, V: int) -> np.ndarray | None:
    """Return the rows to index in their order; None for all of them."""
    if settings.sample is None:
        return None
    if settings.sample.lstrip("+-").isdigit():
        import torch

        n = int(settings.sample)
        if not 2 <= n <= V:
            raise ParameterError(f"--sample must be from 2 to {V}, the tokens of the model, got: {n}")
        drawn: np.ndarray = torch.randperm(V, generator=torch.Generator().manual_seed(settings.seed))[:n].numpy()
        return drawn
    rows = read_sample(Path(settings.sample))
    outside = rows[(rows < 0) | (rows >= V)]
    if len(outside):
        raise ParameterError(
            f"--sample {settings.sample} names token {outside[0]}, but the model has {V} rows: 0 to {V - 1}"
        )
    if len(np.unique(rows)) < len(rows):
        raise ParameterError(f"--sample {settings.sample} names {len(rows) - len(np.unique(rows))} tokens twice")
    return rows


def _device(wanted: str) -> str:
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, there in available.items() if there)
    if wanted not in available:
        raise ParameterError(f"--device must be auto, cpu, cuda or mps, got: {wanted}")
    if not available[wanted]:
        raise ParameterError(f"--device {wanted}: there is none on this machine; pass --device auto")
    return wanted


def _checksum(gamma: np.ndarray) -> str:
    digest = sha256()
    for start in range(0, len(gamma), 4096):
        digest.update(gamma[start : start + 4096].tobytes())
    return digest.hexdigest()
