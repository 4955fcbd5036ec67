"""What `manifest.json` says of a bundle, as a record, so that no reader meets a value of another kind.

The records have the names and the order of the file's JSON. Format version 4 means exactly these; docs/formats.md says
what is in the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from index.answers.control import Control
from index.bundle.checksums import DAMAGED, FileFacts, damaged, seal, unreadable
from index.errors import BundleError
from index.files import brief, no_file

FORMAT = "logoscope-bundle"
FORMAT_VERSION = 4
MANIFEST = "manifest.json"

FLAT = ("causal", "cosine")
"""The spaces whose points are in a file; those of causal cosines are made of causal ones."""
MOST_TOKENS = (1 << 31) - 1
"""Rows are counted in int32."""
POINT_BYTES = 4
"""Of each coordinate, a float32."""
LONGEST_NAME = 255
"""In bytes, of a file; more than that no file system has."""

Count = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]
Positive = Annotated[int, Meta(ge=1, le=MOST_TOKENS)]
# The greatest float64 keeps infinity out, which a JSON text can write as 1e999; NaN is not >= 0.
Number = Annotated[int, Meta(ge=0, lt=1 << 62)] | Annotated[float, Meta(ge=0, le=1.7976931348623157e308)]


class SourceFacts(Struct, frozen=True, kw_only=True):
    """The model's matrix."""

    location: str  # of the model, as it was named
    tensor: str
    dtype: str
    rows: Count  # of the whole matrix, whatever sample of it is indexed
    sha256: str  # of its numbers; in a control, of those that stand in their place


class SettingsFacts(Struct, frozen=True, kw_only=True):
    """What the build was asked for."""

    ridge: Number | None  # None for a given M
    metric_tensor: str | None  # the file of a given M
    sample: str | None  # how many tokens were drawn, or the file that listed them
    seed: int | None  # of the draw
    density_k: Positive  # neighbors averaged in a density
    device: str


class MetricFacts(Struct, frozen=True, kw_only=True):
    """Where the causal metric comes from."""

    ridge: Number | None  # None for a given M
    origin: str  # in words


class Recall(Struct, frozen=True, kw_only=True):
    """How an approximate index did."""

    factory: str  # as `faiss.index_factory` reads it
    file: str | UnsetType = UNSET  # the index's name in the bundle
    k: Count  # the k nearest neighbors of so many random rows were asked for:
    rows: Count
    recall: Number | None  # the share of them found; a tie with the last place counts. None: no row has k neighbors
    seconds: Number | UnsetType = UNSET  # to train and to fill the index


class SpaceFacts(Struct, frozen=True, kw_only=True):
    """One space."""

    unit: str  # of distances, in words
    search: str  # what the FAISS index compares, in words
    centered: bool  # whether points are of rows less the mean row: always in the causal space
    largest_norm: Number  # of a point
    resolution: Number  # distances closer than this are tied: in logometers, or of the chord
    median_nearest: Number | None  # of the distances to the nearest other point; None: there is no other
    excluded_rows: list[Count]  # rows that have no point in this space: zero rows have no direction
    approximate: list[Recall]

    @property
    def coarse(self) -> str | None:
        """What the resolution cannot order, where it is more than a hundredth of the distances to the nearest."""
        if self.median_nearest is None:
            return "no token has another point than the others here: all tie"
        if self.resolution <= self.median_nearest / 100:
            return None
        return (
            f"the resolution of {self.resolution:.3g} is more than a hundredth of the distance to the nearest other "
            f"token, {self.median_nearest:.3g} at the median: many tokens tie here that are not alike"
        )


class SpacesFacts(Struct, frozen=True, kw_only=True):
    """The spaces by the values of their geometries."""

    causal: SpaceFacts
    cosine: SpaceFacts
    causal_cosine: SpaceFacts

    def items(self) -> Iterator[tuple[str, SpaceFacts]]:
        """Yield each space with its name."""
        return ((name, getattr(self, name)) for name in self.__struct_fields__)


class PairFacts(Struct, frozen=True, kw_only=True):
    """Points against the quadratic form, over some pairs."""

    pairs: int
    worst_error: Number  # in logometers
    worst_ids: tuple[int, int]


class FormFacts(Struct, frozen=True, kw_only=True):
    """Points against the quadratic form."""

    passed: bool
    tolerance: Number  # in logometers
    random: PairFacts
    nearest: PairFacts


