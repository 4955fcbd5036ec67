"""Many sources named at once: a list in a file, or the branches of a repository whose names fit a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from index.errors import SourceError
from index.files import brief, read_bytes
from index.sources.load import source_name

MOST_LIST_BYTES = 1 << 24
MOST_SOURCES = 10_000
NAMED = 5
"""How many branches a refusal names."""

_PATTERN = re.compile(
    r"(?P<repository>[\w-][\w.-]*(/[\w.-]+)?)@(?P<pattern>[\w./*?\[\]!-]*[*?\[][\w./*?\[\]!-]*)", re.ASCII
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
_NUMBER = re.compile(r"(\d{1,18})")


def listed_sources(what: str) -> dict[str, str]:
    """Return sources by the names of their steps, in order.

    `what` is `OWNER/NAME@PATTERN`, of whose branches and tags those are taken that fit, or a file with a source on each
    line: as `load` takes them, or such a pattern; perhaps with a name and a tab before it. Names that differ in their
    numbers alone are put in the order of these; others stay as they are listed.

    Raises
    ------
    SourceError
        When there is no such file, the Hub does not answer, nothing fits, or two sources have one name.
    """
    if _PATTERN.fullmatch(what) is not None and not Path(what).exists():
        found = list(_branches(what))
    else:
        found = list(_lines(Path(what)))
    if not found:
        raise SourceError(f"{what} lists no source; wanted one on each line")
    if len(found) > MOST_SOURCES:
        raise SourceError(f"{what} lists {len(found):,} sources, more than {MOST_SOURCES:,}")
    sources: dict[str, str] = {}
    for name, source in found:
        if name in sources:
            raise SourceError(
                f"{what}: {brief(sources[name])} and {brief(source)} would both be called {name}; put another name and "
                "a tab before one of them"
            )
        sources[name] = source
    return {name: sources[name] for name in in_order(list(sources))}


def in_order(names: Sequence[str]) -> list[str]:
    """Return names by their numbers, step2 before step10, where they differ in nothing else; others as they are."""
    if len({_NUMBER.sub("0", name) for name in names}) > 1:
        return list(names)
    return sorted(names, key=lambda name: [int(digits) for digits in _NUMBER.findall(name)])


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = read_bytes(path, MOST_LIST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is no list of sources: it is no UTF-8 text") from error
    for number, line in enumerate(text.splitlines(), 1):
        name, tab, source = line.strip().rpartition("\t")
        name, source = name.strip(), source.strip()
        if not source or source.startswith("#"):
            continue
        if tab and _NAME.fullmatch(name) is None:
            raise SourceError(
                f"{path}, line {number}: {brief(name)!r} is no name for a step; wanted small letters, digits, - _ ."
            )
        if not tab and _PATTERN.fullmatch(source) is not None:
            yield from _branches(source)
        else:
            yield name or source_name(source), source


def _branches(what: str) -> Iterator[tuple[str, str]]:
    """Yield the branches and tags of a repository that a pattern fits, by their numbers."""
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub import errors as hub

    match = _PATTERN.fullmatch(what)
    if match is None:
        raise TypeError(f"{what} is no pattern")
    repository, pattern = match["repository"], match["pattern"]
    try:
        refs = HfApi().list_repo_refs(repository)
    except hub.RepositoryNotFoundError as error:
        raise SourceError(
            f"no model {repository!r} on the Hub (if it is private, log in with `hf auth login`)"
        ) from error
    except (hub.HfHubHTTPError, hub.HFValidationError, hub.OfflineModeIsEnabled, httpx.HTTPError) as error:
        raise SourceError(f"the branches of {repository} cannot be asked for on the Hub: {brief(error)}") from error
    names = list(dict.fromkeys(ref.name for ref in (*refs.branches, *refs.tags)))
    fitting = [name for name in names if fnmatchcase(name, pattern)]
    if not fitting:
        some = ", ".join(brief(name) for name in names[:NAMED]) + (", …" if len(names) > NAMED else "")
        raise SourceError(f"{repository} has no branch or tag {pattern} on the Hub; it has {some or 'none'}")
    for name in in_order(fitting):
        source = f"{repository}@{name}"
        yield source_name(source), source
