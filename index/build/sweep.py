"""Many sources, a bundle of each: what is finished is kept, what fails is named, and the rest goes on.

The record of the sweep is written after each step. It says what was built and why another was not; that a step is
finished is told by its bundle, which is there whole or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from index.build.build import Built
from index.build.disk import make_folder
from index.build.place import ASIDE, clear_abandoned
from index.build.settings import Settings
from index.build.step import Identity, Job
from index.bundle.sweep import RECORD, Step, Sweep, read_sweep, write_sweep
from index.errors import BundleError, LogoscopeError, ParameterError, parameter
from index.files import why
from index.progress import Progress, silent
from index.sources.listed import in_order, listed_sources
from index.sources.stack import ENDINGS, open_stack

DECIDING = (
    *("tokenizer", "metric_tensor", "ridge", "sample", "seed", "neighbors", "density_k", "centered"),
    "index_factories",
)
"""The settings that decide what a bundle holds: all bundles of a sweep have the same."""


@dataclass(frozen=True)
class Done:
    """What became of one step."""

    step: Step
    built: Built | None = None  # None: it was there, it is the same as another, or it failed
    error: LogoscopeError | None = None


def sweep(
    listed: str,
    settings: Settings,
    *,
    bits: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress = silent,
    told: Callable[[Done], None] = lambda done: None,
) -> Sweep:
    """Build a bundle of each listed source under `settings.out`, but for those that are there.

    Parameters
    ----------
    listed : str
        A file that lists sources, a pattern of branches on the Hub, or a file that holds a stack of matrices.
    settings : Settings
        Of all bundles; `overwrite` builds those that are there anew.
    bits : str, optional
        `bf16` where a stack's uint16 are the bits of bfloat16.
    workers : int, optional
        How many processes on this machine build at a time; None: this one, step by step.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers build, and share this machine's file system.
    told : callable
        Told of each step what became of it.

    Raises
    ------
    LogoscopeError
        Where no step can be built. What keeps one from being built is in what is returned.
    """
    out = _checked_out(settings)
    jobs = _listed(listed, settings, bits)
    with _alone(out):
        record = _record(listed, settings, jobs)
        steps = {step.name: step for step in record.steps}
        if workers is None and scheduler is None:
            run = _one_by_one(jobs, steps, progress)
        else:
            from index.build.together import run_together

            run = run_together(jobs, steps, workers, scheduler, progress)
        for number, done in enumerate(run):
            progress("steps", number, len(jobs))
            steps[done.step.name] = done.step
            record = Sweep(listed=record.listed, settings=record.settings, steps=tuple(steps.values()))
            write_sweep(out, record)
            told(done)
        progress("steps", len(jobs), len(jobs))
        _clear(out, record)
    return record


def _checked_out(settings: Settings) -> Path:
    """Return the folder that bundles go into; ParameterError where the settings are none of a sweep."""
    settings.check()
    for name, one in (("distances", settings.distances), ("control", settings.control)):
        if one is not None:
            raise ParameterError(f"{parameter(name, one)} is of one model; leave it out of a sweep")
    if settings.out is None:
        raise ParameterError(f"a sweep needs {parameter('out')}: the folder that its bundles go into")
    return settings.out


def _clear(out: Path, record: Sweep) -> None:
    """Remove what workers have left that were slow, or cut off, and end before their build does."""
    for step in record.steps:
        if step.built and step.same_as is None:
            clear_abandoned(record.folder(out, step))
    for folder in out.glob(f"{ASIDE}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _listed(listed: str, settings: Settings, bits: str | None) -> list[Job]:
    """Return the steps that are listed, in order."""
    if Path(listed).suffix.lower() in ENDINGS:
        stack = open_stack(Path(listed), bits=bits)
        places = {name: place for place, name in enumerate(stack.names)}
        return [
            Job(name, f"{stack.path}[{places[name]}]", settings, stack.path, places[name], bits)
            for name in in_order(stack.names)
        ]
    if bits is not None:
        raise ParameterError(f"{parameter('as', bits)} goes with a stack of matrices ({', '.join(ENDINGS)})")
    return [Job(name, source, settings) for name, source in listed_sources(listed).items()]


def _one_by_one(jobs: Sequence[Job], steps: Mapping[str, Step], progress: Progress) -> Iterator[Done]:
    """Do each step here; of those with the same matrix and tokens the first."""
    known: dict[Identity, str] = {}  # what has a bundle by now, and which step's it is
    for job in jobs:
        before = steps[job.name]
        try:
            if before.same_as in known.values() and not job.settings.overwrite:
                yield Done(before)
                continue
            kept = job.kept()
            if kept is not None:
                known.setdefault(kept, job.name)
                yield Done(job.step())
                continue
            source = [job.read(progress)]
            identity = job.identity(source[0])
            if identity in known:
                yield Done(job.step(same_as=known[identity]))
                continue
            built = job.build(source, progress)
            known[identity] = job.name
            yield Done(job.step(), built)
        except LogoscopeError as error:
            yield Done(job.step(error=error), error=error)


def _record(listed: str, settings: Settings, jobs: Sequence[Job]) -> Sweep:
    """Return the record of a sweep, with what the run before it has recorded of the same sources."""
    deciding = {name: str(getattr(settings, name)) for name in DECIDING}
    sources = {job.name: job.source for job in jobs}
    steps = {name: Step(name=name, source=source) for name, source in sources.items()}
    out = settings.out
    if out is not None and (out / RECORD).is_file() and not settings.overwrite:
        before = read_sweep(out)
        for name, value in deciding.items():
            if before.settings.get(name) != value:
                raise ParameterError(
                    f"{out} was swept with {parameter(name, before.settings.get(name))}, not {value}: all bundles of a "
                    f"sweep have the same; pass {parameter('overwrite', True)}, or another {parameter('out')}"
                )
        steps |= {step.name: step for step in before.steps if sources.get(step.name) == step.source}
    return Sweep(listed=listed, settings=deciding, steps=tuple(steps[name] for name in sources))


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Sweep into a folder by one process at a time."""
    try:
        make_folder(out)
        lock = FileLock(out / ".sweep.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise BundleError(
            f"{out} is being swept by another process; wait for it, or pass another {parameter('out')}"
        ) from None
    except OSError as error:
        raise BundleError(f"{out} cannot be written: {why(error)}") from error
    try:
        yield
    finally:
        lock.release()
