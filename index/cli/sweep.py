"""`build_index.py --sweep`: says of each step what became of it, as it is done and at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from index.answers.page import Block, Sentence, counted, facts
from index.cli.ask import as_option, print_json, print_page
from index.cli.progress import progress_bar
from index.errors import LogoscopeError, ParameterError, one_line, parameter

if TYPE_CHECKING:
    from index.build.settings import Settings
    from index.build.sweep import Done

KINDS = ("bf16",)


def sweep_and_report(
    listed: str,
    settings: Settings,
    bits: str | None,
    workers: int | None,
    scheduler: str | None,
    *,
    with_map: bool,
    as_json: bool,
) -> bool:
    """Build all steps and print what became of each; return whether all have a bundle now."""
    from index.build.sweep import sweep

    _check(listed, settings, bits, with_map=with_map)
    every: list[Done] = []
    noted: set[str] = set()

    def told(done: Done) -> None:
        every.append(done)
        print(one_line(f"{done.step.name}: {_outcome(done)}"), file=sys.stderr)
        for note in _notes(done):
            if note not in noted:  # what is true of every step is said once
                noted.add(note)
                print(one_line(f"{done.step.name}: {note}"), file=sys.stderr)

    try:
        with progress_bar() as progress:
            sweep(listed, settings, bits=bits, workers=workers, scheduler=scheduler, progress=progress, told=told)
    except KeyboardInterrupt:
        built = sum(done.step.built for done in every)
        print(f"{counted(built, 'step')} done; the same command goes on from there", file=sys.stderr)
        raise
    if as_json:
        print_json([_json(done, settings) for done in every])
    else:
        print_page(_page(every))
    return all(done.step.built for done in every)


def _check(listed: str, settings: Settings, bits: str | None, *, with_map: bool) -> None:
    """Raise ParameterError for what a sweep does not take."""
    if settings.source is not None:
        raise ParameterError(
            f"{parameter('sweep', listed)} lists the sources, and {settings.source} is named besides; leave one out"
        )
    if with_map:
        raise ParameterError(
            f"{parameter('map', True)} does not go with {parameter('sweep')}: lay out the maps of a step with query.py "
            f"explore {parameter('map', True)}"
        )
    if bits not in (None, *KINDS):
        raise ParameterError(f"{parameter('as')} must be {', '.join(KINDS)}, got: {bits}")


def _notes(done: Done) -> list[str]:
    from index.bundle.bundle import open_bundle
    from index.cli.build import noticed

    return [] if done.built is None else noticed(done.built, open_bundle(done.built.folder).manifest.V)


def _outcome(done: Done) -> str:
    if done.error is not None:
        return f"failed: {_told(done.error)}"
    if done.built is not None:
        return f"built in {done.built.seconds:.1f} s"
    return f"same matrix as {done.step.same_as}" if done.step.same_as else "kept, finished before"


def _told(error: LogoscopeError) -> str:
    return error.told(as_option)


def _json(done: Done, settings: Settings) -> dict[str, Any]:
    step = done.step
    outcome = "failed" if done.error else "built" if done.built else "same" if step.same_as else "kept"
    return {
        "step": step.name,
        "source": step.source,
        "outcome": outcome,
        "bundle": str(settings.out / (step.same_as or step.name)) if step.built and settings.out else None,
        "same_as": step.same_as,
        "error": None if done.error is None else _told(done.error),
        "seconds": None if done.built is None else done.built.seconds,
    }


def _page(every: list[Done]) -> list[Block]:
    failed = sum(done.error is not None for done in every)
    rows = [(done.step.name, one_line(_outcome(done))) for done in every]
    said = f"{counted(len(every) - failed, 'step')} of {len(every):,} have a bundle"
    more = f"; {failed:,} failed, and the same command tries them again" if failed else ""
    return [facts(rows), Sentence(f"{said}{more}.")]
