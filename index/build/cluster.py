"""The steps of a sweep on several processes, of this machine or of a Dask cluster that shares its file system.

First every source is identified, then one step of each matrix is built: two workers never build the same. A bundle is
written beside its place and takes it in one step, so a step may be begun twice and is done once. Where a worker dies,
the scheduler gives its step to another, which goes on with the spaces that are finished.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from index.build.build import Built
from index.build.step import Identity, Job
from index.build.sweep import Done
from index.bundle.sweep import Step
from index.errors import LogoscopeError, ParameterError, parameter
from index.files import brief, require
from index.search.graph import core_count

MOST_WORKERS = 256
DEATHS = 3
"""How many workers may die of a step before it is given up."""
CONNECT_SECONDS = 15

Found = TypeVar("Found")


def run_together(
    jobs: Sequence[Job], steps: Mapping[str, Step], workers: int | None, scheduler: str | None
) -> Iterator[Done]:
    """Yield what became of each step, as it is done."""
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise ParameterError(f"{parameter('workers')} must be from 1 to {MOST_WORKERS}, got: {workers}")
    known: dict[Identity, str] = {}
    open_jobs = []
    for job in jobs:
        before = steps[job.name]
        try:
            kept = job.kept()
        except LogoscopeError as error:
            yield Done(job.step(error=error), error=error)
            continue
        if kept is not None:
            known.setdefault(kept, job.name)
            yield Done(job.step())
        elif before.same_as in known.values() and not job.settings.overwrite:
            yield Done(before)
        else:
            open_jobs.append(job if workers is None else _sharing(job, workers))
    if open_jobs:
        with _client(workers, scheduler) as client:
            yield from _run(client, open_jobs, known)


def _sharing(job: Job, workers: int) -> Job:
    """Return a job that takes its share of this machine's cores, unless it was told how many threads to run."""
    threads = job.settings.threads or max(1, core_count() // workers)
    return replace(job, settings=replace(job.settings, threads=threads))


def _run(client: Any, jobs: Sequence[Job], known: dict[Identity, str]) -> Iterator[Done]:
    """Identify all sources, then build one step of each matrix that has no bundle yet."""
    identities: dict[str, Identity] = {}
    for job, found in _spread(client, _identify, jobs):
        if isinstance(found, LogoscopeError):
            yield Done(job.step(error=found), error=found)
        else:
            identities[job.name] = found
    builds: list[Job] = []
    same: dict[str, list[Job]] = {}  # by the step whose bundle is theirs, too
    for job in jobs:
        if job.name not in identities:
            continue
        first = known.setdefault(identities[job.name], job.name)
        if first == job.name:
            builds.append(job)
        else:
            same.setdefault(first, []).append(job)
    waiting = {job.name for job in builds}
    for first in same.keys() - waiting:  # has a bundle since before
        yield from (Done(job.step(same_as=first)) for job in same[first])
    for job, built in _spread(client, _build, builds):
        failed = built if isinstance(built, LogoscopeError) else None
        yield Done(job.step(error=failed), None if isinstance(built, LogoscopeError) else built, failed)
        for other in same.get(job.name, ()):
            yield Done(other.step(error=failed) if failed else other.step(same_as=job.name), error=failed)


def _spread(
    client: Any, work: Callable[[Job, str], Found], jobs: Sequence[Job]
) -> Iterator[tuple[Job, Found | LogoscopeError]]:
    """Yield jobs with what workers made of them, as they come."""
    from distributed import KilledWorker, as_completed

    here = str(Path.cwd())
    futures = {client.submit(work, job, here, pure=False): job for job in jobs}
    for future in as_completed(list(futures)):
        job = futures.pop(future)
        try:
            yield job, future.result()
        except LogoscopeError as error:
            yield job, error
        except KilledWorker:
            yield job, LogoscopeError(f"{DEATHS} workers died of {job.name}: it may need more memory than they have")


def _identify(job: Job, folder: str) -> Identity:
    with chdir(folder):
        return job.identity(job.read(_silent))


def _build(job: Job, folder: str) -> Built | None:
    """Build a step; None where another worker has, which died before it could say so."""
    with chdir(folder):
        if job.kept() is not None:
            return None
        return job.build([job.read(_silent)], _silent)


def _silent(step: str, done: int, total: int) -> None:
    """Report no progress: of many at a time, who finishes is told."""


@contextmanager
def _client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """Give a client of the scheduler, or of a cluster of this machine that ends with the block."""
    require("distributed", extra="cluster", command="--sweep", program="build_index.py")
    import dask
    from distributed import Client, LocalCluster

    # A build bounds its own memory; Dask would pause and kill by the pages of files that it has mapped.
    settings: dict[str, object] = {
        f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause", "terminate")
    }
    settings |= {"distributed.scheduler.allowed-failures": DEATHS - 1}
    with dask.config.set(settings):
        if scheduler is None:
            with (
                environment_kept(),
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    protocol="tls://",
                    security=True,  # keys of this cluster alone: who else is on this machine cannot send it code
                    host="127.0.0.1",
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client
            return
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise ParameterError(f"{parameter('scheduler', scheduler)} does not answer: {brief(error)}") from error
        with client:
            yield client


@contextmanager
def environment_kept() -> Iterator[None]:
    """Leave the environment of this process as it was: Dask writes into it what the workers it starts are to have."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
