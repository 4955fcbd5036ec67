"""Model files -> bundle: the straight composition of everything else."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec.structs import replace
from threadpoolctl import threadpool_limits

from index.build.approximate import check_factory
from index.build.cluster import Cluster, perhaps_connected
from index.build.control import bundle_name, controlled, require_no_model
from index.build.finished import clear_tiles, find_space, keep_space
from index.build.place import Workplace, building, check_target
from index.build.resources import BuildSize, check_disk, check_memory, holds_two
from index.build.rows import Rows, write_rows
from index.build.settings import Settings, chosen_device
from index.build.spaces import build_causal_spaces, build_space, space_files
from index.build.table import token_table
from index.bundle import write as writer
from index.bundle.bundle import GAMMA, METRIC, TOKENS, Bundle
from index.bundle.checksums import FileFacts, describe, file_sha256
from index.bundle.manifest import (
    FORMAT_VERSION,
    CrossCheckFacts,
    Manifest,
    MetricFacts,
    SettingsFacts,
    SpaceFacts,
    SpacesFacts,
)
from index.bundle.places import ROOT
from index.checks.crosscheck import CrossCheck, crosscheck
from index.checks.stored_matrix import open_matrix
from index.geometry.maps import Geometry
from index.geometry.metric import Metric, large_ridge
from index.progress import Progress, silent
from index.search.graph import check_k
from index.sources.load import Source, load
from index.sources.sample import sampled_rows
from index.tokens.vocabulary import Kind

if TYPE_CHECKING:
    from index.search.tile import Find

VERSION = "0.1.0"
LIBRARIES = ("faiss-cpu", "numba", "numpy", "pyarrow", "safetensors", "torch")


@dataclass(frozen=True)
class Built:
    """What was built."""

    folder: Path
    bytes: int  # of all its files
    seconds: float
    orphans: int  # rows without text
    left_out: int  # added tokens of the tokenizer that have no row
    zero_ids: tuple[int, ...]  # tokens whose row is zero: they have no cosine
    crosscheck: CrossCheck | None  # None where no matrix was given
    notes: tuple[str, ...]  # what to know of it: a file fetched whole, a ridge that removes much, a coarse resolution
    reused: tuple[Geometry, ...]  # spaces that a build which was stopped or killed had finished


@dataclass(frozen=True, eq=False)
class _Job:
    """One build: what, where, and whom to tell."""

    settings: Settings
    device: str
    place: Workplace
    name: str
    progress: Progress
    started: float  # by time.perf_counter
    cluster: Cluster | None  # whose workers make the graphs; None for this process
    together: bool  # whether both causal spaces are searched at once


def build(
    settings: Settings,
    progress: Progress = silent,
    *,
    read: Callable[[], Source] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Built:
    """Build a bundle, or go on with one that was stopped or killed.

    `read` gives the source, where it is at hand; `settings.source` is then what it is called. So many `workers` on this
    machine, or those of the Dask scheduler at an address, which share this machine's file system, make the graphs.

    Raises
    ------
    LogoscopeError
        SourceError, MetricError, DistancesError, BundleError or ParameterError: nothing is left behind.
    Interrupted
        On Ctrl-C while the matrix is fetched; it says where what has come is kept.
    UnfinishedError
        Where workers or their scheduler are gone, or fail: what they have done is kept for the next run.
    Stopped
        On Ctrl-C, from the first writing on; it says which spaces are kept for the next run.
    """
    started = time.perf_counter()
    settings.check()
    device, kind = chosen_device(settings.device), settings.control_kind
    if settings.out is not None:
        check_target(settings.out, overwrite=settings.overwrite)
    with _threads(settings.threads), perhaps_connected(workers, scheduler, settings.threads) as cluster:
        progress("reading the model", 0, 1)
        source = read() if read is not None else _load(settings, progress)
        target = settings.out or ROOT / bundle_name(source, kind)
        check_target(target, overwrite=settings.overwrite)
        if kind is not None:
            require_no_model(target)
        selected = sampled_rows(settings.sample, settings.seed, len(source.gamma))
        size = _checked_size(settings, source, selected, workers, tiled=cluster is not None)
        progress("reading the model", 1, 1)
        with building(target, overwrite=settings.overwrite) as place:
            check_disk(size, place.folder)
            together = cluster is None and holds_two(size)
            job = _Job(settings, device, place, place.target.name, progress, started, cluster, together)
            fetched, control = source.notes, None
            if kind is not None:
                source, control = controlled(source, kind, settings.seed, place.folder, progress)
            rows = write_rows(place.bundle, source, control, selected, settings, progress)
            del source  # and with it the memory of a matrix that had to be dequantized
            facts, reused = _build_spaces(job, rows)
            built = _finish(job, rows, facts, reused)
            return dataclasses.replace(built, notes=(*fetched, *built.notes))


def _load(settings: Settings, progress: Progress) -> Source:
    return load(settings.source, tokenizer=settings.tokenizer, cache=settings.cache, progress=progress)


def _checked_size(
    settings: Settings, source: Source, selected: np.ndarray | None, workers: int | None, *, tiled: bool
) -> BuildSize:
    """Refuse before the work what could only fail after it; return how large a build it is."""
    V, D = source.gamma.shape
    V = V if selected is None else len(selected)
    check_k(settings.neighbors, V)
    if settings.distances is not None:
        open_matrix(settings.distances)
    for factory in settings.index_factories:
        check_factory(factory, D)
    size = BuildSize.of(V, D, source.gamma.dtype.itemsize, settings, workers=workers, tiled=tiled)
    check_memory(size)
    return size


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


def _build_spaces(job: _Job, rows: Rows) -> tuple[dict[Geometry, SpaceFacts], tuple[Geometry, ...]]:
    """Build every space that is not there yet; return the facts of all, and which were there."""
    place, settings = job.place, job.settings
    files = {geometry: space_files(geometry, settings) for geometry in Geometry}
    inputs = _inputs(place.bundle, settings)
    facts: dict[Geometry, SpaceFacts] = {}
    for geometry in Geometry:
        found = find_space(place.folder, geometry.value, inputs[geometry], files[geometry])
        if found is not None:
            facts[geometry] = found
            job.progress(f"{geometry.label} space: kept, finished before", 1, 1)
    reused = tuple(facts)
    for geometry, built in _built(job, rows, [each for each in Geometry if each not in reused], inputs):
        facts[geometry] = built
        keep_space(place.folder, geometry.value, inputs[geometry], files[geometry], built)
        clear_tiles(place.folder, geometry.value)
    return facts, reused


def _built(
    job: _Job, rows: Rows, wanted: list[Geometry], inputs: dict[Geometry, dict[str, Any]]
) -> Iterator[tuple[Geometry, SpaceFacts]]:
    """Build some spaces: both causal ones at once, where that may be, and each of the others alone."""
    common = (rows, job.settings, job.device, job.progress)
    causal = {Geometry.CAUSAL, Geometry.CAUSAL_COSINE}
    if job.together and causal.issubset(wanted):
        yield from build_causal_spaces(job.place.bundle, *common)
        wanted = [geometry for geometry in wanted if geometry not in causal]
    for geometry in wanted:
        yield geometry, build_space(job.place.bundle, geometry, *common, _find(job, geometry, inputs[geometry]))


def _find(job: _Job, geometry: Geometry, inputs: dict[str, Any]) -> Find | None:
    if job.cluster is None:
        return None
    from index.build.graph import find_together

    return find_together(job.cluster, job.place.folder, geometry.value, inputs, job.device, job.progress)


def _inputs(folder: Path, settings: Settings) -> dict[Geometry, dict[str, Any]]:
    """Return all that decides what is in the files of each space: the device and the threads are no part of it."""
    shared = {
        "format_version": FORMAT_VERSION,
        "versions": _versions(),
        "gamma": file_sha256(folder / GAMMA),
        "neighbors": settings.neighbors,
        "index_factories": list(settings.index_factories),
    }
    causal = shared | {"metric": file_sha256(folder / METRIC)}
    return {
        Geometry.CAUSAL: causal,
        Geometry.COSINE: shared,
        Geometry.CAUSAL_COSINE: causal | {"centered": settings.centered},
    }


def _finish(job: _Job, rows: Rows, facts: dict[Geometry, SpaceFacts], reused: tuple[Geometry, ...]) -> Built:
    """Write the table of tokens and, last, the manifest."""
    folder, settings = job.place.bundle, job.settings
    job.progress("writing", 0, 1)
    writer.save_table(folder / TOKENS, token_table(folder, rows, facts, settings.density_k))
    manifest = _manifest(job, rows, facts, describe(folder))
    outcome = None
    if settings.distances is not None:
        outcome = crosscheck(
            Bundle(folder, manifest),
            distances=settings.distances,
            progress=job.progress,
        )
        manifest = replace(manifest, crosscheck=msgspec.convert(outcome.json(), CrossCheckFacts))
    manifest = replace(manifest, build_seconds=time.perf_counter() - job.started)
    files_bytes = writer.save_manifest(folder, manifest)
    job.progress("writing", 1, 1)
    return Built(
        job.place.target,
        files_bytes,
        time.perf_counter() - job.started,
        sum(kind == Kind.ORPHAN for kind in rows.vocabulary.kinds.to_pylist()),
        rows.vocabulary.left_out,
        tuple(int(rows.vocabulary.token_ids[row]) for row in facts[Geometry.COSINE].excluded_rows),
        outcome,
        tuple(_notes(rows.metric, facts)),
        reused,
    )


def _notes(metric: Metric, facts: dict[Geometry, SpaceFacts]) -> Iterator[str]:
    said = None if metric.ridge is None else large_ridge(metric.ridge, metric.dimensions_lost or 0.0, len(metric.mean))
    if said is not None:
        yield said
    for geometry, space in facts.items():
        if space.coarse is not None:
            yield f"{geometry.label}: {space.coarse}"


def _manifest(job: _Job, rows: Rows, facts: dict[Geometry, SpaceFacts], files: dict[str, FileFacts]) -> Manifest:
    """Return the manifest before the cross-check, which needs a bundle to open."""
    settings, metric = job.settings, rows.metric
    return Manifest(
        name=job.name,
        V=rows.gamma.shape[0],
        D=rows.gamma.shape[1],
        K=settings.neighbors,
        source=rows.source,
        control=rows.control,
        settings=SettingsFacts(
            ridge=metric.ridge,
            metric_tensor=None if settings.metric_tensor is None else str(settings.metric_tensor),
            sample=settings.sample,
            seed=None if settings.sample is None else settings.seed,
            density_k=settings.density_k,
            device=job.device,
        ),
        metric=MetricFacts(ridge=metric.ridge, origin=metric.origin),
        spaces=SpacesFacts(**{geometry.value: entry for geometry, entry in facts.items()}),
        versions=_versions(),
        crosscheck=None,
        files=files,
        build_seconds=0,
    )


def _versions() -> dict[str, str]:
    return {"logoscope": VERSION, **{library: version(library) for library in LIBRARIES}}