class DecadeFacts(Struct, frozen=True, kw_only=True):
    """Entries of a stored matrix whose distances lie within one power of ten; `index.checks.matrix.Decade`."""

    start: Number
    stop: Number | None
    entries: int
    beyond: int
    worst_error: Number | None


class MatrixFacts(Struct, frozen=True, kw_only=True):
    """Points against a stored distance matrix; the fields of `index.checks.matrix.MatrixCheck`."""

    passed: bool
    path: str
    n: int
    born: str | None
    rtol: Number | None
    atol: Number | None
    entries: int
    within_share: Number
    worst_error: Number | None
    worst_ids: tuple[int, int] | None
    rows_checked: int
    rows_agreeing: int
    k: int
    cause: str | None
    expansion: Number | None
    at_zero: Number | None
    hidden: int
    hidden_rows: int
    decades: list[DecadeFacts]
    rows_judged: int
    rows_unfit: int


class CrossCheckFacts(Struct, frozen=True, kw_only=True):
    """The outcome of the build's own cross-check."""

    passed: bool
    matrix: MatrixFacts | None
    quadratic_form: FormFacts


class Manifest(Struct, frozen=True, kw_only=True):
    """All that `manifest.json` says."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    name: str
    V: Positive  # tokens
    D: Positive  # coordinates of a vector
    K: Positive  # neighbors kept of each token
    source: SourceFacts
    control: Control | None = None  # what stands in place of the source's matrix
    settings: SettingsFacts
    metric: MetricFacts
    spaces: SpacesFacts
    versions: dict[str, str]  # of logoscope and the libraries it was built with
    crosscheck: CrossCheckFacts | None  # None where no stored matrix was given
    files: dict[str, FileFacts]
    build_seconds: Number
    checksum: str = ""  # of all the rest (`seal`)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the bundle in a folder.

    Raises
    ------
    BundleError
        When there is none, it is not what was written, or of another format version.
    """
    path = folder / MANIFEST
    try:
        if path.exists() and not path.is_file():
            raise BundleError(f"{path}: {no_file(path)}")
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        killed = (folder.parent / f".{folder.name}.replaced").exists()
        advice = "a build was killed while it replaced it: run it again" if killed else "build one with build_index.py"
        raise BundleError(f"no bundle in {folder}: it has no {MANIFEST}; {advice}") from None
    except NotADirectoryError:
        own = (folder.parent / MANIFEST).is_file()
        raise BundleError(f"{folder} is a file; pass a bundle's folder{f', {folder.parent}' if own else ''}") from None
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {brief(error)}; {DAMAGED}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path} is not the manifest of a logoscope bundle")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise _wrong_version(folder, manifest)
    if manifest.get("checksum") != seal(manifest):
        raise damaged(f"{path} is not what was written")
    try:
        found = msgspec.convert(manifest, Manifest)
        _check(found)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # JSON can write half a character
        raise BundleError(f"{path} holds no valid bundle: {brief(error)}: {DAMAGED}") from error
    return found


def _wrong_version(folder: Path, manifest: dict[str, Any]) -> BundleError:
    found, versions = manifest.get("format_version"), manifest.get("versions")
    writer = versions.get("logoscope") if isinstance(versions, dict) else None
    newer = isinstance(found, int) and found > FORMAT_VERSION
    advice = f"install logoscope {writer or 'of the version that wrote it'}" if newer else "build it again"
    return BundleError(
        f"{folder} has bundle format {brief(ValueError(found))}, this version reads {FORMAT_VERSION}; {advice}"
    )


def _check(manifest: Manifest) -> None:
    """Raise ValidationError unless the values fit each other, as types alone cannot say.

    Excluded rows are rows, K neighbors can be had, and the points take no more bytes than their files have.
    """
    V, D, K, files = manifest.V, manifest.D, manifest.K, manifest.files
    for name, space in manifest.spaces.items():
        points = f"{name}.faiss"
        if name in FLAT and (points not in files or files[points].bytes < V * D * POINT_BYTES):
            raise msgspec.ValidationError(f"Expected {V} x {D} points - at `$.files.{points}`")
        if any(row >= V for row in space.excluded_rows):
            raise msgspec.ValidationError(f"Expected rows below {V} - at `$.spaces.{name}.excluded_rows`")
    if not all(name.isprintable() and 0 < len(name.encode()) <= LONGEST_NAME for name in files):
        raise msgspec.ValidationError("Expected names that a file can have - at `$.files`")
    if not manifest.settings.density_k <= K < V:
        raise msgspec.ValidationError(f"Expected density_k <= K < {V} - at `$.K`")
