"""Many sources, a bundle of each: what is finished is kept, what fails is named, and the rest goes on.

The record of the sweep is written after each step. It says what was built and why another was not; that a step is
finished is told by its bundle, which is there whole or not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock, Timeout

from index.build.build import Built, build
from index.build.disk import make_folder
from index.build.rows import Progress, numbers_sha256
from index.build.settings import Settings
from index.bundle.bundle import open_bundle
from index.bundle.manifest import MANIFEST
from index.bundle.sweep import RECORD, Step, Sweep, read_sweep, write_sweep
from index.errors import BundleError, LogoscopeError, ParameterError, parameter
from index.files import why
from index.sources.listed import in_order, listed_sources
from index.sources.load import Source, load
from index.sources.sample import sampled_rows
from index.sources.stack import ENDINGS, open_stack
from index.tokens.vocabulary import Vocabulary

DECIDING = (
    *("tokenizer", "metric_tensor", "ridge", "sample", "seed", "neighbors", "density_k", "centered"),
    "index_factories",
)
"""The settings that decide what a bundle holds: all bundles of a sweep have the same."""

_Matrix: TypeAlias = tuple[str, str, int, int]  # SHA-256 of the numbers, dtype, V, D
Load = Callable[[], Source]


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
    progress: Progress = lambda step, done, total: None,
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
    told : callable
        Told of each step what became of it.

    Raises
    ------
    LogoscopeError
        Where no step can be built. What keeps one from being built is in what is returned.
    """
    settings.check()
    if settings.out is None:
        raise ParameterError(f"a sweep needs {parameter('out')}: the folder that its bundles go into")
    for name, one in (("distances", settings.distances), ("control", settings.control)):
        if one is not None:
            raise ParameterError(f"{parameter(name, one)} is of one model; leave it out of a sweep")
    loads, sources = _listed(listed, settings, bits, progress)
    out = settings.out
    with _alone(out):
        record = _record(listed, settings, sources)
        run = _Run(out, settings, progress)
        for number, step in enumerate(record.steps):
            progress("steps", number, len(record.steps))
            done = run.step(step, loads[step.name])
            steps = (*record.steps[:number], done.step, *record.steps[number + 1 :])
            record = Sweep(listed=record.listed, settings=record.settings, steps=steps)
            write_sweep(out, record)
            told(done)
        progress("steps", len(record.steps), len(record.steps))
    return record


def _listed(
    listed: str, settings: Settings, bits: str | None, progress: Progress
) -> tuple[dict[str, Load], dict[str, str]]:
    """Return how each step is read, and what its source is called, by the names of the steps."""
    if Path(listed).suffix.lower() in ENDINGS:
        stack = open_stack(Path(listed), bits=bits)
        places = {name: place for place, name in enumerate(stack.names)}
        order = in_order(stack.names)
        loads: dict[str, Load] = {name: lambda at=places[name]: stack.load(at, settings.tokenizer) for name in order}  # type: ignore[misc]
        return loads, {name: f"{stack.path}[{places[name]}]" for name in order}
    if bits is not None:
        raise ParameterError(f"{parameter('as', bits)} goes with a stack of matrices ({', '.join(ENDINGS)})")
    sources = listed_sources(listed)

    def load_one(source: str) -> Source:
        return load(source, tokenizer=settings.tokenizer, cache=settings.cache, progress=progress)

    return {name: lambda source=source: load_one(source) for name, source in sources.items()}, sources  # type: ignore[misc]


class _Run:
    """One run of a sweep: which matrices have a bundle by now."""

    def __init__(self, out: Path, settings: Settings, progress: Progress) -> None:
        self.out, self.settings, self.progress = out, settings, progress
        self.known: defaultdict[_Matrix, list[str]] = defaultdict(list)  # the steps with a bundle of that matrix

    def step(self, step: Step, read: Load) -> Done:
        """Build one step, or say why not."""
        plain = Step(name=step.name, source=step.source)
        try:
            if not self.settings.overwrite:
                if any(step.same_as in steps for steps in self.known.values()):
                    return Done(step)
                if (self.out / step.name / MANIFEST).is_file():
                    self._keep(plain)
                    return Done(Step(name=step.name, source=step.source, built=True))
            source = read()
            same = self._same(source)
            if same is not None:
                return Done(Step(name=step.name, source=step.source, same_as=same, built=True))
            matrix = _matrix_of(source)
            holder = [source]
            del source
            built = build(
                replace(self.settings, source=step.source, out=self.out / step.name), self.progress, read=holder.pop
            )
            self.known[matrix].append(step.name)
            return Done(Step(name=step.name, source=step.source, built=True), built)
        except LogoscopeError as error:
            return Done(Step(name=step.name, source=step.source, error=str(error)), error=error)

    def _keep(self, step: Step) -> None:
        """Take the bundle that is there as the step's; BundleError where it is of another source."""
        bundle = open_bundle(self.out / step.name)
        facts = bundle.manifest.source
        if facts.location != step.source:
            raise BundleError(
                f"{bundle.folder} is a bundle of {facts.location}, not of {step.source}; pass "
                f"{parameter('overwrite', True)} to replace it, or give the step another name"
            )
        self.known[facts.sha256, facts.dtype, facts.rows, bundle.manifest.D].append(step.name)

    def _same(self, source: Source) -> str | None:
        """Return the step that has the same matrix and the same tokens."""
        steps = self.known[_matrix_of(source)]
        if not steps:
            return None
        selected = sampled_rows(self.settings.sample, self.settings.seed, len(source.gamma))
        tokens = source.vocabulary if selected is None else source.vocabulary.take(selected)
        return next((step for step in steps if _same_tokens(tokens, open_bundle(self.out / step).vocabulary)), None)


def _same_tokens(a: Vocabulary, b: Vocabulary) -> bool:
    alike = all(getattr(a, name).equals(getattr(b, name)) for name in ("texts", "pieces", "kinds"))
    return alike and a.tokenizer_json == b.tokenizer_json


def _matrix_of(source: Source) -> _Matrix:
    V, D = source.gamma.shape
    return numbers_sha256(source.gamma), str(source.gamma.dtype), V, D


def _record(listed: str, settings: Settings, sources: dict[str, str]) -> Sweep:
    """Return the record of a sweep, with what the run before it has recorded of the same sources."""
    deciding = {name: str(getattr(settings, name)) for name in DECIDING}
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
