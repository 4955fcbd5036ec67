"""`sets`: the named parts of a vocabulary, and sets brought from files and taken to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from index.answers.answer import Answer, Row
from index.answers.page import Block, facts
from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.bundle.saved_sets import read_set, saved_names
from index.errors import ParameterError, parameter
from index.files import placing, require_free
from index.questions.asking.among import Subset, subset
from index.questions.asking.named_sets import BUILT_IN, MARK, save_set, usable
from index.questions.asking.parameters import Overwrite
from index.questions.asking.question import Doc
from index.questions.asking.token_files import write_tokens
from index.tokens.display import display


class Action(StrEnum):
    """What is done with one set."""

    IMPORT = "import"
    EXPORT = "export"


@dataclass(frozen=True)
class NamedSet:
    """A part of a vocabulary that has a name."""

    name: str  # without the @
    size: int
    definition: str


@dataclass(frozen=True)
class Sets(Answer):
    """The sets of a bundle: those that come with it, then those that are kept beside it."""

    sets: tuple[NamedSet, ...]  # the one that was imported or exported, alone
    tokens: int  # of the bundle
    file: Path | None = None  # what a set was written to
    note: str | None = None  # what of a list was no token

    columns: ClassVar = {"name": str, "size": int, "definition": str}

    def rows(self) -> list[Row]:
        """Return one record for each set."""
        return [{"name": each.name, "size": each.size, "definition": each.definition} for each in self.sets]

    def json(self) -> list[dict[str, Any]]:
        """Return the same records, and the file where one was written."""
        written = {} if self.file is None else {"file": str(self.file)}
        return [{**row, **written} for row in self.rows()]

    def page(self) -> list[Block]:
        """Return the sets with their sizes and definitions."""
        lines = [(MARK + each.name, f"{each.size:,}: {display(each.definition)}") for each in self.sets]
        written = [] if self.file is None else [("written to", display(str(self.file)))]
        return [facts([*lines, *written, ("tokens", f"{self.tokens:,} in all")])]


def sets(
    bundle: Bundle,
    action: Annotated[
        Action | None, Doc("import or export, of one set; without it all are listed.", metavar="ACTION", page=False)
    ] = None,
    source: Annotated[
        str | None, Doc("What is imported, as --among takes it; or the name of the set that is exported.", page=False)
    ] = None,
    target: Annotated[
        Path | None, Doc("The name that is imported as; or the FILE to write: .npy, .safetensors (a mask), or a text.")
    ] = None,
    *,
    overwrite: Overwrite = False,
) -> Sets:
    """The named parts of the vocabulary, with their definitions: @NAME keeps a question to one of them.

    Example: uv run query.py sets import words.txt mine

    `sets import FILE NAME` keeps beside the bundle what a file lists: ids (text, .npy, .pt), a mask of bools over the
    model's rows (.npy, .safetensors), or words, one on each line. `sets export NAME FILE` writes ids, or a mask.
    """
    if action is None:
        return Sets(tuple(_all(bundle)), len(bundle))
    if source is None or target is None:
        wanted = "FILE NAME" if action is Action.IMPORT else "NAME FILE"
        raise ParameterError(f"`sets {action}` takes two more: sets {action} {wanted}")
    if action is Action.IMPORT:
        return _imported(bundle, source, str(target), overwrite)
    named = source if source.startswith(MARK) else MARK + source
    return _exported(bundle, subset(bundle, named, "source"), target, overwrite)


def _all(bundle: Bundle) -> list[NamedSet]:
    found = [NamedSet(name, int(holds(bundle).sum()), said) for name, (holds, said) in BUILT_IN.items()]
    for name in saved_names(bundle):
        kept = read_set(bundle, name)
        if kept is not None:
            said = kept.definition if usable(bundle, kept) else f"refused: of other rows than these ({kept.definition})"
            found.append(NamedSet(name, len(kept.ids), said))
    return found


def _imported(bundle: Bundle, source: str, name: str, overwrite: bool) -> Sets:
    found = subset(bundle, source, "source")
    ids = bundle.vocabulary.token_ids[found.rows]
    kept = save_set(bundle, name, ids, f"imported from {source}", overwrite=overwrite, named="target")
    return Sets((NamedSet(kept.name, len(kept.ids), kept.definition),), len(bundle), note=found.note)


def _exported(bundle: Bundle, found: Subset, file: Path, overwrite: bool) -> Sets:
    require_free([file], overwrite=overwrite, manifest=MANIFEST, named="target")
    ids = bundle.vocabulary.token_ids[found.rows]
    if len(ids) == 0:
        raise ParameterError(f"{parameter('source')} {found.name} holds no token: there is nothing to write")
    with placing([file], overwrite=overwrite, manifest=MANIFEST, named="target") as (written,):
        write_tokens(bundle, ids, written, {"set": found.name, "bundle": bundle.name})
    return Sets((NamedSet(found.name.removeprefix(MARK), len(ids), "exported"),), len(bundle), file)
