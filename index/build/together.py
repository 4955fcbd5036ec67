"""The steps of a sweep on several workers, of this machine or of a Dask cluster that shares its file system.

First every source is identified, then one step of each matrix is built. A bundle is written beside its place and takes
it in one step, so a step may be begun twice and is done once. Where a worker dies, another is given its step, and goes
on with the spaces that are finished. Where one is slow, or cut off and perhaps still at work, another builds the same
in a folder of its own: whose bundle is whole first takes the place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path

from index.build.build import Built
from index.build.cluster import Cluster, check_workers, connected
from index.build.place import BusyError
from index.build.step import Identity, Job
from index.build.sweep import Done
from index.bundle.sweep import Step
from index.errors import BundleError, LogoscopeError
from index.progress import Progress, silent


def run_together(
    jobs: Sequence[Job], steps: Mapping[str, Step], workers: int | None, scheduler: str | None, progress: Progress
) -> Iterator[Done]:
    """Yield what became of each step, as it is done."""
    check_workers(workers, scheduler)
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
            open_jobs.append(job)
    if open_jobs:
        with connected(workers, scheduler, open_jobs[0].settings.threads, "--sweep") as cluster:
            shared = [replace(job, settings=replace(job.settings, threads=cluster.threads)) for job in open_jobs]
            yield from _run(cluster, shared, known, progress)


def _run(cluster: Cluster, jobs: Sequence[Job], known: dict[Identity, str], progress: Progress) -> Iterator[Done]:
    """Identify all sources, then build one step of each matrix that has no bundle yet."""
    here = str(Path.cwd())
    identities: dict[str, Identity] = {}
    for job, found in cluster.spread(partial(_identify, folder=here), jobs, progress):
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
    for job, built in cluster.spread(partial(_build, folder=here), builds, progress):
        failed = built if isinstance(built, LogoscopeError) else None
        yield Done(job.step(error=failed), None if isinstance(built, LogoscopeError) else built, failed)
        for other in same.get(job.name, ()):
            yield Done(other.step(error=failed) if failed else other.step(same_as=job.name), error=failed)


def _identify(job: Job, folder: str) -> Identity:
    with chdir(folder):
        return job.identity(job.read(silent))


def _build(job: Job, folder: str) -> Built | None:
    """Build a step; None where another worker has, which was quicker, or died before it could say so."""
    with chdir(folder):
        if job.kept() is not None:
            return None
        try:
            return job.build([job.read(silent)], silent)
        except BusyError:
            return job.build_aside([job.read(silent)], silent)
        except BundleError:
            if job.kept() is None:
                raise
            return None
