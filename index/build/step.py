"""One step of a sweep: how its source is read, which matrix it is, and its bundle. All of it can be sent elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from index.build.build import Built, build
from index.build.place import aside, take_place
from index.build.rows import numbers_sha256
from index.build.settings import Settings
from index.bundle.bundle import Bundle, open_bundle
from index.bundle.manifest import MANIFEST
from index.bundle.sweep import Step
from index.errors import BundleError, ParameterError, parameter
from index.progress import Progress
from index.sources.load import Source, load
from index.sources.sample import sampled_rows
from index.sources.stack import open_stack
from index.tokens.vocabulary import Vocabulary


class Identity(NamedTuple):
    """What a bundle is of: sources with the same one have the same bundle."""

    numbers: str  # SHA-256
    dtype: str
    V: int
    D: int
    tokens: str  # SHA-256 of their texts, pieces and kinds, and of the tokenizer


@dataclass(frozen=True)
class Job:
    """A step to be done."""

    name: str
    source: str  # what the bundle says that it is of
    settings: Settings  # of all steps
    stack: Path | None = None  # the file that the step's matrix is in, with others
    place: int = 0  # in the stack
    bits: str | None = None  # what the stack's uint16 are the bits of

    @property
    def folder(self) -> Path:
        """Where the step's bundle goes."""
        if self.settings.out is None:
            raise ParameterError(f"a sweep needs {parameter('out')}: the folder that its bundles go into")
        return self.settings.out / self.name

    def read(self, progress: Progress) -> Source:
        """Read the step's source."""
        if self.stack is not None:
            return open_stack(self.stack, bits=self.bits).load(self.place, self.settings.tokenizer)
        return load(self.source, tokenizer=self.settings.tokenizer, cache=self.settings.cache, progress=progress)

    def build(self, source: list[Source], progress: Progress) -> Built:
        """Build the bundle of the one source of a list, which is taken out of it, so that its memory can go."""
        return self._build(self.folder, source, progress)

    def build_aside(self, source: list[Source], progress: Progress) -> Built | None:
        """Build the bundle where nobody else does, and put it in its place; None where another was quicker."""
        with aside(self.folder) as folder:
            built = self._build(folder, source, progress)
            if not take_place(built.folder, self.folder, overwrite=self.settings.overwrite):
                return None
        return replace(built, folder=self.folder)

    def _build(self, folder: Path, source: list[Source], progress: Progress) -> Built:
        return build(replace(self.settings, source=self.source, out=folder), progress, read=source.pop)

    def kept(self) -> Identity | None:
        """Return what the bundle that is there is of; None for none, or one that is to be replaced.

        BundleError where it is of another source.
        """
        if self.settings.overwrite or not (self.folder / MANIFEST).is_file():
            return None
        bundle = open_bundle(self.folder)
        location = bundle.manifest.source.location
        if location != self.source:
            raise BundleError(
                f"{bundle.folder} is a bundle of {location}, not of {self.source}; pass "
                f"{parameter('overwrite', True)} to replace it, or give the step another name"
            )
        return _identity_of_bundle(bundle)

    def identity(self, source: Source) -> Identity:
        """Return what a bundle of the source would be of."""
        V, D = source.gamma.shape
        selected = sampled_rows(self.settings.sample, self.settings.seed, V)
        tokens = source.vocabulary if selected is None else source.vocabulary.take(selected)
        return Identity(numbers_sha256(source.gamma), str(source.gamma.dtype), V, D, _tokens_sha256(tokens))

    def step(self, *, same_as: str | None = None, error: Exception | None = None) -> Step:
        """Return the record of the step, done or failed."""
        said = None if error is None else str(error)
        return Step(name=self.name, source=self.source, same_as=same_as, error=said, built=error is None)


def _identity_of_bundle(bundle: Bundle) -> Identity:
    facts = bundle.manifest.source
    return Identity(facts.sha256, facts.dtype, facts.rows, bundle.manifest.D, _tokens_sha256(bundle.vocabulary))


def _tokens_sha256(vocabulary: Vocabulary) -> str:
    digest = sha256((vocabulary.tokenizer_json or "").encode())
    for column in (vocabulary.texts, vocabulary.pieces, vocabulary.kinds):
        digest.update(repr(column.to_pylist()).encode())
    return digest.hexdigest()
